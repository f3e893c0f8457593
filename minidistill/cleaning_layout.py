"""How a file lays out its paragraphs, and the paragraphs themselves.

Some files break every line at 70 columns and part paragraphs by blank lines, some by an
indent; others have a whole paragraph on each line. Joining the second kind would weld
paragraphs together, and not joining the first would cut sentences: so look before joining.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

_SENTENCE_END = ".!?…:;”’\"')]—。！？：；」』）．﹔﹖﹗】》"
_WIDE_SPACE = "\u3000"


@dataclass(frozen=True)
class Layout:
    """What `detect_layout` saw.

    wrapped: a line is a piece of a paragraph. width: length of a full line, in characters.
    base_indent: the indent of an ordinary line, in columns. indent_starts: a line with a
    deeper indent begins a paragraph. sparse: blank lines are few, so a heading may follow
    right after text. short_ends: blank lines and indents together are few, so a line that
    ends a sentence before it is full is the end of a paragraph.
    """

    wrapped: bool
    width: int
    base_indent: int = 0
    indent_starts: bool = False
    sparse: bool = False
    short_ends: bool = False


def indent(line: str) -> int:
    """Count the columns of white space before a line's text; a full-width space is two."""
    head = line[: len(line) - len(line.lstrip())]
    return len(head.expandtabs(4)) + head.count(_WIDE_SPACE)


def detect_layout(lines: list[str], language: str) -> Layout:
    """Decide whether lines are hard-wrapped, and what marks a new paragraph.

    The test is at the ends of the long lines: a paragraph on one line ends a sentence there,
    a line broken to fit the page seldom does.
    """
    full = [line for line in lines if line.strip()]
    if not full:
        return Layout(wrapped=False, width=1)
    lengths = sorted(len(line.strip()) for line in full)
    width = lengths[int(0.95 * (len(lengths) - 1))]
    long = [line.rstrip() for line in full if len(line.strip()) >= 0.93 * width]
    ends = sum(line[-1] in _SENTENCE_END for line in long) / len(long)
    if width > 120 or ends >= 0.5:
        return Layout(wrapped=False, width=width)
    indents = [indent(line) for line in full]
    base = sorted(indents)[len(indents) // 20]  # all but a few headings are set in so far
    blanks = [not line.strip() for line in ["", *lines]]
    blocks = sum(before and not blank for before, blank in pairwise(blanks))
    sparse = len(full) / blocks > 25
    # English sets verse and letters in by an indent; Chinese begins paragraphs with one.
    indent_starts = language == "zh" or sparse
    starts = blocks + (sum(i > base for i in indents) if indent_starts else 0)
    return Layout(
        wrapped=True,
        width=width,
        base_indent=base,
        indent_starts=indent_starts,
        sparse=sparse,
        short_ends=len(full) / starts > 20,
    )


def single_spaced(lines: list[str], language: str) -> list[str]:
    """Take one blank line from every gap of a double-spaced file, where lines are wrapped."""
    blanks = [not line.strip() for line in lines]
    full = len(lines) - sum(blanks)
    touching = sum(not a and not b for a, b in pairwise(blanks))
    if full < 20 or touching > 0.1 * full or not detect_layout(lines, language).wrapped:
        return lines
    return [line for i, line in enumerate(lines) if not blanks[i] or (i and blanks[i - 1])]


def paragraphs(lines: list[str], layout: Layout, language: str) -> list[str]:
    """Join the lines of each paragraph into one line.

    A file put together from two sources may be wrapped in some chapters and not in others:
    a chapter long enough to judge by is judged by itself.
    """
    if len(lines) > 40:
        local = detect_layout(lines, language)
        layout = local if local.wrapped != layout.wrapped else layout
    if not layout.wrapped:
        return [" ".join(line.split()) for line in lines if line.strip()]
    groups: list[list[str]] = [[]]
    for line in lines:
        text = line.strip()
        if _ends_paragraph(groups[-1], line, layout, language):
            groups.append([])
        if text:
            groups[-1].append(" ".join(text.split()))
    join = join_chinese if language == "zh" else join_english
    return [join(group) for group in groups if group]


def _ends_paragraph(group: list[str], line: str, layout: Layout, language: str) -> bool:
    """Say whether the paragraph `group` is over when `line` comes next."""
    if not group:
        return False
    before = group[-1]
    short = len(before) < 0.7 * layout.width
    if language == "zh" and before[-1].isalpha() and not short:
        return False  # a full line that breaks off in mid-sentence: a stray blank or indent
    if not line.strip() or (layout.indent_starts and indent(line) > layout.base_indent):
        return True
    # English breaks lines before a word that does not fit, Chinese at the very edge.
    full = layout.width - 2 if language == "zh" else 0.8 * layout.width
    return layout.short_ends and len(before) < full and before[-1] in _SENTENCE_END


def join_english(lines: list[str]) -> str:
    """Join wrapped lines by a space, or by nothing where a word or a dash was cut."""
    pieces = lines[:1]
    for before, line in pairwise(lines):
        tight = re.search(r"(—|--|\w-)$", before[-2:]) or line.startswith(("—", "--"))
        pieces.append(line if tight else " " + line)
    return "".join(pieces)


def join_chinese(lines: list[str]) -> str:
    """Join wrapped lines by nothing, or by a space between two words in Latin letters."""
    pieces = lines[:1]
    for before, line in pairwise(lines):
        latin = (before[-1:] + line[:1]).isascii() and before[-1:].isalnum()
        pieces.append(" " + line if latin else line)
    return "".join(pieces)
