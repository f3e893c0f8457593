"""The n-gram baseline: a bigram model by hand, a slow reference, and sums over the vocabulary."""

import math
from collections import defaultdict
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.ngram import NGram

untimed = settings(deadline=None, max_examples=60)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    """An order, a size of the vocabulary, and a text in which many things are seen again."""
    order, size = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    ids = st.integers(0, draw(st.integers(0, size - 1)))  # often not all tokens are seen
    return order, size, draw(st.lists(ids, min_size=order + 1, max_size=61))


class Reference:
    """Interpolated Kneser-Ney in dictionaries and exact fractions, as it is written in books."""

    def __init__(self, order: int, size: int, text: list[int]) -> None:
        self.order, self.size = order, size
        self.counts: dict[int, dict[tuple[int, ...], int]] = {}
        for n in range(1, order + 1):
            seen, lefts = defaultdict(int), defaultdict(set)
            for start in range(len(text) - n + 1):
                gram = tuple(text[start : start + n])
                seen[gram] += 1
                if start > 0:
                    lefts[gram].add(text[start - 1])
            self.counts[n] = seen if n == order else {gram: len(lefts[gram]) for gram in seen}

    def discount(self, n: int) -> Fraction:
        values = list(self.counts[n].values())
        once, twice = values.count(1), values.count(2)
        return Fraction(once, once + 2 * twice) if once else Fraction(1, 2)

    def p(self, token: int, context: tuple[int, ...]) -> Fraction:
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        n = len(context) + 1
        lower = self.p(token, context[1:]) if context else Fraction(1, self.size)
        after = [self.counts[n].get((*context, other), 0) for other in range(self.size)]
        total, types = sum(after), sum(count > 0 for count in after)
        if total == 0:
            return lower
        discount = self.discount(n)
        return max(after[token] - discount, Fraction(0)) / total + discount * types / total * lower


def probabilities(model: NGram, size: int, context: list[int]) -> list[float]:
    """p(w | context) for every token w, from the costs of the text that ends in it."""
    return [math.exp(-float(model.nats([*context, token])[-1])) for token in range(size)]


def test_a_bigram_model_by_hand() -> None:
    # Bigrams: 0 1 and 1 0 twice, 0 2 and 2 1 and 1 2 once: D = 3 / (3 + 2 * 2) = 3/7.
    # Left neighbours: 0 has one (1), 1 has two (0, 2), 2 has two (0, 1): D = 1 / (1 + 2 * 2).
    model = NGram(2, 3).fit([0, 1, 0, 1, 0, 2, 1, 2])
    alone = [0.8 / 5 + 0.2 * 3 / 5 / 3, 1.8 / 5 + 0.04, 1.8 / 5 + 0.04]
    assert alone == pytest.approx([0.2, 0.4, 0.4])
    assert probabilities(model, 3, []) == pytest.approx(alone)
    # After 0, seen three times with two kinds of tokens: (c - 3/7) / 3 + 3/7 * 2/3 * alone.
    after = [1.2 / 21, 11 / 21 + 2.4 / 21, 4 / 21 + 2.4 / 21]
    assert probabilities(model, 3, [0]) == pytest.approx(after)
    assert probabilities(model, 3, [2, 1, 0]) == pytest.approx(after)
    # After 2, seen once before another token: the 2 at the end of the text has none.
    assert probabilities(model, 3, [2]) == pytest.approx([0.6 / 7, 4 / 7 + 1.2 / 7, 1.2 / 7])
    costs = model.nats(torch.tensor([0, 2, 1]))
    expected = [0.2, 6.4 / 21, 5.2 / 7]
    assert costs.tolist() == pytest.approx([-math.log(p) for p in expected])


def test_a_unigram_model_by_hand() -> None:
    model = NGram(1, 4).fit([0, 0, 0, 1, 2, 2])  # 1 stands once, 2 twice: D = 1 / 3
    p = probabilities(model, 4, [])
    floor = 1 / 3 * 3 / 6 / 4
    assert p == pytest.approx([8 / 18 + floor, 2 / 18 + floor, 5 / 18 + floor, floor])
    assert probabilities(model, 4, [1, 2]) == pytest.approx(p)


