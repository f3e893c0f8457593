"""Chapter 07: what known wrong versions of `mean_query_attention` return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.course.answer import reference_answer
from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch07_formula_more import (
    FROM_THE_START,
    GIVEN,
    MIXES,
    ONLY_FULL,
    TWICE,
    along_the_numbers,
    by_their_sum,
    changed_roles,
    count,
    each_number,
    filled,
    from_the_start,
    largest,
    less_itself,
    of_all_words,
    only_full,
    place,
    self_attention,
    twice,
    vectors_alone,
    without_itself,
)

_STEPS: Parts = {
    "seen": lambda mask: mask,
    "query": lambda keys, mask, vectors: filled(keys, mask).sum(1) / count(mask),
    "scores": lambda keys, V: (keys * V[:, None]).sum(-1),
    "fill": lambda scores, mask: scores.masked_fill(~mask, -1e30),
    "share": lambda scores: scores.softmax(1),
    "after": lambda weights, mask: weights.masked_fill(~mask, 0.0),
    "mix": lambda weights, vectors, keys, mask: (weights[:, :, None] * vectors).sum(1),
    "give": lambda x, weights: (x, weights),
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `mean_query_attention` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(keys: Tensor, vectors: Tensor, mask: Tensor) -> Any:
        real = s.seen(mask)
        scores = s.scores(keys, s.query(keys, real, vectors))
        weights = s.after(s.share(s.fill(scores, real)), real)
        return s.give(s.mix(weights, vectors, keys, real), weights)

    return mistaken


def _unmasked(parts: Parts) -> Parts:
    """The softmax runs over padding too."""
    return {"fill": lambda scores, mask: scores, "after": lambda weights, mask: weights} | parts


def _scored_by(change: Callable[[Tensor, Tensor], Tensor]) -> Parts:
    return {"scores": change}


LATE = (
    "the mask comes after the softmax, and the weights of the real words no longer add up to 1: "
    "padding must have lost its share before the others are divided"
)
UNIFORM = (
    "a row without any real word gets weights all the same: nothing is there to be weighed, so "
    "all of them are 0, and so is x"
)
MEAN_OF_ALL = (
    "V is the mean over padding, too: what stands there is no word of this context, and must "
    "change neither the sum nor the number that it is divided by"
)
DIVIDED_BY_C = (
    "V is divided by C, padding counted: by how many words is a mean of the real ones divided?"
)
ONE_MEAN = "V is one mean for the whole batch: every context has its own"
WITHOUT_ITSELF = (
    "each word is compared with the mean of the others: V is the mean of all real keys, this "
    "word's own among them"
)
FROM_VECTORS = "V is the mean of the vectors e: the query is made from the keys W"
ROOT = "the scores are divided by the root of A: the formula has no such factor"
ZERO_SCORE = (
    "padding gets the score 0, which is a score like others, as e^0 is 1: it should have none"
)
FIRST_MASK = "the first row's mask is used for all: every context has its own"

FAULTS: tuple[Fault, ...] = (
    (MEAN_OF_ALL, {"query": lambda keys, mask, vectors: keys.mean(1)}),
    (DIVIDED_BY_C, {"query": lambda keys, mask, vectors: filled(keys, mask).mean(1)}),
    (
        "padding is in the sum of V, though it is divided by the number of real words",
        {"query": lambda keys, mask, vectors: keys.sum(1) / count(mask)},
    ),
    (
        "V is divided by the number of words of the longest context: each by its own",
        {"query": lambda keys, mask, e: filled(keys, mask).sum(1) / count(mask).amax()},
    ),
    (
        "V or the scores are divided by the number of words once more: V is a mean already",
        {"query": lambda keys, mask, e: filled(keys, mask).sum(1) / count(mask).square()},
    ),
    (
        "V is the sum of the keys: their mean",
        {"query": lambda keys, mask, vectors: filled(keys, mask).sum(1)},
    ),
    ("V is the largest of the keys, number by number: their mean", {"query": largest}),
    ("V is the first word's key: the mean of all real ones", {"query": place(False)}),
    ("V is the last word's key: the mean of all real ones", {"query": place(True)}),
    (ONE_MEAN, {"query": of_all_words}),
    (
        ONE_MEAN,
        {
            "query": lambda keys, mask, vectors: (
                (filled(keys, mask).sum(1) / count(mask)).mean(0).expand(len(keys), -1)
            )
        },
    ),
    (
        "V is a mean over the batch, not over the words of a context",
        {"scores": lambda keys, V: (keys * keys.mean(0)).sum(-1)},
    ),
    (
        FROM_VECTORS,
        {"query": lambda keys, mask, vectors: filled(vectors, mask).sum(1) / count(mask)},
    ),
    ("the mask is not used at all: padding is no word", {"seen": torch.ones_like}),
    ("the mask is turned round: True is a real word", {"seen": lambda mask: ~mask}),
    (FIRST_MASK, {"seen": lambda mask: mask[:1].expand_as(mask)}),
    (FROM_THE_START, {"seen": from_the_start}),
    (ONLY_FULL, {"after": only_full}),
    (LATE, {"fill": lambda scores, mask: scores}),
    (
        "V knows the mask, the softmax does not: padding must have no share in the weights either",
        _unmasked({}),
    ),
    (
        "neither V nor the softmax leaves padding out, only the sum at the end does: all of them",
        {
            "query": lambda keys, mask, vectors: keys.mean(1),
            "fill": lambda scores, mask: scores,
        },
    ),
    (ZERO_SCORE, {"fill": lambda scores, mask: scores * mask}),
    (
        ZERO_SCORE,
        _unmasked({"fill": lambda scores, mask: scores * mask}),
    ),
    (UNIFORM, {"after": lambda weights, mask: weights}),
    (ROOT, _scored_by(lambda keys, V: (keys * V[:, None]).sum(-1) / V.size(1) ** 0.5)),
    (
        "the products are averaged over the A numbers: a dot product is their sum",
        _scored_by(lambda keys, V: (keys * V[:, None]).mean(-1)),
    ),
    (
        "the scores are cosines: keys and V are taken with the lengths that they have",
        _scored_by(lambda keys, V: F.cosine_similarity(keys, V[:, None], dim=-1)),
    ),
    (
        "the keys are brought to length 1: they are taken as they are",
        _scored_by(lambda keys, V: (F.normalize(keys, dim=-1) * V[:, None]).sum(-1)),
    ),
    (
        "V is brought to length 1: it is taken as it is",
        _scored_by(lambda keys, V: (keys * F.normalize(V, dim=-1)[:, None]).sum(-1)),
    ),
    (
        "a word that fits V weighs little: the score comes in with the wrong sign",
        _scored_by(lambda keys, V: -(keys * V[:, None]).sum(-1)),
    ),
    (
        "the score is a distance from V: the formula has a dot product",
        _scored_by(lambda keys, V: -(keys - V[:, None]).norm(dim=-1)),
    ),
    (
        "the score is a distance from V: the formula has a dot product",
        _scored_by(lambda keys, V: -(keys - V[:, None]).square().sum(-1)),
    ),
    (
        "the score is the length of the key, V plays no part in it",
        _scored_by(lambda keys, V: keys.square().sum(-1)),
    ),
    (
        "every row meets the query of the first: every context has its own V",
        _scored_by(lambda keys, V: (keys * V[:1, None]).sum(-1)),
    ),
    (
        "the scores go through a tanh: the formula has none",
        _scored_by(lambda keys, V: (keys * V[:, None]).sum(-1).tanh()),
    ),
    (
        "the words weigh the same, as in the plain mean: the scores play no part",
        {"share": lambda scores: (0 * scores + (scores > -1e29)).div(count(scores > -1e29))},
    ),
    (
        "the softmax runs over the batch: over the words of each context",
        {"share": lambda scores: scores.softmax(0)},
    ),
    (
        "the softmax runs over all contexts together: over the words of each",
        {"share": lambda scores: scores.flatten().softmax(0).view_as(scores)},
    ),
    (
        "this is a sigmoid, each word by itself: the weights of a context add up to 1",
        {"share": torch.sigmoid},
    ),
    (
        "e to the scores is not divided by its sum: the weights of a context add up to 1",
        {"share": torch.exp},
    ),
    (
        "these are logarithms of the weights",
        {"share": lambda scores: scores.log_softmax(1)},
    ),
    (
        "the softmax is missing: the scores themselves are the weights",
        {"share": lambda scores: scores},
    ),
    (TWICE, {"share": twice}),
    (
        "the scores are divided by their sum: e to them first, and then by the sum of that",
        {"share": by_their_sum},
    ),
    (
        "all weight goes to the word that fits best: a softmax gives every word its share",
        {
            "share": lambda scores: F.one_hot(scores.argmax(1), scores.size(1)).to(scores),
        },
    ),
    *MIXES,
    *GIVEN,
)


MISTAKES: tuple[Mistake, ...] = (
    *singles(build, FAULTS),
    (WITHOUT_ITSELF, without_itself),
    (WITHOUT_ITSELF, less_itself),
    (
        "V and the scores are made from the vectors e: both are made from the keys W",
        vectors_alone,
    ),
    ("keys and vectors have changed roles: V and the scores need W, x needs e", changed_roles),
    (
        "each of the A numbers of a key has a softmax of its own: a word has one score, the dot "
        "product of its key with V",
        each_number,
    ),
    (
        "the softmax runs over the A numbers of a key: over the words of a context, and a word "
        "has one score",
        along_the_numbers,
    ),
    (
        "every word looks at every other, and the weights are averaged: there is one query, the "
        "mean of the keys",
        self_attention,
    ),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""


def detached(args: tuple[Any, ...]) -> Iterator[tuple[str, list[Tensor]]]:
    """The gradients by keys and vectors where one source is cut off, with what to say."""
    cut = "the right values, but no gradient flows through {}: it is detached there"
    right = SimpleNamespace(**_STEPS)
    names: dict[str, Parts] = {
        "V": {"query": lambda keys, mask, e: right.query(keys, mask, e).detach()},
        "the keys, where they meet V": {"scores": lambda k, V: right.scores(k.detach(), V)},
        "the scores": {"scores": lambda keys, V: right.scores(keys, V).detach()},
        "the weights, where they meet the vectors": {
            "mix": lambda w, e, keys, mask: right.mix(w.detach(), e, keys, mask)
        },
        "the vectors": {"mix": lambda w, e, keys, mask: right.mix(w, e.detach(), keys, mask)},
        "the weights that are returned": {"give": lambda x, weights: (x, weights.detach())},
    }
    for name, parts in names.items():
        handle = reference_answer(build(parts))
        yield cut.format(name), handle.gradients(*args, wrt=(0, 1))["inputs"]
