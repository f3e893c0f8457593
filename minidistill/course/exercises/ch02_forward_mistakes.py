"""Chapter 02: what known wrong versions of `rnn_forward` return."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minidistill.recurrent import rnn_forward

_Step = Callable[[Tensor, Tensor], Tensor]
_Keep = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


def loop(a: Tensor, h0: Tensor, step: _Step, keep: _Keep) -> Tensor:
    """The recurrence with a step of one's own, and a rule for what is shown and what is kept."""
    h, states = h0, []
    for t in range(len(a)):
        shown, h = keep(t, step(a[t], h), h)
        states.append(shown)
    return torch.stack(states)


def by_mask(mask: Tensor | None) -> _Keep:
    """The right rule: at padding the old state is shown and kept."""

    def keep(t: int, new: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
        kept = new if mask is None else torch.where(mask[t, :, None], new, old)
        return kept, kept

    return keep


def mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Iterator:
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
        (
            "h0 is added in every step: it is the state before the first one only",
            lambda x, h: torch.tanh(x + (h + h0) @ W.T),
        ),
        (
            "the tanh of a[t] is taken before the sum: one tanh, around the whole",
            lambda x, h: torch.tanh(torch.tanh(x) + h @ W.T),
        ),
        (
            "a is multiplied by W_hh, too: only the state is",
            lambda x, h: torch.tanh((x + h) @ W.T),
        ),
        (
            "the new state is averaged with the old one: h_t is the tanh alone",
            lambda x, h: (h + torch.tanh(x + h @ W.T)) / 2,
        ),
        ("the tanh is applied twice", lambda x, h: torch.tanh(torch.tanh(x + h @ W.T))),
    ]
    for sentence, step in steps:
        yield sentence, loop(a, h0, step, by_mask(mask))


def _order_mistakes(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Iterator:
    right, T = rnn_forward(a, h0, W, mask), len(a)
    if right.squeeze().shape != right.shape:
        yield (
            "a dimension of size 1 is gone (squeeze): (T, B, H), also for T = 1 or B = 1",
            (right.squeeze()),
        )
    yield (
        "the a of all steps so far are added up: a[t] is the step's own",
        rnn_forward(a.cumsum(0), h0, W, mask),
    )
    yield (
        "a row gets the state of the row above: rows are different texts",
        _chained(a, h0, W, mask),
    )
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
    late = rnn_forward(a.roll(1, 0), h0, W, mask)
    yield "every step reads the a of the step before: a[t] is the step's own", late
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


def _chained(a: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> Tensor:
    """Rows read one after the other within a step, as if the batch were time."""
    states, h = torch.empty_like(a), h0[0]
    for t, b in itertools.product(range(a.size(0)), range(a.size(1))):
        if mask is None or mask[t, b]:
            h = torch.tanh(a[t, b] + W @ h)
        states[t, b] = h
    return states


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
        yield sentence, loop(a, h0, step, keep)
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
            "a step is made for all rows as long as one is real: choose row by row (torch.where)",
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
        ("the mask is one step late", mask.roll(1, 0)),
        ("the mask is one step early", torch.cat([mask[1:], mask[-1:]])),
    ]:
        yield sentence, rnn_forward(a, h0, W, read)
    whole = mask.all(1)
    n = T if bool(whole.all()) else int((~whole).long().argmax())
    yield (
        "the loop ends at the first padding: the result has all T steps",
        (rnn_forward(a, h0, W, mask)[:n]),
    )
