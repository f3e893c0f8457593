"""Chapter 04: the cases of beam_step."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercises.ch04_beam_mistakes import MISTAKES, PAIRS
from minidistill.search import beam_step


def _inputs(rng: torch.Generator, B: int, K: int, V: int, ended: float = 0.0) -> tuple:
    scores = -torch.rand(B, K, generator=rng, dtype=torch.float64) * 3
    logits = torch.randn(B, K, V, generator=rng, dtype=torch.float64)
    return scores, logits.log_softmax(-1), torch.rand(B, K, generator=rng) < ended


_RNG = torch.Generator().manual_seed(3)
PROBES = (
    (*_inputs(_RNG, 3, 4, 7), None),
    (*_inputs(_RNG, 4, 5, 3, ended=0.5), 1),
    (*_inputs(_RNG, 2, 3, 5, ended=0.5), 0),
    (*_inputs(_RNG, 2, 3, 5)[:2], torch.tensor([[False] * 3, [True, False, False]]), 2),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, *inputs: Tensor | int | None) -> None:
    compare(
        answer,
        beam_step,
        inputs,
        "(scores, parents, tokens)",
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two beams, three tokens: both survivors have the same parent."""
    scores = torch.tensor([[0.9, 0.1]]).log()
    probabilities = torch.tensor([[[0.5, 0.4, 0.1], [0.1, 0.1, 0.8]]])
    _case(answer, scores, probabilities.log(), torch.zeros(1, 2, dtype=torch.bool), None)


def late_winner(answer: Answer, rng: torch.Generator) -> None:
    """the second-best beam overtakes the best."""
    scores = torch.tensor([[0.6, 0.4]]).log()
    probabilities = torch.tensor([[[0.4, 0.3, 0.3], [0.05, 0.9, 0.05]]])
    _case(answer, scores, probabilities.log(), torch.zeros(1, 2, dtype=torch.bool), None)


def rows(answer: Answer, rng: torch.Generator) -> None:
    """B = 3 rows, K = 4 beams, V = 7 tokens; each row by itself."""
    scores, log_probs, ended = _inputs(rng, 3, 4, 7)
    _case(answer, scores + torch.tensor([[0.0], [-20.0], [5.0]]), log_probs, ended, None)


def one_beam(answer: Answer, rng: torch.Generator) -> None:
    """K = 1 is greedy search; B = 1 keeps its dimension."""
    _case(answer, *_inputs(rng, 3, 1, 5), None)
    _case(answer, *_inputs(rng, 1, 3, 5), None)


def at_the_start(answer: Answer, rng: torch.Generator) -> None:
    """at the start only the first beam counts, the others begin at -inf."""
    scores, log_probs, ended = _inputs(rng, 2, 3, 5)
    scores[:, 0], scores[:, 1:] = 0.0, -torch.inf
    _case(answer, scores, log_probs, ended, None)
    _case(answer, scores, log_probs, ended, 2)


def ended_beams(answer: Answer, rng: torch.Generator) -> None:
    """an ended beam goes on with stop_id alone, at no cost."""
    scores, log_probs, ended = _inputs(rng, 4, 5, 3, ended=0.5)
    ended[0, 0], ended[1] = True, torch.tensor([True, False, True, False, False])
    _case(answer, scores, log_probs, ended, 1)
    _case(answer, *_inputs(rng, 3, 4, 7, ended=0.4), 6)
    scores, log_probs, ended = _inputs(rng, 2, 3, 5)
    ended[0, scores[0].argmax()] = ended[1, scores[1].argmin()] = True
    _case(answer, scores, log_probs, ended, 0)


def nothing_or_all_ended(answer: Answer, rng: torch.Generator) -> None:
    """a stop token but no beam that has ended; then all of them."""
    scores, log_probs, ended = _inputs(rng, 2, 3, 5)
    _case(answer, scores, log_probs, ended, 0)
    _case(answer, scores, log_probs, ~ended, 4)


def long_text(answer: Answer, rng: torch.Generator) -> None:
    """scores of a long text, whose probability is below the smallest number."""
    scores, log_probs, ended = _inputs(rng, 2, 3, 5)
    _case(answer, (scores - 1000).float(), log_probs.float(), ended, None)
