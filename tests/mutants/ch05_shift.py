"""Answers to 05.2 shift_targets as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence

from minidistill.batches import pad
from tests.mutants import right, wrong

IGNORE = -100


def by(reads, writes, padding_id, filling=IGNORE):
    target_in, mask = pad(reads, padding_id)
    return target_in, fill(writes, filling), mask


def fill(rows, filling):
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filling] * (width - len(row))] for row in rows])


@wrong("05.2", "the same, not one place apart")
def not_shifted(targets, bos_id, eos_id, padding_id):
    rows = [[bos_id, *row, eos_id] for row in targets]
    return by(rows, rows, padding_id)


@wrong("05.2", "the same, not one place apart")
def both_end_with_eos(targets, bos_id, eos_id, padding_id):
    rows = [[*row, eos_id] for row in targets]
    return by(rows, rows, padding_id)


@wrong("05.2", "eos is missing")
def never_ends(targets, bos_id, eos_id, padding_id):
    return by([[bos_id, *row] for row in targets], list(targets), padding_id)


@wrong("05.2", "bos is missing")
def never_begins(targets, bos_id, eos_id, padding_id):
    return by(list(targets), [[*row[1:], eos_id] for row in targets], padding_id)


@wrong("05.2", "target_in holds eos too")
def whole_sentence_read(targets, bos_id, eos_id, padding_id):
    reads = [[bos_id, *row, eos_id] for row in targets]
    return by(reads, [[*row, eos_id] for row in targets], padding_id)


@wrong("05.2", "target_out is filled up with padding_id")
def padding_as_a_target(targets, bos_id, eos_id, padding_id):
    reads = [[bos_id, *row] for row in targets]
    return by(reads, [[*row, eos_id] for row in targets], padding_id, padding_id)


@wrong("05.2", "no embedding has a vector for")
def ignore_is_read(targets, bos_id, eos_id, padding_id):
    reads, writes = [[bos_id, *row] for row in targets], [[*row, eos_id] for row in targets]
    return fill(reads, IGNORE), fill(writes, IGNORE), fill(reads, IGNORE) != IGNORE


@wrong("05.2", "may have that id too")
def mask_by_id(targets, bos_id, eos_id, padding_id):
    target_in = fill([[bos_id, *row] for row in targets], padding_id)
    return target_in, fill([[*row, eos_id] for row in targets], IGNORE), target_in != padding_id


@wrong("05.2", "begins with the padding's id")
def starts_with_padding(targets, bos_id, eos_id, padding_id):
    reads = [[padding_id, *row] for row in targets]
    return by(reads, [[*row, eos_id] for row in targets], padding_id)


@wrong("05.2", "bos and eos are mixed up")
def mixed_up(targets, eos_id, bos_id, padding_id):
    reads = [[bos_id, *row] for row in targets]
    return by(reads, [[*row, eos_id] for row in targets], padding_id)


@wrong("05.2", "shifted the wrong way")
def sees_the_future(targets, bos_id, eos_id, padding_id):
    target_in, target_out, mask = as_in_the_chapter(targets, bos_id, eos_id, padding_id)
    return (
        target_out.where(mask, torch.tensor(padding_id)),
        target_in.where(mask, torch.tensor(IGNORE)),
        mask,
    )


@wrong("05.2", "one place too few")
def mask_of_the_targets(targets, bos_id, eos_id, padding_id):
    target_in, target_out, mask = as_in_the_chapter(targets, bos_id, eos_id, padding_id)
    lengths = torch.tensor([len(row) for row in targets])
    return target_in, target_out, torch.arange(mask.size(1)) < lengths[:, None]


@wrong("05.2", "one padded tensor is cut")
def cut_after_padding(targets, bos_id, eos_id, padding_id):
    tokens, mask = pad([[bos_id, *row, eos_id] for row in targets], padding_id)
    return tokens[:, :-1], tokens[:, 1:], mask[:, :-1]


@wrong("05.2", "one padded tensor is cut")
def cut_after_padding_and_ignored(targets, bos_id, eos_id, padding_id):
    tokens, mask = pad([[bos_id, *row, eos_id] for row in targets], padding_id)
    return tokens[:, :-1], tokens.masked_fill(~mask, IGNORE)[:, 1:], mask[:, 1:]


@wrong("05.2", "eos stands behind the padding")
def eos_at_the_very_end(targets, bos_id, eos_id, padding_id):
    target_in, mask = pad([[bos_id, *row] for row in targets], padding_id)
    width = max(map(len, targets))
    rows = [[*row, *[IGNORE] * (width - len(row)), eos_id] for row in targets]
    return target_in, torch.tensor(rows), mask


@wrong("05.2", "what is read comes first")
def out_first(targets, bos_id, eos_id, padding_id):
    target_in, target_out, mask = as_in_the_chapter(targets, bos_id, eos_id, padding_id)
    return target_out, target_in, mask


@wrong("05.2", "the mask is missing")
def two_things(targets, bos_id, eos_id, padding_id):
    return as_in_the_chapter(targets, bos_id, eos_id, padding_id)[:2]


@wrong("05.2", "in place")
def appended(targets, bos_id, eos_id, padding_id):
    reads = [[bos_id, *row] for row in targets]
    for row in targets:
        row.append(eos_id)
    return by(reads, targets, padding_id)


@wrong("05.2", "minidistill.batches.shift_targets may not be used here")
def the_packages_own(targets, bos_id, eos_id, padding_id):
    from minidistill.batches import shift_targets

    return shift_targets(targets, bos_id, eos_id, padding_id)


@right("05.2")
def as_in_the_chapter(targets, bos_id, eos_id, padding_id):
    target_in, mask = pad([[bos_id, *row] for row in targets], padding_id)
    target_out, _ = pad([[*row, eos_id] for row in targets], IGNORE)
    return target_in, target_out, mask


@right("05.2")
def by_pad_sequence(targets, bos_id, eos_id, padding_id):
    reads = [torch.tensor([bos_id, *row]) for row in targets]
    writes = [torch.tensor([*row, eos_id]) for row in targets]
    out = pad_sequence(writes, batch_first=True, padding_value=-100)
    return pad_sequence(reads, batch_first=True, padding_value=padding_id), out, out != -100


@right("05.2")
def cut_out_of_one(targets, bos_id, eos_id, padding_id):
    lengths = torch.tensor([len(row) for row in targets])
    T = int(lengths.max()) + 1
    both = torch.full((len(targets), T + 1), padding_id)
    for row, target in zip(both, targets, strict=True):
        row[: len(target) + 2] = torch.tensor([bos_id, *target, eos_id])
    mask = torch.arange(T) <= lengths[:, None]
    reads, writes = both[:, :-1].clone(), both[:, 1:].masked_fill(~mask, IGNORE)
    reads[~mask] = padding_id
    return reads, writes, mask


@wrong("05.2", "it is a list")
def plain_lists(targets, bos_id, eos_id, padding_id):
    width = max(len(row) for row in targets) + 1
    reads, writes, mask = [], [], []
    for row in targets:
        rest = width - len(row) - 1
        reads.append([bos_id, *row] + [padding_id] * rest)
        writes.append([*row, eos_id] + [IGNORE] * rest)
        mask.append([True] * (len(row) + 1) + [False] * rest)
    return [reads, writes, mask]
