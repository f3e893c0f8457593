"""Sampled softmax: the cost of the next token, from a few classes in the place of all V.

The normaliser of a softmax adds up V terms for every token. Here the target and S classes that a
sampler drew stand in for all of them: logits, gradients and the optimiser's step touch S rows and
the targets', whatever V is.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.batches import IGNORE
from minidistill.chunked_softmax import check_targets, product_dtype, refuse_second_derivative
from minidistill.fast_product import product
from minidistill.samplers import (
    LogUniformSampler,
    Negatives,
    Sampler,
    UniformSampler,
    UnigramSampler,
)
from minidistill.sparse_rows import LazyAdam, RowAdagrad, merged_rows, row_adagrad, table_gradient

CORRECTIONS = ("both", "negatives", "none")


def sampled_softmax_loss(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    negatives: Negatives,
    sampler: Sampler,
    *,
    correction: str = "both",
    remove_hits: bool = True,
    sparse: bool = True,
) -> Tensor:
    """Mean cost (nats) of the targets among themselves and the classes drawn.

        L = -1/N sum over real n of ln  e^(a_n) / (e^(a_n) + sum_j e^(b_nj))
        a_n = h_n . w_t + c_t - ln Q(t)            t the target of n
        b_nj = h_n . w_j + c_j - ln Q(j)           j drawn and not t (an accidental hit is removed)

    Q is the chance that a class is among the classes drawn. With the target corrected too, the
    best logits are ln P plus a constant, for any S: this form is for training. Its value is no
    estimate of the full softmax's; with correction="negatives" it is one, a little too low.
    Gradients reach `hidden`, `weight` and `bias`; they are worked out by hand, so that nothing
    of size V is made, and no second derivative exists.

    Args:
        hidden: (..., H). targets: (...), IGNORE (-100) where nothing stands.
        weight: (V, H) and bias: (V,) or None, of the read-out.
        negatives: from `sampler.sample(S)`.
        correction: "both" for training, "negatives" for estimating, "none" is wrong and is here
            to be seen to fail: it learns P / Q.
        remove_hits: False is wrong too: the target then stands against itself.
        sparse: gradients of weight and bias as sparse tensors, rows and values; False: as
            dense ones, which cost as much as the table is large.

    Under autocast the products are made in its precision and all else in float32.

    Raises:
        ValueError: shapes that do not fit; on a CPU, a target outside the vocabulary (on a GPU
            the device stops, because to look would be to wait).

    Source: Jean, Cho, Memisevic and Bengio, On using very large target vocabulary for neural
    machine translation, 2015; Bengio and Senécal, 2003 and 2008.
    Taught in solutions/08_sampled_softmax.ipynb.
    """
    _check(hidden, weight, bias, targets, sampler, correction)
    targets = targets.flatten()
    real = targets != IGNORE
    places = targets.masked_fill(~real, 0)
    # What stands at padding may be NaN, and 0 times that would reach the gradient.
    hidden = hidden.flatten(0, -2).masked_fill(~real[:, None], 0.0)
    of_target = torch.zeros_like(places, dtype=torch.float32)
    of_drawn = negatives.log_expected_count
    if correction == "both":
        of_target = sampler.log_expected_count(places, negatives.time)
    elif correction == "none":
        of_drawn = torch.where(of_drawn == math.inf, of_drawn, 0.0)  # what is empty stays so
    costs = _Costs.apply(
        hidden, weight, bias, places, negatives.ids, of_target, of_drawn, remove_hits, sparse
    )
    return (costs * real).sum() / real.sum().clamp(min=1)


def sampled_logits(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    drawn: Tensor,
    log_q_targets: Tensor,
    log_q_drawn: Tensor,
) -> Tensor:
    """What the small softmax is taken of, written as one reads it: (N, 1 + S), the target first.

        h . w_k + c_k - ln Q(k),   and -inf where a class drawn is the target itself

    The mean of `logsumexp(1) - [:, 0]` is `sampled_softmax_loss`, which is the same in fewer
    and sparser steps.

    Args:
        hidden: (N, H). weight: (V, H). bias: (V,) or None. targets: (N,). drawn: (S,), each
            class once. log_q_targets: (N,) and log_q_drawn: (S,), from
            `sampler.log_expected_count`.

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    own = (hidden * weight[targets]).sum(-1) - log_q_targets  # (N,)
    others = hidden @ weight[drawn].T - log_q_drawn  # (N, S)
    if bias is not None:
        own, others = own + bias[targets], others + bias[drawn]
    others = others.masked_fill(targets[:, None] == drawn, -math.inf)
    return torch.cat([own[:, None], others], dim=1)


