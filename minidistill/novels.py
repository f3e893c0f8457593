"""Novels: the house novel, the catalogue's, and any text file of your own, cut into chapters.

    novel = load_novel()                  # the house novel, no network needed
    novel = load_novel("alice")           # from the cache, or downloaded and checked
    novel = load_novel("my_book.txt")     # any UTF-8 text, English or Chinese
    train, validation, test = novel.split()

Taught in solutions/01_text_as_data.ipynb.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from minidistill.cleaning import Chapter, Chapters, clean
from minidistill.cleaning_chinese import HAN
from minidistill.download import cached, download
from minidistill.library import Entry, NovelError, catalogue, get, house
from minidistill.paths import data_folder
from minidistill.textfile import guess_language, read_text

LANGUAGES = {"en": "English", "zh": "Chinese"}
SHORTEST = 1000  # characters of a file that is worth splitting and training on


class Split(NamedTuple):
    """The chapters to train on, to choose by, and to report on: never the same ones."""

    train: Chapters
    validation: Chapters
    test: Chapters


@dataclass(frozen=True)
class Novel:
    """A novel: who wrote it, in which language, under which licence, and its chapters."""

    name: str
    title: str
    author: str
    language: str
    licence: str
    chapters: Chapters

    @property
    def text(self) -> str:
        """All chapters' paragraphs, one a line; the chapters' titles are not part of it."""
        return self.chapters.text

    def split(self, validation: float = 0.1, test: float = 0.1) -> Split:
        """Cut the novel into train, validation and test, in this order, whole chapters each.

        validation and test are shares of the characters; each part comes as near its share
        as whole chapters allow, and at least one. No chapter is in two parts, because its
        names and phrases would leak from training into the test. A text of one or two
        chapters is cut between paragraphs, and where these are too few or too uneven,
        between sentences or, at the last, characters.
        Raises ValueError: shares below 0 or 1 and more together; NovelError: nothing to cut.
        Taught in solutions/01_text_as_data.ipynb.
        """
        if min(validation, test) < 0 or validation + test >= 1:
            raise ValueError(
                f"validation={validation} and test={test} must be 0 or more, "
                "and together less than 1"
            )
        if len(self.chapters) >= 3:
            first, second = _cuts([len(c.text) for c in self.chapters], validation, test)
            parts = self.chapters[:first], self.chapters[first:second], self.chapters[second:]
            return Split(*map(Chapters, parts))
        return _split_finely(self.chapters, validation, test)


def load_novel(
    name: str | Path | None = None,
    language: str = "en",
    *,
    cache: str | Path | None = None,
    progress: bool = True,
) -> Novel:
    """Load a novel by name: None for the house novel, a slug of the catalogue, or a file.

    language picks the house novel's edition, "en" or "zh"; another novel has its own. cache
    is the folder for downloads (default: `paths.cache_folder()`), and progress=False keeps a
    download quiet. A `Path`, or a string that is no slug, is a file of your own.
    Raises NovelError: no such slug, file or edition, a file that is no text, a download that
    failed; ImportError: the novel is in traditional Chinese and OpenCC is missing.
    Taught in solutions/01_text_as_data.ipynb.
    """
    if name is None or name == house()["name"]:
        return _house_novel(language)
    if isinstance(name, str) and name in catalogue():
        entry = get(name)
        raw = download(entry, cache=cache, progress=progress).read_text(encoding="utf-8")
        chapters = clean(raw, entry.language, entry.recipe)
        return Novel(entry.slug, entry.title, entry.author, entry.language, entry.licence, chapters)
    path = Path(name).expanduser()
    if isinstance(name, str) and not path.exists() and not re.search(r"[/\\.]", name):
        get(name)  # neither a slug nor a file: raises the error that lists the slugs
    return _own_novel(path)


def describe(novel: Novel) -> dict[str, Any]:
    """Return what `minidistill novels show` prints: who, which licence, and five counts.

    characters is the length of `novel.text`; words are runs of letters and digits and, in
    Chinese, which writes no spaces, single Han characters; distinct is how many different
    words there are, upper and lower case taken as one.
    """
    text = novel.text
    pattern = HAN if novel.language == "zh" else r"[^\W_]+(?:['’][^\W_]+)*"
    words = re.findall(pattern, text)
    return {
        "name": novel.name,
        "title": novel.title,
        "author": novel.author,
        "language": novel.language,
        "licence": novel.licence,
        "chapters": len(novel.chapters),
        "paragraphs": sum(len(chapter.paragraphs) for chapter in novel.chapters),
        "characters": len(text),
        "words": len(words),
        "distinct": len({word.lower() for word in words}),
    }


def _house_novel(language: str) -> Novel:
    """Read the house novel: a file a chapter, its title first, then a paragraph a line."""
    about = house()
    titles = about["titles"]
    if language not in titles:
        have = " and ".join(f"{LANGUAGES[code]} ({code!r})" for code in titles)
        raise NovelError(f"the house novel comes in {have}, not in {language!r}")
    folder = data_folder() / "novel" / language
    chapters = []
    for file in sorted(folder.glob("[0-9]*.txt")):
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        title, *paragraphs = [line for line in lines if line] or [""]
        chapters.append(Chapter(title, tuple(paragraphs)))
    if not chapters:
        raise NovelError(f"the house novel is missing from {folder}: install minidistill again")
    return Novel(
        about["name"],
        titles[language],
        about["author"],
        language,
        about["licence"],
        Chapters(chapters),
    )


def _own_novel(path: Path) -> Novel:
    """Read and clean any UTF-8 text file."""
    text = read_text(path)
    size = len(text.strip())
    if size < SHORTEST:
        raise NovelError(
            f"{path} has only {size} characters: a novel to learn from needs {SHORTEST} or more"
        )
    language = guess_language(text)
    chapters = clean(text, language)
    if len(chapters.text) < SHORTEST / 2:
        raise NovelError(f"{path} has almost no text besides its headings")
    head = dict(re.findall(r"^(Title|Author): *(\S.*)$", text[:4000].replace("\r", ""), re.M))
    title, author = head.get("Title", path.stem), head.get("Author", "unknown")
    return Novel(path.stem, title, author, language, "your own", chapters)


class _Piece(NamedTuple):
    """A part of a chapter that a split does not cut, with its place."""

    chapter: int
    paragraph: int
    text: str


def _split_finely(chapters: Chapters, validation: float, test: float) -> Split:
    """Cut one or two chapters between paragraphs, else sentences, else hundredths.

    Finer pieces are taken where the coarser ones are fewer than three or so uneven that a
    part would be less than half or more than twice its share.
    """
    total = len(chapters.text)
    parts: list[list[_Piece]] = []
    for pieces in _pieces(chapters):
        if len(pieces) < 3:
            continue
        first, second = _cuts([len(piece.text) for piece in pieces], validation, test)
        parts = [pieces[:first], pieces[first:second], pieces[second:]]
        sizes = [sum(len(piece.text) for piece in part) / total for part in parts[1:]]
        if all(s / 2 <= size <= 2 * s for size, s in zip(sizes, (validation, test), strict=True)):
            break
    if not parts:
        raise NovelError(f"{total} characters are too few to split into three parts")
    titles = [chapter.title for chapter in chapters]
    return Split(*(_joined(part, titles) for part in parts))


def _pieces(chapters: Chapters) -> Iterator[list[_Piece]]:
    """Give a text's pieces, finer each time: paragraphs, sentences, hundredths of the text."""
    pieces = [
        _Piece(c, p, text)
        for c, chapter in enumerate(chapters)
        for p, text in enumerate(chapter.paragraphs)
    ]
    yield pieces
    pieces = [_Piece(c, p, part) for c, p, text in pieces for part in _sentences(text)]
    yield pieces
    step = max(1, len(chapters.text) // 100)
    yield [
        _Piece(c, p, text[i : i + step]) for c, p, text in pieces for i in range(0, len(text), step)
    ]


def _sentences(text: str) -> list[str]:
    """Cut after each mark that ends a sentence, and the quotation marks and spaces behind it."""
    return re.findall(r".+?(?:[.!?。！？…]+[”’\"')」』]*\s*|$)", text)


def _joined(pieces: Sequence[_Piece], titles: Sequence[str]) -> Chapters:
    """Put pieces of one paragraph, and paragraphs of one chapter, together again."""
    chapters: dict[int, dict[int, str]] = {}
    for chapter, paragraph, text in pieces:
        paragraphs = chapters.setdefault(chapter, {})
        paragraphs[paragraph] = paragraphs.get(paragraph, "") + text
    return Chapters(
        Chapter(titles[c], tuple(text.strip() for text in paragraphs.values()))
        for c, paragraphs in chapters.items()
    )


def _cuts(lengths: Sequence[int], validation: float, test: float) -> tuple[int, int]:
    """Choose where validation and test begin: each at least one piece, if it has a share."""
    total, n = sum(lengths), len(lengths)

    def start(stop: int, share: float, least: int) -> int:
        """Walk down from `stop` while that brings the part's length nearer its share."""
        if share == 0:
            return stop
        first, size = stop - 1, lengths[stop - 1]
        while first > least:
            more = size + lengths[first - 1]
            if abs(more - share * total) >= abs(size - share * total):
                break
            first, size = first - 1, more
        return first

    second = start(n, test, least=2 if validation else 1)
    return start(second, validation, least=1), second


__all__ = [
    "Chapter",
    "Chapters",
    "Entry",
    "Novel",
    "NovelError",
    "Split",
    "cached",
    "catalogue",
    "describe",
    "download",
    "get",
    "guess_language",
    "load_novel",
]
