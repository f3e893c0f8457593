"""Words and their neighbours: what word embeddings are trained on.

A text is a row of words without marks, in paragraphs. Every word is the middle of a window once;
the words to its left and right are its context.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from minidistill.vocabulary import Vocabulary

THIN = ("words", "places", "middles")


class WordStream(NamedTuple):
    """A text as numbers: the words' ids (N,), and the number of the paragraph of each (N,)."""

    ids: Tensor
    paragraph: Tensor


class WindowBatch(NamedTuple):
    """A stretch of text, and in it some middles with their contexts.

    words: (L,), ids of the stretch, each looked up once however many windows it is in.
    places: (B, C), where in the stretch the neighbours stand, left to right; C = 2 window.
    mask: (B, C), False where there is no neighbour: the paragraph ends, or the window was drawn
    smaller. middles: (B,), where in the stretch the middle words stand.
    """

    words: Tensor
    places: Tensor
    mask: Tensor
    middles: Tensor

    @property
    def targets(self) -> Tensor:
        """The middle words, (B,)."""
        return self.words[self.middles]

    @property
    def contexts(self) -> Tensor:
        """The words around them, (B, C); what stands where the mask is False means nothing."""
        return self.words[self.places]


def word_stream(vocabulary: Vocabulary, text: str, unknown: str = "drop") -> WordStream:
    """The words of a text, paragraph by paragraph (a line is a paragraph).

    Args:
        unknown: what becomes of a word that the vocabulary does not hold: "drop" leaves it out,
            as word2vec does, and its neighbours move together; "keep" leaves `<unk>` in its place.

    Raises:
        ValueError: a text in which no known word stands.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    if unknown not in ("drop", "keep"):
        raise ValueError(f"unknown is 'drop' or 'keep', not {unknown!r}")
    ids: list[int] = []
    paragraph: list[int] = []
    for number, line in enumerate(text.split("\n")):
        found = vocabulary.encode(line)
        if unknown == "drop":
            found = [i for i in found if i != vocabulary.unknown_id]
        ids += found
        paragraph += [number] * len(found)
    if all(i == vocabulary.unknown_id for i in ids):
        raise ValueError("the text holds no word that the vocabulary knows: there is nothing here")
    return WordStream(torch.tensor(ids), torch.tensor(paragraph))


def context_windows(words: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """The neighbours of every word of a row, left to right, and where there are any.

    Args:
        words: (N,) ids. window: how many on either side.

    Returns:
        ids (N, 2 window), and a mask, False beyond the first word and the last.

    Taught in solutions/07_word_embeddings.ipynb. `Windows` does it in batches.
    """
    offsets = torch.tensor([o for o in range(-window, window + 1) if o], device=words.device)
    places = torch.arange(len(words), device=words.device)[:, None] + offsets
    mask = (places >= 0) & (places < len(words))
    return words[places.clamp(0, len(words) - 1)], mask


def keep_probability(counts: Sequence[float], threshold: float = 1e-3) -> Tensor:
    """How likely each word is kept where frequent ones are thinned out: (V,), in float64.

        keep(w) = min(1, sqrt(t / f(w)) + t / f(w)),   f the word's share of the text

    Words up to a share of t are all kept; of those 25 times as frequent about a quarter.

    Args:
        counts: one a word. threshold: t.

    Raises:
        ValueError: a threshold that is not above 0, counts that are negative or all 0.

    Source: Mikolov et al., Distributed representations of words and phrases, 2013; this form is
    that of their program, in which the second term is not in the paper.
    Taught in solutions/07_word_embeddings.ipynb.
    """
    if not threshold > 0:
        raise ValueError(f"threshold is {threshold} but must be above 0; 1e-3 is usual")
    counts = torch.as_tensor(counts, dtype=torch.float64)
    if not bool((counts >= 0).all()) or not bool(counts.sum() > 0):
        raise ValueError("counts are numbers from 0, and not all 0: count the words of a text")
    ratio = threshold * counts.sum() / counts
    return (ratio.sqrt() + ratio).clamp(max=1.0)  # a count of 0: infinite, so 1


class Windows:
    """Batches of windows over a text, for `fit`: every epoch is drawn anew from (seed, epoch).

    Args:
        stream: the text.
        window: how many words there are on either side, at most.
        batch_size: middles in a batch, following each other in the text.
        keep: (V,), see `keep_probability`; None keeps every word.
        thin: what is left out by it: "words", as in word2vec, so that the words that are left
            move together; "places", which leaves a gap where a word of a context is left out,
            so that the others stay where they are; or only "middles", which keeps every
            context as it was written.
        shrink: draw each window's size from 1 to `window`, so that near words count more.
        shuffle: take the batches in random order.

    A middle without any neighbour is left out.

    Raises:
        ValueError: sizes below 1, a `keep` that is not one number for each word.

    Taught in solutions/07_word_embeddings.ipynb.
    """

    carries_state = False

    def __init__(
        self,
        stream: WordStream,
        window: int = 5,
        batch_size: int = 1024,
        *,
        keep: Tensor | None = None,
        thin: str = "words",
        shrink: bool = False,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        if window < 1 or batch_size < 1:
            raise ValueError(f"window ({window}) and batch_size ({batch_size}) must be at least 1")
        if thin not in THIN:
            raise ValueError(f"thin is one of {', '.join(THIN)}, not {thin!r}")
        if keep is not None and len(keep) <= int(stream.ids.max()):
            raise ValueError(
                f"keep has {len(keep)} numbers but the text has the id {int(stream.ids.max())}: "
                "one number for each word of the vocabulary"
            )
        self.stream, self.window, self.batch_size = stream, window, batch_size
        self.keep, self.thin, self.shrink = keep, thin, shrink
        self.shuffle, self.seed = shuffle, seed
        self.expected = len(stream.ids) if keep is None else float(keep[stream.ids].sum())

    def __len__(self) -> int:
        """Batches in an epoch, about: how many middles are left out is chance."""
        return max(1, -int(-self.expected // self.batch_size))

    def epoch(self, number: int) -> Iterator[WindowBatch]:
        """The batches of one epoch, always the same for the same number."""
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        stream, middles, kept = self._thinned(chance)
        radius = torch.full((len(middles),), self.window)
        if self.shrink:
            radius = torch.randint(1, self.window + 1, radius.shape, generator=chance)
        parts = torch.arange(0, len(middles), self.batch_size)
        if self.shuffle:
            parts = parts[torch.randperm(len(parts), generator=chance)]
        for start in parts.tolist():
            part = slice(start, start + self.batch_size)
            batch = cut_windows(stream, middles[part], radius[part], self.window, kept)
            if len(batch.middles):
                yield batch

    def _thinned(self, chance: torch.Generator) -> tuple[WordStream, Tensor, Tensor | None]:
        """The text, where in it the middles are, and which words may stand in a context."""
        if self.keep is None:
            return self.stream, torch.arange(len(self.stream.ids)), None
        kept = _drawn(self.keep[self.stream.ids], chance)
        middles = kept.nonzero()[:, 0]
        if self.thin == "words":
            thinned = WordStream(*(part[middles] for part in self.stream))
            return thinned, torch.arange(len(middles)), None
        if self.thin == "middles":
            return self.stream, middles, None
        return self.stream, middles, _drawn(self.keep[self.stream.ids], chance)

    def fingerprint(self) -> str:
        """What a checkpoint remembers of the text and its windows."""
        text = hashlib.sha256()
        for part in (*self.stream, *([] if self.keep is None else [self.keep])):
            text.update(part.numpy().tobytes())
        settings = [self.window, self.batch_size, self.thin, self.shrink, self.shuffle, self.seed]
        return json.dumps([text.hexdigest()[:16], *settings])


def cut_windows(
    stream: WordStream,
    middles: Tensor,
    radius: Tensor,
    window: int,
    kept: Tensor | None = None,
) -> WindowBatch:
    """The windows around some middles of a text, which must rise; those without a word left out.

    Args:
        stream: N words. middles: (B,), places in the text. radius: (B,), the size of each
            window, at most `window`. kept: (N,), which words may stand in a context; None: all.

    A neighbour is masked where the text ends, in another paragraph, and outside the radius.
    Taught in solutions/07_word_embeddings.ipynb.
    """
    ids, paragraph = stream
    offsets = torch.tensor([o for o in range(-window, window + 1) if o])  # (C,)
    places = middles[:, None] + offsets  # (B, C)
    mask = (places >= 0) & (places < len(ids)) & (offsets.abs() <= radius[:, None])
    places = places.clamp(0, len(ids) - 1)
    mask &= paragraph[places] == paragraph[middles][:, None]
    if kept is not None:
        mask &= kept[places]
    some = mask.any(1)
    if not bool(some.all()):
        places, mask, middles = places[some], mask[some], middles[some]
    if not len(middles):
        return WindowBatch(ids[:0], places, mask, middles)
    first, last = int(places[0, 0]), int(places[-1, -1])
    return WindowBatch(ids[first : last + 1], places - first, mask, middles - first)


def _drawn(probability: Tensor, chance: torch.Generator) -> Tensor:
    return torch.rand(len(probability), generator=chance, dtype=probability.dtype) < probability


__all__ = [
    "WindowBatch",
    "Windows",
    "WordStream",
    "cut_windows",
    "keep_probability",
    "word_stream",
]
