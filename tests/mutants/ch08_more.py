"""Further answers to the exercises of chapter 08, from a round in which the cases were unknown."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong
from tests.mutants.ch08_adagrad import dense
from tests.mutants.ch08_back import slope, spread
from tests.mutants.ch08_logits import joined, plain
from tests.mutants.ch08_normaliser import logits as chunk_logits

INF = math.inf


@wrong("08.1", "no large number may stand in for infinity")
def million_for_infinity(p, time):
    return torch.log(-torch.expm1(-p * min(float(time), 1e6)))


@wrong("08.1", "nothing is to be clamped")
def capped_unless_infinite(p, time):
    t = time if float(time) == INF else min(float(time), 1e8)
    return torch.log(-torch.expm1(-p * t))


@wrong("08.1", "nothing is to be clamped")
def p_clamped(p, time):
    return torch.log(-torch.expm1(-p.clamp(1e-8, 1 - 1e-8) * time))


@wrong("08.1", "no highest value below that")
def chance_below_1(p, time):
    return torch.log((-torch.expm1(-p * time)).clamp(max=1 - 1e-6))


@right("08.1")
def two_formulas(p, time):
    x = p.double() * torch.as_tensor(time, dtype=torch.float64)
    large, small = torch.log1p(-torch.exp(-x)), torch.log(-torch.expm1(-x))
    return torch.where(x > 0.693, large, small).to(p.dtype)


@wrong("08.2", "come back sorted by their ids")
def columns_sorted(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    drawn, order = drawn.sort()
    own, others, hits = plain(hidden, weight, bias, targets, drawn)
    return joined(own - log_q_targets, (others - log_q_drawn[order]).masked_fill(hits, -INF))


@wrong("08.2", "all tokens' targets")
def product_with_all_targets(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    _, others, hits = plain(hidden, weight, bias, targets, drawn)
    own = hidden @ weight[targets].T - log_q_targets
    own = own if bias is None else own + bias[targets]
    return torch.cat([own, (others - log_q_drawn).masked_fill(hits, -INF)], 1)


@wrong("08.2", "no gradient flows through weight[drawn]")
def negatives_detached(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, _, hits = plain(hidden, weight, bias, targets, drawn)
    others = hidden @ weight[drawn].detach().T - log_q_drawn
    others = others if bias is None else others + bias[drawn]
    return joined(own - log_q_targets, others.masked_fill(hits, -INF))


@wrong("08.2", "hidden, where it meets the classes drawn")
def hidden_detached(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, _, hits = plain(hidden, weight, bias, targets, drawn)
    _, others, _ = plain(hidden.detach(), weight, bias, targets, drawn)
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@wrong("08.2", "not all accidental hits are removed")
def hits_by_searchsorted(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    own, others, _ = plain(hidden, weight, bias, targets, drawn)
    place = torch.searchsorted(drawn, targets).clamp(max=len(drawn) - 1)
    hits = torch.zeros_like(others, dtype=torch.bool)
    hits[torch.arange(len(targets)), place] = drawn[place] == targets
    return joined(own - log_q_targets, (others - log_q_drawn).masked_fill(hits, -INF))


@right("08.2")
def correction_as_bias(hidden, weight, bias, targets, drawn, log_q_targets, log_q_drawn):
    more = -log_q_drawn if bias is None else bias[drawn] - log_q_drawn
    others = F.linear(hidden, weight.index_select(0, drawn), more)
    own = torch.einsum("nh,nh->n", hidden, F.embedding(targets, weight)) - log_q_targets
    own = own if bias is None else own + bias[targets]
    others = torch.where(drawn[None] == targets[:, None], -INF, others)
    return torch.hstack([own.unsqueeze(1), others])


@wrong("08.3", "Each token has its own largest")
def largest_of_all_tokens(hidden, weight, targets, drawn, logits):
    p = (logits - logits.max()).exp()
    d = (p / p.sum(1, keepdim=True)).nan_to_num(0.0)
    d[:, 0] -= 1
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "that several tokens have only one value is left")
def table_by_index(hidden, weight, targets, drawn, logits):
    to_hidden, _, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    table = torch.zeros_like(weight)
    table[targets] += values[: len(targets)]
    table[drawn] += values[len(targets) :]
    rows = torch.cat([targets, drawn]).unique()
    return to_hidden, rows, table[rows]


@wrong("08.3", "worked out anew")
def logits_worked_out_anew(hidden, weight, targets, drawn, logits):
    own, others, hits = plain(hidden, weight, None, targets, drawn)
    anew = joined(own, others.masked_fill(hits, -INF))
    return spread(slope(anew) / len(anew), hidden, weight, targets, drawn)


@wrong("08.3", "moves its target no more")
def hit_tokens_without_target(hidden, weight, targets, drawn, logits):
    d = slope(logits) / len(logits)
    d[(targets[:, None] == drawn).any(1), 0] = 0
    return spread(d, hidden, weight, targets, drawn)


@wrong("08.3", "divided by their number S")
def negatives_averaged(hidden, weight, targets, drawn, logits):
    d = slope(logits) / len(logits)
    d[:, 1:] /= len(drawn)
    return spread(d, hidden, weight, targets, drawn)


@wrong("08.3", "number of different targets")
def mean_over_different_targets(hidden, weight, targets, drawn, logits):
    return spread(slope(logits) / len(targets.unique()), hidden, weight, targets, drawn)


@wrong("08.3", "gets nothing from the others")
def targets_not_negatives(hidden, weight, targets, drawn, logits):
    d, keep = slope(logits) / len(logits), ~torch.isin(drawn, targets)
    to_hidden, _, values = spread(d, hidden, weight, targets, drawn)
    own, others = values[: len(targets)], values[len(targets) :]
    return to_hidden, torch.cat([targets, drawn[keep]]), torch.cat([own, others[keep]])


@right("08.3")
def every_pair_by_itself(hidden, weight, targets, drawn, logits):
    d = slope(logits) / len(logits)
    ids = torch.cat([targets[:, None], drawn.expand(len(targets), -1)], 1)
    to_hidden = torch.einsum("nk,nkh->nh", d, weight[ids])
    values = (d[..., None] * hidden[:, None]).reshape(-1, hidden.size(1))
    return to_hidden, ids.reshape(-1), values


@wrong("08.4", "a root for each number")
def root_for_each_number(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    size = (sums[:, None] + g.square()).sqrt() + eps
    return weight - lr * g / size, sums + g.square().mean(1)


@wrong("08.4", "eps is added to the sums")
def eps_in_the_sums(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1) + eps
    return weight - lr * g / sums.sqrt()[:, None], sums


@wrong("08.4", "or left out")
def nan_made_zero(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight - (lr * g / sums.sqrt()[:, None]).nan_to_num(0), sums


@wrong("08.4", "one root for the whole table")
def root_of_the_whole_table(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight - lr * g / (sums.mean().sqrt() + eps), sums


@wrong("08.4", "divided by V")
def squares_over_rows(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().sum(1) / len(weight)
    return weight - lr * g / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "rows that are not named change")
def weight_decay_by_lr(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight * (1 - 0.01 * lr) - lr * g / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "as often as the row is named")
def square_added_again(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    size = (sums + g.square().mean(1)).sqrt() + eps
    return weight - lr * g / size[:, None], sums.index_add(0, rows, g[rows].square().mean(1))


@right("08.4")
def one_hot_product(weight, sums, rows, values, lr, eps=1e-10):
    named = F.one_hot(rows, len(weight)).to(values)
    g = named.T @ values
    sums = sums + g.square().mean(-1)
    moved = weight - (lr / (sums.sqrt() + eps)).unsqueeze(1) * g
    return torch.where((named.sum(0) > 0)[:, None], moved, weight), sums


@wrong("08.5", "filled up with rows of zeros")
def filled_up_with_zeros(hidden, weight, bias, chunk):
    more = -len(weight) % chunk
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    weight, bias = F.pad(weight, (0, 0, 0, more)), F.pad(bias, (0, more))
    starts = range(0, len(weight), chunk)
    parts = [chunk_logits(hidden, weight, bias, i, chunk).logsumexp(1) for i in starts]
    return torch.stack(parts).logsumexp(0)


@wrong("08.5", "only the first chunk gets its biases")
def no_bias_after_the_first_chunk(hidden, weight, bias, chunk):
    starts = range(0, len(weight), chunk)
    parts = [chunk_logits(hidden, weight, None if i else bias, i, chunk) for i in starts]
    return torch.stack([z.logsumexp(1) for z in parts]).logsumexp(0)


@wrong("08.5", "its bias included")
def largest_without_bias(hidden, weight, bias, chunk):
    top, total = (hidden @ weight.T).amax(1, keepdim=True), 0
    for i in range(0, len(weight), chunk):
        total = total + (chunk_logits(hidden, weight, bias, i, chunk) - top).exp().sum(1)
    return total.log() + top[:, 0]


@wrong("08.5", "is left out altogether")
def chunks_with_ruled_out_skipped(hidden, weight, bias, chunk):
    total = hidden.new_full((len(hidden),), -INF)
    for i in range(0, len(weight), chunk):
        z = chunk_logits(hidden, weight, bias, i, chunk)
        if bool(z.isfinite().all()):
            total = torch.logaddexp(total, z.logsumexp(1))
    return total


@right("08.5")
def nan_of_the_first_chunk_replaced(hidden, weight, bias, chunk):
    top, total = hidden.new_full((len(hidden),), -INF), hidden.new_zeros(len(hidden))
    for i in range(0, len(weight), chunk):
        z = chunk_logits(hidden, weight, bias, i, chunk)
        higher = torch.maximum(top, z.max(1).values)
        total = total * (top - higher).exp() + (z - higher[:, None]).exp().sum(1)
        top, total = higher, total.nan_to_num(1.0)
    return top + total.log()
