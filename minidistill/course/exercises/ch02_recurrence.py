"""Chapter 02, recurrence: one step, all steps, and back-propagation through time by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.exercise import expect
from minidistill.recurrent import rnn_backward, rnn_forward, rnn_step


def _numbers(rng: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64) * scale


def _step_inputs(rng: torch.Generator, B: int, size: int, H: int) -> tuple[Tensor, ...]:
    return (
        _numbers(rng, B, size),
        _numbers(rng, B, H),
        _numbers(rng, H, size, scale=0.5),
        _numbers(rng, H, H, scale=0.5),
        _numbers(rng, H),
        _numbers(rng, H),
    )


def _step_mistakes(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, c: Tensor) -> dict:
    a = x @ W.T + b + h @ U.T + c
    mistakes = {
        "the tanh is missing: without it the network is linear, and its state may grow for ever": a,
        "b_hh is missing: both biases are added": torch.tanh(a - c),
        "b_ih is missing: both biases are added": torch.tanh(a - b),
        "both biases are missing": torch.tanh(x @ W.T + h @ U.T),
        "the old state h is not used: without h @ W_hh.T nothing is remembered": torch.tanh(
            x @ W.T + b + c
        ),
        "the old state h is not used: without h @ W_hh.T nothing is remembered ": torch.tanh(
            x @ W.T + b
        ),
        "the input x is not used": torch.tanh(h @ U.T + b + c),
        "the input x is not used ": torch.tanh(h @ U.T + c),
        "the old state is added a second time: h' = tanh(...), with nothing added outside": (
            torch.tanh(a) + h
        ),
        "W_hh is not transposed: weights are stored (out, in), so h @ W_hh.T": torch.tanh(
            x @ W.T + b + h @ U + c
        ),
        "this is a sigmoid: the simple recurrent network uses tanh": torch.sigmoid(a),
        "this is a ReLU: the simple recurrent network uses tanh": torch.relu(a),
        "the tanh is taken of each part: add everything first, then one tanh": (
            torch.tanh(x @ W.T + b) + torch.tanh(h @ U.T + c)
        ),
        "the tanh covers only the input's part: it belongs around the whole sum": (
            torch.tanh(x @ W.T + b) + h @ U.T + c
        ),
        "the tanh covers only the state's part: it belongs around the whole sum": (
            x @ W.T + b + torch.tanh(h @ U.T + c)
        ),
        "the state is multiplied entry by entry: h @ W_hh.T mixes all entries of h": torch.tanh(
            x @ W.T + b + h * U.diagonal() + c
        ),
        "a bias is subtracted: both are added": torch.tanh(x @ W.T + b + h @ U.T - c),
        "the two parts are subtracted: add them": torch.tanh(x @ W.T + b - h @ U.T - c),
        "the two parts are multiplied: add them": torch.tanh((x @ W.T + b) * (h @ U.T + c)),
        "the tanh is applied twice: once is enough": torch.tanh(torch.tanh(a)),
        "the sum is halved: add the two parts, do not average them": torch.tanh(a / 2),
        "the new state is mixed with the old one: h' is the tanh alone": 0.5 * h
        + 0.5 * torch.tanh(a),
    }
    if x.size(1) == h.size(1):
        mistakes["W_ih is not transposed: weights are stored (out, in), so x @ W_ih.T"] = (
            torch.tanh(x @ W + b + h @ U.T + c)
        )
        mistakes["neither weight is transposed: x @ W_ih.T and h @ W_hh.T"] = torch.tanh(
            x @ W + b + h @ U + c
        )
        mistakes["the two weights are swapped: W_ih belongs to x, W_hh to h"] = torch.tanh(
            x @ U.T + b + h @ W.T + c
        )
    return mistakes


def _step_case(answer: Answer, inputs: tuple[Tensor, ...]) -> None:
    expect(answer(*inputs), rnn_step(*inputs), "the new state", _step_mistakes(*inputs))


def step_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """one step worked by hand."""
    x, h = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.25]])
    W_ih = torch.tensor([[0.1, 0.2], [0.3, -0.1]])
    W_hh = torch.tensor([[0.4, 0.8], [-0.2, 0.4]])
    b_ih, b_hh = torch.tensor([0.1, 0.0]), torch.tensor([0.0, -0.3])
    _step_case(answer, (x, h, W_ih, W_hh, b_ih, b_hh))


def step_square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where a forgotten transpose raises no error."""
    _step_case(answer, _step_inputs(rng, 3, 5, 5))


