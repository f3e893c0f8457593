"""Chapter 07: what known wrong versions of `analogy` return."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch07_analogy_more import (
    Ids,
    changed,
    cosines,
    distance,
    last_real,
    lowest,
    product,
    removed,
)

_STEPS: Parts = {
    "unit": lambda three: F.normalize(three, dim=1),
    "wanted": lambda x, y, z: y - x + z,
    "score": cosines,
    "gone": lambda a, b, c: (a, b, c),
    "leave": lowest,
    "pick": lambda scores, count: scores.topk(min(count, len(scores))).indices,
    "give": lambda best, scores: best.tolist(),
}


def build(parts: Parts) -> Callable[..., Any]:
    """An `analogy` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
        wanted = s.wanted(*s.unit(vectors[[a, b, c]]))
        scores = s.leave(s.score(vectors, wanted), s.gone(a, b, c))
        return s.give(s.pick(scores, count), scores)

    return mistaken


def _afterwards(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    """The three are taken out of the best `count`, of which fewer are left."""
    best = build({"gone": lambda a, b, c: ()})(vectors, a, b, c, count)
    return [i for i in best if i not in (a, b, c)]


def _not_cut(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    """The three are taken out of the best count + 3, and all that is left comes back."""
    return _afterwards(vectors, a, b, c, count + 3)


def _no_zero_rows(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    nothing = (vectors == 0).all(1).nonzero()[:, 0].tolist()
    return build({"gone": lambda a, b, c: (a, b, c, *nothing)})(vectors, a, b, c, count)


def _without(text: str, kept: Callable[[int, int, int], Ids]) -> Fault:
    return (
        f"{text} may be among the answers: the three words of the question are left out, as the "
        "nearest of all is often one of them",
        {"gone": kept},
    )


RAW = (
    "a, b and c are taken with the lengths that they have, so that a long vector has more of a say "
    "in b - a + c than a short one: what do they have to be brought to, each by itself, before "
    "they are added up?"
)
DOT = (
    "the candidates are compared by dot products, where a long vector is near to everything: a "
    "cosine has no length in it"
)
FEWER = (
    "the three are left out of the best `count`, and fewer than `count` remain: when should they "
    "be left out?"
)
RENUMBERED = (
    "after the rows of the three are taken out, the others have new numbers: return the ids that "
    "they have in `vectors`"
)
EUCLID = (
    "the candidates are compared by their distances, which depend on their lengths: by cosines, "
    "which do not"
)
COSINES = "these are the cosines, or numbers like them: the ids of the words that have them"
WORST = "the words come from the bottom of the order: the nearest have the largest cosines"
RISING = "the right words, but the best stands last: the best first"

UNIT_STEP = (
    "the difference b - a is brought to length 1 before c is added: the three vectors are, each "
    "by itself, and then they are added up as they are"
)
TABLE = (
    "the vectors are divided number by number over the whole table: each by its own length, "
    "so which dimension is it?"
)
CENTRED = "the mean of all vectors is taken off the candidates: they are taken as they are"
PRODUCT = "cosines are multiplied and divided, which is another rule: of the sum b - a + c"
IDS_AND_COSINES = "these are pairs of ids and cosines: the ids alone"

FAULTS: tuple[Fault, ...] = (
    (RAW, {"unit": lambda three: three}),
    (
        "a, b and c are divided number by number over the three of them: each vector by its own "
        "length, so which dimension is it?",
        {"unit": lambda three: F.normalize(three, dim=0)},
    ),
    (
        "a, b and c are divided by the sum of their numbers: by their length",
        {"unit": lambda three: three / three.sum(1, keepdim=True)},
    ),
    (
        "a, b and c are divided by the sum of absolute values: their length is the root of the "
        "sum of squares",
        {"unit": lambda three: F.normalize(three, dim=1, p=1.0)},
    ),
    (
        "a, b and c are divided by the squares of their lengths: by the lengths",
        {"unit": lambda three: three / three.square().sum(1, keepdim=True)},
    ),
    ("the signs are wrong: this is a - b + c", {"wanted": lambda x, y, z: x - y + z}),
    ("the signs are wrong: this is b - a - c", {"wanted": lambda x, y, z: y - x - z}),
    ("the signs are wrong: this is a + b + c", {"wanted": lambda x, y, z: x + y + z}),
    ("the signs are wrong: this is a + b - c", {"wanted": lambda x, y, z: x + y - z}),
    (UNIT_STEP, {"wanted": lambda x, y, z: F.normalize(y - x, dim=0) + z}),
    (
        UNIT_STEP,
        {
            "unit": lambda three: three,
            "wanted": lambda x, y, z: F.normalize(y - x, dim=0) + F.normalize(z, dim=0),
        },
    ),
    ("c is left out of the sum: b - a + c", {"wanted": lambda x, y, z: y - x}),
    ("a is left out of the sum: b - a + c", {"wanted": lambda x, y, z: y + z}),
    ("b is left out of the sum: b - a + c", {"wanted": lambda x, y, z: z - x}),
    ("these are the neighbours of b alone: of b - a + c", {"wanted": lambda x, y, z: y}),
    ("these are the neighbours of c alone: of b - a + c", {"wanted": lambda x, y, z: z}),
    (DOT, {"score": lambda vectors, wanted: vectors @ wanted}),
    (
        "nothing is brought to length 1, neither the three nor the candidates: cosines do not "
        "depend on lengths",
        {"unit": lambda three: three, "score": lambda vectors, wanted: vectors @ wanted},
    ),
    (EUCLID, {"score": distance}),
    (EUCLID, {"score": distance, "unit": lambda three: three}),
    (
        EUCLID,
        {
            "score": lambda vectors, wanted: distance(vectors, F.normalize(wanted, dim=0)),
        },
    ),
    (
        "the candidates of length 1 are compared by their distance to b - a + c: a row of zeros "
        "has the cosine 0 with everything, but not the distance that belongs to it",
        {"score": lambda vectors, wanted: distance(F.normalize(vectors, dim=1), wanted)},
    ),
    (
        "a word that points the other way counts as near: the sign of a cosine counts",
        {"score": lambda vectors, wanted: cosines(vectors, wanted).abs()},
    ),
    (
        "a word that points the other way counts as near: the sign of a cosine counts",
        {"score": lambda vectors, wanted: cosines(vectors, wanted).square()},
    ),
    (
        TABLE,
        {"score": lambda vectors, wanted: F.normalize(vectors, dim=0) @ wanted},
    ),
    (
        CENTRED,
        {"score": lambda vectors, wanted: cosines(vectors - vectors.mean(0), wanted)},
    ),
    (
        "the candidates are divided by the squares of their lengths: by the lengths",
        {
            "score": lambda vectors, wanted: (
                vectors @ wanted / vectors.square().sum(1).clamp(min=1e-12)
            )
        },
    ),
    _without("a, b and c", lambda a, b, c: ()),
    _without("a and b", lambda a, b, c: (c,)),
    _without("a and c", lambda a, b, c: (b,)),
    _without("b and c", lambda a, b, c: (a,)),
    _without("a", lambda a, b, c: (b, c)),
    _without("b", lambda a, b, c: (a, c)),
    _without("c", lambda a, b, c: (a, b)),
    (
        "a, b and c get the cosine 0, which words that point the other way do not reach: they are "
        "to come last of all",
        {"leave": lambda scores, gone: scores.index_fill(0, torch.tensor(list(gone)), 0.0)},
    ),
    (
        "only a, b and c come back: they are the ones to be left out",
        {
            "leave": lambda scores, gone: scores.index_fill(
                0, torch.tensor(sorted({*range(len(scores))} - {*gone})), -math.inf
            )
        },
    ),
    (
        "a, b and c stand first: they are the ones to be left out",
        {"leave": lambda scores, gone: scores.index_fill(0, torch.tensor(list(gone)), math.inf)},
    ),
    (
        "the first three words are skipped, whoever they are: a, b and c are to be left out, and "
        "they need not be the nearest",
        {
            "gone": lambda a, b, c: (),
            "pick": lambda scores, count: scores.argsort(descending=True)[3 : count + 3],
        },
    ),
    (WORST, {"pick": lambda scores, count: scores.argsort()[:count]}),
    (WORST, {"pick": last_real}),
    (RISING, {"pick": lambda scores, count: scores.topk(count).indices.flip(0)}),
    (
        "the right words, but in the order of their ids: the best first",
        {"pick": lambda scores, count: scores.topk(count).indices.sort().values},
    ),
    (
        "the best word is left out: of the question's own words none is left to be skipped",
        {"pick": lambda scores, count: scores.argsort(descending=True)[1 : count + 1]},
    ),
    (
        "one word too few: `count` of them",
        {"pick": lambda scores, count: scores.topk(count - 1).indices},
    ),
    (
        "one word too many: `count` of them",
        {"pick": lambda scores, count: scores.topk(min(count + 1, len(scores))).indices},
    ),
    (
        "three words too many: `count` of them",
        {"pick": lambda scores, count: scores.topk(min(count + 3, len(scores))).indices},
    ),
    (
        "three words too few: `count` of them, which do not count the three left out",
        {"pick": lambda scores, count: scores.topk(max(0, count - 3)).indices},
    ),
    (
        "`count` is an argument: here it counts as 5 whatever is handed in",
        {"pick": lambda scores, count: scores.topk(min(5, len(scores))).indices},
    ),
    (
        "only the best word comes back: `count` of them",
        {"pick": lambda scores, count: scores.topk(1).indices},
    ),
    (
        "only the best word comes back: a list of `count` of them",
        {
            "pick": lambda scores, count: scores.argmax(),
            "give": lambda best, scores: int(best),
        },
    ),
    (
        "all words come back: `count` of them",
        {"pick": lambda scores, count: scores.argsort(descending=True)[: len(scores) - 3]},
    ),
    (COSINES, {"give": lambda best, scores: scores[best].tolist()}),
    (
        IDS_AND_COSINES,
        {"give": lambda best, scores: list(zip(best.tolist(), scores[best].tolist(), strict=True))},
    ),
    (
        "the cosines come with the ids: the ids alone",
        {"give": lambda best, scores: [best.tolist(), scores[best].tolist()]},
    ),
    (
        "the cosines come with the ids: the ids alone",
        {"give": lambda best, scores: [scores[best].tolist(), best.tolist()]},
    ),
)


MISTAKES: tuple[Mistake, ...] = (
    *singles(build, FAULTS),
    (FEWER, _afterwards),
    (RENUMBERED, removed),
    *((PRODUCT, partial(product, small=small)) for small in (1e-3, 1e-6, 0.0)),
    (
        "the three are taken out of the best count + 3, of which more than `count` may be left: "
        "the first `count` of them",
        _not_cut,
    ),
    (TABLE, changed(partial(F.normalize, dim=0))),
    (
        "the mean of all vectors is taken off before they are brought to length 1: they are taken "
        "as they are",
        changed(lambda vectors: F.normalize(vectors - vectors.mean(0), dim=1)),
    ),
    (
        "rows of zeros are left out: their cosine is 0, which is more than that of many words",
        _no_zero_rows,
    ),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
