"""Answers to 10.3 copy_mixture as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def hidden(weights, gate, source, mask):
    """Weights, gate (B, T, 1) and ids with padding out of the way."""
    if mask is not None:
        weights = weights.masked_fill(~mask[:, None], 0.0)
        source = source.masked_fill(~mask, 0)
        gate = gate.masked_fill(~mask.any(1, keepdim=True), 1.0)
    return weights, gate[..., None], source


def widened(logits, size):
    return F.pad(logits.softmax(-1), (0, size - logits.size(-1)))


def added(weights, source, size):
    places = source[:, None].expand_as(weights)
    return weights.new_zeros(*weights.shape[:2], size).scatter_add(2, places, weights)


def ln(p):
    return p.clamp(min=torch.finfo(p.dtype).tiny).log()


@wrong("10.3", "only one of its weights")
def scatter(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    places = source[:, None].expand_as(weights)
    copied = weights.new_zeros(*weights.shape[:2], extended_size)
    for s in range(weights.size(2)):
        copied = copied.scatter(2, places[..., s : s + 1], weights[..., s : s + 1])
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "the gate is turned round")
def gate_of_copying(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, 1 - gate, source, mask)
    copied = added(weights, source, extended_size)
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "mix probabilities")
def logits_mixed(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    wide = F.pad(logits, (0, extended_size - logits.size(-1)))
    return (g * wide + (1 - g) * added(weights, source, extended_size)).log_softmax(-1)


@wrong("10.3", "only the known words")
def no_extension(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights, source, extended_size)[..., : logits.size(-1)]
    return ln(g * logits.softmax(-1) + (1 - g) * copied)


@wrong("10.3", "padding is copied")
def no_mask(logits, weights, gate, source, extended_size, mask=None):
    copied, g = added(weights, source, extended_size), gate[..., None]
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "through a softmax once more")
def softmax_of_the_weights(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights.softmax(-1), source, extended_size)
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "exchanged")
def other_axis(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights.transpose(1, 2).contiguous(), source, extended_size)
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "minus infinity")
def bare_logarithm(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights, source, extended_size)
    return (g * widened(logits, extended_size) + (1 - g) * copied).log()


@wrong("10.3", "the gradient is NaN")
def mended_after_the_logarithm(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights, source, extended_size)
    log_p = (g * widened(logits, extended_size) + (1 - g) * copied).log()
    return log_p.clamp(min=-87.0)


@wrong("10.3", "too likely")
def a_small_number_added(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights, source, extended_size)
    return (g * widened(logits, extended_size) + (1 - g) * copied + 1e-10).log()


@wrong("10.3", "return their logarithms")
def probabilities(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    return g * widened(logits, extended_size) + (1 - g) * added(weights, source, extended_size)


@wrong("10.3", "the share 1 - g is lost")
def nothing_to_copy(logits, weights, gate, source, extended_size, mask=None):
    weights, _, source = hidden(weights, gate, source, mask)
    copied, g = added(weights, source, extended_size), gate[..., None]
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "the row is NaN")
def weights_renormalised(logits, weights, gate, source, extended_size, mask=None):
    weights, _, source = hidden(weights, gate, source, mask)
    weights, g = weights / weights.sum(-1, keepdim=True), gate[..., None]
    copied = added(weights, source, extended_size)
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "0 times NaN is NaN")
def weights_times_mask(logits, weights, gate, source, extended_size, mask=None):
    if mask is not None:
        weights = weights * mask[:, None]
        source = source.masked_fill(~mask, 0)
        gate = gate.masked_fill(~mask.any(1, keepdim=True), 1.0)
    copied, g = added(weights, source, extended_size), gate[..., None]
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "such as -100")
def ids_of_padding_kept(logits, weights, gate, source, extended_size, mask=None):
    weights, g, _ = hidden(weights, gate, source, mask)
    copied = added(weights, source, extended_size)
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "with zeros before the softmax")
def places_in_the_softmax(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    wide = F.pad(logits, (0, extended_size - logits.size(-1))).softmax(-1)
    return ln(g * wide + (1 - g) * added(weights, source, extended_size))


@wrong("10.3", "known ones too")
def only_new_words_copied(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    V, copied = logits.size(-1), added(weights, source, extended_size)
    written = g * logits.softmax(-1)
    return ln(torch.cat([written, (1 - g) * copied[..., V:]], -1))


@wrong("10.3", "all texts are copied from the first")
def first_source(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights, source[:1].expand_as(source), extended_size)
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "in place")
def weights_changed(logits, weights, gate, source, extended_size, mask=None):
    weights *= 1 - gate[..., None]
    p = gate[..., None] * widened(logits, extended_size)
    return ln(p + added(weights, source, extended_size))


@wrong("10.3", "no gradient reaches")
def copied_without_gradient(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    copied = added(weights, source, extended_size).detach()
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@wrong("10.3", "two mistakes at once")
def reversed_and_overwritten(logits, weights, gate, source, extended_size, mask=None):
    return scatter(logits, weights, 1 - gate, source, extended_size, mask)


@wrong("10.3", "replaces what is written")
def scattered_over_p(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    places = source[:, None].expand_as(weights)
    p = g * widened(logits, extended_size)
    return ln(p.scatter(2, places, (1 - g) * weights))


@wrong("10.3", "copied as word 0")
def only_ids_of_padding(logits, weights, gate, source, extended_size, mask=None):
    _, g, source = hidden(weights, gate, source, mask)
    copied = added(weights, source, extended_size)
    return ln(g * widened(logits, extended_size) + (1 - g) * copied)


@right("10.3")
def one_hot_rows(logits, weights, gate, source, extended_size, mask=None):
    weights, g, source = hidden(weights, gate, source, mask)
    rows = F.one_hot(source, extended_size).to(weights)  # (B, S, size)
    return ln(g * widened(logits, extended_size) + (1 - g) * (weights @ rows))


@right("10.3")
def added_into_what_is_written(logits, weights, gate, source, extended_size, mask=None):
    B, T, V = logits.shape
    g = gate.unsqueeze(-1)
    if mask is not None:
        g = torch.where(mask.any(-1)[:, None, None], g, torch.ones_like(g))
        weights = torch.where(mask[:, None], weights, torch.zeros_like(weights))
        source = torch.where(mask, source, torch.zeros_like(source))
    zeros = logits.new_zeros(B, T, extended_size - V)
    p = torch.cat([g * logits.softmax(-1), zeros], dim=-1)
    p = p.scatter_add(-1, source.unsqueeze(1).repeat(1, T, 1), (1 - g) * weights)
    return p.clamp_min(1e-37).log()


@right("10.3")
def in_logarithms(logits, weights, gate, source, extended_size, mask=None):
    """Both parts in logarithms, added with logaddexp."""
    weights, g, source = hidden(weights, gate, source, mask)
    tiny, low = torch.finfo(logits.dtype).tiny, -80.0
    written = logits.log_softmax(-1) + g.log()
    written = F.pad(written, (0, extended_size - logits.size(-1)), value=low)
    copied = added(weights * (1 - g), source, extended_size).clamp(min=tiny).log()
    return torch.logaddexp(written.clamp(min=low), copied.clamp(min=low))


@right("10.3")
def text_by_text(logits, weights, gate, source, extended_size, mask=None):
    out = []
    for b in range(len(logits)):
        real = torch.ones_like(source[b], dtype=torch.bool) if mask is None else mask[b]
        g = gate[b][:, None] if real.any() else torch.ones_like(gate[b][:, None])
        p = g * widened(logits[b], extended_size)
        p = p.index_add(1, source[b][real], (1 - g) * weights[b][:, real])
        out.append(ln(p))
    return torch.stack(out)
