"""Answers to 08.4 row_adagrad as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def dense(weight, rows, values):
    """The gradient as a whole table."""
    return torch.zeros_like(weight).index_add(0, rows, values)


def merged(rows, values):
    once, group = rows.unique(return_inverse=True)
    return once, values.new_zeros(len(once), values.size(1)).index_add(0, group, values)


@wrong("08.4", "only one value counts")
def written_by_index(weight, sums, rows, values, lr, eps=1e-10):
    weight, sums = weight.clone(), sums.clone()
    sums[rows] += values.square().mean(1)
    weight[rows] -= lr * values / (sums[rows].sqrt() + eps)[:, None]
    return weight, sums


@wrong("08.4", "only one value moves it")
def moved_by_index(weight, sums, rows, values, lr, eps=1e-10):
    once, g = merged(rows, values)
    sums = sums.index_add(0, once, g.square().mean(1))
    weight = weight.clone()
    weight[rows] -= lr * values / (sums[rows].sqrt() + eps)[:, None]
    return weight, sums


@wrong("08.4", "not the sum of the squares")
def squared_first(weight, sums, rows, values, lr, eps=1e-10):
    sums = sums.index_add(0, rows, values.square().mean(1))
    change = lr * values / (sums[rows].sqrt() + eps)[:, None]
    return weight.index_add(0, rows, -change), sums


@wrong("08.4", "make a step each time")
def in_a_loop(weight, sums, rows, values, lr, eps=1e-10):
    weight, sums = weight.clone(), sums.clone()
    for r, g in zip(rows.tolist(), values, strict=True):
        sums[r] += g.square().mean()
        weight[r] -= lr * g / (sums[r].sqrt() + eps)
    return weight, sums


@wrong("08.4", "their mean over the row's d numbers")
def sum_of_squares(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().sum(1)
    return weight - lr * g / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "a sum for every number of the table")
def adagrad_itself(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    state = sums[:, None] + g.square()
    return weight - lr * g / (state.sqrt() + eps), state


@wrong("08.4", "the root of the old sums")
def state_after_the_step(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    moved = weight - lr * g / (sums.sqrt() + eps)[:, None]
    return moved, sums + g.square().mean(1)


@wrong("08.4", "rows that are not named change")
def weight_decay(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return 0.99 * weight - lr * g / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "the root is forgotten")
def no_root(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight - lr * g / (sums + eps)[:, None], sums


@wrong("08.4", "goes against the gradient")
def uphill(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight + lr * g / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "lr comes in squared")
def lr_in_the_gradient_too(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight - lr * (lr * g) / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "eps stands under the root")
def eps_inside(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight - lr * g / (sums + eps).sqrt()[:, None], sums


@wrong("08.4", "0 / 0")
def no_eps(weight, sums, rows, values, lr, eps=1e-10):
    once, g = merged(rows, values)
    sums = sums.index_add(0, once, g.square().mean(1))
    return weight.index_add(0, once, -lr * g / sums[once].sqrt()[:, None]), sums


@wrong("08.4", "changes its argument number 1 in place")
def in_place(weight, sums, rows, values, lr, eps=1e-10):
    once, g = merged(rows, values)
    sums = sums.index_add(0, once, g.square().mean(1))
    weight[once] -= lr * g / (sums[once].sqrt() + eps)[:, None]
    return weight, sums


@wrong("08.4", "changes its argument number 2 in place")
def sums_in_place(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums += g.square().mean(1)
    return weight - lr * g / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "the sum fades")
def rmsprop(weight, sums, rows, values, lr, eps=1e-10):
    once, g = merged(rows, values)
    sums = sums.clone()
    sums[once] = 0.9 * sums[once] + 0.1 * g.square().mean(1)
    weight = weight.clone()
    weight[once] -= lr * g / (sums[once].sqrt() + eps)[:, None]
    return weight, sums


@wrong("08.4", "not in the order in which")
def order_mixed_up(weight, sums, rows, values, lr, eps=1e-10):
    _, g = merged(rows, values)
    once = torch.tensor(list(dict.fromkeys(rows.tolist())))
    sums = sums.index_add(0, once, g.square().mean(1))
    return weight.index_add(0, once, -lr * g / (sums[once].sqrt() + eps)[:, None]), sums


@wrong("08.4", "is averaged")
def mean_of_repeats(weight, sums, rows, values, lr, eps=1e-10):
    times = torch.bincount(rows, minlength=len(weight)).clamp(min=1)
    g = dense(weight, rows, values) / times[:, None]
    sums = sums + g.square().mean(1)
    return weight - lr * g / (sums.sqrt() + eps)[:, None], sums


@wrong("08.4", "the sums come back as they were")
def sums_forgotten(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    size = (sums + g.square().mean(1)).sqrt() + eps
    return weight - lr * g / size[:, None], sums


@wrong("08.4", "the old sums are forgotten")
def only_this_step(weight, sums, rows, values, lr, eps=1e-10):
    once, g = merged(rows, values)
    new = sums.index_copy(0, once, g.square().mean(1))
    return weight.index_add(0, once, -lr * g / (new[once].sqrt() + eps)[:, None]), new


@wrong("08.4", "torch.optim")
def torchs_own(weight, sums, rows, values, lr, eps=1e-10):
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad = dense(weight, rows, values)
    torch.optim.Adagrad([parameter], lr=lr, eps=eps).step()
    return parameter.detach(), sums


@wrong("08.4", "two mistakes at once")
def no_root_uphill(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(1)
    return weight + lr * g / (sums + eps)[:, None], sums


@right("08.4")
def by_a_dense_table(weight, sums, rows, values, lr, eps=1e-10):
    g = dense(weight, rows, values)
    sums = sums + g.square().mean(dim=1)
    return weight - lr * g / (sums.sqrt() + eps)[:, None], sums


@right("08.4")
def by_unique(weight, sums, rows, values, lr, eps=1e-10):
    once, g = merged(rows, values)
    weight, sums = weight.clone(), sums.clone()
    sums[once] += (g * g).mean(1)
    weight[once] -= lr * g / (sums[once].sqrt() + eps).unsqueeze(1)
    return weight, sums


@right("08.4")
def by_a_dictionary(weight, sums, rows, values, lr, eps=1e-10):
    found = {}
    for r, g in zip(rows.tolist(), values, strict=True):
        found[r] = found[r] + g if r in found else g
    weight, sums = weight.clone(), sums.clone()
    for r, g in found.items():
        sums[r] = sums[r] + (g**2).sum() / len(g)
        weight[r] = weight[r] - lr / (sums[r] ** 0.5 + eps) * g
    return [weight, sums]


@right("08.4")
def by_a_sparse_tensor(weight, sums, rows, values, lr, eps=1e-10):
    g = torch.sparse_coo_tensor(rows[None], values, weight.shape, check_invariants=False).coalesce()
    once, g = g.indices()[0], g.values()
    sums = sums.index_add(0, once, g.pow(2).mean(-1))
    step = g / (torch.sqrt(sums[once]) + eps)[:, None]
    return weight.index_add(0, once, step, alpha=-lr), sums


@right("08.4")
def by_a_matrix_of_ones(weight, sums, rows, values, lr, eps=1e-10):
    once = torch.unique(rows)
    same = (once[:, None] == rows).to(values)  # (m, n)
    g = same @ values
    more = torch.zeros_like(sums).scatter_(0, once, g.square().mean(1))
    size = (sums + more).sqrt() + eps
    change = torch.zeros_like(weight)
    change[once] = g
    return weight - lr * change / size[:, None], sums + more
