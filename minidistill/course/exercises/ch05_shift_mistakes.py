"""Chapter 05: what known wrong versions of `shift_targets` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts

IGNORE = -100
Row = list[int]
Rows = list[Row]


def fill(rows: Rows, filling: int) -> Tensor:
    """Ragged rows as one tensor (B, T)."""
    width = max(map(len, rows), default=0)
    return torch.tensor([row + [filling] * (width - len(row)) for row in rows])


def real_places(lengths: list[int], target_in: Tensor) -> Tensor:
    """True for the first n places of each row, as wide as `target_in`."""
    return torch.arange(target_in.size(1)) < torch.tensor(lengths)[:, None]


STEPS: Parts = {
    "targets": lambda targets: targets,
    "rows": lambda y, bos, eos, padding: ([bos, *y], [*y, eos]),
    "filling_in": lambda bos, eos, padding: padding,
    "filling_out": lambda bos, eos, padding: IGNORE,
    "mask": lambda target_in, target_out, lengths, padding: real_places(lengths, target_in),
    "result": lambda target_in, target_out, mask: (target_in, target_out, mask),
}
"""The right steps: what is read and written for a target y, the fillings, the mask."""


def build(parts: Parts) -> Callable[..., Any]:
    """A `shift_targets` in which some steps are exchanged."""
    s = SimpleNamespace(**STEPS | parts)

    def mistaken(targets: Rows, bos: int, eos: int, padding: int) -> Any:
        used = s.targets(targets)
        rows = [s.rows(list(y), bos, eos, padding) for y in used]
        target_in = fill([read for read, _ in rows], s.filling_in(bos, eos, padding))
        target_out = fill([written for _, written in rows], s.filling_out(bos, eos, padding))
        lengths = [len(y) + 1 for y in used]
        mask = s.mask(target_in, target_out, lengths, padding)
        return s.result(target_in, target_out, mask)

    return mistaken


def _eos_behind_the_padding(target_in: Tensor, target_out: Tensor, mask: Tensor) -> tuple:
    """eos stands in the last column of every row."""
    moved = torch.full_like(target_out, IGNORE)
    for row, (out, real) in enumerate(zip(target_out, mask, strict=True)):
        n = int(real.sum())
        moved[row, : n - 1], moved[row, -1] = out[: n - 1], out[n - 1]
    return target_in, moved, mask


def _in_front(target_in: Tensor, target_out: Tensor, mask: Tensor) -> tuple:
    def turn(x: Tensor) -> Tensor:
        shifts = (~mask).sum(1).tolist()
        return torch.stack([row.roll(n) for row, n in zip(x, shifts, strict=True)])

    return turn(target_in), turn(target_out), turn(mask)


SAME = (
    "what is read and what should be written are the same, not one place apart: the decoder would "
    "see the very token that it should write, and learn to copy it"
)
NO_EOS = (
    "eos is missing at the end of target_out: without it the decoder never learns where to stop"
)
_NO_BOS = (
    "bos is missing at the start of target_in: before the first token the decoder must read "
    "something, or the first token is never learnt"
)
_EOS_READ = "target_in holds eos too: after it there is nothing to write, so it is never read"
_BOS_WRITTEN = "target_out holds bos: it is read first and never written"
_SWAPPED = "bos and eos are mixed up: a target begins with bos and ends with eos"
_PADDING_BOS = "target_in begins with the padding's id: it begins with bos"
_FUTURE = (
    "it is shifted the wrong way: target_in is the one that begins earlier, with bos, and "
    "target_out ends later, with eos"
)
BY_ID = (
    "the mask is made by comparing ids with the padding's: a real token may have that id too, so "
    "make it from the lengths"
)
OUT_PADDED = (
    "target_out is filled up with padding_id, so padding would count in the loss as a target: fill "
    "it up with IGNORE (-100)"
)
_MASK_SHORT = (
    "the mask marks one place too few in each row: a target of n tokens has n + 1 places, for bos "
    "in target_in and eos in target_out"
)

FAULTS: tuple[Fault, ...] = (
    (SAME, {"rows": lambda y, bos, eos, p: ([bos, *y], [bos, *y])}),
    (SAME, {"rows": lambda y, bos, eos, p: ([*y, eos], [*y, eos])}),
    (SAME, {"rows": lambda y, bos, eos, p: ([bos, *y, eos], [bos, *y, eos])}),
    (SAME, {"rows": lambda y, bos, eos, p: (y, y)}),
    (NO_EOS, {"rows": lambda y, bos, eos, p: ([bos, *y[:-1]], y)}),
    (NO_EOS, {"rows": lambda y, bos, eos, p: ([bos, *y], y)}),
    (NO_EOS, {"rows": lambda y, bos, eos, p: ([bos, *y], [*y, IGNORE])}),
    (_NO_BOS, {"rows": lambda y, bos, eos, p: (y, [*y[1:], eos])}),
    (_NO_BOS, {"rows": lambda y, bos, eos, p: (y, [*y, eos])}),
    (_EOS_READ, {"rows": lambda y, bos, eos, p: ([bos, *y, eos], [*y, eos])}),
    (_EOS_READ, {"rows": lambda y, bos, eos, p: ([bos, *y, eos], [*y, eos, IGNORE])}),
    (_BOS_WRITTEN, {"rows": lambda y, bos, eos, p: ([bos, *y], [bos, *y, eos])}),
    (_BOS_WRITTEN, {"rows": lambda y, bos, eos, p: (y, [bos, *y, eos])}),
    (_SWAPPED, {"rows": lambda y, bos, eos, p: ([eos, *y], [*y, bos])}),
    (
        "target_in begins with eos: it begins with bos",
        {"rows": lambda y, bos, eos, p: ([eos, *y], [*y, eos])},
    ),
    (
        "target_out ends with bos: it ends with eos",
        {"rows": lambda y, bos, eos, p: ([bos, *y], [*y, bos])},
    ),
    (_PADDING_BOS, {"rows": lambda y, bos, eos, p: ([p, *y], [*y, eos])}),
    (_FUTURE, {"rows": lambda y, bos, eos, p: ([*y, eos], [bos, *y])}),
    (
        "they are two places apart: bos stands once, at the start of target_in",
        {"rows": lambda y, bos, eos, p: ([bos, bos, *y[:-1]], [*y, eos])},
    ),
    (
        "the targets run backwards: keep the order of their tokens",
        {"rows": lambda y, bos, eos, p: ([bos, *y[::-1]], [*y[::-1], eos])},
    ),
    (OUT_PADDED, {"filling_out": lambda bos, eos, p: p}),
    (
        "target_out is filled up with eos, so a short target would be told again and again to end: "
        "fill it up with IGNORE (-100)",
        {"filling_out": lambda bos, eos, p: eos},
    ),
    (
        "target_out is filled up with 0, which is an id like any other: fill it up with IGNORE "
        "(-100)",
        {"filling_out": lambda bos, eos, p: 0},
    ),
    (
        "target_out is filled up with -1: the loss leaves out IGNORE (-100) and nothing else",
        {"filling_out": lambda bos, eos, p: -1},
    ),
    (
        "target_in is filled up with IGNORE (-100), which no embedding has a vector for: fill it "
        "up with padding_id",
        {"filling_in": lambda bos, eos, p: IGNORE},
    ),
    (
        "target_in is filled up with 0: use padding_id",
        {"filling_in": lambda bos, eos, p: 0},
    ),
    (
        "target_in is filled up with eos: use padding_id",
        {"filling_in": lambda bos, eos, p: eos},
    ),
    (
        "the mask is inverted: True marks a real place",
        {"mask": lambda i, o, n, p: ~real_places(n, i)},
    ),
    (
        "all of the mask is True: it must be False at the padding",
        {"mask": lambda i, o, n, p: torch.ones_like(i, dtype=torch.bool)},
    ),
    (_MASK_SHORT, {"mask": lambda i, o, n, p: real_places([k - 1 for k in n], i)}),
    (
        "the mask marks one place too many in each row: n + 1 for a target of n tokens",
        {"mask": lambda i, o, n, p: real_places([k + 1 for k in n], i)},
    ),
    (BY_ID, {"mask": lambda i, o, n, p: i != p}),
    (BY_ID, {"mask": lambda i, o, n, p: (o != p) & (o != IGNORE)}),
    (
        "the targets are sorted by their length: leave them in their order",
        {"targets": lambda rows: sorted(rows, key=len, reverse=True)},
    ),
    (
        "the targets are sorted by their length: leave them in their order",
        {"targets": lambda rows: sorted(rows, key=len)},
    ),
    (
        "empty targets are left out: such a row reads bos and should write eos",
        {"targets": lambda rows: [row for row in rows if row]},
    ),
    (
        "the targets are cut to the shortest: fill up to the longest",
        {"targets": lambda rows: [row[: min(map(len, rows))] for row in rows]},
    ),
    (
        "eos stands behind the padding: it follows the target's last token",
        {"result": _eos_behind_the_padding},
    ),
    ("padding stands in front: fill rows up at the end", {"result": _in_front}),
    (
        "this returns (target_out, target_in, mask): what is read comes first",
        {"result": lambda i, o, m: (o, i, m)},
    ),
    (
        "this returns the mask first: the order is target_in, target_out, mask",
        {"result": lambda i, o, m: (m, i, o)},
    ),
    (
        "the mask is missing: return target_in, target_out and the mask",
        {"result": lambda i, o, m: (i, o)},
    ),
    (
        "they come out time first (T, B): the targets are dimension 0",
        {"result": lambda i, o, m: (i.T, o.T, m.T)},
    ),
    (
        "the dimension of the targets is lost where there is only one: all three are (1, T)",
        {"result": lambda i, o, m: (i.squeeze(0), o.squeeze(0), m.squeeze(0))},
    ),
    (
        "these are the lengths: the mask has True or False for every place",
        {"result": lambda i, o, m: (i, o, m.sum(1))},
    ),
)
