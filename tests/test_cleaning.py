"""The rules of cleaning, each on a few invented words, and layouts that must all come out alike."""

import random
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill import cleaning_chinese as chinese
from minidistill import cleaning_english as english
from minidistill.cleaning import (
    DEFAULT_RULES,
    PARAGRAPH_RULES,
    TEXT_RULES,
    Chapter,
    Chapters,
    Recipe,
    clean,
    default_recipe,
    gutenberg,
    normalise,
    ornaments,
)
from minidistill.cleaning_layout import (
    detect_layout,
    indent,
    join_chinese,
    join_english,
    single_spaced,
)
from minidistill.library import catalogue

ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX".split()  # noqa: SIM905
HAN = "一二三四五六七八九十"


def english_paragraph(rng: random.Random, sentences: int = 5) -> str:
    words = "the a wind ship rain over under harbour cold lamp keeper slowly never".split()  # noqa: SIM905
    made = (" ".join(rng.choices(words, k=rng.randint(5, 19))) for _ in range(sentences))
    return " ".join(s.capitalize() + rng.choice(".?!.") for s in made)


def chinese_paragraph(rng: random.Random, sentences: int = 5) -> str:
    words = "春风过河船家说话天明了他们走山路看见老人笑着听雨声"
    made = ("".join(rng.choices(words, k=rng.randint(7, 23))) for _ in range(sentences))
    return "".join(s + rng.choice("。？！。") for s in made)


def book(language: str, chapters: int = 5, seed: int = 7) -> Chapters:
    """An invented book: numbered chapters of eleven paragraphs each."""
    rng = random.Random(seed)
    make = english_paragraph if language == "en" else chinese_paragraph
    title = (lambda i: f"CHAPTER {ROMAN[i]}.") if language == "en" else (lambda i: f"第{HAN[i]}章")
    return Chapters(
        Chapter(title(i), tuple(make(rng, rng.randint(2, 7)) for _ in range(11)))
        for i in range(chapters)
    )


def wrap(text: str, first: str = "", width: int = 0) -> str:
    """Break lines as typists do: English before a word, Chinese at the edge."""
    if text.isascii():
        return textwrap.fill(text, width or 67, initial_indent=first)
    text, width = first + text, width or 37
    return "\n".join(text[i : i + width] for i in range(0, len(text), width))


def layout(chapters: Chapters, gap: str, make, after_title: str = "\n\n") -> str:
    return "\n\n\n".join(
        c.title + after_title + gap.join(map(make, c.paragraphs)) for c in chapters
    )


# One book in many layouts.

LAYOUTS = {
    "a paragraph a line": lambda b: layout(b, "\n", str, "\n"),
    "a paragraph a line, blank lines": lambda b: layout(b, "\n\n", str),
    "wrapped, blank lines": lambda b: layout(b, "\n\n", wrap),
    "wrapped, indents": lambda b: layout(b, "\n", lambda p: wrap(p, "\u3000\u3000")),
    "wrapped, indents by spaces": lambda b: layout(b, "\n", lambda p: wrap(p, "    "), "\n"),
    "all lines set in": lambda b: textwrap.indent(layout(b, "\n\n", wrap), "    "),
    "double-spaced": lambda b: layout(b, "\n\n", wrap).replace("\n", "\n\n"),
}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_layout_gives_the_same_chapters(language, name, ends):
    made = book(language)
    text = LAYOUTS[name](made).replace("\n", ends)
    assert clean("\ufeff" + text, language) == made


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_file_of_two_layouts_is_read_chapter_by_chapter(language):
    made = book(language, chapters=4)
    longer = Chapters(Chapter(c.title, c.paragraphs * 5) for c in made)
    text = layout(longer[:2], "\n\n", wrap) + "\n\n\n" + layout(longer[2:], "\n\n", str)
    assert clean(text, language) == longer


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(41, 97))
def test_wrapping_and_joining_english_gives_the_text_back(seed, width):
    made = book("en", chapters=2, seed=seed)
    text = layout(made, "\n\n", lambda p: wrap(p, width=width))
    assert clean(text, "en") == made


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(23, 61))
def test_wrapping_and_joining_chinese_gives_the_text_back(seed, width):
    made = book("zh", chapters=2, seed=seed)
    text = layout(made, "\n", lambda p: wrap(p, "\u3000\u3000", width))
    assert clean(text, "zh") == made


