"""Answers to 06.5 alignment_accuracy as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


@wrong("06.5", "padding is counted as known")
def divided_by_all(weights, alignment):
    right = weights.argmax(-1) == alignment
    return int(right.sum()), alignment.numel()


@wrong("06.5", "is not counted: unknown is -100 alone")
def above_zero(weights, alignment):
    known = alignment > 0
    return int(((weights.argmax(-1) == alignment) & known).sum()), int(known.sum())


@wrong("06.5", "counted as right, not only left out")
def padding_is_right(weights, alignment):
    known = alignment != -100
    return int(((weights.argmax(-1) == alignment) | ~known).sum()), int(known.sum())


@wrong("06.5", "over the source, argmax(-1)")
def argmax_over_targets(weights, alignment):
    known = alignment != -100
    T = min(weights.size(2), alignment.size(1))
    right = weights.argmax(1)[:, :T] == alignment[:, :T]
    return int(right.sum()), int(known[:, :T].sum())


@wrong("06.5", "the smallest weight is sought")
def argmin(weights, alignment):
    known = alignment != -100
    return int(((weights.argmin(-1) == alignment) & known).sum()), int(known.sum())


@wrong("06.5", "counted from 1")
def from_one(weights, alignment):
    known = alignment != -100
    return int(((weights.argmax(-1) + 1 == alignment) & known).sum()), int(known.sum())


@wrong("06.5", "compared with target t + 1")
def shifted(weights, alignment):
    known = alignment[:, 1:] != -100
    right = (weights[:, :-1].argmax(-1) == alignment[:, 1:]) & known
    return int(right.sum()), int(known.sum())


@wrong("06.5", "two numbers are asked for")
def share(weights, alignment):
    known = alignment != -100
    return int(((weights.argmax(-1) == alignment) & known).sum()) / max(1, int(known.sum()))


@wrong("06.5", "the two numbers are swapped")
def swapped(weights, alignment):
    known = alignment != -100
    return int(known.sum()), int(((weights.argmax(-1) == alignment) & known).sum())


@wrong("06.5", "only the first text of the batch")
def first_row(weights, alignment):
    known = alignment[0] != -100
    return int(((weights[0].argmax(-1) == alignment[0]) & known).sum()), int(known.sum())


@wrong("06.5", "a weight must be over 1/2")
def sure_ones(weights, alignment):
    known = alignment != -100
    place = alignment.clamp(min=0)[..., None]
    looked = weights.gather(-1, place)[..., 0] > 0.5
    return int((looked & known).sum()), int(known.sum())


@wrong("06.5", "a place beside the true one")
def nearly(weights, alignment):
    known = alignment != -100
    near = (weights.argmax(-1) - alignment).abs() < 2
    return int((near & known).sum()), int(known.sum())


@wrong("06.5", "whole texts are counted")
def texts(weights, alignment):
    known = alignment != -100
    right = (weights.argmax(-1) == alignment) | ~known
    rows = known.any(1)
    return int(right.all(1)[rows].sum()), int(rows.sum())


@wrong("06.5", "the second number counts the wrong ones")
def right_and_wrong(weights, alignment):
    known = alignment != -100
    right = int(((weights.argmax(-1) == alignment) & known).sum())
    return right, int(known.sum()) - right


@wrong("06.5", "is a tensor of shape")
def tables(weights, alignment):
    known = alignment != -100
    return (weights.argmax(-1) == alignment) & known, known


@wrong("06.5", "two mistakes")
def swapped_and_padded(weights, alignment):
    return alignment.numel(), int((weights.argmax(-1) == alignment).sum())


@wrong("06.5", "weights.argmax(-1) the places alone")
def max_for_argmax(weights, alignment):
    right = weights.max(-1) == alignment
    return int(right.sum()), int((alignment != -100).sum())


@wrong("06.5", "may not be used here")
def the_packages_own(weights, alignment):
    from minidistill.alignment import alignment_accuracy

    return alignment_accuracy(weights, alignment)


@wrong("06.5", "an unknown one may stand anywhere")
def until_the_first_unknown(weights, alignment):
    right = known = 0
    for rows, places in zip(weights, alignment, strict=True):
        for row, place in zip(rows, places, strict=True):
            if place == -100:
                break
            known += 1
            right += int(row.argmax() == place)
    return right, known


@wrong("06.5", "an unknown one may stand anywhere")
def as_many_from_the_front(weights, alignment):
    lengths = (alignment != -100).sum(1)
    front = torch.arange(alignment.size(1)) < lengths[:, None]
    return int((weights.argmax(-1) == alignment)[front].sum()), int(lengths.sum())


@wrong("06.5", "go on with the next")
def returns_at_the_first_unknown(weights, alignment):
    right = known = 0
    for row, place in zip(weights.flatten(0, 1), alignment.flatten(), strict=True):
        if place == -100:
            return right, known
        known += 1
        right += int(row.argmax() == place)
    return right, known


@wrong("06.5", "place 0 is put in")
def zero_for_unknown(weights, alignment):
    places = alignment.clamp(min=0)
    return int((weights.argmax(-1) == places).sum()), places.numel()


@wrong("06.5", "counted as right, and as known")
def unknown_is_right_and_known(weights, alignment):
    right = (weights.argmax(-1) == alignment) | (alignment == -100)
    return int(right.sum()), alignment.numel()


@wrong("06.5", "a whole text is left out")
def only_full_texts(weights, alignment):
    full = (alignment != -100).all(1)
    right = weights[full].argmax(-1) == alignment[full]
    return int(right.sum()), right.numel()


@wrong("06.5", "only the last text")
def overwritten_in_the_loop(weights, alignment):
    for rows, places in zip(weights, alignment, strict=True):
        known = places != -100
        right = (rows.argmax(-1) == places) & known
    return int(right.sum()), int(known.sum())


@wrong("06.5", "searched all together")
def argmax_of_all(weights, alignment):
    known = alignment != -100
    return int(((weights.argmax() == alignment) & known).sum()), int(known.sum())


@wrong("06.5", "the first number is a share")
def share_and_count(weights, alignment):
    known = alignment != -100
    right = int(((weights.argmax(-1) == alignment) & known).sum())
    return right / max(1, int(known.sum())), int(known.sum())


@wrong("06.5", "among the largest weights")
def among_the_best_two(weights, alignment):
    known = alignment != -100
    best = weights.topk(2).indices == alignment[..., None]
    return int((best.any(-1) & known).sum()), int(known.sum())


@wrong("06.5", "should be (20, 25), not (19, 25)")
def place_0_never_found(weights, alignment):
    known = alignment != -100
    best = weights[..., 1:].argmax(-1) + 1
    return int(((best == alignment) & known).sum()), int(known.sum())


@right("06.5")
def token_by_token(weights, alignment):
    right = known = 0
    for rows, places in zip(weights.tolist(), alignment.tolist(), strict=True):
        for row, place in zip(rows, places, strict=True):
            if place >= 0:
                known += 1
                right += row.index(max(row)) == place
    return right, known


@right("06.5")
def by_indexing(weights, alignment):
    known = alignment != -100
    looked = weights[known].argmax(-1)
    return (looked == alignment[known]).sum(), known.sum()


@right("06.5")
def by_the_largest(weights, alignment):
    known = alignment.ge(0)
    own = weights.gather(-1, alignment.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return int(torch.count_nonzero((own == weights.amax(-1)) & known)), int(known.sum())
