"""More answers to 05.1, 05.2 and 05.5: ids, lengths and masks, wrong and right."""

from __future__ import annotations

from itertools import zip_longest

import torch

from minidistill.batches import pad
from minidistill.tasks import BOS, EOS, PADDING
from tests.mutants import right, wrong

IGNORE = -100
_WIDTHS: list[int] = []
_SEEN: list[list[int]] = []


def width(lengths, max_length):
    return int(lengths.max()) if max_length is None else max_length


def shifted(targets, bos_id, eos_id, padding_id):
    target_in, mask = pad([[bos_id, *row] for row in targets], padding_id)
    return target_in, pad([[*row, eos_id] for row in targets], IGNORE)[0], mask


def ids(row):
    return [int(i) for i in row]


def share(written, wanted, same):
    pairs = [(ids(a), ids(b)) for a, b in zip(written, wanted, strict=True)]
    return sum(same(a, b) for a, b in pairs) / len(pairs)


@wrong("05.1", "not from a constant or an earlier call")
def width_of_the_first_call(lengths, max_length=None):
    _WIDTHS.append(int(lengths.max()))
    return torch.arange(max_length or _WIDTHS[0]) < lengths[:, None]


@wrong("05.1", "without max_length the mask has one column too many")
def one_column_more(lengths, max_length=None):
    T = int(lengths.max()) + 1 if max_length is None else max_length
    return torch.arange(T) < lengths[:, None]


@wrong("05.1", "max_length is added")
def so_much_more(lengths, max_length=None):
    return torch.arange(int(lengths.max()) + (max_length or 0)) < lengths[:, None]


@wrong("05.1", "where a text fills its row")
def ends_by_index(lengths, max_length=None):
    T = width(lengths, max_length)
    ends = torch.zeros(len(lengths), T, dtype=torch.long)
    ends[torch.arange(len(lengths)), lengths.clamp(max=T - 1)] = 1
    return ends.cumsum(1) == 0


@wrong("05.1", "counted through as one long text")
def on_one_string(lengths, max_length=None):
    T = width(lengths, max_length)
    return (torch.arange(len(lengths) * T) < lengths.sum()).view(-1, T)


@wrong("05.1", "where max_length is given all of the mask is True")
def the_limit_is_real(lengths, max_length=None):
    if max_length is not None:
        return torch.ones(len(lengths), max_length, dtype=torch.bool)
    return torch.arange(int(lengths.max())) < lengths[:, None]


@wrong("05.2", "wherever the id of eos stands in target_in")
def erases_eos(targets, bos_id, eos_id, padding_id):
    whole, mask = pad([[bos_id, *row, eos_id] for row in targets], padding_id)
    reads, mask = whole[:, :-1], mask[:, 1:]
    reads = reads.masked_fill(reads == eos_id, padding_id)
    return reads, whole[:, 1:].masked_fill(~mask, IGNORE), mask


@wrong("05.2", "the two fillings are exchanged")
def fillings_exchanged(targets, bos_id, eos_id, padding_id):
    reads, mask = pad([[bos_id, *row] for row in targets], IGNORE)
    return reads, pad([[*row, eos_id] for row in targets], padding_id)[0], mask


@wrong("05.2", "IGNORE is put wherever the padding's id stands")
def ignored_by_id(targets, bos_id, eos_id, padding_id):
    reads, mask = pad([[bos_id, *row] for row in targets], padding_id)
    writes, _ = pad([[*row, eos_id] for row in targets], padding_id)
    return reads, writes.masked_fill(writes == padding_id, IGNORE), mask


@wrong("05.2", "fixed ids are used")
def ids_of_the_module(targets, bos_id, eos_id, padding_id):
    return shifted(targets, BOS, EOS, PADDING)


@wrong("05.2", "eos is missing at the end of target_out")
def as_a_language_model(targets, bos_id, eos_id, padding_id):
    reads, mask = pad([[bos_id, *row[:-1]] if row else [] for row in targets], padding_id)
    return reads, pad([list(row) for row in targets], IGNORE)[0], mask


@wrong("05.2", "take the pair apart")
def keeps_the_pair(targets, bos_id, eos_id, padding_id):
    reads, mask = pad([[bos_id, *row] for row in targets], padding_id)
    return reads, pad([[*row, eos_id] for row in targets], IGNORE), mask


