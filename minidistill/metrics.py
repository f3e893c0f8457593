"""Measures of a writer: what a text costs it, how varied it writes, how much it repeats."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

from torch import Tensor

from minidistill.copying import suffix_automaton

Tokens = Sequence[Hashable] | Tensor
"""One text: a list of ids, a string, or a tensor (T,)."""


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


def n_grams(tokens: Tokens, n: int) -> list[tuple]:
    """Return all passages of n tokens, in order: T - n + 1 of them, none where T < n.

    Raises ValueError: n is under 1, tokens are not one sequence.
    Taught in solutions/04_writing.ipynb.
    """
    if n < 1:
        raise ValueError(f"an n-gram has at least 1 token, got n = {n}")
    ids = as_list(tokens)
    return list(zip(*(ids[k:] for k in range(n)), strict=False))


def distinct(sequences: Sequence[Tokens] | Tensor, n: int) -> float:
    """Return which share of all n-grams of some texts are different ones.

    distinct_n = different n-grams / n-grams,   counted over all texts together

    1 where no n-gram comes twice. It falls with the length of the texts, so compare writers on
    texts of one length. A text of fewer than n tokens has no n-gram and adds nothing.

    Args:
        sequences: several texts: lists of ids, strings, or a tensor (B, T).

    Raises ValueError: no text has n tokens, n is under 1, one text where several belong.
    Source: Li et al., A diversity-promoting objective function for neural conversation models,
    2016 (who divide by the tokens). Taught in solutions/04_writing.ipynb.
    """
    if isinstance(sequences, str):
        raise ValueError("this is one text, but several are counted together: give [text]")
    grams = [gram for sequence in sequences for gram in n_grams(sequence, n)]
    if not grams:
        raise ValueError(f"no text has {n} tokens, so there is nothing to take a share of")
    return len(set(grams)) / len(grams)


def repetition(tokens: Tokens, n: int = 4, window: int | None = None) -> float:
    """Return which share of a text's n-grams stood in the same text before.

    repetition = #{i : g_i = g_j for a j with i - window <= j < i} / #{i},
    where g_i = t_i .. t_{i+n-1} is the n-gram that starts at i

    A writer that is caught in a loop comes near 1. Without a window all that came before counts,
    and repetition(t, n) = 1 - distinct([t], n).

    Args:
        tokens: one text: ids, a string, or a tensor (T,).
        window: how many tokens before its own start an n-gram is looked for; None is all.

    Raises ValueError: fewer than n tokens, n or window under 1.
    Source: Welleck et al., Neural text generation with unlikelihood training, 2020 (seq-rep-n).
    Taught in solutions/04_writing.ipynb.
    """
    if window is not None and window < 1:
        raise ValueError(f"a window holds at least 1 token, got {window}")
    grams = n_grams(tokens, n)
    if not grams:
        raise ValueError(f"the text has fewer than {n} tokens, so it has no passage to repeat")
    last: dict[tuple, int] = {}
    repeated = 0
    for place, gram in enumerate(grams):
        before = last.get(gram)
        repeated += before is not None and (window is None or place - before <= window)
        last[gram] = place
    return repeated / len(grams)


def self_bleu(texts: Sequence[Tokens] | Tensor, n: int = 4) -> float:
    """Return how much texts of one writer are alike: the mean BLEU of each against all others.

    BLEU = BP exp(mean over m = 1 .. n of ln p_m)
    p_m  = m-grams of the text that the others have too / m-grams of the text
    BP   = min(1, exp(1 - r / c)),   c the text's length, r the length nearest to it (the
           shorter of two) among the others

    An m-gram counts at most as often as it stands in that other text which has it most often.
    Smoothing: where m-grams were found for m = 1 but none for a larger m, 0.1 counts as found,
    so that a missing 4-gram does not make the whole 0. A text has no m-grams longer than itself;
    the mean is over those it has. 1 where every text has a copy, 0 where no token is shared. It
    grows with the number of texts, so compare writers on equally many texts of one length.

    Args:
        texts: two or more texts: lists of ids, strings, or a tensor (B, T).

    Raises ValueError: fewer than two texts, an empty text, n under 1.
    Source: Papineni et al., BLEU, 2002; Zhu et al., Texygen, 2018; the smoothing is method 1 of
    Chen and Cherry, 2014. Taught in solutions/04_writing.ipynb.
    """
    if isinstance(texts, str) or len(texts) < 2:
        raise ValueError("self-BLEU compares texts with each other: give a list of two or more")
    if n < 1:
        raise ValueError(f"an n-gram has at least 1 token, got n = {n}")
    ids = [as_list(text) for text in texts]
    for number, text in enumerate(ids):
        if not text:
            raise ValueError(f"text {number} is empty, so nothing of it can be compared")
    logs = [0.0] * len(ids)  # for each text, the sum over m of ln p_m
    for m in range(1, n + 1):
        for i, (found, total) in enumerate(_shared([Counter(n_grams(text, m)) for text in ids])):
            if m == 1 and found == 0:
                logs[i] = -math.inf
            elif total:
                logs[i] += math.log((found or 0.1) / total)
    orders = [min(n, len(text)) for text in ids]
    penalties = _log_penalties([len(text) for text in ids])
    scores = [math.exp(bp + log / m) for bp, log, m in zip(penalties, logs, orders, strict=True)]
    return sum(scores) / len(scores)


def _shared(counts: list[Counter]) -> Iterator[tuple[int, int]]:
    """For each text, how many of its n-grams the others have too, and how many it has.

    The most that the *others* have is the most of all texts, or the second most where the text
    itself holds the record: so all texts are gone through once, not once for each text.
    """
    most: dict[tuple, tuple[int, int, int]] = {}  # the highest count, whose it is, the next
    for i, count in enumerate(counts):
        for gram, number in count.items():
            first, owner, second = most.get(gram, (0, -1, 0))
            if number > first:
                most[gram] = number, i, first
            elif number > second:
                most[gram] = first, owner, number
    for i, count in enumerate(counts):
        found = 0
        for gram, number in count.items():
            first, owner, second = most[gram]
            found += min(number, second if owner == i else first)
        yield found, count.total()


def _log_penalties(lengths: list[int]) -> list[float]:
    """ln BP of each text: 0, or 1 - r/c where the nearest of the other lengths r is longer."""
    often = Counter(lengths)
    logs = {}
    for c, number in often.items():
        others = [r for r in often if r != c or number > 1]
        nearest = min(others, key=lambda r: (abs(r - c), r))
        logs[c] = min(0.0, 1 - nearest / c)
    return [logs[c] for c in lengths]


def longest_copied(text_ids: Tokens, training_ids: Tokens) -> tuple[int, int]:
    """Return the longest passage of a text that stands word for word in the training text.

    Args:
        text_ids: what was written: ids, a string, or a tensor (T,).
        training_ids: what the writer has read, in the same form.

    Returns:
        Its length in tokens, and the place in the training text where it starts: the passage is
        training_ids[place : place + length]. Of several longest ones it is the first in the
        training text. (0, 0) where not one token is shared, or where a text is empty.

    The text becomes a suffix automaton, which knows all its passages, and the training text is
    read through it once: time grows as the sum of both lengths, not as their product.

    Raises ValueError: something that is not one sequence of tokens.
    Source: Blumer et al., The smallest automaton recognizing the subwords of a text, 1985.
    Taught in solutions/04_writing.ipynb.
    """
    steps, shorter, lengths = suffix_automaton(as_list(text_ids))
    best, end = 0, 0
    state, length = 0, 0  # the longest end of what was read that the text holds
    for place, token in enumerate(as_list(training_ids)):
        while state and token not in steps[state]:  # too long: drop tokens at its front
            state = shorter[state]
            length = lengths[state]
        if token in steps[state]:
            state = steps[state][token]
            length += 1
            if length > best:
                best, end = length, place + 1
    return best, end - best


def as_list(tokens: Tokens) -> list:
    """Return one text as a list of tokens: a list of ids, a string or a tensor (T,) is given.

    Raises ValueError: a single number, or a list of texts.
    """
    if isinstance(tokens, str):
        return list(tokens)
    if hasattr(tokens, "tolist"):  # a tensor or an array: numbers of Python, equal where equal
        tokens = tokens.tolist()
    if not isinstance(tokens, Iterable):
        raise ValueError(
            f"a text is a sequence of tokens, got {tokens!r}: several texts make a list"
        )
    tokens = list(tokens)
    if any(isinstance(token, (list, Tensor)) for token in tokens):
        raise ValueError(
            "a text is one row of token ids, but each of these tokens is a list or a tensor: "
            "give one row, or turn the ids into numbers with .tolist()"
        )
    return tokens