@untimed
@given(cases(), st.data())
def test_a_slow_reference_agrees(case: tuple[int, int, list[int]], data: st.DataObject) -> None:
    order, size, text = case
    held_out = data.draw(st.lists(st.integers(0, size - 1), max_size=23))
    found = NGram(order, size).fit(torch.tensor(text)).nats(torch.tensor(held_out).long())
    reference = Reference(order, size, text)
    expected = [
        -math.log(reference.p(token, tuple(held_out[:i]))) for i, token in enumerate(held_out)
    ]
    assert found.dtype == torch.float64 and found.tolist() == pytest.approx(expected, rel=1e-9)


@untimed
@given(cases(), st.data())
def test_probabilities_over_the_vocabulary_sum_to_one(
    case: tuple[int, int, list[int]], data: st.DataObject
) -> None:
    order, size, text = case
    model = NGram(order, size).fit(text)
    unseen = data.draw(st.lists(st.integers(0, size - 1), max_size=7))
    place = data.draw(st.integers(0, len(text)))
    for context in (unseen, text[max(0, place - 6) : place]):
        p = probabilities(model, size, context)
        assert all(value > 0 for value in p)
        assert sum(p) == pytest.approx(1, abs=1e-9)


@untimed
@given(cases())
def test_what_comes_later_does_not_change_a_cost(case: tuple[int, int, list[int]]) -> None:
    order, size, text = case
    model = NGram(order, size).fit(text)
    costs = model.nats(text)
    for length in (0, 1, len(text) // 2):
        assert torch.equal(model.nats(text[:length]), costs[:length])


def test_a_longer_memory_helps_where_there_is_something_to_remember() -> None:
    text = torch.tensor([0, 1, 2, 0, 2, 1, 3] * 97)
    means = [float(NGram(n, 5).fit(text[:-70]).nats(text[-70:]).mean()) for n in (1, 2, 3)]
    assert means[0] > 1.2 > means[1] > 0.5 and means[2] < 0.1
    assert means[0] == pytest.approx(
        -sum(p * math.log(p) for p in (2 / 7, 2 / 7, 2 / 7, 1 / 7)), abs=0.01
    )


def test_keys_of_a_large_vocabulary_do_not_run_over() -> None:
    generator = torch.Generator().manual_seed(3)
    text = torch.randint(2**31 - 2, 2**31, (4001,), generator=generator)
    small = NGram(5, 2).fit(text - (2**31 - 2)).nats(text[:101] - (2**31 - 2))
    large = NGram(5, 2**31).fit(text).nats(text[:101])
    assert float((large[5:] - small[5:]).abs().max()) < 0.05


def test_counting_anew_forgets_the_old_text() -> None:
    model = NGram(3, 5).fit([0, 1, 2, 3, 4] * 7)
    assert model.fit([4, 3, 2, 1, 0] * 7) is model
    again = NGram(3, 5).fit([4, 3, 2, 1, 0] * 7)
    assert torch.equal(model.nats([1, 2, 3, 0]), again.nats([1, 2, 3, 0]))


def test_errors() -> None:
    with pytest.raises(ValueError, match="the order must be at least 1, got 0"):
        NGram(0, 5)
    with pytest.raises(ValueError, match="3 tokens are too few to count 3-grams"):
        NGram(3, 5).fit([1, 2, 3])
    with pytest.raises(ValueError, match="has counted nothing yet: call fit first"):
        NGram(2, 5).nats([1, 2])
    model = NGram(2, 5).fit([1, 2, 3, 4])
    for wrong in ([0, 5], [-1, 2], [[1, 2], [3, 4]], [0.5, 1.5]):
        for method in (model.fit, model.nats):
            with pytest.raises(ValueError, match="expected one row of token ids from 0 to 4"):
                method(wrong)
    assert model.nats([]).shape == (0,)