@settings(deadline=None)
@given(st.text(max_size=300))
def test_no_text_breaks_the_cleaning(text):
    for language in ("en", "zh"):
        recipe = Recipe(DEFAULT_RULES[language])
        for chapter in clean(text, language, recipe):
            assert chapter.paragraphs and all(p and "\n" not in p for p in chapter.paragraphs)


def test_without_headings_all_is_one_chapter():
    for language in ("en", "zh"):
        made = book(language)
        (only,) = clean(made.text, language)
        assert only.title == "" and only.text == made.text


# Chapters.


def body(*numbers: int, language: str = "en") -> str:
    rng = random.Random(str(numbers))
    make = english_paragraph if language == "en" else chinese_paragraph
    return "\n\n".join(make(rng, 9) for _ in range(9))


def wrapped_body(number: int) -> str:
    return "\n\n".join(map(wrap, body(number).split("\n\n")))


@pytest.mark.parametrize(
    ("headings", "titles"),
    [
        (["Chapter 1", "Chapter 2"], None),
        (["CHAPTER I.\nThe Rain", "CHAPTER II.\nThe Ship"], ["CHAPTER I. The Rain", None]),
        (["CHAPTER I.\n\nThe Rain", "CHAPTER II.\n\nThe Ship"], ["CHAPTER I. The Rain", None]),
        (["CHAPTER I. The Rain, and\nthe Ship", "CHAPTER II. So"], [None, "CHAPTER II. So"]),
        (["Chapter Twenty-One", "Chapter Twenty-Two"], None),
        (["CHAPTER THE FIRST", "CHAPTER THE LAST"], None),
        (["PROLOGUE", "Chapter 1: Rain", "EPILOGUE"], None),
        (["LETTER 1", "LETTER 2"], None),
        (["STAVE ONE", "STAVE TWO"], None),
        (["# Chapter One", "# Chapter Two"], ["Chapter One", "Chapter Two"]),
        (["_Chapter 1_", "_Chapter 2_"], ["Chapter 1", "Chapter 2"]),
        (["BOOK I", "BOOK II"], None),
        (["I. THE RAIN", "II. THE SHIP"], None),
        (["1. The Rain", "2. The Ship"], None),
        (["I.", "II.", "III."], None),
        (["1", "2", "3"], None),
        (["[ 1 ]", "[ 2 ]"], None),
        (["I\nThe Rain", "II\nThe Ship"], ["I The Rain", "II The Ship"]),
        (["\n\nTHE RAIN", "\n\nTHE SHIP", "\n\nTHE LAMP"], ["THE RAIN", "THE SHIP", "THE LAMP"]),
    ],
)
def test_english_headings(headings, titles):
    text = "\n\n\n".join(f"{h}\n\n{wrapped_body(i)}" for i, h in enumerate(headings))
    found = [chapter.title for chapter in clean(text, "en")]
    wanted = [t or " ".join(h.split()) for h, t in zip(headings, titles or headings, strict=False)]
    assert found == wanted + headings[len(wanted) :]


