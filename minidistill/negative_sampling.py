"""Negative sampling: is this word a real neighbour, or one drawn by chance?

The softmax over a vocabulary asks which of V words stands here. Negative sampling asks a yes-or-no
question instead, once for the real word and k times for words that were drawn from noise. Training
then costs a few dot products, whatever V is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.chunked_softmax import product_dtype, refuse_second_derivative
from minidistill.sparse_rows import table_gradient


def negative_sampling_loss(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    drawn: Tensor,
    negatives: float = 5,
    *,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    offset: Tensor | None = None,
    sparse: bool = False,
) -> Tensor:
    """Mean cost (nats) of telling real words from words drawn from noise.

        L = -1/M sum_n [ sum_j ln s(a_nj)  +  m_n k/S sum_s ln s(-b_ns) ]
        a_nj = x_n . w_t + c_t + f_t      t = targets[n, j], one of the m_n real ones of n
        b_ns = x_n . w_d + c_d + f_d      d = drawn[s]
        s the logistic function, M the sum of all m_n

    word2vec draws k words for every target. Here S draws serve the whole batch and each counts
    k/S times: the same on average, in one product of matrices. A drawn word that happens to be
    the target stays among the drawn: only so is the best score exactly ln(P / (k Q)), P the
    chance of the word in this context and Q that of one draw (Levy and Goldberg, 2014). With
    f = -ln(k Q) the best x . w + c is ln P itself: noise-contrastive estimation (Mnih and
    Kavukcuoglu, 2013).

    Args:
        x: (N, H). weight: (V, H). targets: (N,), or (N, K) with `mask` (N, K) where an x has
            several. drawn: (S,) ids, drawn with replacement. negatives: k. bias: c (V,) or None.
            offset: f (V,), not trained, or None.
        sparse: gradients of weight and bias as sparse tensors, rows and values, for `RowAdagrad`
            and `LazyAdam`; False: dense ones, which every optimiser takes.

    Gradients reach x, weight and bias; they are worked out by hand, so that nothing of size V is
    made, and no second derivative exists.

    Raises:
        ValueError: shapes that do not fit, no draw, no real target; on a CPU, an id outside the
            vocabulary.

    Source: Mikolov et al., Distributed representations of words and phrases, 2013.
    Taught in solutions/07_word_embeddings.ipynb.
    """
    several = mask is not None
    mask = _check(x, weight, targets, drawn, mask, bias, offset)
    if several:  # an x without a real target may be NaN, and 0 times that would reach the loss
        x = x.masked_fill(~mask.any(1, keepdim=True), 0.0)
    targets = targets.view(len(x), -1).masked_fill(~mask, 0)
    real = mask.to(torch.promote_types(x.dtype, torch.float32))
    share = real / real.sum()  # (N, K)
    scale = share.sum(1) * (negatives / len(drawn))  # (N,)
    return _Cost.apply(x, weight, bias, offset, targets, drawn, share, scale, sparse)


class _Cost(torch.autograd.Function):
    """The mean cost, with the gradients made on the way forward."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        offset: Tensor | None,
        targets: Tensor,
        drawn: Tensor,
        share: Tensor,
        scale: Tensor,
        sparse: bool,
    ) -> Tensor:
        kind = product_dtype(x)
        exact = torch.promote_types(kind, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            w_d = weight.index_select(0, drawn).to(kind)  # (S, H)
            w_t = weight.index_select(0, targets.flatten()).to(kind)  # (N * K, H)
            w_t, h = w_t.view(*targets.shape, -1), x.to(kind)
            a = torch.linalg.vecdot(w_t, h[:, None]).to(exact)  # (N, K)
            b = (h @ w_d.T).to(exact)  # (N, S)
            for part in (bias, offset):
                if part is not None:
                    a, b = a + part[targets], b + part[drawn]
            cost = (F.softplus(-a) * share).sum() + (F.softplus(b).sum(1) * scale).sum()
            to_a = (a.sigmoid() - 1) * share  # dL/da
            to_b = b.sigmoid_().mul_(scale[:, None])  # dL/db
        ctx.save_for_backward(h, w_t, w_d, targets, drawn, to_a, to_b)
        ctx.shape, ctx.sparse, ctx.kinds = weight.shape, sparse, (x.dtype, weight.dtype)
        ctx.bias_kind = None if bias is None else bias.dtype
        return cost

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        h, w_t, w_d, targets, drawn, to_a, to_b = ctx.saved_tensors
        to_x = to_weight = to_bias = None
        rows = torch.cat([drawn, targets.flatten()])
        low_a, low_b = (to_a * scale).to(h.dtype), (to_b * scale).to(h.dtype)
        if ctx.needs_input_grad[0]:
            to_x = low_b @ w_d + (low_a[:, :, None] * w_t).sum(1)
            to_x = to_x.to(ctx.kinds[0])
        if ctx.needs_input_grad[1]:
            of_targets = (low_a[:, :, None] * h[:, None]).flatten(0, 1)
            values = torch.cat([low_b.T @ h, of_targets]).to(ctx.kinds[1])
            to_weight = table_gradient(rows, values, ctx.shape, ctx.sparse)
        if ctx.bias_kind is not None and ctx.needs_input_grad[2]:
            values = torch.cat([to_b.sum(0), to_a.flatten()]) * scale
            to_bias = table_gradient(rows, values.to(ctx.bias_kind), ctx.shape[:1], ctx.sparse)
        return to_x, to_weight, to_bias, *[None] * 6


def _check(
    x: Tensor,
    weight: Tensor,
    targets: Tensor,
    drawn: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    offset: Tensor | None,
) -> Tensor:
    """ValueError where something does not fit; the mask of the targets as (N, K)."""
    if x.dim() != 2 or weight.dim() != 2 or x.size(1) != weight.size(1):
        raise ValueError(
            f"x has shape {tuple(x.shape)} and weight {tuple(weight.shape)}: x is (N, H) and "
            "weight (V, H)"
        )
    if targets.dim() not in (1, 2) or len(targets) != len(x):
        raise ValueError(
            f"targets have shape {tuple(targets.shape)} for {len(x)} vectors: one row of targets "
            "for each"
        )
    if mask is None:
        mask = torch.ones_like(targets, dtype=torch.bool)
    if mask.shape != targets.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but targets have "
            f"{tuple(targets.shape)}: one True or False per target"
        )
    for name, part in (("bias", bias), ("offset", offset)):
        if part is not None and part.shape != weight.shape[:1]:
            raise ValueError(f"{name} has shape {tuple(part.shape)}, expected ({len(weight)},)")
    if drawn.dim() != 1 or not len(drawn):
        raise ValueError(f"drawn has shape {tuple(drawn.shape)}: give at least one word, as (S,)")
    if x.device.type == "cpu":  # on a GPU to look would be to wait
        if not bool(mask.any()):
            raise ValueError("there is no real target in this batch")
        ids = torch.cat([targets[mask], drawn])
        if not bool(((ids >= 0) & (ids < len(weight))).all()):
            raise ValueError(
                f"ids reach from {int(ids.min())} to {int(ids.max())} but the weight has "
                f"{len(weight)} rows: encode the text with the model's own vocabulary"
            )
    return mask.view(len(x), -1)


__all__ = ["negative_sampling_loss"]
