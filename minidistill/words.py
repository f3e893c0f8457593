"""Words: how a text is split into words and marks, and how these are joined to a text again.

Taught in solutions/01_text_as_data.ipynb.
"""

import logging
import re
import warnings
from collections.abc import Iterable
from functools import cache

_HAN = r"\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_LETTER = rf"[^\W_{_HAN}]"
_WORD = re.compile(
    rf"""
      [{_HAN}]                                  # one Chinese character, or
    | \d+ (?: [.,]\d+ )+                        # a number with points: 1,000.50, or
    | {_LETTER} (?: {_LETTER} | [\u0300-\u036f]   # a word: letters, digits, their accents,
        | ['’-](?={_LETTER}) )*                 # apostrophe or hyphen inside: don't, ill-bred
    | --                                        # a typewriter's dash, or
    | \n\s*                                     # line breaks: the end of a paragraph, or
    | \S                                        # any other character that is not white space
    """,
    re.VERBOSE,
)
PARAGRAPH = "\n"  # the token that ends a paragraph, however many line breaks stand there


def split_words(text: str) -> list[str]:
    """Return the words, punctuation marks and Chinese characters of a text, in order.

    One regular expression, `_WORD`, says what a token is: a single Chinese character; a
    number with points or commas inside; a run of letters and digits, with accents, and with
    apostrophes and hyphens inside it; "--"; line breaks, which end a paragraph and become one
    token "\\n" together; any other single character. Other white space only separates. Upper
    and lower case stay apart. A file with line breaks inside its paragraphs should be cleaned
    first, as `minidistill.novels` does. Taught in solutions/01_text_as_data.ipynb.
    """
    return [PARAGRAPH if token[0] == "\n" else token for token in _WORD.findall(text)]


def split_chinese(text: str) -> list[str]:
    """Return the words of a Chinese text as jieba finds them; joined, they are the text again.

    Chinese is written without spaces, so that a word is a guess: jieba looks for the likeliest
    division by a dictionary of 350,000 words with their frequencies, and guesses at names and
    other words that it has not seen. White space and marks are tokens too.

    Raises:
        ImportError: jieba is not installed.

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    try:
        with warnings.catch_warnings():  # jieba's own, of a kind that Python will refuse one day
            warnings.simplefilter("ignore")
            import jieba
    except ImportError:
        raise ImportError(
            'words of a Chinese text are found by jieba: pip install "minidistill[chinese]"'
        ) from None
    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut(text)


def split_plain(text: str) -> list[str]:
    """Return the words of a text in small letters, without marks; Chinese by character.

    The tokens of `split_words` that begin with a letter, a figure or a Chinese character: what
    word embeddings are learned from. Taught in solutions/07_word_embeddings.ipynb.
    """
    return [token.lower() for token in split_words(text) if token[0].isalnum()]


def split_plain_chinese(text: str) -> list[str]:
    """Return the words of a Chinese text as jieba finds them, without marks.

    Raises:
        ImportError: jieba is not installed.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    return [token.lower() for token in split_chinese(text) if token[0].isalnum()]


_AFTER_WORD = set(".,;:!?)]}”’%…")  # no space before
_BEFORE_WORD = set("([{“‘")  # no space after
_PAIRED = set('"_')  # opens and closes with the same mark
# Characters and marks of Chinese (full-width letters are letters), dashes, and paragraphs:
# no space on either side.
_MARKS = r"\u3001-\u3004\u3008-\u3020\u3030\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_TIGHT = re.compile(rf"[{_HAN}{_MARKS}—–\n]|--")


def join_words(tokens: Iterable[str]) -> str:
    """Return tokens of `split_words` as text, with spaces where people write them."""
    pieces: list[str] = []
    open_marks: set[str] = set()
    last, glue = PARAGRAPH, True
    for token in tokens:
        tight = _TIGHT.fullmatch(token) is not None
        closes = token in open_marks
        glue = glue or tight or closes or token in _AFTER_WORD
        # A dash beside a hyphen would read as another dash.
        if not glue or last[-1] == token[0] == "-":
            pieces.append(" ")
        pieces.append(token)
        if token == PARAGRAPH:
            open_marks.clear()  # a paragraph closes what it opened
        elif token in _PAIRED:
            open_marks ^= {token}
        glue = tight or token in _BEFORE_WORD or (token in _PAIRED and not closes)
        last = token
    return "".join(pieces)


@cache
def _spaced() -> re.Pattern[str]:
    """What `split_spaced` looks for, made when it is first asked for."""
    # To `re`, numbers that are no digits, such as ² and Ⅷ, are letters, and four control
    # characters are white space; to byte-pair encoding they are numbers and marks.
    characters = map(chr, range(0x110000))
    odd = "".join(c for c in characters if c.isnumeric() and not (c.isalpha() or c.isdecimal()))
    space = r"[^\S\x1c-\x1f]"
    return re.compile(
        rf"""
          '(?:s|t|re|ve|m|ll|d)                    # the second half of "don't", or
        | [{_HAN}]                                 # one Chinese character, or
        | [ ]?(?:[a-zA-Z]+|(?![{_HAN}{odd}])[^\W\d_])+   # letters (most are quick to tell), or
        | [ ]?(?:[^\s\w]|[_\x1c-\x1f])+            # marks, or
        | [ ]?(?:\d|(?![{_HAN}])[{odd}])+          # numbers, or
        | {space}+(?={space}|\Z) | {space}+        # white space but the last, or the last
        """,
        re.VERBOSE,
    )


def split_spaced(text: str) -> list[str]:
    """Return the words and marks of a text with the space before them: joined, they are the text.

    The borders are those that byte-pair encoding never joins across (Radford et al. 2019), and
    between two Chinese characters there is one too, so every word is made of whole pieces.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    return _spaced().findall(text)
