"""Chapter 02: mistakes in the class `RNN`, as parts of `ch02_rnn_wrong.run` that they exchange."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.exercises.ch02_rnn_wrong import Faults, own
from minidistill.recurrent import rnn_forward


def _afresh(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Tensor:
    return torch.tanh(a + h0 @ W.T)


def _relu(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Tensor:
    states = [h0]
    for step in a:
        states.append(torch.relu(step + states[-1] @ W.T))
    return torch.stack(states[1:])


def _added(below: Tensor, outputs: Tensor) -> Tensor:
    return below + outputs if below.shape == outputs.shape else outputs


STEPS: Faults = [
    ("b_hh is missing: both biases are added", {"bias": lambda b, c: b}),
    ("b_ih is missing: both biases are added", {"bias": lambda b, c: c}),
    ("both biases are missing", {"bias": lambda b, c: 0 * b}),
    ("b_ih is added twice, b_hh not at all", {"bias": lambda b, c: 2 * b}),
    ("b_hh is added twice, b_ih not at all", {"bias": lambda b, c: 2 * c}),
    (
        "the state that is handed in is not used: start from it",
        {"first": lambda given, zeros: zeros},
    ),
    (
        "without a state the first one is zeros, here it is ones",
        {"first": lambda given, zeros: zeros + 1 if given is None else given},
    ),
    (
        "W_hh is transposed once too often or too seldom: h @ W_hh.T",
        {"steps": lambda a, h, W, mask: rnn_forward(a, h, W.T, mask)},
    ),
    ("every step starts from the first state: hand the new one on", {"steps": _afresh}),
    ("this is a ReLU: the network uses tanh", {"steps": _relu}),
]
"""Inside one layer."""

RESULTS: Faults = [
    (
        "the outputs come out time first: turn them round at the end, (B, T, D*H)",
        {"result": lambda outputs, last, first: (outputs, last)},
    ),
    (
        "time and batch are exchanged by view or reshape, which mixes the rows up: transpose(0, 1)",
        {"inward": lambda x: x.reshape(x.size(1), x.size(0), -1)},
    ),
    (
        "the outputs are turned by view or reshape, which mixes the rows up: transpose(0, 1)",
        {
            "result": lambda outputs, last, first: (
                outputs.reshape(outputs.size(1), outputs.size(0), -1),
                last,
            )
        },
    ),
    (
        "the two results are swapped: first the outputs, then the last state",
        {"result": lambda outputs, last, first: (last, outputs.transpose(0, 1))},
    ),
    (
        "only the last step's output is returned: one for every step, (B, T, D*H)",
        {"result": lambda outputs, last, first: (outputs[-1], last)},
    ),
    (
        "the first state is returned in place of the last",
        {"result": lambda outputs, last, first: (outputs.transpose(0, 1), first)},
    ),
    (
        "all states are returned in place of the last",
        {"result": lambda outputs, last, first: (outputs.transpose(0, 1), outputs)},
    ),
    (
        "all states are returned in place of the last",
        {"result": lambda outputs, last, first: (outputs.transpose(0, 1),) * 2},
    ),
    (
        "the last state lacks its first dimension: torch.stack(last) gives (L*D, B, H)",
        {"last": lambda last, D: last[-1]},
    ),
    (
        "the last state is batch first: it is (L*D, B, H), torch.stack(last)",
        {"last": lambda last, D: torch.stack(last, 1)},
    ),
    (
        "the last states come as a list: torch.stack(last) makes one tensor, (L*D, B, H)",
        {"last": lambda last, D: list(last)},
    ),
    (
        "the last state lacks its first dimension: torch.stack(last) gives (L*D, B, H)",
        {"last": lambda last, D: torch.cat(last, -1)},
    ),
    (
        "the last states stand side by side: torch.stack(last) gives (L*D, B, H)",
        {"last": lambda last, D: torch.cat(last, -1)[None]},
    ),
    (
        "the last state lacks its first dimension: torch.stack(last) gives (L*D, B, H)",
        {"last": lambda last, D: torch.cat(last, 0)},
    ),
    (
        "the last state is the first step's: states[-1] is the last",
        {"end": lambda states, mask, turned: states[0]},
    ),
    (
        "only the top layer's last state is returned: one for every layer and direction",
        {"last": lambda last, D: torch.stack(last[-D:])},
    ),
    (
        "only the lowest layer's last state is returned: one for every layer and direction",
        {"last": lambda last, D: torch.stack(last[:D])},
    ),
    (
        "every layer returns the top layer's last state",
        {"last": lambda last, D: torch.stack(last[-D:] * (len(last) // D))},
    ),
    (
        "the last states are in the wrong order: the lowest layer first",
        {
            "last": lambda last, D: torch.stack(
                [h for i in range(len(last) - D, -1, -D) for h in last[i : i + D]]
            )
        },
    ),
    (
        "the last states are in the wrong order: forward before backward",
        {
            "last": lambda last, D: torch.stack(
                [h for i in range(0, len(last), D) for h in last[i : i + D][::-1]]
            )
        },
    ),
    (
        "the last states are in the wrong order: the lowest layer first",
        {"last": lambda last, D: torch.stack(last[::-1])},
    ),
    (
        "the last states are in the wrong order: layer 0 forward, layer 0 backward, layer 1 ...",
        {"last": lambda last, D: torch.stack(last[::D] + (last[1::2] if D == 2 else []))},
    ),
]
"""What comes back."""

LAYERS: Faults = [
    (
        "the states of the layers are in the wrong order: state[0] is the lowest layer's",
        {"place": lambda layer, way, L, D: (L - 1 - layer) * D + way},
    ),
    (
        "both directions start from the same state: state[k] is of layer k // D, direction k % D",
        {"place": lambda layer, way, L, D: layer * D},
    ),
    (
        "every layer starts from state[0]: each layer and direction has its own",
        {"place": lambda layer, way, L, D: 0},
    ),
    (
        "both directions start from the same state: state[k] is of layer k // D, direction k % D",
        {"place": lambda layer, way, L, D: layer},
    ),
    (
        "the states are taken in the wrong order: state[k] is of layer k // D, direction k % D",
        {"place": lambda layer, way, L, D: way * L + layer},
    ),
    (
        "the states are taken in the wrong order: of a layer's two states the forward one is first",
        {"place": lambda layer, way, L, D: layer * D + (D - 1 - way)},
    ),
    (
        "a layer starts from the last state of the one before: its own stands in `state`",
        {"start": lambda h0, last: last[-1] if last else h0},
    ),
    (
        "every layer uses the first layer's W_hh: the names end in _l0, _l1, ...",
        {
            "own": lambda weights, layer, way: [
                mine if i % 2 == 0 else first
                for i, (mine, first) in enumerate(
                    zip(own(weights, layer, way), own(weights, 0, way), strict=True)
                )
            ]
        },
    ),
    (
        "every layer uses the first layer's W_hh: the names end in _l0, _l1, ...",
        {
            "own": lambda weights, layer, way: [
                first if i == 1 else mine
                for i, (mine, first) in enumerate(
                    zip(own(weights, layer, way), own(weights, 0, way), strict=True)
                )
            ]
        },
    ),
    ("only the first layer is run: each reads the one below", {"layers": lambda L: 1}),
    (
        "a layer's input is added to its outputs: the outputs are the states alone",
        {"up": lambda below, outputs, top: _added(below, outputs)},
    ),
    (
        "a layer reads the one below without its last step: pass on all outputs",
        {"up": lambda below, outputs, top: torch.cat([0 * outputs[:1], outputs[:-1]])},
    ),
    (
        "a second tanh stands between the layers: the outputs go up as they are",
        {"up": lambda below, outputs, top: torch.tanh(outputs)},
    ),
]
"""Layers upon each other."""

WAYS: Faults = [
    (
        "the backward outputs are not turned round again: output t of both directions belongs to "
        "token t",
        {"back": lambda states, turned: states},
    ),
    (
        "the backward direction reads forwards: turn time round before and after",
        {"turned": lambda way: False},
    ),
    (
        "only the outputs of the backward direction are turned round: turn its inputs too",
        {"entered": lambda a, turned: a, "seen": lambda mask, layer, way, turned: mask},
    ),
    (
        "the backward direction turns the state's entries round, not time: flip dimension 0, which "
        "is time inside",
        {
            "entered": lambda a, turned: a.flip(-1) if turned else a,
            "seen": lambda mask, layer, way, turned: mask,
            "back": lambda states, turned: states.flip(-1) if turned else states,
        },
    ),
    (
        "the backward direction turns the batch round, not time: flip dimension 0, which is time "
        "inside",
        {
            "entered": lambda a, turned: a.flip(1) if turned else a,
            "seen": lambda mask, layer, way, turned: mask.flip(1) if turned else mask,
            "back": lambda states, turned: states.flip(1) if turned else states,
        },
    ),
    (
        "the forward direction reads backwards: turn only the other one round",
        {"turned": lambda way: True},
    ),
    (
        "the forward direction reads backwards: turn only the other one round",
        {"turned": lambda way: way == 0},
    ),
    (
        "the backward direction uses the forward one's weights: their names end in _reverse",
        {"own": lambda weights, layer, way: own(weights, layer, 0)},
    ),
    (
        "the directions are in the wrong order: forward first",
        {"join": lambda both: torch.cat(both[::-1], -1)},
    ),
    (
        "the directions are added: set them side by side (torch.cat)",
        {"join": lambda both: sum(both)},
    ),
    (
        "the directions are averaged: set them side by side (torch.cat)",
        {"join": lambda both: sum(both) / len(both)},
    ),
    (
        "the directions stand one after the other in time: torch.cat(both, dim=-1)",
        {"join": lambda both: torch.cat(both, 0)},
    ),
    (
        "the directions stand under each other in the batch: torch.cat(both, dim=-1)",
        {"join": lambda both: torch.cat(both, 1)},
    ),
    (
        "the entries of the directions alternate: set one beside the other, torch.cat(both, -1)",
        {"join": lambda both: torch.stack(both, -1).flatten(-2)},
    ),
    (
        "both halves of the outputs hold the forward direction",
        {"join": lambda both: torch.cat(both[:1] * len(both), -1)},
    ),
    (
        "both halves of the outputs hold the backward direction",
        {"join": lambda both: torch.cat(both[-1:] * len(both), -1)},
    ),
    (
        "the backward direction's last state is taken at the wrong end: it is the one after the "
        "first token, states[-1] before turning back",
        {"end": lambda states, mask, turned: states[0] if turned else states[-1]},
    ),
]
"""Both directions."""
