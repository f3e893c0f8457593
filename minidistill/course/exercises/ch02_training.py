"""Chapter 02, training: the loss over real targets, and clipping by norm."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.exercise import expect

IGNORE = -100


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -ln softmax(logits)[target] over targets that are not -100; (B, T, V), (B, T)."""
    log_p = logits - logits.logsumexp(dim=-1, keepdim=True)
    real = targets != IGNORE
    chosen = log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -(chosen * real).sum() / real.sum().clamp(min=1)


def _loss_mistakes(logits: Tensor, targets: Tensor) -> dict[str, Any]:
    log_p = logits.log_softmax(-1)
    real = targets != IGNORE
    cost = -log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    total, count = (cost * real).sum(), real.sum()
    B, T, V = logits.shape
    over_time, over_batch = logits.log_softmax(1), logits.log_softmax(0)
    row_means = (cost * real).sum(1) / real.sum(1).clamp(min=1)
    return {
        "padding counts as target 0: leave out the positions where the target is -100": cost.mean(),
        "the padding's loss is left out, but it is divided by all B x T positions: divide by the "
        "number of real targets": total / (B * T),
        "this is the sum: divide by the number of real targets": total,
        "the sum is divided by the batch size: divide by the number of real targets": total / B,
        "the sum is divided by the number of steps: divide by the number of real targets": total
        / T,
        "the sum is divided by the vocabulary size too: a mean over the targets only": total
        / count
        / V,
        "the sign is wrong: the loss is minus the log-probability": -total / count,
        "this is in bits (log2): the loss is in nats (ln)": total / count / math.log(2),
        "this is the perplexity: the loss is its logarithm": torch.exp(total / count),
        "the probability itself is averaged: take the logarithm first": (
            ((-cost).exp() * real).sum() / count
        ),
        "one minus the probability is not the cross-entropy: take -ln of it": (
            ((1 - (-cost).exp()) * real).sum() / count
        ),
        "the softmax runs over time: it belongs over the vocabulary (dim=-1)": -(
            over_time.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * real
        ).sum()
        / count,
        "the softmax runs over the batch: it belongs over the vocabulary (dim=-1)": -(
            over_batch.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * real
        ).sum()
        / count,
        "the logits are used as log-probabilities: subtract their logsumexp": -(
            logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0] * real
        ).sum()
        / count,
        "each row is averaged first: a short row would then weigh as much as a long one": (
            row_means.mean()
        ),
        "this is a loss for each position: average over the real ones": cost * real,
        "the loss of each row is returned: average over all real targets": row_means,
        "the largest logit counts, not the target's": -(log_p.amax(-1) * real).sum() / count,
        "all real targets' probabilities are averaged before the logarithm": -(
            ((-cost).exp() * real).sum() / count
        ).log(),
    }


def _loss_inputs(rng: torch.Generator, B: int, T: int, V: int) -> tuple[Tensor, Tensor]:
    logits = torch.randn(B, T, V, generator=rng, dtype=torch.float64) * 2
    targets = torch.randint(V, (B, T), generator=rng)
    lengths = torch.randint(1, T, (B,), generator=rng)
    return logits, targets.masked_fill(torch.arange(T) >= lengths[:, None], IGNORE)


def _loss_case(answer: Answer, logits: Tensor, targets: Tensor) -> None:
    want = mean_cross_entropy(logits, targets)
    expect(answer(logits, targets), want, "the loss", _loss_mistakes(logits, targets))


def loss_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """equal logits over 4 tokens cost ln 4 = 1.3863."""
    logits = torch.tensor([[[1.0, 1.0, 1.0, 1.0]]])
    _loss_case(answer, logits, torch.tensor([[2]]))
    logits = torch.tensor([[[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]]])
    _loss_case(answer, logits, torch.tensor([[0, 1]]))


def loss_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, T = 5, V = 11, every target real."""
    logits = torch.randn(3, 5, 11, generator=rng, dtype=torch.float64) * 2
    _loss_case(answer, logits, torch.randint(11, (3, 5), generator=rng))


def loss_ragged(answer: Answer, rng: torch.Generator) -> None:
    """targets of -100 do not count."""
    _loss_case(answer, *_loss_inputs(rng, 5, 7, 11))


def loss_extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 10,000 and of -10,000 overflow nothing."""
    logits = torch.randn(2, 3, 5, generator=rng)
    targets = torch.randint(5, (2, 3), generator=rng)
    want = mean_cross_entropy(logits.double(), targets).float()
    sentence = (
        "exp of a large logit overflows: subtract the row's largest logit first "
        "(logits - logits.amax(-1, keepdim=True)); the softmax does not change"
    )
    small = "a small number is added inside the logarithm: it limits how large a loss can get"
    for shift in (1e4, -1e4):
        broken = {sentence: torch.tensor(torch.nan), f"{sentence} ": torch.tensor(torch.inf)}
        got = answer(logits + shift, targets)
        expect(got, want, "the loss", broken, tolerance=1e-2)
    far = torch.zeros(1, 1, 3, dtype=torch.float64)
    far[0, 0, 0] = 200.0
    floors = {
        small + " " * i: -torch.tensor(e).log() for i, e in enumerate((1e-8, 1e-9, 1e-10, 1e-12))
    }
    cut = {sentence: torch.tensor(torch.inf, dtype=torch.float64), **floors}
    got = answer(far, torch.tensor([[1]]))
    expect(got, torch.tensor(200.0), "the loss of a hopeless guess", cut, tolerance=1e-4)


