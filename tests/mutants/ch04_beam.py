"""Answers to 04.4 beam_step as students write them, wrong and right."""

from __future__ import annotations

import heapq

import torch

from tests.mutants import right, wrong

GONE = -torch.inf


def held(log_probs, ended, stop_id):
    """Log-probabilities in which ended beams can only stop, at no cost."""
    if stop_id is None:
        return log_probs
    only = torch.full_like(log_probs, GONE)
    only[:, :, stop_id] = 0
    return torch.where(ended[:, :, None], only, log_probs)


def choose(totals):
    best, place = totals.flatten(1).topk(totals.size(1))
    return best, place // totals.size(2), place % totals.size(2)


@wrong("04.4", "a probability is added to a logarithm")
def adds_probabilities_to_logs(scores, log_probs, ended, stop_id):
    return choose(scores[:, :, None] + held(log_probs, ended, stop_id).exp())


@wrong("04.4", "probabilities of one text multiply")
def adds_probabilities(scores, log_probs, ended, stop_id):
    return choose(scores.exp()[:, :, None] + held(log_probs, ended, stop_id).exp())


@wrong("04.4", "come back as probabilities")
def multiplies_probabilities(scores, log_probs, ended, stop_id):
    return choose(scores.exp()[:, :, None] * held(log_probs, ended, stop_id).exp())


@wrong("04.4", "the logarithms are multiplied")
def multiplies_logs(scores, log_probs, ended, stop_id):
    return choose(scores[:, :, None] * held(log_probs, ended, stop_id))


@wrong("04.4", "the scores so far are not counted")
def forgets_the_scores(scores, log_probs, ended, stop_id):
    return choose(held(log_probs, ended, stop_id))


@wrong("04.4", "every beam goes on with its own best token")
def greedy_in_each_beam(scores, log_probs, ended, stop_id):
    best, tokens = (scores[:, :, None] + held(log_probs, ended, stop_id)).max(-1)
    return best, torch.arange(scores.size(1)).repeat(len(scores), 1), tokens


@wrong("04.4", "only the best beam goes on")
def from_the_best_beam(scores, log_probs, ended, stop_id):
    totals = scores[:, :, None] + held(log_probs, ended, stop_id)
    first = scores.argmax(1)
    best, tokens = totals[torch.arange(len(totals)), first].topk(scores.size(1))
    return best, first[:, None].repeat(1, scores.size(1)), tokens


