"""Chapter 06: the models of known mistakes are right where they should be, and tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from minidistill import alignment, attention
from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import by_id
from minidistill.course.exercises import ch06_additive_mistakes as additive
from minidistill.course.exercises import ch06_alignment as alignment_cases
from minidistill.course.exercises import ch06_alignment_mistakes as alignments
from minidistill.course.exercises import ch06_class_wrong as faults
from minidistill.course.exercises import ch06_dot_mistakes as dot
from minidistill.course.exercises import ch06_softmax_mistakes as softmax

MISTAKES = {
    "06.1": softmax.MISTAKES,
    "06.2": additive.MISTAKES,
    "06.4": dot.MISTAKES,
    "06.5": alignments.MISTAKES,
}
PAIRS = {
    "06.1": softmax.PAIRS,
    "06.2": additive.PAIRS,
    "06.4": dot.PAIRS,
    "06.5": alignments.PAIRS,
}
ALL = [(name, n) for name, mistakes in MISTAKES.items() for n in range(len(mistakes))]


def _first_message(exercise: Exercise, answer: Callable[..., Any]) -> str | None:
    everything = dataclasses.replace(exercise, allowed=("minidistill",), bans=())
    for case in exercise.cases:
        alone = dataclasses.replace(everything, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer), seeds=(0,)).results[0].message
        if message is not None:
            return message
    return None


@pytest.mark.slow  # all of them together
@pytest.mark.parametrize(("exercise_id", "number"), ALL)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, function = MISTAKES[exercise_id][number]
    assert _first_message(by_id()[exercise_id], function) == sentence


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", PAIRS)
def test_two_mistakes_at_once_never_pass(exercise_id: str) -> None:
    for _, function in PAIRS[exercise_id][::7]:
        assert _first_message(by_id()[exercise_id], function) is not None


def test_the_plain_models_equal_the_package() -> None:
    rng = torch.Generator().manual_seed(3)
    q, k = (torch.randn(3, n, 5, generator=rng, dtype=torch.float64) for n in (2, 7))
    v = torch.randn(5, generator=rng, dtype=torch.float64)
    mask = torch.arange(7) < torch.tensor([4, 0, 7])[:, None, None]
    scores = attention.additive_score(q, k, v)
    torch.testing.assert_close(additive.additive_with()(q, k, v), scores)
    torch.testing.assert_close(dot.dot_with()(q, k, 0.3), attention.dot_score(q, k, 0.3))
    for seen in (None, mask):
        want = attention.masked_softmax(scores, seen)
        torch.testing.assert_close(softmax.softmax_with()(scores, seen), want)
    given = alignment_cases._inputs(rng, 5, 7, 3)
    assert alignments.alignment_with()(*given) == alignment.alignment_accuracy(*given)


class _Faulty(nn.Module):
    """A right attention with some parts exchanged."""

    parts: ClassVar[faults.Parts] = {}

    def __init__(self, query_size: int, key_size: int, hidden_size: int | None = None) -> None:
        super().__init__()
        size = hidden_size or query_size
        self.W = nn.Linear(query_size, size, bias=False)
        self.U = nn.Linear(key_size, size, bias=False)
        self.v = nn.Parameter(torch.randn(size) / 10)

    def prepare(self, keys: Tensor) -> Any:
        return faults.prepare(dict(self.named_parameters()), keys, self.parts)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> Any:
        weights = dict(self.named_parameters())
        return faults.run(weights, queries, keys, values, mask, self.parts)


def test_the_plain_class_equals_the_package() -> None:
    rng = torch.Generator().manual_seed(3)
    mine, ours = _Faulty(5, 3, 7).double(), attention.AdditiveAttention(5, 3, 7).double()
    ours.load_state_dict(mine.state_dict())
    q, k, v = (
        torch.randn(3, n, size, generator=rng, dtype=torch.float64)
        for n, size in ((2, 5), (11, 3), (11, 13))
    )
    mask = torch.arange(11) < torch.tensor([4, 0, 11])[:, None]
    assert _first_message(by_id()["06.3"], _Faulty) is None
    torch.testing.assert_close(mine.prepare(k), ours.prepare(k))
    for seen in (None, mask):
        for got, want in zip(
            mine(q, mine.prepare(k), v, seen), ours(q, ours.prepare(k), v, seen), strict=True
        ):
            torch.testing.assert_close(got, want)


_FAULTS = faults.PREPARED + faults.ONE + faults.CUTS


@pytest.mark.parametrize("number", range(len(_FAULTS)))
def test_a_fault_of_the_class_is_called_by_its_own_name(number: int) -> None:
    sentence, parts = _FAULTS[number]
    if sentence.startswith("the keys are multiplied by U again"):
        parts = {"key": _again}
    faulty = type("AdditiveAttention", (_Faulty,), {"parts": parts})
    assert _first_message(by_id()["06.3"], faulty) == sentence


def _again(keys: Tensor, weights: faults.Weights) -> Tensor:
    """Where the sizes do not fit, this mistake is an error of its own: leave it out there."""
    U = weights["U.weight"]
    return keys @ U.T if keys.size(-1) == U.size(1) else keys
