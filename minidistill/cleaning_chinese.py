"""Rules and heading patterns for Chinese novels."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from minidistill.cleaning_headings import Mark

LOST = "□"  # printers' mark for a character that is missing from the source
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
HAN = f"[{_HAN}]"  # one Han character, as a regular expression
_CJK = rf"{_HAN}\u3000-\u303f\uff00-\uffef“”‘’…—□○"
_DIGITS = {c: i % 10 for i, c in enumerate("〇一二三四五六七八九零壹贰叁肆伍陆柒捌玖")}
_DIGITS |= {"○": 0, "Ｏ": 0, "兩": 2, "两": 2} | {chr(0xFF10 + i): i for i in range(10)}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_NUMBER = r"[〇一二三四五六七八九十百千零两兩廿卅○Ｏ壹贰叁肆伍陆柒捌玖\d]{1,8}"

_CHAPTER = re.compile(
    rf"[【\[\s]*(?:正文\s*)?(?:第{_NUMBER}[卷部集篇]\s*[^\s第]{{0,20}}\s*)?"
    rf"(?P<first>第?)\s*(?P<number>{_NUMBER})\s*[回章節节話话折](?P<gap>[\s:：、.．·—】\]-]*)(?P<title>.*?)[】\]]?"
)
_PART = re.compile(
    rf"(?:第\s*{_NUMBER}\s*[卷部集篇冊册]|[卷篇]之?{_NUMBER}|[上中下][卷部篇冊册])"
    r"(?:[\s:：、·—]+(.{1,20}))?"
)
_NAMED = re.compile(
    r"(?:楔子|序章|序幕|序曲|引子|引言|序言|前言|尾聲|尾声|終章|终章|後記|后记|跋"
    r"|番外[篇一二三四五六七八九十\d]*)(?:[\s:：、·—]+([^，。]{1,30}))?"
)
_TRADITIONAL = "這個們說來時對會過還沒為國學開關門問間東車馬見長書話語無與從點頭"
_SIMPLIFIED = "这个们说来时对会过还没为国学开关门问间东车马见长书话语无与从点头"


def number(text: str) -> int | None:
    """Read a number: 十二, 一百零三, 九八 (= 98), 一○○ (= 100), 廿一, 12; None if it is not one."""
    text = text.replace("廿", "二十").replace("卅", "三十")
    if text.isascii():
        return int(text) if text.isdigit() else None
    if not any(c in _UNITS for c in text):
        digits = [str(_DIGITS.get(c, c)) for c in text]
        return int("".join(digits)) if "".join(digits).isdigit() else None
    total = digit = 0
    for c in text:
        if c in _UNITS:
            total, digit = total + (digit or 1) * _UNITS[c], 0
        elif c in _DIGITS:
            digit = _DIGITS[c]
        else:
            return None
    return total + digit


def keyword(line: str) -> Mark | None:
    """第一回 / 第12章 …… / 楔子 / 卷一; one with no gap before its title only in its turn."""
    if len(line) > 60:
        return None
    if found := _CHAPTER.fullmatch(line):
        title, gap = found["title"], found["gap"]
        slip = not found["first"]  # 三十一回 for 第三十一回
        doubtful = slip or (bool(title) and (not gap or title[-1] in "，；、,;"))
        if re.search(r"[。；．]", title) or (doubtful and len(title) > 35):
            return None
        if slip and (not gap.isspace() or len(title) < 4 or re.search("[，：！？]", title)):
            return None
        label = line[found.start("first") : found.start("gap")]
        return Mark(number(found["number"]), label, _tidy(title), "chapter", chained=doubtful)
    if found := _NAMED.fullmatch(line.strip("【】[] \u3000")):
        return Mark(None, _tidy(found[0]), "", "chapter", alone=True)
    return part(line)


def part(line: str) -> Mark | None:
    """第一卷 / 卷二 / 上部: a volume, above the chapters."""
    found = _PART.fullmatch(line.strip("【】[] \u3000"))
    return Mark(None, _tidy(found[0]), "", "part", alone=True) if found else None


def numeral_title(line: str) -> Mark | None:
    """一、标题 / （二）标题 / 3. 标题: a numeral, a mark and a short title."""
    found = re.fullmatch(rf"[（(]?({_NUMBER})(?:[）)、.．:：]\s*|\s+)(\S.{{0,24}})", line)
    value = number(found[1]) if found else None
    if found is None or value is None or not is_title(found[2]):
        return part(line)
    label = line[: found.start(2)].strip()
    return Mark(value, label, _tidy(found[2]), "chapter", alone=True, chained=True)


def bare_numeral(line: str) -> Mark | None:
    """A line that is only a numeral: 一 / （二） / 3."""
    found = re.fullmatch(rf"[（(]?({_NUMBER})[）)]?[、.．]?", line)
    value = number(found[1]) if found else None
    return part(line) if value is None else Mark(value, line, "", "chapter", chained=True)


def is_title(text: str) -> bool:
    """Say whether a line after a heading is its title, not the chapter's first sentence."""
    return len(text) <= 40 and text[-1] not in "。！？…，；：、”’」』）．,;:.!?" + '"'


def _tidy(text: str) -> str:
    return " ".join(text.split())


# Text rules.

_COUNTER = re.compile(r"^(?:[子丑寅卯辰巳午未申酉戌戍亥一]|1[3-9])，\t?", re.MULTILINE)


