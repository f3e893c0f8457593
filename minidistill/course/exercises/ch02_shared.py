"""Chapter 02: what the cases of its exercises share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import Wrong, expect


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
    """Complain about a tensor of another precision than the inputs'."""
    if isinstance(got, Tensor) and got.dtype != want.dtype:
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
    for sentence, values in mistakes:
        pairs = list(zip(got, values, strict=False))
        same = [isinstance(g, Tensor) and g.shape == v.shape for g, v in pairs]
        if all(same) and all(torch.allclose(g, v, rtol=1e-5, atol=1e-7) for g, v in pairs):
            near = [torch.allclose(v, w, rtol=1e-5, atol=1e-7) for v, w in zip(values, want)]
            if not all(near):
                raise Wrong(sentence)
    for name, a, b in zip(names, got, want, strict=True):
        cut = {f"no gradient reaches {name}: it is detached somewhere": torch.zeros_like(b)}
        expect(a, b, f"the gradient of {name}", cut)
