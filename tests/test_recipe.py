"""Clipping against torch's, learning rates by hand, and recipes that make no sense."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from minidistill.training import Recipe, clip_by_norm, clip_by_value


def some_parameters(scale: float) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    found = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 5), (7,), (1,))]
    for parameter in found:
        parameter.grad = scale * torch.randn(parameter.shape, generator=generator)
    return found


@settings(deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_clipping_is_that_of_torch(scale: float, limit: float) -> None:
    theirs = some_parameters(scale)
    expected = nn.utils.clip_grad_norm_(theirs, limit)
    ours = [parameter.grad for parameter in some_parameters(scale)]
    torch.testing.assert_close(clip_by_norm(iter(ours), limit), expected)
    torch.testing.assert_close(ours, [parameter.grad for parameter in theirs])
    theirs = some_parameters(scale)
    nn.utils.clip_grad_value_(theirs, limit)
    ours = [parameter.grad for parameter in some_parameters(scale)]
    clip_by_value(iter(ours), limit)
    assert all(torch.equal(a, b.grad) for a, b in zip(ours, theirs, strict=True))


def test_clipping_by_hand() -> None:
    gradients = [torch.tensor([3.0]), torch.tensor([0.0, -4.0])]  # together of length 5
    assert float(clip_by_norm(gradients, 10.0)) == 5.0
    assert [g.tolist() for g in gradients] == [[3.0], [0.0, -4.0]]
    assert float(clip_by_norm(gradients, math.inf)) == 5.0
    assert float(clip_by_norm(gradients, 1.0)) == 5.0
    torch.testing.assert_close(torch.cat(gradients), torch.tensor([0.6, 0.0, -0.8]))
    clip_by_value(gradients, 0.7)
    torch.testing.assert_close(torch.cat(gradients), torch.tensor([0.6, 0.0, -0.7]))
    zero = [torch.zeros(3)]
    assert float(clip_by_norm(zero, 1.0)) == 0.0 and not zero[0].isnan().any()


def test_schedules_by_hand() -> None:
    cycle = Recipe(steps=10, learning_rate=2.0, warmup=0.2)
    assert [cycle.rate(0), cycle.rate(1), cycle.rate(2)] == [1.0, 2.0, 2.0]
    assert cycle.rate(6) == pytest.approx(2 * (0.01 + 0.99 / 2))  # half way down
    assert cycle.rate(10) == pytest.approx(0.02)  # a hundredth, right after the end
    cosine = Recipe(steps=10, learning_rate=2.0, schedule="cosine")
    assert cosine.rate(0) == 2.0 and cosine.rate(5) == pytest.approx(2 * 0.505)
    assert cosine.rate(9) == pytest.approx(2 * (0.01 + 0.495 * (1 + math.cos(0.9 * math.pi))))
    assert {Recipe(steps=10, schedule="constant").rate(step) for step in range(10)} == {3e-3}
    assert Recipe(steps=1).rate(0) == 3e-3
    assert Recipe(steps=10, warmup=0.0).rate(0) == 3e-3


@settings(deadline=None)
@given(st.integers(1, 97), st.floats(0, 1), st.sampled_from(["one_cycle", "cosine", "constant"]))
def test_rates_stay_between_a_hundredth_and_the_whole(
    steps: int, warmup: float, schedule: str
) -> None:
    recipe = Recipe(steps=steps, learning_rate=1.0, warmup=warmup, schedule=schedule)
    rates = [recipe.rate(step) for step in range(steps)]
    assert all(0.0099 < rate <= 1.0 for rate in rates)
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "must be at least 1"),
        ({"validate_every": 0}, "must be at least 1"),
        ({"checkpoint_every": -3}, "must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"schedule": "linear"}, "one_cycle, cosine or constant, not 'linear'"),
        ({"precision": "float16"}, "float32 or bfloat16, not 'float16'"),
    ],
)
def test_bad_recipes(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**options)