def step_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, I = 5, H = 7."""
    _step_case(answer, _step_inputs(rng, 3, 5, 7))


def step_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches all six arguments."""
    inputs = _step_inputs(rng, 2, 3, 5)
    got = answer.gradients(*inputs, wrt=range(6))
    want = reference_answer(rnn_step).gradients(*inputs, wrt=range(6))
    for name, a, b in zip(
        ("x", "h", "W_ih", "W_hh", "b_ih", "b_hh"), got["inputs"], want["inputs"], strict=True
    ):
        cut = {f"no gradient reaches {name}: it is detached somewhere": torch.zeros_like(b)}
        expect(a, b, f"the gradient of {name}", cut)


def _sequence(rng: torch.Generator, T: int, B: int, H: int) -> tuple[Tensor, Tensor, Tensor]:
    return _numbers(rng, T, B, H), _numbers(rng, B, H, scale=0.5), _numbers(rng, H, H, scale=0.6)


def _ragged_mask(rng: torch.Generator, T: int, B: int) -> Tensor:
    """True for the first n_b steps of each column, n_b from 1 to T, at least one of them T."""
    lengths = torch.randint(1, T, (B,), generator=rng)
    lengths[0] = T
    return torch.arange(T)[:, None] < lengths


def _forward_mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> dict[str, Any]:
    right = rnn_forward(a, h0, W, mask)
    unmasked = rnn_forward(a, h0, W)
    linear = [h0]
    for a_t in a:
        linear.append(a_t + linear[-1] @ W.T)
    mistakes = {
        "only the last state is returned: return all of them, stacked (T, B, H)": right[-1],
        "the first state h0 is returned too: the result starts with h_1": torch.cat(
            [h0[None], right]
        ),
        "the result starts with h0 and lacks the last state: append after the step": torch.cat(
            [h0[None], right[:-1]]
        ),
        "every step starts from h0: hand the new state on to the next step": torch.tanh(
            a + h0 @ W.T
        ),
        "the result is batch first: stack along dimension 0, (T, B, H)": right.transpose(0, 1),
        "the steps run backwards: start at t = 0": rnn_forward(
            a.flip(0), h0, W, None if mask is None else mask.flip(0)
        ).flip(0),
        "the steps run backwards: start at t = 0 ": rnn_forward(
            a.flip(0), h0, W, None if mask is None else mask.flip(0)
        ),
        "W_hh is not transposed: weights are stored (out, in), so h @ W_hh.T": rnn_forward(
            a, h0, W.T, mask
        ),
        "h0 is not used: the first step starts from it, not from zeros": rnn_forward(
            a, torch.zeros_like(h0), W, mask
        ),
        "the tanh is missing": torch.stack(linear[1:]),
        "the state is not used in the steps: without h @ W_hh.T nothing is remembered": torch.tanh(
            a
        ),
        "every step repeats the last state": right[-1].expand_as(right),
        "the last step is missing": right[:-1],
        "the first step is missing: a[0] is read too": rnn_forward(
            a[1:], h0, W, None if mask is None else mask[1:]
        )
        if len(a) > 1
        else right[:0],
        "the result is the mean of the states": right.mean(0),
    }
    if mask is not None:
        mistakes |= _forward_mask_mistakes(a, h0, W, mask, right, unmasked)
    return mistakes


