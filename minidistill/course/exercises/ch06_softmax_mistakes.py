"""Chapter 06: known wrong versions of `masked_softmax`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch03_pairs import Single, alone, pairs

_LOWEST = -1e30  # in any precision


def _filled(value: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, mask: scores.masked_fill(~mask, value)


_low = _filled(_LOWEST)


def softmax_with(
    seen: Callable[[Tensor], Tensor] = lambda mask: mask,
    fill: Callable[[Tensor, Tensor], Tensor] = _low,
    share: Callable[[Tensor, Tensor], Tensor] = lambda scores, mask: scores.softmax(-1),
    after: Callable[[Tensor, Tensor], Tensor] = lambda w, mask: w.masked_fill(~mask, 0.0),
    give: Callable[..., Any] = lambda weights, scores, mask: weights,
) -> Callable[..., Any]:
    """The masked softmax with some parts exchanged.

    Args:
        seen: another mask from the right one.
        fill: the scores that go into the softmax.
        share: what stands in the softmax's place.
        after: what is done at padding afterwards.
        give: what is returned.
    """

    def mistaken(scores: Tensor, mask: Tensor | None = None) -> Any:
        real = torch.ones_like(scores, dtype=torch.bool)
        used = real if mask is None else seen(mask.expand_as(scores))
        weights = after(share(fill(scores, used), used), used)
        return give(weights, scores, used)

    return mistaken


def _as_it_is(first: Tensor, mask: Tensor) -> Tensor:
    return first


def _plain_exp(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def _even(scores: Tensor, mask: Tensor) -> Tensor:
    return mask.to(scores) / mask.sum(-1, keepdim=True).clamp(min=1)


AFTER = (
    "the padding is set to 0 after the softmax: the rest of a row no longer adds up to 1. Take the "
    "padding out of the scores first, then the softmax"
)
EVEN = (
    "a row that is nothing but padding gets equal weights there: set the weights at padding to 0 "
    "at the end (masked_fill(~mask, 0.0))"
)
ZERO = "padding gets the score 0, which is a score like others (exp(0) = 1): a very low one"
AXIS = "the softmax runs over the wrong dimension: one row's weights, softmax(-1), add up to 1"
TURNED = "the mask is turned round: True is a real token, and masked_fill wants True where to fill"
UNUSED = "the mask is not used"
LOW = (
    "padding gets a score that is not low enough: where all real scores are lower still, it gets "
    "weight; take torch.finfo(scores.dtype).min"
)

SINGLES: list[Single] = [
    (UNUSED, {"seen": torch.ones_like}),
    (AFTER, {"fill": _as_it_is}),
    (TURNED, {"seen": lambda mask: ~mask}),
    (ZERO, {"fill": _filled(0.0)}),
    *[(LOW, {"fill": _filled(value)}) for value in (-1.0, -100.0, -1e4)],
    (
        "padding gets a very high score, and with it all the weight: a very low one",
        {"fill": _filled(-_LOWEST), "after": _as_it_is},
    ),
    (
        "the mask is added to the scores, so that real tokens gain 1 and padding nothing: replace "
        "the scores at padding by a very low one",
        {"fill": lambda scores, mask: scores + mask.to(scores), "after": _as_it_is},
    ),
    (
        "the mask is added to the scores, so that real tokens gain 1 and padding nothing: replace "
        "the scores at padding by a very low one",
        {"fill": lambda scores, mask: scores + mask.to(scores)},
    ),
    (EVEN, {"after": _as_it_is}),
    (AXIS, {"share": lambda scores, mask: scores.softmax(1)}),
    (AXIS, {"share": lambda scores, mask: scores.softmax(-2)}),
    (AXIS, {"share": lambda scores, mask: scores.softmax(0)}),
    (
        "the softmax runs over all rows together: each row adds up to 1 by itself",
        {"share": lambda scores, mask: scores.flatten().softmax(0).view_as(scores)},
    ),
    (
        "these are sigmoids, each between 0 and 1: a softmax shares one row's 1 among its tokens",
        {"share": lambda scores, mask: scores.sigmoid()},
    ),
    (
        "the scores are divided by their sum: take exp of them first, which is what softmax does",
        {"share": lambda s, mask: s / (s * mask).sum(-1, keepdim=True), "fill": _filled(0.0)},
    ),
    (
        "the real tokens share the weight evenly: the scores are not used",
        {"share": _even},
    ),
    (
        "this is exp of the scores: divide by the sum of the row",
        {"share": lambda scores, mask: scores.exp()},
    ),
    (
        "all the weight goes to the largest score: softmax, not argmax",
        {"share": lambda s, mask: (s == s.amax(-1, keepdim=True)).to(s)},
    ),
    (
        "these are logarithms: softmax, not log_softmax",
        {"share": lambda scores, mask: scores.log_softmax(-1)},
    ),
    (
        "these are logarithms: softmax, not log_softmax",
        {"share": lambda scores, mask: scores.log_softmax(-1), "after": _as_it_is},
    ),
    (
        "these are the scores with the padding replaced: the softmax is missing",
        {"share": _as_it_is},
    ),
    (
        "these are the scores with the padding replaced: the softmax is missing",
        {"share": _as_it_is, "after": _as_it_is},
    ),
    (
        "the weights are rounded: return them as they are",
        {"give": lambda weights, scores, mask: (weights * 100).round() / 100},
    ),
    (
        "this is the mask: return the weights",
        {"give": lambda weights, scores, mask: mask},
    ),
    (
        "the sign of the scores is turned round: a higher score gets more weight",
        {"fill": lambda scores, mask: (-scores).masked_fill(~mask, _LOWEST)},
    ),
    (
        "the first row's mask is used for every row: each source has its own length",
        {"seen": lambda mask: mask[:1].expand_as(mask)},
    ),
]


def _times(weights: Tensor, mask: Tensor) -> Tensor:
    return weights * mask


def _divided(least: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Weights at padding set to 0, and each row divided by what is left of it."""

    def after(weights: Tensor, mask: Tensor) -> Tensor:
        kept = weights * mask
        return kept / kept.sum(-1, keepdim=True).clamp(min=least)

    return after


