"""Temporary ids for the unknown words of one source: by hand, there and back, refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.byte_pairs import BytePairVocabulary
from minidistill.extended_vocabulary import ExtendedVocabulary
from minidistill.pairs import SPECIALS, special_ids
from minidistill.vocabulary import WordVocabulary

TEXT = "the guest who came to the inn was known . Anna came to the mill ."


def extended_of(places: int = 3) -> ExtendedVocabulary:
    """A small vocabulary of 16 tokens and some places."""
    return ExtendedVocabulary(WordVocabulary.build(TEXT, specials=SPECIALS), places)


def test_temporary_ids_by_hand() -> None:
    extended = extended_of()
    known, size = extended.vocabulary.token_to_id, len(extended.vocabulary)
    assert len(extended) == size + 3
    source = extended.encode_source("Orlan met Brisa , Orlan came .")
    assert source.unknown == ("Orlan", "met", "Brisa")  # the comma finds no place any more
    came, stop = known["came"], known["."]
    assert source.extended == [size, size + 1, size + 2, 0, size, came, stop]
    assert source.ids == [0, 0, 0, 0, 0, came, stop]
    assert source.ids == extended.vocabulary.encode("Orlan met Brisa , Orlan came .")
    target = extended.encode_target("Brisa came , said Orlan .", source.unknown)
    assert target == [size + 2, came, 0, 0, size, stop]
    assert extended.decode(target, source.unknown) == "Brisa came □ □ Orlan."
    assert extended.decode(torch.tensor(target), ("A", "B", "C")) == "C came □ □ A."


def test_the_same_word_has_the_same_id_again() -> None:
    extended = extended_of()
    size = len(extended.vocabulary)
    source = extended.encode_source("Orlan Orlan met Orlan , Brisa")
    assert source.extended == [size, size, size + 1, size, size + 2, 0]
    assert source.unknown == ("Orlan", "met", ",")


def test_each_source_has_its_own_words() -> None:
    extended = extended_of()
    size = len(extended.vocabulary)
    pairs = [extended.encode_pair(f"{name} came .", f"{name} .") for name in ("Orlan", "Brisa")]
    assert pairs[0] == pairs[1] and pairs[0][0][0] == size
    other = extended.encode_source("Brisa came .")
    assert extended.encode_target("Orlan and Brisa", other.unknown) == [0, 0, size]
    assert extended.decode([size, size + 1], other.unknown) == "Brisa □"  # an empty place
    assert extended.encode_source("the inn").unknown == ()


def test_hidden_words_are_taken_for_unknown() -> None:
    extended = extended_of()
    size, known = len(extended.vocabulary), extended.vocabulary.token_to_id
    plain, hidden = (extended.encode_source("Anna came to Orlan", h) for h in ((), {"Anna"}))
    assert plain.extended[0] == known["Anna"] and plain.unknown == ("Orlan",)
    assert hidden.extended[0] == size and hidden.unknown == ("Anna", "Orlan")
    pair = extended.encode_pair("Anna came to Orlan", "Orlan Anna the", {"Anna", "the"})
    assert pair[1] == [size + 1, size, 0]  # "the" is hidden, and not in this source
    few = ExtendedVocabulary(extended.vocabulary, 1)
    assert few.encode_pair("Orlan Anna", "Anna Orlan", {"Anna"}) == ([size, 0], [0, size])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*TEXT.split(), "Orlan", "Brisa", "x1", "海"]), min_size=1))
def test_reading_and_writing_a_source_gives_it_back(words: list[str]) -> None:
    extended, text = extended_of(4), " ".join(words)
    read = extended.encode_source(text)
    assert extended.encode_target(text, read.unknown) == read.extended
    every = ExtendedVocabulary(WordVocabulary.build(text + " " + TEXT), 4)
    assert extended.decode(read.extended, read.unknown) == every.vocabulary.decode(
        every.vocabulary.encode(text)
    )


def test_special_tokens_are_no_text() -> None:
    extended = extended_of()
    bos, eos, padding = special_ids(extended.vocabulary)
    came = extended.vocabulary.token_to_id["came"]
    assert extended.decode([bos, came, eos, padding, 0], ()) == "came □"


def test_refused_vocabularies_and_words() -> None:
    vocabulary = extended_of().vocabulary
    with pytest.raises(ValueError, match="needs a WordVocabulary"):
        ExtendedVocabulary(BytePairVocabulary.train(TEXT, 300))
    for places in (0, -1, 1.5):
        with pytest.raises(ValueError, match="at least 1"):
            ExtendedVocabulary(vocabulary, places)
    extended = ExtendedVocabulary(vocabulary, 2)
    for ids in ([len(vocabulary) + 2], [-1], [1.0]):
        with pytest.raises(ValueError, match="is no id here"):
            extended.decode(ids, ())
    with pytest.raises(ValueError, match="in a list"):
        extended.encode_source("Anna came", "Anna")
    with pytest.raises(ValueError, match="in a list"):
        extended.encode_target("Anna came", "Anna")
    with pytest.raises(ValueError, match="should be a string"):
        extended.encode_source(None)
