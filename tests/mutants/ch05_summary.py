"""Answers to 05.3 summarise as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def places(mask):
    last = (torch.arange(mask.size(1)) * mask).amax(1)
    return mask.long().argmax(1), last


def at(states, place):
    return states[torch.arange(len(states)), place]


def empty(summary, mask):
    return summary.masked_fill(~mask.any(1)[:, None], 0.0)


@wrong("05.3", "the last column is read, which is padding")
def last_column(states, mask, bidirectional):
    if not bidirectional:
        return empty(states[:, -1], mask)
    forwards, backwards = states.chunk(2, dim=-1)
    return empty(torch.cat([forwards[:, -1], at(backwards, places(mask)[0])], -1), mask)


@wrong("05.3", "two mistakes at once. (1) the last column is read")
def last_column_and_first(states, mask, bidirectional):
    if not bidirectional:
        return empty(states[:, -1], mask)
    forwards, backwards = states.chunk(2, dim=-1)
    return empty(torch.cat([forwards[:, -1], backwards[:, 0]], -1), mask)


@wrong("05.3", "at the last real token, where that direction has only begun")
def both_at_the_end(states, mask, bidirectional):
    return empty(at(states, places(mask)[1]), mask)


@wrong("05.3", "the number of real tokens is taken for the place")
def by_length(states, mask, bidirectional):
    last = mask.sum(1) - 1
    if not bidirectional:
        return empty(at(states, last), mask)
    forwards, backwards = states.chunk(2, dim=-1)
    return empty(torch.cat([at(forwards, last), at(backwards, places(mask)[0])], -1), mask)


@wrong("05.3", "two mistakes at once")
def by_length_and_first_column(states, mask, bidirectional):
    last = mask.sum(1) - 1
    if not bidirectional:
        return empty(at(states, last), mask)
    forwards, backwards = states.chunk(2, dim=-1)
    return empty(torch.cat([at(forwards, last), backwards[:, 0]], -1), mask)


@wrong("05.3", "at the first column")
def padding_in_front_forgotten(states, mask, bidirectional):
    last = places(mask)[1]
    if not bidirectional:
        return empty(at(states, last), mask)
    forwards, backwards = states.chunk(2, dim=-1)
    return empty(torch.cat([at(forwards, last), backwards[:, 0]], -1), mask)


@wrong("05.3", "where nothing is real the summary must be zeros")
def nothing_is_something(states, mask, bidirectional):
    first, last = places(mask)
    if not bidirectional:
        return at(states, last)
    forwards, backwards = states.chunk(2, dim=-1)
    return torch.cat([at(forwards, last), at(backwards, first)], -1)


@wrong("05.3", "the mean over the real tokens")
def mean(states, mask, bidirectional):
    real = mask[:, :, None]
    return (states * real).sum(1) / real.sum(1).clamp(min=1)


@wrong("05.3", "the halves are joined in the wrong order")
def backwards_first(states, mask, bidirectional):
    right_one = as_in_the_chapter(states, mask, bidirectional)
    return torch.cat(right_one.chunk(2, -1)[::-1], -1) if bidirectional else right_one


@wrong("05.3", "the two directions are added")
def added(states, mask, bidirectional):
    summary = as_in_the_chapter(states, mask, bidirectional)
    return sum(summary.chunk(2, -1)) if bidirectional else summary


@wrong("05.3", "there is one direction and nothing to split")
def always_split(states, mask, bidirectional):
    first, last = places(mask)
    forwards, backwards = states.tensor_split(2, dim=-1)
    return empty(torch.cat([at(forwards, last), at(backwards, first)], -1), mask)


@wrong("05.3", "bidirectional is taken the wrong way round")
def wrong_way_round(states, mask, bidirectional):
    return as_in_the_chapter(states, mask, not bidirectional)


@wrong("05.3", "a dimension of size 1")
def one_dimension_too_many(states, mask, bidirectional):
    return as_in_the_chapter(states, mask, bidirectional)[:, None]


@wrong("05.3", "no gradient reaches")
def detached(states, mask, bidirectional):
    return as_in_the_chapter(states, mask, bidirectional).detach()


@wrong("05.3", "in place")
def states_overwritten(states, mask, bidirectional):
    states[~mask] = 0.0
    return as_in_the_chapter(states, mask, bidirectional)


@wrong("05.3", "minidistill.encoder.summarise may not be used here")
def the_packages_own(states, mask, bidirectional):
    from minidistill.encoder import summarise

    return summarise(states, mask, bidirectional)


@right("05.3")
def as_in_the_chapter(states, mask, bidirectional):
    first, last = places(mask)
    if bidirectional:
        forwards, backwards = states.chunk(2, dim=-1)
        summary = torch.cat([at(forwards, last), at(backwards, first)], dim=-1)
    else:
        summary = at(states, last)
    return empty(summary, mask)


@right("05.3")
def row_by_row(states, mask, bidirectional):
    rows, half = [], states.size(-1) // 2
    for row, real in zip(states, mask, strict=True):
        found = real.nonzero().flatten().tolist()
        if not found:
            rows.append(row[0] * 0)
        elif bidirectional:
            rows.append(torch.cat([row[found[-1], :half], row[found[0], half:]]))
        else:
            rows.append(row[found[-1]])
    return torch.stack(rows)


@right("05.3")
def by_gather(states, mask, bidirectional):
    last = mask.size(1) - 1 - mask.flip(1).int().argmax(1)
    first = mask.int().argmax(1)

    def pick(part, place):
        index = place[:, None, None].expand(-1, 1, part.size(-1))
        return part.gather(1, index).squeeze(1) * mask.any(1, keepdim=True)

    if not bidirectional:
        return pick(states, last)
    half = states.size(-1) // 2
    return torch.cat([pick(states[..., :half], last), pick(states[..., half:], first)], -1)


@right("05.3")
def by_a_sum_over_one(states, mask, bidirectional):
    count = mask.long().cumsum(1)
    is_first = mask & (count == 1)
    is_last = mask & (count == count[:, -1:])
    first = torch.einsum("bs,bsc->bc", is_first.to(states.dtype), states)
    last = torch.einsum("bs,bsc->bc", is_last.to(states.dtype), states)
    if bidirectional:
        half = states.size(-1) // 2
        return torch.hstack([last[:, :half], first[:, half:]])
    return last
