"""The names' task: what it draws, and that only a model which copies writes a name never seen."""

import pytest

from minidistill.pointer_task import (
    TEMPLATES,
    learn_names,
    made_names,
    name_sentences,
    share_right,
    write_sentences,
)
from minidistill.words import split_words


def test_names_of_the_test_never_stand_in_training() -> None:
    for seed in range(3):
        training, test = made_names(seed, 53)
        assert (len(set(training)), len(set(test))) == (53, 200)
        assert not set(training) & set(test)
        assert made_names(seed, 53) == (training, test)
        assert made_names(seed, 7) == (training[:7], test)
        assert all(split_words(name) == [name] for name in training + test)  # one word each
    assert made_names(0) != made_names(1)


def test_sentences_by_value() -> None:
    training, _ = made_names(1, 11)
    sentences = name_sentences(training, 5 * len(TEMPLATES), 3)
    assert sentences == name_sentences(training, 5 * len(TEMPLATES), 3)
    assert sentences != name_sentences(training, 5 * len(TEMPLATES), 4)
    for i, one in enumerate(sentences):
        assert len(set(one.names)) == TEMPLATES[i % len(TEMPLATES)][1].count("{a}") + (
            "{b}" in TEMPLATES[i % len(TEMPLATES)][1]
        )
        for text in (one.source, one.target):
            assert set(one.names) == {w for w in split_words(text) if w in training}
        # Nothing is asked for that the source does not say, but for the template's own words.
        own = set(split_words(TEMPLATES[i % len(TEMPLATES)][1]))
        assert set(split_words(one.target)) - set(split_words(one.source)) <= own


def test_refused() -> None:
    with pytest.raises(ValueError, match="2 to"):
        made_names(0, 1)
    with pytest.raises(ValueError, match="2 to"):
        made_names(0, 10_000)
    for names, count in ((["Anna"], 3), (["Anna", "Anna"], 3), (["Anna", "Bea"], 0)):
        with pytest.raises(ValueError, match="at least two names"):
            name_sentences(names, count)
    with pytest.raises(ValueError, match="share between 0 and 1"):
        learn_names(masked=1.3)


@pytest.mark.slow
def test_only_a_model_that_copies_writes_new_names() -> None:
    training, test = made_names()
    new, seen = name_sentences(test, 120, 7), name_sentences(training, 120, 7)
    copying = learn_names()
    assert share_right(*copying, new) >= 0.99 and share_right(*copying, seen) >= 0.99
    without = learn_names(copying=False)
    assert share_right(*without, new) == 0 and share_right(*without, seen) >= 0.99
    by_beam = write_sentences(*copying, [one.source for one in new], width=3)
    assert by_beam == write_sentences(*copying, [one.source for one in new])
