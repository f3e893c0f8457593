import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minidistill.metrics import bits_per_character, perplexity


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
