"""Answers to chapter 10's exercises from a blind round: edges, gradients, and what is cut off."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong

LN2 = math.log(2)


def sums(p, spelled, begun, piece_count):
    q = p.new_zeros(len(p), piece_count)
    for v, pieces in enumerate(spelled):
        if pieces[: len(begun)] == begun and len(pieces) > len(begun):
            q[:, pieces[len(begun)]] = q[:, pieces[len(begun)]] + p[:, v]
    return q, q.sum(1, keepdim=True)


def shared(q):
    total = q.sum(1, keepdim=True)
    return q / total.masked_fill(total == 0, 1.0)


@wrong("10.1", "Replace what divides before the division")
def chosen_after_the_division(p, spelled, begun, piece_count):
    q, total = sums(p, spelled, begun, piece_count)
    return torch.where(total > 0, q / total, torch.zeros_like(q))


@wrong("10.1", "Replace what divides before the division")
def nan_to_num_at_the_end(p, spelled, begun, piece_count):
    q, total = sums(p, spelled, begun, piece_count)
    return torch.nan_to_num(q / total)


@wrong("10.1", "each row for itself")
def one_zero_row_for_all(p, spelled, begun, piece_count):
    q, total = sums(p, spelled, begun, piece_count)
    return torch.zeros_like(q) if (total == 0).any() else q / total


@wrong("10.1", "in any order")
def sorted_pieces(p, spelled, begun, piece_count):
    q, k = p.new_zeros(len(p), piece_count), len(begun)
    for v, pieces in enumerate(spelled):
        if len(pieces) > k and sorted(pieces[:k]) == sorted(begun):
            q[:, pieces[k]] = q[:, pieces[k]] + p[:, v]
    return shared(q)


@wrong("10.1", "anywhere in a token")
def every_place(p, spelled, begun, piece_count):
    q, k = p.new_zeros(len(p), piece_count), len(begun)
    for v, pieces in enumerate(spelled):
        for i in range(len(pieces) - k):
            if pieces[i : i + k] == begun:
                q[:, pieces[i + k]] = q[:, pieces[i + k]] + p[:, v]
    return shared(q)


@wrong("10.1", "`begun` is not looked at")
def first_pieces(p, spelled, begun, piece_count):
    return shared(sums(p, spelled, (), piece_count)[0])


def cost(logits, targets):
    return -logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]


@wrong("10.2", "gradient of the logits at padding is NaN")
def chosen_after_the_softmax(logits, targets, spelling, characters, unknown_id=0, mask=None):
    mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    all_of_it = cost(logits, targets.clamp(min=0))
    all_of_it = all_of_it + torch.where(targets == unknown_id, spelling, 0.0)
    return torch.where(mask, all_of_it, 0.0).sum() / LN2 / characters


@wrong("10.2", "gradient of the logits at padding is NaN")
def ignore_index(logits, targets, spelling, characters, unknown_id=0, mask=None):
    ids = targets if mask is None else targets.masked_fill(~mask, -100)
    words = F.cross_entropy(logits.flatten(0, -2), ids.flatten(), reduction="sum")
    return (words + spelling[ids == unknown_id].sum()) / LN2 / characters


@wrong("10.2", "cost too little")
def number_added(logits, targets, spelling, characters, unknown_id=0, mask=None):
    mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    ids = targets[mask]
    p = logits[mask].softmax(-1).gather(-1, ids[:, None])
    return ((p + 1e-10).log().neg().sum() + spelling[mask][ids == unknown_id].sum()) / (
        LN2 * characters
    )


@wrong("10.2", "the ids are replaced by 0")
def padding_is_unknown(logits, targets, spelling, characters, unknown_id=0, mask=None):
    mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    ids = targets.masked_fill(~mask, 0)
    words = cost(logits.masked_fill(~mask[..., None], 0.0), ids).masked_fill(~mask, 0.0)
    return (words.sum() + spelling[ids == unknown_id].sum()) / LN2 / characters


@wrong("10.2", "cost ln V each")
def padding_of_equal_logits(logits, targets, spelling, characters, unknown_id=0, mask=None):
    mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    words = cost(logits.masked_fill(~mask[..., None], 0.0), targets.masked_fill(~mask, 0))
    return (words.sum() + spelling[mask & (targets == unknown_id)].sum()) / LN2 / characters


@wrong("10.2", "left out altogether")
def guessed_mask(logits, targets, spelling, characters, unknown_id=0, mask=None):
    mask = targets > 0 if mask is None else mask
    ids = targets[mask]
    words = cost(logits[mask], ids)
    return (words.sum() + spelling[mask][ids == unknown_id].sum()) / LN2 / characters


@wrong("10.2", "each of them pays")
def each_cost_once(logits, targets, spelling, characters, unknown_id=0, mask=None):
    mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    ids = targets[mask]
    spelled = spelling[mask][ids == unknown_id].unique()
    return (cost(logits[mask], ids).sum() + spelled.sum()) / LN2 / characters


def mixed(logits, weights, gate, source, size, mask, g=None):
    """The p of the right answer, or that with another gate."""
    if mask is not None:
        weights = weights.masked_fill(~mask[:, None], 0.0)
        source = source.masked_fill(~mask, 0)
        gate = gate.masked_fill(~mask.any(1, keepdim=True), 1.0)
    gate = (gate if g is None else g)[..., None]
    p = F.pad(gate * logits.softmax(-1), (0, size - logits.size(-1)))
    return p.scatter_add(2, source[:, None].expand_as(weights), (1 - gate) * weights)


def ln(p):
    return p.clamp(min=torch.finfo(p.dtype).tiny).log()


@wrong("10.3", "is too likely")
def lowest_is_eps(logits, weights, gate, source, extended_size, mask=None):
    p = mixed(logits, weights, gate, source, extended_size, mask)
    return p.clamp(min=torch.finfo(p.dtype).eps).log()


@wrong("10.3", "rare but possible")
def lowest_is_1e_30(logits, weights, gate, source, extended_size, mask=None):
    return mixed(logits, weights, gate, source, extended_size, mask).clamp(min=1e-30).log()


@wrong("10.3", "the smallest normal number")
def subnormal(logits, weights, gate, source, extended_size, mask=None):
    p = mixed(logits, weights, gate, source, extended_size, mask)
    info = torch.finfo(p.dtype)
    return p.clamp(min=info.tiny * info.eps).log()


@wrong("10.3", "not 0 alone")
def zeros_alone(logits, weights, gate, source, extended_size, mask=None):
    p = mixed(logits, weights, gate, source, extended_size, mask)
    return torch.where(p == 0, torch.finfo(p.dtype).tiny, p).log()


@wrong("10.3", "an id may stand that is none")
def negative_ids_alone(logits, weights, gate, source, extended_size, mask=None):
    if mask is not None:
        weights = weights.masked_fill(~mask[:, None], 0.0)
        gate = gate.masked_fill(~mask.any(1, keepdim=True), 1.0)
    return ln(mixed(logits, weights, gate, source.clamp(min=0), extended_size, None))


@wrong("10.3", "so g is 1, not 0")
def nothing_real_is_copied(logits, weights, gate, source, extended_size, mask=None):
    g = gate if mask is None else gate * mask.any(1)[:, None]
    return ln(mixed(logits, weights, gate, source, extended_size, mask, g))


@wrong("10.3", "for this one alone")
def one_empty_source(logits, weights, gate, source, extended_size, mask=None):
    g = gate if mask is None or mask.any(1).all() else torch.ones_like(gate)
    return ln(mixed(logits, weights, gate, source, extended_size, mask, g))


@wrong("10.3", "every source that has padding")
def whole_sources(logits, weights, gate, source, extended_size, mask=None):
    g = gate if mask is None else torch.where(mask.all(1)[:, None], gate, 1.0)
    return ln(mixed(logits, weights, gate, source, extended_size, mask, g))


@wrong("10.3", "divided by their sum")
def renormalised(logits, weights, gate, source, extended_size, mask=None):
    weights = weights if mask is None else weights.masked_fill(~mask[:, None], 0.0)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
    return ln(mixed(logits, weights, gate, source, extended_size, mask))


@wrong("10.3", "softmax once more")
def masked_softmax(logits, weights, gate, source, extended_size, mask=None):
    weights = weights if mask is None else weights.masked_fill(~mask[:, None], -1e9)
    return ln(mixed(logits, weights.softmax(-1), gate, source, extended_size, mask))


@wrong("10.3", "to one place")
def one_unknown(logits, weights, gate, source, extended_size, mask=None):
    source = source.clamp(max=logits.size(-1)) if mask is None else source.where(mask, 0)
    source = source.clamp(max=min(logits.size(-1), extended_size - 1))
    return ln(mixed(logits, weights, gate, source, extended_size, mask))


def divided(rows, largest):
    return rows / torch.where(largest == 0, 1.0, largest / 127)[:, None]


@wrong("10.4", "what is too large is cut off")
def signed_largest(weight):
    largest = weight.amax(1)
    return divided(weight, largest).round().clamp(-127, 127).to(torch.int8), largest / 127


@wrong("10.4", "255 numbers are laid from the smallest")
def whole_way(weight):
    way = (weight.amax(1) - weight.amin(1)) * 127 / 255
    return divided(weight, way).round().clamp(-127, 127).to(torch.int8), way / 127


@wrong("10.4", "0 must stay 0")
def around_the_middle(weight):
    low, high = weight.amin(1), weight.amax(1)
    half = (high - low) / 2
    return divided(weight - (low + high)[:, None] / 2, half).round().to(torch.int8), half / 127


@wrong("10.4", "do not reach")
def root_of_squares(weight):
    largest = (weight**2).amax(1).sqrt()
    return divided(weight, largest).round().clamp(-127, 127).to(torch.int8), largest / 127


@wrong("10.4", "mean of the row")
def mean_cut(weight):
    mean = weight.abs().mean(1)
    return divided(weight, mean).round().clamp(-127, 127).to(torch.int8), mean / 127


@right("10.4")
def half_up(weight):
    largest = weight.abs().amax(1)
    return (divided(weight, largest) + 0.5).floor().to(torch.int8), largest / 127
