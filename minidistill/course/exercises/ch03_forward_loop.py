"""Chapter 03: the loop of an LSTM, with parts that a mistake exchanges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch03_step_mistakes import Squash, chunks, sig, tanh

_in_order = chunks()

Pair = tuple[Tensor, Tensor]
"""A hidden state and a cell, (B, H) each."""


def chosen(real: Tensor, new: Pair, old: Pair) -> Pair:
    """The new pair at real tokens, the old one at padding."""
    return torch.where(real, new[0], old[0]), torch.where(real, new[1], old[1])


def keep_right(real: Tensor, new: Pair, old: Pair, first: Pair, again: Any) -> tuple[Pair, Pair]:
    """What is shown and what is carried on: at padding the old ones."""
    kept = chosen(real, new, old)
    return kept, kept


def loop(
    a: Tensor,
    h0: Tensor,
    c0: Tensor,
    W: Tensor,
    mask: Tensor | None = None,
    *,
    sums: Callable[..., Tensor] = lambda x, h, c, W, h0: x + h @ W.T,
    cut: Callable[[Tensor], Any] = _in_order,
    places: tuple[int, ...] = (0, 1, 2, 3),
    i: Squash = sig,
    f: Squash = sig,
    g: Squash = tanh,
    o: Squash = sig,
    write: Callable[..., Tensor] = lambda i, f, g, c, c0: f * c + i * g,
    show: Callable[..., Tensor] = lambda o, new, old: o * torch.tanh(new),
    keep: Callable[..., tuple[Pair, Pair]] = keep_right,
) -> tuple[Tensor, Tensor, Tensor]:
    """All steps, with parts that may be exchanged: states, cells, gates.

    Args:
        a: as `lstm_forward` gets it, and so h0, c0, W and mask.
        sums: the sums of a step, from a[t], h, c, W and h0.
        cut: the four blocks of the sums, in the order i, f, g, o.
        places: which of i, f, g, o stand in the four places of the gates.
        i: the squashing of this block; f, g and o likewise.
        write: the new cell.
        show: the new hidden state.
        keep: what is shown and what is carried on where there is a mask; its last argument shows
            a cell through the output gate of this step.
    """
    first = now = (h0, c0)
    rows = []
    for t in range(len(a)):
        h, c = now
        blocks = cut(sums(a[t], h, c, W, h0))
        gates = [squash(block) for squash, block in zip((i, f, g, o), blocks, strict=True)]
        new_c = write(*gates[:3], c, c0)
        new = shown = (show(gates[3], new_c, c), new_c)
        if mask is not None:
            again = _again(show, gates[3], c)
            shown, new = keep(mask[t, :, None], new, now, first, again)
        now = new
        rows.append((*shown, torch.cat([gates[place] for place in places], dim=-1)))
    states, cells, all_gates = (torch.stack(part) for part in zip(*rows, strict=True))
    return states, cells, all_gates


def _again(show: Callable[..., Tensor], o: Tensor, old: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda cell: show(o, cell, old)


def loop_with(
    start: Callable[[Tensor, Tensor], Pair] = lambda h0, c0: (h0, c0),
    inputs: Callable[[Tensor, Tensor | None], Tensor] = lambda a, mask: a,
    reads: Callable[[Tensor], Tensor | None] = lambda mask: mask,
    nothing: Callable[[Tensor], Tensor | None] = lambda a: None,
    give: Callable[..., Any] = lambda s, c, g, h0, c0: (s, c, g),
    hide: Callable[..., Any] = lambda s, c, mask: (s, c),
    **parts: Any,
) -> Callable[..., Any]:
    """The loop with some parts exchanged.

    Args:
        start: another first h and c.
        inputs: another a, from the right one and the mask.
        reads: another mask, from the right one.
        nothing: the mask that stands for None, from a.
        give: what is returned, from states, cells, gates, h0 and c0.
        hide: what is made of the states and cells where there is a mask.
        parts: see `loop`.
    """

    def mistaken(a: Tensor, h0: Tensor, c0: Tensor, W: Tensor, mask: Tensor | None = None) -> Any:
        read = nothing(a) if mask is None else reads(mask)
        s, c, g = loop(inputs(a, mask), *start(h0, c0), W, read, **parts)
        s, c = (s, c) if mask is None else hide(s, c, mask[:, :, None])
        return give(s, c, g, h0, c0)

    return mistaken