@pytest.mark.parametrize(
    ("headings", "titles"),
    [
        (["第一回　春雨　秋风", "第二回　山路　河船"], ["第一回 春雨 秋风", "第二回 山路 河船"]),
        (["第一章", "第二章"], None),
        (["第一章\n\n春雨", "第二章\n\n山路"], ["第一章 春雨", "第二章 山路"]),
        (["第1章 春雨", "第2章 山路"], None),
        (["第１章：春雨", "第２章：山路"], ["第１章 春雨", "第２章 山路"]),
        (["第一章春雨", "第二章山路"], ["第一章 春雨", "第二章 山路"]),
        (["正文 第一章 春雨", "正文 第二章 山路"], ["第一章 春雨", "第二章 山路"]),
        (["【第一章 春雨】", "【第二章 山路】"], ["第一章 春雨", "第二章 山路"]),
        (["第九八回 春雨", "第九九回 山路", "第一○○回 河船"], None),
        (["楔子", "第一章 春雨", "尾声"], None),
        (["卷一 春", "卷二 秋"], None),
        (["一、春雨", "二、山路"], ["一、 春雨", "二、 山路"]),
        (["（一）", "（二）"], None),
        (["1", "2", "3"], None),
    ],
)
def test_chinese_headings(headings, titles):
    text = "\n\n".join(f"{h}\n\n{body(i, language='zh')}" for i, h in enumerate(headings))
    found = [chapter.title for chapter in clean(text, "zh")]
    assert found == (titles or headings)


def test_contents_are_no_chapters():
    for gap in ("\n", "\n\n"):
        names = [f"CHAPTER {n}. Rain {n}" for n in ROMAN[:7]]
        story = "\n\n\n".join(f"{name}\n\n{body(i)}" for i, name in enumerate(names))
        text = f"A Book\n\nCONTENTS\n\n{gap.join(names)}\n\nPREFACE\n\nKind reader.\n\n{story}"
        assert [c.title for c in clean(text, "en")] == names
        names = [f"第{n}章 春雨" for n in HAN[:7]]
        story = "\n\n".join(f"{n}\n\n{body(i, language='zh')}" for i, n in enumerate(names))
        text = f"书\n\n目录\n\n{gap.join(names)}\n\n{story}"
        assert [c.title for c in clean(text, "zh")] == names


def test_contents_may_lack_the_titles_or_the_pages():
    names = [f"CHAPTER {n}" for n in ROMAN[:7]]
    contents = "\n\n".join(f"{name}. A Title of its own ...... 17" for name in names)
    story = "\n\n\n".join(f"{name}\n\n{body(i)}" for i, name in enumerate(names))
    assert [c.title for c in clean(f"{contents}\n\nPICTURES\n\n{story}", "en")] == names


def test_volumes_begin_again_at_one():
    parts = [f"PART {part}\n\nChapter {n}\n\n{body(n)}" for part in (1, 2) for n in (1, 2)]
    text = "\n\n".join([parts[0], parts[1].split("\n\n", 1)[1], parts[2]])
    found = clean(text, "en")
    assert [c.title for c in found] == ["Chapter 1", "Chapter 2", "Chapter 1"]
    assert "PART" not in found.text


def test_a_numeral_inside_a_story_is_neither_chapter_nor_text():
    stories = [f"{n}. A STORY\n\nI.\n\n{body(1)}\n\nII.\n\n{body(2)}" for n in ROMAN[:4]]
    found = clean("\n\n\n".join(stories), "en")
    assert [c.title for c in found] == [f"{n}. A STORY" for n in ROMAN[:4]]
    assert [len(c.paragraphs) for c in found] == [18] * 4


def test_sentences_that_begin_like_headings_stay_sentences():
    told = "Chapter 7 of the law says that nobody sails at night, and the keeper of the harbour\n"
    text = f"Chapter 1\n\n{told}knew it well.\n\n{body(1)}\n\nChapter 2\n\n{body(2)}"
    assert [c.title for c in clean(text, "en")] == ["Chapter 1", "Chapter 2"]
    told = "第一回中说的是春风，这里再说一遍。\n\n第七章里没有说的话也在这里。\n\n尾声：春，秋"
    text = f"第一章\n\n{told}\n\n{body(1, language='zh')}\n\n第二章\n\n{body(2, language='zh')}"
    assert [c.title for c in clean(text, "zh")] == ["第一章", "第二章"]


