"""Chapter 04: what known wrong versions of `beam_step` return."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from minidistill.search import beam_step

Step = tuple[Tensor, Tensor, Tensor]
_Totals = Callable[[Tensor, Tensor, Tensor, int | None], Tensor]


def _free(log_probs: Tensor, ended: Tensor, stop_id: int | None) -> Tensor:
    """Log-probabilities where an ended beam goes on with stop_id alone, at no cost."""
    if stop_id is None:
        return log_probs
    only = torch.full_like(log_probs, -torch.inf)
    only[..., stop_id] = 0.0
    return torch.where(ended[..., None], only, log_probs)


def _right(scores: Tensor, log_probs: Tensor, ended: Tensor, stop_id: int | None) -> Tensor:
    return scores[..., None] + _free(log_probs, ended, stop_id)


def _chosen(totals: Tensor, largest: bool = True) -> Step:
    """The K best of (B, K, V)."""
    best, place = totals.flatten(1).topk(totals.size(1), dim=1, largest=largest)
    size = totals.size(2)
    return best, place // size, place % size


def _by(totals: _Totals) -> Callable[..., Step]:
    """A wrong answer from wrong totals (B, K, V), chosen from in the right way."""
    return lambda s, q, e, stop: _chosen(totals(s, q, e, stop))


def _ended_as(change: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> Callable[..., Step]:
    """A wrong answer that does something else with beams that have ended."""

    def mistaken(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
        return _chosen(s[..., None] + q if stop is None else change(s, q, e, stop))

    return mistaken


def _stop_kept_its_price(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    only = torch.full_like(q, -torch.inf)
    only[..., stop] = q[..., stop]
    return s[..., None] + torch.where(e[..., None], only, q)


def _everything_free(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    return s[..., None] + q.masked_fill(e[..., None], 0.0)


def _only_stop_free(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    price = q.clone()
    price[..., stop] = torch.where(e, 0.0, q[..., stop])
    return s[..., None] + price


def _ended_dropped(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    return s[..., None] + q.masked_fill(e[..., None], -torch.inf)


def _from_zero(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    return (s * ~e)[..., None] + _free(q, e, stop)


def _wrong_way_round(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    return s[..., None] + _free(q, ~e, stop)


def _by_first_row(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    return s[..., None] + _free(q, e[:1].expand_as(e), stop)


def _each_its_own(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """Every beam goes on with its own best token."""
    best, token = _right(s, q, e, stop).max(-1)
    best, order = best.sort(dim=-1, descending=True, stable=True)
    return best, order, token.gather(1, order)


def _each_its_own_unsorted(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    best, token = _right(s, q, e, stop).max(-1)
    return best, torch.arange(s.size(1)).expand_as(s), token


def _best_only(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """Only the best beam goes on."""
    totals = _right(s, q, e, stop)
    first = s.argmax(1)
    lines = torch.arange(len(s))
    best, token = totals[lines, first].topk(s.size(1), dim=-1)
    return best, first[:, None].expand_as(token), token


def _whole_batch(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    totals = _right(s, q, e, stop)
    best, place = totals.flatten().topk(s.numel())
    B, K, V = totals.shape
    return best.view(B, K), (place // V % K).view(B, K), (place % V).view(B, K)


def _turned(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """(B, V, K) flattened, but read as (B, K, V)."""
    best, place = _right(s, q, e, stop).transpose(1, 2).flatten(1).topk(s.size(1))
    return best, place // q.size(2), place % q.size(2)


def _divided_by_k(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    best, place = _right(s, q, e, stop).flatten(1).topk(s.size(1))
    return best, place // s.size(1), place % s.size(1)


def _places_in_own_best(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """Each beam's own K best first, whose ids are then forgotten."""
    few = min(s.size(1), q.size(2))
    best, place = _right(s, q, e, stop).topk(few).values.flatten(1).topk(s.size(1))
    return best, place // few, place % few