@wrong("04.4", "among all rows together")
def one_search_for_the_batch(scores, log_probs, ended, stop_id):
    B, K, V = log_probs.shape
    totals = scores[:, :, None] + held(log_probs, ended, stop_id)
    best, place = totals.flatten().topk(B * K)
    return best.view(B, K), (place // V % K).view(B, K), (place % V).view(B, K)


@wrong("04.4", "parents and tokens are swapped")
def swapped(scores, log_probs, ended, stop_id):
    best, parents, tokens = choose(scores[:, :, None] + held(log_probs, ended, stop_id))
    return best, tokens, parents


@wrong("04.4", "place // K and place % K")
def divides_by_the_width(scores, log_probs, ended, stop_id):
    K = scores.size(1)
    best, place = (scores[:, :, None] + held(log_probs, ended, stop_id)).flatten(1).topk(K)
    return best, place // K, place % K


@wrong("04.4", "place % V is the token")
def place_for_token(scores, log_probs, ended, stop_id):
    totals = scores[:, :, None] + held(log_probs, ended, stop_id)
    best, place = totals.flatten(1).topk(scores.size(1))
    return best, place // log_probs.size(2), place


@wrong("04.4", "ended beams go on writing")
def never_stops(scores, log_probs, ended, stop_id):
    return choose(scores[:, :, None] + log_probs)


@wrong("04.4", "pays for each further stop_id")
def stopping_costs(scores, log_probs, ended, stop_id):
    if stop_id is not None:
        others = torch.arange(log_probs.size(2)) != stop_id
        log_probs = log_probs.masked_fill(ended[:, :, None] & others, GONE)
    return choose(scores[:, :, None] + log_probs)


@wrong("04.4", "other tokens besides stop_id")
def stopping_is_only_cheaper(scores, log_probs, ended, stop_id):
    log_probs = log_probs.clone()
    if stop_id is not None:
        log_probs[:, :, stop_id][ended] = 0
    return choose(scores[:, :, None] + log_probs)


@wrong("04.4", "with every token at no cost")
def all_tokens_are_free(scores, log_probs, ended, stop_id):
    return choose(scores[:, :, None] + log_probs * ~ended[:, :, None])


@wrong("04.4", "ended beams are thrown away")
def loses_ended_beams(scores, log_probs, ended, stop_id):
    return choose(scores.masked_fill(ended, GONE)[:, :, None] + log_probs)


@wrong("04.4", "the worst continuations")
def smallest_sums(scores, log_probs, ended, stop_id):
    totals = scores[:, :, None] + held(log_probs, ended, stop_id)
    best, place = totals.flatten(1).topk(scores.size(1), largest=False)
    return best, place // totals.size(2), place % totals.size(2)


@wrong("04.4", "the best stands last")
def rising(scores, log_probs, ended, stop_id):
    totals = scores[:, :, None] + held(log_probs, ended, stop_id)
    best, place = totals.flatten(1).sort()
    best, place = best[:, -scores.size(1) :], place[:, -scores.size(1) :]
    return best, place // totals.size(2), place % totals.size(2)


@wrong("04.4", "the new tokens' alone")
def scores_of_the_new_tokens(scores, log_probs, ended, stop_id):
    free = held(log_probs, ended, stop_id)
    _, parents, tokens = choose(scores[:, :, None] + free)
    rows = torch.arange(len(scores))[:, None]
    return free[rows, parents, tokens], parents, tokens


@wrong("04.4", "in their old order")
def old_scores_in_place(scores, log_probs, ended, stop_id):
    free = held(log_probs, ended, stop_id)
    _, parents, tokens = choose(scores[:, :, None] + free)
    rows = torch.arange(len(scores))[:, None]
    return scores + free[rows, parents, tokens], parents, tokens


@wrong("04.4", "changes its argument number 2 in place")
def writes_into_log_probs(scores, log_probs, ended, stop_id):
    if stop_id is not None:
        log_probs[ended] = GONE
        log_probs[:, :, stop_id][ended] = 0
    return choose(scores[:, :, None] + log_probs)


@wrong("04.4", "counted over the whole batch")
def parents_of_a_flat_batch(scores, log_probs, ended, stop_id):
    best, parents, tokens = choose(scores[:, :, None] + held(log_probs, ended, stop_id))
    return best, parents + torch.arange(len(scores))[:, None] * scores.size(1), tokens


@wrong("04.4", "a stop_id of 0 is taken for none")
def asks_if_stop_id(scores, log_probs, ended, stop_id):
    if stop_id:
        log_probs = held(log_probs, ended, stop_id)
    return choose(scores[:, :, None] + log_probs)


@wrong("04.4", "counted from 1")
def parents_from_one(scores, log_probs, ended, stop_id):
    best, parents, tokens = choose(scores[:, :, None] + held(log_probs, ended, stop_id))
    return best, parents + 1, tokens


@wrong("04.4", "a score of -inf is turned into 0")
def no_infinities(scores, log_probs, ended, stop_id):
    scores = torch.where(scores.isinf(), 0.0, scores)
    return choose(scores[:, :, None] + held(log_probs, ended, stop_id))


@wrong("04.4", "V follow each other for a parent")
def remainder_for_parent(scores, log_probs, ended, stop_id):
    totals = scores[:, :, None] + held(log_probs, ended, stop_id)
    best, place = totals.flatten(1).topk(scores.size(1))
    return best, place % scores.size(1), place // scores.size(1)


@wrong("04.4", "the scores are subtracted")
def subtracts_scores(scores, log_probs, ended, stop_id):
    return choose(held(log_probs, ended, stop_id) - scores[:, :, None])


@wrong("04.4", "the new tokens' alone")
def as_the_model_says(scores, log_probs, ended, stop_id):
    _, parents, tokens = choose(scores[:, :, None] + held(log_probs, ended, stop_id))
    place = parents * log_probs.size(2) + tokens
    return log_probs.flatten(1).gather(1, place), parents, tokens


@wrong("04.4", "only the best beam goes on")
def from_beam_zero(scores, log_probs, ended, stop_id):
    totals = scores[:, :, None] + held(log_probs, ended, stop_id)
    best, tokens = totals[:, 0].topk(scores.size(1))
    return best, torch.zeros_like(tokens), tokens


@wrong("04.4", "normalised among themselves")
def scores_that_add_up_to_one(scores, log_probs, ended, stop_id):
    best, parents, tokens = choose(scores[:, :, None] + held(log_probs, ended, stop_id))
    return best - best.logsumexp(1, keepdim=True), parents, tokens


@wrong("04.4", "all beams are held")
def one_ends_all(scores, log_probs, ended, stop_id):
    some = ended.any(1, keepdim=True).expand_as(ended)
    return choose(scores[:, :, None] + held(log_probs, some, stop_id))


@wrong("04.4", "counted twice")
def score_for_stop(scores, log_probs, ended, stop_id):
    if stop_id is not None:
        log_probs = log_probs.masked_fill(ended[:, :, None], GONE)
        log_probs[:, :, stop_id] = torch.where(ended, scores, log_probs[:, :, stop_id])
    return choose(scores[:, :, None] + log_probs)


@wrong("04.4", "minidistill.search.beam_step may not be used here")
def the_packages_own(scores, log_probs, ended, stop_id):
    from minidistill.search import beam_step

    return beam_step(scores, log_probs, ended, stop_id)


@right("04.4")
def with_masks(scores, log_probs, ended, stop_id):
    if stop_id is not None:
        is_stop = torch.arange(log_probs.size(-1)) == stop_id
        log_probs = log_probs.masked_fill(ended[..., None] & ~is_stop, GONE)
        log_probs = log_probs.masked_fill(ended[..., None] & is_stop, 0.0)
    totals = (scores.unsqueeze(-1) + log_probs).reshape(len(scores), -1)
    best, place = totals.sort(-1, descending=True)
    K = scores.size(1)
    place = place[:, :K]
    parents = torch.div(place, log_probs.size(-1), rounding_mode="floor")
    return best[:, :K], parents, place - parents * log_probs.size(-1)


@right("04.4")
def with_a_heap(scores, log_probs, ended, stop_id):
    rows = []
    for b in range(len(scores)):
        found = []
        for k, score in enumerate(scores[b].tolist()):
            if stop_id is not None and ended[b, k]:
                found.append((score, k, stop_id))
            else:
                found += [(score + q, k, w) for w, q in enumerate(log_probs[b, k].tolist())]
        rows.append(heapq.nlargest(len(scores[b]), found, key=lambda c: c[0]))
    values = torch.tensor(rows, dtype=torch.float64)
    return values[..., 0].to(scores), values[..., 1].long(), values[..., 2].long()


@right("04.4")
def each_beams_best_first(scores, log_probs, ended, stop_id):
    B, K, V = log_probs.shape
    few = min(K, V)
    free, tokens = held(log_probs, ended, stop_id).topk(few, -1)  # no beam gives more than K
    best, place = (scores[..., None] + free).view(B, -1).topk(K)
    return best, place // few, tokens.view(B, -1).gather(1, place)


@right("04.4")
def with_numpy(scores, log_probs, ended, stop_id):
    import numpy as np

    totals = (scores[..., None] + log_probs).numpy().copy()
    for row, beam in np.argwhere(ended.numpy()) if stop_id is not None else ():
        totals[row, beam] = GONE
        totals[row, beam, stop_id] = scores[row, beam].item()
    flat = totals.reshape(len(totals), -1)
    place = np.argsort(-flat, axis=1, kind="stable")[:, : scores.size(1)]
    parents, tokens = np.unravel_index(place, totals.shape[1:])
    best = np.take_along_axis(flat, place, 1)
    return torch.from_numpy(best), torch.from_numpy(parents), torch.from_numpy(tokens)


@right("04.4")
def numbered_candidates(scores, log_probs, ended, stop_id):
    B, K, V = log_probs.shape
    parents = torch.arange(K).repeat_interleave(V).expand(B, -1)
    tokens = torch.arange(V).repeat(K).expand(B, -1)
    totals = scores.gather(1, parents) + held(log_probs, ended, stop_id).reshape(B, -1)
    best, place = totals.sort(dim=1, descending=True)
    best, place = best[:, :K], place[:, :K]
    return best, parents.gather(1, place), tokens.gather(1, place)
