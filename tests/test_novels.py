"""Loading and splitting novels: the house novel, files of one's own, and the catalogue's seven."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.cleaning import clean
from minidistill.novels import (
    Chapter,
    Chapters,
    Novel,
    NovelError,
    catalogue,
    describe,
    get,
    guess_language,
    load_novel,
)
from minidistill.paths import cache_folder, data_folder, home_folder
from tests.test_cleaning import book, layout, wrap
from tests.test_download import serving_folder

SHARED = Path(__file__).resolve().parents[2] / "shared" / "novels"
needs_raw_files = pytest.mark.skipif(
    not (SHARED / "facts.json").is_file(),
    reason="the raw novels are not beside the repository (../shared/novels)",
)
FACTS = json.loads((SHARED / "facts.json").read_text("utf-8")) if SHARED.is_dir() else []
SLUGS = [
    "alice",
    "pride_and_prejudice",
    "sherlock_holmes",
    "moby_dick",
    "xiyouji",
    "hongloumeng",
    "sanguo",
]


def novel(*lengths: int) -> Novel:
    """A novel whose chapters have so many characters."""
    chapters = Chapters(Chapter(str(i), ("x" * n,)) for i, n in enumerate(lengths))
    return Novel("n", "N", "nobody", "en", "none", chapters)


def own(tmp_path: Path, text: str | bytes, name: str = "my book.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


# The house novel.


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_house_novel_needs_nothing(language):
    house = load_novel(language=language)
    assert house == load_novel("house", language)
    assert (house.name, house.language, house.licence) == ("house", language, "CC0 1.0")
    assert len(house.chapters) == 28
    assert guess_language(house.text) == language
    for chapter in house.chapters:
        assert chapter.title and chapter.title not in chapter.paragraphs
        assert all(p == p.strip() and p for p in chapter.paragraphs)
    train, validation, test = house.split()
    assert (train, validation, test) == (
        house.chapters[:22],
        house.chapters[22:25],
        house.chapters[25:],
    )


def test_a_language_without_an_edition_names_those_there_are():
    with pytest.raises(NovelError, match=r"English .* and Chinese .*, not in 'fr'"):
        load_novel(language="fr")


# Splitting.


@settings(deadline=None)
@given(st.lists(st.integers(1, 997), min_size=3, max_size=41))
def test_a_split_is_whole_chapters_in_order_as_near_their_shares_as_can_be(lengths):
    made = novel(*lengths)
    split = made.split()
    assert split == made.split()
    assert split.train + split.validation + split.test == made.chapters
    assert all(split)
    total, n = sum(lengths), len(lengths)
    sizes = [len(part.text) - len(part) + 1 for part in split]
    assert sum(sizes) == total
    tests = [sum(lengths[b:]) for b in range(2, n)]
    assert abs(sizes[2] - 0.1 * total) == min(abs(size - 0.1 * total) for size in tests)
    b = n - len(split.test)
    validations = [sum(lengths[a:b]) for a in range(1, b)]
    assert abs(sizes[1] - 0.1 * total) == min(abs(size - 0.1 * total) for size in validations)


def test_split_by_hand():
    parts = novel(50, 20, 10, 7, 5, 6).split(validation=0.2, test=0.1)
    assert [[c.title for c in part] for part in parts] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert parts.train.text == "x" * 50 + "\n" + "x" * 20


def test_a_share_of_nothing_gives_no_chapters():
    assert [len(part) for part in novel(*[7] * 10).split(validation=0)] == [9, 0, 1]
    assert [len(part) for part in novel(*[7] * 10).split(test=0)] == [9, 1, 0]
    assert [len(part) for part in novel(*[7] * 10).split(0, 0)] == [10, 0, 0]


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.5, 0.5), (0.1, 1.0)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ValueError, match="together less than 1"):
        novel(7, 7, 7).split(*shares)


def sentences(n: int) -> str:
    return " ".join(f"This is sentence number {i}, no more." for i in range(n))


@pytest.mark.parametrize(
    "chapters",
    [
        [[sentences(3)] * 31],  # paragraphs
        [[sentences(3)] * 29, [sentences(3)] * 7],  # paragraphs of two chapters
        [[sentences(31)]],  # sentences
        [[sentences(31), sentences(7)]],
        [["字" * 30 + "。"] * 1 + ["字句。" * 400]],
        [["x" * 1009]],  # hundredths
        [["Short.", "Short.", sentences(37)]],  # three paragraphs, but very uneven
    ],
)
def test_one_or_two_chapters_are_cut_finer(chapters):
    made = Chapters(Chapter(f"chapter {i}", tuple(c)) for i, c in enumerate(chapters))
    split = Novel("n", "N", "nobody", "en", "none", made).split()
    total = len(made.text)
    assert 0.05 < len(split.validation.text) / total < 0.2
    assert 0.05 < len(split.test.text) / total < 0.2
    glued = "".join(part.text for part in split)
    assert re.sub(r"\s", "", glued) == re.sub(r"\s", "", made.text)
    titles = [c.title for part in split for c in part]
    assert titles == sorted(titles) and set(titles) <= {c.title for c in made}


def test_sentences_stay_whole_and_in_their_paragraph():
    split = Novel("n", "N", "x", "en", "", Chapters([Chapter("", (sentences(40),))])).split()
    for part in split:
        (chapter,) = part
        (paragraph,) = chapter.paragraphs
        assert paragraph.startswith("This is") and paragraph.endswith("no more.")


def test_nothing_cannot_be_split():
    for chapters in (Chapters(), Chapters([Chapter("", ("x",))])):
        with pytest.raises(NovelError, match="too few to split"):
            Novel("n", "N", "x", "en", "", chapters).split()


# Files of one's own.


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_of_ones_own_is_read_and_cut(tmp_path, language, ends, mark):
    made = book(language)
    text = mark + layout(made, "\n\n", wrap).replace("\n", ends)
    path = own(tmp_path, text)
    mine = load_novel(path)
    assert mine == load_novel(str(path))
    assert mine.chapters == made
    assert (mine.name, mine.title, mine.language) == ("my book", "my book", language)
    assert mine.licence == "your own"
    assert [len(part) for part in mine.split()] == [3, 1, 1]


def test_a_gutenberg_file_tells_its_title_and_author(tmp_path):
    head = (
        "The Project Gutenberg eBook of X\r\n\r\nTitle: The Rain\r\n\r\nAuthor: A. Keeper\r\n\r\n"
    )
    frame = "*** {} OF THE PROJECT GUTENBERG EBOOK THE RAIN ***\n"
    text = head + frame.format("START") + layout(book("en"), "\n\n", wrap) + "\n"
    mine = load_novel(own(tmp_path, text + frame.format("END") + "licence " * 99))
    assert (mine.title, mine.author) == ("The Rain", "A. Keeper")
    assert mine.chapters == book("en")


def test_traditional_chinese_becomes_simplified(tmp_path):
    pytest.importorskip("opencc", reason="OpenCC is not installed")
    text = "\n\n".join(f"第{n}章\n\n" + "「這個人說過話。」" * 50 for n in "一二三")
    assert set(load_novel(own(tmp_path, text)).text) == set("“这个人说过话。”\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty$"),
        (b"\xef\xbb\xbf", "is empty$"),
        (b" \r\n\t\n", "only white space"),
        ("好".encode() * 999, "has only 999 characters: a novel to learn from needs 1000"),
        (b"a" * 100 + b"caf\xe9 " * 400, r"not UTF-8: byte 103 is 0xe9; if it is CP1252, convert"),
        (b"\xef\xbb\xbfab" + b"\xff" * 99, r"not UTF-8: byte 5 is 0xff"),
        ("今天的风是从河上来的。".encode("gb18030") * 99, "if it is GB18030, convert it by `iconv"),
        (
            "這個人是從河上來的了。".encode("big5") * 99,
            r"BIG5 -t UTF-8 'my book.txt' > 'my book-utf8",
        ),
        (("rain " * 300).encode("utf-16"), "byte 0 is 0xff; if it is UTF-16"),
        (b"%PDF-1.7" + b"a" * 2000, "save it as .txt first"),
        (b"PK\x03\x04" + b"a" * 2000, "e-book or a PDF"),
        (b"abc\0" * 999, "zero byte at 3"),
        (b"<!DOCTYPE html><p>" + b"a " * 2000, "is a web page"),
    ],
)
def test_what_is_no_novel_is_refused_in_a_sentence(tmp_path, text, said):
    with pytest.raises(NovelError, match=said) as caught:
        load_novel(own(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_missing_files_folders_and_unknown_names(tmp_path):
    with pytest.raises(NovelError, match=r"no file .*book\.txt .*the catalogue's novels are alice"):
        load_novel(tmp_path / "book.txt")
    with pytest.raises(NovelError, match=r"there is no file nobook\.txt \(looked in "):
        load_novel("nobook.txt")
    with pytest.raises(NovelError, match="is a folder: give one text file"):
        load_novel(tmp_path)
    with pytest.raises(NovelError, match="did you mean 'alice'"):
        load_novel("alise")


def test_a_file_named_like_a_slug_is_reached_by_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own(tmp_path, layout(book("en"), "\n\n", wrap), "alice")
    assert load_novel(Path("alice")).chapters == book("en")
    assert load_novel("./alice").licence == "your own"


def a_thousand(parts: list[str]) -> str:
    """A text of 1009 characters or a few more, of these parts again and again."""
    return "".join(parts) * (1009 // len("".join(parts)) + 1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(min_size=1, max_size=13), min_size=1, max_size=7).map(a_thousand))
def test_any_text_of_a_thousand_characters_can_be_loaded_and_split(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "any.txt"
    path.write_bytes(text.encode("utf-8"))
    try:
        mine = load_novel(path)
    except (NovelError, ImportError):
        return
    assert all(part.text for part in mine.split())


# Describing.


def test_describe_counts_by_hand():
    made = Chapters(
        [Chapter("One", ("The cat’s 2 cats.", "the—Cat!")), Chapter("Two", ("Well-known é.",))]
    )
    about = describe(Novel("n", "N", "nobody", "en", "free", made))
    assert about == {
        "name": "n",
        "title": "N",
        "author": "nobody",
        "language": "en",
        "licence": "free",
        "chapters": 2,
        "paragraphs": 3,
        "characters": 17 + 1 + 8 + 1 + 13,
        "words": 9,  # The cat’s 2 cats the Cat Well known é
        "distinct": 8,
    }
    chinese = Chapters([Chapter("一", ("春风，2春□。",))])
    about = describe(Novel("n", "N", "x", "zh", "", chinese))
    assert (about["characters"], about["words"], about["distinct"]) == (7, 3, 2)


# Folders.


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    assert (data_folder() / "catalogue.toml").is_file()
    monkeypatch.setenv("MINIDISTILL_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("MINIDISTILL_HOME", str(tmp_path / "h"))
    assert (cache_folder(), home_folder()) == (tmp_path / "c", tmp_path / "h")
    monkeypatch.delenv("MINIDISTILL_CACHE")
    monkeypatch.delenv("MINIDISTILL_HOME")
    assert "minidistill" in str(cache_folder()) and "minidistill" in str(home_folder())
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # as if it were not installed
    assert cache_folder() == Path.home() / ".cache" / "minidistill"
    assert home_folder() == Path.home() / ".local" / "share" / "minidistill"


def test_an_installed_package_without_data_says_so(monkeypatch, tmp_path):
    paths = importlib.import_module("minidistill.paths")
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "minidistill" / "paths.py"))
    with pytest.raises(FileNotFoundError, match=r"no|neither .* has a catalogue\.toml"):
        data_folder()


@pytest.mark.slow
def test_loading_the_house_novel_imports_the_standard_library_only():
    code = (
        "import sys; import torch; before = set(sys.modules)\n"
        "from minidistill.novels import load_novel; load_novel().split()\n"
        "extra = {m.split('.')[0] for m in set(sys.modules) - before} - {'minidistill'}\n"
        "print(sorted(extra - set(sys.stdlib_module_names) - {'torch'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# The catalogue's seven, from their raw files.


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> dict[str, Novel]:
    """All seven, each downloaded once from a server on this machine."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patched, serving_folder(SHARED) as host:
        patched.setenv("MINIDISTILL_MIRROR", host)
        patched.setenv("NO_PROXY", "127.0.0.1")
        return {slug: load_novel(slug, cache=cache, progress=False) for slug in catalogue()}


