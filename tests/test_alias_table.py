"""The alias table: it holds the probabilities to the last digit, and draws follow them."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from minidistill.alias_table import alias_table, draw_by_alias

DRAWS = 200_000


def shares(weights: list[float]) -> Tensor:
    """Probabilities (V,) in proportion to the weights."""
    p = torch.tensor(weights, dtype=torch.float64)
    return p / p.sum()


def columns(keep: Tensor, other: Tensor) -> Tensor:
    """The probabilities (V,) that the tables hold, by the sum in the docstring."""
    V, keep = len(keep), keep.double()
    return (keep + torch.zeros(V, dtype=torch.float64).index_add_(0, other, 1 - keep)) / V


def holds(p: Tensor, keep: Tensor, other: Tensor) -> bool:
    """Whether every class has its p, but for the 24 bits of `keep` in each column it stands in."""
    V = len(p)
    places = 1 + torch.bincount(other, minlength=V)
    return bool(((columns(keep, other) - p.double()).abs() <= 6e-8 * places / V).all())


def chance_of(drawn: Tensor, p: Tensor) -> float:
    """How far counts lie from those expected, in standard deviations of the chi-square law."""
    counts, expected = torch.bincount(drawn, minlength=len(p)), p.double() * len(drawn)
    assert int(counts[p == 0].sum()) == 0, "a class that cannot come has come"
    counts, expected = counts[p > 0], expected[p > 0]
    assert float(expected.min()) >= 5, "too rare a class for this test"
    freedom = len(expected) - 1
    square = float(((counts - expected) ** 2 / expected).sum())
    return (square - freedom) / math.sqrt(2 * freedom)


def test_a_table_by_hand() -> None:
    # Heights 1/4, 1/2 and 9/4: class 2 fills up the columns of both others.
    keep, other = alias_table(torch.tensor([1 / 12, 1 / 6, 3 / 4], dtype=torch.float64))
    torch.testing.assert_close(keep, torch.tensor([0.25, 0.5, 1.0]))
    assert other.tolist() == [2, 2, 2]
    assert keep.dtype == torch.float32 and other.dtype == torch.int64


def test_one_class_fills_its_column() -> None:
    keep, other = alias_table(torch.tensor([1.0]))
    assert keep.tolist() == [1.0] and other.tolist() == [0]
    assert draw_by_alias(keep, other, 7).tolist() == [0] * 7


weights_of = st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 1.0)), min_size=1, max_size=31)
uneven_of = st.lists(st.floats(-12, 0).map(lambda x: 10.0**x), min_size=1, max_size=31)


@given(st.one_of(weights_of, uneven_of).filter(any))
@example([1.0])
@example([0.0, 1.0])
@example([0.0, 0.0, 0.0, 0.0, 3.0])
@example([1.0] * 29)
@example([1e12] + [1.0] * 22)
@settings(max_examples=200, deadline=None)
def test_the_table_holds_p(weights: list[float]) -> None:
    p = shares(weights)
    keep, other = alias_table(p)
    assert bool(((keep >= 0) & (keep <= 1)).all())
    assert int(other.min()) >= 0 and int(other.max()) < len(p)
    assert holds(p, keep, other)
    nothing = p == 0
    assert not bool(keep[nothing].any())
    assert not bool(nothing[other[keep < 1]].any()), "a class that cannot come shares a column"


def test_a_quarter_of_a_million_classes() -> None:
    V = 250_000
    p = shares((1 / torch.arange(1, V + 1, dtype=torch.float64)).tolist())
    p = p[torch.randperm(V, generator=torch.Generator().manual_seed(0))]
    assert holds(p, *alias_table(p))


def test_probabilities_that_add_up_to_nearly_one_lose_no_column() -> None:
    # 1e-6 of a million columns is a whole one: it must not fall to a class that cannot come.
    p = torch.cat([torch.zeros(3), torch.full((1_000_000,), 1e-6)]).double()
    p = p * (1 - 9e-7) / p.sum()
    keep, other = alias_table(p)
    assert not bool(columns(keep, other)[:3].any())
    assert float((columns(keep, other) - p).abs().max()) < 1e-11


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param([1.0] * 23, id="even"),
        pytest.param([0.0, 5.0, 1.0, 0.0, 2.0, 3.0, 0.5], id="zeros"),
        pytest.param([1e4, 1.0, 3.0, 1.0, 7.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0], id="very uneven"),
    ],
)
def test_draws_follow_p(weights: list[float]) -> None:
    p = shares(weights)
    drawn = draw_by_alias(*alias_table(p), DRAWS, torch.Generator().manual_seed(0))
    assert drawn.shape == (DRAWS,) and drawn.dtype == torch.int64
    assert chance_of(drawn, p) < 5


def test_the_measure_of_draws_has_teeth() -> None:
    p = shares([5.0, 1.0, 2.0, 3.0, 0.5])
    keep, other = alias_table(p)
    generator = torch.Generator().manual_seed(0)
    assert chance_of(torch.randint(5, (DRAWS,), generator=generator), p) > 100
    column = torch.randint(5, (DRAWS,), generator=generator)
    swapped = torch.where(torch.rand(DRAWS, generator=generator) < keep[column], other[column], 0)
    assert chance_of(swapped, p) > 100
    nearly = draw_by_alias(*alias_table(shares([5.0, 1.0, 2.0, 3.0, 0.55])), DRAWS, generator)
    assert chance_of(nearly, p) > 5


def test_a_generator_repeats_its_draws_and_leaves_global_chance_alone() -> None:
    table = alias_table(shares([5.0, 1.0, 2.0, 3.0, 0.5]))
    before = torch.get_rng_state()
    once, again, another = (
        draw_by_alias(*table, 97, torch.Generator().manual_seed(seed)) for seed in (3, 3, 5)
    )
    assert torch.equal(once, again) and not torch.equal(once, another)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(torch.tensor([0.7, 0.5, -0.2]), id="negative"),
        pytest.param(torch.tensor([0.7, 0.2]), id="less than one"),
        pytest.param(torch.tensor([3.0, 2.0]), id="counts"),
        pytest.param(torch.tensor([[0.5, 0.5]]), id="two dimensions"),
        pytest.param(torch.tensor(1.0), id="no dimension"),
        pytest.param(torch.tensor([]), id="none"),
        pytest.param(torch.tensor([math.nan, 1.0]), id="not a number"),
    ],
)
def test_what_is_no_distribution_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="one row of numbers from 0 that add up to 1"):
        alias_table(wrong)
