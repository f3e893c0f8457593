"""Sentences: cut where they end, in two languages, and nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidistill.novels import load_novel
from minidistill.sentences import sentences

# Each list is what a paragraph should be cut into; the paragraph is the list joined.
ENGLISH = [
    ["It rained."],
    ["It rained.", " It rained again!", " Why?", " No one knew"],
    ["“Run!”", " “Why?”", " It was late."],
    ["“It is late.", " Go home,” she said.", " He went."],
    ["“Is it late?” he asked.", " It was."],
    ["“Is it late?” Old Wen asked.", " It was."],
    ["“Is it late?”", " Old Wen looked up.", " It was."],
    ["Mr. Bennet saw Dr. Grey of St. Ives.", " Mrs. Bennet did not."],
    ["J. R. Hale wrote to Lady C. de Bourgh.", " She answered."],
    ["So do I.", " So does she."],
    ["It cost 3.50 a pound, at No. 7, and 2.5 more.", " 7 came."],
    ["He waited… and waited… and slept.", " Then…", " He woke..."],
    ["Hm…", " He slept?!", " (She did not.)", " [Nor I.]", " So."],
    ['"Run!" cried she.', ' "Now!"', " They ran."],
    ["‘Was it “long”?’", " It was."],
    ["Élan.", " Évora is a town."],
    ["Wait…What?", " “…No.”", " He left.", " X!"],
    ["Pepper, salt, etc. and so on."],
]
CHINESE = [
    ["下雨了。"],
    ["下雨了。", "又下雨了！", "为什么？", "没有人知道"],
    ["“跑！”", "“为什么？”", "天晚了。"],
    ["“天晚了。", "回家吧。”", "他走了。"],
    ["“天晚了吗？”小豆问。", "晚了。"],
    ["“天晚了吗？”", "老温抬起头来。", "晚了。"],
    ["“天晚了吗？”", "他知道，没有。"],
    ["“天晚了，”他说，“回家吧。”", "他走了。"],
    ["他等着……", "睡着了！？", "醒了……"],
    ["“针线笸箩谁来捧……”，他念着。", "完了。"],
    ["《你是谁？》这本书。", "好看。"],
    ["「跑！」", "『谁？』", "（没有人。）", "完了"],
    ["行吗?", "行!", "好..."],
]


def joined(parts: list[str]) -> str:
    """The paragraph that these parts are cut from."""
    return "".join(parts)


@pytest.mark.parametrize("parts", ENGLISH, ids=joined)
def test_english(parts: list[str]) -> None:
    assert sentences(joined(parts), "en") == parts


@pytest.mark.parametrize("parts", CHINESE, ids=joined)
def test_chinese(parts: list[str]) -> None:
    assert sentences(joined(parts), "zh") == parts


@pytest.mark.parametrize("language", ["en", "zh"])
@given(
    text=st.one_of(
        st.text(),
        st.text("aB I.!?…”“’\"')(—-\n 1."),
        st.text("他说问道。！？…”“』」》，\n "),
        st.lists(
            st.sampled_from(["Mr", "He", "said", ".", " ", "。", "？", "”", "老温", "道"])
        ).map("".join),
    )
)
def test_joined_again_they_are_the_paragraph(language: str, text: str) -> None:
    parts = sentences(text, language)
    assert "".join(parts) == text
    assert "" not in parts
    assert bool(parts) == bool(text)


@given(parts=st.lists(st.sampled_from(["He came.", "“Why?”", "No. 7 won!", "It rained…"])))
def test_sentences_set_side_by_side_come_apart(parts: list[str]) -> None:
    assert [part.strip() for part in sentences(" ".join(parts), "en")] == parts


@given(parts=st.lists(st.sampled_from(["他来了。", "“为什么？”", "下雨了……", "好！"])))
def test_chinese_sentences_set_side_by_side_come_apart(parts: list[str]) -> None:
    assert sentences("".join(parts), "zh") == parts


@pytest.mark.parametrize(("language", "longest"), [("en", 500), ("zh", 125)])
def test_the_house_novel_comes_apart_into_sentences(language: str, longest: int) -> None:
    paragraphs = [p for c in load_novel(language=language).chapters for p in c.paragraphs]
    cut = [sentences(paragraph, language) for paragraph in paragraphs]
    assert ["".join(parts) for parts in cut] == paragraphs
    every = [part for parts in cut for part in parts]
    assert len(every) > 3000 and max(map(len, every)) <= longest


@pytest.mark.parametrize("text", ["a" * 200_000, "." * 200_000, ". " * 100_000, "。”" * 100_000])
def test_long_strange_texts_take_no_longer(text: str) -> None:
    for language in ("en", "zh"):
        assert "".join(sentences(text, language)) == text


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="'en' and 'zh', not in 'fr'"):
        sentences("Il pleut.", "fr")