def _fractions(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    best, place = _right(s, q, e, stop).flatten(1).topk(s.size(1))
    return best, place / q.size(2), place % q.size(2)


def _stop_free_for_all(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    price = q.masked_fill(e[..., None], -torch.inf)
    price[:, :, stop] = 0.0  # for None this is all of them
    return _chosen(s[..., None] + price)


def _places(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    best, parents, tokens = beam_step(s, q, e, stop)
    return best, parents, parents * q.size(2) + tokens


def _new_only(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """Right choice, but the scores of the new tokens alone."""
    best, parents, tokens = beam_step(s, q, e, stop)
    return best - s.gather(1, parents), parents, tokens


def _old_scores(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    _, parents, tokens = beam_step(s, q, e, stop)
    return s.gather(1, parents), parents, tokens


def _scores_not_moved(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    """The chosen tokens' costs, added to the old scores in the old order."""
    best, parents, tokens = beam_step(s, q, e, stop)
    return s + best - s.gather(1, parents), parents, tokens


def _turned_round(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    best, parents, tokens = beam_step(s, q, e, stop)
    return best.flip(1), parents.flip(1), tokens.flip(1)


def _shuffled(order: tuple[int, int, int]) -> Callable[..., Step]:
    def mistaken(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
        found = beam_step(s, q, e, stop)
        return found[order[0]], found[order[1]], found[order[2]]

    return mistaken


def _flat_parents(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> Step:
    best, parents, tokens = beam_step(s, q, e, stop)
    return best, parents + torch.arange(len(s))[:, None] * s.size(1), tokens


MISTAKES = (
    (
        "the scores so far are not counted: a beam's score is the sum over its whole text",
        _by(lambda s, q, e, stop: _free(q, e, stop) + 0 * s[..., None]),
    ),
    (
        "a probability is added to a logarithm (no exp here): the scores are sums of "
        "log-probabilities",
        _by(lambda s, q, e, stop: s[..., None] + _free(q, e, stop).exp()),
    ),
    (
        "the scores are turned into probabilities and added: probabilities of one text multiply, "
        "so their logarithms add",
        _by(lambda s, q, e, stop: s[..., None].exp() + _free(q, e, stop).exp()),
    ),
    (
        "the scores come back as probabilities: stay with logarithms, or a long text underflows "
        "to 0",
        _by(lambda s, q, e, stop: _right(s, q, e, stop).exp()),
    ),
    (
        "the logarithms are multiplied: they add, as probabilities multiply",
        _by(lambda s, q, e, stop: s[..., None] * _free(q, e, stop)),
    ),
    (
        "the log-probabilities are subtracted: add them",
        _by(lambda s, q, e, stop: s[..., None] - q),
    ),
    (
        "the score is averaged with the new log-probability: add them",
        _by(lambda s, q, e, stop: _right(s, q, e, stop) / 2),
    ),
    (
        "ended beams go on writing: after stop_id an ended beam goes on with stop_id alone, at no "
        "cost",
        _ended_as(lambda s, q, e, stop: s[..., None] + q),
    ),
    (
        "an ended beam pays for each further stop_id: it costs nothing (log-probability 0)",
        _ended_as(_stop_kept_its_price),
    ),
    (
        "an ended beam goes on with every token at no cost: with stop_id alone, the others are "
        "-torch.inf",
        _ended_as(_everything_free),
    ),
    (
        "an ended beam may go on with other tokens besides stop_id: those are -torch.inf",
        _ended_as(_only_stop_free),
    ),
    (
        "ended beams are thrown away: they keep their score and stay in the race",
        _ended_as(_ended_dropped),
    ),
    (
        "an ended beam's score becomes 0, the best there is: it keeps the score it had",
        _ended_as(_from_zero),
    ),
    (
        "the beams that have not ended are held, and the ended ones go on: the other way round",
        _ended_as(_wrong_way_round),
    ),
    (
        "the first row's ended beams count for all rows: each row has its own",
        _ended_as(_by_first_row),
    ),
    (
        "every beam goes on with its own best token: the K best are chosen among all K * V "
        "continuations of a row, two of them may have the same parent",
        _each_its_own,
    ),
    (
        "every beam goes on with its own best token: the K best are chosen among all K * V "
        "continuations of a row, two of them may have the same parent",
        _each_its_own_unsorted,
    ),
    ("only the best beam goes on: choose among the continuations of all K", _best_only),
    (
        "the K best are chosen among all rows together: each row is a search of its own "
        "(flatten(1), not flatten())",
        _whole_batch,
    ),
    (
        "parents and tokens are mixed up by the order of the dimensions: flatten (K, V), so that "
        "place = parent * V + token",
        _turned,
    ),
    (
        "place // K and place % K: in a row of K * V places, V follow each other for a parent",
        _divided_by_k,
    ),
    (
        "the parents are fractions: place // V is a whole number, place / V is not",
        _fractions,
    ),
    (
        "the tokens are places among each beam's own best: look up which tokens those are (gather)",
        _places_in_own_best,
    ),
    (
        "stop_id costs nothing for beams that have not ended, too; and where stop_id is None, "
        "log_probs[:, :, None] = 0 changes every entry: ask `if stop_id is not None`",
        _stop_free_for_all,
    ),
    ("the tokens are places among K * V: place % V is the token", _places),
    ("the parents are counted over the whole batch: from 0 to K - 1 in each row", _flat_parents),
    (
        "the scores that come back are the new tokens' alone: add the parent's",
        _new_only,
    ),
    ("the scores that come back are the parents': add the new tokens'", _old_scores),
    (
        "the new log-probabilities are added to the old scores in their old order: add the score "
        "of each one's own parent",
        _scores_not_moved,
    ),
    (
        "the worst continuations are chosen: the K largest sums",
        lambda s, q, e, stop: _chosen(_right(s, q, e, stop), largest=False),
    ),
    ("the best stands last: best first", _turned_round),
    ("parents and tokens are swapped: return scores, parents, tokens", _shuffled((0, 2, 1))),
    ("the results stand in another order: return scores, parents, tokens", _shuffled((1, 2, 0))),
    ("the results stand in another order: return scores, parents, tokens", _shuffled((2, 1, 0))),
    ("the results stand in another order: return scores, parents, tokens", _shuffled((1, 0, 2))),
)
