"""Answers to 02.4 RNN as students write them, wrong."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from minidistill.recurrent import RNN as Package
from minidistill.recurrent import rnn_forward
from tests.mutants import wrong
from tests.mutants.ch02_rnn_base import NAMES, Recurrence, Student


@wrong("02.4", "the parameters' names are not torch.nn.RNN's")
class OtherNames(Student):
    def add_weights(self, suffix, size):
        super().add_weights(suffix.replace("_reverse", "_backward"), size)

    def weights(self, suffix):
        return super().weights(suffix.replace("_reverse", "_backward"))


@wrong("02.4", "weight_ih_l0 has shape (3, 5), expected (5, 3)")
class WeightsInAndOut(Student):
    def add_weights(self, suffix, size):
        super().add_weights(suffix, size)
        W = getattr(self, "weight_ih" + suffix)
        setattr(self, "weight_ih" + suffix, nn.Parameter(W.detach().T.clone()))


@wrong("02.4", "expected (5, 10)")
class UpperLayersTooNarrow(Student):
    def size_below(self, layer):
        return self.hidden_size if layer else self.input_size


@wrong("02.4", "the layer has no parameters")
class ParametersInAList(Student):
    def add_weights(self, suffix, size):
        self.kept = getattr(self, "kept", {})
        H = self.hidden_size
        shapes = ((H, size), (H, H), (H,), (H,))
        self.kept[suffix] = [nn.Parameter(self.first_values(shape)) for shape in shapes]

    def weights(self, suffix):
        return self.kept[suffix]


@wrong("02.4", "super().__init__()")
class SuperForgotten(Student):
    def __init__(self, input_size, hidden_size, num_layers=1, bidirectional=False, dropout=0.0):
        self.weight_ih_l0 = nn.Parameter(torch.zeros(hidden_size, input_size))


@wrong("02.4", "the bound is 1/sqrt(H)")
class NormalWeights(Student):
    def first_values(self, shape):
        return torch.randn(shape)


@wrong("02.4", "not spread evenly")
class ZeroWeights(Student):
    def first_values(self, shape):
        return torch.zeros(shape)


@wrong("02.4", "all layers start from the same weights")
class SeededForEveryWeight(Student):
    def first_values(self, shape):
        torch.manual_seed(0)
        return super().first_values(shape)


@wrong("02.4", "b_hh is missing")
class OneBias(Student):
    def bias(self, b_ih, b_hh):
        return b_ih


@wrong("02.4", "the outputs come out time first")
class TimeFirst(Student):
    def forward(self, inputs, state=None, mask=None):
        outputs, last = super().forward(inputs, state, mask)
        return outputs.transpose(0, 1), last


@wrong("02.4", "forward returns two things")
class OutputsOnly(Student):
    def forward(self, inputs, state=None, mask=None):
        return super().forward(inputs, state, mask)[0]


@wrong("02.4", "the state that is handed in is not used")
class StateIgnored(Student):
    def first_state(self, inputs, state):
        return super().first_state(inputs, None)


@wrong("02.4", "no state is handed in here")
class StateExpected(Student):
    def first_state(self, inputs, state):
        return state


@wrong("02.4", "no state is handed in here")
class ZerosInSinglePrecision(Student):
    def first_state(self, inputs, state):
        return super().first_state(inputs.float(), state)


@wrong("02.4", "a second call starts from the last state of the first")
class StateKeptInSelf(Student):
    def first_state(self, inputs, state):
        return super().first_state(inputs, getattr(self, "state", None) if state is None else state)

    def collected(self, last):
        self.state = torch.stack(last).detach()
        return torch.stack(last)


@wrong("02.4", "every layer starts from state[0]")
class OneStateForAll(Student):
    def place(self, layer, i):
        return 0


@wrong("02.4", "both directions start from the same state")
class StateByLayer(Student):
    def place(self, layer, i):
        return layer


@wrong("02.4", "the states are taken in the wrong order")
class StateByDirection(Student):
    def place(self, layer, i):
        return i * self.num_layers + layer


@wrong("02.4", "the last states are in the wrong order: layer 0 forward, layer 0 backward")
class LastStatesByDirection(Student):
    def collected(self, last):
        return torch.stack(last[::2] + last[1::2] if len(self.ways) == 2 else last)


@wrong("02.4", "only the top layer's last state")
class TopStateOnly(Student):
    def collected(self, last):
        return torch.stack(last[-len(self.ways) :])


@wrong("02.4", "the last state lacks its first dimension")
class LastStateFlat(Student):
    def collected(self, last):
        return last[-1]


@wrong("02.4", "the directions are added")
class DirectionsAdded(Student):
    def joined(self, both):
        return sum(both) if len(self.ways) == 2 and self.num_layers == 1 else super().joined(both)


@wrong("02.4", "the directions are in the wrong order")
class BackwardFirst(Student):
    def joined(self, both):
        return torch.cat(both[::-1], -1)


@wrong("02.4", "not turned round again")
class NotTurnedBack(Student):
    def turned_back(self, outputs):
        return outputs


@wrong("02.4", "the backward direction reads forwards")
class NeverTurned(NotTurnedBack):
    def turned(self, a, mask):
        return a, mask


@wrong("02.4", "turns the state's entries round, not time")
class EntriesTurned(Student):
    def turned(self, a, mask):
        return a.flip(-1), mask

    def turned_back(self, outputs):
        return outputs.flip(-1)


@wrong("02.4", "taken at the wrong end")
class LastStateAfterTurning(Student):
    def end(self, states, outputs, backwards):
        return states[0] if backwards else states[-1]


@wrong("02.4", "uses the forward one's weights")
class OneSetOfWeights(Student):
    def weights(self, suffix):
        return super().weights(suffix.removesuffix("_reverse"))


@wrong("02.4", "the mask is ignored")
class MaskIgnored(Student):
    def forward(self, inputs, state=None, mask=None):
        return super().forward(inputs, state)


@wrong("02.4", "ask `if mask is None`")
class MaskExpected(Student):
    def silenced(self, states, mask):
        return states * mask[..., None]


@wrong("02.4", "outputs at padding must be zero")
class StatesAtPadding(Student):
    def silenced(self, states, mask):
        return states


@wrong("02.4", "hand the mask to the recurrence")
class OnlyOutputsMasked(Student):
    def steps(self, a, h0, W_hh, mask):
        return super().steps(a, h0, W_hh, None)


@wrong("02.4", "the wrong way round")
class MaskInverted(Student):
    def forward(self, inputs, state=None, mask=None):
        return super().forward(inputs, state, None if mask is None else ~mask)


@wrong("02.4", "the mask is not turned round")
class MaskNotTurned(Student):
    def turned(self, a, mask):
        return a.flip(0), mask


@wrong("02.4", "set to zero at the wrong places")
class OutputsMaskedBeforeTurning(Student):
    def read(self, x, h0, mask, suffix, backwards):
        W_ih, W_hh, b_ih, b_hh = self.weights(suffix)
        a = x @ W_ih.T + b_ih + b_hh
        if not backwards:
            states = self.steps(a, h0, W_hh, mask)
            return self.silenced(states, mask), states[-1]
        states = self.steps(a.flip(0), h0, W_hh, None if mask is None else mask.flip(0))
        return self.silenced(states, mask).flip(0), states[-1]


@wrong("02.4", "the last state is zero where a row is padded")
class LastOutputAsState(Student):
    def end(self, states, outputs, backwards):
        return outputs[0] if backwards else outputs[-1]


@wrong("02.4", "padding stands first")
class TurnedByLength(Student):
    """Turns every row round by itself: right only while padding stands at the end."""

    def read(self, x, h0, mask, suffix, backwards):
        if mask is None:
            return super().read(x, h0, mask, suffix, backwards)
        W_ih, W_hh, b_ih, b_hh = self.weights(suffix)
        steps, lengths = torch.arange(len(x))[:, None], mask.sum(0)
        real = steps < lengths
        turn = torch.where(real & backwards, lengths - 1 - steps, steps)[..., None]
        a = (x @ W_ih.T + b_ih + b_hh).gather(0, turn.expand(*mask.shape, self.hidden_size))
        states = self.steps(a, h0, W_hh, real)
        outputs = self.silenced(states, real).gather(0, turn.expand_as(states))
        return outputs, states[-1]


@wrong("02.4", "outputs are still dropped")
class DropoutAlwaysOn(Student):
    def dropped(self, x, layer):
        return F.dropout(x, self.dropout) if layer else x


@wrong("02.4", "nothing is dropped between the layers")
class DropoutForgotten(Student):
    def dropped(self, x, layer):
        return x


@wrong("02.4", "with a single layer nothing is dropped")
class DropoutOfTheInputs(Student):
    def dropped(self, x, layer):
        return F.dropout(x, self.dropout, self.training)


@wrong("02.4", "its default is 0")
class DropoutByDefault(Student):
    def __init__(self, *sizes, dropout=0.5, **options):
        super().__init__(*sizes, dropout=dropout, **options)


@wrong("02.4", "detached from step to step")
class CutBetweenSteps(Student):
    def steps(self, a, h0, W_hh, mask):
        h, states = h0, []
        for t in range(len(a)):
            new = torch.tanh(a[t] + h.detach() @ W_hh.T)
            h = new if mask is None else torch.where(mask[t, :, None], new, h)
            states.append(h)
        return torch.stack(states)


@wrong("02.4", "the gradient stops between the layers")
class CutBetweenLayers(Student):
    def dropped(self, x, layer):
        return super().dropped(x.detach() if layer else x, layer)


@wrong("02.4", "no gradient reaches the first state")
class FirstStateDetached(Student):
    def first_state(self, inputs, state):
        return super().first_state(inputs, state).detach()


@wrong("02.4", "no gradient reaches weight_hh_l0")
class WeightsDetached(Student):
    def steps(self, a, h0, W_hh, mask):
        return Recurrence.apply(a, h0, W_hh.data, mask)


@wrong("02.4", "no gradient reaches the inputs")
class ForwardOnly(Student):
    def steps(self, a, h0, W_hh, mask):
        with torch.no_grad():
            return rnn_forward(a, h0, W_hh, mask)


@wrong("02.4", "RNN comes from torch.nn.modules.rnn: write your own")
class FromTorch(nn.RNN):
    pass


@wrong("02.4", "RNN comes from minidistill.recurrent: write your own")
class FromThePackage(Package):
    pass


@wrong("02.4", "minidistill.recurrent.RNN.forward may not be used here")
class InThePackagesClothes(Student):
    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.directions = self.ways
        self.__class__ = Package


@wrong("02.4", "minidistill.recurrent.RNN._read may not be used here")
class OneMethodBorrowed(Student):
    read = Package._read


@wrong("02.4", "torch.nn.modules.rnn.RNN may not be used here")
class TorchInside(nn.Module):
    def __init__(self, *sizes, **options):
        super().__init__()
        self.layer = nn.RNN(*sizes, batch_first=True, **options)

    def forward(self, inputs, state=None, mask=None):
        return self.layer(inputs, state)


@wrong("02.4", "rnn_tanh may not be used here")
class TorchByTheBackDoor(Student):
    def forward(self, inputs, state=None, mask=None):
        weights = [getattr(self, name + "_l0") for name in NAMES]
        options = (True, 1, 0.0, False, False, True)
        return torch._VF.rnn_tanh(inputs, self.first_state(inputs, state), weights, *options)