def _forward_mask_mistakes(
    a: Tensor, h0: Tensor, W: Tensor, mask: Tensor, right: Tensor, unmasked: Tensor
) -> dict[str, Any]:
    zeroed, h = [], h0
    for t in range(len(a)):
        h = torch.tanh(a[t] + h @ W.T) * mask[t, :, None]
        zeroed.append(h)
    silent, h = [], h0
    for t in range(len(a)):
        h = torch.tanh(a[t] * mask[t, :, None] + h @ W.T)
        silent.append(h)
    reset, h = [], h0
    for t in range(len(a)):
        h = torch.where(mask[t, :, None], torch.tanh(a[t] + h @ W.T), h0)
        reset.append(h)
    return {
        "the mask is ignored: where it is False the state stays what it was": unmasked,
        "at padding the state becomes zero: it must stay what it was (torch.where)": torch.stack(
            zeroed
        ),
        "the right states are set to zero at padding: the state stays what it was": (
            right * mask[:, :, None]
        ),
        "the states run on over the padding and are set to zero only in the result: the state "
        "stays what it was": unmasked * mask[:, :, None],
        "the padding's input is silenced, but the step is still made: keep the old state": (
            torch.stack(silent)
        ),
        "at padding the state goes back to h0: it must stay what it was": torch.stack(reset),
        "the mask is used the wrong way round: True marks a real token": rnn_forward(
            a, h0, W, ~mask
        ),
        "the mask of the first step is used for all steps: mask[t]": rnn_forward(
            a, h0, W, mask[:1].expand_as(mask)
        ),
    }


