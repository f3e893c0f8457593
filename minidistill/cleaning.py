"""From the raw text of a novel to its chapters: small named rules, run in order.

A rule is a function from text to text. Text rules see the whole file, lines and all; then
the file is cut into chapters and paragraphs; then paragraph rules see one paragraph at a
time. The catalogue names the rules that each novel needs, and a file of your own gets
`DEFAULT_RULES`. Taught in solutions/01_text_as_data.ipynb.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from minidistill import cleaning_chinese as chinese
from minidistill import cleaning_english as english
from minidistill.cleaning_headings import Family, Heading, find_headings
from minidistill.cleaning_layout import detect_layout, paragraphs, single_spaced

Rule = Callable[[str], str]


@dataclass(frozen=True)
class Chapter:
    """A chapter: its title, and its paragraphs in order, each one line without line breaks."""

    title: str
    paragraphs: tuple[str, ...]

    @property
    def text(self) -> str:
        """The paragraphs joined by line feeds; the title is not part of it."""
        return "\n".join(self.paragraphs)


class Chapters(tuple[Chapter, ...]):
    """Some chapters in order: a tuple that also has a `.text`."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The chapters' texts (without their titles) joined by line feeds."""
        return "\n".join(chapter.text for chapter in self)


@dataclass(frozen=True)
class Recipe:
    """How one novel is cleaned.

    rules: names of rules, in the order in which they run (text rules before paragraph
    rules). replace: exact strings to put right in a paragraph before its rules run, for
    faults that only this file has. glyphs: what a described character ("left 糸, right 條")
    is; a description that is not in the table becomes □.
    """

    rules: tuple[str, ...]
    replace: Mapping[str, str] = field(default_factory=dict)
    glyphs: Mapping[str, str] = field(default_factory=dict)


DEFAULT_RULES = {
    "en": ("gutenberg", "illustrations", "ornaments", "italics", "section_numbers"),
    "zh": ("gutenberg", "ornaments", "run_on_headings", "close_up", "full_width", "curly_quotes"),
}

FAMILIES = {
    "en": (
        Family(english.keyword),
        Family(english.numeral_title),
        Family(english.bare_numeral, minimum=2500),
        Family(english.part, kind="part"),
        Family(english.capitals, minimum=1000, apart=True),
    ),
    "zh": (
        Family(chinese.keyword, follows_text=True),
        Family(chinese.numeral_title, minimum=500),
        Family(chinese.bare_numeral, minimum=800),
        Family(chinese.part, kind="part"),
    ),
}

# Project Gutenberg's frame: newer files, then the older ones (the "small print" of the 1990s).
_START = re.compile(
    r"^[ \t]*(\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]{0,300}\*\*\*"
    r"|\*END ?\*?THE SMALL PRINT.*)$",
    re.MULTILINE | re.IGNORECASE,
)
_END = re.compile(
    r"^[ \t]*(\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|End of (?:the |this )?Project Gutenberg)",
    re.MULTILINE | re.IGNORECASE,
)
_CREDIT = re.compile(
    r"\s*(Produced by|E-?text prepared by|Transcribed from|This e-?(text|book) was"
    r"|\[?Transcriber.s note|Note: Project Gutenberg)",
    re.IGNORECASE,
)
# A row of asterisks, dashes or the like: a pause in the story or a line under a heading.
_ORNAMENT = re.compile(
    r"^[ \t\u3000]*(?:[*·•~＊※☆○◇_=—─–-][ \t\u3000]*){3,}$|^[ \t\u3000]*[＊*]{1,3}[ \t\u3000]*$",
    re.MULTILINE,
)
_THE_END = re.compile(
    r"\W*(?:the end|(?:全[书書文剧劇]|本[书書]|正文)?(?:完[结結]?|[终終]))\W*", re.I
)


def clean(raw: str, language: str, recipe: Recipe | None = None) -> Chapters:
    """Turn a raw text into chapters: text rules, headings, paragraphs, paragraph rules.

    language is "en" or "zh". Without a recipe the language's default rules run, and Chinese
    in traditional characters becomes simplified. A text without headings is one chapter
    with an empty title. Raises ImportError: simplifying needs OpenCC and it is missing.
    Taught in solutions/01_text_as_data.ipynb.
    """
    recipe = recipe or default_recipe(raw, language)
    text = normalise(raw)
    for name in recipe.rules:
        text = TEXT_RULES[name](text) if name in TEXT_RULES else text
    lines = single_spaced(text.split("\n"), language)
    layout = detect_layout(lines, language)
    is_title = chinese.is_title if language == "zh" else english.is_title
    headings = find_headings(lines, layout, FAMILIES[language], is_title)
    polish = _paragraph_rule(recipe)
    polish_title = _paragraph_rule(recipe, without=("close_up", "section_numbers"))
    chapters = []
    for title, first, last in _sections(lines, headings):
        body = map(polish, paragraphs(lines[first:last], layout, language))
        chapter = Chapter(polish_title(title), tuple(p for p in body if p))
        if chapter.paragraphs:
            chapters.append(chapter)
    return _without_last_words(chapters)


