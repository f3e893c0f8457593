"""Chapter 08: the cases of row_adagrad."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import keeps_type
from minidistill.course.exercises.ch08_adagrad_mistakes import MISTAKES, NO_EPS, PAIRS
from minidistill.course.exercises.ch08_more import ADAGRAD
from minidistill.sparse_rows import row_adagrad

_KNOWN = (*MISTAKES, *ADAGRAD, *PAIRS)
_WHAT = "(the new weight, the new sums)"


def inputs(
    rng: torch.Generator, V: int, d: int, n: int, lr: float = 0.3, repeats: bool = True
) -> tuple[Any, ...]:
    """A table, its sums, and n values; with `repeats` a row is named three times, another twice."""
    weight = torch.randn(V, d, generator=rng, dtype=torch.float64)
    sums = torch.rand(V, generator=rng, dtype=torch.float64) * 2 + 0.1
    values = torch.randn(n, d, generator=rng, dtype=torch.float64)
    rows = torch.randperm(V, generator=rng)[:n]
    if repeats:
        rows[-1], rows[n // 2], rows[-2] = rows[0], rows[0], rows[1]
    return weight, sums, rows, values, lr


def _small(
    weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float
) -> tuple[Any, ...]:
    """The same with small gradients, beside which an eps of 0.2 is much."""
    return weight, sums / 100, rows, values / 10, lr, 0.2


_RNG = torch.Generator().manual_seed(4)
PROBES = (
    inputs(_RNG, 11, 3, 7),
    inputs(_RNG, 13, 5, 11, 1.7),
    _small(*inputs(_RNG, 17, 2, 7, 0.05)),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *args: Any, tolerance: float = 1e-5) -> None:
    got = compare(
        answer,
        row_adagrad,
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        describe=lambda got, want: _idle(got, args),
        tolerance=tolerance,
    )
    keeps_type(got[0], args[0], "the new weight")
    keeps_type(got[1], args[1], "the new sums")


def _idle(got: Any, args: tuple[Any, ...]) -> str | None:
    """What to say where rows that are not named came back changed."""
    idle = torch.ones(len(args[0]), dtype=torch.bool).index_fill(0, args[2], False)
    if not isinstance(got, (list, tuple)) or len(got) != 2 or not bool(idle.any()):
        return None
    for new, old, name in zip(got, args[:2], ("weights", "sums"), strict=True):
        if not isinstance(new, Tensor) or new.shape != old.shape:
            return None
        if not torch.equal(new[idle], old[idle]):
            return f"the {name} of rows that are not named change: these rows stay as they are"
    return None


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """row 1 has the gradient (1, 7), mean square 25, after 0 so far: a step of 0.5/5 times it."""
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    sums, rows = torch.tensor([4.0, 0.0, 9.0]), torch.tensor([1])
    args = (weight, sums, rows, torch.tensor([[1.0, 7.0]]), 0.5)
    want = [torch.tensor([[1.0, 2.0], [2.9, 3.3], [5.0, 6.0]]), torch.tensor([4.0, 25.0, 9.0])]
    expect(list(row_adagrad(*args)), want, "the reference")
    other = (*args[:2], torch.tensor([2]), *args[3:])
    expect_no_memory(answer, args, other, want, _WHAT)
    _case(answer, *args)


def once_each(answer: Answer, rng: torch.Generator) -> None:
    """V = 11, d = 3, five rows in any order, each named once."""
    _case(answer, *inputs(rng, 11, 3, 5, repeats=False))


def repeated(answer: Answer, rng: torch.Generator) -> None:
    """rows that are named twice and three times."""
    _case(answer, *inputs(rng, 11, 3, 7))
    _case(answer, *inputs(rng, 23, 7, 13, 1.3))


def same_row(answer: Answer, rng: torch.Generator) -> None:
    """all values are for one row; and two of them cancel each other."""
    weight, sums, rows, values, lr = inputs(rng, 11, 3, 5)
    _case(answer, weight, sums, torch.full_like(rows, 7), values, lr)
    values[1], rows[1] = -values[0], rows[0]
    _case(answer, weight, sums, rows[:2], values[:2], lr)


def square(answer: Answer, rng: torch.Generator) -> None:
    """V = d = n, where mixed-up dimensions raise no error."""
    _case(answer, *inputs(rng, 7, 7, 7))


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """a table of one column, and one of one row."""
    _case(answer, *inputs(rng, 11, 1, 5))
    weight, sums, rows, values, lr = inputs(rng, 1, 3, 1, repeats=False)
    _case(answer, weight, sums, rows.expand(2).clone(), values.expand(2, 3) * 0.5, lr)


def every_row(answer: Answer, rng: torch.Generator) -> None:
    """every row is named, in any order."""
    _case(answer, *inputs(rng, 5, 3, 5, repeats=False))


def at_the_start(answer: Answer, rng: torch.Generator) -> None:
    """all sums are 0, and some named rows have the gradient 0: these stay where they are."""
    weight, sums, rows, values, lr = inputs(rng, 11, 3, 7)
    values[rows == rows[1]] = 0.0
    for start in (torch.zeros_like(sums), sums):
        args = (weight, start, rows, values, lr)
        for kind in (torch.float64, torch.float32):
            some = tuple(
                x.to(kind) if i != 2 and isinstance(x, Tensor) else x for i, x in enumerate(args)
            )
            got = answer(*some)
            if any(isinstance(x, Tensor) and bool(x.isnan().any()) for x in got):
                raise Wrong(NO_EPS)
            _case(answer, *some)


def other_eps(answer: Answer, rng: torch.Generator) -> None:
    """eps = 0.5 or 0.2: added to the root, and to nothing else."""
    _case(answer, *inputs(rng, 11, 3, 7), 0.5)
    _case(answer, *_small(*inputs(rng, 11, 3, 7)))


def two_steps(answer: Answer, rng: torch.Generator) -> None:
    """the second step goes on from what the first returned."""
    weight, sums, rows, values, lr = inputs(rng, 11, 3, 7)
    sums = torch.zeros_like(sums)
    wanted = row_adagrad(weight, sums, rows, values, lr)
    got = answer(weight, sums, rows, values, lr)
    expect(list(got), list(wanted), _WHAT)
    more = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    _case(answer, *got, rows[:5], more, lr)


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """gradients of a millionth, and of a million."""
    weight, sums, rows, values, lr = inputs(rng, 11, 3, 7)
    for size in (1e-6, 1e6):
        _case(answer, weight, torch.zeros_like(sums), rows, values * size, lr)
        _case(answer, weight, sums, rows, values * size, lr)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    _case(answer, *inputs(rng, 11, 3, 7), tolerance=1e-10)
