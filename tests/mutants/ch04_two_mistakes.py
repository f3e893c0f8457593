"""Answers to chapter 04's exercises with two mistakes at once, both of which are named."""

from __future__ import annotations

import torch

from tests.mutants import wrong
from tests.mutants.ch04_beam import choose, parents_of_a_flat_batch, stopping_costs
from tests.mutants.ch04_distinct import grams
from tests.mutants.ch04_repeats import blocking, n_tokens_of_context
from tests.mutants.ch04_top_p import nucleus

GONE = -torch.inf


@wrong(
    "04.1", "(1) one token too many stays: keep k of them. (2) the removed tokens get the logit 0"
)
def two_mistakes_index_and_zero(logits, k):
    ranked = logits.sort(descending=True).values
    least = ranked[:, min(k, logits.size(-1) - 1)].unsqueeze(1)
    return torch.where(logits < least, torch.zeros_like(logits), logits)


@wrong("04.1", "(1) one limit for the whole batch")
def two_mistakes_batch_and_probabilities(logits, k):
    least = logits.flatten().sort(descending=True).values[k - 1]
    return logits.masked_fill(logits < least, GONE).softmax(dim=1)


@wrong("04.2", "(2) the way back is wrong")
def two_mistakes_crosser_and_gather(logits, p):
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    mask = ranked.softmax(-1).cumsum(-1) > p
    mask[:, 0] = False
    return logits.masked_fill(mask.gather(-1, order), GONE)


@wrong("04.2", "(2) these are probabilities")
def two_mistakes_place_and_probabilities(logits, p):
    q = logits.sort(dim=-1, descending=True).values.softmax(-1)
    return logits.masked_fill(q.cumsum(-1) - q >= p, GONE).softmax(-1)


@wrong("04.2", "(2) the removed tokens get the logit 0")
def two_mistakes_crosser_and_zero(logits, p):
    kept = nucleus(logits, p, lambda q, p: q.cumsum(-1) > p)
    return torch.where(kept == GONE, 0.0, kept)


@wrong("04.3", "(2) the first row's text is read for all rows")
def two_mistakes_latest_and_row_zero(logits, tokens, n):
    def follows(_):
        text = tokens[0].tolist()
        end, found = text[len(text) - n + 1 :], []
        for i in range(len(text) - n + 1):
            if text[i : i + n - 1] == end:
                found = [text[i + n - 1]]
        return found

    return blocking(logits, tokens, follows)


@wrong("04.3", "(2) the removed tokens get the logit 0")
def two_mistakes_context_and_zero(logits, tokens, n):
    kept = n_tokens_of_context(logits, tokens, n)
    return kept.masked_fill((kept == GONE) & (logits > GONE), 0.0)


@wrong("04.4", "(2) place // K and place % K")
def two_mistakes_running_on_and_places(scores, log_probs, ended, stop_id):
    K = scores.size(1)
    best, place = (scores[:, :, None] + log_probs).flatten(1).topk(K)
    return best, place // K, place % K


@wrong("04.4", "(2) parents and tokens are swapped")
def two_mistakes_price_and_order(scores, log_probs, ended, stop_id):
    best, parents, tokens = stopping_costs(scores, log_probs, ended, stop_id)
    return best, tokens, parents


@wrong("04.4", "(2) the scores so far are not counted")
def two_mistakes_running_on_and_scores(scores, log_probs, ended, stop_id):
    return choose(log_probs)


@wrong("04.4", "(1) the best stands last: best first. (2) the parents are counted over")
def two_mistakes_rising_and_flat_parents(scores, log_probs, ended, stop_id):
    best, parents, tokens = parents_of_a_flat_batch(scores, log_probs, ended, stop_id)
    return best.flip(1), parents.flip(1), tokens.flip(1)


@wrong("04.4", "(2) the scores that come back are the new tokens' alone")
def two_mistakes_price_and_scores(scores, log_probs, ended, stop_id):
    _, parents, tokens = stopping_costs(scores, log_probs, ended, stop_id)
    return log_probs[torch.arange(len(scores))[:, None], parents, tokens], parents, tokens


@wrong("04.5", "(2) it is divided by the number of tokens")
def two_mistakes_border_and_tokens(sequences, n):
    text = [token for part in sequences for token in part]
    return len(set(grams(text, n))) / len(text)


@wrong("04.5", "(2) this is the mean of each text's own share")
def two_mistakes_range_and_mean(sequences, n):
    shares = []
    for text in sequences:
        found = [tuple(text[i : i + n]) for i in range(len(text) - n)]
        if found:
            shares.append(len(set(found)) / len(found))
    return sum(shares) / len(shares)


@wrong("04.5", "(2) it is divided by the number of tokens")
def two_mistakes_sets_and_tokens(sequences, n):
    different = sum(len(set(grams(text, n))) for text in sequences)
    return different / sum(len(text) for text in sequences)
