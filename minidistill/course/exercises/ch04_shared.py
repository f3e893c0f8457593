"""Chapter 04: what the cases of its exercises share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def numbers(rng: torch.Generator, *shape: int, scale: float = 2.0) -> Tensor:
    """Normal numbers in float64: logits that favour some tokens clearly."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64) * scale


def removed(logits: Tensor, drop: Tensor) -> Tensor:
    """The logits with minus infinity where `drop` is True."""
    return logits.masked_fill(drop, -torch.inf)


def wrong_filling(got: Any, want: Any) -> str | None:
    """Words for the right tokens removed by a wrong number; None where something else is wrong."""
    if not isinstance(got, Tensor) or not isinstance(want, Tensor) or got.shape != want.shape:
        return None
    gone = want == -torch.inf
    if not got.is_floating_point() or not bool(gone.any()) or bool((got == want)[gone].all()):
        return None
    if not torch.allclose(got[~gone].double(), want[~gone].double()):
        return None
    values = got[gone]
    if bool((values == -torch.inf).any()):
        return None
    if bool((values == torch.inf).all()):
        return "the removed tokens get +inf, which makes them certain: minus infinity, -torch.inf"
    if bool((values == 0).all()):
        return (
            "the removed tokens get the logit 0, which is a score like others (exp(0) = 1): they "
            "need -torch.inf, whose probability is 0"
        )
    if bool((values < -100).all()):
        return (
            "the removed tokens get a large negative number: use -torch.inf, so that their "
            "probability is exactly 0 and later rules can see what is gone"
        )
    return None


def wrong_choice(got: Any, want: Any) -> str | None:
    """Words for logits that are wrong in another way: which row, which tokens."""
    sentence = wrong_filling(got, want)
    if sentence or not isinstance(got, Tensor) or got.shape != want.shape:
        return sentence
    if not got.is_floating_point() or bool(got.isnan().any()):
        return None
    gone, wrongly = want == -torch.inf, (got == -torch.inf) != (want == -torch.inf)
    if not bool(wrongly.any()):
        return (
            "the right tokens are removed, but the logits of the others are changed: they stay as "
            "they are, for the softmax comes after all rules"
        )
    row = int(wrongly.any(-1).long().argmax())
    if bool((got[row] == -torch.inf).all()):
        return (
            f"row {row} is left without any token, and its softmax would be NaN: at least one "
            "always stays"
        )
    mine, right = (_listed((x[row] == -torch.inf).nonzero().flatten()) for x in (got, want))
    kept = int((~gone[row]).sum())
    return (
        f"row {row} loses {mine}; it should lose {right}, so that {kept} of {len(want[row])} stay"
    )


def _listed(ids: Tensor) -> str:
    """Token ids in words."""
    if len(ids) == 0:
        return "no token"
    return f"the token{'s' if len(ids) > 1 else ''} " + ", ".join(map(str, ids.tolist()))
