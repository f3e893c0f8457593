"""Pairs of sentences: what a writer reads and what it should write next."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minidistill.batches import PairBatches
from minidistill.cleaning import Chapter, Chapters
from minidistill.novels import Novel, load_novel
from minidistill.pairs import (
    SPECIALS,
    Special,
    chapter_sentences,
    next_sentence_pairs,
    parallel_pairs,
    sentence_beside_sentence,
    special_ids,
)
from minidistill.parallel import Parallel, load_parallel
from minidistill.vocabulary import BytePairVocabulary, CharacterVocabulary, WordVocabulary

CHAPTERS = Chapters(
    [
        Chapter("One", ("A b. C d e.", "F!")),
        Chapter("Two", ("G h i j k l. M! N o.",)),
        Chapter("Three", ("P.",)),
    ]
)
LETTERS = CharacterVocabulary.build(CHAPTERS.text, specials=SPECIALS)
HOUSE = load_novel()
HOUSE_LETTERS = CharacterVocabulary.build(HOUSE.text, specials=SPECIALS)


def novel(chapters: Chapters, language: str = "en") -> Novel:
    return Novel("mine", "Mine", "I", language, "CC0", chapters)


def spelled(pairs: list, vocabulary=LETTERS) -> list[tuple[str, str]]:
    return [(vocabulary.decode(one), vocabulary.decode(other)) for one, other in pairs]


# Special tokens.


def test_special_ids_come_from_the_vocabulary() -> None:
    assert special_ids(LETTERS) == Special(bos=2, eos=3, padding=1)
    pieces = BytePairVocabulary.train("aaab aaab", 265, specials=SPECIALS)
    assert special_ids(pieces) == (1, 2, 0)


@pytest.mark.parametrize(
    ("specials", "missing"),
    [((), "<pad> and no <bos> and no <eos>"), (("<eos>", "<pad>"), "<bos>")],
)
def test_a_vocabulary_without_them_is_refused(specials: tuple[str, ...], missing: str) -> None:
    plain = CharacterVocabulary.build("abc", specials=specials)
    with pytest.raises(ValueError, match=f"no {missing}: make it with specials=SPECIALS"):
        special_ids(plain)


# The next sentence.


def test_a_chapter_s_sentences_keep_its_paragraphs() -> None:
    assert chapter_sentences(CHAPTERS[0], "en") == ["A b.", " C d e.", "\nF!"]
    assert chapter_sentences(Chapter("", ("A.", "", "B.")), "en") == ["A.", "\n", "\nB."]
    assert chapter_sentences(Chapter("", ()), "en") == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_joined_they_are_the_chapter(language: str) -> None:
    for chapter in load_novel(language=language).chapters:
        assert "".join(chapter_sentences(chapter, language)) == chapter.text


def test_pairs_by_hand() -> None:
    assert spelled(next_sentence_pairs(CHAPTERS, LETTERS, before=2)) == [
        ("A b.", " C d e."),
        ("A b. C d e.", "\nF!"),
        ("G h i j k l.", " M!"),
        ("G h i j k l. M!", " N o."),
    ]


def test_one_sentence_before() -> None:
    sources = [source for source, _ in spelled(next_sentence_pairs(CHAPTERS, LETTERS, before=1))]
    assert sources == ["A b.", " C d e.", "G h i j k l.", " M!"]


def test_as_many_whole_sentences_as_fit() -> None:
    # " C d e." has 7 letters and "A b." 4: both go into 11, and into 10 only the last.
    assert spelled(next_sentence_pairs(CHAPTERS, LETTERS, max_source=11))[1][0] == "A b. C d e."
    assert spelled(next_sentence_pairs(CHAPTERS, LETTERS, max_source=10))[1][0] == " C d e."


def test_a_last_sentence_that_is_too_long_loses_its_front() -> None:
    pairs = spelled(next_sentence_pairs(CHAPTERS, LETTERS, max_source=5))
    assert [source for source, _ in pairs] == ["A b.", " d e.", " k l.", " M!"]


def test_too_long_targets_are_left_out_and_stay_as_sources() -> None:
    assert spelled(next_sentence_pairs(CHAPTERS, LETTERS, max_target=5)) == [
        ("A b. C d e.", "\nF!"),
        ("G h i j k l.", " M!"),
        ("G h i j k l. M!", " N o."),
    ]


def test_a_part_of_a_split_and_a_novel_are_both_taken() -> None:
    whole = next_sentence_pairs(novel(CHAPTERS), LETTERS)
    assert whole == next_sentence_pairs(CHAPTERS, LETTERS)
    parts = [next_sentence_pairs([chapter], LETTERS) for chapter in CHAPTERS[:2]]
    assert whole == parts[0] + parts[1]


def test_the_language_is_the_novel_s_own() -> None:
    chapters = Chapters([Chapter("", ("下雨了。他来了。",))])
    vocabulary = CharacterVocabulary.build(chapters.text, specials=SPECIALS)
    wanted = [("下雨了。", "他来了。")]
    assert spelled(next_sentence_pairs(chapters, vocabulary), vocabulary) == wanted
    assert spelled(next_sentence_pairs(novel(chapters, "zh"), vocabulary), vocabulary) == wanted
    for text in (chapters, novel(chapters, "zh")):
        with pytest.raises(ValueError, match="no sentence"):  # English marks: one sentence
            next_sentence_pairs(text, vocabulary, language="en")


def test_words_have_no_pair_with_an_empty_side() -> None:
    spaced = [Chapter("", ("A b. C d.", " ", "E f."))]
    words = WordVocabulary.build("A b. C d. E f.", specials=SPECIALS)
    assert all(one and other for one, other in next_sentence_pairs(spaced, words))


@given(
    before=st.integers(1, 5),
    max_source=st.integers(1, 90),
    max_target=st.integers(20, 90),
    number=st.integers(0, 27),
)
def test_what_every_pair_of_the_house_novel_is(
    before: int, max_source: int, max_target: int, number: int
) -> None:
    chapter = HOUSE.chapters[number]
    pairs = next_sentence_pairs([chapter], HOUSE_LETTERS, before, max_source, max_target, "en")
    parts = chapter_sentences(chapter, "en")
    kept = [place for place in range(1, len(parts)) if len(parts[place]) <= max_target]
    assert [target for _, target in pairs] == [HOUSE_LETTERS.encode(parts[k]) for k in kept]
    for place, (source, _) in zip(kept, pairs, strict=True):
        text = HOUSE_LETTERS.decode(source)
        assert 1 <= len(source) <= max_source
        whole = [text == "".join(parts[place - n : place]) for n in range(1, before + 1)]
        assert any(whole[:place]) or (parts[place - 1].endswith(text) and len(text) == max_source)


def test_no_pair_reaches_from_one_part_of_the_split_into_another() -> None:
    texts = [part.text for part in HOUSE.split()]
    for part, text in zip(HOUSE.split(), texts, strict=True):
        pairs = spelled(next_sentence_pairs(part, HOUSE_LETTERS, max_source=500), HOUSE_LETTERS)
        assert all(source + target in text for source, target in pairs)


def test_pairs_go_into_batches() -> None:
    bos, eos, padding = special_ids(LETTERS)
    pairs = next_sentence_pairs(CHAPTERS, LETTERS)
    batches = PairBatches(pairs, 4, bos_id=bos, eos_id=eos, padding_id=padding, shuffle=False)
    (batch,) = batches
    assert batch.target_in[:, 0].tolist() == [bos] * 4
    assert batches.targets == sum(len(target) + 1 for _, target in pairs)
    assert torch.equal(batch.source_mask.sum(1), torch.tensor([len(one) for one, _ in pairs]))


@pytest.mark.parametrize("name", ["before", "max_source", "max_target"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True])
def test_limits_are_at_least_one(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        next_sentence_pairs(CHAPTERS, LETTERS, **{name: value})


def test_a_text_without_pairs_is_refused() -> None:
    for chapters in ([], [Chapter("", ("One.",))], [Chapter("", ("One. Two and three.",))]):
        with pytest.raises(ValueError, match="no sentence of at most 4 tokens follows"):
            next_sentence_pairs(chapters, LETTERS, max_target=4)


# Two languages.


def two_languages() -> Parallel:
    english = Chapters([Chapter("", ("It rains. He comes.", "She asks. He goes. So."))])
    chinese = Chapters([Chapter("", ("下雨了。他来了。", "她问他。他走了，就这样。"))])
    return Parallel(novel(english, "en"), novel(chinese, "zh"))


def test_equally_many_sentences_are_paired_and_else_the_paragraphs() -> None:
    assert sentence_beside_sentence(two_languages()) == [
        ("It rains.", "下雨了。"),
        ("He comes.", "他来了。"),
        ("She asks. He goes. So.", "她问他。他走了，就这样。"),
    ]


def test_parallel_pairs_are_within_both_limits() -> None:
    both = two_languages()
    english = WordVocabulary.build(both.source.text)
    chinese = CharacterVocabulary.build(both.target.text)

    def texts(**limits: int) -> list[tuple[str, str]]:
        found = parallel_pairs(both, english, chinese, **limits)
        return [(english.decode(one), chinese.decode(other)) for one, other in found]

    assert len(texts()) == 3
    assert texts(max_source=3) == [("It rains.", "下雨了。"), ("He comes.", "他来了。")]
    assert texts(max_target=11) == texts(max_source=3)
    with pytest.raises(ValueError, match="no pair has at most 2 tokens"):
        texts(max_source=2)
    with pytest.raises(ValueError, match="max_target is 0"):
        texts(max_target=0)


def test_the_house_novel_gives_enough_pairs_and_loses_nothing() -> None:
    both = load_parallel()
    pairs = sentence_beside_sentence(both)
    assert len(pairs) > 2000
    for side in (0, 1):
        ours, theirs = ("".join(pair[side] for pair in text) for text in (pairs, both))
        assert ours.replace(" ", "") == theirs.replace(" ", "")


def test_either_direction() -> None:
    both = two_languages()
    back = Parallel(both.target, both.source)
    assert sentence_beside_sentence(back) == [
        (other, one) for one, other in sentence_beside_sentence(both)
    ]


def test_an_object_that_is_no_novel_needs_only_chapters() -> None:
    part = (SimpleNamespace(text=c.text, paragraphs=c.paragraphs) for c in CHAPTERS)
    assert next_sentence_pairs(part, LETTERS) == next_sentence_pairs(CHAPTERS, LETTERS)
