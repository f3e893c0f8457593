"""Measures of a writer that can be compared: bits per character, perplexity."""

import math


def bits_per_character(total_nats: float, characters: int) -> float:
    """Return what a text costs in bits, divided by its length in characters.

    bits = total_nats / (ln 2 * characters),   total_nats = sum over tokens of -ln p(token)

    The sum counts tokens and the length counts characters, so a model of words and a model
    of characters can be compared on the same text; perplexity a token cannot do that.

    Raises ValueError: fewer than one character, a cost that is negative or not a number.
    Source: Shannon, Prediction and entropy of printed English, 1951.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    if characters < 1:
        raise ValueError(f"bits per character need at least one character, got {characters}")
    return _checked(total_nats) / math.log(2) / characters


def perplexity(mean_nats: float) -> float:
    """Return the perplexity of a text: the number of equally likely tokens it feels like.

    perplexity = exp(mean_nats),   mean_nats = mean over tokens of -ln p(token)

    It is infinite where the model held the text to be impossible, and beyond 1e308.

    Raises ValueError: a cost that is negative or not a number.
    Source: Jelinek et al., Perplexity, a measure of the difficulty of speech recognition
    tasks, 1977. Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    try:
        return math.exp(_checked(mean_nats))
    except OverflowError:
        return math.inf


def _checked(nats: float) -> float:
    nats = float(nats)
    if not nats >= 0:
        raise ValueError(
            f"a cost in nats is -ln p, so 0 or more, but got {nats}: was it a log-probability "
            "(then change its sign), or did training break?"
        )
    return nats
