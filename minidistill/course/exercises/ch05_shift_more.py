"""Chapter 05: more known wrong versions of `shift_targets`: mistakes that touch several steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault
from minidistill.course.exercises.ch05_shift_mistakes import (
    FAULTS,
    IGNORE,
    NO_EOS,
    OUT_PADDED,
    SAME,
    Rows,
    build,
    fill,
    real_places,
)
from minidistill.tasks import BOS, EOS, PADDING

_CONSTANTS = (
    "fixed ids are used where the ids that were handed in belong: take bos_id, eos_id and "
    "padding_id, not BOS, EOS and PADDING"
)
_ID_IGNORED = (
    "IGNORE is put wherever the padding's id stands in target_out: a real token may have that id "
    "too, so fill up by the lengths"
)
_ORDER = "the three come in another order: it is target_in, target_out, mask"
_PAIR = "pad returns two things, the tensor and its mask: take the pair apart"
_ROLLED = (
    "target_out is target_in moved on by one place: behind a target's last token stands padding "
    "then, or bos again, where eos belongs"
)

_TOGETHER: tuple[Fault, ...] = (
    (
        SAME,
        {
            "rows": lambda y, bos, eos, p: ([bos, *y, eos], [bos, *y, eos]),
            "mask": lambda i, o, n, p: real_places([k + 1 for k in n], i),
        },
    ),
    (
        SAME,
        {
            "rows": lambda y, bos, eos, p: (y, y),
            "mask": lambda i, o, n, p: real_places([k - 1 for k in n], i),
        },
    ),
    (
        NO_EOS,
        {
            "rows": lambda y, bos, eos, p: ([bos, *y[:-1]], y),
            "mask": lambda i, o, n, p: real_places([k - 1 for k in n], i),
        },
    ),
    (
        "the two fillings are exchanged: target_in is filled up with padding_id, target_out with "
        "IGNORE",
        {
            "filling_in": lambda bos, eos, p: IGNORE,
            "filling_out": lambda bos, eos, p: p,
        },
    ),
    (_CONSTANTS, {"rows": lambda y, bos, eos, p: ([BOS, *y], [*y, EOS])}),
    (_CONSTANTS, {"rows": lambda y, bos, eos, p: ([BOS, *y], [*y, eos])}),
    (_CONSTANTS, {"rows": lambda y, bos, eos, p: ([bos, *y], [*y, EOS])}),
    (_CONSTANTS, {"filling_in": lambda bos, eos, p: PADDING}),
    (
        _CONSTANTS,
        {
            "rows": lambda y, bos, eos, p: ([BOS, *y], [*y, EOS]),
            "filling_in": lambda bos, eos, p: PADDING,
        },
    ),
    (
        two.two(_CONSTANTS, OUT_PADDED),
        {
            "filling_in": lambda bos, eos, p: PADDING,
            "filling_out": lambda bos, eos, p: PADDING,
        },
    ),
    (
        "target_out is filled up with a fixed id, so padding would count in the loss as a target: "
        "fill it up with IGNORE (-100)",
        {"filling_out": lambda bos, eos, p: PADDING},
    ),
    (
        "target_out is filled up with 0 and the mask asks for ids that are not 0: that is an id "
        "like any other. Fill up with IGNORE (-100), and make the mask from the lengths",
        {
            "filling_out": lambda bos, eos, p: 0,
            "mask": lambda i, o, n, p: o != 0,
        },
    ),
    (
        "they are two places apart: the first token is never written",
        {"rows": lambda y, bos, eos, p: ([bos, *y], [*y[1:], eos, IGNORE])},
    ),
    (
        "eos stands in the place of a target's last token: it comes behind it",
        {"rows": lambda y, bos, eos, p: ([bos, *y], [*y[:-1], eos, IGNORE])},
    ),
    *(
        ("bos stands in the place of a target's first token: it comes before it", {"rows": rows})
        for rows in (
            lambda y, bos, eos, p: ([bos, *y[1:]], [*y, eos]),
            lambda y, bos, eos, p: ([bos, *y[1:], p], [*y, eos]),
        )
    ),
    (
        "bos is left out of the loss, but nothing is shifted: at every place the decoder would "
        "read the very token that it should write",
        {
            "rows": lambda y, bos, eos, p: ([bos, *y, eos], [IGNORE, *y, eos]),
            "mask": lambda i, o, n, p: real_places([k + 1 for k in n], i),
        },
    ),
    (
        "the mask is that of the targets without bos and eos: one column and one place too few",
        {"mask": lambda i, o, n, p: real_places([k - 1 for k in n], i[:, :-1])},
    ),
    (
        "the mask is False at bos: it is read like any token, and something is written there",
        {"mask": lambda i, o, n, p: real_places(n, i) & (torch.arange(i.size(1)) > 0)},
    ),
    (
        "the row of an empty target is all False in the mask: its bos is read, its eos written",
        {"mask": lambda i, o, n, p: real_places([k if k > 1 else 0 for k in n], i)},
    ),
    (
        "the mask is made by comparing ids with 0: a real token may have that id, and padding "
        "another, so make it from the lengths",
        {"mask": lambda i, o, n, p: i != 0},
    ),
    (
        "this is a mask of what may be seen from where, (T, T): here the real places are wanted, "
        "(B, T)",
        {"mask": lambda i, o, n, p: torch.ones(i.size(1), i.size(1), dtype=torch.bool).tril()},
    ),
    (
        "the last column is cut off: there the longest target's eos is written",
        {"result": lambda i, o, m: (i[:, :-1], o[:, :-1], m[:, :-1])},
    ),
    (_ORDER, {"result": lambda i, o, m: (i, m, o)}),
    (_ORDER, {"result": lambda i, o, m: (o, m, i)}),
    (_ORDER, {"result": lambda i, o, m: (m, o, i)}),
    (_PAIR, {"result": lambda i, o, m: (i, (o, m), m)}),
    (_PAIR, {"result": lambda i, o, m: ((i, m), o, m)}),
    (_PAIR, {"result": lambda i, o, m: ((i, m), (o, m), m)}),
    (_PAIR, {"result": lambda i, o, m: ((i, m), (o, m))}),
)


def _rolled(end: Callable[[int, int, int], int | None], masked: bool) -> Callable[..., Any]:
    """target_in rolled to the left by one place, with or without eos in the last column."""

    def mistaken(targets: Rows, bos: int, eos: int, padding: int) -> Any:
        target_in, _, mask = build({})(targets, bos, eos, padding)
        rolled = target_in.roll(-1, dims=1)
        last = end(bos, eos, padding)
        if last is not None:
            rolled[:, -1] = last
        return target_in, rolled.masked_fill(~mask, IGNORE) if masked else rolled, mask

    return mistaken


def _ignored_by_id(by_id: bool) -> Callable[..., Any]:
    """IGNORE wherever the padding's id stands; the mask right, or made from target_out too."""

    def mistaken(targets: Rows, bos: int, eos: int, padding: int) -> Any:
        target_in, target_out, mask = build({})(targets, bos, eos, padding)
        target_out = target_out.masked_fill(target_out == padding, IGNORE)
        return target_in, target_out, target_out != IGNORE if by_id else mask

    return mistaken


