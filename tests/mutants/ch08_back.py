"""Answers to 08.3 sampled_backward as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def slope(logits):
    """The gradient by the logits, of the sum of the costs."""
    d = logits.softmax(1)
    d[:, 0] -= 1
    return d


def spread(d, hidden, weight, targets, drawn):
    """The rest, from the gradient by the logits."""
    to_hidden = d[:, :1] * weight[targets] + d[:, 1:] @ weight[drawn]
    values = torch.cat([d[:, :1] * hidden, d[:, 1:].T @ hidden])
    return to_hidden, torch.cat([targets, drawn]), values


@wrong("08.3", "the 1 is forgotten")
def no_1(hidden, weight, targets, drawn, logits):
    return spread(logits.softmax(1) / len(logits), hidden, weight, targets, drawn)


@wrong("08.3", "nothing is divided by N")
def sum_of_costs(hidden, weight, targets, drawn, logits):
    return spread(slope(logits), hidden, weight, targets, drawn)


@wrong("08.3", "divided by N + S")
def divided_by_rows(hidden, weight, targets, drawn, logits):
    return spread(slope(logits) / (len(targets) + len(drawn)), hidden, weight, targets, drawn)


@wrong("08.3", "1 + S, the number of classes")
def mean_over_classes(hidden, weight, targets, drawn, logits):
    return spread(slope(logits) / logits.size(1), hidden, weight, targets, drawn)


@wrong("08.3", "target's part is missing")
def hidden_without_target(hidden, weight, targets, drawn, logits):
    d = slope(logits) / len(logits)
    _, rows, values = spread(d, hidden, weight, targets, drawn)
    return d[:, 1:] @ weight[drawn], rows, values


@wrong("08.3", "part of the classes drawn is missing")
def hidden_without_drawn(hidden, weight, targets, drawn, logits):
    d = slope(logits) / len(logits)
    _, rows, values = spread(d, hidden, weight, targets, drawn)
    return d[:, :1] * weight[targets], rows, values


@wrong("08.3", "adds up to 0")
def hidden_from_the_targets_row(hidden, weight, targets, drawn, logits):
    d = slope(logits) / len(logits)
    _, rows, values = spread(d, hidden, weight, targets, drawn)
    return d.sum(1, keepdim=True) * weight[targets], rows, values


@wrong("08.3", "the sign is wrong")
def one_less_p(hidden, weight, targets, drawn, logits):
    return spread(-slope(logits) / len(logits), hidden, weight, targets, drawn)


@wrong("08.3", "stand as (H, n)")
def values_turned(hidden, weight, targets, drawn, logits):
    to_hidden, rows, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    return to_hidden, rows, values.T


@wrong("08.3", "in different orders")
def rows_in_another_order(hidden, weight, targets, drawn, logits):
    to_hidden, _, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    return to_hidden, torch.cat([drawn, targets]), values


@wrong("08.3", "p (1 - p)")
def slope_of_p(hidden, weight, targets, drawn, logits):
    p = logits.softmax(1)
    return spread(p * (1 - p) / len(p), hidden, weight, targets, drawn)


@wrong("08.3", "the target's probability")
def gradient_of_the_chance(hidden, weight, targets, drawn, logits):
    p = logits.softmax(1)
    return spread(-p[:, :1] * slope(logits) / len(p), hidden, weight, targets, drawn)


@wrong("08.3", "runs over the tokens")
def softmax_0(hidden, weight, targets, drawn, logits):
    d = logits.softmax(0)
    d[:, 0] -= 1
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "over all tokens together")
def softmax_of_all(hidden, weight, targets, drawn, logits):
    d = logits.exp() / logits.exp().sum()
    d[:, 0] -= 1
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "that place was removed")
def hits_are_targets(hidden, weight, targets, drawn, logits):
    d = slope(logits)
    d[:, 1:] -= (targets[:, None] == drawn).to(d)
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "1 is taken off the first token's row")
def row_for_column(hidden, weight, targets, drawn, logits):
    d = logits.softmax(1)
    d[0] -= 1
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "only one value is left")
def overwritten(hidden, weight, targets, drawn, logits):
    to_hidden, rows, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    table = torch.zeros_like(weight)
    table[rows] = values
    once = rows.unique()
    return to_hidden, once, table[once]


@wrong("08.3", "these are the gradients of the sum")
def sum_of_costs_by_hand(hidden, weight, targets, drawn, logits):
    p = (logits - logits.amax(1, keepdim=True)).exp()
    p = p / p.sum(1, keepdim=True)
    own, others = p[:, :1] - 1, p[:, 1:]
    values = torch.cat([others.T @ hidden, own * hidden])
    return own * weight[targets] + others @ weight[drawn], torch.cat([drawn, targets]), values


@wrong("08.3", "exp of a large logit overflows")
def softmax_by_hand(hidden, weight, targets, drawn, logits):
    d = logits.exp() / logits.exp().sum(1, keepdim=True)
    d[:, 0] -= 1
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "-inf less -inf")
def spoiled_by_infinity(hidden, weight, targets, drawn, logits):
    low = logits - logits.amin(1, keepdim=True)
    d = slope(low)
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "though it plays no part")
def whole_table(hidden, weight, targets, drawn, logits):
    to_hidden, rows, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    table = torch.zeros_like(weight).index_add(0, rows, values)
    return to_hidden, torch.arange(len(weight)), table


@wrong("08.3", "a whole table")
def whole_table_for_values(hidden, weight, targets, drawn, logits):
    to_hidden, rows, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    return to_hidden, rows, torch.zeros_like(weight).index_add(0, rows, values)


@wrong("08.3", "return three things")
def two_things(hidden, weight, targets, drawn, logits):
    to_hidden, _, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    return to_hidden, values


@wrong("08.3", "rows and values are exchanged")
def exchanged(hidden, weight, targets, drawn, logits):
    to_hidden, rows, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    return to_hidden, values, rows


@wrong("08.3", "changes its argument number 5 in place")
def in_place(hidden, weight, targets, drawn, logits):
    d = torch.exp(logits.sub_(logits.logsumexp(1, keepdim=True)))
    d[:, 0] -= 1
    return spread(d / len(d), hidden, weight, targets, drawn)


@wrong("08.3", "torch.autograd.grad")
def by_autograd(hidden, weight, targets, drawn, logits):
    z = logits.detach().requires_grad_()
    (d,) = torch.autograd.grad((z.logsumexp(1) - z[:, 0]).mean(), z)
    return spread(d, hidden, weight, targets, drawn)


@wrong("08.3", "may not be used here")
def by_backward(hidden, weight, targets, drawn, logits):
    z = logits.detach().requires_grad_()
    (z.logsumexp(1) - z[:, 0]).mean().backward()
    return spread(z.grad, hidden, weight, targets, drawn)


@wrong("08.3", "two mistakes at once")
def positive_sum(hidden, weight, targets, drawn, logits):
    return spread(-slope(logits), hidden, weight, targets, drawn)


@right("08.3")
def drawn_first(hidden, weight, targets, drawn, logits):
    p = torch.softmax(logits, dim=-1) / logits.shape[0]
    own, others = p[:, 0] - 1 / len(logits), p[:, 1:]
    to_hidden = own.unsqueeze(1) * weight[targets] + torch.mm(others, weight[drawn])
    values = torch.cat([others.t() @ hidden, own.unsqueeze(1) * hidden])
    return to_hidden, torch.cat([drawn, targets]), values


@right("08.3")
def merged(hidden, weight, targets, drawn, logits):
    to_hidden, rows, values = spread(slope(logits) / len(logits), hidden, weight, targets, drawn)
    once, group = rows.unique(return_inverse=True)
    sums = torch.zeros(len(once), values.size(1), dtype=values.dtype).index_add(0, group, values)
    return to_hidden, once, sums


@right("08.3")
def token_by_token(hidden, weight, targets, drawn, logits):
    N = len(logits)
    ids = [[t, *drawn.tolist()] for t in targets.tolist()]
    found = {}
    to_hidden = torch.zeros_like(hidden)
    for n in range(N):
        p = torch.exp(logits[n] - torch.logsumexp(logits[n], 0))
        for j, k in enumerate(ids[n]):
            d = (p[j] - float(j == 0)) / N
            to_hidden[n] = to_hidden[n] + d * weight[k]
            found[k] = found.get(k, 0) + d * hidden[n]
    return to_hidden, list(found), torch.stack(list(found.values()))


@right("08.3")
def each_token_by_itself(hidden, weight, targets, drawn, logits):
    d = slope(logits) / len(logits)
    ids = torch.cat([targets[:, None], drawn.expand(len(targets), -1)], 1)  # (N, 1 + S)
    to_hidden = (d[:, :, None] * weight[ids]).sum(1)
    values = d[:, :, None] * hidden[:, None]
    return to_hidden, ids.flatten(), values.flatten(0, 1)


@right("08.3")
def one_hot_and_einsum(hidden, weight, targets, drawn, logits):
    d = torch.softmax(logits, 1)
    d = (d - torch.eye(d.size(1), dtype=d.dtype)[0]) / len(d)
    ids = torch.cat([targets[:, None], drawn.expand(len(targets), -1)], 1)
    to_hidden = torch.einsum("nk,nkh->nh", d, weight[ids])
    values = torch.cat([torch.einsum("n,nh->nh", d[:, 0], hidden), d[:, 1:].T.matmul(hidden)])
    return [to_hidden, torch.cat([targets, drawn]), values]


@right("08.3")
def softmax_with_the_largest_taken_out(hidden, weight, targets, drawn, logits):
    e = (logits - logits.max(1, keepdim=True).values).exp()
    d = e / e.sum(1, keepdim=True)
    d = torch.cat([d[:, :1] - 1, d[:, 1:]], 1) / len(d)
    return spread(d, hidden, weight, targets, drawn)
