"""Tasks whose alignment is known: for each target letter, the place in the source it is from.

In text nobody can say for certain where a decoder ought to look. Here the target is the source
in another order, so the true place of every target token is known and attention can be marked
right or wrong. The letters are drawn at random: nothing but the source helps to write them.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LETTERS = string.ascii_lowercase + " "
"""The symbols of the tasks: a symbol's id is its place here."""

SPACE, PADDING, BOS, EOS = range(26, 30)
TASK_VOCABULARY_SIZE = 30
"""26 letters, the space, and the three special tokens PADDING, BOS, EOS."""

_SYMBOLS = LETTERS + "_^$"
_SPACE_ABOVE = 0.6  # see `_with_spaces`: phrases have 2.8 letters on average


class Aligned(NamedTuple):
    """A source, its target, and for each target token its place in the source.

    source: ids (S,). target: ids (T,), without BOS and EOS. alignment: (T,), so that
    target[t] = source[alignment[t]].
    """

    source: Tensor
    target: Tensor
    alignment: Tensor


def reversal(count: int, lengths: tuple[int, int] = (2, 20), seed: int = 0) -> list[Aligned]:
    """Random letters and the same letters from last to first: "abcd" -> "dcba".

    target_t = source_{S-1-t}

    Args:
        count: how many.
        lengths: the shortest and the longest; every length between is equally likely.
        seed: the same seed gives the same letters.

    Raises:
        ValueError: a count below 1, lengths that are no range from 1 up.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    symbols, real, _ = _draw(count, lengths, seed)
    places = torch.arange(symbols.size(1)).expand_as(symbols)  # (N, S)
    return _in_order(symbols, -places, real)


def phrase_order(count: int, lengths: tuple[int, int] = (2, 20), seed: int = 0) -> list[Aligned]:
    """Phrases from last to first, the letters of each in their order: "ab cde f" -> "f cde ab".

    A phrase is a run of letters between spaces, 2.8 letters long on average. A space of the
    target comes from the space that stands between the same two phrases of the source.

    Args:
        count, seed: see `reversal`.
        lengths: of the whole source, spaces included.

    Raises:
        ValueError: as `reversal`.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    symbols, real, generator = _draw(count, lengths, seed)
    symbols = _with_spaces(symbols, real, generator)
    spaces = symbols == SPACE
    # Phrase k gets rank 2k, the space before it 2k - 1: from the highest rank to the lowest,
    # and inside a rank from left to right.
    ranks = 2 * spaces.long().cumsum(1) - spaces.long()
    return _in_order(symbols, -ranks, real)


def spell(ids: Sequence[int] | Tensor) -> str:
    """The symbols of ids, one character each: padding is "_", BOS "^" and EOS "$".

    Raises:
        ValueError: an id that these tasks do not have.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    row = ids.tolist() if isinstance(ids, Tensor) else [int(i) for i in ids]
    wrong = [i for i in row if not 0 <= i < TASK_VOCABULARY_SIZE]
    if wrong:
        raise ValueError(f"{wrong[0]} is no id of these tasks: they go from 0 to {EOS}")
    return "".join(_SYMBOLS[i] for i in row)


def unspell(text: str) -> Tensor:
    """The ids of lower-case letters and spaces, (S,): the way back from `spell`.

    Raises:
        ValueError: a character that is neither.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    wrong = [character for character in text if character not in LETTERS]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is neither a lower-case letter from a to z nor a space")
    return torch.tensor([LETTERS.index(character) for character in text], dtype=torch.long)


def _draw(
    count: int, lengths: tuple[int, int], seed: int
) -> tuple[Tensor, Tensor, torch.Generator]:
    """Random letters (N, S), where they are real (N, S), and the chance to go on with."""
    shortest, longest = lengths
    if count < 1:
        raise ValueError(f"count is how many to make, at least 1, got {count}")
    if not 1 <= shortest <= longest:
        raise ValueError(f"lengths are the shortest and the longest, from 1, got {lengths}")
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(shortest, longest + 1, (count,), generator=generator)
    symbols = torch.randint(SPACE, (count, longest), generator=generator)
    return symbols, torch.arange(longest) < sizes[:, None], generator


def _with_spaces(symbols: Tensor, real: Tensor, generator: torch.Generator) -> Tensor:
    """Some letters replaced by spaces: none at either end, no two side by side."""
    heights = torch.rand(symbols.shape, generator=generator)
    middle, left, right = heights[:, 1:-1], heights[:, :-2], heights[:, 2:]
    # A number above both its neighbours: the one beside it cannot be so too.
    peaks = (middle > _SPACE_ABOVE) & (middle > left) & (middle > right)
    inside = torch.zeros_like(real)
    inside[:, 1:-1] = peaks & real[:, 2:]  # a letter follows
    return symbols.masked_fill(inside, SPACE)


def _in_order(symbols: Tensor, ranks: Tensor, real: Tensor) -> list[Aligned]:
    """Each row's symbols from the lowest rank to the highest, and where each came from."""
    after_all = torch.iinfo(ranks.dtype).max
    alignment = ranks.masked_fill(~real, after_all).argsort(dim=1, stable=True)  # (N, S)
    targets = symbols.gather(1, alignment)
    rows = zip(symbols, targets, alignment, real.sum(1).tolist(), strict=True)
    return [Aligned(s[:n].clone(), t[:n].clone(), a[:n].clone()) for s, t, a, n in rows]


__all__ = [
    "BOS",
    "EOS",
    "LETTERS",
    "PADDING",
    "SPACE",
    "TASK_VOCABULARY_SIZE",
    "Aligned",
    "phrase_order",
    "reversal",
    "spell",
    "unspell",
]
