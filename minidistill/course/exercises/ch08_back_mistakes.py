"""Chapter 08: what known wrong versions of `sampled_backward` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch08_back_form import form


def seen(given: Any, args: tuple[Any, ...]) -> Any:
    """What is compared: the gradient of hidden, and what the rows add up to in the whole table.

    So rows may come in any order, merged or not.
    """
    if form(given, args) is not None:
        return given
    to_hidden, rows, values = given
    rows = torch.as_tensor(rows, dtype=torch.long)
    table = torch.zeros(args[1].shape, dtype=values.dtype)
    return to_hidden, table.index_add_(0, rows, values)


def _less(p: Tensor, column: int, amount: float = 1.0) -> Tensor:
    """p with a number taken off one column."""
    one = torch.zeros_like(p)
    one[:, column] = amount
    return p - one


def _of_chance(p: Tensor, hits: Tensor) -> Tensor:
    return p[:, :1] * _less(p, 0)


def _hits_less(p: Tensor, hits: Tensor) -> Tensor:
    return torch.cat([p[:, :1] - 1, p[:, 1:] - hits.to(p)], 1)


def _first_row_less(p: Tensor, hits: Tensor) -> Tensor:
    return torch.cat([_less(p[:1], 0), p[1:]])


_STEPS: Parts = {
    "p": lambda z: z.softmax(1),
    "less": lambda p, hits: _less(p, 0),
    "mean": lambda d, H: d / len(d),
    "split": lambda d: (d[:, :1], d[:, 1:]),
    "to_hidden": lambda own, others, w_t, w_d, h: own * w_t + others @ w_d,
    "of_targets": lambda own, others, h, w_t: own * h,
    "of_drawn": lambda own, others, h, w_t: others.T @ h,
    "rows": lambda targets, drawn, V: torch.cat([targets, drawn]),
    "keep": lambda rows, values: (rows, values),
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `sampled_backward` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        hidden: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, logits: Tensor
    ) -> Any:
        w_t, w_d = weight[targets], weight[drawn]
        d = s.less(s.p(logits), targets[:, None] == drawn)
        own, others = s.split(s.mean(d, hidden.size(1)))
        to_hidden = s.to_hidden(own, others, w_t, w_d, hidden)
        values = torch.cat(
            [s.of_targets(own, others, hidden, w_t), s.of_drawn(own, others, hidden, w_t)]
        )
        return to_hidden, *s.keep(s.rows(targets, drawn, len(weight)), values)

    return mistaken


def _last_kept(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    kept = {int(row): value for row, value in zip(rows, values, strict=True)}
    return torch.tensor(list(kept)), torch.stack(list(kept.values()))


def _first_kept(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    return _last_kept(rows.flip(0), values.flip(0))


def _by_one(z: Tensor) -> Tensor:
    """A softmax over the classes drawn alone, and the target's share of all."""
    return torch.cat([z.softmax(1)[:, :1], z[:, 1:].softmax(1)], 1)


AXIS = "the softmax runs over the tokens: the classes of one token, softmax(1), add up to 1"
MEAN = "the gradient is divided by {}: the cost is a mean over the N tokens"
KEPT_ONE = (
    "of a row that is named several times only one value is left: it is named as often as it plays "
    "a part, or all that belongs to it is added up"
)
ORDER = (
    "rows and values stand in different orders: values[i] belongs to rows[i], the targets first in "
    "both or the drawn first in both"
)
OF_CHANCE = (
    "this is the gradient of the target's probability: the cost is -ln of it, and its gradient by "
    "the logits is p, less 1 at the target"
)
NOT_DIVIDED = "the gradient of {} is not divided by N: the cost is a mean over the tokens"

