"""Chapter 10: further wrong versions of `next_piece`: how a token is compared with `begun`."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault

Pieces = tuple[int, ...]

NOT_LOOKED_AT = "`begun` is not looked at: only tokens whose spelling begins with it may be counted"
ANY_ORDER = (
    "the pieces of `begun` are looked for in any order: the token must begin with them, in theirs"
)
ANYWHERE = "`begun` is looked for anywhere in a token: the token must begin with it"
LEFT_NAN = (
    "the values are right, but where all tokens that begin so have probability 0 the gradient is "
    "NaN or infinite: the 0 / 0 stays in the gradient, even where its value is replaced. Replace "
    "what divides before the division"
)


def _by_row(sums: Tensor, *rest: object) -> Tensor:
    total = sums.sum(1, keepdim=True)
    return torch.where(total > 0, sums / total, 0.0)


def _after(pieces: Pieces, begun: Pieces) -> list[int]:
    """The piece after every place where `begun` stands."""
    size = len(begun)
    places = [i for i in range(len(pieces) - size) if pieces[i : i + size] == begun]
    return [pieces[i + size] for i in places]


MORE: tuple[Fault, ...] = (
    (
        ANY_ORDER,
        {"kin": lambda ps, b: len(ps) > len(b) and sorted(ps[: len(b)]) == sorted(b)},
    ),
    (
        ANY_ORDER,
        {"kin": lambda ps, b: len(ps) > len(b) and set(ps[: len(b)]) == set(b)},
    ),
    (
        "the last piece of `begun` is left out: of each token the piece after all of `begun` comes "
        "next",
        {
            "kin": lambda ps, b: len(ps) > len(b[:-1]) and ps[: len(b[:-1])] == b[:-1],
            "next": lambda ps, b: [ps[len(b[:-1])]],
        },
    ),
    (NOT_LOOKED_AT, {"kin": lambda ps, b: len(ps) > 0, "next": lambda ps, b: ps[:1]}),
    (
        ANYWHERE,
        {"kin": lambda ps, b: bool(_after(ps, b)), "next": _after, "divide": _by_row},
    ),
)
