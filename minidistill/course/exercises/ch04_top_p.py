"""Chapter 04: the cases of keep_top_p, and what known wrong answers return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercises.ch04_shared import numbers, removed, wrong_choice
from minidistill.rules import keep_top_p

_Drop = Callable[[Tensor, float], Tensor]


def _ranked(drop: _Drop) -> Callable[[Tensor, float], Tensor]:
    """A wrong answer from a wrong rule about the probabilities, the likeliest first."""

    def mistaken(logits: Tensor, p: float) -> Tensor:
        ranked, order = logits.sort(dim=-1, descending=True, stable=True)
        gone = drop(ranked.softmax(-1), p)
        return removed(logits, torch.zeros_like(gone).scatter(-1, order, gone))

    return mistaken


def _before(q: Tensor) -> Tensor:
    return q.cumsum(-1) - q


def _too_long(q: Tensor, p: float) -> Tensor:
    """One more than is needed stays."""
    late = torch.cat([torch.zeros_like(q[..., :1]), _before(q)[..., :-1]], -1)
    return late >= p


def _crosser_dropped(q: Tensor, p: float) -> Tensor:
    """The one that reaches p goes too, except where it is the first."""
    gone = q.cumsum(-1) > p
    gone[..., 0] = False
    return gone


def _unsorted(logits: Tensor, p: float) -> Tensor:
    return removed(logits, _before(logits.softmax(-1)) >= p)


def _in_sorted_places(logits: Tensor, p: float) -> Tensor:
    ranked = logits.sort(dim=-1, descending=True, stable=True).values
    return removed(logits, _before(ranked.softmax(-1)) >= p)


def _sorted(logits: Tensor, p: float) -> Tensor:
    return keep_top_p(logits, p).sort(dim=-1, descending=True).values


def _gathered(logits: Tensor, p: float) -> Tensor:
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    return removed(logits, (_before(ranked.softmax(-1)) >= p).gather(-1, order))


def _rising(logits: Tensor, p: float) -> Tensor:
    ranked, order = logits.sort(dim=-1, stable=True)
    gone = _before(ranked.softmax(-1)) >= p
    return removed(logits, torch.zeros_like(gone).scatter(-1, order, gone))


def _whole_batch(logits: Tensor, p: float) -> Tensor:
    return keep_top_p(logits.flatten()[None], p).view_as(logits)


def _running_on(logits: Tensor, p: float) -> Tensor:
    """The sum runs on from row to row."""
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    q = ranked.softmax(-1)
    gone = (q.flatten().cumsum(0).view_as(q) - q) >= p
    return removed(logits, torch.zeros_like(gone).scatter(-1, order, gone))


def _one_count(logits: Tensor, p: float) -> Tensor:
    """Every row keeps as many as the first."""
    k = int((keep_top_p(logits[:1], p) > -torch.inf).sum())
    return removed(logits, logits < logits.topk(k, dim=-1).values[..., -1:])


def _widest_count(logits: Tensor, p: float) -> Tensor:
    """Every row keeps as many as the row that needs most."""
    k = int((keep_top_p(logits, p) > -torch.inf).sum(-1).max())
    return removed(logits, logits < logits.topk(k, dim=-1).values[..., -1:])


def _by_share(logits: Tensor, p: float) -> Tensor:
    k = max(1, round(p * logits.size(-1)))
    return removed(logits, logits < logits.topk(k, dim=-1).values[..., -1:])


def _logits_summed(logits: Tensor, p: float) -> Tensor:
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    gone = _before(ranked) >= p
    return removed(logits, torch.zeros_like(gone).scatter(-1, order, gone))


def _with_equals(logits: Tensor, p: float) -> Tensor:
    kept = keep_top_p(logits, p)
    least = kept.masked_fill(kept == -torch.inf, torch.inf).amin(-1, keepdim=True)
    return removed(logits, logits < least)


_CROSSER = (
    "the token that reaches p is removed: it stays, so that p is reached and every row keeps at "
    "least one. Ask for the sum before each token (cumsum - probability)"
)

MISTAKES = (
    (
        "nothing is removed: what comes after p is reached gets -torch.inf (are probabilities "
        "added up? Their logarithms never reach p)",
        lambda x, p: x,
    ),
    (_CROSSER, _ranked(_crosser_dropped)),
    (_CROSSER, _ranked(lambda q, p: q.cumsum(-1) > p)),
    (_CROSSER, _ranked(lambda q, p: q.cumsum(-1) >= p)),
    (
        "one token more than needed stays: the one that reaches p is the last",
        _ranked(_too_long),
    ),
    (
        "where p is reached exactly one token too many stays: remove where the sum before it "
        "is p or more (>=, not >)",
        _ranked(lambda q, p: _before(q) > p),
    ),
    (
        "the tail is kept and the head removed: the tokens that reach p stay",
        _ranked(lambda q, p: _before(q) < p),
    ),
    (
        "the tail is cut at 1 - p: the tokens that stay reach p",
        _ranked(lambda q, p: _before(q) >= 1 - p),
    ),
    (
        "the tokens are not sorted before the sum: it must begin with the likeliest",
        _unsorted,
    ),
    ("the sum begins with the least likely: sort with descending=True", _rising),
    (
        "the mask is in sorted order, the logits are not: bring it back with scatter(-1, order, "
        "mask)",
        _in_sorted_places,
    ),
    (
        "the mask is in sorted order, the logits are not, and the token that reaches p must stay: "
        "shift the mask one place, then bring it back with scatter(-1, order, mask)",
        lambda x, p: removed(x, x.sort(dim=-1, descending=True)[0].softmax(-1).cumsum(-1) >= p),
    ),
    (
        "the way back is wrong: sorted[i] = logits[order[i]], so the mask goes back by "
        "scatter(-1, order, mask); gather would sort it once more",
        _gathered,
    ),
    ("the result is sorted: every token keeps its place", _sorted),
    (
        "each probability is compared with p by itself: add them up, the likeliest first",
        lambda x, p: removed(x, x.softmax(-1) < p),
    ),
    (
        "each probability is compared with 1 - p by itself: add them up, the likeliest first",
        lambda x, p: removed(x, x.softmax(-1) < 1 - p),
    ),
    (
        "this is min-p: each probability is compared with p times the best. Here the "
        "probabilities are added up",
        lambda x, p: removed(x, x.softmax(-1) < p * x.softmax(-1).amax(-1, keepdim=True)),
    ),
    ("p is a share of the probability, not of the number of tokens", _by_share),
    ("logits are added up: take the softmax first", _logits_summed),
    ("one sum over the whole batch: each row has its own (dim=-1)", _whole_batch),
    ("the sum runs on from row to row: each row begins at 0 (cumsum along dim=-1)", _running_on),
    (
        "every row keeps as many tokens as the first: how many it takes to reach p differs from "
        "row to row",
        _one_count,
    ),
    (
        "every row keeps as many tokens as the one that needs most: count row by row",
        _widest_count,
    ),
    (
        "the softmax is taken down the columns: tokens stand along the last dimension",
        lambda x, p: _ranked(lambda q, p: _before(q) >= p)(x.softmax(0).log(), p),
    ),
    (
        "equals of the last token stay too: where p is reached nothing more is kept; the sort "
        "has put the smaller id first",
        _with_equals,
    ),
    (
        "these are probabilities: a rule gives logits, so that the next rule can go on with them",
        lambda x, p: keep_top_p(x, p).softmax(-1),
    ),
    (
        "these are probabilities: a rule gives logits, so that the next rule can go on with them",
        lambda x, p: x.softmax(-1) * (keep_top_p(x, p) > -torch.inf),
    ),
    (
        "these are log-probabilities: leave the logits that stay as they are; the softmax comes "
        "after all rules",
        lambda x, p: keep_top_p(x, p).log_softmax(-1),
    ),
    (
        "these are log-probabilities: leave the logits that stay as they are; the softmax comes "
        "after all rules",
        lambda x, p: keep_top_p(x.log_softmax(-1), p),
    ),
    (
        "this is the mask: return the logits, with -torch.inf where it removes",
        lambda x, p: keep_top_p(x, p) > -torch.inf,
    ),
    (
        "this is the mask: return the logits, with -torch.inf where it removes",
        lambda x, p: keep_top_p(x, p) == -torch.inf,
    ),
    (
        "only the best token stays: keep on until p is reached",
        lambda x, p: removed(x, x < x.amax(-1, keepdim=True)),
    ),
)

_RNG = torch.Generator().manual_seed(11)
PROBES = ((numbers(_RNG, 3, 11), 0.8), (numbers(_RNG, 4, 7, scale=1.0), 0.6))
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, logits: Tensor, p: float) -> None:
    compare(
        answer,
        keep_top_p,
        (logits, p),
        "the logits",
        mistakes=MISTAKES,
        probes=PROBES,
        describe=wrong_choice,
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """probabilities of 1/10, 4/10, 2/10, 3/10 and p = 0.6, 0.75, 0.95, worked by hand."""
    row = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    for p in (0.6, 0.75, 0.95):
        _case(answer, torch.stack([row, row.flip(0)]), p)


def one_is_enough(answer: Answer, rng: torch.Generator) -> None:
    """a row whose best token alone has more than p keeps that one."""
    logits = numbers(rng, 3, 7, scale=1.0)
    logits[1, 4] = 9.0
    _case(answer, logits, 0.5)
    _case(answer, logits, 0.01)


def flat_and_peaked(answer: Answer, rng: torch.Generator) -> None:
    """rows between flat and peaked, each with its own number of tokens."""
    sharpness = torch.tensor([0.1, 0.5, 1.0, 3.0, 10.0]).double()
    _case(answer, numbers(rng, 5, 13, scale=1.0) * sharpness[:, None], 0.9)
    _case(answer, numbers(rng, 5, 13, scale=1.0) * sharpness[:, None], 0.3)


def exactly_reached(answer: Answer, rng: torch.Generator) -> None:
    """four equal tokens: p = 0.5 is reached by the first two, exactly."""
    _case(answer, torch.zeros(1, 4), 0.5)
    _case(answer, torch.tensor([[0.0, -torch.inf, 0.0], [-torch.inf, 2.0, 2.0]]), 0.5)


def all_of_them(answer: Answer, rng: torch.Generator) -> None:
    """p = 1 keeps every token; what an earlier rule removed stays removed."""
    logits = numbers(rng, 3, 5, scale=0.5)
    _case(answer, logits, 1.0)
    logits[:, 2] = -torch.inf
    _case(answer, logits, 0.7)


def single_precision(answer: Answer, rng: torch.Generator) -> None:
    """float32 in, float32 out, one row alone."""
    _case(answer, numbers(rng, 1, 17).float(), 0.85)
