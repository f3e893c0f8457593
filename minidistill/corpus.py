"""Several novels as one text: each is split by itself, so each has chapters that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from minidistill.cleaning import Chapters
from minidistill.novels import Novel, Split, load_novel


class Corpus(NamedTuple):
    """Some novels, and their chapters to train on, to choose by and to report on.

    novels: as they were loaded. split: all training chapters one novel after another, and so
    on; no chapter is in two parts.
    """

    novels: tuple[Novel, ...]
    split: Split


def load_corpus(
    names: Sequence[str], language: str = "en", *, cache: str | None = None, progress: bool = True
) -> Corpus:
    """Load novels by name and join their parts.

    Args:
        names: of the catalogue, or files; "house" is the novel that the course brings along.
        language: of the house novel's edition.

    Raises:
        ValueError: no name at all. NovelError: a novel that cannot be had.
    """
    if not names:
        raise ValueError("names is empty: give at least one novel")
    novels = tuple(load_novel(name, language, cache=cache, progress=progress) for name in names)
    parts = zip(*(novel.split() for novel in novels), strict=True)
    return Corpus(novels, Split(*(Chapters(chain.from_iterable(part)) for part in parts)))


__all__ = ["Corpus", "load_corpus"]