def _clamped(limit: float, late: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Scores kept within a limit, before or after the padding is filled."""

    def fill(scores: Tensor, mask: Tensor) -> Tensor:
        return (
            _low(scores, mask).clamp(-limit, limit)
            if late
            else _low(scores.clamp(-limit, limit), mask)
        )

    return fill


def _common_top(least: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A softmax that subtracts the largest score of all rows."""

    def share(scores: Tensor, mask: Tensor) -> Tensor:
        e = (scores - scores.max()).exp() * mask
        return e / e.sum(-1, keepdim=True).clamp(min=least)

    return share


def _up_to_the_last(mask: Tensor) -> Tensor:
    last = (mask * torch.arange(1, mask.size(-1) + 1)).amax(-1, keepdim=True)
    return torch.arange(mask.size(-1)) < last


DIVIDED = (
    "padding takes part after all, in the softmax or in the largest score that is subtracted, and "
    "is only divided out afterwards: where its scores are far above the real ones, nothing is left "
    "to divide. Take it out before"
)
ZERO_TIMES = (
    "the mask is multiplied by infinity, or by a number that is too low for its type and becomes "
    "infinity, and 0 times infinity is NaN at every real token: masked_fill or torch.where"
)
LIMIT = (
    "the scores are cut off at a limit, and beyond it all are alike: a softmax needs no limit, it "
    "subtracts the largest score itself"
)
TOP = "the largest of all scores is subtracted: the largest of each row, amax(-1, keepdim=True)"

RARE: list[Single] = [
    (TURNED, {"fill": lambda scores, mask: scores.masked_fill(mask, _LOWEST)}),
    (
        "the number of real tokens is taken for their places: padding may stand anywhere in a row, "
        "so use the mask itself",
        {"seen": lambda mask: torch.arange(mask.size(-1)) < mask.sum(-1, keepdim=True)},
    ),
    (
        "everything up to the last real token is taken for real: padding may stand anywhere in a "
        "row, so use the mask itself",
        {"seen": _up_to_the_last},
    ),
    (
        "the first query's mask is used for all queries: where it has a row for each, take that",
        {"seen": lambda mask: mask[..., :1, :].expand_as(mask)},
    ),
    (LOW, {"fill": lambda scores, mask: scores.masked_fill(~mask, float(scores.min()) - 1)}),
    *[(LOW, {"fill": _filled(value)}) for value in (-10.0, -1e3, -65504.0, -1e5, -1e6)],
    (
        "the scores are divided by a root: the softmax takes them as they come",
        {"fill": lambda scores, mask: _low(scores / scores.size(-1) ** 0.5, mask)},
    ),
    *[(DIVIDED, {"fill": _as_it_is, "after": _divided(least)}) for least in (1e-9, 0.0)],
    *[(LIMIT, {"fill": _clamped(limit, late=False)}) for limit in (10.0, 100.0, 1e3, 1e4)],
    *[(LOW, {"fill": _clamped(limit, late=True)}) for limit in (10.0, 100.0, 1e3, 1e4)],
    *[(TOP, {"share": _common_top(least)}) for least in (1e-30, 0.0)],
    *[
        (ZERO_TIMES, {"fill": lambda scores, mask: scores + (~mask) * -torch.inf, "after": after})
        for after in (_times, _as_it_is)
    ],
]
"""Each by itself; with another mistake beside it one would hardly tell it."""

MISTAKES = alone(softmax_with, SINGLES + RARE)
PAIRS = pairs(softmax_with, SINGLES)
