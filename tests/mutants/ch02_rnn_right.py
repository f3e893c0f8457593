"""Answers to 02.4 RNN as students write them, right in other ways."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from minidistill.recurrent import rnn_forward
from tests.mutants import right
from tests.mutants.ch02_rnn_base import Student


@right("02.4")
class AsInTheChapter(Student):
    pass


@right("02.4")
class StepByStep(nn.Module):
    """One cell, both directions by the order of the steps, masks by arithmetic."""

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        bidirectional=False,
        dropout=0.0,
        nonlinearity=torch.tanh,
    ):
        super().__init__()
        self.H, self.L, self.D, self.p = hidden_size, num_layers, 1 + bidirectional, dropout
        self.squash = nonlinearity
        bound = hidden_size**-0.5
        for layer in range(num_layers):
            for way in ("", "_reverse")[: self.D]:
                size = hidden_size * self.D if layer else input_size
                shapes = {"weight_ih": [hidden_size, size], "weight_hh": [hidden_size] * 2}
                shapes |= {"bias_ih": [hidden_size], "bias_hh": [hidden_size]}
                for name, shape in shapes.items():
                    parameter = nn.Parameter(torch.empty(shape))
                    nn.init.uniform_(parameter, -bound, bound)
                    setattr(self, f"{name}_l{layer}{way}", parameter)

    def cell(self, x, h, suffix):
        one = F.linear(x, getattr(self, "weight_ih" + suffix), getattr(self, "bias_ih" + suffix))
        two = F.linear(h, getattr(self, "weight_hh" + suffix), getattr(self, "bias_hh" + suffix))
        return self.squash(one + two)

    def forward(self, inputs, state=None, mask=None):
        B, T, _ = inputs.shape
        if state is None:
            state = torch.zeros(self.L * self.D, B, self.H).to(inputs)
        m = inputs.new_ones(B, T, 1) if mask is None else mask.to(inputs.dtype).unsqueeze(-1)
        signal, last = inputs, []
        for layer in range(self.L):
            signal = F.dropout(signal, self.p, self.training) if layer else signal
            both = []
            for d, way in enumerate(("", "_reverse")[: self.D]):
                h, outputs = state[layer * self.D + d], [None] * T
                for t in range(T) if d == 0 else range(T - 1, -1, -1):
                    new = self.cell(signal[:, t], h, f"_l{layer}{way}")
                    h = m[:, t] * new + (1 - m[:, t]) * h
                    outputs[t] = m[:, t] * h
                both.append(torch.stack(outputs, 1))
                last.append(h)
            signal = torch.cat(both, 2)
        return signal, torch.stack(last)


@right("02.4")
class WithAModuleForDropout(StepByStep):
    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.between = nn.Dropout(self.p)

    def cell(self, x, h, suffix):
        W_ih, W_hh, b_ih, b_hh = (
            getattr(self, name + suffix)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        both = torch.einsum("bi,hi->bh", x, W_ih) + torch.einsum("bj,hj->bh", h, W_hh)
        return (both + b_ih + b_hh).tanh()


@right("02.4")
class FilledInPlace(Student):
    def steps(self, a, h0, W_hh, mask):
        states, h = torch.empty_like(a), h0
        for t in range(len(a)):
            new = torch.tanh(a[t] + h @ W_hh.T)
            h = new if mask is None else torch.where(mask[t, :, None], new, h)
            states[t] = h
        return states

    def silenced(self, states, mask):
        return states if mask is None else states.masked_fill(~mask[..., None], 0)


@right("02.4")
class WithoutTheFunction(Student):
    """Autograd goes through the steps themselves; every seed a fresh set of weights."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.reset_parameters()

    def reset_parameters(self):
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(self.hidden_size**-0.5), self.hidden_size**-0.5)

    def steps(self, a, h0, W_hh, mask):
        return rnn_forward(a, h0, W_hh, mask)


@right("02.4")
class BiasesStartAtZero(Student):
    def first_values(self, shape):
        return super().first_values(shape) if len(shape) == 2 else torch.zeros(shape)
