"""Answers to 04.3 block_repeats as students write them, wrong and right."""

from __future__ import annotations

from collections import defaultdict

import torch

from tests.mutants import right, wrong

GONE = -torch.inf


def whole_rows_back(kept, logits):
    return torch.where((kept == GONE).all(-1, keepdim=True), logits, kept)


def blocking(logits, tokens, follows):
    """Block what `follows` yields for each row."""
    kept = logits.clone()
    for b, text in enumerate(tokens.tolist()):
        for token in follows(text):
            kept[b, token] = GONE
    return whole_rows_back(kept, logits)


@wrong("04.3", "the last n tokens are compared")
def n_tokens_of_context(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n):
            if text[i : i + n] == text[-n:]:
                yield text[i + n]

    return blocking(logits, tokens, follows)


@wrong("04.3", "for n = 1 nothing is blocked")
def minus_zero(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[-(n - 1) :]:
                yield text[i + n - 1]

    return blocking(logits, tokens, follows)


@wrong("04.3", "what one row must not write")
def across_rows(logits, tokens, n):
    kept = logits.clone()
    for text in tokens.tolist():
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                kept[:, text[i + n - 1]] = GONE
    return whole_rows_back(kept, logits)


@wrong("04.3", "n-grams of other rows")
def one_table_for_all(logits, tokens, n):
    after = defaultdict(set)
    for text in tokens.tolist():
        for i in range(len(text) - n + 1):
            after[tuple(text[i : i + n - 1])].add(text[i + n - 1])
    return blocking(logits, tokens, lambda text: after[tuple(text[len(text) - n + 1 :])])


@wrong("04.3", "only one row is treated")
def first_row(logits, tokens, n):
    kept, text = logits.clone(), tokens[0].tolist()
    for i in range(len(text) - n + 1):
        if text[i : i + n - 1] == text[len(text) - n + 1 :]:
            kept[0, text[i + n - 1]] = GONE
    return whole_rows_back(kept, logits)


@wrong("04.3", "only the latest place")
def overwritten(logits, tokens, n):
    def follows(text):
        after = {tuple(text[i : i + n - 1]): text[i + n - 1] for i in range(len(text) - n + 1)}
        found = after.get(tuple(text[len(text) - n + 1 :]))
        return [] if found is None else [found]

    return blocking(logits, tokens, follows)


@wrong("04.3", "only the first place")
def stops_at_the_first(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield text[i + n - 1]
                break

    return blocking(logits, tokens, follows)


@wrong("04.3", "every token of the text is blocked")
def used_tokens(logits, tokens, n):
    if tokens.size(1) < n:
        return logits
    return whole_rows_back(logits.scatter(1, tokens, GONE), logits)


@wrong("04.3", "the n - 1 tokens themselves")
def blocks_the_context(logits, tokens, n):
    def follows(text):
        end = text[len(text) - n + 1 :]
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == end:
                yield from end

    return blocking(logits, tokens, follows)


@wrong("04.3", "the first token of the n-gram")
def blocks_the_beginning(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield text[i]

    return blocking(logits, tokens, follows)


@wrong("04.3", "in any order")
def as_sets(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n + 1):
            if sorted(text[i : i + n - 1]) == sorted(text[len(text) - n + 1 :]):
                yield text[i + n - 1]

    return blocking(logits, tokens, follows)


@wrong("04.3", "n-grams overlap")
def every_nth(logits, tokens, n):
    def follows(text):
        for i in range(0, len(text) - n + 1, n):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield text[i + n - 1]

    return blocking(logits, tokens, follows)


@wrong("04.3", "the loop ends one too early")
def range_too_short(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield text[i + n - 1]

    return blocking(logits, tokens, follows)


@wrong("04.3", "only the last token is compared")
def bigrams(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - 1):
            if n == 1 or text[i] == text[-1]:
                yield text[i + 1]
        if n == 1:
            yield text[0]

    return blocking(logits, tokens, follows)


@wrong("04.3", "exp(0) = 1")
def zero_for_the_blocked(logits, tokens, n):
    kept = every_place(logits, tokens, n)
    return kept.masked_fill(kept == GONE, 0.0)


@wrong("04.3", "a large negative number")
def minus_ten_thousand(logits, tokens, n):
    kept = every_place(logits, tokens, n)
    return kept.masked_fill(kept == GONE, -1e4)


@wrong("04.3", "changes its argument number 1 in place")
def writes_into_logits(logits, tokens, n):
    for b, text in enumerate(tokens.tolist()):
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                logits[b, text[i + n - 1]] = GONE
    return logits


@wrong("04.3", "its softmax is NaN")
def a_row_without_tokens(logits, tokens, n):
    kept = logits.clone()
    for b, text in enumerate(tokens.tolist()):
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                kept[b, text[i + n - 1]] = GONE
    return kept


@wrong("04.3", "An index runs past the end")
def past_the_end(logits, tokens, n):
    def follows(text):
        for i in range(len(text)):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield text[i + n - 1]

    return blocking(logits, tokens, follows)


@wrong("04.3", "what an earlier rule removed is forgotten")
def counts_the_blocked(logits, tokens, n):
    kept = logits.clone()
    for b, text in enumerate(tokens.tolist()):
        starts = range(len(text) - n + 1)
        end = text[len(text) - n + 1 :]
        gone = {text[i + n - 1] for i in starts if text[i : i + n - 1] == end}
        if len(gone) < logits.size(1):
            kept[b, list(gone)] = GONE
    return kept


@wrong("04.3", "compared backwards")
def from_the_end_backwards(logits, tokens, n):
    def follows(text):
        end = [text[-1 - i] for i in range(min(n - 1, len(text)))]
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == end:
                yield text[i + n - 1]

    return blocking(logits, tokens, follows)


@wrong("04.3", "all tokens of the n-gram are blocked")
def the_whole_gram(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield from text[i : i + n]

    return blocking(logits, tokens, follows)


@wrong("04.3", "a text of exactly n tokens")
def needs_one_more(logits, tokens, n):
    return logits if tokens.size(1) <= n else every_place(logits, tokens, n)


@wrong("04.3", "share tokens with the end of the text")
def clear_of_the_end(logits, tokens, n):
    def follows(text):
        earlier = text[: len(text) - n + 1]
        for i in range(len(earlier) - n + 1):
            if earlier[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield earlier[i + n - 1]

    return blocking(logits, tokens, follows)


@wrong("04.3", "the last of the n - 1 tokens is blocked")
def index_one_too_small(logits, tokens, n):
    def follows(text):
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == text[len(text) - n + 1 :]:
                yield text[i + n - 2]

    return blocking(logits, tokens, follows)


@wrong("04.3", "one token that agrees is taken for all")
def any_for_all(logits, tokens, n):
    if tokens.size(1) < n:
        return logits
    grams = tokens.unfold(1, n, 1)
    same = grams[:, :, :-1] == tokens[:, None, tokens.size(1) - n + 1 :]
    same = same.any(-1) if n > 1 else same.all(-1)
    kept = logits.clone()
    for b in range(len(kept)):
        kept[b, grams[b, same[b], -1]] = GONE
    return whole_rows_back(kept, logits)


@wrong("04.3", "only the last token is compared")
def end_of_each_gram(logits, tokens, n):
    def follows(text):
        return (
            text[i + n - 1]
            for i in range(len(text) - n + 1)
            if n == 1 or text[i + n - 2] == text[-1]
        )

    return blocking(logits, tokens, follows)


@wrong("04.3", "takes back what another place has blocked")
def scattered_verdicts(logits, tokens, n):
    if tokens.size(1) < n:
        return logits
    grams = tokens.unfold(1, n, 1)
    same = (grams[:, :, :-1] == tokens[:, None, tokens.size(1) - n + 1 :]).all(-1)
    gone = torch.zeros_like(logits, dtype=torch.bool)
    for place in range(grams.size(1)):
        gone.scatter_(1, grams[:, place, -1:], same[:, place, None])
    return whole_rows_back(logits.masked_fill(gone, GONE), logits)


@wrong("04.3", "the first row's text is read for all rows")
def row_zero(logits, tokens, n):
    return every_place(logits, tokens[:1].expand_as(tokens), n)


@wrong("04.3", "minidistill.rules.block_repeats may not be used here")
def the_packages_own(logits, tokens, n):
    from minidistill.rules import block_repeats

    return block_repeats(logits, tokens, n)


@right("04.3")
def every_place(logits, tokens, n):
    def follows(text):
        end = text[len(text) - n + 1 :]
        return (text[i + n - 1] for i in range(len(text) - n + 1) if text[i : i + n - 1] == end)

    return blocking(logits, tokens, follows)


@right("04.3")
def by_a_table(logits, tokens, n):
    rows = []
    for row, text in zip(logits, tokens.tolist(), strict=True):
        after = defaultdict(list)
        for i in range(n - 1, len(text)):
            after[tuple(text[i - n + 1 : i])].append(text[i])
        kept = row.clone()
        kept[after[tuple(text[len(text) - n + 1 :]) if n > 1 else ()]] = GONE
        rows.append(kept if kept.max() > GONE else row)
    return torch.stack(rows)


@right("04.3")
def tries_every_token(logits, tokens, n):
    kept = logits.clone()
    for b, text in enumerate(tokens.tolist()):
        grams = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
        gone = [w for w in range(logits.size(1)) if tuple([*text, w][-n:]) in grams]
        kept[b, gone] = GONE
        if kept[b].max() == GONE:
            kept[b] = logits[b]
    return kept
