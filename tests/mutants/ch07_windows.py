"""Answers to 07.1 context_windows as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def table(words, offsets):
    """Places (N, C), clamped to the text, and which of them lie in it."""
    places = torch.arange(len(words))[:, None] + torch.tensor(list(offsets))
    return places.clamp(0, len(words) - 1), (places >= 0) & (places < len(words))


def around(window):
    return [*range(-window, 0), *range(1, window + 1)]


@wrong("07.1", "the word itself stands in the middle")
def middle_included(words, window):
    places, mask = table(words, range(-window, window + 1))
    return words[places], mask


@wrong("07.1", "a range ends before its second number")
def range_without_its_end(words, window):
    places, mask = table(words, [o for o in range(-window, window) if o != 0])
    return words[places], mask


@wrong("07.1", "the offset 0 is not wanted")
def plain_range(words, window):
    places, mask = table(words, range(-window, window))
    return words[places], mask


@wrong("07.1", "from right to left")
def minus_the_offset(words, window):
    places = torch.arange(len(words))[:, None] - torch.tensor(around(window))
    mask = (places >= 0) & (places < len(words))
    return words[places.clamp(0, len(words) - 1)], mask


@wrong("07.1", "from near to far, left and right in turn")
def nearest_first(words, window):
    offsets = []
    for step in range(1, window + 1):
        offsets += [-step, step]
    places, mask = table(words, offsets)
    return words[places], mask


@wrong("07.1", "the left neighbours go from near to far")
def outwards(words, window):
    places, mask = table(words, [-s for s in range(1, window + 1)] + list(range(1, window + 1)))
    return words[places], mask


@wrong("07.1", "both sides together")
def window_in_all(words, window):
    places, mask = table(words, around(window // 2))
    return words[places], mask


@wrong("07.1", "the mask is True everywhere")
def a_ring(words, window):
    context = torch.stack([words.roll(-o) for o in around(window)], 1)
    return context, torch.ones_like(context, dtype=torch.bool)


@wrong("07.1", "the mask is turned round")
def mask_of_what_is_missing(words, window):
    places, mask = table(words, around(window))
    return words[places], ~mask


@wrong("07.1", "a negative index counts from the end")
def only_the_end_is_masked(words, window):
    places = torch.arange(len(words))[:, None] + torch.tensor(around(window))
    return words[places.clamp(max=len(words) - 1) % len(words)], places < len(words)


@wrong("07.1", "never anybody's neighbour: places are counted from 0")
def place_0_masked(words, window):
    places = torch.arange(len(words))[:, None] + torch.tensor(around(window))
    mask = (places > 0) & (places < len(words))
    return words[places.clamp(0, len(words) - 1)], mask


@wrong("07.1", "0 is a word like others")
def padded_with_0_and_compared(words, window):
    padded = F.pad(words, (window, window))
    rows = padded.unfold(0, 2 * window + 1, 1)
    context = torch.cat([rows[:, :window], rows[:, window + 1 :]], 1)
    return context, context != 0


@wrong("07.1", "a word may stand twice in a window")
def without_the_same_word(words, window):
    places, mask = table(words, around(window))
    context = words[places]
    return context, mask & (context != words[:, None])


@wrong("07.1", "move together to the left")
def list_of_neighbours(words, window):
    ids = words.tolist()
    context = torch.zeros(len(ids), 2 * window, dtype=torch.long)
    mask = torch.zeros(len(ids), 2 * window, dtype=torch.bool)
    for i in range(len(ids)):
        near = ids[max(0, i - window) : i] + ids[i + 1 : i + window + 1]
        context[i, : len(near)] = torch.tensor(near, dtype=torch.long)
        mask[i, : len(near)] = True
    return context, mask


@wrong("07.1", "stands -1, which is no id")
def padded_with_minus_1(words, window):
    rows = F.pad(words, (window, window), value=-1).unfold(0, 2 * window + 1, 1)
    context = torch.cat([rows[:, :window], rows[:, window + 1 :]], 1)
    return context, context >= 0


@wrong("07.1", "which is no id of this text")
def padded_with_a_huge_id(words, window):
    places, mask = table(words, around(window))
    return words[places].masked_fill(~mask, 10**9), mask


@wrong("07.1", "their windows are not full")
def full_windows_only(words, window):
    rows = words.unfold(0, 2 * window + 1, 1)
    context = torch.cat([rows[:, :window], rows[:, window + 1 :]], 1)
    return context, torch.ones_like(context, dtype=torch.bool)


@wrong("07.1", "look up which words stand at them")
def places_returned(words, window):
    return table(words, around(window))


@wrong("07.1", "the mask comes first")
def mask_first(words, window):
    places, mask = table(words, around(window))
    return mask, words[places]


@wrong("07.1", "expected True and False")
def mask_of_numbers(words, window):
    places, mask = table(words, around(window))
    return words[places], mask.long()


@wrong("07.1", "one word has fewer than a window")
def a_loop_that_needs_two_words(words, window):
    places, mask = table(words, around(window))
    if len(words) < 2:
        return words[1], mask
    return words[places], mask


@wrong("07.1", "a row is masked as a whole")
def whole_rows(words, window):
    places, mask = table(words, around(window))
    return words[places], mask & mask.all(1, keepdim=True)


@wrong("07.1", "it is a list: make a tensor of it")
def lists(words, window):
    places, mask = table(words, around(window))
    return words[places].tolist(), mask.tolist()


@wrong("07.1", "in place")
def first_word_overwritten(words, window):
    places, mask = table(words, around(window))
    context = words[places]
    words[0] = 0
    return context, mask


@right("07.1")
def by_places(words, window):
    places, mask = table(words, around(window))
    return words[places], mask


@right("07.1")
def by_a_loop(words, window):
    ids = words.tolist()
    context, mask = [], []
    for i in range(len(ids)):
        row = [j for j in range(i - window, i + window + 1) if j != i]
        mask.append([0 <= j < len(ids) for j in row])
        context.append([ids[j] if 0 <= j < len(ids) else 0 for j in row])
    return torch.tensor(context), torch.tensor(mask)


@right("07.1")
def by_unfolding(words, window):
    def unfolded(x):
        rows = F.pad(x, (window, window)).unfold(0, 2 * window + 1, 1)
        return torch.cat([rows[:, :window], rows[:, window + 1 :]], 1)

    return unfolded(words), unfolded(torch.ones_like(words)).bool()


@right("07.1")
def by_columns(words, window):
    N = len(words)
    context = words.new_zeros(N, 2 * window)
    mask = torch.zeros(N, 2 * window, dtype=torch.bool)
    for step in range(1, window + 1):
        kept = max(0, N - step)
        context[N - kept :, window - step] = words[:kept]
        mask[N - kept :, window - step] = True
        context[:kept, window + step - 1] = words[N - kept :]
        mask[:kept, window + step - 1] = True
    return context, mask
