"""Chapter 02: cases for `rnn_forward`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.exercise import expect
from minidistill.course.exercises.ch02_shared import (
    expect_gradients,
    keeps_type,
    mask_with_holes,
    ragged_mask,
    sequence,
    without_mask,
)
from minidistill.recurrent import rnn_forward

_Step = Callable[[Tensor, Tensor], Tensor]
_Keep = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


def _loop(a: Tensor, h0: Tensor, step: _Step, keep: _Keep) -> Tensor:
    """The recurrence with a step of one's own, and a rule for what is shown and what is kept."""
    h, states = h0, []
    for t in range(len(a)):
        shown, h = keep(t, step(a[t], h), h)
        states.append(shown)
    return torch.stack(states)


def _by_mask(mask: Tensor | None) -> _Keep:
    def keep(t: int, new: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
        kept = new if mask is None else torch.where(mask[t, :, None], new, old)
        return kept, kept

    return keep


def _mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Iterator:
    """Sentences, and what an answer with that mistake would return."""
    if mask is not None:
        yield from _mask_mistakes(a, h0, W, mask)
        yield from _mask_reading_mistakes(a, h0, W, mask)
    yield from _step_mistakes(a, h0, W, mask)
    yield from _order_mistakes(a, h0, W, mask)


def _step_mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Iterator:
    steps: list[tuple[str, _Step]] = [
        (
            "W_hh is not transposed: weights are stored (out, in), so h @ W_hh.T",
            lambda x, h: torch.tanh(x + h @ W),
        ),
        ("the tanh is missing", lambda x, h: x + h @ W.T),
        ("this is a sigmoid: the network uses tanh", lambda x, h: torch.sigmoid(x + h @ W.T)),
        ("this is a ReLU: the network uses tanh", lambda x, h: torch.relu(x + h @ W.T)),
        (
            "the tanh covers only the state's part: it belongs around the whole sum",
            lambda x, h: x + torch.tanh(h @ W.T),
        ),
        (
            "the tanh covers only a[t]: it belongs around the whole sum",
            lambda x, h: torch.tanh(x) + h @ W.T,
        ),
        (
            "the old state is added a second time: h_t = tanh(...), nothing added outside",
            lambda x, h: torch.tanh(x + h @ W.T) + h,
        ),
        ("a is not used: add a[t] in every step", lambda x, h: torch.tanh(h @ W.T)),
        (
            "the state is not used in the steps: without h @ W_hh.T nothing is remembered",
            lambda x, h: torch.tanh(x),
        ),
        (
            "the state is added without its weights: h @ W_hh.T",
            lambda x, h: torch.tanh(x + h),
        ),
        (
            "the state is multiplied entry by entry: h @ W_hh.T mixes all entries of h",
            lambda x, h: torch.tanh(x + h * W.diagonal()),
        ),
        (
            "every step starts from h0: hand the new state on to the next step",
            lambda x, h: torch.tanh(x + h0 @ W.T),
        ),
    ]
    for sentence, step in steps:
        yield sentence, _loop(a, h0, step, _by_mask(mask))


def _order_mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Iterator:
    right, T = rnn_forward(a, h0, W, mask), len(a)
    yield "only the last state is returned: return all of them, stacked (T, B, H)", right[-1]
    yield "only the first step is made: `return` stands inside the loop", right[:1]
    yield (
        "every step repeats the last state: append a new tensor each time",
        right[-1:].expand_as(right),
    )
    with_first = torch.cat([h0[None], right])
    yield "the first state h0 is returned too: the result starts with h_1", with_first
    yield (
        "the result starts with h0 and lacks the last state: append after the step",
        (with_first[:-1]),
    )
    yield (
        "h0 is not used: the first step starts from it, not from zeros",
        rnn_forward(a, torch.zeros_like(h0), W, mask),
    )
    yield (
        "every step reads a[0]: a[t] is the step's own",
        rnn_forward(a[:1].expand_as(a), h0, W, mask),
    )
    yield "the last step is missing", right[:-1]
    if T > 1:
        later = rnn_forward(a[1:], h0, W, None if mask is None else mask[1:])
        yield "the first step is missing: a[0] is read too", later
    turned = rnn_forward(a.flip(0), h0, W, None if mask is None else mask.flip(0))
    yield "the steps run backwards: start at t = 0", turned
    yield "the steps run backwards: start at t = 0", turned.flip(0)
    yield "the result lists the last step first: append, do not insert", right.flip(0)
    yield "the result is batch first: stack along dimension 0, (T, B, H)", right.transpose(0, 1)
    yield (
        "the states are joined without a time dimension: torch.stack, not torch.cat",
        (right.flatten(0, 1)),
    )
    yield (
        "the states are joined side by side: torch.stack along dimension 0",
        torch.cat(list(right), -1),
    )
    yield "the result is the mean of the states", right.mean(0)
    yield "the states are added up: h_t stands alone in the result", right.cumsum(0)


def _mask_mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor) -> Iterator:
    right, running = rnn_forward(a, h0, W, mask), rnn_forward(a, h0, W)
    real = mask[:, :, None]

    def step(x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(x + h @ W.T)

    keeps: list[tuple[str, _Keep]] = [
        (
            "at padding the state becomes zero: it must stay what it was (torch.where)",
            lambda t, new, old: (new * real[t], new * real[t]),
        ),
        (
            "at padding the state goes back to h0: it must stay what it was",
            lambda t, new, old: (new.where(real[t], h0), new.where(real[t], h0)),
        ),
        (
            "the result is right at padding, but the step after it starts from the new state: "
            "hand the kept one on",
            lambda t, new, old: (new.where(real[t], old), new),
        ),
        (
            "the kept state is handed on, but the result shows the new one at padding: append "
            "the kept one",
            lambda t, new, old: (new, new.where(real[t], old)),
        ),
        (
            "at padding the old and the new state are added: choose one (torch.where)",
            lambda t, new, old: (new * real[t] + old, new * real[t] + old),
        ),
        (
            "at padding the old and the new state are averaged: keep the old one",
            lambda t, new, old: (new.where(real[t], (old + new) / 2),) * 2,
        ),
    ]
    yield "the mask is ignored: where it is False the state stays what it was", running
    yield (
        "the mask is used the wrong way round: True marks a real token",
        rnn_forward(a, h0, W, ~mask),
    )
    for sentence, keep in keeps:
        yield sentence, _loop(a, h0, step, keep)
    yield "the right states are set to zero at padding: the state stays what it was", right * real
    yield (
        "the states run on over the padding and are set to zero only in the result: the state "
        "stays what it was",
        running * real,
    )
    yield (
        "the padding's input is silenced, but the step is still made: keep the old state",
        rnn_forward(a * real, h0, W),
    )


def _mask_reading_mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor) -> Iterator:
    T = len(a)
    for sentence, read in [
        ("the mask of the first step is used for all steps: mask[t]", mask[:1].expand_as(mask)),
        ("the first row's mask is used for all rows", mask[:, :1].expand_as(mask)),
        (
            "a step is skipped for all rows as soon as one row is padded: choose row by row "
            "(torch.where)",
            mask.all(1, keepdim=True).expand_as(mask),
        ),
        (
            "a step is made for all rows as long as one row is real: choose row by row (torch.where)",
            mask.any(1, keepdim=True).expand_as(mask),
        ),
        (
            "the mask is read as a length, as if padding stood only at the end: ask mask[t] in "
            "every step",
            torch.arange(T)[:, None] < mask.sum(0),
        ),
        (
            "a row stops for good at its first padding: ask mask[t] in every step",
            mask.long().cumprod(0).bool(),
        ),
        ("the mask is one step late", torch.cat([mask[:1], mask[:-1]])),
        ("the mask is one step early", torch.cat([mask[1:], mask[-1:]])),
    ]:
        yield sentence, rnn_forward(a, h0, W, read)
    whole = mask.all(1)
    n = T if bool(whole.all()) else int((~whole).long().argmax())
    yield (
        "the loop ends at the first padding: the result has all T steps",
        (rnn_forward(a, h0, W, mask)[:n]),
    )