def test_missing_headings_do_not_lose_the_rest():
    kept = [n for i, n in enumerate(ROMAN[:13]) if i not in (4, 5, 9)]
    text = "\n\n\n".join(f"{n}\n\n{body(i)}" for i, n in enumerate(kept))
    assert [c.title for c in clean(text, "en")] == kept


def test_a_lone_numeral_in_mid_book_does_not_begin_a_new_count():
    text = "\n\n\n".join(f"{n}\n\n{body(i)}" for i, n in enumerate([*"12345", "I.", *"678"]))
    assert [c.title for c in clean(text, "en")] == list("12345678")
    text = "\n\n\n".join(f"{n}\n\n{body(i)}" for i, n in enumerate("12345123"))
    assert [c.title for c in clean(text, "en")] == list("12345123")


def test_page_numbers_are_no_chapters():
    rng = random.Random(3)
    text = "\n\n".join(f"{english_paragraph(rng)}\n\n{n}" for n in range(1, 60))
    assert len(clean(text, "en")) == 1


def test_a_long_opening_is_kept_and_a_title_page_is_not():
    story = f"CHAPTER I\n\n{body(1)}\n\nCHAPTER II\n\n{body(2)}"
    assert len(clean("A BOOK\n\nby Nobody\n\n" + story, "en")) == 2
    opened = clean(f"{english_paragraph(random.Random(1), 40)}\n\n{story}", "en")
    assert [c.title for c in opened] == ["", "CHAPTER I", "CHAPTER II"]


def test_what_stands_after_the_end_is_cut():
    story = layout(book("en"), "\n\n", wrap)
    end = "\n\nTHE END\n\nPRINTED BY A. PRESS\n\n\nFOOTNOTES\n\n[1] A note of no weight.\n"
    assert clean(story + end, "en") == book("en")
    assert clean(layout(book("zh"), "\n\n", wrap) + "\n\n（全书完）\n", "zh") == book("zh")


# Rules.


def test_gutenberg_frames_old_and_new():
    story = "The story.\n\nGoes on.\n" * 9
    new = f"Title: X\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n{story}"
    new += "*** END OF THE PROJECT GUTENBERG EBOOK X ***\nlicence"
    assert gutenberg(new).strip() == story.strip()
    two_lines = new.replace("EBOOK X ***\n\n", "EBOOK X\nAND Y ***\n\nProduced by A and\nB\n\n\n")
    assert gutenberg(two_lines).strip() == story.strip()
    old = f"small\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n{story}"
    assert gutenberg(old + "\nEnd of Project Gutenberg's X, by Y\n").strip() == story.strip()
    assert gutenberg(story) == story


def test_normalise_ends_lines_and_takes_out_the_invisible():
    assert normalise("\ufeffa\r\nb\rc\u2028d\x00\u200be\u00a0f\uf020") == "a\nb\nc\nde f"


def test_ornaments_are_emptied_and_dashes_in_dialogue_are_not():
    assert ornaments("a\n * * * \nb\n-----\n　＊＊＊\n---\n***\n—— no\n* one") == (
        "a\n\nb\n\n\n\n\n—— no\n* one"
    )


def test_illustrations_go_with_all_that_is_inside():
    text = "a [Illustration] b\n[Illustration: She _said_\n\n[_Copyright_]]\nc [not this] d"
    assert english.illustrations(text) == "a  b\n\nc [not this] d"
    assert english.illustrations("x [Illustration: A BOOK\n\nChapter I.]\ny") == (
        "x \n\nChapter I.\n\n\ny"
    )
    assert english.illustrations("[Illustration: never closed") == "Illustration: never closed"


