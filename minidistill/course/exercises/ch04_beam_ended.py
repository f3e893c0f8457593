"""Chapter 04: what wrong versions of `beam_step` do with beams that have ended."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault

Ended = Callable[[Tensor, Tensor, Tensor, int | None], tuple[Tensor, Tensor]]


def free(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> tuple[Tensor, Tensor]:
    """Right: an ended beam goes on with stop_id alone, at no cost."""
    if stop is None:
        return s, q
    only = torch.full_like(q, -torch.inf)
    only[..., stop] = 0.0
    return s, torch.where(e[..., None], only, q)


def _where_texts_end(change: Callable[[Tensor, Tensor, Tensor, int], Tensor]) -> Ended:
    """Other log-probabilities, only where there is a stop_id."""
    return lambda s, q, e, stop: (s, q if stop is None else change(s, q, e, stop))


def _stop_kept_its_price(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    only = torch.full_like(q, -torch.inf)
    only[..., stop] = q[..., stop]
    return torch.where(e[..., None], only, q)


def _only_stop_free(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    price = q.clone()
    price[..., stop] = torch.where(e, 0.0, q[..., stop])
    return price


def _score_twice(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    """The score stands in place of the 0, and is then added once more."""
    only = torch.full_like(q, -torch.inf)
    only[..., stop] = s
    return torch.where(e[..., None], only, q)


def _certain(s: Tensor, q: Tensor, e: Tensor, stop: int) -> Tensor:
    """Probabilities 1 and 0 among logarithms."""
    only = torch.zeros_like(q)
    only[..., stop] = 1.0
    return torch.where(e[..., None], only, q)


def _from_zero(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> tuple[Tensor, Tensor]:
    return (s if stop is None else s.masked_fill(e, 0.0)), free(s, q, e, stop)[1]


def _wrong_way_round(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> tuple[Tensor, Tensor]:
    return free(s, q, ~e, stop)


def _by_first_row(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> tuple[Tensor, Tensor]:
    return free(s, q, e[:1].expand_as(e), stop)


def _by_row(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> tuple[Tensor, Tensor]:
    return free(s, q, e.any(1, keepdim=True).expand_as(e), stop)


def _stop_free_for_all(s: Tensor, q: Tensor, e: Tensor, stop: int | None) -> tuple[Tensor, Tensor]:
    price = q.masked_fill(e[..., None], -torch.inf)
    price[:, :, stop] = 0.0  # for None this is all of them
    return s, price


_ALL_HELD = "all beams are held as soon as one of them has ended: choose beam by beam"

ENDED: tuple[Fault, ...] = (
    (
        "ended beams go on writing: after stop_id an ended beam goes on with stop_id alone, at no "
        "cost",
        {"ended": lambda s, q, e, stop: (s, q)},
    ),
    (
        "an ended beam pays for each further stop_id: it costs nothing (log-probability 0)",
        {"ended": _where_texts_end(_stop_kept_its_price)},
    ),
    (
        "an ended beam goes on with every token at no cost: with stop_id alone, the others are "
        "-torch.inf",
        {"ended": _where_texts_end(lambda s, q, e, stop: q.masked_fill(e[..., None], 0.0))},
    ),
    (
        "an ended beam may go on with other tokens besides stop_id: those are -torch.inf",
        {"ended": _where_texts_end(_only_stop_free)},
    ),
    (
        "ended beams are thrown away: they keep their score and stay in the race",
        {"ended": _where_texts_end(lambda s, q, e, stop: q.masked_fill(e[..., None], -torch.inf))},
    ),
    (
        "an ended beam's score is counted twice: its stop_id has the log-probability 0, to which "
        "the score is added",
        {"ended": _where_texts_end(_score_twice)},
    ),
    (
        "an ended beam goes on with 1 and 0, which are probabilities: their logarithms are 0 for "
        "stop_id and -torch.inf for all others",
        {"ended": _where_texts_end(_certain)},
    ),
    (
        "an ended beam's score becomes 0, the best there is: it keeps the score it had",
        {"ended": _from_zero},
    ),
    (
        "the beams that have not ended are held, and the ended ones go on: the other way round",
        {"ended": _wrong_way_round},
    ),
    (
        "the first row's ended beams count for all rows: each row has its own",
        {"ended": _by_first_row},
    ),
    (_ALL_HELD, {"ended": _by_row}),
    (_ALL_HELD, {"ended": lambda s, q, e, stop: free(s, q, e.any().expand_as(e), stop)}),
    (
        "a stop_id of 0 is taken for none: ask `if stop_id is not None`, for 0 is a token, too",
        {"ended": lambda s, q, e, stop: free(s, q, e, stop or None)},
    ),
    (
        "stop_id costs nothing for beams that have not ended, too; and where stop_id is None, "
        "log_probs[:, :, None] = 0 changes every entry: ask `if stop_id is not None`",
        {"ended": _stop_free_for_all},
    ),
)
"""`ended` gets scores, log-probabilities, ended and stop_id, and gives the first two anew."""