def _without_padding_ids(targets: Rows, bos: int, eos: int, padding: int) -> Any:
    return build({})([[i for i in y if i != padding] for y in targets], bos, eos, padding)


def _cut_and_erased(targets: Rows, bos: int, eos: int, padding: int) -> Any:
    target_in, target_out, mask = build({})(targets, bos, eos, padding)
    return target_in.masked_fill(target_in == eos, padding), target_out, mask


def _cut(filling: str, mask_from: int) -> Callable[..., Any]:
    """One padded tensor of bos, y, eos, of which the last and the first column are cut off."""

    def mistaken(targets: Rows, bos: int, eos: int, padding: int) -> Any:
        rows = [[bos, *y, eos] for y in targets]
        whole = fill(rows, padding)  # (B, T + 1)
        real = torch.arange(whole.size(1)) < torch.tensor([len(row) for row in rows])[:, None]
        written = whole if filling == "padding" else whole.masked_fill(~real, IGNORE)
        width = whole.size(1) - 1
        return whole[:, :-1], written[:, 1:], real[:, mask_from : mask_from + width]

    return mistaken


_CUT = (
    "one padded tensor is cut at its last and at its first column: only the longest row loses its "
    "eos that way, the others read theirs{}. Make the two rows of each target first, and pad then"
)

MISTAKES = (
    *two.singles(build, (*FAULTS, *_TOGETHER)),
    (_CUT.format(", and target_out ends in padding, not in IGNORE"), _cut("padding", 0)),
    (_CUT.format(", and target_out ends in padding, not in IGNORE"), _cut("padding", 1)),
    (_CUT.format(""), _cut("IGNORE", 0)),
    (_CUT.format(""), _cut("IGNORE", 1)),
    (_ROLLED, _rolled(lambda bos, eos, p: None, masked=True)),
    (_ROLLED, _rolled(lambda bos, eos, p: None, masked=False)),
    (_ROLLED, _rolled(lambda bos, eos, p: eos, masked=True)),
    (_ROLLED, _rolled(lambda bos, eos, p: eos, masked=False)),
    (_ROLLED, _rolled(lambda bos, eos, p: p, masked=True)),
    (_ID_IGNORED, _ignored_by_id(by_id=False)),
    (_ID_IGNORED, _ignored_by_id(by_id=True)),
    (
        "tokens that have the padding's id are taken out of the targets: they are real all the "
        "same",
        _without_padding_ids,
    ),
    (
        "wherever the id of eos stands in target_in it is overwritten: a real token may have that "
        "id too. Make the two rows of each target first, and pad then",
        _cut_and_erased,
    ),
)
PAIRS = tuple(two.pairs(build, FAULTS))
"""Two mistakes at once."""