def test_print_marks_italics_and_dashes():
    assert (
        english.print_marks("/* RIGHT “Here, 7 May. */ M^{rs.} Dee") == " “Here, 7 May.  Mrs. Dee"
    )
    assert english.italics("_so_ “_Un_important” 10_s._ _a") == "so “Unimportant” 10s. a"
    assert english.italics("one snake_case") == "one snake_case"
    assert english.dashes("wait--no ----shire") == "wait—no ——shire"


def test_words_cut_at_a_hyphen_or_a_dash_are_joined_without_a_space():
    assert join_english(["a to-", "day and—", "yes", "—no -", "x"]) == "a to-day and—yes—no - x"
    assert join_chinese(["他说", "Hello", "world", "了"]) == "他说Hello world了"


@settings(deadline=None)
@given(st.integers(1, 399))
def test_roman_numbers_are_read(n):
    roman = ""
    signs = [(100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V")]
    left = n
    for value, sign in [*signs, (4, "IV"), (1, "I")]:
        roman += sign * (left // value)
        left %= value
    assert english.number(roman) == n
    assert english.number(str(n)) == n


@pytest.mark.parametrize(
    ("words", "n"),
    [("twelve", 12), ("Twelfth", 12), ("FORTY-TWO", 42), ("thirty first", 31), ("fortieth", 40)],
)
def test_english_number_words_are_read(words, n):
    assert english.number(words) == n


@pytest.mark.parametrize("text", ["", "The", "IIX", "VX", "1234", "MIX", "one two three"])
def test_what_is_no_english_number_is_none(text):
    assert english.number(text) is None


@settings(deadline=None)
@given(st.integers(1, 1999))
def test_chinese_numbers_are_read(n):
    digits = "零一二三四五六七八九"
    units = [(1000, "千"), (100, "百"), (10, "十"), (1, "")]
    spoken, left = "", n
    for value, unit in units:
        digit, left = divmod(left, value)
        if digit:
            spoken += digits[digit] + unit
        elif spoken and left:
            spoken += "零"
    spoken = spoken.replace("零零", "零").removesuffix("零")
    assert chinese.number(spoken) == n
    assert chinese.number("".join(digits[int(c)] for c in str(n))) == n
    if 10 <= n < 20:
        assert chinese.number(spoken.removeprefix("一")) == n


@pytest.mark.parametrize(
    ("text", "n"),
    [("一○三", 103), ("廿一", 21), ("卅", 30), ("１２", 12), ("两百", 200), ("春", None)],
)
def test_other_ways_to_write_chinese_numbers(text, n):
    assert chinese.number(text) == n


def test_quotation_marks_are_made_curly_and_paired():
    assert chinese.curly_quotes("「他說『好』。」") == "“他說‘好’。”"
    assert chinese.curly_quotes('"好。"他说："不，“走"吧') == "“好。”他说：“不，“走”吧"
    assert chinese.curly_quotes("说`山高'二字") == "说‘山高’二字"


def test_half_width_marks_become_full_width_beside_han_only():
    assert (
        chinese.full_width("他来,我走.对?好!(是):a,b 3.5﹔")
        == "他来，我走。对？好！（是）：a,b 3.5；"
    )
    assert chinese.full_width("等...他----来─了。。。") == "等……他——来——了……"


def test_spaces_close_up_beside_han_only():
    assert chinese.close_up("春　風 ， two words 好") == "春風，two words好"


def test_lost_and_described_characters():
    assert chinese.lost_glyphs("山?水*+ab河") == "山□水□河"
    assert chinese.song_titles("[春江曲]他[x") == "【春江曲】他[x"
    table = {"左糸右條": "縧", "左舟右夾": ""}
    said = "皂★（音條，左糸，右條）履，★（左木右山）船，（左糸右條）帶，他（左右為難）笑"
    assert chinese.described_glyphs(said, table) == "皂縧履，□船，縧帶，他（左右為難）笑"


def test_line_numbers_go_in_runs_or_before_a_tab():
    text = "春子\n丑，山\n寅，水\n卯，河\n風\n子，\t船\n雨\n午，時候到了"
    assert chinese.line_numbers(text) == "春子\n山\n水\n河\n風\n船\n雨\n午，時候到了"


def test_text_behind_a_heading_moves_into_the_chapter():
    text = "第七回　春雨秋風　山路河船　話\n說老人\n---------------\n\n的船"
    assert chinese.heading_tails(text) == "第七回　春雨秋風　山路河船\n\n話\n說老人\n的船"
    text = "且聽下回分解。第八回　春雨秋風　山路河船話說老人"
    assert chinese.run_on_headings(text) == (
        "且聽下回分解。\n\n第八回　春雨秋風　山路河船\n\n話說老人"
    )


def test_traditional_characters_are_seen_and_simplified():
    pytest.importorskip("opencc", reason="OpenCC is not installed")
    assert chinese.is_traditional("這個人說過話") and not chinese.is_traditional("这个人说过话")
    assert not chinese.is_traditional("no Chinese at all")
    assert chinese.simplify("這個人說過話") == "这个人说过话"
    text = "\n\n".join(f"第{n}章\n\n" + "這個人說過話。" * 30 for n in HAN[:3])
    assert set(clean(text, "zh").text) == set("这个人说过话。\n")


def test_without_opencc_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opencc", None)
    chinese._converter.cache_clear()
    with pytest.raises(ImportError, match=r"pip install \"minidistill\[chinese\]\""):
        clean("這個人說過話。" * 30, "zh")


def test_a_middle_dot_is_a_full_stop_only_where_full_stops_are_rare():
    assert "full_stops" in default_recipe("他走了．她来了．" * 9, "zh").rules
    assert "name_dots" in default_recipe("大卫．某某走了。她来了。" * 9, "zh").rules


def test_corrections_of_one_file_run_before_the_rules():
    recipe = Recipe(("full_width",), replace={"錯?": "對"}, glyphs={"左木右山": "杣"})
    (chapter,) = clean("他錯?了,★（左木右山）。", "zh", recipe)
    assert chapter.text == "他對了，杣。"


def test_every_rule_that_a_recipe_names_is_there():
    known = {**TEXT_RULES, **PARAGRAPH_RULES}
    for rules in [*DEFAULT_RULES.values(), *(e.recipe.rules for e in catalogue().values())]:
        assert set(rules) <= set(known)
        kinds = [rule in PARAGRAPH_RULES for rule in rules]
        assert kinds == sorted(kinds), "text rules come before paragraph rules"


# Layout.


def test_layouts_are_told_apart():
    made = book("en")
    wrapped = layout(made, "\n\n", wrap).split("\n")
    assert detect_layout(wrapped, "en").wrapped and not detect_layout(wrapped, "en").sparse
    assert not detect_layout(layout(made, "\n", str).split("\n"), "en").wrapped
    assert detect_layout(layout(made, "\n", wrap).split("\n"), "en").short_ends
    assert not detect_layout([], "en").wrapped and not detect_layout(["", " "], "zh").wrapped


def test_a_stray_blank_line_in_mid_sentence_does_not_end_the_paragraph():
    made = book("zh")
    text = layout(made, "\n", lambda p: wrap(p, "\u3000\u3000"))
    lines = text.split("\n")
    at = next(i for i, x in enumerate(lines) if i > 9 and len(x) == 37 and x[-1].isalpha())
    lines.insert(at + 1, "")
    assert clean("\n".join(lines), "zh") == made


def test_indents_count_full_width_spaces_twice():
    assert [indent(line) for line in ("a", "  a", "\u3000a", "\u3000 a", "\ta")] == [0, 2, 2, 3, 4]


def test_single_spaced_leaves_ordinary_files_alone():
    for language in ("en", "zh"):
        for make in (str, wrap):
            lines = layout(book(language), "\n\n", make).split("\n")
            assert single_spaced(lines, language) == lines
