"""Chapter 05: more known wrong versions of `summarise`: mistakes that touch several steps."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch05_summary_mistakes import (
    FAULTS,
    build,
    first_place,
    last_place,
)

_RIGHT = build({})


def _left_out(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
    keep = mask.any(1)
    return _RIGHT(states[keep], mask[keep], bidirectional)


def _as_torch_gives_it(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
    summary = _RIGHT(states, mask, bidirectional)
    return torch.stack(summary.chunk(1 + bidirectional, dim=-1))


def _below_each_other(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
    return _as_torch_gives_it(states, mask, bidirectional).flatten(0, 1)


def _ends_of_masked(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
    states, everywhere = states.masked_fill(~mask[:, :, None], 0.0), torch.ones_like(mask)
    return _RIGHT(states, everywhere, bidirectional)


def _seen_in_the_states(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
    return _RIGHT(states, (states != 0).any(-1), bidirectional)


def _mean_of_the_ends(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
    if not bidirectional:
        return _RIGHT(states, mask, False)
    ends = [build({"one_way_at": at})(states, mask, False) for at in (first_place, last_place)]
    return torch.stack(ends).mean(0)


MISTAKES = (
    *two.singles(build, FAULTS),
    ("rows without a real token are left out: each has a summary, of zeros", _left_out),
    (
        "this is (directions, B, H), as torch.nn.GRU gives its last state: the summary is (B, C)",
        _as_torch_gives_it,
    ),
    (
        "the two directions have a dimension of their own: join them, (B, 2H)",
        lambda states, mask, both: _as_torch_gives_it(states, mask, both).transpose(0, 1),
    ),
    (
        "where bidirectional is False the state comes twice: there is one direction, (B, C)",
        lambda states, mask, both: _RIGHT(states, mask, both).repeat(1, 2 - both),
    ),
    (
        "this is the mean of the two ends: each half is read at one end, the forward half at the "
        "last real token, the backward half at the first",
        _mean_of_the_ends,
    ),
    (
        "the two directions stand below each other, (2B, H): put them side by side (dim=-1)",
        _below_each_other,
    ),
    (
        "padding is set to zeros and then the outer columns are read, so most rows get zeros: find "
        "each row's own last and first real token",
        _ends_of_masked,
    ),
    (
        "the real tokens are looked for in the states: zeros do not mark padding, which may hold "
        "anything; the mask says what is real",
        _seen_in_the_states,
    ),
)
PAIRS = tuple(two.pairs(build, FAULTS))
"""Two mistakes at once."""
