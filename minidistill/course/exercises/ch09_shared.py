"""Chapter 09: what the cases of its exercises share: inputs, and the mean over real tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import Mistake, compare
from minidistill.course.exercise import Wrong, agrees
from minidistill.course.exercises.ch02_shared import (
    expect_gradients,
    ragged_lengths,
    without_mask,
)
from minidistill.course.exercises.ch04_pairs import Fault
from minidistill.distillation import masked_mean

Mean = Callable[[Tensor, Tensor | None], Tensor]


def rows(rng: torch.Generator, *shape: int, scale: float = 2.0) -> Tensor:
    """Logits in float64."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64) * scale


def ragged(rng: torch.Generator, B: int, T: int) -> Tensor:
    """A mask (B, T) of texts of different lengths."""
    return torch.arange(T) < ragged_lengths(rng, T, B)[:, None]


def _of_means(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None or values.dim() < 2:
        return masked_mean(values, mask)
    kept = values.masked_fill(~mask, 0.0).sum(-1) / mask.sum(-1).clamp(min=1)
    return kept.mean()


def _by_batch(values: Tensor, mask: Tensor | None) -> Tensor:
    kept = values if mask is None else values.masked_fill(~mask, 0.0)
    return kept.sum() / len(values)


def _total(values: Tensor, mask: Tensor | None) -> Tensor:
    return (values if mask is None else values.masked_fill(~mask, 0.0)).sum()


def _sum_of_everything(values: Tensor, mask: Tensor | None) -> Tensor:
    return values.mean() if mask is None else values.sum() / mask.sum().clamp(min=1)


def _over_all_places(values: Tensor, mask: Tensor | None) -> Tensor:
    return values.mean() if mask is None else values.masked_fill(~mask, 0.0).mean()


MEANS: tuple[Fault, ...] = (
    (
        "padding is averaged in, as if the mask were not there: leave out the places where it is "
        "False, and divide by the number of those where it is True",
        {"mean": lambda values, mask: values.mean()},
    ),
    (
        "padding is set to 0, but the sum is divided by all places, padding too: divide by the "
        "number of real tokens, mask.sum(), or padding makes the loss look small",
        {"mean": _over_all_places},
    ),
    (
        "padding is in the sum, though it is divided by the number of real tokens: set its value "
        "to 0 first (masked_fill)",
        {"mean": _sum_of_everything},
    ),
    (
        "each row is averaged first, and then the rows: a token of a short row would weigh more "
        "than one of a long row. Add up all real tokens, then divide once",
        {"mean": _of_means},
    ),
    (
        "the sum is divided by the number of rows, the first dimension alone (as PyTorch's "
        "'batchmean' does): a row holds many tokens, so divide by the number of real tokens",
        {"mean": _by_batch},
    ),
    (
        "this is the sum over the tokens: divide by the number of real ones",
        {"mean": _total},
    ),
    (
        "the mask is turned round: True is a real token",
        {"mean": lambda values, mask: masked_mean(values, None if mask is None else ~mask)},
    ),
    (  # the same with padding that was filled with 0 beforehand, where nothing is left to count
        "the mask is turned round: True is a real token",
        {"mean": lambda values, mask: masked_mean(values, mask) * (mask is None)},
    ),
)
"""What is done with one value a token, (...), and the mask."""


def filled(student: Tensor, teacher: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits with 0 at padding, as `_exact` of the chapter gives them."""
    if mask is None:
        return student, teacher
    return tuple(z.masked_fill(~mask[..., None], 0.0) for z in (student, teacher))


def first_of(*checks: tuple[Callable[[], bool], str]) -> None:
    """Raise the sentence of the first check that is true."""
    for found, sentence in checks:
        if found():
            raise Wrong(sentence)


def strange(got: Any) -> bool:
    """Whether an answer is a tensor with NaN or infinity in it."""
    return isinstance(got, Tensor) and not bool(got.isfinite().all())


def compared(
    answer: Answer,
    reference: Callable[..., Any],
    args: Sequence[Any],
    mistakes: Sequence[Mistake],
    probes: Sequence[Sequence[Any]],
    what: str = "the loss",
) -> None:
    """As `compare`; and a right number that is no tensor is complained about."""
    got = compare(answer, reference, args, what, mistakes=mistakes, probes=probes)
    if not isinstance(got, Tensor):
        raise Wrong(
            f"{what} is right, but it is a {type(got).__name__}: .item(), float() and .tolist() "
            "take it out of torch, so no gradient reaches the student. Return the tensor"
        )


def refuse_teachers_gradient(answer: Answer, args: Sequence[Any], teacher: int = 1) -> None:
    """Wrong where a gradient reaches the teacher's logits."""
    found = answer.gradients(*args, wrt=(0, teacher))["inputs"][1]
    if bool((found != 0).any()):
        raise Wrong(
            "a gradient reaches the teacher, which would learn to be like its student: use "
            "teacher_logits.detach()"
        )


def mask_or_none(answer: Answer, *args: Any) -> None:
    """As `without_mask`, where the mask is the next argument; tells if the order is another."""
    try:
        without_mask(answer, *args)
    except Wrong as wrong:
        try:
            answer(*args, mask=None)
        except Wrong:
            raise wrong from None
        raise Wrong(
            "the mask is not taken where the exercise has it: keep the order of the arguments in "
            f"the first line, mask right after the first {len(args)}, then temperature"
        ) from None


def same_gradients(
    answer: Answer,
    reference: Callable[..., Any],
    args: Sequence[Any],
    name: str,
    mistakes: Sequence[Mistake] = (),
) -> None:
    """Compare the gradients by the first argument with the reference's, naming a known mistake."""
    got = answer.gradients(*args, wrt=(0,))["inputs"]
    want = reference_answer(reference).gradients(*args, wrt=(0,))["inputs"]
    known = [
        (sentence, reference_answer(mistaken).gradients(*args, wrt=(0,))["inputs"])
        for sentence, mistaken in mistakes
    ]
    expect_gradients(got, want, (name,), known)


def calm_at_padding(answer: Answer, args: Sequence[Any]) -> None:
    """Wrong where NaN at padding spoils the gradient, though the loss itself is right."""
    if strange(answer.gradients(*args, wrt=(0,))["inputs"][0]):
        raise Wrong(
            "the loss is right, but NaN at padding reaches the gradient, and with it every weight "
            "of the student: 0 times NaN is NaN on the way back too. Put 0 into the logits "
            "themselves, before anything is computed from them"
        )


def slope_of_nothing(answer: Answer, args: Sequence[Any]) -> None:
    """Wrong where the loss of no token at all is a 0 without a gradient, or with a NaN in it."""
    try:
        slope = answer.gradients(*args, wrt=(0,))["inputs"][0]
    except Wrong:
        raise Wrong(
            "where nothing is real the loss is 0, but a 0 that was not computed from the student's "
            "logits: backward() stops with an error there. Divide the sum, which is 0, by at least "
            "1"
        ) from None
    if strange(slope):
        raise Wrong(
            "where nothing is real the loss is 0, but its gradient is NaN: a division by 0 stays "
            "in the gradient even if the result is exchanged afterwards (nan_to_num, torch.where). "
            "Divide by at least 1"
        )


def differs(answer: Answer, one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two calls that should give the same do not."""
    return not agrees(answer(*one), answer(*other), 1e-7)
