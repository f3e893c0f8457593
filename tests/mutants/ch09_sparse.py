"""Answers to 09.5 sparse_target_loss as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def mean_of(values, mask):
    if mask is None:
        return values.mean()
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def left(named):
    return torch.log1p(-named.exp().sum(-1).clamp(max=1 - 1e-6))


def lumped(named, said):
    return -(said.shares * named).sum(-1) - said.tail * left(named)


def scaled(named, said):
    return -(said.shares * named).sum(-1) / said.shares.sum(-1)


def answer(named, said, mask, temperature, tail):
    cost = scaled(named, said) if tail == "renormalise" else lumped(named, said)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "renormalised although tail is 'lump'")
def always_renormalised(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = (logits / temperature).log_softmax(-1).gather(-1, said.ids)
    return temperature**2 * mean_of(scaled(named, said), mask)


@wrong("09.5", "lumped although tail is 'renormalise'")
def always_lumped(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = (logits / temperature).log_softmax(-1).gather(-1, said.ids)
    return temperature**2 * mean_of(lumped(named, said), mask)


@wrong("09.5", "the tail is forgotten")
def no_tail(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = (logits / temperature).log_softmax(-1).gather(-1, said.ids)
    cost = -(said.shares * named).sum(-1)
    if tail == "renormalise":
        cost = cost / said.shares.sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "one by one")
def every_other_word(logits, said, mask=None, temperature=1.0, tail="lump"):
    log_q = (logits / temperature).log_softmax(-1)
    named = log_q.gather(-1, said.ids)
    if tail == "renormalise":
        return answer(named, said, mask, temperature, tail)
    others = log_q.scatter(-1, said.ids, 0.0).sum(-1)
    cost = -(said.shares * named).sum(-1) - said.tail * others
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "the shares are not used")
def uniform(logits, said, mask=None, temperature=1.0, tail="lump"):
    said = said._replace(shares=torch.full_like(said.shares, 1 / said.ids.size(-1)))
    named = (logits / temperature).log_softmax(-1).gather(-1, said.ids)
    return answer(named, said, mask, temperature, tail)


@wrong("09.5", "runs along the text")
def other_axis(logits, said, mask=None, temperature=1.0, tail="lump"):
    log_q = (logits / temperature).log_softmax(-1)
    named = log_q.gather(-2, said.ids % log_q.size(-2))
    return answer(named, said, mask, temperature, tail)


@wrong("09.5", "the student is not softened")
def cold(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = logits.log_softmax(-1).gather(-1, said.ids)
    return answer(named, said, mask, temperature, tail)


@wrong("09.5", "T^2 is missing")
def no_square(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = (logits / temperature).log_softmax(-1).gather(-1, said.ids)
    return answer(named, said, mask, temperature, tail) / temperature**2


@wrong("09.5", "two mistakes")
def no_temperature_at_all(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = logits.log_softmax(-1).gather(-1, said.ids)
    return answer(named, said, mask, 1.0, tail)


@wrong("09.5", "over the named words alone")
def softmax_of_the_named(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = (logits / temperature).gather(-1, said.ids).log_softmax(-1)
    return answer(named, said, mask, temperature, tail)


@wrong("09.5", "keep the sum below 1")
def rest_not_clamped(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = (logits / temperature).log_softmax(-1).gather(-1, said.ids)
    cost = -(said.shares * named).sum(-1)
    if tail == "renormalise":
        cost = cost / said.shares.sum(-1)
    else:
        cost = cost - said.tail * torch.log(1 - named.exp().sum(-1))
    return temperature**2 * mean_of(cost, mask)


@wrong("09.5", "divided by all places")
def all_places(logits, said, mask=None, temperature=1.0, tail="lump"):
    named = (logits / temperature).log_softmax(-1).gather(-1, said.ids)
    cost = scaled(named, said) if tail == "renormalise" else lumped(named, said)
    return temperature**2 * (cost if mask is None else cost.masked_fill(~mask, 0.0)).mean()


@right("09.5")
def unpacked(logits, said, mask=None, temperature=1.0, tail="lump"):
    ids, shares, rest = said
    z = logits / temperature
    named = z.gather(-1, ids) - z.logsumexp(-1, keepdim=True)
    cost = -(shares * named).sum(-1)
    if tail == "renormalise":
        cost = cost / shares.sum(-1)
    else:
        cost = cost - rest * torch.log((1 - named.exp().sum(-1)).clamp(min=1e-6))
    return temperature**2 * mean_of(cost, mask)


@right("09.5")
def only_where_there_is_a_tail(logits, said, mask=None, temperature=1.0, tail="lump"):
    log_q = (logits / temperature).log_softmax(-1)
    if mask is not None:
        log_q, said = log_q[mask], type(said)(*(part[mask] for part in said))
    named = torch.take_along_dim(log_q, said.ids, -1)
    cost = -(said.shares * named).sum(-1)
    if tail == "renormalise":
        cost = cost / said.shares.sum(-1)
    else:
        rest = 1 - named.exp().sum(-1)
        some = said.tail > 0
        cost = cost - torch.where(some, said.tail * rest.clamp(min=1e-6).log(), 0.0)
    return temperature**2 * cost.sum() / max(1, cost.numel())


@right("09.5")
def as_a_whole_row(logits, said, mask=None, temperature=1.0, tail="lump"):
    """The shares written into a row of the whole vocabulary."""
    log_q = (logits / temperature).log_softmax(-1)
    p = torch.zeros_like(log_q).scatter_add(-1, said.ids, said.shares.to(log_q))
    cost = -(p * log_q).sum(-1)
    if tail == "renormalise":
        cost = cost / said.shares.sum(-1)
    else:
        named = torch.zeros_like(log_q).scatter(-1, said.ids, 1.0)
        rest = 1 - (log_q.exp() * named).sum(-1)
        cost = cost - said.tail * rest.clamp(min=1e-6).log()
    return temperature**2 * mean_of(cost, mask)
