"""Chapter 08: what known wrong versions of `row_adagrad` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch08_adagrad_more import (
    Rows,
    again,
    all_faded,
    averaged,
    by_place,
    each,
    faded,
    first,
    last,
    replaced,
    sum_of_all,
    summed,
)

_STEPS: Parts = {
    "for_sums": summed,
    "for_step": summed,
    "square": lambda g: g.square().mean(1),
    "add": lambda sums, rows, squares: sums.index_add(0, rows, squares),
    "which": lambda old, new: new,
    "size": lambda sums, eps: sums.sqrt() + eps,
    "change": lambda g, size, lr: -lr * g / size,
    "move": lambda weight, rows, change: weight.index_add(0, rows, change),
    "give": lambda weight, sums, old: (weight, sums),
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `row_adagrad` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
    ) -> Any:
        touched, g = s.for_sums(rows, values)
        new = s.add(sums, touched, s.square(g))
        touched, g = s.for_step(rows, values)
        size = s.size(s.which(sums, new)[touched], eps)
        change = s.change(g, size[:, None], lr)
        return s.give(s.move(weight, touched, change), new, weight)

    return mistaken


def _one_by_one(
    weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
) -> Rows:
    """A step of its own for everything that is named."""
    step = build({})
    for row, value in zip(rows, values, strict=True):
        weight, sums = step(weight, sums, row[None], value[None], lr, eps)
    return weight, sums


def _each_number(
    weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
) -> Rows:
    """Adagrad itself: a sum for each number."""
    touched, g = summed(rows, values)
    state = sums[:, None].expand_as(weight).index_add(0, touched, g.square())
    return weight.index_add(0, touched, -lr * g / (state[touched].sqrt() + eps)), state


SUMMED = (
    "what is named for the same row is not added up before it is squared: the square of a sum is "
    "not the sum of the squares. First one gradient a row, then its square"
)
OVERWRITTEN = (
    "of a row that is named several times only one value counts: table[rows] += ... keeps the "
    "last one alone. Add them up (index_add, or unique with return_inverse)"
)
AVERAGED = "what is named for the same row is averaged: a gradient is the sum of its parts"
AGAIN = (
    "a row that is named several times is moved as often, each time by its whole sum: each row once"
)
FADES = "the sum fades, as RMSprop's average does: Adagrad adds the new square and forgets nothing"
SUM = "the squares of a row are added up: their mean over the row's d numbers is one number as well"
BEFORE = (
    "the step is divided by the root of the old sums: the new square comes first, and then the step"
)
LR = "lr comes in {}: lr times the gradient, divided by the root"
NO_EPS = (
    "a row whose sum is 0 and whose gradient is 0 becomes NaN: 0 / 0. Add eps to the root before "
    "you divide: sqrt(sums) + eps"
)
ALL_ROWS = "rows that are not named change, too: only those that have a gradient"

FAULTS: tuple[Fault, ...] = (
    (OVERWRITTEN, {"for_sums": last, "for_step": last}),
    (OVERWRITTEN, {"for_sums": first, "for_step": first}),
    (OVERWRITTEN, {"for_sums": each, "for_step": last}),
    (
        "the sums are right, but of a row that is named several times only one value moves it: "
        "weight[rows] -= ... keeps the last one alone",
        {"for_step": last},
    ),
    (
        "the weight moves by the whole gradient, but of a row that is named several times only one "
        "value goes into the sums",
        {"for_sums": last},
    ),
    (SUMMED, {"for_sums": each, "for_step": each}),
    (AVERAGED, {"for_sums": averaged, "for_step": averaged}),
    (AGAIN, {"for_step": again}),
    (AGAIN, {"for_sums": again, "for_step": again}),
    (
        "the square of a row that is named several times is added as often: once",
        {"for_sums": again},
    ),
    (
        "every row gets the sum of all values: each row its own",
        {"for_sums": sum_of_all, "for_step": sum_of_all},
    ),
    (
        "the sums go to the wrong rows: unique gives the rows in rising order, not in the order in "
        "which they were named",
        {"for_sums": by_place, "for_step": by_place},
    ),
    (SUM, {"square": lambda g: g.square().sum(1)}),
    (
        "the gradient is not squared: the mean of its absolute values is added",
        {"square": lambda g: g.abs().mean(1)},
    ),
    (
        "the mean is squared: the mean of the squares",
        {"square": lambda g: g.mean(1).square()},
    ),
    (
        "the largest square of the row is added: the mean",
        {"square": lambda g: g.square().amax(1)},
    ),
    (
        "the length of the gradient is added, not its square: the mean of its squares",
        {"square": lambda g: g.norm(dim=1)},
    ),
    (
        "the root is taken of the new square alone: add the mean square, and take the root of the "
        "sum",
        {"square": lambda g: g.square().mean(1).sqrt()},
    ),
    (
        "there is one number for the whole table: each row has its own mean square",
        {"square": lambda g: g.square().mean().expand(len(g))},
    ),
    (
        "the old sums are forgotten: the new mean square is added to them",
        {"add": replaced},
    ),
    (
        "the old sums are forgotten: the new mean square is added to them",
        {"add": lambda s, rows, sq: torch.zeros_like(s).index_add(0, rows, sq)},
    ),
    (
        "the sums of rows that are not named are lost: they stay as they were",
        {"add": lambda s, rows, sq: torch.zeros_like(s).index_add(0, rows, s[rows] + sq)},
    ),
    (FADES, {"add": faded(0.9)}),
    (FADES, {"add": faded(0.99)}),
    (FADES, {"add": all_faded}),
    (
        "the sums are divided by 2: they are sums, no means",
        {"add": faded(0.5)},
    ),
    (
        "the square is subtracted from the sums: added",
        {"add": lambda sums, rows, squares: sums.index_add(0, rows, -squares)},
    ),
    (
        "the sums of all rows grow: only those of rows that have a gradient",
        {"add": lambda s, rows, sq: (s + sq.mean()).index_copy(0, rows, s[rows] + sq)},
    ),
    (BEFORE, {"which": lambda old, new: old}),
    (
        "the step is divided by the root of what is new alone: of the sum of all squares so far",
        {"which": lambda old, new: new - old},
    ),
    (
        "the root is forgotten: divided by the sum of squares, a large gradient would move less "
        "than a small one",
        {"size": lambda sums, eps: sums + eps},
    ),
    (
        "eps stands under the root: after it, sqrt(sums) + eps",
        {"size": lambda sums, eps: (sums + eps).sqrt()},
    ),
    (
        "eps is the lowest value, not added: sqrt(sums) + eps",
        {"size": lambda sums, eps: sums.sqrt().clamp(min=eps)},
    ),
    (
        "eps is the lowest value, not added: sqrt(sums) + eps",
        {"size": lambda sums, eps: sums.clamp(min=eps).sqrt()},
    ),
    (
        "eps is 1e-10 whatever is handed in, or left out: it is an argument, sqrt(sums) + eps",
        {"size": lambda sums, eps: sums.sqrt() + 1e-10},
    ),
    (NO_EPS, {"size": lambda sums, eps: sums.sqrt()}),
    (
        "the root of the sums is not divided by: this is plain gradient descent",
        {"change": lambda g, size, lr: -lr * g},
    ),
    (
        "the gradient is multiplied by the root of the sums: divided",
        {"change": lambda g, size, lr: -lr * g * size},
    ),
    (
        "the sign is wrong: a step goes against the gradient",
        {"change": lambda g, size, lr: lr * g / size},
    ),
    ("lr is forgotten", {"change": lambda g, size, lr: -g / size}),
    (LR.format("squared"), {"change": lambda g, size, lr: -(lr**2) * g / size}),
    (LR.format("as a divisor"), {"change": lambda g, size, lr: -g / size / lr}),
    (LR.format("under a root"), {"change": lambda g, size, lr: -(lr**0.5) * g / size}),
    (
        "only the gradient's signs are used: the gradient itself",
        {"change": lambda g, size, lr: -lr * g.sign() / size},
    ),
    (
        "the gradient is divided by the number of rows that have one: it is a gradient of a mean "
        "already",
        {"change": lambda g, size, lr: -lr * g / size / len(g)},
    ),
    (
        ALL_ROWS,
        {"move": lambda w, rows, change: (w * 0.99).index_add(0, rows, change)},
    ),
    (
        ALL_ROWS,
        {"move": lambda w, rows, c: (w + c.mean(0)).index_copy(0, rows, w[rows] + c)},
    ),
    (
        "the rows are replaced by the change: it is added to what they were",
        {"move": lambda weight, rows, change: weight.index_copy(0, rows, change)},
    ),
    (
        "the first rows are moved: those whose numbers are in `rows`",
        {"move": lambda w, rows, c: w.index_add(0, torch.arange(len(c)), c)},
    ),
    (
        "the weight comes back as it was: the new one",
        {"give": lambda weight, sums, old: (old, sums)},
    ),
    (
        "the first is the change: the weight after the step",
        {"give": lambda weight, sums, old: (weight - old, sums)},
    ),
    (
        "this is the weight alone: return the pair of the new weight and the new sums",
        {"give": lambda weight, sums, old: weight},
    ),
    (
        "the pair is turned round: the weight first, then the sums",
        {"give": lambda weight, sums, old: (sums, weight)},
    ),
    (
        "the second is the root of the sums: the sums themselves, to which the next step adds",
        {"give": lambda weight, sums, old: (weight, sums.sqrt())},
    ),
    (
        "the sums come back as (V, 1): one number a row, (V,)",
        {"give": lambda weight, sums, old: (weight, sums[:, None])},
    ),
)
OLD_SUMS = "the sums come back as they were: the squares are added to them, for the next step"


def _sums_as_before(weight: Tensor, sums: Tensor, *rest: Any) -> Any:
    return build({})(weight, sums, *rest)[0], sums


MISTAKES = (
    *singles(build, FAULTS),
    (
        "rows that are named several times make a step each time: add up all that is named for a "
        "row, then one step",
        _one_by_one,
    ),
    (
        "there is a sum for every number of the table, as in Adagrad itself: here one a row, the "
        "mean of its squares",
        _each_number,
    ),
    (OLD_SUMS, _sums_as_before),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