def sampled_backward(
    hidden: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, logits: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the mean cost, for `sampled_logits`: by the rule of every softmax, p - 1.

        dL/dz_n0 = (p_n0 - 1) / N,   dL/dz_nj = p_nj / N,   p = softmax(z)

    Returns:
        The gradient of hidden (N, H); numbers of rows (N + S,), a row named as often as it
        plays a part; and what each adds to the gradient of its row of the weight, (N + S, H).

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    d = logits.softmax(1)  # (N, 1 + S)
    d[:, 0] -= 1
    d = d / len(d)
    to_hidden = d[:, :1] * weight[targets] + d[:, 1:] @ weight[drawn]
    values = torch.cat([d[:, :1] * hidden, d[:, 1:].T @ hidden])
    return to_hidden, torch.cat([targets, drawn]), values


class _Costs(torch.autograd.Function):
    """The cost of each token, (N,), with three products forward and back and nothing of size V."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        drawn: Tensor,
        of_target: Tensor,
        of_drawn: Tensor,
        remove_hits: bool,
        sparse: bool,
    ) -> Tensor:
        kind = product_dtype(hidden)
        exact = torch.promote_types(kind, torch.float32)
        with torch.autocast(hidden.device.type, enabled=False):
            w_t, w = weight.index_select(0, targets), weight.index_select(0, drawn)
            h, w_t, w = (x.to(kind) for x in (hidden, w_t, w))
            a = (h * w_t).sum(-1, dtype=exact) - of_target  # (N,)
            shift = -of_drawn.to(exact)  # (S,)
            if bias is not None:
                a, shift = a + bias[targets], shift + bias[drawn]
            b = product(h, w).to(exact).add_(shift)  # (N, S)
            if remove_hits:
                forget_hits(b, targets, drawn)
            top = torch.maximum(a, b.amax(1))
            p = b.sub_(top[:, None]).exp_()  # in place: this is the largest tensor of the step
            p_t = (a - top).exp()
            total = p.sum(1) + p_t  # p is not yet divided by it: scaling N rows of H is less work
        ctx.save_for_backward(h, w_t, w, targets, drawn, p, p_t, total)
        ctx.shape, ctx.sparse, ctx.kinds = weight.shape, sparse, (hidden.dtype, weight.dtype)
        ctx.bias_kind = None if bias is None else bias.dtype
        return total.log() + top - a

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        h, w_t, w, targets, drawn, p, p_t, total = ctx.saved_tensors
        to_target = (p_t / total - 1) * scale  # dL/da, (N,)
        scale = scale / total  # dL/db is p times this, (N, S)
        to_hidden = to_weight = to_bias = None
        S, rows = len(drawn), torch.cat([drawn, targets])
        low = p.to(h.dtype)
        if ctx.needs_input_grad[0]:
            to_hidden = product(low, w.T).to(p.dtype).mul_(scale[:, None])
            to_hidden.addcmul_(w_t.to(p.dtype), to_target[:, None])
            to_hidden = to_hidden.to(ctx.kinds[0])
        if ctx.needs_input_grad[1]:
            values = h.new_empty(len(rows), h.size(1))
            values[:S] = product(low.T, (h * scale[:, None].to(h.dtype)).T)
            torch.mul(h, to_target[:, None].to(h.dtype), out=values[S:])
            to_weight = table_gradient(rows, values.to(ctx.kinds[1]), ctx.shape, ctx.sparse)
        if ctx.bias_kind is not None and ctx.needs_input_grad[2]:
            values = torch.cat([scale.to(p.dtype) @ p, to_target]).to(ctx.bias_kind)
            to_bias = table_gradient(rows, values, ctx.shape[:1], ctx.sparse)
        return to_hidden, to_weight, to_bias, *[None] * 6


def forget_hits(logits: Tensor, targets: Tensor, drawn: Tensor) -> None:
    """Set to -inf, in place, where a class drawn is the token's own target.

    Args:
        logits: (N, S). targets: (N,). drawn: (S,), in rising order, each class once.

    Each token has at most one such place: it is looked up, not sought in N x S comparisons.
    """
    place = torch.searchsorted(drawn, targets).clamp(max=len(drawn) - 1)[:, None]  # (N, 1)
    hit = drawn[place] == targets[:, None]
    logits.scatter_(1, place, logits.gather(1, place).masked_fill(hit, -math.inf))


def _check(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    sampler: Sampler,
    correction: str,
) -> None:
    if correction not in CORRECTIONS:
        raise ValueError(f"correction is one of {', '.join(CORRECTIONS)}, not {correction!r}")
    if hidden.shape[:-1] != targets.shape or weight.dim() != 2:
        raise ValueError(
            f"hidden has shape {tuple(hidden.shape)} and targets {tuple(targets.shape)}: hidden "
            "has one vector for each target"
        )
    V, H = weight.shape
    if hidden.size(-1) != H or (bias is not None and bias.shape != (V,)):
        bias_shape = None if bias is None else tuple(bias.shape)
        raise ValueError(
            f"hidden has vectors of size {hidden.size(-1)}, weight has shape {(V, H)} and bias "
            f"{bias_shape}: weight is (V, H) and bias (V,)"
        )
    if sampler.vocab_size != V:
        raise ValueError(
            f"the sampler draws from {sampler.vocab_size} classes but the weight has {V} rows: "
            "make the sampler for this vocabulary"
        )
    check_targets(targets, V)


__all__ = [
    "CORRECTIONS",
    "LazyAdam",
    "LogUniformSampler",
    "Negatives",
    "RowAdagrad",
    "Sampler",
    "UniformSampler",
    "UnigramSampler",
    "forget_hits",
    "merged_rows",
    "row_adagrad",
    "sampled_backward",
    "sampled_logits",
    "sampled_softmax_loss",
]
