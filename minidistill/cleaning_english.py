"""Rules and heading patterns for English novels."""

import re

from minidistill.cleaning_headings import Mark

_UNITS = """
one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
"""
_ORDINALS = """
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
"""
_TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: n for row in (_UNITS, _ORDINALS) for n, word in enumerate(row.split(), 1)}
_WORDS |= {word: 10 * n for n, word in enumerate(_TENS.split(), 1)}
_WORDS |= {word[:-1] + "ieth": n for word, n in list(_WORDS.items()) if word.endswith("ty")}
_WORDS |= {"last": 99}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}

_CHAPTER = re.compile(
    r"(?:CHAPTER|CHAP\.?|STAVE|LETTER|ADVENTURE|CANTO|EPISODE)\s+(?:the\s+)?(.+)", re.IGNORECASE
)
_PART = re.compile(r"(?:BOOK|PART|VOLUME|VOL\.|ACT|SECTION)\s+(?:the\s+)?(.+)", re.IGNORECASE)
_NAMED = re.compile(
    r"(?:THE )?(?:PROLOGUE|EPILOGUE|PRELUDE|INTERLUDE|CONCLUSION|FINALE|AFTERWORD)"
    r"(?:\.|(?:\.|:|\s*—|--)\s*(?P<title>.{1,60}))?",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"(?:FOOTNOTES?|NOTES|TRANSCRIBER.S NOTES?|INDEX|APPENDIX|GLOSSARY|ERRATA"
    r"|ADVERTISEMENTS?)[.:]?|(?:BOOKS|NOVELS|OTHER WORKS|WORKS) BY (?:THE SAME AUTHOR|.{1,40})"
)
_NUMERAL = re.compile(r"\[?\s*([IVXLC]+|\d{1,3})\s*\]?\.?")
_BRACKET = re.compile(r"[\[\]]")
_AFTER_NUMBER = re.compile(r"\s*[.:,—–-]+\s*|\s+(?=[A-Z“\"‘'(_\d])|$")


def illustrations(text: str) -> str:
    """Take out [Illustration ...] blocks, brackets within brackets included.

    A chapter's heading drawn into a picture ("Chapter I.]") stays as a line of its own.
    """
    pieces, at = [], 0
    for found in re.finditer(r"\[(?:Illustration|Decoration|Sidenote|Transcriber)", text):
        if found.start() < at:
            continue  # inside the block before
        stop = _closing_bracket(text, found.start())
        block = text[found.start() : stop]
        heading = re.search(r"^\s*(chapter [IVXLC\d]+\.?)\s*\]\s*$", block, re.I | re.M)
        pieces += [text[at : found.start()], f"\n\n{heading[1]}\n\n" if heading else ""]
        at = stop
    return "".join(pieces) + text[at:]


def _closing_bracket(text: str, start: int) -> int:
    """Find the place after the bracket that closes the one at `start`; none: after that one."""
    depth = 0
    for found in _BRACKET.finditer(text, start, start + 5000):
        depth += 1 if found[0] == "[" else -1
        if depth == 0:
            return found.end()
    return start + 1


def print_marks(text: str) -> str:
    """Take out marks for the printer: `/* RIGHT ... */` and raised letters `M^{rs.}`."""
    text = re.sub(r"/\*(?: NIND| RIGHT| CENTER)?|\*/", "", text)
    return re.sub(r"\^\{([^}]*)\}", r"\1", text)


def italics(text: str) -> str:
    """Take out the underscores that stand for italics: pairs first, then strays beside a word."""
    return re.sub(r"(?<!\w)_+|_+(?!\w)", "", re.sub(r"_([^_]+)_", r"\1", text))


def dashes(text: str) -> str:
    """Write two hyphens as the dash that they stand for."""
    return re.sub(r"(?<!-)--(?!-)", "—", text).replace("----", "——")


def section_numbers(text: str) -> str:
    """Empty a paragraph that is only a number: a story's part II. is not a sentence."""
    found = _NUMERAL.fullmatch(text)
    return "" if found and number(found[1]) else text


