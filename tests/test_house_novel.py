"""The house novel: clean files, two editions that match, and the statistics of a real novel.

The references below were measured on the catalogue's novels after cleaning, on their first so
many words (or Han characters); the last test measures them again where the raw files are.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import correlation, mean, pstdev
from typing import NamedTuple

import pytest

from minidistill import load_novel, load_parallel
from minidistill.cleaning import Chapters, clean
from minidistill.cleaning_chinese import HAN
from minidistill.library import get
from minidistill.paths import data_folder
from minidistill.words import split_words

FOLDER = data_folder() / "novel"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "novels" / "gutenbergbooks"
EDITIONS = {language: load_novel(language=language) for language in ("en", "zh")}
FILES = [
    pytest.param(file, id=f"{file.parent.name}/{file.name}")
    for file in sorted(FOLDER.glob("*/*.txt"))
]
NAMES = {
    "Dou": "小豆",
    "Old Wen": "老温",
    "Aunt Fang": "方婶",
    "Madam Su": "苏嫂",
    "Uncle Hong": "洪伯",
    "Shan": "小山",
    "Captain Yun": "云船主",
    "Clerk Qian": "钱书办",
    "Granny Nine": "九婆",
    "Stonebridge": "石桥",
    "Heron Bend": "鹭湾",
    "Dragon’s Lip": "龙唇",
}


class Measures(NamedTuple):
    """What is compared: different tokens, and shares in parts of a million."""

    types: int
    hapax: int
    repeated: int


REFERENCES = {  # novel: (unit, tokens measured, what was found)
    "alice": ("word", 26_000, Measures(2_599, 443_632, 5_501)),
    "pride_and_prejudice": ("word", 36_000, Measures(3_762, 473_153, 56)),
    "xiyouji": ("character", 55_000, Measures(2_853, 225_026, 9_856)),
    "xiyouji in pairs": ("pair", 55_000, Measures(32_621, 767_358, 7_892)),
}


def tokens_of(chapters: Chapters, unit: str) -> list[str]:
    """Words in lower case without punctuation, or Han characters, or pairs of neighbours."""
    if unit == "word":
        return [w.lower() for w in split_words(chapters.text) if w[0].isalnum()]
    characters = re.findall(HAN, chapters.text)
    return characters if unit == "character" else ["".join(pair) for pair in pairwise(characters)]


def measure(tokens: Sequence[str]) -> Measures:
    """How many types; which share of them stands once; which share of 8-grams stands twice."""
    counts = Counter(tokens)
    grams = Counter(tuple(tokens[i : i + 8]) for i in range(len(tokens) - 7))
    repeated = sum(count for count in grams.values() if count > 1) / grams.total()
    once = sum(count == 1 for count in counts.values()) / len(counts)
    return Measures(len(counts), round(1e6 * once), round(1e6 * repeated))


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_a_title_and_a_paragraph_a_line(file):
    raw = file.read_bytes()
    text = raw.decode("utf-8")
    assert not text.startswith("\ufeff") and b"\r" not in raw
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert unicodedata.normalize("NFC", text) == text
    lines = text.split("\n")[:-1]
    assert all(lines) and all(line == line.strip() for line in lines)
    english = r"[A-Za-z ,.;:?!’“”‘-]+"
    chinese = r"[\u4e00-\u9fff，。、；：？！“”‘’《》…—]+"
    allowed = english if file.parent.name == "en" else chinese
    for line in lines:
        assert re.fullmatch(allowed, line), set(re.sub(allowed, "", line))
        assert "  " not in line
        marks = re.sub(r"[^“”]", "", line)
        assert marks == "“”" * (len(marks) // 2), f"speech opens and closes: {line}"


def test_it_is_long_enough():
    assert len(EDITIONS["en"].chapters) >= 24
    assert len(tokens_of(EDITIONS["en"].chapters, "word")) >= 36_000
    assert len(tokens_of(EDITIONS["zh"].chapters, "character")) >= 55_000


def test_the_editions_tell_the_same_line_by_line():
    pairs = [pair for pair in load_parallel() if len(split_words(pair.source)) > 12]
    words = [len(split_words(pair.source)) for pair in pairs]
    characters = [len(pair.target) for pair in pairs]
    assert correlation(words, characters) > 0.95
    for pair, w, c in zip(pairs, words, characters, strict=True):
        assert 0.6 < c / w < 3, pair
    speech = [("“" in pair.source) == ("“" in pair.target) for pair in load_parallel()]
    assert mean(speech) > 0.98


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stands_in_the_same_chapters_and_mostly_in_the_same_lines(name):
    here = re.compile(rf"\b{name}\b")
    chapters = zip(*(edition.chapters for edition in EDITIONS.values()), strict=True)
    alike = [bool(here.search(one.text)) == (NAMES[name] in other.text) for one, other in chapters]
    assert mean(alike) > 0.9  # a pronoun may stand for a name that is said once
    lines = [pair for pair in load_parallel() if here.search(pair.source)]
    assert mean(NAMES[name] in pair.target for pair in lines) > 0.8


def test_no_paragraph_stands_twice():
    for language, shortest in (("en", 40), ("zh", 12)):
        paragraphs = [p for chapter in EDITIONS[language].chapters for p in chapter.paragraphs]
        long = Counter(p for p in paragraphs if len(p) >= shortest)
        assert [p for p, count in long.items() if count > 1] == []


def test_paragraphs_vary_in_length_as_a_novels_do():
    for edition in EDITIONS.values():
        unit = "word" if edition.language == "en" else "character"
        lengths = [
            len(tokens_of(Chapters([type(chapter)("", (p,))]), unit))
            for chapter in edition.chapters
            for p in chapter.paragraphs
        ]
        assert pstdev(lengths) / mean(lengths) > 0.5


def test_the_english_edition_has_the_statistics_of_a_novel():
    words = tokens_of(EDITIONS["en"].chapters, "word")
    assert 350_000 <= measure(words).hapax <= 600_000
    for slug in ("alice", "pride_and_prejudice"):
        _, n, found = REFERENCES[slug]
        ours = measure(words[:n])
        assert 0.8 <= ours.types / found.types <= 1.2
        assert 350_000 <= ours.hapax <= 600_000
    assert ours.repeated <= 2 * found.repeated, "beside Pride and Prejudice"
    assert measure(words).repeated <= 2 * found.repeated, "the whole of it"


def test_the_chinese_edition_has_the_statistics_of_a_novel():
    for name in ("xiyouji", "xiyouji in pairs"):
        unit, n, found = REFERENCES[name]
        ours = measure(tokens_of(EDITIONS["zh"].chapters, unit)[:n])
        assert 0.8 <= ours.types / found.types <= 1.2
        assert 0.8 <= ours.hapax / found.hapax <= 1.2
        assert ours.repeated <= 2 * found.repeated


@pytest.mark.parametrize("name", REFERENCES)
def test_the_references_are_what_the_real_novels_give(name):
    unit, n, found = REFERENCES[name]
    entry = get(name.split()[0])
    files = list(SHARED.rglob(entry.url.rsplit("/", 1)[-1]))
    if not files:
        pytest.skip("the raw novels are not beside the repository (../shared/novels)")
    chapters = clean(files[0].read_text(encoding="utf-8-sig"), entry.language, entry.recipe)
    assert measure(tokens_of(chapters, unit)[:n]) == found


def test_the_readme_counts_what_is_there():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line[-2:] == " |"][1:]
    stated = {row[0]: [int(cell.replace(",", "")) for cell in row[-5:]] for row in table}
    parts = zip(("train", "validation", "test"), EDITIONS["en"].split(), strict=True)
    part_of = {chapter.title: name for name, part in parts for chapter in part}
    found = {name: [0] * 5 for name in ("train", "validation", "test", "all")}
    for number in range(1, len(EDITIONS["en"].chapters) + 1):
        english, chinese = (
            (FOLDER / language / f"{number:02}.txt").read_text(encoding="utf-8").splitlines()
            for language in ("en", "zh")
        )
        han = sum(len(re.findall(HAN, line)) for line in chinese)
        words = sum(len(line.split()) for line in english)
        row = [len(english), words, sum(map(len, english)), sum(map(len, chinese)), han]
        found[str(number)] = row
        for name in (part_of[english[0]], "all"):
            found[name] = [a + b for a, b in zip(found[name], row, strict=True)]
    assert stated == found
    for kind in (tokens_of(EDITIONS["en"].chapters, "word"), re.findall(HAN, EDITIONS["zh"].text)):
        assert f"{len(set(kind)):,} distinct" in " ".join(text.split())
