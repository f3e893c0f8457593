"""Chapter 09: the cases of mean_log_probabilities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import keeps_type
from minidistill.course.exercises.ch09_mean_mistakes import MISTAKES, PAIRS, TINY
from minidistill.course.exercises.ch09_shared import rows, strange
from minidistill.ensemble import mean_log_probabilities

_KNOWN = (*MISTAKES, *PAIRS)
_RNG = torch.Generator().manual_seed(4)
_WHAT = "the log-probabilities"


def _teachers(rng: torch.Generator, count: int, *shape: int) -> list[Tensor]:
    """Logits that are not normalised, of teachers that differ."""
    return [rows(rng, *shape) + number for number in range(count)]


PROBES = (
    (_teachers(_RNG, 3, 2, 5, 7), [2.0, 0.5, 1.0], "probabilities"),
    (_teachers(_RNG, 2, 3, 4, 11), [0.3, 1.7], "logits"),
    (_teachers(_RNG, 5, 1, 3, 3), [1.0, 3.0, 0.2, 2.0, 0.1], "probabilities"),
    (_teachers(_RNG, 3, 2, 5, 7), [0.2, 3.0, 1.0], "logits"),
)


def _case(answer: Answer, logits: list[Tensor], *more: Any) -> None:
    got = compare(
        answer,
        mean_log_probabilities,
        (logits, *more),
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
    )
    keeps_type(got, logits[0], _WHAT)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """(0.8, 0.1, 0.1) and (0.2, 0.7, 0.1): the mean is (0.5, 0.4, 0.1)."""
    one, other = torch.tensor([[0.8, 0.1, 0.1]]).log(), torch.tensor([[0.2, 0.7, 0.1]]).log()
    want = torch.tensor([[0.5, 0.4, 0.1]]).log()
    expect(mean_log_probabilities([one, other]), want, "the reference")
    expect_no_memory(answer, ([one, other],), ([one, one],), want, _WHAT)
    _case(answer, [one, other])


def plain(answer: Answer, rng: torch.Generator) -> None:
    """three teachers that count the same, both kinds."""
    for of in ("probabilities", "logits"):
        _case(answer, _teachers(rng, 3, 2, 5, 7), None, of)


def weighed(answer: Answer, rng: torch.Generator) -> None:
    """weights 2, 1 and 0.5, which are divided by their sum, both kinds."""
    for of in ("probabilities", "logits"):
        _case(answer, _teachers(rng, 3, 2, 5, 7), [2.0, 1.0, 0.5], of)
        _case(answer, _teachers(rng, 2, 3, 11), [0.1, 0.4], of)


def alone(answer: Answer, rng: torch.Generator) -> None:
    """one teacher, whatever its weight: its own log-probabilities."""
    for of in ("probabilities", "logits"):
        _case(answer, _teachers(rng, 1, 3, 5, 7), [4.0], of)


def unlikely(answer: Answer, rng: torch.Generator) -> None:
    """logits of 10,000, and a word that all teachers find very unlikely."""
    teachers = _teachers(rng, 3, 2, 5, 7)
    for of in ("probabilities", "logits"):
        if strange(answer([z + 1e4 for z in teachers], None, of)):
            raise Wrong(
                "exp of a large logit overflows: softmax or log_softmax subtract the largest first"
            )
        _case(answer, [z + 1e4 for z in teachers], None, of)
    for z in teachers:
        z[..., 2] = -2000.0
    if strange(answer(teachers, None, "logits")):
        raise Wrong(
            "with of='logits' a very unlikely word gets probability 0, and ln 0 is infinite: take "
            "the logarithm and the softmax in one step (log_softmax)"
        )
    _case(answer, teachers, None, "logits")
    if strange(answer(teachers)):
        raise Wrong(
            "a word that all teachers find unlikely gets probability 0, and ln 0 is infinite: stay "
            "in logarithms, and add with torch.logsumexp"
        )
    got, want = answer(teachers), mean_log_probabilities(teachers)
    if isinstance(got, Tensor) and got.shape == want.shape and bool((got > want + 100).any()):
        raise Wrong(TINY)
    _case(answer, teachers)


def ruled_out(answer: Answer, rng: torch.Generator) -> None:
    """a word that one teacher rules out (logit minus infinity), both kinds."""
    teachers = _teachers(rng, 3, 2, 5, 7)
    teachers[1][..., 2] = -torch.inf
    for of in ("probabilities", "logits"):
        got = answer(teachers, [2.0, 1.0, 0.5], of)
        if isinstance(got, Tensor) and bool(got.isnan().any()):
            raise Wrong(
                f"with of={of!r} a word that one teacher rules out (logit -inf, probability 0) "
                "makes NaN: 0 times infinity, or infinity minus infinity. Add logarithms of the "
                "shares to log-probabilities, and leave -inf as it is"
            )
        if of == "logits" and isinstance(got, Tensor) and bool(got.isfinite().all()):
            raise Wrong(
                "with of='logits' one teacher's -inf rules a word out for all, whatever the others "
                "say: it is not to be exchanged for a number"
            )
        _case(answer, teachers, [2.0, 1.0, 0.5], of)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    teachers = _teachers(rng, 3, 2, 5, 7)
    for of in ("probabilities", "logits"):
        want = mean_log_probabilities(teachers, [1.0, 2.0, 5.0], of)
        expect(answer(teachers, [1.0, 2.0, 5.0], of), want, _WHAT, tolerance=1e-9)
