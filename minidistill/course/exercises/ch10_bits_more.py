"""Chapter 10: further wrong versions of `open_vocabulary_bits`: padding, and which target."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minidistill.course.diagnosis import Mistake
from minidistill.open_vocabulary import open_vocabulary_bits

LEFT_NAN = (
    "the value is right, but the gradient of the logits at padding is NaN: what is left out after "
    "the softmax stays in the gradient, as NaN times 0. Leave the places out before it"
)
TOO_CHEAP = (
    "words that the model held nearly impossible cost too little: a number is added to p, or p has "
    "a lowest value. Take the logarithm and the softmax in one step (log_softmax)"
)
ONCE = (
    "two words with the same cost of spelling are paid for once (a set, or unique): each of them "
    "pays"
)
LEFT_OUT = (
    "the unknown word is left out altogether: without a mask every token is real, the one with the "
    "id 0 too, and an unknown word pays twice"
)


def _padding_is_unknown(
    logits: Tensor,
    targets: Tensor,
    spelling_nats: Tensor,
    characters: int,
    unknown_id: int = 0,
    mask: Tensor | None = None,
) -> Tensor:
    """The ids at padding become 0, and are then compared with unknown_id."""
    right = open_vocabulary_bits(logits, targets, spelling_nats, characters, unknown_id, mask)
    if mask is None or unknown_id != 0:
        return right
    return right + spelling_nats.masked_fill(mask, 0.0).sum() / math.log(2) / characters


def _padding_pays_for_equal_logits(
    logits: Tensor,
    targets: Tensor,
    spelling_nats: Tensor,
    characters: int,
    unknown_id: int = 0,
    mask: Tensor | None = None,
) -> Tensor:
    """The logits at padding become 0, and cost ln V each."""
    right = open_vocabulary_bits(logits, targets, spelling_nats, characters, unknown_id, mask)
    padding = 0 if mask is None else int((~mask).sum())
    return right + padding * math.log2(logits.size(-1)) / characters


def _shifted(
    logits: Tensor,
    targets: Tensor,
    spelling_nats: Tensor,
    characters: int,
    unknown_id: int = 0,
    mask: Tensor | None = None,
) -> Tensor:
    """Each target is compared with the logits of the place before it."""
    rest = targets[..., 1:], spelling_nats[..., 1:], characters, unknown_id
    return open_vocabulary_bits(logits[..., :-1, :], *rest, None if mask is None else mask[..., 1:])


def once(
    logits: Tensor, targets: Tensor, spelling: Tensor, characters: int, unknown: int, mask: Tensor
) -> Tensor:
    """Every cost of spelling counts once."""
    real = targets[mask] == unknown
    spelled = spelling[mask][real].unique().sum()
    nothing = torch.zeros_like(spelling)
    bits = open_vocabulary_bits(logits, targets, nothing, characters, unknown, mask)
    return bits + spelled / math.log(2) / characters


MORE: tuple[Mistake, ...] = (
    (
        "at padding the ids are replaced by 0, which is the unknown word's here, so that padding "
        "pays for spelling: the mask holds for it as well",
        _padding_is_unknown,
    ),
    (
        "the logits at padding are replaced by equal ones, which cost ln V each: set the cost "
        "there to 0 as well, or leave these places out",
        _padding_pays_for_equal_logits,
    ),
    (
        "the targets are moved by one place: the target at a place is the one that the logits "
        "there are about",
        _shifted,
    ),
)
