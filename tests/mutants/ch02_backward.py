"""Answers to 02.3 rnn_backward as students write them, wrong and right."""

from __future__ import annotations

import functools

import torch

from tests.mutants import right, wrong


def slope(h):
    return 1 - h**2


def walk(dh, states, h0, W, mask, slope=slope, through=torch.matmul, steps=None, keep=True):
    """The right way back, with parts that may be exchanged: da, dh0 and dW_hh."""
    T = len(states)
    da, g, dW = torch.zeros_like(states), torch.zeros_like(h0), torch.zeros_like(W)
    for t in reversed(range(T)) if steps is None else steps(T):
        g = g + dh[t]
        da[t] = g * slope(states[t]) * (1 if mask is None else mask[t, :, None])
        dW = dW + da[t].T @ (states[t - 1] if t > 0 else h0)
        new = through(da[t], W)
        g = torch.where(mask[t, :, None], new, g) if keep and mask is not None else new
    return da, g, dW


def previous(states, h0):
    return torch.cat([h0[None], states[:-1]])


@wrong("02.3", "the gradient of the later steps is lost")
def later_steps_lost(dh, states, h0, W_hh, mask=None):
    da = dh * (1 - states**2) * (1 if mask is None else mask[..., None])
    g = da[0] @ W_hh
    if mask is not None:
        g = torch.where(mask[0, :, None], g, dh[0])
    return da, g, torch.einsum("tbi,tbj->ij", da, previous(states, h0))


@wrong("02.3", "the slope of the tanh is missing")
def no_slope(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, slope=torch.ones_like)


@wrong("02.3", "the square is missing")
def slope_without_square(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, slope=lambda h: 1 - h)


@wrong("02.3", "tanh of the states once more")
def tanh_once_more(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, slope=lambda h: 1 - torch.tanh(h) ** 2)


@wrong("02.3", "the sigmoid's slope")
def slope_of_the_sigmoid(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, slope=lambda h: h * (1 - h))


@wrong("02.3", "W_hh is transposed on the way back")
def weights_transposed(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, through=lambda d, W: d @ W.T)


@wrong("02.3", "W_hh is left out on the way back")
def weights_left_out(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, through=lambda d, W: d)


@wrong("02.3", "dW_hh uses the state after the step")
def state_after_the_step(dh, states, h0, W_hh, mask=None):
    da, dh0, _ = walk(dh, states, h0, W_hh, mask)
    return da, dh0, torch.einsum("tbi,tbj->ij", da, states)


@wrong("02.3", "also at t = 0, where it is the last state")
def index_wraps_round(dh, states, h0, W_hh, mask=None):
    da, dh0, _ = walk(dh, states, h0, W_hh, mask)
    return da, dh0, sum(da[t].T @ states[t - 1] for t in range(len(da)))


@wrong("02.3", "dW_hh leaves out h0")
def first_state_left_out(dh, states, h0, W_hh, mask=None):
    da, dh0, _ = walk(dh, states, h0, W_hh, mask)
    return da, dh0, sum(da[t].T @ states[t - 1] for t in range(1, len(da))) + 0 * W_hh


