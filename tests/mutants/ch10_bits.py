"""Answers to 10.2 open_vocabulary_bits as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong

LN2 = math.log(2)


def all_real(targets, mask):
    return torch.ones_like(targets, dtype=torch.bool) if mask is None else mask


def parts(logits, targets, spelling, unknown, mask):
    """What the real tokens cost, and what spelling costs."""
    mask = all_real(targets, mask)
    ids = targets[mask]
    words = -logits[mask].log_softmax(-1).gather(-1, ids[:, None])[:, 0]
    return words, spelling[mask], ids == unknown


@wrong("10.2", "the spelling is forgotten")
def no_spelling(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, _, _ = parts(logits, targets, spelling_nats, unknown_id, mask)
    return words.sum() / (LN2 * characters)


@wrong("10.2", "for its spelling only")
def spelled_in_place_of_unknown(
    logits, targets, spelling_nats, characters, unknown_id=0, mask=None
):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    return torch.where(unknown, spelling, words).sum() / (LN2 * characters)


@wrong("10.2", "every real token pays for spelling")
def spelling_for_all(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, _ = parts(logits, targets, spelling_nats, unknown_id, mask)
    return (words + spelling).sum() / (LN2 * characters)


@wrong("10.2", "by the number of tokens")
def per_token(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    return (words.sum() + spelling[unknown].sum()) / (LN2 * max(1, len(words)))


@wrong("10.2", "these are nats")
def nats(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    return (words.sum() + spelling[unknown].sum()) / characters


@wrong("10.2", "stays in nats")
def half_in_bits(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    return (words.sum() / LN2 + spelling[unknown].sum()) / characters


@wrong("10.2", "this is a mean over the tokens")
def cross_entropys_mean(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    total = words.sum() + spelling[unknown].sum()
    return total / max(1, len(words)) / (LN2 * characters)


@wrong("10.2", "multiplied by p(<unk>)")
def expected_spelling(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    spelled = (spelling * (-words).exp())[unknown]
    return (words.sum() + spelled.sum()) / (LN2 * characters)


@wrong("10.2", "padding pays for spelling")
def spelling_without_mask(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, _, _ = parts(logits, targets, spelling_nats, unknown_id, mask)
    spelled = spelling_nats[targets == unknown_id].sum()
    return (words.sum() + spelled) / (LN2 * characters)


@wrong("10.2", "padding is counted")
def no_mask(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, None)
    return (words.sum() + spelling[unknown].sum()) / (LN2 * characters)


@wrong("10.2", "padding is counted")
def padding_known_by_its_target(
    logits, targets, spelling_nats, characters, unknown_id=0, mask=None
):
    real = targets >= 0
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, real)
    return (words.sum() + spelling[unknown].sum()) / (LN2 * characters)


@wrong("10.2", "whatever unknown_id is")
def unknown_is_0(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, 0, mask)
    return (words.sum() + spelling[unknown].sum()) / (LN2 * characters)


@wrong("10.2", "0 times that is NaN")
def spelling_times_0(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    return (words + spelling * unknown).sum() / (LN2 * characters)


@wrong("10.2", "0 times NaN is NaN")
def cost_times_mask(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    mask = all_real(targets, mask)
    ids = targets.masked_fill(~mask, 0)
    words = -logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    spelled = torch.where((ids == unknown_id) & mask, spelling_nats, 0.0)
    return ((words * mask).sum() + spelled.sum()) / (LN2 * characters)


@wrong("10.2", "index -100")
def padding_gathered(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    mask = all_real(targets, mask)
    words = -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    spelled = spelling_nats[mask & (targets == unknown_id)].sum()
    return (words[mask].sum() + spelled) / (LN2 * characters)


@wrong("10.2", "exp of a large logit overflows")
def softmax_by_hand(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    q = logits.exp() / logits.exp().sum(-1, keepdim=True)
    words, spelling, unknown = parts(q.log(), targets, spelling_nats, unknown_id, mask)
    return (words.sum() + spelling[unknown].sum()) / (LN2 * characters)


@wrong("10.2", "is 0 in the computer")
def log_of_softmax(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    mask = all_real(targets, mask)
    ids = targets[mask]
    words = -logits[mask].softmax(-1).gather(-1, ids[:, None]).log()
    spelled = spelling_nats[mask][ids == unknown_id].sum()
    return (words.sum() + spelled) / (LN2 * characters)


@wrong("10.2", "take it out of torch")
def a_float(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    return float(words.sum() + spelling[unknown].sum()) / (LN2 * characters)


@wrong("10.2", "ask `if mask is None`")
def needs_a_mask(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(
        logits, targets.masked_fill(mask.logical_not(), 0), spelling_nats, unknown_id, mask
    )
    return (words.sum() + spelling[unknown].sum()) / (LN2 * characters)


@wrong("10.2", "two mistakes at once")
def nats_per_token(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    words, spelling, unknown = parts(logits, targets, spelling_nats, unknown_id, mask)
    return (words.sum() + spelling[unknown].sum()) / max(1, len(words))


@right("10.2")
def cross_entropy(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    mask = all_real(targets, mask)
    ids = targets.masked_fill(~mask, -100)
    flat = logits.masked_fill(~mask.unsqueeze(-1), 0.0).flatten(0, -2)
    words = F.cross_entropy(flat, ids.flatten(), ignore_index=-100, reduction="sum")
    spelled = torch.where(ids == unknown_id, spelling_nats, torch.zeros_like(spelling_nats))
    return (words + spelled.sum()) / LN2 / characters


@right("10.2")
def filled(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    if mask is not None:
        logits = logits.masked_fill(~mask[..., None], 0.0)
        targets = targets.masked_fill(~mask, 0)
    cost = logits.logsumexp(-1) - logits.gather(-1, targets[..., None]).squeeze(-1)
    unknown = targets == unknown_id
    cost = torch.where(unknown, cost + spelling_nats, cost)
    if mask is not None:
        cost = cost.masked_fill(~mask, 0.0)
    return cost.sum() / characters * math.log2(math.e)


@right("10.2")
def token_by_token(logits, targets, spelling_nats, characters, unknown_id=0, mask=None):
    mask = all_real(targets, mask).flatten()
    total = logits.new_zeros(())
    rows = zip(logits.flatten(0, -2), targets.flatten(), spelling_nats.flatten(), mask, strict=True)
    for row, target, spelling, real in rows:
        if not real:
            continue
        total = total - torch.log_softmax(row, 0)[target]
        if int(target) == unknown_id:
            total = total + spelling
    return total / (LN2 * characters)
