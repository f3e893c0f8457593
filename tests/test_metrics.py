"""Measures of a writer against cases worked by hand, laws, and slow ways to the same number."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minidistill.copying import suffix_automaton
from minidistill.metrics import (
    as_list,
    bits_per_character,
    distinct,
    longest_copied,
    n_grams,
    perplexity,
    repetition,
    self_bleu,
)

text_of = st.lists(st.integers(0, 3), max_size=17)  # few tokens, so that much repeats
some_texts = st.lists(text_of, min_size=1, max_size=5)
full_texts = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=11), min_size=2, max_size=5)


def test_a_fair_die_of_eight_sides_costs_three_bits():
    assert bits_per_character(11 * math.log(8), 11) == pytest.approx(3.0)
    assert perplexity(math.log(8)) == pytest.approx(8.0)


def test_tokens_of_several_characters_share_their_cost():
    # Five words of seven characters each, every word one of 128: 7 bits a word, 1 a character.
    assert bits_per_character(5 * math.log(128), 35) == pytest.approx(1.0)


def test_a_certain_text_costs_nothing():
    assert bits_per_character(0.0, 3) == 0.0
    assert perplexity(0.0) == 1.0


def test_tensors_are_numbers_too():
    assert bits_per_character(torch.tensor(math.log(2)), 1) == pytest.approx(1.0)
    assert isinstance(perplexity(torch.tensor(1.0)), float)


def test_an_impossible_text_has_infinite_cost():
    assert perplexity(math.inf) == math.inf
    assert perplexity(1000.0) == math.inf
    assert bits_per_character(math.inf, 7) == math.inf


@given(st.floats(0, 500), st.integers(1, 10_000))
def test_perplexity_is_two_to_the_bits_of_a_token(mean, tokens):
    bits = bits_per_character(mean * tokens, tokens)
    assert math.log(perplexity(mean)) == pytest.approx(bits * math.log(2), abs=1e-9)


@pytest.mark.parametrize("characters", [0, -3])
def test_no_characters_is_refused(characters):
    with pytest.raises(ValueError, match="at least one character"):
        bits_per_character(1.0, characters)


@pytest.mark.parametrize("nats", [-0.1, math.nan, -math.inf])
def test_what_is_no_cost_is_refused(nats):
    with pytest.raises(ValueError, match="0 or more"):
        bits_per_character(nats, 3)
    with pytest.raises(ValueError, match="0 or more"):
        perplexity(nats)


# ---- how varied: distinct and repetition --------------------------------------------------


def test_n_grams_by_hand():
    assert n_grams("abcd", 2) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert n_grams([5, 7, 11], 3) == [(5, 7, 11)]
    assert n_grams([5, 7], 3) == n_grams([], 1) == []


def test_distinct_by_hand():
    assert distinct([[1, 2, 1, 2, 3]], 2) == 0.75  # 12, 21, 12, 23
    assert distinct([[1, 2, 1, 2, 3]], 1) == 0.6
    # 12 and 23 stand in both texts; 31, over the border, stands in none.
    assert distinct([[1, 2, 3], [1, 2, 3, 3]], 2) == 3 / 5
    assert distinct([list(range(13))], 2) == 1.0
    assert distinct([[5] * 17], 2) == 1 / 16
    assert distinct([[1, 11], [11, 1]], 2) == 1.0, "neither the order nor the digits may be lost"


def test_distinct_takes_lists_tensors_and_strings_alike():
    rows = [[0, 1, 0, 1, 2], [1, 0, 1, 1, 1]]
    expected = distinct(rows, 2)
    assert expected == 4 / 8  # 01, 10, 12 and 11
    assert distinct(torch.tensor(rows), 2) == expected
    assert distinct([torch.tensor(row) for row in rows], 2) == expected
    assert distinct(["ababc", "babbb"], 2) == expected


@given(some_texts, st.integers(1, 4))
def test_distinct_counts_what_a_slow_way_counts(texts, n):
    seen, total = [], 0
    for text in texts:
        for place in range(len(text) - n + 1):
            total += 1
            if text[place : place + n] not in seen:
                seen.append(text[place : place + n])
    if total == 0:
        with pytest.raises(ValueError, match=f"no text has {n} tokens"):
            distinct(texts, n)
    else:
        share = distinct(texts, n)
        assert share == len(seen) / total
        assert share == distinct(texts[::-1], n), "the order of the texts does not count"
        assert share == distinct([*texts, [1] * (n - 1)], n), "a short text adds nothing"
        assert distinct(texts * 2, n) == pytest.approx(share / 2)


def test_repetition_by_hand():
    assert repetition([1, 2, 3, 1, 2, 3, 1], 3) == 2 / 5  # 123 231 312 123 231
    assert repetition("abcabd", 2) == 1 / 5  # ab at 0 and at 3
    assert repetition("abcabd", 2, window=3) == 1 / 5
    assert repetition("abcabd", 2, window=2) == 0.0
    assert repetition([7] * 11, 4) == 7 / 8
    assert repetition(torch.tensor([7] * 11), 4, window=1) == 7 / 8
    assert repetition(list(range(9))) == 0.0


@given(st.lists(st.integers(0, 2), min_size=1, max_size=23), st.data())
def test_repetition_counts_what_a_slow_way_counts(text, data):
    n = data.draw(st.integers(1, len(text)))
    window = data.draw(st.none() | st.integers(1, 9))
    grams = [text[i : i + n] for i in range(len(text) - n + 1)]
    first = [0 if window is None else max(0, i - window) for i in range(len(grams))]
    repeated = [gram in grams[first[i] : i] for i, gram in enumerate(grams)]
    share = repetition(text, n, window)
    assert share == sum(repeated) / len(grams)
    assert repetition(text, n) == pytest.approx(1 - distinct([text], n))
    assert share <= repetition(text, n, (window or 99) + 1) <= repetition(text, n)


# ---- how alike: self-BLEU -----------------------------------------------------------------


def bleu(text: list, others: list[list], n: int) -> float:
    """Return BLEU as it is written in the paper, one text against its references."""
    logs, orders = 0.0, min(n, len(text))
    for m in range(1, orders + 1):
        mine = Counter(n_grams(text, m))
        found = 0
        for gram, number in mine.items():
            found += min(number, max(n_grams(other, m).count(gram) for other in others))
        if m == 1 and found == 0:
            return 0.0
        logs += math.log((found if found else 0.1) / sum(mine.values()))
    nearest = sorted((abs(len(other) - len(text)), len(other)) for other in others)[0][1]
    penalty = 1.0 if len(text) >= nearest else math.exp(1 - nearest / len(text))
    return penalty * math.exp(logs / orders)


def test_self_bleu_of_two_texts_by_hand():
    # Tokens found: 3 of 4 and 3 of 4; pairs: ab, bc of ab bc cd, and of ab bc ce. Lengths equal.
    assert self_bleu(["abcd", "abce"], 2) == pytest.approx(math.sqrt(3 / 4 * 2 / 3))
    # With triples, abc of abc bcd; with fours none of one, so 0.1 of one.
    expected = (3 / 4 * 2 / 3 * 1 / 2 * 0.1 / 1) ** (1 / 4)
    assert self_bleu(["abcd", "abce"]) == pytest.approx(expected)


def test_self_bleu_clips_a_token_at_the_text_that_has_it_most_often():
    # aaa: 2 of 3, for aab has two a's, not 2 + 1; aab: 2 a's and the b, 3 of 3; abb: 1 + 1 of 3.
    assert self_bleu(["aaa", "aab", "abb"], 1) == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)


def test_self_bleu_punishes_a_text_shorter_than_its_nearest_neighbour():
    # aa against aaaa: 2 of 2, times e^(1 - 4/2); aaaa against aa: 2 of 4, and no penalty.
    assert self_bleu(["aa", "aaaa"], 1) == pytest.approx((math.exp(-1) + 1 / 2) / 2)
    # Lengths 3 and 5 are as near to 4 as can be: the shorter counts, so no penalty for aaaa.
    scores = [math.exp(1 - 4 / 3), 1.0, 4 / 5]
    assert self_bleu(["aaa", "aaaa", "aaaaa"], 1) == pytest.approx(sum(scores) / 3)


def test_self_bleu_of_texts_too_short_for_n_uses_the_sizes_they_have():
    assert self_bleu(["ab", "ab"], 4) == pytest.approx(1.0)
    assert self_bleu(["ab", "ac"], 4) == pytest.approx(math.sqrt(1 / 2 * 0.1 / 1))
    assert self_bleu(["a", "a", "b"], 4) == pytest.approx(2 / 3)


@settings(max_examples=200)
@given(full_texts, st.integers(1, 4))
@example([[0, 0], [0, 0, 0, 0], [0, 0, 0]], 1)
def test_self_bleu_is_the_mean_bleu_of_each_against_the_others(texts, n):
    scores = [bleu(text, texts[:i] + texts[i + 1 :], n) for i, text in enumerate(texts)]
    found = self_bleu(texts, n)
    assert found == pytest.approx(sum(scores) / len(scores))
    assert 0 <= found <= 1
    assert found == pytest.approx(self_bleu(texts[::-1], n)), "the order does not count"
    renamed = ["".join("wxyz"[token] for token in text) for text in texts]
    assert self_bleu(renamed, n) == pytest.approx(found), "nor what the tokens are called"
    assert self_bleu([torch.tensor(text) for text in texts], n) == pytest.approx(found)
    assert self_bleu(texts + texts, n) == pytest.approx(1.0), "every text has a copy"
    apart = [[10 * i + token for token in text] for i, text in enumerate(texts)]
    assert self_bleu(apart, n) == 0.0, "nothing is shared"


def test_self_bleu_reads_a_batch():
    rows = torch.tensor([[1, 2, 3, 5, 7], [1, 2, 3, 5, 8], [2, 3, 5, 8, 13]])
    assert self_bleu(rows) == pytest.approx(self_bleu(rows.tolist()))


# ---- what was copied ----------------------------------------------------------------------


def slow_longest(text: list, training: list) -> tuple[int, int]:
    """Return the longest passage by trying every one, the first in the training text of them."""
    held = {tuple(text[i:j]) for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    for length in range(min(len(text), len(training)), 0, -1):
        for place in range(len(training) - length + 1):
            if tuple(training[place : place + length]) in held:
                return length, place
    return 0, 0


def test_the_longest_copied_passage_by_hand():
    training = "the cat sat on the mat"
    assert longest_copied("a dog sat on the sofa", training) == (12, 7)  # " sat on the "
    assert longest_copied(training, training) == (22, 0)
    assert longest_copied("mat", training) == (3, 19)
    assert longest_copied([3, 5, 7, 5], [5, 7, 11, 3, 5, 7]) == (3, 3)
    assert longest_copied([1, 2], [2, 3, 1]) == (1, 0), "of equals the first in the training text"
    assert longest_copied([1, 2, 9, 3, 4], [3, 4, 8, 1, 2]) == (2, 0)


def test_nothing_copied_is_length_zero():
    for text, training in (([], [1]), ([1], []), ([], []), ([1, 2], [3, 5]), ("", "abc")):
        assert longest_copied(text, training) == (0, 0)


@settings(max_examples=300)
@given(text_of, st.lists(st.integers(0, 3), max_size=29))
def test_the_longest_copied_passage_is_what_trying_all_finds(text, training):
    length, place = found = longest_copied(text, training)
    assert found == slow_longest(text, training)
    passage = training[place : place + length]
    assert any(text[i : i + length] == passage for i in range(len(text) + 1))
    assert longest_copied(torch.tensor(text), torch.tensor(training)) == found
    assert longest_copied(text, text) == (len(text), 0)
    assert longest_copied(training, text)[0] == length, "the length is the same both ways"


@settings(max_examples=200)
@given(text_of)
def test_the_automaton_reads_exactly_the_passages_of_its_text(text):
    steps, shorter, lengths = suffix_automaton(text)
    assert len(steps) == len(shorter) == len(lengths) <= max(1, 2 * len(text))
    read, open_paths = set(), [((), 0)]
    while open_paths:
        passage, state = open_paths.pop()
        assert passage not in read and len(passage) <= lengths[state]
        read.add(passage)
        open_paths += [((*passage, token), after) for token, after in steps[state].items()]
    ends = range(len(text) + 1)
    assert read == {tuple(text[i:j]) for i in ends for j in ends if i <= j}
    places = {g: frozenset(j for j in ends if g == tuple(text[:j][j - len(g) :])) for g in read}
    assert len(steps) == len(set(places.values())), "one state for passages of the same ends"


def test_a_passage_is_found_in_a_long_text():
    generator = torch.Generator().manual_seed(0)
    training = torch.randint(97, (30_011,), generator=generator)
    written = torch.randint(97, (1_009,), generator=generator)
    written[500:541] = training[20_000:20_041]
    written[499], written[541] = 97, 97  # a token that the training text has not
    assert longest_copied(written, training) == (41, 20_000)
    assert longest_copied([0] * 5_003, [0] * 7_001) == (5_003, 0)


# ---- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, -1])
def test_an_n_under_one_is_refused(n):
    for measure in (n_grams, repetition):
        with pytest.raises(ValueError, match=f"at least 1 token, got n = {n}"):
            measure([1, 2, 3], n)
    for measure in (distinct, self_bleu):
        with pytest.raises(ValueError, match=f"at least 1 token, got n = {n}"):
            measure([[1, 2, 3], [1, 2]], n)


def test_too_little_to_measure_is_refused():
    for texts in ([], [[]], [[1, 2], [3]], torch.zeros(2, 0)):
        with pytest.raises(ValueError, match="no text has 3 tokens"):
            distinct(texts, 3)
    for text in ([], [1, 2]):
        with pytest.raises(ValueError, match="fewer than 3 tokens"):
            repetition(text, 3)
    for texts in ([], [[1, 2]], torch.zeros(1, 5), "abc"):
        with pytest.raises(ValueError, match="a list of two or more"):
            self_bleu(texts)
    with pytest.raises(ValueError, match="text 1 is empty"):
        self_bleu([[1], [], [2]])
    with pytest.raises(ValueError, match="at least 1 token, got 0"):
        repetition([1, 2, 3], 2, window=0)


def test_one_text_where_several_belong_and_several_where_one_belongs():
    with pytest.raises(ValueError, match=r"give \[text\]"):
        distinct("abc", 1)
    for flat in ([1, 2, 3], torch.tensor([1, 2, 3])):
        with pytest.raises(ValueError, match="several texts make a list"):
            distinct(flat, 2)
        with pytest.raises(ValueError, match="several texts make a list"):
            self_bleu(flat)
    for nested in ([[1, 2], [3, 5]], torch.zeros(2, 3), [torch.tensor(1), torch.tensor(2)]):
        with pytest.raises(ValueError, match="a text is one row of token ids"):
            repetition(nested, 1)
        with pytest.raises(ValueError, match="a text is one row of token ids"):
            longest_copied([1], nested)


def test_as_list_gives_numbers_that_are_equal_where_they_are_equal():
    assert as_list(torch.tensor([3, 5])) == as_list((3, 5)) == as_list(range(3, 6, 2)) == [3, 5]
    assert as_list("ab") == ["a", "b"]
    assert longest_copied(torch.tensor([3, 5], dtype=torch.int32), [3, 5]) == (2, 0)