def fact(slug: str) -> dict:
    return next(f for f in FACTS if f["slug"] == slug)


def test_these_are_the_seven():
    assert list(catalogue()) == SLUGS


@needs_raw_files
@pytest.mark.parametrize("slug", SLUGS)
def test_a_novel_comes_out_as_it_was_measured(loaded, slug):
    known, about = fact(slug), describe(loaded[slug])
    entry = get(slug)
    assert (entry.url, entry.bytes, entry.sha256) == (
        known["raw_url"],
        known["raw_bytes"],
        known["raw_sha256"],
    )
    assert about["chapters"] == known["chapters"] == entry.chapters
    clean_known = known["after_cleaning"]
    words = clean_known["word_tokens" if entry.language == "en" else "hanzi_tokens"]
    assert about["characters"] == pytest.approx(clean_known["chars"], rel=0.01)
    assert about["paragraphs"] == pytest.approx(clean_known["paragraphs"], rel=0.01)
    assert about["words"] == pytest.approx(words, rel=0.01)


@needs_raw_files
@pytest.mark.parametrize("slug", SLUGS)
def test_nothing_of_the_source_s_typing_is_left(loaded, slug):
    made = loaded[slug]
    assert not re.search(r"Gutenberg|Illustration|_|\*{2}|/\*|[\ue000-\uf8ff]", made.text)
    assert all(p == p.strip() and "  " not in p for c in made.chapters for p in c.paragraphs)
    if made.language == "zh":
        assert not re.search(r"[「」『』﹔﹖．★ 　]|[一-鿿][,;:?!\"]", made.text)
        assert not set("這個們說來時對會後過還") & set(made.text)


