"""Sentences: a paragraph is cut where one ends, in English and in Chinese.

    sentences("It rained. “Again?” asked Mr. Wen.")
    # ['It rained.', ' “Again?” asked Mr. Wen.']

A few rules and two short lists do it, no model: what they get wrong is said below.
"""

import re
from itertools import pairwise

TITLES = frozenset(
    {"Mr", "Mrs", "Ms", "Messrs", "Mme", "Mlle", "Dr", "Prof", "Rev", "Hon", "St", "Mt", "Jr"}
    | {"Sr", "Esq", "Col", "Capt", "Gen", "Lt", "Maj", "Sgt", "Adm", "Gov", "Pres", "vs", "viz"}
)
"""Shortened words with a point that a name or the rest of the sentence follows."""

NUMBERED = frozenset({"No", "Nos", "Vol", "Chap", "Fig", "p", "pp"})
"""Shortened words with a point that a number follows."""

_CLOSING = "”’\"')\\]"
_OPENING = "“‘\"'(\\[—–…"

# A word, the marks that may end a sentence, white space, and the first letter of what follows.
# No run is tried again shorter (*+, ++) or from its middle (?<!), so time grows with the length.
_ENGLISH = re.compile(
    rf"(?:\b(?P<word>\w++)|(?<![\w.!?…]))(?P<marks>[.!?…]++[{_CLOSING}]*+)"
    rf"(?=\s++[{_OPENING}]*+(?P<next>\w))"
)
_SAID_NAME = re.compile(
    r"\s+(?:[A-Z][\w’-]*\s+){1,3}"
    r"(?:said|asked|cried|called|answered|replied|whispered|shouted|exclaimed|repeated|added)\b"
)

_CHINESE = re.compile(
    r"(?<![。！？!?…])(?<!\.\.)(?:[。！？!?…]|\.{3,}+)++"
    r"(?P<closed>[”’」』）)\"']*+)"
    r"(?![，、；：。！？…》〉,;:]|\s*+\Z)"  # the sentence goes on; or there is nothing more
)
# He said, 小豆问: a few characters, a word for saying, and a mark.
_SAID = re.compile(
    r"[^，。！？…：；“”「」『』]{1,8}?(?:[说问答喊叫吼嚷喝骂念]|(?<!知)道)[着了]?[，。！？：；]"
)


def sentences(paragraph: str, language: str = "en") -> list[str]:
    """Cut a paragraph into its sentences, which joined again are the paragraph: nothing is lost.

    "".join(sentences(p)) == p for every text p; white space stands before the sentence that it
    leads to, as a space belongs to the word after it in byte-pair encoding.

    English: a sentence ends with one or more of . ! ? … and the closing marks behind them, where
    white space and then a capital letter or a digit follow, quotation marks set aside. A title
    (Mr. Mrs. Dr. St.) and an initial (J. Austen; but "I.") do not end one, and neither does a
    quotation before `said`: “Run!” Wen said. Chinese: with 。！？… and the closing marks, unless
    a comma or the like follows, or after a quotation who said it: “谁？”小豆问。 Marks stay with
    their sentence, so a quotation of two sentences has its opening mark in the first and its
    closing mark in the second.

    What it gets wrong: a sentence that begins with a small letter, or ends with an initial or a
    title, hangs together with its neighbour; a name in capitals after an abbreviation that is
    not in `TITLES` is cut off; who spoke, in words that the lists do not have or further on, is
    a sentence of its own. In Chinese a straight quotation mark behind 。 is taken to close, for
    it does not say which it does.

    Raises ValueError: a language that is neither "en" nor "zh".
    Taught in solutions/05_seq2seq.ipynb.
    """
    if language == "en":
        ends = [m.end() for m in _ENGLISH.finditer(paragraph) if _ends_english(m)]
    elif language == "zh":
        ends = [m.end() for m in _CHINESE.finditer(paragraph) if _ends_chinese(m)]
    else:
        raise ValueError(f"sentences are known in 'en' and 'zh', not in {language!r}")
    places = [0, *ends, len(paragraph)]
    parts = [paragraph[a:b] for a, b in pairwise(places)]
    return [part for part in parts if part]


def _ends_english(found: re.Match[str]) -> bool:
    """Whether these marks end the sentence, seen from the word before and the letter after."""
    word, marks, following = found["word"] or "", found["marks"], found["next"]
    if not (following.isupper() or following.isdigit()):
        return False
    if marks == ".":
        initial = len(word) == 1 and word.isupper() and word != "I"
        return not (initial or word in TITLES or (word in NUMBERED and following.isdigit()))
    quoted = marks[-1] in "”’\"'"
    return not (quoted and _SAID_NAME.match(found.string, found.end()))


def _ends_chinese(found: re.Match[str]) -> bool:
    """Whether these marks end the sentence: not where it goes on with who said it."""
    return not (found["closed"] and _SAID.match(found.string, found.end()))


__all__ = ["NUMBERED", "TITLES", "sentences"]
