"""Answers to 04.2 keep_top_p as students write them, wrong and right."""

from __future__ import annotations

import math

import torch

from tests.mutants import right, wrong

GONE = -torch.inf


def kth(logits, k):
    return logits.topk(k).values[..., -1:]


def nucleus(logits, p, gone):
    ranked, order = logits.sort(-1, descending=True)
    mask = gone(ranked.softmax(-1), p)
    return logits.masked_fill(torch.zeros_like(mask).scatter(-1, order, mask), GONE)


@wrong("04.2", "the token that reaches p is removed")
def crosser_dropped(logits, p):
    def gone(q, p):
        mask = q.cumsum(-1) > p
        mask[:, 0] = False
        return mask

    return nucleus(logits, p, gone)


@wrong("04.2", "every row keeps at least one")
def nothing_may_stay(logits, p):
    return nucleus(logits, p, lambda q, p: q.cumsum(-1) > p)


@wrong("04.2", "one token more than needed")
def one_too_many(logits, p):
    return nucleus(
        logits, p, lambda q, p: q.cumsum(-1).roll(2, -1).index_fill(-1, FIRST_TWO, 0) >= p
    )


FIRST_TWO = torch.tensor([0, 1])


@wrong("04.2", "where p is reached exactly")
def larger_not_equal(logits, p):
    return nucleus(logits, p, lambda q, p: q.cumsum(-1) - q > p)


@wrong("04.2", "the tail is kept")
def keeps_the_tail(logits, p):
    return nucleus(logits, p, lambda q, p: q.cumsum(-1) - q < p)


@wrong("04.2", "cut at 1 - p")
def the_other_share(logits, p):
    return nucleus(logits, p, lambda q, p: q.cumsum(-1) - q >= 1 - p)


@wrong("04.2", "the tokens are not sorted")
def unsorted(logits, p):
    q = logits.softmax(-1)
    return logits.masked_fill(q.cumsum(-1) - q >= p, GONE)


@wrong("04.2", "begins with the least likely")
def rising(logits, p):
    ranked, order = logits.sort(-1)
    q = ranked.softmax(-1)
    mask = q.cumsum(-1) - q >= p
    return logits.masked_fill(torch.zeros_like(mask).scatter(-1, order, mask), GONE)


@wrong("04.2", "the mask is in sorted order")
def mask_not_brought_back(logits, p):
    q = logits.sort(-1, descending=True).values.softmax(-1)
    return logits.masked_fill(q.cumsum(-1) - q >= p, GONE)


@wrong("04.2", "the way back is wrong")
def gather_for_scatter(logits, p):
    ranked, order = logits.sort(-1, descending=True)
    q = ranked.softmax(-1)
    return logits.masked_fill((q.cumsum(-1) - q >= p).gather(-1, order), GONE)


@wrong("04.2", "the result is sorted")
def left_sorted(logits, p):
    ranked = logits.sort(-1, descending=True).values
    q = ranked.softmax(-1)
    return ranked.masked_fill(q.cumsum(-1) - q >= p, GONE)


@wrong("04.2", "compared with p by itself")
def each_by_itself(logits, p):
    return logits.masked_fill(logits.softmax(-1) < p, GONE)


@wrong("04.2", "this is min-p")
def min_p(logits, p):
    q = logits.softmax(-1)
    return logits.masked_fill(q < p * q.max(-1, keepdim=True).values, GONE)


@wrong("04.2", "not of the number of tokens")
def share_of_the_vocabulary(logits, p):
    k = max(1, round(p * logits.size(-1)))
    return logits.masked_fill(logits < kth(logits, k), GONE)


@wrong("04.2", "one sum over the whole batch")
def whole_batch_at_once(logits, p):
    flat = logits.reshape(-1)
    ranked, order = flat.sort(descending=True)
    q = ranked.softmax(0)
    mask = torch.empty_like(q, dtype=torch.bool)
    mask[order] = q.cumsum(0) - q >= p
    return flat.masked_fill(mask, GONE).view_as(logits)


@wrong("04.2", "logits are added up")
def no_softmax(logits, p):
    ranked, order = logits.sort(-1, descending=True)
    mask = ranked.cumsum(-1) - ranked >= p
    return logits.masked_fill(torch.zeros_like(mask).scatter(-1, order, mask), GONE)


@wrong("04.2", "exp(0) = 1")
def zeros_for_the_tail(logits, p):
    kept = nucleus(logits, p, lambda q, p: q.cumsum(-1) - q >= p)
    return kept.masked_fill(kept == GONE, 0.0)


@wrong("04.2", "these are probabilities")
def probabilities_of_the_nucleus(logits, p):
    return nucleus(logits, p, lambda q, p: q.cumsum(-1) - q >= p).softmax(-1)


@wrong("04.2", "these are log-probabilities")
def renormalised_twice(logits, p):
    return nucleus(logits.log_softmax(-1), p, lambda q, p: q.cumsum(-1) - q >= p).log_softmax(-1)


