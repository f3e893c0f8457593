"""Chapter headings: find them, leave out the table of contents, keep one family of them.

A family is a function that reads one line and gives a `Mark` if the line looks like a
heading of that family. A book is cut by the first family that fits it: a collection whose
stories are headed "I. A SCANDAL" may have a bare "I." inside a story, and that one is not a
chapter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from minidistill.cleaning_layout import Layout, indent


@dataclass(frozen=True)
class Mark:
    """A line that looks like a heading.

    number: the chapter's number, None where it has none. label and title: "CHAPTER IV." and
    what follows it. kind: "chapter", "part" (a book or volume above the chapters) or "back"
    (notes and advertisements after the story). alone: the line holds the whole heading.
    chained: only a heading if its number follows the one before, or begins again at 1.
    """

    number: int | None
    label: str
    title: str
    kind: str
    alone: bool = False
    chained: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading in its place: its lines are `lines[start:stop]`."""

    start: int
    stop: int
    title: str
    mark: Mark

    @property
    def kind(self) -> str:
        """ "chapter", "part" or "back"."""
        return self.mark.kind


@dataclass(frozen=True)
class Family:
    """One way of writing headings.

    read: gives a line's Mark. minimum: the least median length of a chapter in characters,
    so that page numbers are not taken for chapters. apart: the line has two blank lines
    before it. follows_text: a heading may come right after a line of text. kind: what the
    book must have two of.
    """

    read: Callable[[str], Mark | None]
    kind: str = "chapter"
    minimum: int = 1
    apart: bool = False
    follows_text: bool = False


def find_headings(
    lines: list[str],
    layout: Layout,
    families: Sequence[Family],
    is_title: Callable[[str], bool],
) -> list[Heading]:
    """Find the headings of a book, in order; an empty list where there are no chapters.

    A family fits if it gives at least two chapters and at most 30 % of the text comes
    before the first of them. A heading may have nothing under it: PART TWO, right before
    a chapter's.
    """
    sizes = [0]
    for line in lines:
        sizes.append(sizes[-1] + len(line.strip()))
    for family in families:
        headings = _chain(_scan(lines, layout, family, is_title))
        headings = _without_contents(headings, sizes)
        filled = [
            body
            for heading, body in zip(headings, _bodies(headings, sizes), strict=True)
            if body and heading.kind == family.kind
        ]
        if len(filled) < 2 or sizes[headings[0].start] > 0.3 * sizes[-1]:
            continue
        if median(filled) >= family.minimum:
            return headings
    return []


def _scan(
    lines: list[str], layout: Layout, family: Family, is_title: Callable[[str], bool]
) -> list[Heading]:
    """Read every line that may begin a heading."""
    headings: list[Heading] = []
    stop = 0
    for i, line in enumerate(lines):
        text = _bare(line)
        if i < stop or not text:
            continue
        after_blank = i == stop or not lines[i - 1].strip()
        if layout.wrapped and not (after_blank or family.follows_text or layout.sparse):
            continue
        if family.apart and any(before.strip() for before in lines[max(0, i - 2) : i]):
            continue
        mark = family.read(text)
        if mark is None:
            continue
        extent = _extent(lines, i, mark, layout, family, is_title)
        if extent:
            stop, title = extent
            headings.append(Heading(i, stop, " ".join(title.split()), mark))
    return headings


def _extent(
    lines: list[str],
    start: int,
    mark: Mark,
    layout: Layout,
    family: Family,
    is_title: Callable[[str], bool],
) -> tuple[int, str] | None:
    """Find where a heading ends, and its whole title; None if it is a sentence after all."""
    block = _block(lines, start, layout, family)
    more = " ".join(block[1:])
    first = start + 1, f"{mark.label} {mark.title}".strip()
    if mark.title or mark.alone:
        if not more:
            return first
        if mark.alone or mark.kind == "part" or len(block) > 4 or len(first[1] + more) > 250:
            # Text follows with no blank line: a heading only if its line was broken early.
            return first if len(block[0]) < 0.7 * layout.width else None
        return start + len(block), f"{first[1]} {more}"
    if more:
        if len(block) <= 4 and (is_title(more) or len(more) <= 60):
            return start + len(block), f"{mark.label} {more}"
        return first
    # Only a number: the next block is the title, if it looks like one.
    at = next((i for i in range(start + 1, len(lines)) if lines[i].strip()), len(lines))
    if at >= min(len(lines), start + 9):
        return first
    title = _block(lines, at, layout, family)
    joined = " ".join(title)
    stop = at + len(title)
    # Blank lines before a title and none behind it: that is no title but the first sentence.
    alone = at == start + 1 or stop >= len(lines) or not lines[stop].strip() or layout.sparse
    if alone and len(title) <= 3 and family.read(title[0]) is None and is_title(joined):
        return stop, f"{mark.label} {joined}"
    return first


def _bare(line: str) -> str:
    """Take off a line's spaces and the marks of italics or Markdown around a heading."""
    return line.strip().lstrip("#").strip("*_ \u3000")


def _block(lines: list[str], start: int, layout: Layout, family: Family) -> list[str]:
    """Give the lines from `start` to the next blank line or the next heading."""
    block = [_bare(lines[start])]
    if layout.wrapped:
        for line in lines[start + 1 : start + 8]:
            begins = layout.sparse and indent(line) > layout.base_indent
            if begins or not _bare(line) or family.read(_bare(line)):
                break
            block.append(line.strip())
    return block


def _chain(headings: list[Heading]) -> list[Heading]:
    """Drop the chained headings whose number neither follows the last one nor begins at 1.

    Up to two numbers may be missing: scanned books lose headings. A new beginning counts if
    2 comes before the next number of the old chain: a lone "I." in mid-book is no heading.
    """
    kept: list[Heading] = []
    last = 0
    for i, heading in enumerate(headings):
        number = heading.mark.number
        goes_on = (last + 1, last + 2, last + 3)
        if heading.mark.chained and number not in goes_on:
            later = (h.mark.number for h in headings[i + 1 : i + 50] if h.mark.chained)
            if number != 1 or next((n for n in later if n == 2 or n in goes_on), 0) != 2:
                continue
        if number is not None and heading.kind == "chapter":
            last = number
        kept.append(heading)
    return kept


def _bodies(headings: list[Heading], sizes: list[int]) -> list[int]:
    """Count the characters between each heading and the next."""
    stops = [*(heading.start for heading in headings), len(sizes) - 1][1:]
    return [sizes[stop] - sizes[h.stop] for h, stop in zip(headings, stops, strict=True)]


def _without_contents(headings: list[Heading], sizes: list[int]) -> list[Heading]:
    """Drop a table of contents, and headings of notes that are not at the book's end.

    The contents are the headings before the first one comes again, if most of them have
    little under them. (A second volume also begins again at chapter 1, but its first volume
    has text.)
    """
    bodies = _bodies(headings, sizes)
    labels = [h.mark.label.lower().rstrip(".:—- ") or h.title.lower() for h in headings]
    again = next((i for i, label in enumerate(labels) if i and label == labels[0]), 0)
    if again and median(bodies[:again]) < 1000 and sum(bodies[:again]) < 0.05 * sizes[-1]:
        headings, bodies = headings[again:], bodies[again:]
    begin = next((i for i, body in enumerate(bodies) if body), 0)
    last = max((i for i, h in enumerate(headings) if h.kind != "back"), default=-1)
    story = [h for h in headings[begin : last + 1] if h.kind != "back"]
    back = headings[last + 1 : last + 2]
    short = back and sizes[-1] - sizes[back[0].start] < 0.2 * sizes[-1]
    return story + (back if short else [])
