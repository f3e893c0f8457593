"""Chapter 02: the models of known mistakes are right where they should be, and tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from minidistill.course.answer import answer_to
from minidistill.course.check import run_cases
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import by_id
from minidistill.course.exercises import ch02_backward_mistakes as backward
from minidistill.course.exercises import ch02_clipping as clipping
from minidistill.course.exercises import ch02_forward_mistakes as forward
from minidistill.course.exercises import ch02_loss_mistakes as loss
from minidistill.course.exercises import ch02_rnn_faults as faults
from minidistill.course.exercises import ch02_rnn_masks as masks
from minidistill.course.exercises import ch02_step as step
from minidistill.course.exercises.ch02_rnn_wrong import RIGHT, Parts, run

MISTAKES: dict[str, Callable[..., Any]] = {
    "02.1": step._mistakes,
    "02.2": forward.mistakes,
    "02.3": backward.mistakes,
    "02.5": loss.mistakes,
    "02.6": clipping._mistakes,
}


def _keys(mistakes: Any) -> Iterator[tuple[tuple[str, int], Any]]:
    """A sentence may stand for several values: ((sentence, which of them), value)."""
    seen: dict[str, int] = {}
    for sentence, value in mistakes:
        seen[sentence] = seen.get(sentence, -1) + 1
        yield (sentence, seen[sentence]), value


def _first_message(exercise: Exercise, answer: Any) -> str | None:
    everything = dataclasses.replace(exercise, allowed=("minidistill",), bans=())
    for case in exercise.cases:
        alone = dataclasses.replace(everything, cases=(case,))
        message = run_cases(alone, answer_to(alone, answer), seeds=(0,)).results[0].message
        if message is not None:
            return message
    return None


def _all_keys() -> list[tuple[str, str, int]]:
    rng = torch.Generator().manual_seed(3)
    a, h0, W = (torch.randn(*s, generator=rng).double() for s in ((5, 3, 2), (3, 2), (2, 2)))
    mask = torch.tensor([[1, 0, 1], [1, 1, 1], [0, 1, 1], [1, 1, 0], [0, 1, 1]]).bool()
    x, b = torch.randn(3, 2, generator=rng).double(), torch.randn(2, generator=rng).double()
    targets = torch.tensor([[0, 1, -100], [2, -100, -100]])
    logits = torch.randn(2, 3, 3, generator=rng).double()
    inputs: dict[str, tuple] = {
        "02.1": (x, h0, W, W, b, b),
        "02.2": (a, h0, W, mask),
        "02.3": (a, torch.tanh(a), h0, W, mask),
        "02.5": (logits, targets),
        "02.6": ([a, h0], 0.9),
    }
    return [
        (name, sentence, which)
        for name, mistakes in MISTAKES.items()
        for (sentence, which), _ in _keys(mistakes(*inputs[name]))
    ]


@pytest.mark.slow  # all of them together
@pytest.mark.parametrize(("exercise_id", "sentence", "which"), _all_keys())
def test_a_mistake_is_called_by_its_own_name(exercise_id: str, sentence: str, which: int) -> None:
    exercise = by_id()[exercise_id]

    def mistaken(*args: Any) -> Any:
        known = dict(_keys(MISTAKES[exercise_id](*args)))
        return known.get((sentence, which), exercise.reference(*args))

    def with_default(*args: Any) -> Any:  # the mask may be left out
        return (
            mistaken(*args, None)
            if len(args) == {"02.2": 3, "02.3": 4}.get(exercise_id)
            else (mistaken(*args))
        )

    assert _first_message(exercise, with_default) == sentence


class _Faulty(nn.Module):
    """A right layer with some parts exchanged."""

    parts: ClassVar[Parts] = {}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        shapes = nn.RNN(input_size, hidden_size, num_layers, bidirectional=bidirectional)
        for name, weight in shapes.named_parameters():
            self.register_parameter(name, weight)
        self.dropout = dropout

    def forward(
        self, inputs: Tensor, state: Tensor | None = None, mask: Tensor | None = None
    ) -> Any:
        def up(below: Tensor, outputs: Tensor, top: bool) -> Tensor:
            share = 0.0 if top else self.dropout
            passed = self.parts.get("up", RIGHT["up"])(below, outputs, top)
            return nn.functional.dropout(passed, share, self.training)

        parts = self.parts | {"up": up}
        return run(dict(self.named_parameters()), inputs, state, mask, parts)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("both", [False, True])
def test_the_plain_model_equals_torch(layers: int, both: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    judge = nn.RNN(3, 5, layers, bidirectional=both, batch_first=True).double()
    x = torch.randn(4, 7, 3, generator=rng, dtype=torch.float64)
    state = torch.randn(layers * (1 + both), 4, 5, generator=rng, dtype=torch.float64)
    lengths = torch.tensor([4, 1, 7, 2])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    want, want_last = judge(packed, state)
    want, _ = nn.utils.rnn.pad_packed_sequence(want, batch_first=True)
    mask = torch.arange(7) < lengths[:, None]
    outputs, last = run(dict(judge.named_parameters()), x, state, mask)
    torch.testing.assert_close(outputs, want)
    torch.testing.assert_close(last, want_last)


def test_the_plain_model_passes() -> None:
    assert _first_message(by_id()["02.4"], _Faulty) is None


_FAULTS = faults.STEPS + faults.RESULTS + faults.LAYERS + faults.WAYS + masks.MASKS + masks.CUTS


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(_FAULTS)))
def test_a_fault_of_the_class_is_called_by_its_own_name(number: int) -> None:
    sentence, parts = _FAULTS[number]
    faulty = type("RNN", (_Faulty,), {"parts": parts})
    assert _first_message(by_id()["02.4"], faulty) == sentence
