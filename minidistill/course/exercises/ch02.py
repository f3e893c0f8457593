"""Chapter 02: the cards, hints and bans of its six exercises."""

from __future__ import annotations

from minidistill.course.bans import AUTOGRAD
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch02_backward as backward
from minidistill.course.exercises import ch02_clipping as clipping
from minidistill.course.exercises import ch02_dropout as between
from minidistill.course.exercises import ch02_forward as forward
from minidistill.course.exercises import ch02_rnn as whole
from minidistill.course.exercises import ch02_step as step
from minidistill.course.exercises import ch02_training as training
from minidistill.recurrent import RNN, rnn_backward, rnn_forward, rnn_step

_READY_MADE = (
    "torch.nn.modules.rnn",
    "rnn_tanh",
    "rnn_relu",
    "rnn_tanh_cell",
    "rnn_relu_cell",
    "lstm",
    "gru",
)

EXERCISES = (
    Exercise(
        id="02.1",
        title="One step",
        name="rnn_step",
        points=1,
        minutes=5,
        difficulty=1,
        purpose="the whole network is this line, repeated",
        reference=rnn_step,
        hints=(
            "Four things are added, then one function is applied to the sum.",
            "A matrix is stored (out, in), so a batch of rows is multiplied by its transpose: "
            "x @ W_ih.T has shape (B, H).",
            "torch.tanh(x @ W_ih.T + b_ih + ...): the second half is the same with h.",
        ),
        cases=(
            step.step_by_hand,
            step.step_square,
            step.step_uneven,
            step.step_large,
            step.step_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the step yourself",
    ),
    Exercise(
        id="02.2",
        title="All steps",
        name="rnn_forward",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="memory: the state of one step is the input of the next",
        reference=rnn_forward,
        hints=(
            "A loop over t, a variable h that starts as h0, and a list that collects the states.",
            "Where the mask is False, h keeps its old value. torch.where(condition, new, old) "
            "chooses entry by entry; mask[t] has shape (B,) and h has (B, H), so write "
            "mask[t, :, None].",
            "mask may be None: then every step is real. At the end torch.stack(states) gives "
            "(T, B, H).",
        ),
        cases=(
            forward.forward_by_hand,
            forward.forward_uneven,
            forward.forward_ragged,
            forward.forward_holes,
            forward.forward_one_step,
            forward.forward_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the loop yourself",
    ),
    Exercise(
        id="02.3",
        title="Back-propagation through time, by hand",
        name="rnn_backward",
        points=4,
        minutes=40,
        difficulty=4,
        purpose="shows why gradients vanish, and makes the layer fast",
        reference=rnn_backward,
        hints=(
            "Walk from the last step to the first with a variable g: how the loss changes with "
            "h_t, counting every later step. At each t, first add dh[t] to it.",
            "Through the tanh: da_t = g * (1 - h_t**2). Through the recurrence, to the step "
            "before: g = da_t @ W_hh. After the last round, g is the gradient of h0.",
            "dW_hh is the sum over t of da_t.T @ h_{t-1}, where h_{t-1} is h0 for the first step: "
            "torch.cat([h0[None], states[:-1]]).",
            "A padded step copied its state: da_t is 0 there, and g goes on unchanged: "
            "g = torch.where(mask[t, :, None], da_t @ W_hh, g).",
        ),
        cases=(
            backward.backward_one_step,
            backward.backward_by_autograd,
            backward.backward_last_only,
            backward.backward_ragged,
            backward.backward_holes,
        ),
        bans=(
            *_READY_MADE,
            *AUTOGRAD,
        ),
        why_banned="the exercise is to work the gradients out by hand",
    ),
    Exercise(
        id="02.4",
        title="The class",
        name="RNN",
        points=4,
        minutes=40,
        difficulty=4,
        purpose="goes into the writer in place of the course's own layer",
        reference=RNN,
        hints=(
            "In _read: project all steps with one product, run Recurrence.apply, and if the layer "
            "reads backwards, turn time round before and after.",
            "For the way backwards, flip `a` and the mask along dimension 0, and flip the outputs "
            "back. The last state is states[-1] in either case, before flipping back.",
            "In forward: state[k] belongs to layer k // D, direction k % D. Collect the last "
            "states in that order and stack them; a layer's outputs are its directions side by "
            "side, torch.cat(both, dim=-1).",
            "Outputs at padding are zero: multiply by mask[:, :, None] (time first).",
        ),
        cases=(
            whole.names_and_shapes,
            whole.first_weights,
            whole.one_layer,
            whole.starts_at_zero,
            whole.carried_state,
            whole.stacked,
            whole.both_directions,
            whole.ragged_rows,
            whole.padding_first,
            between.dropout,
            whole.all_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to build the layer from the steps above",
        allowed=(
            "minidistill.recurrent.rnn_step",
            "minidistill.recurrent.rnn_forward",
            "minidistill.recurrent.rnn_backward",
            "minidistill.recurrent.Recurrence",
            "minidistill.recurrent_state",
        ),
    ),
    Exercise(
        id="02.5",
        title="The loss over real targets",
        name="mean_cross_entropy",
        points=2,
        minutes=20,
        difficulty=2,
        purpose="what every model of this course is trained on, and later distilled with",
        reference=training.mean_cross_entropy,
        hints=(
            "ln softmax(z)[k] = z_k - ln(sum of exp(z)). Subtract the largest z first, so that "
            "exp cannot overflow: the result is the same.",
            "gather picks one entry a position: log_p.gather(-1, targets[..., None])[..., 0]. It "
            "cannot pick number -100, so replace those targets by any valid id first "
            "(targets.clamp(min=0)) and leave their cost out afterwards.",
            "Add up the cost where targets != -100 and divide by how many there are.",
        ),
        cases=(
            training.loss_by_hand,
            training.loss_uneven,
            training.loss_ragged,
            training.loss_extreme,
            training.loss_hopeless,
            training.loss_gradient,
        ),
        bans=(
            "cross_entropy",
            "cross_entropy_loss",
            "nll_loss",
            "kl_div",
            "log_softmax",
            "softmax",
            "sparse_log_softmax",
            "sparse_softmax",
            "logsumexp",
            "logcumsumexp",
            "logaddexp",
            "scaled_dot_product_attention",
            "torch.nn.modules.loss",
        ),
        why_banned="the exercise is to build the loss from exp, log and sum",
    ),
    Exercise(
        id="02.6",
        title="Clipping by norm",
        name="clip_gradients",
        points=2,
        minutes=10,
        difficulty=2,
        purpose="one exploding batch must not undo an hour of training",
        reference=clipping.clip_gradients,
        hints=(
            "Think of all tensors as one long vector; its length is the root of the sum of all "
            "squares.",
            "Compare that one norm with max_norm. If it is larger, multiply every tensor by the "
            "same factor max_norm / norm.",
            "Return new tensors, [g * scale for g in gradients], and mind a norm of zero.",
        ),
        cases=(
            clipping.clip_by_hand,
            clipping.clip_large,
            clipping.clip_small,
            clipping.clip_close,
            clipping.clip_zero,
            clipping.clip_one_large,
        ),
        bans=("torch.nn.utils.clip_grad", "_foreach_norm", "renorm"),
        why_banned="the exercise is to compute the norm and the factor yourself",
    ),
)
