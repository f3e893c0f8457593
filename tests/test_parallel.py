"""Two editions side by side: pairs in order, cut at the same chapters, refused when uneven."""

from dataclasses import replace

import pytest

from minidistill import NovelError, load_novel, load_parallel
from minidistill.novels import Chapter, Chapters, Novel
from minidistill.parallel import Pair, Parallel


def edition(language: str, *chapters: tuple[str, ...]) -> Novel:
    """An edition whose chapters have these paragraphs."""
    made = Chapters(Chapter(f"{language}{n}", paragraphs) for n, paragraphs in enumerate(chapters))
    return Novel("tale", language, "nobody", language, "CC0 1.0", made)


ENGLISH = edition("en", ("a", "b"), ("c",), ("d", "e"), ("f",))
CHINESE = edition("zh", ("甲", "乙"), ("丙",), ("丁", "戊"), ("己",))


def test_pairs_are_paragraphs_in_the_order_of_the_text_without_titles():
    pairs = Parallel(ENGLISH, CHINESE)
    assert list(pairs) == [*zip("abcdef", "甲乙丙丁戊己", strict=True)]
    assert len(pairs) == 6
    assert pairs[1] == Pair("b", "乙") and pairs[-1].target == "己"
    assert pairs[2:4] == (("c", "丙"), ("d", "丁"))
    assert ("d", "丁") in pairs and pairs.index(("d", "丁")) == 3


def test_a_split_cuts_both_editions_at_the_same_chapters():
    # Twenty characters of Chinese in chapter 0 would move the Chinese cut, were it asked.
    chinese = edition("zh", ("甲" * 20, "乙"), ("丙",), ("丁", "戊"), ("己",))
    parts = Parallel(ENGLISH, chinese).split(validation=0.2, test=0.2)
    assert [[c.title for c in part.source.chapters] for part in parts] == [
        ["en0", "en1"],
        ["en2"],
        ["en3"],
    ]
    assert [[c.title[2:] for c in part.target.chapters] for part in parts] == [
        ["0", "1"],
        ["2"],
        ["3"],
    ]
    assert parts.test[0] == ("f", "己")
    assert sum(map(len, parts)) == 6
    with pytest.raises(ValueError, match="together less than 1"):
        Parallel(ENGLISH, CHINESE).split(0.5, 0.5)


def test_editions_that_do_not_match_are_refused_by_chapter():
    with pytest.raises(NovelError, match="4 chapters beside 3"):
        Parallel(ENGLISH, replace(CHINESE, chapters=CHINESE.chapters[:3]))
    uneven = edition("zh", ("甲", "乙"), ("丙",), ("丁",), ("己",))
    with pytest.raises(NovelError, match="chapter 3 has 2 paragraphs in 'en' and 1 in 'zh'"):
        Parallel(ENGLISH, uneven)


def test_two_chapters_are_not_cut_inside():
    one, other = (replace(n, chapters=Chapters(n.chapters[:2])) for n in (ENGLISH, CHINESE))
    with pytest.raises(NovelError, match="three or more"):
        Parallel(one, other).split()


def test_the_house_novel_comes_as_pairs():
    pairs = load_parallel()
    english, chinese = load_novel(), load_novel(language="zh")
    assert "\n".join(pair.source for pair in pairs) == english.text
    assert "\n".join(pair.target for pair in pairs) == chinese.text
    for part, one, other in zip(pairs.split(), english.split(), chinese.split(), strict=True):
        assert part.source.chapters == one, "the English edition is cut as load_novel cuts it"
        assert part.target.chapters == other, "and so is the Chinese: nothing leaks between them"
    assert load_parallel("zh", "en")[0] == pairs[0][::-1]


def test_a_parallel_text_needs_two_languages_that_exist():
    with pytest.raises(ValueError, match="both are 'zh'"):
        load_parallel("zh")
    with pytest.raises(NovelError, match="not in 'fr'"):
        load_parallel("en", "fr")
