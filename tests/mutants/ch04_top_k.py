"""Answers to 04.1 keep_top_k as students write them, wrong and right."""

from __future__ import annotations

import heapq

import torch

from tests.mutants import right, wrong

GONE = -torch.inf


def kth(logits, k):
    return logits.topk(min(k, logits.size(-1))).values[..., -1:]


@wrong("04.1", "one token too few stays")
def less_or_equal(logits, k):
    return logits.masked_fill(logits <= kth(logits, k), GONE)


@wrong("04.1", "one token too few stays")
def index_off_by_one(logits, k):
    least = logits.sort(descending=True).values[..., max(k - 2, 0)]
    return logits.masked_fill(logits < least[..., None], GONE)


@wrong("04.1", "one token too many stays")
def index_k(logits, k):
    least = logits.sort(descending=True).values[..., min(k, logits.size(-1) - 1)]
    return logits.masked_fill(logits < least[..., None], GONE)


@wrong("04.1", "An index is not in that dimension")
def index_past_the_end(logits, k):
    least = logits.sort(descending=True).values[..., k]
    return logits.masked_fill(logits <= least[..., None], GONE)


@wrong("04.1", "exp(0) = 1")
def masked_with_zero(logits, k):
    return logits * (logits >= kth(logits, k))


@wrong("04.1", "a large negative number")
def masked_with_a_large_number(logits, k):
    return logits.masked_fill(logits < kth(logits, k), -1e9)


@wrong("04.1", "which makes them certain")
def masked_with_plus_infinity(logits, k):
    return logits.masked_fill(logits < kth(logits, k), torch.inf)


@wrong("04.1", "contains NaN")
def multiplied_by_infinity(logits, k):
    return logits + (logits < kth(logits, k)).to(logits) * GONE


@wrong("04.1", "the k least likely tokens")
def smallest(logits, k):
    limit = logits.sort().values[..., k - 1 : k]
    return torch.where(logits <= limit, logits, GONE)


@wrong("04.1", "the other way round")
def removes_the_best(logits, k):
    return logits.masked_fill(logits >= kth(logits, k), GONE)


@wrong("04.1", "one limit for the whole batch")
def whole_batch(logits, k):
    return logits.masked_fill(logits < logits.flatten().topk(k).values[-1], GONE)


@wrong("04.1", "the first row's limit")
def limit_of_the_first_row(logits, k):
    return logits.masked_fill(logits < logits[0].topk(k).values[-1], GONE)


@wrong("04.1", "tokens exactly as likely as the k-th")
def ties_are_cut(logits, k):
    kept = torch.full_like(logits, GONE)
    for row, best in enumerate(logits.topk(k).indices):
        kept[row, best] = logits[row, best]
    return kept


@wrong("04.1", "these are probabilities")
def probabilities(logits, k):
    return torch.softmax(logits.masked_fill(logits < kth(logits, k), GONE), -1)


@wrong("04.1", "these are log-probabilities")
def renormalised(logits, k):
    return torch.log_softmax(logits.masked_fill(logits < kth(logits, k), GONE), -1)


@wrong("04.1", "these are the k best logits alone")
def values_alone(logits, k):
    return logits.topk(k).values


@wrong("04.1", "comes back as a tuple of 2")
def all_of_topk(logits, k):
    values, indices = logits.topk(k)
    return values, indices


@wrong("04.1", "these are the ids")
def ids_alone(logits, k):
    return logits.topk(k).indices


@wrong("04.1", "changes its argument number 1 in place")
def in_place(logits, k):
    logits[logits < kth(logits, k)] = GONE
    return logits


@wrong("04.1", "without the sign")
def by_size(logits, k):
    return logits.masked_fill(logits.abs() < kth(logits.abs(), k), GONE)


@wrong("04.1", "the first k tokens of the vocabulary")
def first_columns(logits, k):
    kept = torch.full_like(logits, GONE)
    kept[:, :k] = logits[:, :k]
    return kept


@wrong("04.1", "this is the mask")
def mask_alone(logits, k):
    return logits >= kth(logits, k)


@wrong("04.1", "minidistill.rules.keep_top_k may not be used here")
def the_packages_own(logits, k):
    from minidistill import rules

    return rules.keep_top_k(logits, k)


@wrong("04.1", "k larger than V")
def more_than_all(logits, k):
    return logits.masked_fill(logits < logits.topk(k).values[:, -1:], GONE)


@wrong("04.1", "the logits is None")
def returns_only_where_it_cuts(logits, k):
    if k <= logits.size(-1):
        return logits.masked_fill(logits < kth(logits, k), GONE)


@wrong("04.1", "equal logits are counted as one")
def k_different_values(logits, k):
    rows = []
    for row in logits:
        best = sorted(set(row.tolist()), reverse=True)[:k]
        rows.append(row.masked_fill(row < best[-1], GONE))
    return torch.stack(rows)


@wrong("04.1", "kthvalue counts from the smallest")
def from_the_smallest(logits, k):
    least = logits.kthvalue(min(k, logits.size(-1)), dim=-1, keepdim=True).values
    return logits.masked_fill(logits < least, GONE)


@wrong("04.1", "the highest limit of all rows")
def highest_limit(logits, k):
    return logits.masked_fill(logits < kth(logits, k).max(), GONE)


@wrong("04.1", "the smallest logit of the row")
def lowest_for_the_others(logits, k):
    return torch.where(logits < kth(logits, k), logits.amin(1, keepdim=True), logits)


@wrong("04.1", "only one row is treated")
def returns_inside_the_loop(logits, k):
    kept = logits.clone()
    for row in kept:
        row[row < heapq.nlargest(k, row.tolist())[-1]] = GONE
        return kept


@right("04.1")
def minus_infinity_added(logits, k):
    kept = logits >= kth(logits, k)
    return logits + kept.to(logits.dtype).log()


@right("04.1")
def by_sorting(logits, k):
    least = torch.sort(logits, dim=-1, descending=True).values[:, :k][:, -1]
    return torch.where(logits >= least.unsqueeze(1), logits, float("-inf"))


@right("04.1")
def row_by_row(logits, k):
    kept = logits.clone()
    for row in kept:
        row[row < heapq.nlargest(k, row.tolist())[-1]] = GONE
    return kept


@right("04.1")
def by_counting_the_better(logits, k):
    better = (logits[:, None, :] > logits[:, :, None]).sum(-1)  # how many beat each token
    return logits.masked_fill(better >= k, GONE)


@right("04.1")
def by_kthvalue(logits, k):
    V = logits.size(-1)
    if k > V:
        return logits
    least, _ = logits.kthvalue(V - k + 1, dim=-1, keepdim=True)
    return logits.masked_fill(~(logits >= least), GONE)
