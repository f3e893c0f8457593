"""Chapter 03: known ways to use the mask wrongly in `lstm_forward`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch03_forward_loop import Pair, chosen
from minidistill.course.exercises.ch03_pairs import Parts, Single

_STAY = "they stay what they were"


def _keep(rule: Callable[[Tensor, Pair, Pair], Pair]) -> Parts:
    """Another rule for what a padded step shows and hands on."""

    def keep(real: Tensor, new: Pair, old: Pair, first: Pair, again: Any) -> tuple[Pair, Pair]:
        kept = rule(real, new, old)
        return kept, kept

    return {"keep": keep}


def _zero_at_first(real: Tensor, new: Pair, old: Pair, first: Pair, again: Any) -> tuple:
    """Where the old pair is looked up in results that hold zeros before the first step."""
    before = (0 * old[0], 0 * old[1]) if old is first else old
    kept = chosen(real, new, before)
    return kept, kept


def _shown_again(real: Tensor, new: Pair, old: Pair, first: Pair, again: Any) -> tuple:
    """The cell is kept at padding, and h made anew as o * tanh(kept cell)."""
    cell = torch.where(real, new[1], old[1])
    return ((again(cell), cell),) * 2


def _reads(rule: Callable[[Tensor], Tensor | None]) -> Parts:
    return {"reads": rule}


def _up_to_last(mask: Tensor) -> Tensor:
    """True up to the last real token of each row."""
    return mask.flip(0).long().cumsum(0).flip(0) > 0


def _first_is_real(mask: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(mask[:1]), mask[1:]])


KEPT: list[Single] = [
    ("the mask is ignored: at padding h and c stay what they were", _reads(lambda mask: None)),
    ("the mask is used the wrong way round: True marks a real token", _reads(lambda mask: ~mask)),
    (
        "the cell is masked, but the hidden state is not: both stay what they were",
        _keep(lambda real, new, old: (new[0], torch.where(real, new[1], old[1]))),
    ),
    (
        "the hidden state is masked, but the cell is not: both stay what they were",
        _keep(lambda real, new, old: (torch.where(real, new[0], old[0]), new[1])),
    ),
    (
        "at padding h is computed from the kept cell: it stays what it was, as the cell does",
        {"keep": _shown_again},
    ),
    (
        f"at padding h and c become zero: {_STAY} (torch.where)",
        _keep(lambda real, new, old: (new[0] * real, new[1] * real)),
    ),
    (
        "at padding h becomes zero: it stays what it was (torch.where)",
        _keep(lambda real, new, old: (new[0] * real, torch.where(real, new[1], old[1]))),
    ),
    (
        "at padding c becomes zero: it stays what it was (torch.where)",
        _keep(lambda real, new, old: (torch.where(real, new[0], old[0]), new[1] * real)),
    ),
    (
        "at padding h becomes zero, and c runs on: both stay what they were (torch.where)",
        _keep(lambda real, new, old: (new[0] * real, new[1])),
    ),
    (
        "at padding h becomes the cell: each keeps its own old value",
        _keep(
            lambda real, new, old: (torch.where(real, new[0], old[1]), chosen(real, new, old)[1])
        ),
    ),
    (
        "at padding the old and the new values are added: choose one (torch.where)",
        _keep(lambda real, new, old: (new[0] * real + old[0], new[1] * real + old[1])),
    ),
    (
        f"at padding h and c go back to h0 and c0: {_STAY} at the step before",
        {"keep": lambda real, new, old, first, again: (chosen(real, new, first),) * 2},
    ),
    (
        "padding before the text starts from zeros: h and c are h0 and c0 there",
        {"keep": _zero_at_first},
    ),
    (
        "the results are right at padding, but the step after it starts from the new h and c: "
        "hand the kept ones on",
        {"keep": lambda real, new, old, first, again: (chosen(real, new, old), new)},
    ),
    (
        "the kept h and c are handed on, but the results show the new ones at padding: append "
        "the kept ones",
        {"keep": lambda real, new, old, first, again: (new, chosen(real, new, old))},
    ),
    (
        "the padding's input is silenced, but the step is still made: keep the old h and c",
        _reads(lambda mask: None)
        | {"inputs": lambda a, mask: a if mask is None else a * mask[:, :, None]},
    ),
    (
        "the states and cells run on over the padding and are set to zero in the results only: "
        "they stay what they were",
        _reads(lambda mask: None) | {"hide": lambda s, c, real: (s * real, c * real)},
    ),
    (
        f"the right states and cells are set to zero at padding: {_STAY}",
        {"hide": lambda s, c, real: (s * real, c * real)},
    ),
    (
        "the right states are set to zero at padding: they stay what they were",
        {"hide": lambda s, c, real: (s * real, c)},
    ),
    (
        "the right cells are set to zero at padding: they stay what they were",
        {"hide": lambda s, c, real: (s, c * real)},
    ),
]

READINGS: list[tuple[str, Callable[[Tensor], Tensor]]] = [
    (
        "the mask is read as a length, as if padding stood only at the end: ask mask[t]",
        lambda mask: torch.arange(len(mask))[:, None] < mask.sum(0),
    ),
    (
        "every step up to a row's last token counts as real, also the padding before: ask mask[t]",
        _up_to_last,
    ),
    (
        "a row stops for good at its first padding: ask mask[t] in every step",
        lambda mask: mask.long().cumprod(0).bool(),
    ),
    ("the first step counts as real in every row: ask mask[0], too", _first_is_real),
    (
        "the mask of the first step is used for all steps: mask[t]",
        lambda mask: mask[:1].expand_as(mask),
    ),
    (
        "the first row's mask is used for all rows: each row has its own",
        lambda mask: mask[:, :1].expand_as(mask),
    ),
    (
        "a step is skipped for all rows as soon as one row is padded: choose row by row "
        "(torch.where)",
        lambda mask: mask.all(1, keepdim=True).expand_as(mask),
    ),
    (
        "a step is made for all rows as long as one is real: choose row by row (torch.where)",
        lambda mask: mask.any(1, keepdim=True).expand_as(mask),
    ),
    ("the mask is one step late", lambda mask: torch.cat([mask[:1], mask[:-1]])),
    ("the mask is one step late", lambda mask: mask.roll(1, 0)),
    ("the mask is one step early", lambda mask: torch.cat([mask[1:], mask[-1:]])),
]
"""Wrong ways to read a mask (T, B), on the way forward and on the way back."""

READ: list[Single] = [
    (
        "nothing happens where the mask is None: every step is real then",
        {"nothing": lambda a: torch.zeros(a.shape[:2]).bool()},
    ),
    *[(sentence, _reads(rule)) for sentence, rule in READINGS],
]

MASKS = KEPT + READ
