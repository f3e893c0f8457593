"""Chapter 08: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.chunked_softmax import log_normaliser
from minidistill.course.bans import AUTOGRAD
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch08_adagrad as adagrad
from minidistill.course.exercises import ch08_back as back
from minidistill.course.exercises import ch08_chance as chance
from minidistill.course.exercises import ch08_logits as logits
from minidistill.course.exercises import ch08_normaliser as normaliser
from minidistill.sampled_softmax import sampled_backward, sampled_logits
from minidistill.samplers import log_expected_count
from minidistill.sparse_rows import row_adagrad

EXERCISES = (
    Exercise(
        id="08.1",
        title="The chance of being among them",
        name="log_expected_count",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="what sampled softmax takes off a class's logit, so that often drawn is not worse",
        reference=log_expected_count,
        hints=(
            "A class comes p t times on average. It is among the drawn unless it did not come at "
            "all, and the chance of that is e^(-p t).",
            "Q = 1 - e^(-p t), so ln Q is torch.log of it. Now put in p t = 1e-12: e to it is 1 to "
            "all digits but the last few, and 1 less that is rounding.",
            "torch.expm1(x) is e^x - 1, worked out without the loss. What is its sign for x = "
            "-p t?",
        ),
        cases=(
            chance.by_hand,
            chance.ordinary,
            chance.any_shape,
            chance.time_of_any_kind,
            chance.forever,
            chance.long_times,
            chance.rare,
            chance.precise,
        ),
        bans=("torch.distributions",),
        why_banned="the exercise is to write the formula yourself",
    ),
    Exercise(
        id="08.2",
        title="A small softmax",
        name="sampled_logits",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="the logits of the target and of S classes drawn, in the place of all V",
        reference=sampled_logits,
        hints=(
            "Every class has the logit h . w + c, less ln Q: it stands for all that are as likely "
            "to be drawn as it is. The targets need theirs first, then the classes drawn.",
            "Each token has its own target, so a product entry by entry: (hidden * "
            "weight[targets]).sum(-1). All tokens share the classes drawn, so a product of "
            "matrices: hidden @ weight[drawn].T, (N, S).",
            "targets[:, None] == drawn is (N, S), and True where a class drawn is the token's own "
            "target: masked_fill those with -math.inf.",
            "torch.cat([own[:, None], others], dim=1). bias[targets] goes to own, bias[drawn] to "
            "others, if bias is not None.",
        ),
        cases=(
            logits.by_hand,
            logits.no_hits,
            logits.with_hits,
            logits.square,
            logits.without_bias,
            logits.every_class,
            logits.narrow,
            logits.empty_slots,
            logits.extreme,
            logits.gradients,
            logits.precise,
        ),
    ),
    Exercise(
        id="08.3",
        title="Back to the few rows, by hand",
        name="sampled_backward",
        points=4,
        minutes=35,
        difficulty=4,
        purpose="gradients of the rows that played a part, and of no others",
        reference=sampled_backward,
        hints=(
            "First the gradient by the logits, (N, 1 + S). It is that of every softmax: p, less 1 "
            "where the target stands, and here that is column 0 of every row. The mean divides it "
            "by N.",
            "A logit is hidden times a row of the weight. So its gradient goes to hidden times "
            "that row, and to that row times hidden. A target belongs to one token, a class drawn "
            "to all of them.",
            "With d the gradient by the logits, hidden gets d[:, :1] * weight[targets] + "
            "d[:, 1:] @ weight[drawn].",
            "The targets' rows get d[:, :1] * hidden, (N, H), the rows drawn d[:, 1:].T @ hidden, "
            "(S, H). torch.cat puts one below the other, and targets and drawn in the same order.",
        ),
        cases=(
            back.by_hand,
            back.no_hits,
            back.with_hits,
            back.square,
            back.narrow,
            back.same_target,
            back.every_class,
            back.empty_slots,
            back.extreme,
            back.precise,
        ),
        bans=AUTOGRAD,
        why_banned="the exercise is to work the gradients out by hand",
    ),
    Exercise(
        id="08.4",
        title="Only the rows that were touched",
        name="row_adagrad",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="a step that costs as much as the batch is large, not the vocabulary",
        reference=row_adagrad,
        hints=(
            "A row may be named several times, as a frequent word is: first add up what belongs "
            "to it. Then its mean square goes to the sums, and then it moves.",
            "once, group = rows.unique(return_inverse=True) gives each row once and, for every "
            "place of `rows`, its place in `once`. g = values.new_zeros(len(once), "
            "values.size(1)).index_add(0, group, values) is the gradient of those rows.",
            "sums = sums.index_add(0, once, g.square().mean(1)), which is a new tensor; "
            "index_add_, with the line, would change the one that was handed in.",
            "The step is -lr * g / (sums[once].sqrt() + eps)[:, None], added to the rows `once` "
            "of the weight.",
        ),
        cases=(
            adagrad.by_hand,
            adagrad.once_each,
            adagrad.repeated,
            adagrad.same_row,
            adagrad.square,
            adagrad.narrow,
            adagrad.every_row,
            adagrad.at_the_start,
            adagrad.other_eps,
            adagrad.two_steps,
            adagrad.extreme,
            adagrad.precise,
        ),
        bans=("torch.optim",),
        why_banned="the exercise is to write the step yourself",
    ),
    Exercise(
        id="08.5",
        title="The full normaliser, chunk by chunk",
        name="log_normaliser",
        points=3,
        minutes=20,
        difficulty=3,
        purpose="measures the full softmax exactly without the N x V table of logits",
        reference=log_normaliser,
        hints=(
            "Go through the classes in steps of `chunk`. Of each chunk only N numbers stay, the "
            "logarithms of its sums; how do two logarithms become that of the sum of both?",
            "for start in range(0, len(weight), chunk): the logits are hidden @ weight[start : "
            "start + chunk].T, and bias[start : start + chunk] is added if there is a bias. A "
            "slice that runs over the end is just shorter.",
            "logits.logsumexp(1) is the chunk's part. torch.logaddexp(total, part) is "
            "ln(e^total + e^part), and neither of them overflows.",
            "A sum begins with 0, so its logarithm begins with -inf: "
            "hidden.new_full((len(hidden),), -math.inf).",
        ),
        cases=(
            normaliser.by_hand,
            normaliser.even,
            normaliser.ragged,
            normaliser.large_chunk,
            normaliser.without_bias,
            normaliser.square,
            normaliser.many,
            normaliser.extreme,
            normaliser.rising_and_falling,
            normaliser.rows_apart,
            normaliser.ruled_out,
            normaliser.precise,
        ),
    ),
)
