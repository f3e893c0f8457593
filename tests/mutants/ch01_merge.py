"""Answers to 01.3 merge_pair as students write them, wrong and right."""

from __future__ import annotations

from tests.mutants import right, wrong


@wrong("01.3", "neighbouring pairs overlap")
def overlapping(tokens, pair):
    merged = []
    for i in range(len(tokens)):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(tokens[i] + tokens[i + 1])
        elif i == 0 or tuple(tokens[i - 1 : i + 1]) != pair:
            merged.append(tokens[i])
    return merged


@wrong("01.3", "merged from the right")
def from_the_right(tokens, pair):
    merged, i = [], len(tokens) - 1
    while i >= 0:
        if i > 0 and (tokens[i - 1], tokens[i]) == pair:
            merged.append(tokens[i - 1] + tokens[i])
            i -= 2
        else:
            merged.append(tokens[i])
            i -= 1
    return merged[::-1]


@wrong("01.3", "crosses token borders")
def replaces_in_a_string(tokens, pair):
    return " ".join(tokens).replace(" ".join(pair), "".join(pair)).split()


@wrong("01.3", "the last token is lost")
def ends_too_early(tokens, pair):
    merged, i = [], 0
    while i < len(tokens) - 1:
        if (tokens[i], tokens[i + 1]) == pair:
            merged.append(tokens[i] + tokens[i + 1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


@wrong("01.3", "the last token is there twice")
def appends_the_last_again(tokens, pair):
    return ends_too_early(tokens, pair) + tokens[-1:]


@wrong("01.3", "only the first occurrence")
def returns_in_the_loop(tokens, pair):
    for i in range(len(tokens) - 1):
        if (tokens[i], tokens[i + 1]) == pair:
            return [*tokens[:i], tokens[i] + tokens[i + 1], *tokens[i + 2 :]]
    return list(tokens)


@wrong("01.3", "inside a `for` loop changes nothing")
def steps_inside_for(tokens, pair):
    merged = []
    for i in range(len(tokens) - 1):
        if (tokens[i], tokens[i + 1]) == pair:
            merged.append(tokens[i] + tokens[i + 1])
            i += 1
        else:
            merged.append(tokens[i])
    return merged


@wrong("01.3", "changes its argument number 1 in place")
def edits_the_callers_list(tokens, pair):
    i = 0
    while i < len(tokens) - 1:
        if (tokens[i], tokens[i + 1]) == pair:
            tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
        i += 1
    return tokens


@wrong("01.3", "An index runs past the end")
def index_error(tokens, pair):
    merged, i = [], 0
    while i < len(tokens):
        if tokens[i] == pair[0] and tokens[i + 1] == pair[1]:
            merged.append(tokens[i] + tokens[i + 1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def _walk(tokens, found, step=2):
    merged, i = [], 0
    while i < len(tokens):
        if i + 1 < len(tokens) and found(tokens[i], tokens[i + 1]):
            merged.append(tokens[i] + tokens[i + 1])
            i += step
        else:
            merged.append(tokens[i])
            i += 1
    return merged


@wrong("01.3", "only the joined text is compared")
def compares_the_joined_text(tokens, pair):
    return _walk(tokens, lambda a, b: a + b == pair[0] + pair[1])


@wrong("01.3", "any two tokens of the pair")
def membership(tokens, pair):
    return _walk(tokens, lambda a, b: a in pair and b in pair)


@wrong("01.3", "merged in both orders")
def either_order(tokens, pair):
    return _walk(tokens, lambda a, b: sorted((a, b)) == sorted(pair))


@wrong("01.3", "only the first token of the pair is compared")
def compares_the_first(tokens, pair):
    return _walk(tokens, lambda a, b: a == pair[0])


@wrong("01.3", "never equals a tuple")
def list_against_tuple(tokens, pair):
    return _walk(tokens, lambda a, b: [a, b] == pair)


@wrong("01.3", "is skipped: step over two")
def skips_a_token(tokens, pair):
    return _walk(tokens, lambda a, b: (a, b) == pair, step=3)


@wrong("01.3", "wraps round the end")
def round_the_end(tokens, pair):
    merged, i = [], 0
    while i < len(tokens):
        following = tokens[(i + 1) % len(tokens)]
        if (tokens[i], following) == pair:
            merged.append(tokens[i] + following)
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


@wrong("01.3", "cut into twos")
def chunks_of_two(tokens, pair):
    merged = []
    for i in range(0, len(tokens), 2):
        two = tokens[i : i + 2]
        merged += ["".join(two)] if tuple(two) == pair else two
    return merged


@wrong("01.3", "something is kept between calls")
def default_list(tokens, pair, merged=[]):  # noqa: B006
    for token in iterates(tokens, pair):
        merged.append(token)
    return merged


@wrong("01.3", "adds the letters one by one")
def adds_letters(tokens, pair):
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged += tokens[i] + tokens[i + 1]
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


@wrong("01.3", "pairs that follow each other directly are missed")
def copies_the_next(tokens, pair):
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(tokens[i] + tokens[i + 1])
            i += 2
            if i == len(tokens):
                break
        merged.append(tokens[i])
        i += 1
    return merged


@wrong("01.3", "tokens.index finds the first")
def asks_for_the_index(tokens, pair):
    merged, skip = [], False
    for token in tokens:
        if skip:
            skip = False
            continue
        i = tokens.index(token)
        skip = tuple(tokens[i : i + 2]) == pair
        merged.append(pair[0] + pair[1] if skip else token)
    return merged


@wrong("01.3", "a merged token is not merged")
def merges_whole_runs(tokens, pair):
    merged = []
    for i, token in enumerate(tokens):
        if i and (tokens[i - 1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return merged


@wrong("01.3", "written into the code")
def knows_the_example(tokens, pair):
    return _walk(tokens, lambda a, b: (a, b) == ("a", "n"))


@wrong("01.3", "the tokens should be ['an', 'n', 'a', 'b', 'an', 'a', 'an'], not ['n', 'a',")
def moves_pairs_to_the_end(tokens, pair):
    merged, joined = list(iterates(tokens, pair)), pair[0] + pair[1]
    return sorted(merged, key=lambda token: token == joined)


@right("01.3")
def recursive(tokens, pair):
    if len(tokens) < 2:
        return list(tokens)
    if (tokens[0], tokens[1]) == pair:
        return [pair[0] + pair[1], *recursive(tokens[2:], pair)]
    return [tokens[0], *recursive(tokens[1:], pair)]


@right("01.3")
def iterates(tokens, pair):
    skip = False
    for i, token in enumerate(tokens):
        if skip:
            skip = False
        elif token == pair[0] and i + 1 < len(tokens) and tokens[i + 1] == pair[1]:
            yield token + tokens[i + 1]
            skip = True
        else:
            yield token


@right("01.3")
def stack(tokens, pair):
    merged = []
    for token in tokens:
        if merged and merged[-1] == pair[0] and token == pair[1]:
            merged[-1] += token
        else:
            merged.append(token)
    return tuple(merged)


@right("01.3")
def edits_a_copy(tokens, pair):
    tokens, i = tokens.copy(), 0
    while i < len(tokens) - 1:
        if tokens[i] == pair[0] and tokens[i + 1] == pair[1]:
            tokens[i] += tokens.pop(i + 1)
        i += 1
    return tokens