@needs_raw_files
@pytest.mark.parametrize("slug", SLUGS)
def test_the_split_of_a_real_novel_is_near_its_shares(loaded, slug):
    made = loaded[slug]
    train, validation, test = made.split()
    assert train + validation + test == made.chapters
    for part in (validation, test):
        assert 0.07 < len(part.text) / len(made.text) < 0.13


@needs_raw_files
@pytest.mark.parametrize("slug", SLUGS)
def test_a_raw_file_taken_as_ones_own_has_the_same_chapters(loaded, slug):
    raw = (SHARED / fact(slug)["path"]).read_text("utf-8")
    made = loaded[slug]
    plain = clean(raw.replace("\n", "\r\n"), made.language)
    assert len(plain) == len(made.chapters)
    for ours, theirs in zip(made.chapters, plain, strict=True):
        assert len(theirs.text) == pytest.approx(len(ours.text), rel=0.01)


@needs_raw_files
@pytest.mark.parametrize("slug", SLUGS)
def test_a_clean_novel_laid_out_anew_comes_out_the_same(loaded, slug):
    made = loaded[slug]
    lines = "\n".join(f"{c.title}\n{c.text}" for c in made.chapters)
    again = clean(lines, made.language)
    assert [c.title for c in again] == [c.title for c in made.chapters]
    assert len(again.text) == pytest.approx(len(made.text), rel=0.001)
    (only,) = clean(made.text, made.language)  # without its headings
    assert len(only.text) == pytest.approx(len(made.text), rel=0.001)
