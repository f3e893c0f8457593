"""Chapter 02: what the cases of its exercises share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import Wrong, agrees, expect


def numbers(rng: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64) * scale


def sequence(rng: torch.Generator, T: int, B: int, H: int) -> tuple[Tensor, Tensor, Tensor]:
    """a (T, B, H), h0 (B, H) and W_hh (H, H)."""
    return numbers(rng, T, B, H), numbers(rng, B, H, scale=0.5), numbers(rng, H, H, scale=0.6)


def ragged_lengths(rng: torch.Generator, T: int, B: int) -> Tensor:
    """Lengths of B rows, all below T: the first between, the second 1, the last T - 1."""
    lengths = torch.randint(1, T, (B,), generator=rng)
    lengths[0] = torch.randint(2, T - 1, (1,), generator=rng)
    lengths[1], lengths[-1] = 1, T - 1
    return lengths


def ragged_mask(rng: torch.Generator, T: int, B: int) -> Tensor:
    """True for the first n_b steps of each column, (T, B)."""
    return torch.arange(T)[:, None] < ragged_lengths(rng, T, B)


def mask_with_holes(rng: torch.Generator, T: int, B: int) -> Tensor:
    """Padding anywhere, also at the start, as it stands when a text is read backwards."""
    mask = torch.rand(T, B, generator=rng) < 0.6
    mask[0, 0], mask[0, 1], mask[1, 1] = True, False, True
    mask[-1, 0], mask[-1, 1] = False, True
    mask[2, 0], mask[3, 0] = False, True
    return mask


def keeps_type(got: Any, want: Tensor, what: str) -> None:
    """Complain about what is no tensor, or one of another precision than the inputs'."""
    if not isinstance(got, Tensor):
        raise Wrong(
            f"{what} is a {type(got).__name__}, not a tensor: .tolist() and numpy take it out of "
            "torch, so no gradient comes through"
        )
    if got.dtype != want.dtype:
        raise Wrong(
            f"{what} is {got.dtype}, but the inputs are {want.dtype}: keep their type "
            "(torch.zeros_like(x), x.new_zeros(...), no .float())"
        )


def without_mask(answer: Answer, *args: Any) -> Any:
    """Call with mask=None, then with no mask at all; explain what usually goes wrong there."""
    try:
        got = answer(*args, None)
    except Wrong as wrong:
        if "NoneType" not in str(wrong) or "bad operand" in str(wrong):
            raise
        raise Wrong(
            "the mask is None here, which means that every token is real: ask `if mask is None` "
            f"before you use it ({wrong})"
        ) from None
    try:
        answer(*args)
    except Wrong as wrong:
        raise Wrong(
            "it must also run when no mask is handed in: write mask=None in the first line "
            f"({wrong})"
        ) from None
    return got


def expect_gradients(
    got: Sequence[Any],
    want: Sequence[Tensor],
    names: Sequence[str],
    mistakes: Iterable[tuple[str, Sequence[Tensor]]] = (),
) -> None:
    """Compare gradients by name; one that is zero where it should not be was cut off."""
    if not all(map(agrees, got, want)):
        for sentence, values in mistakes:
            if all(map(agrees, got, values)):
                raise Wrong(sentence)
    for name, a, b in zip(names, got, want, strict=True):
        cut = {f"no gradient reaches {name}: it is detached somewhere": torch.zeros_like(b)}
        expect(a, b, f"the gradient of {name}", cut)


def compare(
    answer: Answer,
    reference: Callable[..., Any],
    args: Sequence[Any],
    what: str,
    mistakes: Callable[..., Iterable[tuple[str, Any]]],
    probe: Sequence[Any],
    got: Any = None,
) -> Any:
    """Compare an answer with the reference; name a known mistake where it fits twice.

    Two mistakes often give the same value for one input. So a sentence is spoken only if the
    answer makes the same mistake on a second, ordinary input, the probe.

    Args:
        answer: a handle to a function.
        reference: the right function.
        args: what both are called with.
        what: the name of the value, see `expect`.
        mistakes: for some arguments, (sentence, what that mistake makes of them).
        probe: the second input.
        got: what the answer returned, if it was called already.
    """
    got, want = answer(*args) if got is None else got, reference(*args)

    def fitting() -> Iterator[tuple[str, Any]]:
        for sentence, value in mistakes(*args):
            if agrees(got, value) and _fits(answer, sentence, mistakes, probe):
                yield sentence, value

    expect(got, want, what, fitting())
    return got


def _fits(
    answer: Answer,
    sentence: str,
    mistakes: Callable[..., Iterable[tuple[str, Any]]],
    probe: Sequence[Any],
) -> bool:
    try:
        got = answer(*probe)
    except Wrong:  # the answer fails on the probe, which says nothing for or against
        return True
    same = [value for other, value in mistakes(*probe) if other == sentence]
    return not same or any(agrees(got, value) for value in same)