FAULTS: tuple[Fault, ...] = (
    (AXIS, {"p": lambda z: z.softmax(0)}),
    (
        "the softmax runs over all tokens together: the classes of one token add up to 1",
        {"p": lambda z: z.flatten().softmax(0).view_as(z)},
    ),
    (
        "the softmax is taken twice: softmax(1) does all of it",
        {"p": lambda z: z.softmax(1).softmax(1)},
    ),
    (
        "these are sigmoids, each between 0 and 1: a softmax, which shares 1 among the classes",
        {"p": lambda z: z.sigmoid()},
    ),
    ("the softmax is missing: p is softmax(1) of the logits", {"p": lambda z: z}),
    ("these are log-probabilities: the softmax itself", {"p": lambda z: z.log_softmax(1)}),
    (
        "this is exp of the logits: divided by the sum of the row it is the softmax",
        {"p": lambda z: z.exp()},
    ),
    (
        "the classes drawn have a softmax of their own: the target is one of the classes, too",
        {"p": _by_one},
    ),
    (
        "the 1 is forgotten: the gradient by the logits is p, less 1 in the target's column",
        {"less": lambda p, hits: p},
    ),
    (
        "the sign is wrong: p, less 1 at the target, not 1 less p",
        {"less": lambda p, hits: -_less(p, 0)},
    ),
    (
        "1 is added at the target: it is taken off, for a likelier target costs less",
        {"less": lambda p, hits: _less(p, 0, -1.0)},
    ),
    ("1 is taken off every column: off the target's alone", {"less": lambda p, hits: p - 1}),
    (
        "1 is taken off the last column: the target stands in the first",
        {"less": lambda p, hits: _less(p, -1)},
    ),
    (
        "1 is taken off for the first token alone: d[:, 0] is the column, d[0] the row",
        {"less": _first_row_less},
    ),
    (
        "1 is taken off the first token's row: d[:, 0] is the target's column, d[0] a row",
        {"less": lambda p, hits: torch.cat([p[:1] - 1, p[1:]])},
    ),
    (
        "1 is taken off where the target stands among the drawn, too: that place was removed, its "
        "logit is -inf",
        {"less": _hits_less},
    ),
    (OF_CHANCE, {"less": _of_chance}),
    (OF_CHANCE, {"less": lambda p, hits: -_of_chance(p, hits)}),
    (
        "this is p (1 - p), the slope of a probability by its own logit: the gradient of the cost "
        "is p, less 1 at the target",
        {"less": lambda p, hits: p * (1 - p)},
    ),
    (
        "the gradient is doubled, as that of a square would be: p, less 1 at the target",
        {"less": lambda p, hits: 2 * _less(p, 0)},
    ),
    (
        "only the target has a gradient: the classes drawn have p",
        {"less": lambda p, hits: torch.cat([p[:, :1] - 1, 0 * p[:, 1:]], 1)},
    ),
    (
        "only the classes drawn have a gradient: the target has p - 1",
        {"less": lambda p, hits: torch.cat([0 * p[:, :1], p[:, 1:]], 1)},
    ),
    (
        "nothing is divided by N: these are the gradients of the sum of the costs, not of the mean",
        {"mean": lambda d, H: d},
    ),
    (MEAN.format("N + S"), {"mean": lambda d, H: d / (len(d) + d.size(1) - 1)}),
    (MEAN.format("1 + S, the number of classes"), {"mean": lambda d, H: d / d.size(1)}),
    (MEAN.format("S, the number of classes drawn"), {"mean": lambda d, H: d / (d.size(1) - 1)}),
    (MEAN.format("N (1 + S), the number of logits"), {"mean": lambda d, H: d / d.numel()}),
    (MEAN.format("N twice"), {"mean": lambda d, H: d / len(d) ** 2}),
    (MEAN.format("H"), {"mean": lambda d, H: d / H}),
    (
        "the gradient is multiplied by N: divided",
        {"mean": lambda d, H: d * len(d)},
    ),
    (
        "the last column is taken for the target's: it is the first",
        {"split": lambda d: (d[:, -1:], d[:, :-1])},
    ),
    (
        "the target's part is missing in the gradient of hidden: d[:, :1] * weight[targets]",
        {"to_hidden": lambda own, others, w_t, w_d, h: others @ w_d},
    ),
    (
        "the part of the classes drawn is missing in the gradient of hidden: "
        "d[:, 1:] @ weight[drawn]",
        {"to_hidden": lambda own, others, w_t, w_d, h: own * w_t},
    ),
    (
        "the two parts of the gradient of hidden are subtracted: added",
        {"to_hidden": lambda own, others, w_t, w_d, h: own * w_t - others @ w_d},
    ),
    (
        "the two parts of the gradient of hidden are multiplied: added",
        {"to_hidden": lambda own, others, w_t, w_d, h: own * w_t * (others @ w_d)},
    ),
    (
        NOT_DIVIDED.format("hidden"),
        {"to_hidden": lambda own, others, w_t, w_d, h: len(h) * (own * w_t + others @ w_d)},
    ),
    (
        "the gradient of hidden is divided by N a second time",
        {"to_hidden": lambda own, others, w_t, w_d, h: (own * w_t + others @ w_d) / len(h)},
    ),
    (
        "the gradient of hidden is 0: all classes count with the same row, and p, less 1 at the "
        "target, adds up to 0; each class with its own row of the weight",
        {"to_hidden": lambda own, others, w_t, w_d, h: 0 * h},
    ),
    (
        "hidden has the same gradient for every token: each token its own",
        {"to_hidden": lambda o, x, w_t, w_d, h: (o * w_t + x @ w_d).sum(0).expand_as(h)},
    ),
    (
        "the rows of the targets have no gradient: d[:, :1] * hidden",
        {"of_targets": lambda own, others, h, w_t: 0 * h},
    ),
    (
        "the rows of the classes drawn have no gradient: d[:, 1:].T @ hidden",
        {"of_drawn": lambda own, others, h, w_t: 0 * (others.T @ h)},
    ),
    (
        NOT_DIVIDED.format("the rows"),
        {
            "of_targets": lambda own, others, h, w_t: len(h) * own * h,
            "of_drawn": lambda own, others, h, w_t: len(h) * (others.T @ h),
        },
    ),
    (
        "the gradient of the rows is divided by N a second time",
        {
            "of_targets": lambda own, others, h, w_t: own * h / len(h),
            "of_drawn": lambda own, others, h, w_t: others.T @ h / len(h),
        },
    ),
    (
        "what a target's row gets is made from the weight: from hidden, d[:, :1] * hidden",
        {"of_targets": lambda own, others, h, w_t: own * w_t},
    ),
    (
        "what a drawn class's row gets is made from the weight: from hidden, d[:, 1:].T @ hidden",
        {"of_drawn": lambda own, others, h, w_t: others.T @ w_t},
    ),
    (
        "every target's row gets the sum over all tokens: that of its own token",
        {"of_targets": lambda own, others, h, w_t: (own.T @ h).expand_as(h)},
    ),
    (
        "every drawn class's row gets the same: the share that each token gave it, "
        "d[:, 1:].T @ hidden",
        {"of_drawn": lambda o, x, h, w_t: (x.sum(1) @ h / x.size(1)).expand(x.size(1), -1)},
    ),
    (
        "a drawn class's row gets the mean over the tokens once more: the sum of what they give it",
        {"of_drawn": lambda own, others, h, w_t: others.T @ h / len(h)},
    ),
    (ORDER, {"rows": lambda targets, drawn, V: torch.cat([drawn, targets])}),
    (ORDER, {"rows": lambda targets, drawn, V: torch.cat([targets, drawn]).sort().values}),
    (ORDER, {"rows": lambda targets, drawn, V: torch.cat([targets, drawn.sort().values])}),
    (
        "the rows are numbers of places: the ids of the classes, torch.cat([targets, drawn])",
        {"rows": lambda t, drawn, V: torch.arange(len(t) + len(drawn)) % V},
    ),
    (
        "the rows of the targets are numbers of tokens: the ids of the targets",
        {"rows": lambda t, drawn, V: torch.cat([torch.arange(len(t)) % V, drawn])},
    ),
    (
        "the rows of the classes drawn are numbers of places: their ids",
        {"rows": lambda t, drawn, V: torch.cat([t, torch.arange(len(drawn))])},
    ),
    (KEPT_ONE, {"keep": _last_kept}),
    (KEPT_ONE, {"keep": _first_kept}),
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