def line_numbers(text: str) -> str:
    """Take out line numbers (子， 丑， ... 亥， 13，) that a word processor put before lines.

    One such line may be the story's own, so it goes only before a tab or in a run of three.
    """
    lines = text.split("\n")
    marked = "".join("x" if _COUNTER.match(line) else "." for line in lines)
    runs = {i for run in re.finditer("x{3,}", marked) for i in range(*run.span())}
    for i, line in enumerate(lines):
        if i in runs or "\t" in line[:4]:
            lines[i] = _COUNTER.sub("", line)
    return "\n".join(lines)


def heading_tails(text: str) -> str:
    """Move text that ran on behind a heading, over the line of dashes, into the chapter.

    "第三十一回 A B 話 / 說… / ------ / 的鮮血": A and B are the title, 話說… is text.
    """
    return re.sub(
        r"^(第\S{1,6}回\s+\S+[ \u3000]+\S+)[ \u3000]+(\S.*)\n((?:[^-\s].*\n)*)\s*-{9,}\n\s*",
        r"\1\n\n\2\n\3",
        text,
        flags=re.MULTILINE,
    )


def run_on_headings(text: str) -> str:
    """Give a heading its own line: after 下回分解。 of the last chapter, before 話說 of its own."""
    text = re.sub(rf"(分解[。．！]?)[ \u3000]*(?=第{_NUMBER}回[ \u3000])", r"\1\n\n", text)
    opening = r"(?=[話卻且]說|[话却且]说|[詩诗詞词]曰)"
    heading = rf"^([ \u3000]*第{_NUMBER}回[ \u3000][^。．，\n]{{6,40}}?){opening}"
    return re.sub(heading, r"\1\n\n", text, flags=re.MULTILINE)


# Paragraph rules.


def close_up(text: str) -> str:
    """Take out the spaces beside Chinese characters and marks."""
    return re.sub(rf"(?<=[{_CJK}])\s+|\s+(?=[{_CJK}])", "", text)


def full_width(text: str) -> str:
    """Write half-width and small-form marks beside Chinese characters full-width."""
    text = text.translate(str.maketrans("﹔﹖﹕﹗﹐﹑‧﹝﹞﹛﹜", "；？：！，、·（）（）"))
    text = re.sub(r"\.{3,}|。{3,}|…+", "……", text)
    text = re.sub(rf"[-_─—－]{{2,}}|[─—－]|(?<=[{_CJK}])[-_](?=[{_CJK}])", "——", text)
    wide = dict(zip(",;:?!()", "，；：？！（）", strict=True))
    half = rf"(?<=[{_CJK}])[,;:?!()]|[,;:?!()](?=[{_CJK}])|(?<=[{_HAN}”’）])\.(?![A-Za-z0-9.])"
    for _ in range(2):  # twice, because a mark may stand beside another one
        text = re.sub(half, lambda found: wide.get(found[0], "。"), text)
    return text


def curly_quotes(text: str) -> str:
    """Write 「」『』 as “”‘’, and pair straight quotation marks by what is open."""
    text = text.translate(str.maketrans("「」『』", "“”‘’"))
    if '"' in text:
        text = re.sub(r'[“”"]', _Pairing(), text)
    text = re.sub(r"`([^`']{1,60})'", r"‘\1’", text)
    return re.sub(rf"(?<=[{_CJK}])'|'(?=[{_CJK}])", "’", re.sub(rf"`(?=[{_CJK}])", "‘", text))


class _Pairing:
    """Turn each straight mark into “ or ”, whichever the text needs at that place."""

    def __init__(self) -> None:
        self.open = False

    def __call__(self, found: re.Match[str]) -> str:
        mark = found[0] if found[0] != '"' else "”" if self.open else "“"
        self.open = mark == "“"
        return mark


def lost_glyphs(text: str) -> str:
    """Write □ for what stands where a character was lost: Latin letters, digits, * ? @ ...

    Only for a text that has no Latin letters of its own.
    """
    return re.sub(r"[A-Za-z0-9?@^~*+|/\\{}\[\]<>ㄖΦあ□]+", LOST, text)


def song_titles(text: str) -> str:
    """Write [終身誤] as 【終身誤】."""
    return re.sub(rf"\[([{_HAN}．]{{2,8}})\]", r"【\1】", text)


def described_glyphs(text: str, table: Mapping[str, str]) -> str:
    """Put the character in the place of its description: ★（左糸，右條） becomes 縧.

    table: from a description without marks ("左糸右條") to the character; what it lacks is □.
    """

    def character(found: re.Match[str]) -> str:
        said = re.sub(r"音同?[^，,。左上]|[，,。．「」]", "", found[1])
        known = table.get(said)
        if known is None and not found[0].startswith("★") and not _DESCRIPTION.fullmatch(said):
            return found[0]
        return LOST if known is None else known

    return re.sub(r"★?[（﹝【]([^（）﹝﹞【】]{2,20})[）﹞】]", character, text)


_DESCRIPTION = re.compile(r"[左上].{1,9}[右下].{0,6}")


def is_traditional(text: str) -> bool:
    """Say whether a text is in traditional characters, from the most common ones."""
    traditional = sum(map(text.count, _TRADITIONAL))
    return traditional > sum(map(text.count, _SIMPLIFIED))


def simplify(text: str) -> str:
    """Turn traditional characters into simplified ones with OpenCC (Taiwan's forms, tw2s).

    Raises ImportError: OpenCC is not installed.
    """
    return _converter().convert(text)


@cache
def _converter() -> Any:
    try:
        from opencc import OpenCC
    except ImportError:
        raise ImportError(
            "this novel is in traditional characters, and turning them into simplified ones "
            'needs OpenCC: pip install "minidistill[chinese]"'
        ) from None
    return OpenCC("tw2s")
