"""A student's class RNN, made of small methods so that an answer can spoil one of them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from minidistill.recurrent import rnn_backward, rnn_forward

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, h0, W_hh, mask):
        states = rnn_forward(a, h0, W_hh, mask)
        ctx.save_for_backward(states, h0, W_hh, mask)
        return states

    @staticmethod
    def backward(ctx, dh):
        return *rnn_backward(dh, *ctx.saved_tensors), None


class Student(nn.Module):
    def __init__(self, input_size, hidden_size, num_layers=1, bidirectional=False, dropout=0.0):
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.dropout, self.ways = dropout, ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            for way in self.ways:
                self.add_weights(f"_l{layer}{way}", self.size_below(layer))

    def size_below(self, layer):
        return self.hidden_size * len(self.ways) if layer else self.input_size

    def add_weights(self, suffix, size):
        H = self.hidden_size
        for name, shape in zip(NAMES, ((H, size), (H, H), (H,), (H,)), strict=True):
            self.register_parameter(name + suffix, nn.Parameter(self.first_values(shape)))

    def first_values(self, shape):
        bound = self.hidden_size**-0.5
        return torch.empty(shape).uniform_(-bound, bound)

    def weights(self, suffix):
        return [getattr(self, name + suffix) for name in NAMES]

    def forward(self, inputs, state=None, mask=None):
        state = self.first_state(inputs, state)
        x, time_mask, last = inputs.transpose(0, 1), None if mask is None else mask.T, []
        for layer in range(self.num_layers):
            x, both = self.dropped(x, layer), []
            for i, way in enumerate(self.ways):
                h0 = state[self.place(layer, i)]
                outputs, h = self.read(x, h0, time_mask, f"_l{layer}{way}", way != "")
                both.append(outputs)
                last.append(h)
            x = self.joined(both)
        return x.transpose(0, 1), self.collected(last)

    def first_state(self, inputs, state):
        if state is None:
            shape = (self.num_layers * len(self.ways), len(inputs), self.hidden_size)
            return inputs.new_zeros(shape)
        return state

    def dropped(self, x, layer):
        return F.dropout(x, self.dropout, self.training) if layer else x

    def place(self, layer, i):
        return layer * len(self.ways) + i

    def joined(self, both):
        return torch.cat(both, -1)

    def collected(self, last):
        return torch.stack(last)

    def read(self, x, h0, mask, suffix, backwards):
        W_ih, W_hh, b_ih, b_hh = self.weights(suffix)
        a = x @ W_ih.T + self.bias(b_ih, b_hh)
        if backwards:
            a, mask = self.turned(a, mask)
        states = self.steps(a, h0, W_hh, mask)
        outputs = self.silenced(states, mask)
        outputs = self.turned_back(outputs) if backwards else outputs
        return outputs, self.end(states, outputs, backwards)

    def bias(self, b_ih, b_hh):
        return b_ih + b_hh

    def turned(self, a, mask):
        return a.flip(0), None if mask is None else mask.flip(0)

    def steps(self, a, h0, W_hh, mask):
        return Recurrence.apply(a, h0, W_hh, mask)

    def silenced(self, states, mask):
        return states if mask is None else states * mask[..., None]

    def turned_back(self, outputs):
        return outputs.flip(0)

    def end(self, states, outputs, backwards):
        return states[-1]
