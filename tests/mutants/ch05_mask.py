"""Answers to 05.1 lengths_to_mask as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


@wrong("05.1", "use <, not <=")
def up_to_the_length(lengths, max_length=None):
    T = max_length or int(lengths.max())
    return torch.arange(T) <= lengths[:, None]


@wrong("05.1", "one place too few")
def counted_from_one(lengths, max_length=None):
    T = max_length or int(lengths.max())
    return torch.arange(1, T + 1) < lengths[:, None]


@wrong("05.1", "the mask is inverted")
def marks_the_padding(lengths, max_length=None):
    T = max_length or int(lengths.max())
    return torch.arange(T) >= lengths[:, None]


@wrong("05.1", "max_length is ignored")
def never_wider(lengths, max_length=None):
    return torch.arange(int(lengths.max())) < lengths[:, None]


@wrong("05.1", "NoneType")
def always_given(lengths, max_length=None):
    return torch.arange(max_length * 1) < lengths[:, None]


@wrong("05.1", "give the lengths a second dimension")
def one_dimension(lengths, max_length=None):
    return torch.arange(max_length or int(lengths.max())) < lengths


@wrong("05.1", "time first (T, B)")
def time_first(lengths, max_length=None):
    return torch.arange(max_length or int(lengths.max()))[:, None] < lengths


@wrong("05.1", "must hold True and False")
def ones_and_zeros(lengths, max_length=None):
    mask = torch.zeros(len(lengths), max_length or int(lengths.max()))
    for row, n in zip(mask, lengths, strict=True):
        row[:n] = 1
    return mask


@wrong("05.1", "marked at the end of each row")
def padding_in_front(lengths, max_length=None):
    T = max_length or int(lengths.max())
    return torch.stack([torch.arange(T) >= T - n for n in lengths])


@wrong("05.1", "as wide as there are texts")
def as_wide_as_the_batch(lengths, max_length=None):
    T = len(lengths) if max_length is None else max_length
    return torch.arange(T) < lengths[:, None]


@wrong("05.1", "sorted by their length")
def sorted_as_for_packing(lengths, max_length=None):
    lengths = sorted(lengths.tolist(), reverse=True)
    T = max_length or lengths[0]
    return torch.tensor([[t < n for t in range(T)] for n in lengths])


@wrong("05.1", "an empty text has a real token")
def at_least_one_token(lengths, max_length=None):
    T = max_length or int(lengths.max())
    return torch.tensor([[t < max(1, int(n)) for t in range(T)] for n in lengths])


@wrong("05.1", "max_length=None in the first line")
def no_default(lengths, max_length):
    return torch.arange(max_length or int(lengths.max())) < lengths[:, None]


@wrong("05.1", "in place")
def lengths_overwritten(lengths, max_length=None):
    T = max_length or int(lengths.max())
    mask = torch.zeros(len(lengths), T, dtype=torch.bool)
    for t in range(T):
        mask[:, t] = lengths > 0
        lengths -= 1
    return mask


@wrong("05.1", "minidistill.batches.lengths_to_mask may not be used here")
def the_packages_own(lengths, max_length=None):
    from minidistill.batches import lengths_to_mask

    return lengths_to_mask(lengths, max_length)


@right("05.1")
def as_in_the_chapter(lengths, max_length=None):
    if max_length is None:
        max_length = int(lengths.max())
    return torch.arange(max_length, device=lengths.device) < lengths.unsqueeze(1)


@wrong("05.1", "it is a list")
def row_by_row(lengths, max_length=None):
    width = max(lengths.tolist()) if max_length is None else max_length
    return [[True] * n + [False] * (width - n) for n in lengths.tolist()]


@right("05.1")
def by_counting_up(lengths, max_length=None):
    width = lengths.max().item() if max_length is None else max_length
    places = torch.ones(len(lengths), width, dtype=torch.long).cumsum(1)
    return places.le(lengths.view(-1, 1))


@right("05.1")
def by_triangle(lengths, max_length=None):
    width = int(lengths.max()) if max_length is None else max_length
    return torch.ones(width + 1, width).tril(-1).bool()[lengths]
