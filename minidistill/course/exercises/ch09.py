"""Chapter 09: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch09_logits as logits
from minidistill.course.exercises import ch09_mean as mean
from minidistill.course.exercises import ch09_mix as mix
from minidistill.course.exercises import ch09_soft as soft
from minidistill.course.exercises import ch09_sparse as sparse
from minidistill.distillation import distillation_loss, logit_loss, soft_target_loss
from minidistill.distilling import sparse_target_loss
from minidistill.ensemble import mean_log_probabilities

EXERCISES = (
    Exercise(
        id="09.1",
        title="The soft-target loss",
        name="soft_target_loss",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="how far a student's row of probabilities is from its teacher's",
        reference=soft_target_loss,
        hints=(
            "Three parts: log-probabilities of both, softened; one number for each token; the mean "
            "over the real tokens, times T squared.",
            "(logits / temperature).log_softmax(-1) for both, the teacher's detached. With p = "
            "log_p.exp(), a token costs (p * (log_p - log_q)).sum(-1).",
            "Where the teacher rules a word out, p is 0 and ln p minus infinity, and their product "
            "NaN: .masked_fill(p == 0, 0.0) before the sum.",
            "masked_mean(values, mask) is given above. At padding fill both logits with 0 first: "
            "logits.masked_fill(~mask[..., None], 0.0).",
        ),
        cases=(
            soft.by_hand,
            soft.unmasked,
            soft.warm,
            soft.masked,
            soft.wide,
            soft.agreeing,
            soft.extreme,
            soft.at_padding,
            soft.gradients,
            soft.precise,
            soft.moved,
        ),
        bans=("kl_div", "kldivloss", "torch.nn.modules.loss", "torch.distributions"),
        why_banned="the exercise is to write the divergence from log_softmax on",
    ),
    Exercise(
        id="09.2",
        title="The teacher's row and the text's word",
        name="distillation_loss",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="the loss that a student is trained with while its teacher sits beside it",
        reference=distillation_loss,
        hints=(
            "Two losses with the weights alpha and 1 - alpha. Which of them knows of T?",
            "The mask of the real tokens is targets != IGNORE. The soft loss is "
            "divergence(student_logits, teacher_logits, mask=mask, temperature=temperature).",
            "token_loss(student_logits, targets) returns the mean and how many tokens there were: "
            "take the first. Its logits are those of the student as they are.",
        ),
        cases=(
            mix.by_hand,
            mix.uneven,
            mix.warm,
            mix.ends,
            mix.usual,
            mix.anywhere,
            mix.gradients,
        ),
        bans=("kl_div", "kldivloss", "torch.distributions"),
        why_banned="the soft part is exercise 09.1, which you have",
        allowed=(
            "minidistill.teacher_forcing.token_loss",
            "minidistill.distillation.soft_target_loss",
            "minidistill.distillation._log_probabilities",
            "minidistill.distillation._kl",
            "minidistill.distillation._check",
            "minidistill.distillation._exact",
            "minidistill.distillation.masked_mean",
        ),
    ),
    Exercise(
        id="09.3",
        title="Logits side by side",
        name="logit_loss",
        points=1,
        minutes=10,
        difficulty=1,
        purpose="the oldest form of distillation, and what the soft loss becomes at high T",
        reference=logit_loss,
        hints=(
            "The difference of two rows is a vector; its squared length is the sum of the squares.",
            "Centred means: from each row its own mean is subtracted, "
            "row - row.mean(-1, keepdim=True), from the student's and from the teacher's.",
            "masked_mean((student - teacher).square().sum(-1), mask), with the teacher detached.",
        ),
        cases=(
            logits.by_hand,
            logits.unmasked,
            logits.masked,
            logits.warm,
            logits.moved,
            logits.at_padding,
            logits.gradients,
            logits.precise,
        ),
        bans=("mse_loss", "torch.nn.modules.loss"),
        why_banned="the exercise is to write the squared distance yourself",
    ),
    Exercise(
        id="09.4",
        title="Several teachers as one",
        name="mean_log_probabilities",
        points=2,
        minutes=20,
        difficulty=3,
        purpose="makes one teacher of several, without losing what only one of them knows",
        reference=mean_log_probabilities,
        hints=(
            "of='logits' is one line: the weighted sum of the logits, then log_softmax(-1).",
            "of='probabilities': each teacher's softmax, the weighted sum, the logarithm. What "
            "becomes of a word with probability e to the -2000?",
            "w p is exp(ln w + ln p). So add math.log(w) to z.log_softmax(-1), stack the teachers, "
            "and torch.logsumexp(..., dim=0) does sum and logarithm in one step.",
        ),
        cases=(
            mean.by_hand,
            mean.plain,
            mean.weighed,
            mean.alone,
            mean.unlikely,
            mean.ruled_out,
            mean.precise,
        ),
        bans=("torch.distributions",),
        why_banned="the exercise is to write the mixture yourself",
    ),
    Exercise(
        id="09.5",
        title="Learning from what is on disk",
        name="sparse_target_loss",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="the student's loss where the teacher is a file: a few words of each row",
        reference=sparse_target_loss,
        hints=(
            "Cross-entropy needs ln q of the named words only: log_q.gather(-1, said.ids) is "
            "(..., K). Their weights are said.shares.",
            "All the words that are not named are one word, with probability said.tail to the "
            "teacher and 1 - (sum of the named q) to the student.",
            "named.logsumexp(-1).exp() is the sum of the named q. Keep it below 1 with "
            "clamp(max=1 - 1e-6), and torch.log1p(-that) is ln of the rest.",
            "cost = -(shares * named).sum(-1) - tail * rest; then masked_mean, times T squared. "
            "With 'renormalise': -(shares * named).sum(-1) / shares.sum(-1).",
        ),
        cases=(
            sparse.by_hand,
            sparse.drawn,
            sparse.best_k,
            sparse.renormalised,
            sparse.masked,
            sparse.warm,
            sparse.extreme,
            sparse.precise,
            sparse.nothing_left,
            sparse.gradients,
        ),
        bans=("kl_div", "kldivloss", "torch.nn.modules.loss", "torch.distributions"),
        why_banned="the exercise is to write the loss from log_softmax on",
    ),
)
