"""The house novel in two languages at once, paragraph beside paragraph.

    pairs = load_parallel()               # English -> Chinese
    english, chinese = pairs[0]
    train, validation, test = pairs.split()

Taught in solutions/05_seq2seq.ipynb.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, overload

from minidistill.cleaning import Chapters
from minidistill.library import NovelError
from minidistill.novels import Novel, load_novel


class Pair(NamedTuple):
    """A paragraph and the paragraph that tells the same in the other language."""

    source: str
    target: str


class ParallelSplit(NamedTuple):
    """The pairs to train on, to choose by, and to report on: never of the same chapter."""

    train: "Parallel"
    validation: "Parallel"
    test: "Parallel"


@dataclass(frozen=True)
class Parallel(Sequence[Pair]):
    """Two editions of one novel, a sequence of their paired paragraphs in the order of the text.

    source and target are the two editions; chapters and the paragraphs in each match one to
    one. Titles are in the chapters, not among the pairs.
    Raises NovelError: the editions differ in chapters or paragraphs.
    Taught in solutions/05_seq2seq.ipynb.
    """

    source: Novel
    target: Novel

    def __post_init__(self) -> None:
        ours, theirs = self.source.chapters, self.target.chapters
        if len(ours) != len(theirs):
            raise NovelError(
                f"the editions are not parallel: {len(ours)} chapters beside {len(theirs)}"
            )
        for n, (one, other) in enumerate(zip(ours, theirs, strict=True), start=1):
            if len(one.paragraphs) != len(other.paragraphs):
                raise NovelError(
                    f"the editions are not parallel: chapter {n} has {len(one.paragraphs)} "
                    f"paragraphs in {self.source.title!r} and {len(other.paragraphs)} in "
                    f"{self.target.title!r}"
                )

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, in order."""
        chapters = zip(self.source.chapters, self.target.chapters, strict=True)
        return tuple(
            Pair(*paragraphs)
            for one, other in chapters
            for paragraphs in zip(one.paragraphs, other.paragraphs, strict=True)
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Pair, ...]: ...
    def __getitem__(self, place: int | slice) -> Pair | tuple[Pair, ...]:
        return self.pairs[place]

    def split(self, validation: float = 0.1, test: float = 0.1) -> ParallelSplit:
        """Cut both editions at the same chapters, where `Novel.split` cuts the source.

        Raises what `Novel.split` raises, and NovelError: fewer than three chapters, because
        a cut inside a chapter could part a paragraph from its translation.
        Taught in solutions/05_seq2seq.ipynb.
        """
        if len(self.source.chapters) < 3:
            raise NovelError("parallel editions are cut between chapters: three or more are needed")
        parts, first = [], 0
        for part in self.source.split(validation, test):
            translated = Chapters(self.target.chapters[first : first + len(part)])
            one, other = (
                replace(self.source, chapters=part),
                replace(self.target, chapters=translated),
            )
            parts.append(Parallel(one, other))
            first += len(part)
        return ParallelSplit(*parts)


def load_parallel(source: str = "en", target: str = "zh") -> Parallel:
    """Load two editions of the house novel, aligned: paragraph k beside paragraph k.

    Raises NovelError: there is no such edition; ValueError: the same language twice.
    Taught in solutions/05_seq2seq.ipynb.
    """
    if source == target:
        raise ValueError(f"a parallel text needs two languages, and both are {source!r}")
    return Parallel(load_novel(language=source), load_novel(language=target))


__all__ = ["Pair", "Parallel", "ParallelSplit", "load_parallel"]