def default_recipe(raw: str, language: str) -> Recipe:
    """Choose the rules for a text that is not in the catalogue."""
    rules = DEFAULT_RULES[language]
    if language == "zh":
        # Some old files end sentences with ．; in others it parts foreign names.
        stops = raw.count("．") > raw.count("。") / 2
        rules += ("full_stops" if stops else "name_dots",)
        if chinese.is_traditional(raw):
            rules += ("simplify",)
    return Recipe(rules)


def normalise(raw: str) -> str:
    """Make every line end a line feed and take out what cannot be seen (marks, private use)."""
    text = re.sub(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]", "\n", raw)
    text = text.replace("\u00a0", " ").replace("\ufeff", "")
    return re.sub(r"[\x00-\x08\x0e-\x1f\x7f\u200b-\u200f\u2060\ue000-\uf8ff]", "", text)


def gutenberg(text: str) -> str:
    """Cut off Project Gutenberg's header, footer and credits, where the file has them."""
    start = _START.search(text)
    if start and start.start() < len(text) / 2:
        text = text[start.end() :]
    end = _END.search(text, len(text) // 2)
    if end:
        text = text[: end.start()]
    blocks = text.split("\n\n")
    story = (i for i, b in enumerate(blocks) if b.strip() and not _CREDIT.match(b))
    first = next(story, 0)
    return "\n\n".join(blocks[first:]).lstrip("\n")


def ornaments(text: str) -> str:
    """Empty the lines that are only asterisks, dashes and the like."""
    return _ORNAMENT.sub("", text)


def _swap(text: str, old: str, new: str) -> str:
    return text.replace(old, new)


TEXT_RULES: dict[str, Rule] = {
    "gutenberg": gutenberg,
    "ornaments": ornaments,
    "illustrations": english.illustrations,
    "print_marks": english.print_marks,
    "line_numbers": chinese.line_numbers,
    "heading_tails": chinese.heading_tails,
    "run_on_headings": chinese.run_on_headings,
}
PARAGRAPH_RULES: dict[str, Rule] = {
    "italics": english.italics,
    "dashes": english.dashes,
    "section_numbers": english.section_numbers,
    "close_up": chinese.close_up,
    "lost_glyphs": chinese.lost_glyphs,
    "song_titles": chinese.song_titles,
    "full_width": chinese.full_width,
    "full_stops": partial(_swap, old="．", new="。"),
    "name_dots": partial(_swap, old="．", new="·"),
    "curly_quotes": chinese.curly_quotes,
    "simplify": chinese.simplify,
}


def _paragraph_rule(recipe: Recipe, without: tuple[str, ...] = ()) -> Rule:
    """Make one function of the recipe's corrections and paragraph rules."""
    steps: list[Rule] = [partial(_swap, old=old, new=new) for old, new in recipe.replace.items()]
    if recipe.glyphs:
        steps.append(partial(chinese.described_glyphs, table=recipe.glyphs))
    names = [name for name in recipe.rules if name in PARAGRAPH_RULES and name not in without]
    steps += [PARAGRAPH_RULES[name] for name in names]

    def polish(text: str) -> str:
        for step in steps:
            text = step(text)
        return text.strip()

    return polish


def _sections(lines: list[str], headings: list[Heading]) -> list[tuple[str, int, int]]:
    """Give title, first line and last line of each section, front matter left out."""
    if not headings:
        return [("", 0, len(lines))]
    stops = [heading.start for heading in headings[1:]] + [len(lines)]
    sections = [(h.title, h.stop, stop) for h, stop in zip(headings, stops, strict=True)]
    front = sum(map(len, lines[: headings[0].start]))
    # A title page or a preface goes; a tenth of the book before the first heading is story.
    if front > 0.1 * sum(map(len, lines)):
        sections.insert(0, ("", 0, headings[0].start))
    if headings[-1].kind == "back":
        sections.pop()
    return sections


def _without_last_words(chapters: list[Chapter]) -> Chapters:
    """Take THE END and the printer's lines from the end of the last chapter."""
    if not chapters:
        return Chapters()
    last = list(chapters[-1].paragraphs)
    while len(last) > 1 and _is_last_word(last[-1]):
        last.pop()
    return Chapters((*chapters[:-1], Chapter(chapters[-1].title, tuple(last))))


def _is_last_word(text: str) -> bool:
    """Say whether a last line is no story: THE END, 全書完, or a short line in capitals."""
    cases = {c.isupper() for c in text if c.isupper() or c.islower()}
    in_capitals = cases == {True} and len(text) <= 120 and not re.search(chinese.HAN, text)
    return bool(_THE_END.fullmatch(text)) or in_capitals
