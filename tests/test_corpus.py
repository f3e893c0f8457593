"""Several novels as one text: every one keeps chapters that are held out."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidistill.corpus import load_corpus
from minidistill.novels import NovelError, load_novel


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A novel of one's own, of ten chapters."""
    path = tmp_path / "own.txt"
    chapters = [
        f"CHAPTER {n}\n\nThis is what chapter {n} says. {'It goes on. ' * 9}" for n in range(10)
    ]
    path.write_text("\n\n".join(chapters), encoding="utf-8")
    return str(path)


def test_parts_are_those_of_each_novel_in_order(own: str) -> None:
    corpus = load_corpus(["house", own], progress=False)
    house, mine = load_novel("house"), load_novel(own, progress=False)
    assert corpus.novels == (house, mine)
    for part, one, other in zip(corpus.split, house.split(), mine.split(), strict=True):
        assert part == one + other
        assert part.text == f"{one.text}\n{other.text}"


def test_no_chapter_is_in_two_parts(own: str) -> None:
    parts = load_corpus(["house", own], progress=False).split
    texts = [chapter.text for part in parts for chapter in part]
    assert len(texts) == len(set(texts)) == 38


def test_one_novel_is_itself() -> None:
    assert load_corpus(["house"], "zh").split == load_novel("house", "zh").split()


def test_bad_names() -> None:
    with pytest.raises(ValueError, match="at least one novel"):
        load_corpus([])
    with pytest.raises(NovelError):
        load_corpus(["house", "no_such_novel.txt"], progress=False)
