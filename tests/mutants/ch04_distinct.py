"""Answers to 04.5 distinct as students write them, wrong and right."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import torch

from tests.mutants import right, wrong


def grams(text, n):
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def every(sequences, n):
    return [gram for text in sequences for gram in grams(text, n)]


@wrong("04.5", "divide by how many there are in all")
def number_of_different(sequences, n):
    return len(set(every(sequences, n)))


@wrong("04.5", "that occur only once")
def once_only(sequences, n):
    counts = Counter(every(sequences, n))
    return sum(1 for c in counts.values() if c == 1) / sum(counts.values())


@wrong("04.5", "the share of repetitions")
def repetitions(sequences, n):
    found = every(sequences, n)
    return (len(found) - len(set(found))) / len(found)


@wrong("04.5", "upside down")
def upside_down(sequences, n):
    return len(every(sequences, n)) / len(set(every(sequences, n)))


@wrong("04.5", "over the border between two texts")
def one_long_text(sequences, n):
    found = grams([token for text in sequences for token in text], n)
    return len(set(found)) / len(found)


@wrong("04.5", "the mean of each text's own share")
def mean_of_shares(sequences, n):
    shares = [len(set(grams(t, n))) / len(grams(t, n)) for t in sequences if len(t) >= n]
    return sum(shares) / len(shares)


@wrong("04.5", "counted twice as different")
def a_set_for_each(sequences, n):
    return sum(len(set(grams(t, n))) for t in sequences) / len(every(sequences, n))


@wrong("04.5", "begin the collection before the loop")
def collection_inside_the_loop(sequences, n):
    for text in sequences:
        found = []
        found += grams(text, n)
    return len(set(found)) / len(found)


@wrong("04.5", "only the first text is counted")
def returns_inside_the_loop(sequences, n):
    found = []
    for text in sequences:
        found += grams(text, n)
        return len(set(found)) / len(found)


@wrong("04.5", "divided by the number of tokens")
def by_tokens(sequences, n):
    return len(set(every(sequences, n))) / sum(len(text) for text in sequences)


@wrong("04.5", "the last n-gram of every text is missing")
def range_too_short(sequences, n):
    found = [tuple(t[i : i + n]) for t in sequences for i in range(len(t) - n)]
    return len(set(found)) / len(found)


@wrong("04.5", "shorter pieces at the end")
def pieces_at_the_end(sequences, n):
    found = [tuple(t[i : i + n]) for t in sequences for i in range(len(t))]
    return len(set(found)) / len(found)


@wrong("04.5", "single tokens are counted")
def tokens_for_n_grams(sequences, n):
    found = [token for text in sequences for token in text]
    return len(set(found)) / len(found)


@wrong("04.5", "n-grams overlap")
def cut_into_pieces(sequences, n):
    found = [tuple(t[i : i + n]) for t in sequences for i in range(0, len(t) - n + 1, n)]
    return len(set(found)) / len(found)


@wrong("04.5", "the order inside an n-gram is lost")
def sets_of_tokens(sequences, n):
    found = [frozenset(gram) for gram in every(sequences, n)]
    return len(set(found)) / len(found)


@wrong("04.5", "look alike then")
def written_together(sequences, n):
    found = ["".join(str(i) for i in gram) for gram in every(sequences, n)]
    return len(set(found)) / len(found)


@wrong("04.5", "the ids of an n-gram are added up")
def sums(sequences, n):
    found = [sum(gram) for gram in every(sequences, n)]
    return len(set(found)) / len(found)


@wrong("04.5", "a percentage")
def per_cent(sequences, n):
    return 100 * len(set(every(sequences, n))) / len(every(sequences, n))


@wrong("04.5", "unhashable")
def lists_in_a_set(sequences, n):
    found = [t[i : i + n] for t in sequences for i in range(len(t) - n + 1)]
    return len(set(found)) / len(found)


@wrong("04.5", "expected the number")
def a_share_for_each_size(sequences, n):
    return {m: len(set(every(sequences, m))) / len(every(sequences, m)) for m in range(1, n + 1)}


@wrong("04.5", "kept between calls")
def remembers(sequences, n, _seen=[]):  # noqa: B006
    _seen += every(sequences, n)
    return len(set(_seen)) / len(_seen)


@wrong("04.5", "every n-gram counts as different")
def tensors_in_a_set(sequences, n):
    texts = [torch.tensor(text) for text in sequences]
    found = [text[i : i + n] for text in texts for i in range(len(text) - n + 1)]
    return len(set(found)) / len(found)


@wrong("04.5", "a text shorter than n is counted as an n-gram")
def short_texts_count(sequences, n):
    found = [gram for text in sequences for gram in grams(text, n) or [tuple(text)]]
    return len(set(found)) / len(found)


@wrong("04.5", "counts as one n-gram in the number of all")
def at_least_one_each(sequences, n):
    return len(set(every(sequences, n))) / sum(max(1, len(t) - n + 1) for t in sequences)


@wrong("04.5", "pairs are counted whatever n is")
def always_pairs(sequences, n):
    found = [pair for text in sequences for pair in pairwise(text)]
    return len(set(found)) / len(found)


@wrong("04.5", "the pieces are one token too short")
def slices_too_short(sequences, n):
    found = [tuple(t[i : i + n - 1]) for t in sequences for i in range(len(t) - n + 1)]
    return len(set(found)) / len(found)


@wrong("04.5", "equal texts are counted as one")
def each_text_once(sequences, n):
    return by_counter({tuple(text) for text in sequences}, n)


@wrong("04.5", "minidistill.metrics.distinct may not be used here")
def the_packages_own(sequences, n):
    from minidistill.metrics import distinct

    return distinct(sequences, n)


@right("04.5")
def by_counter(sequences, n):
    counts = Counter()
    for text in sequences:
        counts.update(zip(*(text[i:] for i in range(n)), strict=False))
    return len(counts) / counts.total()


@right("04.5")
def by_torch_unique(sequences, n):
    rows = [torch.tensor(t).unfold(0, n, 1) for t in sequences if len(t) >= n]
    all_rows = torch.cat(rows)
    return torch.tensor(len(torch.unique(all_rows, dim=0)) / len(all_rows))


@right("04.5")
def with_the_given_n_grams(sequences, n):
    from minidistill.metrics import n_grams

    found = [gram for text in sequences for gram in n_grams(text, n)]
    return len({*found}) / len(found)


@right("04.5")
def counted_one_by_one(sequences, n):
    seen, different, total = set(), 0, 0
    for text in sequences:
        for end in range(n, len(text) + 1):
            gram = "-".join(map(str, text[end - n : end]))
            total += 1
            if gram not in seen:
                seen.add(gram)
                different += 1
    return different / total
