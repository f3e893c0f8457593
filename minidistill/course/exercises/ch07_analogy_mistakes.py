"""Chapter 07: what known wrong versions of `analogy` return."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles

Ids = Sequence[int]


def _cosines(vectors: Tensor, wanted: Tensor) -> Tensor:
    return F.normalize(vectors, dim=1) @ F.normalize(wanted, dim=0)


def _lowest(scores: Tensor, gone: Ids) -> Tensor:
    scores = scores.clone()
    scores[list(gone)] = -math.inf
    return scores


_STEPS: Parts = {
    "unit": lambda three: F.normalize(three, dim=1),
    "wanted": lambda x, y, z: y - x + z,
    "score": _cosines,
    "gone": lambda a, b, c: (a, b, c),
    "leave": _lowest,
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


def _distance(vectors: Tensor, wanted: Tensor) -> Tensor:
    return -(vectors - wanted).norm(dim=1)


def _afterwards(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    """The three are taken out of the best `count`, of which fewer are left."""
    best = build({"gone": lambda a, b, c: ()})(vectors, a, b, c, count)
    return [i for i in best if i not in (a, b, c)]


def _removed(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    """The rows of the three are taken out, and all others get the numbers of their new places."""
    kept = [i for i in range(len(vectors)) if i not in (a, b, c)]
    directions = F.normalize(vectors, dim=1)
    wanted = directions[b] - directions[a] + directions[c]
    return (directions[kept] @ wanted).topk(min(count, len(kept))).indices.tolist()


def _product(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    """Cosines multiplied and divided, not added up."""
    directions = F.normalize(vectors, dim=1)
    near = (1 + directions @ directions[[a, b, c]].T) / 2  # (V, 3)
    scores = near[:, 1] * near[:, 2] / (near[:, 0] + 1e-3)
    return _lowest(scores, (a, b, c)).topk(count).indices.tolist()


def _no_zero_rows(vectors: Tensor, a: int, b: int, c: int, count: int) -> Any:
    nothing = (vectors == 0).all(1).nonzero()[:, 0].tolist()
    return build({"gone": lambda a, b, c: (a, b, c, *nothing)})(vectors, a, b, c, count)


def _last_real(scores: Tensor, count: int) -> Tensor:
    """Those of the lowest cosines, the words that are left out aside."""
    return scores.masked_fill(scores.isinf(), math.inf).argsort()[:count]


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
    (EUCLID, {"score": _distance}),
    (EUCLID, {"score": _distance, "unit": lambda three: three}),
    (
        EUCLID,
        {
            "score": lambda vectors, wanted: _distance(vectors, F.normalize(wanted, dim=0)),
        },
    ),
    (
        "the candidates of length 1 are compared by their distance to b - a + c: a row of zeros "
        "has the cosine 0 with everything, but not the distance that belongs to it",
        {"score": lambda vectors, wanted: _distance(F.normalize(vectors, dim=1), wanted)},
    ),
    (
        "a word that points the other way counts as near: the sign of a cosine counts",
        {"score": lambda vectors, wanted: _cosines(vectors, wanted).abs()},
    ),
    (
        "a word that points the other way counts as near: the sign of a cosine counts",
        {"score": lambda vectors, wanted: _cosines(vectors, wanted).square()},
    ),
    (
        "the vectors are divided number by number over the whole table: each by its own length, "
        "so which dimension is it?",
        {"score": lambda vectors, wanted: F.normalize(vectors, dim=0) @ wanted},
    ),
    (
        "the mean of all vectors is taken off the candidates: they are taken as they are",
        {"score": lambda vectors, wanted: _cosines(vectors - vectors.mean(0), wanted)},
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
    (WORST, {"pick": lambda scores, count: scores.argsort()[:count]}),
    (WORST, {"pick": _last_real}),
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
        "these are pairs of ids and cosines: the ids alone",
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
    (RENUMBERED, _removed),
    (
        "cosines are multiplied and divided, which is another rule: of the sum b - a + c",
        _product,
    ),
    (
        "rows of zeros are left out: their cosine is 0, which is more than that of many words",
        _no_zero_rows,
    ),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