def loss_gradient(answer: Answer, rng: torch.Generator) -> None:
    """its gradient is softmax minus one-hot, over the number of real targets."""
    inputs = _loss_inputs(rng, 3, 5, 7)
    got = answer.gradients(*inputs, wrt=(0,))["inputs"][0]
    want = reference_answer(mean_cross_entropy).gradients(*inputs, wrt=(0,))["inputs"][0]
    expect(got, want, "the gradient of the logits")


def clip_gradients(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """All gradients scaled by one factor, so that their joint norm is at most max_norm."""
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    scale = min(1.0, max_norm / norm) if norm > 0 else 1.0
    return [g * scale for g in gradients]


def _clip_mistakes(gradients: list[Tensor], max_norm: float) -> dict[str, Any]:
    squares = [float((g.double() ** 2).sum()) for g in gradients]
    norm = math.sqrt(sum(squares))
    apart = sum(math.sqrt(s) for s in squares)
    total = sum(float(g.double().abs().sum()) for g in gradients)
    largest = max(float(g.abs().max()) for g in gradients)
    count = sum(g.numel() for g in gradients)

    def scaled(by: float, always: bool = False) -> list[Tensor]:
        factor = max_norm / by if by > 0 else 1.0
        return [g * (factor if always else min(1.0, factor)) for g in gradients]

    return {
        "each tensor is clipped by its own norm: one norm over all of them keeps the direction": [
            g * min(1.0, max_norm / math.sqrt(s)) if s > 0 else g
            for g, s in zip(gradients, squares, strict=True)
        ],
        "single entries are cut (clipping by value): scale everything by one factor": [
            g.clamp(-max_norm, max_norm) for g in gradients
        ],
        "small gradients are scaled up: leave them alone when the norm is below max_norm": scaled(
            norm, always=True
        ),
        "the root is missing: the norm is the square root of the sum of squares": scaled(norm**2),
        "the norms of the tensors are added: add their squares, then take the root": scaled(apart),
        "this is the sum of absolute values: the norm is the root of the sum of squares": scaled(
            total
        ),
        "this is the largest entry: the norm is the root of the sum of squares": scaled(largest),
        "the mean of the squares is taken: the norm needs their sum": scaled(
            norm / math.sqrt(count)
        ),
        "the gradients are divided by their norm, but not multiplied by max_norm": [
            g / max(norm, 1e-30) for g in gradients
        ],
        "the gradients are divided by their norm only when it is too large, but not multiplied by "
        "max_norm": [g / norm if norm > max_norm else g for g in gradients],
        "nothing is clipped": list(gradients),
        "gradients that are too large are set to zero: scale them": [
            g * 0 if norm > max_norm else g for g in gradients
        ],
        "only the tensors whose own norm is too large are scaled: scale all by one factor": [
            g * (max_norm / norm) if math.sqrt(s) > max_norm else g
            for g, s in zip(gradients, squares, strict=True)
        ],
        "the factor is upside down: max_norm / norm": [
            g * (norm / max_norm) if norm > max_norm else g for g in gradients
        ],
        "the gradients are divided by max_norm: multiply by max_norm / norm": [
            g / max_norm if norm > max_norm else g for g in gradients
        ],
    }


def _clip_case(answer: Answer, gradients: list[Tensor], max_norm: float) -> None:
    want = clip_gradients(gradients, max_norm)
    expect(answer(gradients, max_norm), want, "gradients", _clip_mistakes(gradients, max_norm))


def _gradient_list(rng: torch.Generator, scale: float) -> list[Tensor]:
    shapes = [(3, 5), (7,), (2, 3, 2)]
    return [
        torch.randn(*s, generator=rng, dtype=torch.float64) * scale * (i + 1)
        for i, s in enumerate(shapes)
    ]


def clip_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """(3, 4) and (12) have joint norm 13."""
    _clip_case(answer, [torch.tensor([3.0, 4.0]), torch.tensor([12.0])], 6.5)


def clip_large(answer: Answer, rng: torch.Generator) -> None:
    """three tensors of different shapes, far too large."""
    _clip_case(answer, _gradient_list(rng, 3.0), 1.7)


def clip_small(answer: Answer, rng: torch.Generator) -> None:
    """gradients below the limit stay as they are."""
    _clip_case(answer, _gradient_list(rng, 0.01), 5.0)


def clip_zero(answer: Answer, rng: torch.Generator) -> None:
    """gradients that are all zero stay zero, not NaN."""
    zeros = [torch.zeros(2, 3), torch.zeros(5)]
    nan = [torch.full((2, 3), torch.nan), torch.full((5,), torch.nan)]
    sentence = "0 / 0: a norm of zero must not be divided by (add 1e-6, or test for it)"
    expect(answer(zeros, 1.0), zeros, "gradients", {sentence: nan})


def clip_one_large(answer: Answer, rng: torch.Generator) -> None:
    """one huge tensor scales the small ones too: the direction stays."""
    gradients = _gradient_list(rng, 0.05)
    gradients[1] = gradients[1] * 300
    _clip_case(answer, gradients, 0.7)