def number(text: str) -> int | None:
    """Read a number: `12`, `XII`, `twelve`, `twelfth`, `twenty-one`; None if it is not one."""
    if text.isdigit():
        return int(text) if len(text) <= 3 else None
    if re.fullmatch(r"(XC|XL|L?X{0,4})?(IX|IV|V?I{0,4})", text, re.IGNORECASE) and text:
        values = [_ROMAN[letter] for letter in text.upper()]
        return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))
    if re.fullmatch(r"C{1,3}(XC|XL|L?X{0,4})(IX|IV|V?I{0,4})", text):
        hundreds = len(text) - len(text.lstrip("C"))
        return 100 * hundreds + (number(text[hundreds:]) or 0)
    words = re.split(r"[- ]", text.lower())
    if len(words) > 2 or any(word not in _WORDS for word in words):
        return None
    return sum(_WORDS[word] for word in words)


def _numbered(rest: str, label_length: int, line: str, kind: str) -> Mark | None:
    """Read "IV. The title" after its keyword; None where no number stands there."""
    for pattern in (r"[A-Za-z]+[- ][A-Za-z]+", r"\w+"):
        found = re.match(pattern, rest)
        value = number(found[0]) if found else None
        if found is None or value is None:
            continue
        after = _AFTER_NUMBER.match(rest, found.end())
        if after is None:
            return None
        return Mark(value, line[: label_length + after.end()].strip(), rest[after.end() :], kind)
    return None


def keyword(line: str) -> Mark | None:
    """CHAPTER I. / Chapter 12 / STAVE ONE / LETTER 4 / PROLOGUE / BOOK THE FIRST / PART II."""
    if len(line) > 150 or not line[0].isupper():
        return None
    if found := _CHAPTER.fullmatch(line):
        return _numbered(found[1], found.start(1), line, "chapter")
    if found := _NAMED.fullmatch(line):
        title = found["title"] or ""
        return Mark(None, line[: len(line) - len(title)].strip(), title, "chapter", alone=True)
    if _BACK.fullmatch(line):
        return Mark(None, line, "", "back", alone=True)
    return part(line)


def part(line: str) -> Mark | None:
    """BOOK I / PART TWO / VOLUME III: one short line."""
    found = _PART.fullmatch(line) if len(line) <= 80 else None
    return _numbered(found[1], found.start(1), line, "part") if found else None


def numeral_title(line: str) -> Mark | None:
    """I. A SCANDAL IN BOHEMIA / 2. The Pool of Tears."""
    found = re.fullmatch(r"([IVXLC]+|\d{1,3})(?:\.|:|\s?—|\s-)\s*([A-Z“‘\"].{1,79})", line)
    value = number(found[1]) if found else None
    if found is None or value is None or not is_title(found[2]):
        return part(line)
    return Mark(value, line[: found.start(2)].strip(), found[2], "chapter", chained=True)


def bare_numeral(line: str) -> Mark | None:
    """A line that is only a number: IV. or 4 or [ 4 ]."""
    found = _NUMERAL.fullmatch(line)
    value = number(found[1]) if found else None
    return part(line) if value is None else Mark(value, line, "", "chapter", chained=True)


def capitals(line: str) -> Mark | None:
    """A line in capitals, as story collections head their stories."""
    letters = [c for c in line if c.isalpha()]
    if len(letters) < 4 or len(line) > 60 or not all(c.isupper() for c in letters):
        return None
    if re.fullmatch(r"(THE END|FINIS|CONTENTS|PREFACE|INTRODUCTION|DEDICATION)\.?", line):
        return None
    return Mark(None, "", line, "chapter", alone=True)


def is_title(text: str) -> bool:
    """Say whether a line after a heading is its title, not the chapter's first sentence."""
    letters = [c for c in text if c.isalpha()]
    if not letters or len(text) > 150:
        return False
    if sum(c.isupper() for c in letters) > 0.8 * len(letters):
        return True
    return (
        len(text) <= 80
        and text[-1] not in ".!?…,;:”\"'’—-"
        and text[0] not in "“\"‘'"
        and (text[0].isupper() or text[0] in "_0123456789")
    )