def _forward_case(answer: Answer, a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> None:
    want = rnn_forward(a, h0, W, mask)
    expect(answer(a, h0, W, mask), want, "the states", _forward_mistakes(a, h0, W, mask))


def forward_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three steps with one state entry, worked by hand."""
    a = torch.tensor([[[0.5]], [[-1.0]], [[2.0]]])
    _forward_case(answer, a, torch.tensor([[0.2]]), torch.tensor([[0.7]]), None)


def forward_uneven(answer: Answer, rng: torch.Generator) -> None:
    """T = 7, B = 3, H = 5, no mask."""
    _forward_case(answer, *_sequence(rng, 7, 3, 5), None)


def forward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: at padding the state stays what it was."""
    a, h0, W = _sequence(rng, 7, 3, 5)
    _forward_case(answer, a, h0, W, _ragged_mask(rng, 7, 3))
    holes = torch.rand(7, 3, generator=rng) < 0.6
    holes[0], holes[3, 0] = torch.tensor([True, False, True]), False
    _forward_case(answer, a, h0, W, holes)


def forward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step, and one row."""
    _forward_case(answer, *_sequence(rng, 1, 2, 3), None)
    _forward_case(answer, *_sequence(rng, 5, 1, 3), None)


def _backward_mistakes(
    dh: Tensor, states: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None
) -> dict[str, Any]:
    """What wrong versions of the way back give; one walk with switches makes them all."""
    keep = torch.ones(states.shape[:2], dtype=torch.bool) if mask is None else mask
    before = torch.cat([h0[None], states[:-1]])

    def walk(
        slope: Tensor | None = None,
        weight: Tensor = W,
        passes: bool = True,
        forget: bool = False,
        past: Tensor = before,
        m: Tensor = keep,
        add: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor]:
        slope = 1 - states**2 if slope is None else slope
        da, g = torch.zeros_like(states), torch.zeros_like(h0)
        for t in reversed(range(len(states))):
            g = dh[t] if forget or (not add and t < len(states) - 1) else g + dh[t]
            real = m[t, :, None]
            da[t] = g * slope[t] * real
            g = da[t] @ weight if not passes else torch.where(real, da[t] @ weight, g)
        return da, g, torch.einsum("tbi,tbj->ij", da, past)

    da, dh0, dW = walk()
    ones, none = torch.ones_like(states), torch.ones_like(keep)
    T, B = states.shape[:2]
    mistakes = {
        "the gradient of the later steps is lost: g must collect dh[t] and what came back from "
        "step t + 1": walk(forget=True),
        "the slope of the tanh is missing: da_t = g (1 - h_t^2)": walk(ones),
        "the slope is 1 - h, not 1 - h^2": walk(1 - states),
        "the slope takes tanh of the states once more: they are outputs of tanh already": walk(
            1 - torch.tanh(states) ** 2
        ),
        "this is the sigmoid's slope h (1 - h): tanh has 1 - h^2": walk(states * (1 - states)),
        "the slope is h^2: tanh has 1 - h^2": walk(states**2),
        "W_hh is transposed on the way back: h went in by h @ W_hh.T, so the gradient comes "
        "back by da @ W_hh": walk(weight=W.T),
        "dW_hh uses the state after the step: it is da_t times h_{t-1}, the state before": walk(
            past=states
        ),
        "dW_hh leaves out h0: the first step read it": walk(
            past=torch.cat([torch.zeros_like(h0)[None], states[:-1]])
        ),
        "dW_hh is transposed: its rows belong to the new state, its columns to the old": (
            da,
            dh0,
            dW.T,
        ),
        "dW_hh is averaged: a weight used in many places gets the sum": (da, dh0, dW / (T * B)),
        "dW_hh is averaged over the batch: a weight used by all rows gets the sum": (
            da,
            dh0,
            dW / B,
        ),
        "dW_hh is averaged over the steps: a weight used in many places gets the sum": (
            da,
            dh0,
            dW / T,
        ),
        "dW_hh holds only the first step: sum over all": (da, dh0, da[0].T @ before[0]),
        "dW_hh holds only the last step: sum over all": (da, dh0, da[-1].T @ before[-1]),
        "dh0 is zero: the first step hands its gradient to h0": (da, torch.zeros_like(dh0), dW),
        "dh0 is da[0]: it must still go through W_hh": (da, da[0], dW),
        "the way back runs forwards: start at the last step": _forwards(
            dh, states, W, keep, before
        ),
        "the gradients come in another order: return da, dh0, dW_hh": (dW, dh0, da),
        "da is batch first: keep time first, (T, B, H)": (da.transpose(0, 1), dh0, dW),
        "da holds g before the slope": (_collected(dh, states, W, keep), dh0, dW),
    }
    if mask is not None:
        mistakes |= {
            "the mask is ignored: a padded step gives da_t = 0 and hands g on": walk(m=none),
            "a padded step stops the gradient: it changed nothing, so g goes on unchanged": walk(
                passes=False
            ),
            "the mask is used the wrong way round: True marks a real token": walk(m=~keep),
        }
    return mistakes


def _collected(dh: Tensor, states: Tensor, W: Tensor, keep: Tensor) -> Tensor:
    """g_t for every step, before the slope."""
    g, all_g = torch.zeros_like(states[0]), torch.zeros_like(states)
    for t in reversed(range(len(states))):
        g = g + dh[t]
        all_g[t] = g
        g = torch.where(keep[t, :, None], (g * (1 - states[t] ** 2)) @ W, g)
    return all_g


def _forwards(
    dh: Tensor, states: Tensor, W: Tensor, keep: Tensor, before: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    da, g = torch.zeros_like(states), torch.zeros_like(states[0])
    for t in range(len(states)):
        g = g + dh[t]
        da[t] = g * (1 - states[t] ** 2) * keep[t, :, None]
        g = torch.where(keep[t, :, None], da[t] @ W, g)
    return da, g, torch.einsum("tbi,tbj->ij", da, before)


def _backward_case(
    answer: Answer, rng: torch.Generator, sizes: tuple[int, int, int], mask: Tensor | None
) -> None:
    a, h0, W = _sequence(rng, *sizes)
    states = rnn_forward(a, h0, W, mask)
    dh = _numbers(rng, *sizes)
    inputs = (dh, states, h0, W, mask)
    expect(answer(*inputs), rnn_backward(*inputs), "(da, dh0, dW_hh)", _backward_mistakes(*inputs))


def backward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step: no recurrence yet."""
    _backward_case(answer, rng, (1, 2, 3), None)


def backward_by_autograd(answer: Answer, rng: torch.Generator) -> None:
    """T = 5, B = 3, H = 7 against autograd, in float64."""
    _backward_case(answer, rng, (5, 3, 7), None)


def backward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: padding hands the gradient on."""
    _backward_case(answer, rng, (7, 3, 5), _ragged_mask(rng, 7, 3))
    holes = torch.rand(7, 3, generator=rng) < 0.6
    holes[2], holes[6] = torch.tensor([True, False, True]), torch.tensor([False, True, True])
    _backward_case(answer, rng, (7, 3, 5), holes)


def backward_last_only(answer: Answer, rng: torch.Generator) -> None:
    """a loss at the last step alone reaches the first."""
    a, h0, W = _sequence(rng, 11, 2, 3)
    states = rnn_forward(a, h0, W)
    dh = torch.zeros_like(states)
    dh[-1] = _numbers(rng, 2, 3)
    inputs = (dh, states, h0, W, None)
    expect(answer(*inputs), rnn_backward(*inputs), "(da, dh0, dW_hh)", _backward_mistakes(*inputs))
