"""Words as vectors, to be looked at: neighbours, analogies, likeness, and a map of the plane."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minidistill.checkpoints import CheckpointError, load_tensors, save_tensors


class Near(NamedTuple):
    """A word and its cosine with what was asked for."""

    word: str
    cosine: float


class WordVectors:
    """A vector for each word, and what can be asked of them.

    Args:
        words: V of them, each once.
        vectors: (V, H).
        counts: how often each stood in the text, or None.

    Raises:
        ValueError: not one vector for each word, a word twice, numbers that are not finite.

    Taught in solutions/07_word_embeddings.ipynb.
    """

    def __init__(
        self, words: Sequence[str], vectors: Tensor, counts: Sequence[int] | None = None
    ) -> None:
        if vectors.dim() != 2 or len(vectors) != len(words):
            raise ValueError(
                f"{len(words)} words and vectors of shape {tuple(vectors.shape)}: one row a word"
            )
        if counts is not None and len(counts) != len(words):
            raise ValueError(f"{len(words)} words and {len(counts)} counts: one count a word")
        if not bool(vectors.isfinite().all()):
            raise ValueError("some vectors hold numbers that are not finite: training went wrong")
        self.words, self.vectors = list(words), vectors.detach().float().cpu()
        self.counts = None if counts is None else list(counts)
        self.word_to_id = {word: i for i, word in enumerate(self.words)}
        if len(self.word_to_id) != len(self.words):
            twice = next(w for i, w in enumerate(self.words) if self.word_to_id[w] != i)
            raise ValueError(f"the word {twice!r} stands twice in the list")
        self._directions = nn.functional.normalize(self.vectors, dim=1)

    @classmethod
    def of_model(cls, model: nn.Module, vocabulary: Any, table: str = "sum") -> WordVectors:
        """The vectors of a trained `CBOW` or `SkipGram`; special tokens are left out.

        Args:
            table: "input" is the embedding e, "output" the read-out o, "sum" both added up, as
                GloVe does (Pennington et al., 2014): words are near that stand in like contexts,
                and words that stand beside each other.

        Raises:
            ValueError: another table, or a vocabulary of another size.
        """
        tables = {"input": model.embedding.weight, "output": model.readout.weight}
        tables["sum"] = tables["input"] if model.tied else tables["input"] + tables["output"]
        if table not in tables:
            raise ValueError(f"table is input, output or sum, not {table!r}")
        if len(vocabulary) != len(tables[table]):
            raise ValueError(
                f"the model has {len(tables[table])} words but the vocabulary {len(vocabulary)}"
            )
        special = {vocabulary.unknown_id, *map(vocabulary.token_to_id.get, vocabulary.specials)}
        kept = [i for i in range(len(vocabulary)) if i not in special]
        counts = vocabulary.counts
        return cls(
            [vocabulary.tokens[i] for i in kept],
            tables[table].detach()[kept],
            None if counts is None else [counts[i] for i in kept],
        )

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.word_to_id

    def __getitem__(self, word: str) -> Tensor:
        """The vector of a word, (H,). Raises KeyError for a word that has none."""
        return self.vectors[self.id(word)]

    def id(self, word: str) -> int:
        """The number of a word. Raises KeyError, with advice, for a word that has none."""
        if word not in self.word_to_id:
            small = word.lower()
            hint = f": it is there as {small!r}" if small in self.word_to_id else ""
            raise KeyError(f"{word!r} is not among the {len(self)} words{hint}")
        return self.word_to_id[word]

    def similarity(self, one: str, other: str) -> float:
        """The cosine of two words' vectors: 1 is the same direction, 0 a right angle."""
        return float(self._directions[self.id(one)] @ self._directions[self.id(other)])

    def nearest(self, word: str | Tensor, count: int = 10, least: int = 1) -> list[Near]:
        """The words whose vectors point most nearly the same way, the word itself left out.

        Args:
            word: a word, or a vector (H,).
            least: leave out words that stand less often in the text.
        """
        if isinstance(word, Tensor):
            return self._nearest(word, [], count, least)
        i = self.id(word)
        return self._nearest(self._directions[i], [i], count, least)

    def analogy(self, a: str, b: str, c: str, count: int = 5, least: int = 1) -> list[Near]:
        """a is to b as c is to what? The words nearest to b - a + c, these three left out.

            argmax_w cos(w, b - a + c), each of the three of length 1

        Leaving out the three is the custom, and it flatters: b or c itself is often the nearest.

        Source: Mikolov, Yih and Zweig, Linguistic regularities in continuous space word
        representations, 2013. Taught in solutions/07_word_embeddings.ipynb.
        """
        ids = [self.id(word) for word in (a, b, c)]
        x, y, z = self._directions[ids]
        return self._nearest(y - x + z, ids, count, least)

    def _nearest(self, vector: Tensor, without: list[int], count: int, least: int) -> list[Near]:
        cosines = self._directions @ nn.functional.normalize(vector.float().cpu(), dim=0)
        cosines[without] = -math.inf
        if self.counts is not None:
            cosines[torch.tensor(self.counts) < least] = -math.inf
        best = cosines.topk(min(count, len(self)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [Near(self.words[i], cosine) for i, cosine in pairs if cosine > -math.inf]

    def map(self, words: Iterable[str]) -> Tensor:
        """Places of some words on a plane, (n, 2): see `principal_components`."""
        return principal_components(self._directions[[self.id(word) for word in words]], 2)

    def save(self, path: Path | str, dtype: torch.dtype = torch.float32) -> None:
        """Write words, vectors and counts to one safetensors file, whole or not at all.

        dtype: what the numbers are stored as; float16 is half the bytes, and enough.
        """
        about = {"words": self.words, "counts": self.counts}
        save_tensors(path, {"vectors": self.vectors.to(dtype)}, about)

    @classmethod
    def load(cls, path: Path | str) -> WordVectors:
        """Read what `save` wrote. Raises CheckpointError: no such file, or a damaged one."""
        tensors, about = load_tensors(path)
        try:
            return cls(about["words"], tensors["vectors"], about["counts"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} holds no word vectors ({error})") from error


def principal_components(points: Tensor, count: int = 2) -> Tensor:
    """Places of points (n, H) along the directions in which they differ most: (n, count).

        X = points - mean,   X = U S V^T,   places = U S = X V

    A picture in two dimensions keeps as much of all squared distances as one can. The sign of
    each direction is chosen so that its largest number is positive: otherwise chance decides it.

    Raises:
        ValueError: fewer than two points, or more directions than the points have.

    Source: Pearson, On lines and planes of closest fit, 1901.
    Taught in solutions/07_word_embeddings.ipynb.
    """
    if points.dim() != 2 or len(points) < 2 or not 1 <= count <= min(points.shape):
        raise ValueError(
            f"points have shape {tuple(points.shape)} and {count} directions are asked for: give "
            "two points or more, and no more directions than points or numbers in each"
        )
    centred = points.double() - points.double().mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    places = (u * s)[:, :count]
    largest = places.gather(0, places.abs().argmax(0, keepdim=True))
    return (places * torch.where(largest < 0, -1.0, 1.0)).to(points.dtype)


__all__ = ["Near", "WordVectors", "principal_components"]
