"""The full softmax, exact, without the N x V table of logits: for measuring, and for training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.batches import IGNORE
from minidistill.fast_product import product

CHUNK = 4096
"""Classes looked at together: enough for fast products, and N x 4,096 logits at a time."""


def chunked_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    chunk: int = CHUNK,
) -> Tensor:
    """Mean cross-entropy (nats) under the full softmax, over real targets, in chunks of classes.

        L = -1/N sum over real n of [ z_n,t - ln sum_k e^(z_nk) ],   z = h W^T + c

    The sum over k is added up chunk by chunk, with the largest logit so far taken out; going
    back, each chunk's logits are made a second time. So it holds N x chunk numbers where
    `cross_entropy` holds N x V, for four products in the place of three. The gradient of the
    weight is (V, H), as that of any full softmax: cost still grows with V.

    Args:
        hidden: (..., H). weight: (V, H). bias: (V,) or None. targets: (...), IGNORE (-100)
            where nothing stands.

    Source: the running normaliser is that of Milakov and Gimelshein, Online normalizer
    calculation for softmax, 2018. Taught in solutions/08_sampled_softmax.ipynb.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk} but must be at least 1 class")
    check_targets(targets, len(weight))
    targets = targets.flatten()
    real = targets != IGNORE
    hidden = hidden.flatten(0, -2).masked_fill(~real[:, None], 0.0)
    costs = _ChunkedCosts.apply(hidden, weight, bias, targets.masked_fill(~real, 0), chunk)
    return (costs * real).sum() / real.sum().clamp(min=1)


def log_normaliser(hidden: Tensor, weight: Tensor, bias: Tensor | None, chunk: int) -> Tensor:
    """ln sum_k exp(h . w_k + c_k) for every row of hidden (N, H), chunk by chunk: (N,).

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    total = None
    for start in range(0, len(weight), chunk):
        part = _logits(hidden, weight, bias, start, chunk).logsumexp(1)
        total = part if total is None else torch.logaddexp(total, part)
    return total


def check_targets(targets: Tensor, vocab_size: int) -> None:
    """Raise ValueError for a target outside the vocabulary; only on a CPU, which need not wait."""
    if targets.device.type != "cpu":
        return
    outside = (targets != IGNORE) & ((targets < 0) | (targets >= vocab_size))
    if bool(outside.any()):
        raise ValueError(
            f"the target {int(targets[outside][0])} is outside the vocabulary of {vocab_size} "
            f"tokens: targets are ids from 0 to {vocab_size - 1}, or {IGNORE} for padding"
        )


def refuse_second_derivative() -> None:
    """Raise RuntimeError in a backward pass that is itself to be differentiated.

    torch's `once_differentiable` does not: where the loss's own gradient is a constant, as that
    of a loss is, it takes the first derivative for a constant too, and a penalty on it is lost.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "this loss has no second derivative: leave create_graph=True out, or use the logits "
            "and torch's cross_entropy"
        )


def product_dtype(hidden: Tensor) -> torch.dtype:
    """In what precision products with these hidden states are made: autocast's, or their own."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


class _ChunkedCosts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, chunk: int
    ) -> Tensor:
        low = product_dtype(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            h = hidden.to(low)
            normaliser = log_normaliser(h, weight, bias, chunk)
            own = (h * weight[targets].to(low)).sum(-1, dtype=normaliser.dtype)
            if bias is not None:
                own = own + bias[targets]
        ctx.save_for_backward(h, weight, bias, targets, normaliser)
        ctx.chunk, ctx.kind = chunk, hidden.dtype
        return normaliser - own

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        h, weight, bias, targets, normaliser = ctx.saved_tensors
        to_hidden = torch.zeros_like(h, dtype=normaliser.dtype)
        to_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        to_bias = None if bias is None else torch.empty_like(bias)
        for start in range(0, len(weight), ctx.chunk):
            # d cost / d z = softmax(z) - onehot(target), times what comes from above
            d = _logits(h, weight, bias, start, ctx.chunk).sub_(normaliser[:, None]).exp_()
            inside = (targets >= start) & (targets < start + d.size(1))
            place = (targets - start).clamp(0, d.size(1) - 1)[:, None]
            d.scatter_add_(1, place, -inside[:, None].to(d.dtype))
            d = d.mul_(scale[:, None])
            low, end = d.to(h.dtype), start + d.size(1)
            to_hidden += product(low, weight[start:end].to(h.dtype).T)
            if to_weight is not None:
                to_weight[start:end] = product(low.T, h.T)
            if to_bias is not None:
                to_bias[start:end] = d.sum(0)
        return to_hidden.to(ctx.kind), to_weight, to_bias, None, None


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, start: int, chunk: int) -> Tensor:
    """Logits of one chunk of classes, at least in float32: (N, chunk)."""
    rows = weight[start : start + chunk].to(hidden.dtype)
    logits = product(hidden, rows)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits if bias is None else logits.add_(bias[start : start + chunk])


__all__ = ["CHUNK", "check_targets", "chunked_cross_entropy", "log_normaliser"]
