"""Answers to 01.1 build_vocabulary and 01.2 encode as students write them, wrong and right.

The rest of the chapter is in ch01_merge.py (01.3) and ch01_batches.py (01.4 and 01.5).
"""

from __future__ import annotations

from collections import Counter, defaultdict

import torch

from tests.mutants import right, wrong

UNK = "<unk>"


def _ranked(tokens, count=None):
    return [token for token, _ in Counter(tokens).most_common(count)]


@wrong("01.1", "one too long: size counts '<unk>'")
def size_plus_one(tokens, size):
    return [UNK, *_ranked(tokens, size)]


@wrong("01.1", "the unknown token is missing")
def no_unknown(tokens, size):
    return _ranked(tokens, size)


@wrong("01.1", "'<unk>' stands last")
def unknown_last(tokens, size):
    return [*_ranked(tokens, size - 1), UNK]


@wrong("01.1", "then sorted by spelling")
def sorted_at_the_end(tokens, size):
    return [UNK, *sorted(_ranked(tokens, size - 1))]


@wrong("01.1", "ties are broken by spelling")
def ties_by_spelling(tokens, size):
    counts = Counter(tokens)
    return [UNK, *sorted(counts, key=lambda t: (-counts[t], t))[: size - 1]]


@wrong("01.1", "ties are in reverse order")
def ties_turned_round(tokens, size):
    counts = Counter(tokens)
    return [UNK, *sorted(counts, key=counts.get)[::-1][: size - 1]]


@wrong("01.1", "these are the rarest tokens")
def rarest_first(tokens, size):
    counts = Counter(tokens)
    return [UNK, *sorted(counts, key=counts.get)[: size - 1]]


@wrong("01.1", "the counts rise")
def cuts_the_wrong_end(tokens, size):
    counts = Counter(tokens)
    return [UNK, *sorted(counts, key=counts.get)[-(size - 1) :]]


@wrong("01.1", "letters inside longer tokens are counted")
def counts_in_a_string(tokens, size):
    text = " ".join(tokens)
    return [UNK, *sorted(dict.fromkeys(tokens), key=text.count, reverse=True)[: size - 1]]


@wrong("01.1", "the first tokens of the text")
def never_counts(tokens, size):
    return [UNK, *list(dict.fromkeys(tokens))[: size - 1]]


@wrong("01.1", "(token, count) pairs")
def keeps_the_counts(tokens, size):
    return [UNK, *Counter(tokens).most_common(size - 1)]


@wrong("01.1", "remembered from an earlier call")
def counts_for_ever(tokens, size, _counts=Counter()):  # noqa: B006
    _counts.update(tokens)
    return [UNK, *[token for token, _ in _counts.most_common(size - 1)]]


@wrong("01.1", "An index runs past the end")
def index_past_the_end(tokens, size):
    ranked = _ranked(tokens)
    return [UNK] + [ranked[i] for i in range(size - 1)]


@wrong("01.1", "changes its argument number 1 in place")
def sorts_the_callers_list(tokens, size):
    ranked = _ranked(tokens, size - 1)
    tokens.sort()
    return [UNK, *ranked]


@wrong("01.1", "seen only once are left out")
def drops_rare_words(tokens, size):
    return [UNK, *[t for t, n in Counter(tokens).most_common(size - 1) if n > 1]]


@wrong("01.1", "capitals are changed")
def lower_case(tokens, size):
    return [UNK, *_ranked([t.lower() for t in tokens], size - 1)]


@wrong("01.1", "although there is room")
def cuts_once_too_often(tokens, size):
    return [UNK, *_ranked(tokens, size)][:-1]


@wrong("01.1", "list.append, list.sort and print return None")
def insert_returns_none(tokens, size):
    return _ranked(tokens, size - 1).insert(0, UNK)


@wrong("01.1", "takes away one of its occurrences only")
def removes_one_occurrence(tokens, size):
    rest, vocabulary = list(tokens), [UNK]
    while rest and len(vocabulary) < size:
        best = max(rest, key=rest.count)
        vocabulary.append(best)
        rest.remove(best)
    return vocabulary


@wrong("01.1", "your code returned a set")
def returns_a_set(tokens, size):
    return {UNK, *_ranked(tokens, size - 1)}


@wrong("01.1", "filled up")
def fills_up(tokens, size):
    vocabulary = [UNK, *_ranked(tokens, size - 1)]
    return vocabulary + ["<pad>"] * (size - len(vocabulary))


@right("01.1")
def counted_by_hand(tokens, size):
    counts = {}
    for token in tokens:
        counts[token] = counts.get(token, 0) + 1
    return (UNK, *sorted(counts, key=counts.get, reverse=True)[: size - 1])


@right("01.1")
def sorted_by_place(tokens, size):
    counts, place = Counter(tokens), {t: -i for i, t in enumerate(tokens[::-1])}
    return [UNK, *sorted(counts, key=lambda t: (-counts[t], place[t]))[: size - 1]]