@wrong("05.2", "it is target_in, target_out, mask")
def mask_in_the_middle(targets, bos_id, eos_id, padding_id):
    reads, writes, mask = shifted(targets, bos_id, eos_id, padding_id)
    return reads, mask, writes


@wrong("05.2", "moved on by one place")
def rolled(targets, bos_id, eos_id, padding_id):
    reads, _, mask = shifted(targets, bos_id, eos_id, padding_id)
    writes = reads.roll(-1, dims=1)
    writes[:, -1] = eos_id
    return reads, writes.masked_fill(~mask, IGNORE), mask


@wrong("05.2", "bos is left out of the loss, but nothing is shifted")
def labels_not_shifted(targets, bos_id, eos_id, padding_id):
    reads, mask = pad([[bos_id, *row, eos_id] for row in targets], padding_id)
    writes = reads.masked_fill(~mask, IGNORE)
    writes[:, 0] = IGNORE
    return reads, writes, mask


@wrong("05.2", "taken out of the targets")
def drops_padding_ids(targets, bos_id, eos_id, padding_id):
    kept = [[i for i in row if i != padding_id] for row in targets]
    return shifted(kept, bos_id, eos_id, padding_id)


@wrong("05.2", "something is kept between calls")
def remembers_rows(targets, bos_id, eos_id, padding_id):
    _SEEN.extend(list(row) for row in targets)
    return shifted(_SEEN, bos_id, eos_id, padding_id)


@right("05.2")
def by_place(targets, bos_id, eos_id, padding_id):
    n = torch.tensor([len(row) for row in targets])[:, None]
    places = torch.arange(int(n.max()) + 1)
    body = pad([[*row, 0] for row in targets], 0)[0]
    writes = body.where(places < n, torch.where(places == n, eos_id, IGNORE))
    reads = torch.cat([torch.full_like(n, bos_id), body[:, :-1]], 1)
    return reads.masked_fill(places > n, padding_id), writes, places <= n


@wrong("05.5", "1, 12 looks like 11, 2")
def joined_digits(written, wanted):
    return share(written, wanted, lambda a, b: "".join(map(str, a)) == "".join(map(str, b)))


@wrong("05.5", "empty targets do not count")
def without_empty_ones(written, wanted):
    kept = [(ids(a), ids(b)) for a, b in zip(written, wanted, strict=True) if len(b)]
    return sum(a == b for a, b in kept) / max(1, len(kept))


@wrong("05.5", "only the two ends and the length are compared")
def both_ends(written, wanted):
    return share(written, wanted, lambda a, b: (len(a), a[:1], a[-1:]) == (len(b), b[:1], b[-1:]))


@wrong("05.5", "some ids are left out")
def ends_at_eos(written, wanted):
    def cut(row):
        return row[: row.index(EOS)] if EOS in row else row

    return share(written, wanted, lambda a, b: cut(a) == cut(b))


@wrong("05.5", "some ids are left out")
def zero_is_nothing(written, wanted):
    return share(written, wanted, lambda a, b: [i for i in a if i != 0] == [i for i in b if i != 0])


@wrong("05.5", "filled up to the longer one")
def filled_up(written, wanted):
    def same(a, b):
        return all(x == y for x, y in zip_longest(a, b, fillvalue=PADDING))

    return share(written, wanted, same)


@wrong("05.5", "nothing is ever right")
def the_same_object(written, wanted):
    return sum(a is b for a, b in zip(written, wanted, strict=True)) / len(wanted)


@wrong("05.5", "pairs that occur twice count once")
def as_a_dictionary(written, wanted):
    found = {tuple(ids(a)): tuple(ids(b)) for a, b in zip(written, wanted, strict=True)}
    return sum(a == b for a, b in found.items()) / len(found)


@wrong("05.5", "a token that is repeated counts once")
def collapsed(written, wanted):
    def once(row):
        return [i for k, i in enumerate(row) if k == 0 or i != row[k - 1]]

    return share(written, wanted, lambda a, b: once(a) == once(b))


@wrong("05.5", "the share is 0.875")
def first_five(written, wanted):
    return share(written, wanted, lambda a, b: a[:5] == b[:5])


@right("05.5")
def filled_up_with_nothing(written, wanted):
    def same(a, b):
        return all(x == y for x, y in zip_longest(a, b))

    return share(written, wanted, same)
