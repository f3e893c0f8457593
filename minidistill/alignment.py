"""Where a decoder should have looked, and how often it did; how often all it wrote was right."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from minidistill.batches import IGNORE


def alignment_accuracy(weights: Tensor, alignment: Tensor) -> tuple[int, int]:
    """How many target tokens put their largest weight on the source token that they come from.

    right = number of (b, t) with a known origin where argmax_s weights[b, t, s] = alignment[b, t]

    Args:
        weights: (B, T, S), row t where the decoder looked before it wrote target token t.
        alignment: (B, T), the place in the source that target token t comes from; IGNORE (-100)
            where there is none: padding, <eos>, a token that comes from nowhere.

    Returns:
        how many are right, and how many have a known origin.

    Raises:
        ValueError: shapes that do not fit.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    if weights.shape[:2] != alignment.shape:
        raise ValueError(
            f"weights have shape {tuple(weights.shape)} and the alignment {tuple(alignment.shape)}"
            ": one place in the source for each target token"
        )
    known = alignment != IGNORE
    right = (weights.argmax(-1) == alignment) & known
    return int(right.sum()), int(known.sum())


def exact_match(
    written: Sequence[Sequence[int]], wanted: Sequence[Sequence[int] | Tensor]
) -> float:
    """The share of targets that are right from the first token to the last, between 0 and 1.

    A target that stops too early, or goes on after the end, is wrong: nearly right does not
    count, which makes this the strictest figure for a task that has one right answer.

    Raises:
        ValueError: not as many targets written as wanted, or none.

    Taught in solutions/05_seq2seq.ipynb.
    """
    if len(written) != len(wanted) or not wanted:
        raise ValueError(
            f"{len(written)} targets written and {len(wanted)} wanted: give one for one, and some"
        )
    pairs = zip(written, wanted, strict=True)
    return sum(_ids(one) == _ids(other) for one, other in pairs) / len(wanted)


def _ids(row: Sequence[int] | Tensor) -> list[int]:
    return row.tolist() if isinstance(row, Tensor) else [int(i) for i in row]


__all__ = ["alignment_accuracy", "exact_match"]