@right("01.1")
def best_again_and_again(tokens, size):
    counts, vocabulary = Counter(tokens), [UNK]
    while counts and len(vocabulary) < size:
        vocabulary.append(max(counts, key=counts.get))
        del counts[vocabulary[-1]]
    return vocabulary


@right("01.1")
def yields(tokens, size):
    yield UNK
    yield from _ranked(tokens, size - 1)


@wrong("01.2", "is not in list. .index fails")
def index_alone(tokens, vocabulary):
    return [vocabulary.index(t) for t in tokens]


@wrong("01.2", ".get(key, default)")
def key_error(tokens, vocabulary):
    ids = {t: i for i, t in enumerate(vocabulary)}
    return [ids[t] for t in tokens]


@wrong("01.2", "an unknown token gets None")
def get_without_default(tokens, vocabulary):
    ids = {t: i for i, t in enumerate(vocabulary)}
    return [ids.get(t) for t in tokens]


@wrong("01.2", "unknown tokens are left out")
def drops_unknown(tokens, vocabulary):
    return [vocabulary.index(t) for t in tokens if t in vocabulary]


@wrong("01.2", "an unknown token gets a new id")
def new_ids(tokens, vocabulary):
    ids = {t: i for i, t in enumerate(vocabulary)}
    return [ids.setdefault(t, len(ids)) for t in tokens]


@wrong("01.2", "changes its argument number 2 in place")
def grows_the_vocabulary(tokens, vocabulary):
    for token in tokens:
        if token not in vocabulary:
            vocabulary.append(token)
    return [vocabulary.index(t) for t in tokens]


@wrong("01.2", "ids are counted from 1")
def from_one(tokens, vocabulary):
    ids = {t: i for i, t in enumerate(vocabulary, start=1)}
    return [ids.get(t, 0) for t in tokens]


@wrong("01.2", "'<unk>' has no id of its own")
def skips_the_unknown(tokens, vocabulary):
    ids = {t: i for i, t in enumerate(vocabulary[1:])}
    return [ids.get(t, 0) for t in tokens]


@wrong("01.2", "the vocabulary is sorted first")
def sorts_the_vocabulary(tokens, vocabulary):
    ids = {t: i for i, t in enumerate(sorted(vocabulary))}
    return [ids.get(t, 0) for t in tokens]


@wrong("01.2", "handed out as tokens appear")
def ids_by_appearance(tokens, vocabulary):
    ids = {}
    return [ids.setdefault(t, len(ids)) for t in tokens]


@wrong("01.2", "a part of another")
def substring(tokens, vocabulary):
    return [next((i for i, word in enumerate(vocabulary) if t in word), 0) for t in tokens]


@wrong("01.2", "capitals are changed")
def tries_small_letters(tokens, vocabulary):
    return [vocabulary.index(w) if w in vocabulary else 0 for w in map(str.lower, tokens)]


@wrong("01.2", "remembered from an earlier call")
def one_dictionary_for_ever(tokens, vocabulary, _ids={}):  # noqa: B006
    for i, token in enumerate(vocabulary):
        _ids.setdefault(token, i)
    return [_ids.get(t, 0) for t in tokens]


@wrong("01.2", "inside the loop ends it at once")
def returns_too_early(tokens, vocabulary):
    for token in tokens:
        return [vocabulary.index(token) if token in vocabulary else 0]
    return []


@wrong("01.2", "An index runs past the end")
def no_empty_text(tokens, vocabulary):
    ids = {t: i for i, t in enumerate(vocabulary)}
    found = [ids.get(tokens[0], 0)]
    for token in tokens[1:]:
        found.append(ids.get(token, 0))
    return found


@wrong("01.2", "list.append, list.sort and the like return None")
def assigns_append(tokens, vocabulary):
    ids = []
    for token in tokens:
        ids = ids.append(vocabulary.index(token) if token in vocabulary else 0)
    return ids


@wrong("01.2", "a place in a list is a whole number")
def floats(tokens, vocabulary):
    return torch.tensor([float(vocabulary.index(t)) if t in vocabulary else 0.0 for t in tokens])


@right("01.2")
def caught(tokens, vocabulary):
    ids = []
    for token in tokens:
        try:
            ids.append(vocabulary.index(token))
        except ValueError:
            ids.append(0)
    return ids


@right("01.2")
def default_dictionary(tokens, vocabulary):
    ids = defaultdict(int, zip(vocabulary, range(len(vocabulary)), strict=True))
    return tuple(map(ids.__getitem__, tokens))


@right("01.2")
def tensor_of_ids(tokens, vocabulary):
    ids = [vocabulary.index(t) if t in vocabulary else 0 for t in tokens]
    return torch.tensor(ids, dtype=torch.long)


@right("01.2")
def yields_ids(tokens, vocabulary):
    ids = dict(zip(vocabulary, range(len(vocabulary)), strict=True))
    for token in tokens:
        yield ids.get(token, 0)
