"""Chapter 03: known wrong versions of `lstm_forward`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch03_step import ORDER, orders

Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
Keep = Callable[[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]], tuple]
_sig, _tanh = torch.sigmoid, torch.tanh


def _step(
    sums: Tensor,
    c: Tensor,
    order: tuple[int, ...] = (0, 1, 2, 3),
    write: Callable[..., Tensor] = lambda i, f, g, c: f * c + i * g,
    show: Callable[[Tensor, Tensor], Tensor] = lambda o, c: o * torch.tanh(c),
    squash: Callable[..., Any] = lambda i, f, g, o: (_sig(i), _sig(f), _tanh(g), _sig(o)),
) -> tuple[Tensor, Tensor, Tensor]:
    """h', c' and the gates in their places, from the sums (B, 4H)."""
    blocks = sums.chunk(4, dim=-1)
    i, f, g, o = squash(*(blocks[place] for place in order))
    c = write(i, f, g, c)
    at_places = [part for _, part in sorted(zip(order, (i, f, g, o), strict=True))]
    return show(o, c), c, torch.cat(at_places, dim=-1)


def _keep_right(real: Tensor, new: tuple, old: tuple) -> tuple:
    """What is shown and what is carried on, each (h, c): at padding the old ones."""
    kept = tuple(torch.where(real, n, o) for n, o in zip(new, old, strict=True))
    return kept, kept


def loop(
    a: Tensor,
    h0: Tensor,
    c0: Tensor,
    W: Tensor,
    mask: Tensor | None = None,
    *,
    sums: Callable[..., Tensor] = lambda x, h, W: x + h @ W.T,
    keep: Keep = _keep_right,
    **step: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """All steps, with parts that may be exchanged: states, cells, gates."""
    h, c, rows = h0, c0, []
    for t in range(len(a)):
        new_h, new_c, gates = _step(sums(a[t], h, W), c, **step)
        shown = carried = (new_h, new_c)
        if mask is not None:
            shown, carried = keep(mask[t, :, None], (new_h, new_c), (h, c))
        h, c = carried
        rows.append((*shown, gates))
    states, cells, all_gates = (torch.stack(part) for part in zip(*rows, strict=True))
    return states, cells, all_gates


def _with(**parts: Any) -> Callable[..., Any]:
    return lambda *args: loop(*args, **parts)


def _before(change: Callable[..., tuple]) -> Callable[..., Any]:
    """A mistake made in the arguments: change(a, h0, c0, W, mask) gives others."""
    return lambda a, h0, c0, W, mask=None: loop(*change(a, h0, c0, W, mask))


def _after(change: Callable[..., Any]) -> Callable[..., Any]:
    """A mistake made with the right result: change(states, cells, gates, h0, c0)."""
    return lambda a, h0, c0, W, mask=None: change(*loop(a, h0, c0, W, mask), h0, c0)


def _masked(read: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """A mistake made in reading the mask."""
    return _before(lambda a, h, c, W, m: (a, h, c, W, None if m is None else read(m)))


def _shifted(first: Tensor, rows: Tensor) -> Tensor:
    return torch.cat([first[None], rows[:-1]])


def _not_carried(a: Tensor, h0: Tensor, c0: Tensor, W: Tensor, mask: Tensor | None = None) -> Any:
    """Every step starts from c0, the hidden state being carried as it should."""
    h, rows = h0, []
    for t in range(len(a)):
        new = loop(a[t : t + 1], h, c0, W, None if mask is None else mask[t : t + 1])
        h = new[0][0]
        rows.append(new)
    return tuple(torch.cat(part) for part in zip(*rows, strict=True))


def _own_order(order: tuple[int, ...]) -> Callable[..., Any]:
    """Blocks taken in another order, and the gates returned in that order."""

    def mistaken(*args: Any) -> Any:
        states, cells, gates = loop(*args, order=order)
        blocks = gates.chunk(4, dim=-1)
        return states, cells, torch.cat([blocks[place] for place in order], dim=-1)

    return mistaken


_GATE_ORDER = "the gates come back in another order: i, f, g, o side by side, (T, B, 4H)"
_GATE_SHAPE = "the gates come back in another shape: i, f, g, o side by side, (T, B, 4H)"

STEPS: list[Mistake] = [
    *[(ORDER, _with(order=order)) for order in orders()],
    *[(ORDER, _own_order(order)) for order in orders()],
    (
        "the candidate g has a sigmoid: it is a tanh",
        _with(squash=lambda i, f, g, o: (_sig(i), _sig(f), _sig(g), _sig(o))),
    ),
    (
        "a gate has a tanh: i, f and o are sigmoids",
        _with(squash=lambda i, f, g, o: (_tanh(i), _tanh(f), _tanh(g), _tanh(o))),
    ),
    (
        "the output gate is not squashed: sigmoid(o)",
        _with(squash=lambda i, f, g, o: (_sig(i), _sig(f), _tanh(g), o)),
    ),
    ("h lacks the tanh: it shows o * tanh(c)", _with(show=lambda o, c: o * c)),
    ("the output gate is not used: h = o * tanh(c)", _with(show=lambda o, c: _tanh(c))),
    (
        "the forget gate is not used: c = f * c + i * g",
        _with(write=lambda i, f, g, c: c + i * g),
    ),
    ("the input gate is not used: c = f * c + i * g", _with(write=lambda i, f, g, c: f * c + g)),
    (
        "the old cell is not used: c = f * c + i * g",
        _with(write=lambda i, f, g, c: i * g),
    ),
    (
        "1 - f stands in the place of i: the input gate has rows of its own",
        _with(write=lambda i, f, g, c: f * c + (1 - f) * g),
    ),
    (
        "the new cell is squashed by a tanh: c = f * c + i * g as it is",
        _with(write=lambda i, f, g, c: _tanh(f * c + i * g)),
    ),
    (
        "the hidden state is not used in the steps: a[t] + h @ W_hh.T",
        _with(sums=lambda x, h, W: x),
    ),
    ("a is not used: add a[t] in every step", _with(sums=lambda x, h, W: h @ W.T)),
    (
        "W_hh is reshaped, which is no transpose: h @ W_hh.T",
        _with(sums=lambda x, h, W: x + h @ W.reshape(h.size(1), -1)),
    ),
    (
        "every step starts from h0: hand the new h on to the next step",
        lambda a, h0, c0, W, mask=None: loop(a, h0, c0, W, mask, sums=lambda x, h, W: x + h0 @ W.T),
    ),
    ("every step starts from c0: hand the new cell on to the next step", _not_carried),
]

RESULTS: list[Mistake] = [
    (
        "h0 is not used: the first step starts from it, not from zeros",
        _before(lambda a, h, c, W, m: (a, 0 * h, c, W, m)),
    ),
    (
        "c0 is not used: the first step starts from it, not from zeros",
        _before(lambda a, h, c, W, m: (a, h, 0 * c, W, m)),
    ),
    (
        "neither h0 nor c0 is used: the first step starts from them, not from zeros",
        _before(lambda a, h, c, W, m: (a, 0 * h, 0 * c, W, m)),
    ),
    ("h0 and c0 are mixed up", _before(lambda a, h, c, W, m: (a, c, h, W, m))),
    (
        "every step reads a[0]: a[t] is the step's own",
        _before(lambda a, h, c, W, m: (a[:1].expand_as(a), h, c, W, m)),
    ),
    (
        "the steps run backwards: start at t = 0",
        _before(lambda a, h, c, W, m: (a.flip(0), h, c, W, None if m is None else m.flip(0))),
    ),
    (
        "the states begin with h0 and lack the last: append after the step",
        _after(lambda s, c, g, h0, c0: (_shifted(h0, s), _shifted(c0, c), g)),
    ),
    (
        "the cells begin with c0 and lack the last: append after the step",
        _after(lambda s, c, g, h0, c0: (s, _shifted(c0, c), g)),
    ),
    (
        "h0 and c0 are returned too: the results start with h_1 and c_1",
        _after(lambda s, c, g, h0, c0: (torch.cat([h0[None], s]), torch.cat([c0[None], c]), g)),
    ),
    (
        "only the last cell is returned: the way back needs all of them, (T, B, H)",
        _after(lambda s, c, g, h0, c0: (s, c[-1], g)),
    ),
    (
        "only the last state and cell are returned: all of them, (T, B, H)",
        _after(lambda s, c, g, h0, c0: (s[-1], c[-1], g)),
    ),
    ("states and cells are in the wrong order", _after(lambda s, c, g, h0, c0: (c, s, g))),
    (
        "every step repeats the last state: append a new tensor each time",
        _after(lambda s, c, g, h0, c0: (s[-1:].expand_as(s), c[-1:].expand_as(c), g)),
    ),
    (
        "the results are batch first: keep time first, (T, B, H)",
        _after(lambda s, c, g, h0, c0: (s.transpose(0, 1), c.transpose(0, 1), g.transpose(0, 1))),
    ),
    (
        "the gates are missing: return states, cells, gates",
        _after(lambda s, c, g, h0, c0: (s, c)),
    ),
    ("only the states are returned: states, cells, gates", _after(lambda s, c, g, h0, c0: s)),
    *[
        (
            _GATE_ORDER,
            _after(
                lambda s, c, g, h0, c0, order=order: (
                    s,
                    c,
                    torch.cat([g.chunk(4, -1)[place] for place in order], dim=-1),
                )
            ),
        )
        for order in orders()
    ],
    (_GATE_SHAPE, _after(lambda s, c, g, h0, c0: (s, c, g.unflatten(-1, (4, -1))))),
    (
        _GATE_SHAPE,
        _after(lambda s, c, g, h0, c0: (s, c, g.unflatten(-1, (4, -1)).permute(2, 0, 1, 3))),
    ),
    (
        _GATE_SHAPE,
        _after(lambda s, c, g, h0, c0: (s, c, g.unflatten(-1, (4, -1)).transpose(1, 2))),
    ),
    (
        _GATE_SHAPE,
        _after(lambda s, c, g, h0, c0: (s, c, list(g.chunk(4, -1)))),
    ),
    (
        "the gates are the sums before the squashing: return what came out of sigmoid and tanh",
        _after(
            lambda s, c, g, h0, c0: (
                s,
                c,
                torch.cat(
                    [k.atanh() if n == 2 else k.logit() for n, k in enumerate(g.chunk(4, -1))], -1
                ),
            )
        ),
    ),
]


def _keeps(keep: Keep) -> Callable[..., Any]:
    return _with(keep=keep)


def _zeroed(real: Tensor, new: tuple, old: tuple) -> tuple:
    gone = (new[0] * real, new[1] * real)
    return gone, gone


def _zero_in_results(result: tuple[Tensor, ...], mask: Tensor | None) -> tuple[Tensor, ...]:
    states, cells, gates = result
    if mask is None:
        return result
    return states * mask[:, :, None], cells * mask[:, :, None], gates


MASKS: list[Mistake] = [
    ("the mask is ignored: at padding h and c stay what they were", _masked(lambda m: None)),
    ("the mask is used the wrong way round: True marks a real token", _masked(lambda m: ~m)),
    (
        "the cell is masked, but the hidden state is not: both stay what they were",
        _keeps(lambda real, new, old: ((new[0], torch.where(real, new[1], old[1])),) * 2),
    ),
    (
        "the hidden state is masked, but the cell is not: both stay what they were",
        _keeps(lambda real, new, old: ((torch.where(real, new[0], old[0]), new[1]),) * 2),
    ),
    (
        "at padding h is computed from the kept cell: it stays what it was, as the cell does",
        lambda a, h0, c0, W, mask=None: _shown_again(a, h0, c0, W, mask),
    ),
    (
        "at padding h and c become zero: they stay what they were (torch.where)",
        _keeps(_zeroed),
    ),
    (
        "the states and cells run on over the padding and are set to zero in the results only: "
        "they stay what they were",
        lambda a, h0, c0, W, mask=None: _zero_in_results(loop(a, h0, c0, W), mask),
    ),
    (
        "the right states and cells are set to zero at padding: they stay what they were",
        lambda a, h0, c0, W, mask=None: _zero_in_results(loop(a, h0, c0, W, mask), mask),
    ),
    (
        "at padding h and c go back to h0 and c0: they stay what they were at the step before",
        lambda a, h0, c0, W, mask=None: loop(
            a, h0, c0, W, mask, keep=lambda real, new, old: _keep_right(real, new, (h0, c0))
        ),
    ),
    (
        "nothing happens where the mask is None: every step is real then",
        _before(
            lambda a, h, c, W, m: (a, h, c, W, torch.zeros(a.shape[:2]).bool() if m is None else m)
        ),
    ),
    (
        "the results are right at padding, but the step after it starts from the new h and c: "
        "hand the kept ones on",
        _keeps(lambda real, new, old: (_keep_right(real, new, old)[0], new)),
    ),
    (
        "the kept h and c are handed on, but the results show the new ones at padding: append "
        "the kept ones",
        _keeps(lambda real, new, old: (new, _keep_right(real, new, old)[0])),
    ),
    (
        "the mask is read as a length, as if padding stood only at the end: ask mask[t]",
        _masked(lambda m: torch.arange(len(m))[:, None] < m.sum(0)),
    ),
    (
        "the mask of the first step is used for all steps: mask[t]",
        _masked(lambda m: m[:1].expand_as(m)),
    ),
    (
        "a step is skipped for all rows as soon as one row is padded: choose row by row "
        "(torch.where)",
        _masked(lambda m: m.all(1, keepdim=True).expand_as(m)),
    ),
]


def _shown_again(a: Tensor, h0: Tensor, c0: Tensor, W: Tensor, mask: Tensor | None) -> Any:
    """The cell is kept at padding, and h made anew as o * tanh(kept cell)."""
    h, c, rows = h0, c0, []
    for t in range(len(a)):
        _, new, gates = _step(a[t] + h @ W.T, c)
        c = new if mask is None else torch.where(mask[t, :, None], new, c)
        h = gates.chunk(4, dim=-1)[3] * torch.tanh(c)
        rows.append((h, c, gates))
    return tuple(torch.stack(part) for part in zip(*rows, strict=True))


MISTAKES = MASKS + STEPS + RESULTS
