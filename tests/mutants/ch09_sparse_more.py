"""Further answers to 09.5 sparse_target_loss."""

from __future__ import annotations

import math

import torch

from tests.mutants import right, wrong
from tests.mutants.ch09_sparse import answer, left, lumped, mean_of, scaled


def picked(logits, said, temperature):
    return (logits / temperature).log_softmax(-1).gather(-1, said.ids)


@wrong("09.5", "rounded to 1")
def too_near_to_one(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    rest = (1 - named.exp().sum(-1).clamp(max=1 - 1e-8)).log()
    cost = -(said.shares * named).sum(-1) - said.tail * rest
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "neither more nor less")
def rest_of_a_thousandth(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    rest = (1 - named.exp().sum(-1).clamp(max=0.999)).log()
    cost = -(said.shares * named).sum(-1) - said.tail * rest
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "neither more nor less")
def rest_of_next_to_nothing(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    rest = (1 - named.exp().sum(-1)).clamp(min=1e-12).log()
    cost = -(said.shares * named).sum(-1) - said.tail * rest
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "few digits")
def in_single(logits, said, mask=None, temperature=1.0, tail="lump"):
    said = said._replace(shares=said.shares.float(), tail=said.tail.float())
    return answer(picked(logits.float(), said, temperature), said, mask, temperature, tail)


@wrong("09.5", "no gradient comes through the rest")
def rest_detached(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    cost = -(said.shares * named).sum(-1) - said.tail * left(named.detach())
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "backward() stops with an error")
def new_zero(logits, said, mask=None, temperature=1.0, tail="lump"):
    if mask is not None and not mask.any():
        return logits.new_zeros(())
    return answer(picked(logits, said, temperature), said, mask, temperature, tail)


@wrong("09.5", "counts once")
def second_draw_replaces_the_first(logits, said, mask=None, temperature=1.0, tail="lump"):
    log_q = (logits / temperature).log_softmax(-1)
    row = torch.zeros_like(log_q).scatter(-1, said.ids, said.shares.to(log_q))
    cost = -(row * log_q).sum(-1)
    if tail == "renormalise":
        cost = cost / said.shares.sum(-1)
    else:
        cost = cost - said.tail * left(log_q.gather(-1, said.ids))
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "with 'renormalise' the tail is still charged")
def renormalised_and_lumped(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    cost = -(said.shares * named).sum(-1)
    if tail == "renormalise":
        cost = cost / said.shares.sum(-1)
    cost = cost - said.tail * left(named)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "divided by K")
def divided_by_the_number(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "lump":
        return answer(named, said, mask, temperature, tail)
    return temperature**2 * mean_of(-(said.shares * named).mean(-1), mask)


@wrong("09.5", "the student's probabilities are renormalised as well")
def both_renormalised(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        named = named - named.logsumexp(-1, keepdim=True)
    return answer(named, said, mask, temperature, tail)


@wrong("09.5", "as in a KL divergence")
def divergence(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    cost = scaled(named, said) if tail == "renormalise" else lumped(named, said)
    if tail == "lump":
        own = torch.special.entr(said.shares).sum(-1) + torch.special.entr(said.tail)
        cost = cost - own
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "logits that are not softened")
def cold_rest(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    cost = -(said.shares * named).sum(-1) - said.tail * left(picked(logits, said, 1.0))
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "spread evenly")
def rest_by_word(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    others = math.log(logits.size(-1) - said.ids.size(-1))
    cost = -(said.shares * named).sum(-1) - said.tail * (left(named) - others)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "likeliest named word")
def rest_of_the_best(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    cost = -(said.shares * named).sum(-1) - said.tail * left(named.amax(-1, keepdim=True))
    return temperature**2 * mean_of(cost, mask)


@right("09.5")
def other_as_one_more_word(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    if tail == "renormalise":
        named = named / said.shares.sum(-1, keepdim=True)
        return temperature**2 * mean_of(-(said.shares * named).sum(-1), mask)
    words = torch.cat([named, left(named)[..., None]], -1)
    shares = torch.cat([said.shares, said.tail[..., None]], -1)
    return temperature**2 * mean_of(-torch.einsum("...k,...k->...", shares.to(words), words), mask)


@wrong("09.5", "only the first named word")
def first_word_alone(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = picked(logits, said, temperature)
    cost = -(said.shares * named)[..., 0]
    lump = tail != "renormalise"
    cost = cost - said.tail * left(named) if lump else cost / said.shares.sum(-1)
    return temperature**2 * mean_of(cost, mask)
