"""Chapter 04: the cases of keep_top_k, and what known wrong answers return."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercises.ch04_shared import numbers, removed, wrong_choice
from minidistill.rules import keep_top_k


def _kth(logits: Tensor, k: int) -> Tensor:
    return logits.topk(k, dim=-1).values[..., -1:]


def _just_k(logits: Tensor, k: int) -> Tensor:
    kept = logits.topk(k, dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)


def _by_rank(logits: Tensor, first: int, last: int) -> Tensor:
    """What stands at ranks first to last - 1, by its value."""
    ranked = logits.sort(dim=-1, descending=True).values[..., first:last]
    return removed(logits, (logits > ranked[..., :1]) | (logits < ranked[..., -1:]))


_TOO_FEW = (
    "one token too few stays: the k-th best stays too, so only logits below it go (<, not <=; the "
    "k-th has the place k - 1)"
)

MISTAKES = (
    ("nothing is removed: tokens below the k-th best get -torch.inf", lambda x, k: x),
    (_TOO_FEW, lambda x, k: removed(x, x <= _kth(x, k))),
    (_TOO_FEW, lambda x, k: _by_rank(x, 0, k - 1)),
    ("one token too many stays: keep k of them", lambda x, k: _by_rank(x, 0, k + 1)),
    (
        "the best token is missing: ranks are counted from 0, so the k best are 0 to k - 1",
        lambda x, k: _by_rank(x, 1, k + 1),
    ),
    (
        "tokens exactly as likely as the k-th are removed: nothing tells equals apart, so compare "
        "with the k-th logit and keep all that are not below it",
        _just_k,
    ),
    (
        "the k least likely tokens are kept: keep the most likely",
        lambda x, k: removed(x, x > x.topk(k, dim=-1, largest=False).values[..., -1:]),
    ),
    (
        "the k best are removed and the others kept: it is the other way round",
        lambda x, k: removed(x, x >= _kth(x, k)),
    ),
    (
        "one limit for the whole batch: every row has its own k best (dim=-1)",
        lambda x, k: removed(x, x < _kth(x.flatten(), k)),
    ),
    (
        "the first row's limit is used for all rows: every row has its own k best",
        lambda x, k: removed(x, x < _kth(x[:1], k)),
    ),
    (
        "the lowest limit of all rows is used for every row: keep the dimension ([..., -1:]), so "
        "that each row is compared with its own",
        lambda x, k: removed(x, x < _kth(x, k).min()),
    ),
    (
        "argsort gives the ids in order, not each token's rank: compare the logits with the k-th "
        "best",
        lambda x, k: removed(x, x.argsort(-1, descending=True) >= k),
    ),
    (
        "argsort gives the ids in order, not each token's rank: compare the logits with the k-th "
        "best",
        lambda x, k: removed(x, x.argsort(-1) >= k),
    ),
    (
        "the best are sought down the columns: tokens stand along the last dimension (dim=-1)",
        lambda x, k: removed(x, x < x.topk(min(k, len(x)), dim=0).values[-1]),
    ),
    (
        "the tokens are ranked by size without the sign: a logit of -5 is unlikely, not strong",
        lambda x, k: removed(x, x.abs() < _kth(x.abs(), k)),
    ),
    (
        "the first k tokens of the vocabulary are kept: keep the k most likely",
        lambda x, k: removed(x, torch.arange(x.size(-1)) >= k),
    ),
    (
        "these are probabilities: a rule gives logits, so that the next rule can go on with them",
        lambda x, k: keep_top_k(x, k).softmax(-1),
    ),
    (
        "these are log-probabilities: leave the logits that stay as they are; the softmax comes "
        "after all rules",
        lambda x, k: keep_top_k(x, k).log_softmax(-1),
    ),
    (
        "the logits were turned into log-probabilities before: leave those that stay as they are",
        lambda x, k: keep_top_k(x.log_softmax(-1), k),
    ),
    (
        "these are the k best logits alone: every token keeps its place, (B, V), the others get "
        "-torch.inf",
        lambda x, k: x.topk(k, dim=-1).values,
    ),
    (
        "these are the ids of the k best: return logits, (B, V)",
        lambda x, k: x.topk(k, dim=-1).indices,
    ),
    (
        "the result is sorted: every token keeps its place",
        lambda x, k: keep_top_k(x, k).sort(dim=-1, descending=True).values,
    ),
    (
        "this is the mask: return the logits, with -torch.inf where it removes",
        lambda x, k: x >= _kth(x, k),
    ),
    (
        "this is the mask: return the logits, with -torch.inf where it removes",
        lambda x, k: x < _kth(x, k),
    ),
    (
        "the tokens that stay lose their logits (all equal): they keep what they had",
        lambda x, k: torch.where(x < _kth(x, k), -torch.inf, 0.0).to(x),
    ),
    (
        "the k-th logit is subtracted from all: those that stay keep what they had",
        lambda x, k: keep_top_k(x, k) - _kth(x, k),
    ),
    (
        "the limit is a share of the best logit: count k tokens instead",
        lambda x, k: removed(x, x < x.amax(-1, keepdim=True) / k),
    ),
    (
        "the limit is the mean logit: it is the k-th best",
        lambda x, k: removed(x, x < x.mean(-1, keepdim=True)),
    ),
    (
        "only the best token stays: keep k of them",
        lambda x, k: removed(x, x < x.amax(-1, keepdim=True)),
    ),
)

_RNG = torch.Generator().manual_seed(7)
PROBES = ((numbers(_RNG, 7, 11), 4), (numbers(_RNG, 5, 7), 3))
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, logits: Tensor, k: int) -> None:
    compare(
        answer,
        keep_top_k,
        (logits, k),
        "the logits",
        mistakes=MISTAKES,
        probes=PROBES,
        describe=wrong_choice,
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two rows of five tokens, worked by hand: k = 2."""
    _case(answer, torch.tensor([[1.0, 4.0, -3.0, 2.0, 0.5], [-1.0, -2.0, -6.0, -4.0, -3.0]]), 2)


def rows(answer: Answer, rng: torch.Generator) -> None:
    """rows of a batch, each with its own k best."""
    logits = numbers(rng, 5, 13)
    _case(answer, logits + 3.0 * torch.arange(5.0)[:, None].double(), 3)


def one_and_all(answer: Answer, rng: torch.Generator) -> None:
    """k = 1 leaves the best token, k = V all of them."""
    logits = numbers(rng, 3, 7)
    _case(answer, logits, 1)
    _case(answer, logits, 7)


def ties(answer: Answer, rng: torch.Generator) -> None:
    """several tokens exactly as likely as the k-th: all of them stay."""
    _case(answer, torch.tensor([[3.0, 1.0, 1.0, 0.0, 1.0], [2.0, 2.0, 2.0, 2.0, 2.0]]), 2)


def already_removed(answer: Answer, rng: torch.Generator) -> None:
    """tokens that an earlier rule has removed stay removed."""
    logits = numbers(rng, 3, 7)
    logits[:, ::2] = -torch.inf
    _case(answer, logits, 2)
    _case(answer, logits, 5)


def single_precision(answer: Answer, rng: torch.Generator) -> None:
    """float32 in, float32 out, one row alone."""
    _case(answer, numbers(rng, 1, 17).float(), 5)