@wrong("02.3", "dW_hh is transposed")
def weight_gradient_transposed(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = walk(dh, states, h0, W_hh, mask)
    return da, dh0, dW.T


@wrong("02.3", "averaged over the batch")
def averaged(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = walk(dh, states, h0, W_hh, mask)
    return da, dh0, dW / dh.size(1)


@wrong("02.3", "dW_hh holds only the first step")
def overwritten_in_the_loop(dh, states, h0, W_hh, mask=None):
    da, dh0, _ = walk(dh, states, h0, W_hh, mask)
    return da, dh0, da[0].T @ h0


@wrong("02.3", "sum the products, not the factors")
def product_of_sums(dh, states, h0, W_hh, mask=None):
    da, dh0, _ = walk(dh, states, h0, W_hh, mask)
    return da, dh0, da.sum(0).T @ previous(states, h0).sum(0)


@wrong("02.3", "dh0 is da[0]")
def first_da_for_dh0(dh, states, h0, W_hh, mask=None):
    da, _, dW = walk(dh, states, h0, W_hh, mask)
    return da, da[0], dW


@wrong("02.3", "dh[0] is added to dh0")
def dh_added_to_dh0(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = walk(dh, states, h0, W_hh, mask)
    return da, dh0 + dh[0], dW


@wrong("02.3", "come in another order")
def another_order(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = walk(dh, states, h0, W_hh, mask)
    return da, dW, dh0


@wrong("02.3", "last step first: turn it round")
def in_the_order_of_the_walk(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = walk(dh, states, h0, W_hh, mask)
    return da.flip(0), dh0, dW


@wrong("02.3", "runs forwards")
def from_the_first_step(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, steps=range)


@wrong("02.3", "stops before t = 0")
def ends_one_too_early(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, steps=lambda T: range(T - 1, 0, -1))


@wrong("02.3", "it takes the place of g")
def g_piles_up(dh, states, h0, W_hh, mask=None):
    da, g = torch.zeros_like(states), torch.zeros_like(h0)
    for t in reversed(range(len(states))):
        g += dh[t]
        da[t] = g * slope(states[t])
        g += da[t] @ W_hh
    return da, g, torch.einsum("tbi,tbj->ij", da, previous(states, h0))


@wrong("02.3", "the mask is ignored")
def mask_ignored(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, None)


@wrong("02.3", "a padded step stops the gradient")
def stopped_by_padding(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask, keep=False)


@wrong("02.3", "the dh of padded steps is left out")
def dh_masked(dh, states, h0, W_hh, mask=None):
    real = 1 if mask is None else mask[..., None]
    return walk(dh * real, states, h0, W_hh, mask)


@wrong("02.3", "da is not zero at padding")
def never_filled_at_padding(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = walk(dh, states, h0, W_hh, mask)
    if mask is not None:
        da = torch.where(mask[..., None], da, 1e30)
    return da, dh0, dW


@wrong("02.3", "begin with padding")
def padding_before_the_text(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = walk(dh, states, h0, W_hh, mask)
    return da, dh0 if mask is None else dh0 * mask[0, :, None], dW


@wrong("02.3", "changes its argument number 1 in place")
def collected_in_dh(dh, states, h0, W_hh, mask=None):
    for t in reversed(range(1, len(states))):
        dh[t - 1] += dh[t] * slope(states[t]) @ W_hh
    da = dh * slope(states)
    return da, da[0] @ W_hh, torch.einsum("tbi,tbj->ij", da, previous(states, h0))


@wrong("02.3", "have the input's type")
def zeros_in_single_precision(dh, states, h0, W_hh, mask=None):
    g = torch.zeros(h0.shape)
    return (g + dh[0].float()) @ W_hh


def again(states, h0, W_hh, mask):
    """Run the forward pass once more, watched by autograd."""
    a = torch.atanh(states) - previous(states, h0) @ W_hh.T
    a = a if mask is None else torch.where(mask[..., None], a, torch.zeros_like(a))
    sources = [v.detach().clone().requires_grad_() for v in (a, h0, W_hh)]
    h, found = sources[1], []
    for t in range(len(states)):
        new = torch.tanh(sources[0][t] + h @ sources[2].T)
        h = new if mask is None else torch.where(mask[t, :, None], new, h)
        found.append(h)
    return torch.stack(found), sources


@wrong("02.3", "torch.autograd.grad may not be used here")
def autograd_by_partial(dh, states, h0, W_hh, mask=None):
    found, sources = again(states, h0, W_hh, mask)
    return functools.partial(torch.autograd.grad, found)(sources, dh)


@wrong("02.3", "Tensor.backward may not be used here")
def autograd_by_backward(dh, states, h0, W_hh, mask=None):
    found, sources = again(states, h0, W_hh, mask)
    torch.Tensor.backward((found * dh).sum())
    return tuple(v.grad for v in sources)


@wrong("02.3", "run_backward may not be used here")
def autograd_by_its_engine(dh, states, h0, W_hh, mask=None):
    found, sources = again(states, h0, W_hh, mask)
    engine = torch.autograd.Variable._execution_engine
    return engine.run_backward((found,), (dh,), False, False, tuple(sources), False, False)


@wrong("02.3", "may not be used here: the exercise is to work the gradients out by hand")
def autograd_by_functorch(dh, states, h0, W_hh, mask=None):
    a = torch.atanh(states) - previous(states, h0) @ W_hh.T
    return torch.func.vjp(lambda a, h, W: torch.tanh(a + h @ W.T), a, h0, W_hh)[1](dh)


@wrong("02.3", "minidistill.recurrent.rnn_backward may not be used here")
def the_packages_own(*inputs):
    from minidistill.recurrent import rnn_backward

    return rnn_backward(*inputs)


@right("02.3")
def sum_in_the_loop(dh, states, h0, W_hh, mask=None):
    return walk(dh, states, h0, W_hh, mask)


@right("02.3")
def with_arithmetic(dh, states, h0, W_hh, mask=None):
    real = torch.ones(states.shape[:2]) if mask is None else mask
    g, found = 0 * h0, []
    backwards = (v.flip(0) for v in (dh, states, real.to(states.dtype)[..., None]))
    for d, s, m in zip(*backwards, strict=True):
        g = g + d
        da = m * g * (1 - s.square())
        g = m * (da @ W_hh) + (1 - m) * g
        found.append(da)
    da = torch.stack(found[::-1])
    return [da, g, torch.einsum("tbi,tbj->ij", da, previous(states, h0))]


@right("02.3")
def by_recursion(dh, states, h0, W_hh, mask=None):
    def back(t, g, dW, found):
        if t < 0:
            return torch.stack(found), g, dW
        g, h = g + dh[t], states[t]
        da = g * (1 + h) * (1 - h)
        new = da @ W_hh
        if mask is not None:
            da, new = da * mask[t, :, None], torch.where(mask[t, :, None], new, g)
        return back(t - 1, new, dW + da.T @ (states[t - 1] if t else h0), [da, *found])

    return back(len(dh) - 1, torch.zeros_like(h0), torch.zeros_like(W_hh), [])


@right("02.3")
def row_by_row(dh, states, h0, W_hh, mask=None):
    da, dh0, dW = torch.zeros_like(dh), torch.zeros_like(h0), torch.zeros_like(W_hh)
    for b in range(dh.size(1)):
        g = dh.new_zeros(dh.size(2))
        for t in range(len(dh) - 1, -1, -1):
            g = g + dh[t, b]
            if mask is None or mask[t, b]:
                da[t, b] = g * (1 - states[t, b] ** 2)
                dW += torch.outer(da[t, b], states[t - 1, b] if t else h0[b])
                g = W_hh.T @ da[t, b]
        dh0[b] = g
    return da, dh0, dW
