"""Chapter 07: every known mistake is called by its own name, two at once never pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercises import (
    ch07,
    ch07_analogy_mistakes,
    ch07_formula_mistakes,
    ch07_loss_mistakes,
    ch07_places_mistakes,
    ch07_windows_mistakes,
)
from minidistill.embeddings import MeanQueryAttention, PositionAttention
from minidistill.negative_sampling import negative_sampling_loss
from minidistill.windows import WordStream, cut_windows
from minidistill.word_vectors import WordVectors

EXERCISES = {exercise.id: exercise for exercise in ch07.EXERCISES}
MODULES: dict[str, Any] = {
    "07.1": ch07_windows_mistakes,
    "07.2": ch07_loss_mistakes,
    "07.3": ch07_formula_mistakes,
    "07.4": ch07_places_mistakes,
    "07.5": ch07_analogy_mistakes,
}
PROBES: dict[str, Any] = {
    "07.1": ch07.windows.PROBES,
    "07.2": ch07.loss.PROBES,
    "07.3": ch07.formula.PROBES,
    "07.4": ch07.places.PROBES,
    "07.5": ch07.analogies.PROBES,
}

UNIFORM = (ch07_formula_mistakes.UNIFORM, ch07_places_mistakes.UNIFORM)


def _first_message(exercise_id: str, function: Callable[..., Any]) -> str | None:
    target = ch07_places_mistakes.as_class(function) if exercise_id == "07.4" else function
    exercise = dataclasses.replace(EXERCISES[exercise_id], allowed=("minidistill",), bans=())
    for case in exercise.cases:
        alone = dataclasses.replace(exercise, cases=(case,))
        message = run_cases(alone, answer_to(alone, target), seeds=(0,)).results[0].message
        if message is not None:
            return message
    return None


@pytest.mark.parametrize(
    ("exercise_id", "number"),
    [(name, i) for name, module in MODULES.items() for i in range(len(module.MISTAKES))],
)
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, number: int) -> None:
    sentence, mistaken = MODULES[exercise_id].MISTAKES[number]
    message = _first_message(exercise_id, mistaken)
    assert message is not None
    assert message.split(" (your code raised")[0] == sentence


@pytest.mark.slow
@pytest.mark.parametrize("exercise_id", MODULES)
def test_two_mistakes_at_once_never_pass(exercise_id: str) -> None:
    for _, mistaken in MODULES[exercise_id].PAIRS[::37]:
        assert _first_message(exercise_id, mistaken) is not None


@pytest.mark.parametrize("exercise_id", MODULES)
def test_no_mistake_equals_the_right_answer_on_all_probes(exercise_id: str) -> None:
    """A sentence is spoken only for what can be told from a right answer."""
    plain = MODULES[exercise_id].build({})
    wanted = [plain(*args) for args in PROBES[exercise_id]]
    for sentence, mistaken in MODULES[exercise_id].MISTAKES:
        same = []
        for args, want in zip(PROBES[exercise_id], wanted, strict=True):
            try:
                torch.testing.assert_close(mistaken(*args), want, rtol=1e-9, atol=1e-9)
                same.append(True)
            except Exception:
                same.append(False)
        # These are seen only where a context is nothing but padding.
        assert not all(same) or sentence in UNIFORM, sentence


@pytest.mark.parametrize("exercise_id", ("07.1", "07.3", "07.5"))
def test_the_plain_models_equal_the_answers(exercise_id: str) -> None:
    """What the mistakes are made from is right where nothing is exchanged."""
    plain = MODULES[exercise_id].build({})
    for args in PROBES[exercise_id]:
        want = EXERCISES[exercise_id].reference(*args)
        torch.testing.assert_close(plain(*args), want)


def test_the_plain_loss_equals_the_package() -> None:
    plain = ch07_loss_mistakes.build({})
    for args in PROBES["07.2"]:
        torch.testing.assert_close(plain(*args), negative_sampling_loss(*args))


def test_the_plain_class_equals_the_package() -> None:
    plain = ch07_places_mistakes.build({})
    for query, bias, keys, mask in PROBES["07.4"]:
        attention = PositionAttention(query.size(1), len(query) // 2).double()
        attention.load_state_dict({"query": query, "bias": bias})
        torch.testing.assert_close(plain(query, bias, keys, mask), attention(keys, mask))


def test_the_formula_equals_the_package() -> None:
    for keys, vectors, mask in PROBES["07.3"]:
        weights = MeanQueryAttention()(keys, mask)
        want = (weights[:, :, None] * vectors).sum(1), weights
        torch.testing.assert_close(EXERCISES["07.3"].reference(keys, vectors, mask), want)


def test_windows_equal_the_package() -> None:
    for words, window in PROBES["07.1"]:
        N = len(words)
        stream = WordStream(words, torch.zeros_like(words))
        batch = cut_windows(stream, torch.arange(N), torch.full((N,), window), window)
        context, mask = EXERCISES["07.1"].reference(words, window)
        assert torch.equal(mask, batch.mask)
        assert torch.equal(context[mask], batch.contexts[mask])


def test_analogies_equal_the_package() -> None:
    for vectors, a, b, c, count in PROBES["07.5"]:
        words = [str(i) for i in range(len(vectors))]
        near = WordVectors(words, vectors).analogy(str(a), str(b), str(c), count)
        assert EXERCISES["07.5"].reference(vectors, a, b, c, count) == [int(n.word) for n in near]