def _case(answer: Answer, a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> None:
    got = without_mask(answer, a, h0, W) if mask is None else answer(a, h0, W, mask)
    want = rnn_forward(a, h0, W, mask)
    expect(got, want, "the result", _mistakes(a, h0, W, mask))
    keeps_type(got, want, "the result")


def forward_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two steps of three rows, worked by hand."""
    a = torch.tensor([[[0.5, 1.0], [-0.3, 0.2], [2.0, 0.0]], [[-1.0, 0.4], [0.6, -2.0], [0.1, 1]]])
    h0 = torch.tensor([[0.2, -0.5], [1.0, 0.4], [-0.6, 0.8]])
    _case(answer, a, h0, torch.tensor([[0.7, -0.4], [0.3, 0.9]]), None)


def forward_uneven(answer: Answer, rng: torch.Generator) -> None:
    """T = 7, B = 3, H = 5, no mask."""
    _case(answer, *sequence(rng, 7, 3, 5), None)


def forward_ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: at padding the state stays what it was."""
    a, h0, W = sequence(rng, 7, 3, 5)
    _case(answer, a, h0, W, ragged_mask(rng, 7, 3))


def forward_holes(answer: Answer, rng: torch.Generator) -> None:
    """padding may stand anywhere, also before the text."""
    a, h0, W = sequence(rng, 7, 3, 5)
    _case(answer, a, h0, W, mask_with_holes(rng, 7, 3))


def forward_one_step(answer: Answer, rng: torch.Generator) -> None:
    """one step, and one row."""
    _case(answer, *sequence(rng, 1, 2, 3), None)
    _case(answer, *sequence(rng, 5, 1, 3), None)


def _cut_off(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor) -> Tensor:
    return _loop(a, h0, lambda x, h: torch.tanh(x + h.detach() @ W.T), _by_mask(mask))


def forward_gradients(answer: Answer, rng: torch.Generator) -> None:
    """autograd can go back through all steps."""
    inputs = (*sequence(rng, 5, 3, 2), ragged_mask(rng, 5, 3))
    got = answer.gradients(*inputs, wrt=range(3))["inputs"]
    want = reference_answer(rnn_forward).gradients(*inputs, wrt=range(3))["inputs"]
    cut = reference_answer(_cut_off).gradients(*inputs, wrt=range(3))["inputs"]
    sentence = "the state is detached from step to step: the gradient must reach the first one"
    expect_gradients(got, want, ("a", "h0", "W_hh"), [(sentence, cut)])
