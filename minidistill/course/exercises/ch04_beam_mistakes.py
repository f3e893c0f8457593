"""Chapter 04: what known wrong versions of `beam_step` return."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_beam_ended import ENDED, free
from minidistill.course.exercises.ch04_pairs import Fault, Parts

Step = tuple[Tensor, ...]


def _best(totals: Tensor, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The K best of (B, K, V) and their places among K * V."""
    best, place = totals.flatten(1).topk(totals.size(1), dim=1, largest=largest)
    return best, place


_STEPS: Parts = {
    "ended": free,
    "total": lambda s, q: s[..., None] + q,
    "choose": _best,
    "read": lambda place, K, V: (place // V, place % V),
    "score": lambda best, s, q, parents, tokens: best,
    "result": lambda best, parents, tokens: (best, parents, tokens),
}
"""The right steps: ended beams, sums, the best and their places, parents and tokens, scores."""


def _build(parts: Parts) -> Callable[..., Step]:
    p = SimpleNamespace(**_STEPS | parts)

    def mistaken(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
        scores, price = p.ended(s, q, e, stop)
        best, place = p.choose(p.total(scores, price))
        _, K, V = q.shape
        parents, tokens = p.read(place, K, V)
        shown = p.score(best, s, (price, q), place // V, place % V)
        return p.result(shown, parents, tokens)

    return mistaken


def _each_its_own(totals: Tensor) -> tuple[Tensor, Tensor]:
    """Every beam goes on with its own best token."""
    best, place = _each_its_own_unsorted(totals)
    best, order = best.sort(dim=-1, descending=True, stable=True)
    return best, place.gather(1, order)


def _each_its_own_unsorted(totals: Tensor) -> tuple[Tensor, Tensor]:
    best, token = totals.max(-1)
    return best, token + torch.arange(totals.size(1)) * totals.size(2)


def _from_first(totals: Tensor) -> tuple[Tensor, Tensor]:
    """Only the beam with the number 0 goes on."""
    best, token = totals[:, 0].topk(totals.size(1), dim=-1)
    return best, token


def _whole_batch(totals: Tensor) -> tuple[Tensor, Tensor]:
    B, K, V = totals.shape
    best, place = totals.flatten().topk(B * K)
    return best.view(B, K), place.view(B, K) % (K * V)


def _turned(totals: Tensor) -> tuple[Tensor, Tensor]:
    """(B, V, K) flattened, but read as (B, K, V)."""
    return totals.transpose(1, 2).flatten(1).topk(totals.size(1))


def _backwards(totals: Tensor) -> tuple[Tensor, Tensor]:
    best, place = _best(totals)
    return best.flip(1), place.flip(1)


def _over_batch(place: Tensor, K: int, V: int) -> tuple[Tensor, Tensor]:
    return place // V + torch.arange(len(place))[:, None] * K, place % V


def _new_only(best: Tensor, s: Tensor, q: tuple, parents: Tensor, tokens: Tensor) -> Tensor:
    """What the new tokens cost, ended beams held."""
    return q[0].flatten(1).gather(1, parents * q[0].size(2) + tokens)


def _as_given(best: Tensor, s: Tensor, q: tuple, parents: Tensor, tokens: Tensor) -> Tensor:
    """What log_probs says of the new tokens, of ended beams too."""
    return q[1].flatten(1).gather(1, parents * q[1].size(2) + tokens)


_BY_PLACE = "place // K and place % K: in a row of K * V places, V follow each other for a parent"
_ITS_OWN = (
    "every beam goes on with its own best token: the K best are chosen among all K * V "
    "continuations of a row, two of them may have the same parent"
)
_ONE_BEAM = "only the best beam goes on: choose among the continuations of all K"
_NEW_ALONE = "the scores that come back are the new tokens' alone: add the parent's"
_SWAPPED = "parents and tokens are swapped: return scores, parents, tokens"
_ORDER = "the results stand in another order: return scores, parents, tokens"

_FAULTS: tuple[Fault, ...] = (
    *ENDED,
    (
        "the scores so far are not counted: a beam's score is the sum over its whole text",
        {"total": lambda s, q: q},
    ),
    (
        "a probability is added to a logarithm (no exp here): the scores are sums of "
        "log-probabilities",
        {"total": lambda s, q: s[..., None] + q.exp()},
    ),
    (
        "the scores are turned into probabilities and added: probabilities of one text multiply, "
        "so their logarithms add",
        {"total": lambda s, q: s[..., None].exp() + q.exp()},
    ),
    (
        "the logarithms are multiplied: they add, as probabilities multiply",
        {"total": lambda s, q: s[..., None] * q},
    ),
    (
        "the log-probabilities are subtracted: add them",
        {"total": lambda s, q: s[..., None] - q},
    ),
    ("the scores are subtracted: add them", {"total": lambda s, q: q - s[..., None]}),
    (
        "a score of -inf is turned into 0, the best there is: such a beam must not win",
        {"total": lambda s, q: s.masked_fill(s == -torch.inf, 0.0)[..., None] + q},
    ),
    (_ITS_OWN, {"choose": _each_its_own}),
    (_ITS_OWN, {"choose": _each_its_own_unsorted}),
    (_ONE_BEAM, {"choose": _from_first}),
    (
        "the K best are chosen among all rows together: each row is a search of its own "
        "(flatten(1), not flatten())",
        {"choose": _whole_batch},
    ),
    (
        "parents and tokens are mixed up by the order of the dimensions: flatten (K, V), so that "
        "place = parent * V + token",
        {"choose": _turned},
    ),
    (
        "the worst continuations are chosen: the K largest sums",
        {"choose": lambda totals: _best(totals, largest=False)},
    ),
    ("the best stands last: best first", {"choose": _backwards}),
    (_BY_PLACE, {"read": lambda place, K, V: (place // K, place % K)}),
    (_BY_PLACE, {"read": lambda place, K, V: (place % K, place // K)}),
    (_BY_PLACE, {"read": lambda place, K, V: (place // K, place % V)}),
    (_BY_PLACE, {"read": lambda place, K, V: (place // V, place % K)}),
    (_BY_PLACE, {"read": lambda place, K, V: (place % K, place % V)}),
    (
        "the parents are fractions: place // V is a whole number, place / V is not",
        {"read": lambda place, K, V: (place / V, place % V)},
    ),
    (
        "the tokens are places among K * V: place % V is the token",
        {"read": lambda place, K, V: (place // V, place)},
    ),
    (
        "the parents are counted over the whole batch: from 0 to K - 1 in each row",
        {"read": _over_batch},
    ),
    (
        "the parents are counted from 1: from 0 to K - 1",
        {"read": lambda place, K, V: (place // V + 1, place % V)},
    ),
    (
        "the scores come back as probabilities: stay with logarithms, or a long text underflows "
        "to 0",
        {"score": lambda best, *rest: best.exp()},
    ),
    (
        "the score is averaged with the new log-probability: add them",
        {"score": lambda best, *rest: best / 2},
    ),
    (
        "the K scores are normalised among themselves: return the sums as they are",
        {"score": lambda best, *rest: best.log_softmax(-1)},
    ),
    (_NEW_ALONE, {"score": _new_only}),
    (_NEW_ALONE, {"score": _as_given}),
    (
        "the scores that come back are the parents': add the new tokens'",
        {"score": lambda best, s, q, parents, tokens: s.gather(1, parents)},
    ),
    (
        "the new log-probabilities are added to the old scores in their old order: add the score "
        "of each one's own parent",
        {"score": lambda best, s, *rest: s + _new_only(best, s, *rest)},
    ),
    (
        "the new log-probabilities are added to the old scores in their old order: add the score "
        "of each one's own parent",
        {"score": lambda best, s, *rest: s + _as_given(best, s, *rest)},
    ),
    (_SWAPPED, {"result": lambda best, parents, tokens: (best, tokens, parents)}),
    (_ORDER, {"result": lambda best, parents, tokens: (parents, tokens, best)}),
    (_ORDER, {"result": lambda best, parents, tokens: (tokens, parents, best)}),
    (_ORDER, {"result": lambda best, parents, tokens: (parents, best, tokens)}),
)


def _from_best(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """Only the best beam goes on."""
    totals = s[..., None] + free(s, q, e, stop)[1]
    first = s.argmax(1)
    best, token = totals[torch.arange(len(s)), first].topk(s.size(1), dim=-1)
    return best, first[:, None].expand_as(token), token


def _places_in_own_best(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """Each beam's own K best first, whose ids are then forgotten."""
    few = min(s.size(1), q.size(2))
    totals = s[..., None] + free(s, q, e, stop)[1]
    best, place = totals.topk(few).values.flatten(1).topk(s.size(1))
    return best, place // few, place % few


MISTAKES = (
    *two.singles(_build, _FAULTS),
    (_ONE_BEAM, _from_best),
    (
        "the tokens are places among each beam's own best: look up which tokens those are (gather)",
        _places_in_own_best,
    ),
)

PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
