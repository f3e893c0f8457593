"""Chapter 02: cases for `clip_gradients`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import compare, keeps_type


def clip_gradients(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """All gradients scaled by one factor, so that their joint norm is at most max_norm."""
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    scale = min(1.0, max_norm / norm) if norm > 0 else 1.0
    return [g * scale for g in gradients]


def _mistakes(gradients: list[Tensor], max_norm: float) -> Iterator:
    """Sentences, and what an answer with that mistake would return."""
    yield (
        "nothing is clipped: scale when the joint norm is above max_norm, by min(1, ...)",
        (list(gradients)),
    )
    yield from _norm_mistakes(gradients, max_norm)
    yield from _apart_mistakes(gradients, max_norm)
    yield from _factor_mistakes(gradients, max_norm)
    yield from _return_mistakes(gradients, max_norm)


def _scaled(gradients: list[Tensor], factor: float) -> list[Tensor]:
    return [g * factor for g in gradients]


def _norm_mistakes(gradients: list[Tensor], max_norm: float) -> Iterator:
    """A wrong norm, used in the right way."""
    norms = [float(g.double().norm()) for g in gradients]
    flat = torch.cat([g.double().flatten() for g in gradients])
    norm, count, nested = float(flat.norm()), flat.numel(), 0.0
    matrices = math.hypot(*(n for g, n in zip(gradients, norms, strict=True) if g.dim() > 1))
    for n in norms:
        nested = math.sqrt(nested + n**2)
    root = "the norm is the root of the sum of all squares, over all tensors"
    for sentence, by in [
        ("the root is missing: " + root, norm**2),
        ("the norms of the tensors are added: add their squares, then take the root", sum(norms)),
        ("the sum of absolute values is taken: " + root, float(flat.abs().sum())),
        ("the largest entry is taken for the norm: " + root, float(flat.abs().max())),
        ("the largest tensor's norm is taken: " + root, max(norms)),
        ("only the first tensor's norm is taken: " + root, norms[0]),
        ("only tensors with rows and columns are counted: " + root, matrices),
        ("only the last tensor's norm is taken: " + root, norms[-1]),
        ("the norms of the tensors are averaged: " + root, sum(norms) / len(norms)),
        ("the mean of the squares is taken: the norm needs their sum", norm / math.sqrt(count)),
        ("the entries are added without squares: " + root, abs(float(flat.sum()))),
        ("the root is taken of every square, or of the norm once more: " + root, math.sqrt(norm)),
        ("the norm is divided by the number of tensors: " + root, norm / len(gradients)),
        ("the squares are averaged over the tensors: " + root, norm / len(gradients) ** 0.5),
        ("the root is taken inside the loop: first add all squares, then one root", nested),
        ("the norms are added without squares under the root: " + root, math.sqrt(sum(norms))),
        ("the norm is divided by its number of entries: " + root, norm / count),
        ("the standard deviation is taken: " + root, float(flat.std())),
    ]:
        factor = min(1.0, max_norm / by) if by > 0 else 1.0
        yield sentence, _scaled(gradients, factor)


def _apart_mistakes(gradients: list[Tensor], max_norm: float) -> Iterator:
    """Not one factor for all."""
    norms = [float(g.double().norm()) for g in gradients]
    norm = math.hypot(*norms)

    def each(change: Callable[[Tensor, float], Tensor]) -> list[Tensor]:
        return [change(g, n) for g, n in zip(gradients, norms, strict=True)]

    yield (
        "each tensor is clipped by its own norm: one norm over all of them keeps the direction",
        each(lambda g, n: g * min(1.0, max_norm / n) if n > 0 else g),
    )
    share = max_norm / math.sqrt(len(gradients))
    yield (
        "max_norm is shared out among the tensors: one factor for all keeps the direction",
        each(lambda g, n: g * min(1.0, share / n) if n > 0 else g),
    )
    yield (
        "only the tensors whose own norm is too large are scaled: scale all by one factor",
        each(lambda g, n: g * (max_norm / norm) if n > max_norm else g),
    )
    yield (
        "single entries are cut (clipping by value): scale everything by one factor",
        [g.clamp(-max_norm, max_norm) for g in gradients],
    )
    cut = [g.clamp(-max_norm, max_norm) for g in gradients]
    again = math.hypot(*(float(g.double().norm()) for g in cut))
    yield (
        "single entries are cut before everything is scaled: scale, and nothing else",
        _scaled(cut, min(1.0, max_norm / again)),
    )
    along = "each row or column is clipped by its own norm: one norm over all of them"
    for dim in (0, -1):
        yield (
            along,
            [
                g * (max_norm / g.norm(dim=dim, keepdim=True).clamp(min=1e-30)).clamp(max=1)
                for g in gradients
            ],
        )
    excess = max(0.0, norm - max_norm)
    yield "the excess is subtracted: multiply by max_norm / norm", [g - excess for g in gradients]
    if norm > max_norm:
        alone = [g * (max_norm / norm) if i == 0 else g for i, g in enumerate(gradients)]
        yield "only the first tensor is scaled: scale all by one factor", alone


def _factor_mistakes(gradients: list[Tensor], max_norm: float) -> Iterator:
    """The right norm, used in a wrong way."""
    norm = math.hypot(*(float(g.double().norm()) for g in gradients))
    large, ratio = norm > max_norm, max_norm / norm if norm > 0 else 1.0
    unscaled = (
        "the gradients are divided by their norm, but not multiplied by max_norm (or max_norm is "
        "taken to be 1)"
    )
    if norm**2 > max_norm >= norm:
        yield (
            "the square of the norm is compared with max_norm, so small gradients are scaled up: "
            "compare the norm",
            _scaled(gradients, ratio),
        )
    for sentence, factor in [
        (
            "small gradients are scaled up: leave them alone when the norm is below max_norm",
            ratio,
        ),
        (unscaled, 1 / max(norm, 1e-30)),
        (unscaled, 1 / norm if large else 1.0),
        (unscaled, 1 / norm if norm > 1 else 1.0),
        (
            "the gradients are multiplied by max_norm, but not divided by their norm",
            max_norm if large else 1.0,
        ),
        ("the factor is upside down: max_norm / norm", 1 / ratio if large else 1.0),
        ("the factor is upside down: max_norm / norm", max(1.0, 1 / ratio)),
        ("the factor is squared: max_norm / norm", ratio**2 if large else 1.0),
        ("the root of the factor is taken: max_norm / norm", ratio**0.5 if large else 1.0),
        (
            "the gradients are divided by max_norm: multiply by max_norm / norm",
            1 / max_norm if large else 1.0,
        ),
        ("gradients that are too large are set to zero: scale them", 0.0 if large else 1.0),
        ("small gradients are set to zero: leave them as they are", ratio if large else 0.0),
        (
            "max_norm is shared out among the tensors: it is the limit of all together",
            min(1.0, ratio / len(gradients)),
        ),
        ("max_norm is squared: max_norm / norm", max_norm**2 / norm if large else 1.0),
        ("max_norm is squared: max_norm / norm", min(1.0, max_norm**2 / max(norm, 1e-30))),
        ("the sign is turned round", -min(1.0, ratio)),
        ("the factor is 1 - max_norm / norm: it is max_norm / norm", 1 - ratio if large else 1.0),
    ]:
        yield sentence, _scaled(gradients, factor)
    for extra in (1.0, 0.1, 0.01, 1e-3):
        factor = min(1.0, max_norm / (norm + extra))
        yield (
            f"the number added to the norm, {extra}, is large enough to count: 1e-6 is the usual",
            _scaled(gradients, factor),
        )


def _return_mistakes(gradients: list[Tensor], max_norm: float) -> Iterator:
    right = clip_gradients(gradients, max_norm)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    yield "the norm is returned: return the scaled gradients", norm
    yield "the factor is returned: return the scaled gradients", (max_norm / norm).clamp(max=1)
    for both in ((right, norm), (norm, right), (right, float(norm))):
        yield "two things are returned: return the list of gradients alone", both
    flat = torch.cat([g.flatten() for g in right])
    yield "one long vector is returned: a list of tensors of the shapes that came in", flat
    yield (
        "the tensors are flattened: they keep the shapes that came in",
        [g.flatten() for g in right],
    )
    yield "the tensors come back in another order", right[::-1]
    yield "only the first tensor is returned: `return` stands inside the loop", right[:1]
    yield "only the first tensor is returned: `return` stands inside the loop", right[0]
    yield "only the last tensor is returned: collect them in a list", right[-1]
    yield "the signs are lost (abs)", [g.abs() for g in right]
    nothing: list[Any] = [[], [None] * len(gradients)]
    for value in nothing:
        yield "the list comes back without gradients: small ones are returned, too", value


def _case(answer: Answer, gradients: list[Tensor], max_norm: float) -> None:
    rng = torch.Generator().manual_seed(7)
    norm = float(torch.cat([g.flatten() for g in gradients]).norm())
    probe = _gradients(rng, 170.0 if norm > max_norm else 1.9), 2.3
    got = compare(answer, clip_gradients, (gradients, max_norm), "gradients", _mistakes, probe)
    for index, (value, given) in enumerate(zip(got, gradients, strict=True)):
        keeps_type(value, given, f"gradients[{index}]")


def _gradients(rng: torch.Generator, norm: float) -> list[Tensor]:
    """Three tensors of different shapes and sizes, with this joint norm."""
    shapes = [(3, 5), (7,), (2, 3, 2)]
    found = [
        torch.randn(*s, generator=rng, dtype=torch.float64) * (i + 1) for i, s in enumerate(shapes)
    ]
    size = math.hypot(*(float(g.norm()) for g in found))
    return [g * (norm / size) for g in found]


def clip_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """norms of 20, 60 and 15 make 65 together."""
    square = torch.tensor([[0.0, 36.0], [-48.0, 0.0]])
    _case(answer, [torch.tensor([12.0, -16.0]), square, torch.tensor([9.0, 12.0])], 5.2)


def clip_large(answer: Answer, rng: torch.Generator) -> None:
    """three tensors of different shapes, far too large."""
    _case(answer, _gradients(rng, 31.0), 1.7)


def clip_small(answer: Answer, rng: torch.Generator) -> None:
    """gradients below the limit stay as they are."""
    _case(answer, _gradients(rng, 0.1), 5.0)
    _case(answer, _gradients(rng, 0.7), 0.8)
    _case(answer, _gradients(rng, 2.0), 3.0)


def clip_close(answer: Answer, rng: torch.Generator) -> None:
    """norms and limits below 1, and just above the limit."""
    for norm, max_norm in ((0.5, 0.3), (3.0, 2.9)):
        gradients = _gradients(rng, norm)
        if agrees(answer(gradients, max_norm), gradients):
            raise Wrong(
                f"gradients of norm {norm} are not clipped to {max_norm}: compare the norm itself "
                "with max_norm, however small the two are"
            )
        _case(answer, gradients, max_norm)


def clip_zero(answer: Answer, rng: torch.Generator) -> None:
    """gradients that are all zero stay zero, not NaN."""
    zeros = [torch.zeros(2, 3), torch.zeros(5)]
    nan = [torch.full((2, 3), torch.nan), torch.full((5,), torch.nan)]
    sentence = "0 / 0: a norm of zero must not be divided by (add 1e-6, or test for it)"
    expect(answer(zeros, 1.0), zeros, "gradients", {sentence: nan})


def clip_one_large(answer: Answer, rng: torch.Generator) -> None:
    """one huge tensor scales the small ones too: the direction stays."""
    gradients = _gradients(rng, 0.2)
    gradients[1] = gradients[1] * 300
    _case(answer, gradients, 0.7)
