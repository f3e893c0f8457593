"""Chapter 03: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.convolution import causal_convolution
from minidistill.course.bans import AUTOGRAD
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch03_backward as backward
from minidistill.course.exercises import ch03_convolution as convolution
from minidistill.course.exercises import ch03_forward as forward
from minidistill.course.exercises import ch03_gru as gru
from minidistill.course.exercises import ch03_step as step
from minidistill.gru import gru_step
from minidistill.lstm import lstm_backward, lstm_forward, lstm_step

_READY_MADE = (
    "torch.nn.modules.rnn",
    "lstm",
    "lstm_cell",
    "gru",
    "gru_cell",
    "rnn_tanh",
    "rnn_relu",
    "rnn_tanh_cell",
    "rnn_relu_cell",
    "thnn_fused_lstm_cell",
    "thnn_fused_gru_cell",
    "mkldnn_rnn_layer",
)

EXERCISES = (
    Exercise(
        id="03.1",
        title="One step with gates",
        name="lstm_step",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="three gates and a cell: the whole LSTM is these five lines",
        reference=lstm_step,
        hints=(
            "One sum for all four blocks at once, as in rnn_step: (B, 4H). Then cut it into four "
            "pieces of H.",
            "a.chunk(4, dim=-1) gives i, f, g, o, in this order. i, f and o go through "
            "torch.sigmoid, g through torch.tanh.",
            "First the new cell, from the old one: f * c + i * g. Then what is shown of it: "
            "o * torch.tanh(new cell). Return h, then c.",
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
        id="03.2",
        title="All steps of the LSTM",
        name="lstm_forward",
        points=2,
        minutes=20,
        difficulty=3,
        purpose="keeps what the way back will need: states, cells and gates",
        reference=lstm_forward,
        hints=(
            "The loop of rnn_forward with two variables that are carried, h and c. The sum of a "
            "step is a[t] + h @ W_hh.T, (B, 4H).",
            "Keep three lists (or fill three tensors): h and c after each step, and the four "
            "gates after sigmoid and tanh, side by side in the order i, f, g, o.",
            "Where the mask says padding, both keep their old value: "
            "torch.where(mask[t, :, None], new, old), once for h and once for c. What stands in "
            "the gates there does not matter.",
            "torch.cat([i, f, g, o], dim=-1) is one step's gates. torch.stack makes (T, B, ...) "
            "of each list.",
        ),
        cases=(
            forward.forward_by_hand,
            forward.forward_uneven,
            forward.forward_ragged,
            forward.forward_holes,
            forward.forward_one_step,
            forward.forward_large,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the loop yourself",
    ),
    Exercise(
        id="03.3",
        title="Back through the gates, by hand",
        name="lstm_backward",
        points=5,
        minutes=60,
        difficulty=5,
        purpose="shows the road on which a gradient survives, and makes the layer fast",
        reference=lstm_backward,
        hints=(
            "Walk from the last step to the first with two variables: g_h, which starts at zero, "
            "and g_c, which starts at dc. At each t, first g_h = g_h + dh[t].",
            "Then g_c = g_c + g_h * o * (1 - tanh(c_t)**2): the cell is also shown as h. From "
            "g_c follow da_i, da_f and da_g, from g_h follows da_o, by the formulas above.",
            "To the step before: g_c = g_c * f, and g_h = da_t @ W_hh with the four blocks of "
            "da_t side by side, (B, 4H). After the last round they are dc0 and dh0.",
            "gates.chunk(4, dim=-1) gives i, f, g, o of all steps. The cell before each step is "
            "torch.cat([c0[None], cells[:-1]]), the state before it torch.cat([h0[None], "
            "states[:-1]]); dW_hh = da.flatten(0, 1).T @ previous.flatten(0, 1).",
            "At padding: da_t is 0, and both g_h and g_c go on as they are (g_h with its dh[t] "
            "added): torch.where(mask[t, :, None], new, old). Mind that g_h must not reach g_c "
            "there.",
        ),
        cases=(
            backward.backward_one_step,
            backward.backward_by_autograd,
            backward.backward_hidden_only,
            backward.backward_cell_only,
            backward.backward_ragged,
            backward.backward_holes,
        ),
        bans=(*_READY_MADE, *AUTOGRAD),
        why_banned="the exercise is to work the gradients out by hand",
    ),
    Exercise(
        id="03.4",
        title="One step of a GRU",
        name="gru_step",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="two gates and no cell: a smaller machine of the same kind",
        reference=gru_step,
        hints=(
            "Two products: x @ W_ih.T + b_ih and h @ W_hh.T + b_hh, (B, 3H) each. Keep them "
            "apart, because r multiplies the second one only.",
            "Cut each into three pieces, in the order r, z, n. The first two are added and go "
            "through torch.sigmoid.",
            "n = torch.tanh(x_n + r * h_n), where h_n holds its bias already. Then "
            "(1 - z) * n + z * h.",
        ),
        cases=(
            gru.gru_by_hand,
            gru.gru_square,
            gru.gru_uneven,
            gru.gru_large,
            gru.gru_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the step yourself",
    ),
    Exercise(
        id="03.5",
        title="The causal convolution",
        name="causal_convolution",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="reads a whole text at once, without looking ahead",
        reference=causal_convolution,
        hints=(
            "Put `past`, which the first lines make, before the text: torch.cat([past, x], dim=1). "
            "In this longer text, step t of the old one stands at t + (K-1) * dilation.",
            "What tap k reads, for all t at once, is a slice of the longer text that begins at "
            "k * dilation and has T steps: text[:, k * dilation : k * dilation + T].",
            "y is the bias plus, for every k, that slice times weight[:, :, k].T. A loop over k "
            "adds them up; one product does it too, with the slices side by side.",
        ),
        cases=(
            convolution.convolution_by_hand,
            convolution.convolution_square,
            convolution.convolution_uneven,
            convolution.convolution_short,
            convolution.convolution_future,
            convolution.convolution_gradients,
        ),
        bans=(
            "torch.nn.modules.conv",
            "conv1d",
            "conv2d",
            "conv3d",
            "conv",
            "convolution",
            "convolution_overrideable",
            "mkldnn_convolution",
            "conv_transpose1d",
            "conv_transpose",
            "conv_tbc",
        ),
        why_banned="the exercise is to build the convolution from slices and products",
    ),
)
