"""Chapter 10: what known wrong versions of `next_piece` return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch10_piece_more import (
    ANY_ORDER,
    ANYWHERE,
    MORE,
    NOT_LOOKED_AT,
    Pieces,
)


def _begins(pieces: Pieces, begun: Pieces) -> bool:
    return len(pieces) > len(begun) and pieces[: len(begun)] == begun


def _found(pieces: Pieces, begun: Pieces) -> int:
    """Where `begun` stands in a token and something follows, or -1."""
    size = len(begun)
    places = (i for i in range(len(pieces) - size) if pieces[i : i + size] == begun)
    return next(places, -1)


def _as_text(pieces: Pieces, between: str) -> str:
    return between.join(map(str, pieces))


def _share(sums: Tensor, total: Tensor) -> Tensor:
    return torch.where(total > 0, sums / total, 0.0)


def _by_kin(sums: Tensor, p: Tensor, kin: list[int], spelled: Any, begun: Pieces) -> Tensor:
    return _share(sums, p[:, kin].sum(1, keepdim=True))


def _by_row(sums: Tensor, p: Tensor, kin: list[int], spelled: Any, begun: Pieces) -> Tensor:
    return _share(sums, sums.sum(1, keepdim=True))


def _over(chosen: Callable[[Pieces, Pieces], bool]) -> Callable[..., Tensor]:
    """A division by what the chosen tokens have."""

    def divide(sums: Tensor, p: Tensor, kin: list[int], spelled: Any, begun: Pieces) -> Tensor:
        some = [v for v, pieces in enumerate(spelled) if chosen(pieces, begun)]
        return _share(sums, p[:, some].sum(1, keepdim=True))

    return divide


_STEPS: Parts = {
    "tokens": lambda spelled: list(enumerate(spelled)),
    "kin": _begins,
    "next": lambda pieces, begun: [pieces[len(begun)]],
    "share": lambda p: p,
    "add": lambda p, tokens: p[:, tokens].sum(1),
    "divide": _by_kin,
    "empty": lambda q: q,
    "result": lambda q: q,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `next_piece` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(p: Tensor, spelled: Sequence[Pieces], begun: Pieces, piece_count: int) -> Any:
        p, kin = s.share(p), []
        columns: list[list[int]] = [[] for _ in range(piece_count)]
        for v, pieces in s.tokens(spelled):
            if s.kin(pieces, begun):
                kin.append(v)
                for c in s.next(pieces, begun):
                    columns[c].append(v)
        zero = p.new_zeros(len(p))
        sums = torch.stack([s.add(p, some) if some else zero for some in columns], 1)
        return s.result(s.empty(s.divide(sums, p, kin, spelled, begun)))

    return mistaken


_WHERE = (
    ANYWHERE,
    "ids are compared as text, where 1 is the beginning of 12: compare tuples of whole numbers",
)
_NOT_DIVIDED = (
    "the sums are not divided, or by all of p: each row must add up to 1, so divide by what the "
    "tokens that begin so and go on have together"
)
_LARGEST = "of the tokens with one next piece only the likeliest counts: add their probabilities up"
_LAST = (
    "of the tokens with one next piece only the last counts, the others are overwritten: add their "
    "probabilities up"
)
_MEAN = "this is the mean of the tokens with one next piece: the sum, all of them begin so"

FAULTS: tuple[Fault, ...] = (
    (NOT_LOOKED_AT, {"kin": lambda pieces, begun: len(pieces) > len(begun)}),
    (
        "only the last piece of `begun` is compared: all of them, from the token's first on",
        {"kin": lambda ps, b: len(ps) > len(b) and (not b or ps[len(b) - 1] == b[-1])},
    ),
    (
        "only the first piece of `begun` is compared: all of them",
        {"kin": lambda ps, b: len(ps) > len(b) and ps[: min(1, len(b))] == b[:1]},
    ),
    (ANY_ORDER, {"kin": lambda ps, b: len(ps) > len(b) and set(b) <= set(ps)}),
    *MORE,
    (
        _WHERE[0],
        {
            "kin": lambda ps, b: _found(ps, b) >= 0,
            "next": lambda ps, b: [ps[_found(ps, b) + len(b)]],
        },
    ),
    (_WHERE[0], {"kin": lambda ps, b: _found(ps, b) >= 0}),
    (
        "`begun` is compared from the token's second piece on: from its first",
        {"kin": lambda ps, b: len(ps) > len(b) and ps[1 : len(b) + 1] == b},
    ),
    (
        "`begun` is compared with the token's end: with its beginning",
        {"kin": lambda ps, b: len(ps) > len(b) and (not b or ps[-len(b) :] == b)},
    ),
    (
        _WHERE[1],
        {"kin": lambda ps, b: len(ps) > len(b) and _as_text(ps, "").startswith(_as_text(b, ""))},
    ),
    (
        _WHERE[1],
        {"kin": lambda ps, b: len(ps) > len(b) and _as_text(ps, " ").startswith(_as_text(b, " "))},
    ),
    (
        "only tokens that are one piece longer than `begun` are counted: longer ones begin so too",
        {"kin": lambda ps, b: len(ps) == len(b) + 1 and ps[: len(b)] == b},
    ),
    (
        "only tokens that go on for two pieces or more are counted: one is enough",
        {"kin": lambda ps, b: len(ps) > len(b) + 1 and ps[: len(b)] == b},
    ),
    (
        "no token is found: a tuple is never equal to a list, so compare tuples with tuples",
        {"kin": lambda ps, b: False},
    ),
    (
        "each token counts for its first piece: for the one that stands right after `begun`",
        {"next": lambda ps, b: ps[:1]},
    ),
    (
        "each token counts for its last piece: for the one that stands right after `begun`",
        {"next": lambda ps, b: ps[-1:]},
    ),
    (
        "each token counts for the last piece of `begun`: for the one after it, pieces are counted "
        "from 0",
        {"next": lambda ps, b: [ps[len(b) - 1]]},
    ),
    (
        "each token counts for the second piece after `begun`: for the first, pieces are counted "
        "from 0",
        {"next": lambda ps, b: ps[len(b) + 1 : len(b) + 2], "divide": _by_row},
    ),
    *(
        (
            "tokens that end where `begun` ends vote too, for some piece: nothing comes next in "
            "them",
            {
                "kin": lambda ps, b: ps[: len(b)] == b,
                "next": lambda ps, b, other=other: [ps[len(b)] if len(ps) > len(b) else other],
            },
        )
        for other in (0, -1)
    ),
    *(
        (
            "each token counts for all the pieces that follow in it: for the next one alone",
            {"next": lambda ps, b: ps[len(b) :], "divide": divide},
        )
        for divide in (_by_kin, _by_row)
    ),
    *(
        (
            "each token counts for every piece in it, wherever it stands: for the next one alone",
            {"next": lambda ps, b: set(ps), "divide": divide},
        )
        for divide in (_by_kin, _by_row)
    ),
    (
        "p is not used, every token counts the same: each counts with its probability",
        {"share": torch.ones_like},
    ),
    (
        "all rows are computed from the first row of p: each has probabilities of its own",
        {"share": lambda p: p[:1].expand_as(p)},
    ),
    (
        "all rows are computed from the mean row of p: each has probabilities of its own",
        {"share": lambda p: p.mean(0, keepdim=True).expand_as(p)},
    ),
    (
        "p goes through a softmax: these are probabilities already",
        {"share": lambda p: p.softmax(-1)},
    ),
    *((_LARGEST, {"add": lambda p, t: p[:, t].amax(1), "divide": d}) for d in (_by_kin, _by_row)),
    *((_LAST, {"add": lambda p, t: p[:, t[-1]], "divide": d}) for d in (_by_kin, _by_row)),
    *((_MEAN, {"add": lambda p, t: p[:, t].mean(1), "divide": d}) for d in (_by_kin, _by_row)),
    (
        "of two tokens that are spelled alike only one counts (a dictionary keeps one value for "
        "each key): add both",
        {
            "tokens": lambda spelled: [
                (v, s) for s, v in {s: v for v, s in enumerate(spelled)}.items()
            ]
        },
    ),
    (
        "token 0 is never counted: it is one like the others",
        {"tokens": lambda spelled: list(enumerate(spelled))[1:]},
    ),
    (
        "the last token is never counted: it is one like the others",
        {"tokens": lambda spelled: list(enumerate(spelled))[:-1]},
    ),
    (_NOT_DIVIDED, {"divide": lambda sums, *rest: sums}),
    (_NOT_DIVIDED, {"divide": lambda sums, p, *rest: _share(sums, p.sum(1, keepdim=True))}),
    (
        "the sums are divided by what all tokens that are text have: by those that begin with "
        "`begun` and go on",
        {"divide": _over(lambda ps, b: len(ps) > 0)},
    ),
    (
        "the sums are divided by what all long enough tokens have: by those that begin with "
        "`begun`",
        {"divide": _over(lambda ps, b: len(ps) > len(b))},
    ),
    (
        "tokens that end where `begun` ends (and where it is empty, tokens that are no text) are "
        "in the sum that divides: nothing comes next in them",
        {"divide": _over(lambda ps, b: ps[: len(b)] == b)},
    ),
    (
        "tokens that are spelled exactly `begun` are in the sum that divides: no piece comes next "
        "in them",
        {"divide": _over(lambda ps, b: len(ps) > 0 and ps[: len(b)] == b)},
    ),
    (
        "tokens that end before `begun` does are in the sum that divides (zip stops at the shorter "
        "of two): nothing of them comes next",
        {"divide": _over(lambda ps, b: len(ps) > 0 and ps[: len(b)] == b[: len(ps)])},
    ),
    (
        "where `begun` is empty, tokens that are no text are in the sum that divides: nobody will "
        "write them",
        {"divide": _over(lambda ps, b: not b or _begins(ps, b))},
    ),
    (
        "the sums are divided by the number of tokens that go on: by their probability",
        {"divide": lambda sums, p, kin, *rest: sums / max(1, len(kin))},
    ),
    (
        "the sums are divided by what `begun` itself has: by what the tokens that go on have",
        {"divide": _over(lambda ps, b: ps == b)},
    ),
    (
        "the sums go through a softmax: divide them by what they add up to",
        {"divide": lambda sums, *rest: sums.softmax(1)},
    ),
    (
        "the sums are divided by the sum of each column: by that of each row",
        {"divide": lambda sums, *rest: _share(sums, sums.sum(0, keepdim=True))},
    ),
    (
        "the sums are divided by the sum of all rows together: each row by its own",
        {"divide": lambda sums, *rest: _share(sums, sums.sum())},
    ),
    (
        "the sums are divided by those of other rows: a sum over dimension 1 has the shape (N,), "
        "and where it meets the table again it lies along the columns",
        {"divide": lambda sums, *rest: _share(sums, sums.sum(1))},
    ),
    (
        "these are logarithms: the probabilities themselves",
        {"result": lambda q: q.log()},
    ),
    (
        "this is one row only: one for each row of p",
        {"result": lambda q: q[0]},
    ),
    (
        "rows and columns are exchanged: (N, piece_count)",
        {"result": lambda q: q.T},
    ),
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