@wrong("04.2", "every row keeps as many tokens as the first")
def count_of_the_first_row(logits, p):
    q = logits[0].softmax(-1).sort(descending=True).values
    return logits.masked_fill(logits < kth(logits, int((q.cumsum(-1) - q < p).sum())), GONE)


@wrong("04.2", "changes its argument number 1 in place")
def writes_into_the_logits(logits, p):
    ranked, order = logits.sort(-1, descending=True)
    q = ranked.softmax(-1)
    for row in range(len(logits)):
        logits[row, order[row][q[row].cumsum(-1) - q[row] >= p]] = GONE
    return logits


@wrong("04.2", "equals of the last token stay too")
def limit_by_value(logits, p):
    ranked = logits.sort(-1, descending=True).values
    q = ranked.softmax(-1)
    last = (q.cumsum(-1) - q < p).sum(-1, keepdim=True) - 1
    return logits.masked_fill(logits < ranked.gather(-1, last), GONE)


@wrong("04.2", "minidistill.rules.keep_top_p may not be used here")
def the_packages_nucleus(logits, p):
    from minidistill.rules import keep_top_p

    return keep_top_p(logits, p)


@wrong("04.2", "at p = 1 all tokens stay")
def rounding_at_one(logits, p):
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    mask = ranked.softmax(-1).cumsum(-1) >= p
    mask[:, 1:] = mask[:, :-1].clone()
    mask[:, 0] = False
    return logits.masked_fill(mask.scatter(-1, order, mask), GONE)


@wrong("04.2", "roll brings the last place round")
def rolled(logits, p):
    def gone(q, p):
        return (q.cumsum(-1) >= p).roll(1, -1)

    return logits.clone() if p == 1 else nucleus(logits, p, gone)


@wrong("04.2", "the sum runs down the columns")
def cumsum_over_the_batch(logits, p):
    return nucleus(logits, p, lambda q, p: q.cumsum(0) - q >= p)


@wrong("04.2", "the larger id is kept")
def least_likely_removed_first(logits, p):
    ranked, order = logits.sort(dim=-1)
    mask = ranked.softmax(-1).cumsum(-1) <= 1 - p
    mask[:, -1] = False
    return logits.masked_fill(mask.scatter(-1, order, mask), GONE)


@wrong("04.2", "the softmax is taken down the columns")
def softmax_over_the_batch(logits, p):
    q, order = logits.softmax(0).sort(dim=-1, descending=True, stable=True)
    mask = q.cumsum(-1) - q >= p
    return logits.masked_fill(torch.zeros_like(mask).scatter(-1, order, mask), GONE)


@wrong("04.2", "one softmax over the whole batch")
def softmax_of_everything(logits, p):
    q = logits.exp() / logits.exp().sum()
    q, order = q.sort(dim=-1, descending=True, stable=True)
    mask = q.cumsum(-1) - q >= p
    return logits.masked_fill(torch.zeros_like(mask).scatter(-1, order, mask), GONE)


@right("04.2")
def sorted_and_put_back(logits, p):
    order = logits.argsort(dim=-1, descending=True, stable=True)
    ranked = logits.gather(1, order)
    total = torch.nn.functional.pad(ranked.softmax(-1).cumsum(-1), (1, 0))[:, :-1]
    ranked = ranked.masked_fill((total >= p) & (p != 1), GONE)
    return ranked.gather(1, order.argsort(dim=-1))


@right("04.2")
def row_by_row_with_slices(logits, p):
    kept = torch.full_like(logits, GONE)
    for row, values in zip(kept, logits, strict=True):
        ranked, order = torch.sort(values, stable=True, descending=True)
        few = len(values) if p == 1 else int((ranked.softmax(0).cumsum(0) < p).sum()) + 1
        row[order[:few]] = ranked[:few]
    return kept


@right("04.2")
def sum_before_each(logits, p):
    ranked, order = torch.sort(logits, descending=True, stable=True, dim=-1)
    q = torch.softmax(ranked, -1)
    kept = torch.where((q.cumsum(-1) - q < p) | (p == 1), ranked, GONE)
    return torch.empty_like(logits).scatter_(-1, order, kept)


@right("04.2")
def argsort_of_argsort(logits, p):
    order = torch.argsort(logits, dim=-1, descending=True, stable=True)
    q = logits.softmax(-1).gather(-1, order)
    count = 1 + (q.cumsum(-1)[:, :-1] < p).sum(-1, keepdim=True)
    return logits.masked_fill((order.argsort(-1) >= count) & (p < 1), GONE)


@right("04.2")
def with_python_loops(logits, p):
    kept = torch.full_like(logits, GONE)
    for row, values in enumerate(logits.tolist()):
        top = max(values)
        weights = [math.exp(v - top) for v in values]
        total = 0.0
        for i in sorted(range(len(values)), key=lambda i: -values[i]):
            if p < 1 and total >= p * sum(weights):
                break
            kept[row, i] = logits[row, i]
            total += weights[i]
    return kept
