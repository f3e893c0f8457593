"""Batches: small ones by hand, and the laws that every layout must keep."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from minidistill.batches import IGNORE, ContinuousBatches, lengths_to_mask, pad

PADDING = 1

untimed = settings(deadline=None)  # other work on the machine is no fault of a test
# A text's length, batch size and batch length that fit together.
layouts = st.integers(2, 97).flatmap(
    lambda count: st.tuples(st.just(count), st.integers(1, count - 1), st.integers(1, 41))
)
ragged = st.lists(st.lists(st.integers(0, 11), max_size=7), min_size=1, max_size=13)


def equal(one: object, two: object) -> bool:
    """Compare nested lists and tuples of tensors by value."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return torch.equal(one, two)
    return len(one) == len(two) and all(equal(a, b) for a, b in zip(one, two, strict=True))


# ---- continuous batches -------------------------------------------------------------------


def test_continuous_batches_by_hand() -> None:
    # 11 tokens, so 10 targets in 3 rows of 4; the last row is two short.
    batches = ContinuousBatches(list(range(20, 31)), batch_size=3, length=3)
    (first, first_targets), (second, second_targets) = batches
    assert first.tolist() == [[20, 21, 22], [24, 25, 26], [28, 29, 0]]
    assert first_targets.tolist() == [[21, 22, 23], [25, 26, 27], [29, 30, IGNORE]]
    assert second.tolist() == [[23], [27], [0]]
    assert second_targets.tolist() == [[24], [28], [IGNORE]]  # 24 and 28 begin the next rows
    assert (len(batches), batches.targets, batches.carries_state) == (2, 10, True)
    assert first.dtype == second_targets.dtype == torch.int64


@untimed
@given(layouts)
def test_every_token_but_the_first_is_a_target_once(layout: tuple[int, int, int]) -> None:
    count, batch_size, length = layout
    ids = torch.arange(100, 100 + count)
    batches = ContinuousBatches(ids, batch_size, length)
    found = list(batches)
    assert len(found) == len(batches)
    inputs = torch.cat([inputs for inputs, _ in found], dim=1)
    targets = torch.cat([targets for _, targets in found], dim=1)
    # Rows laid end to end are the text again: so each row goes on from batch to batch.
    real = targets != IGNORE
    assert torch.equal(targets[real], ids[1:])
    assert torch.equal(inputs[real], ids[:-1])
    assert batches.targets == int(real.sum()) == count - 1
    assert bool((inputs[~real] == 0).all())
    for inputs, targets in found[:-1]:
        assert inputs.shape == targets.shape == (batch_size, length)
    assert found[-1][0].shape[0] == batch_size and 1 <= found[-1][0].shape[1] <= length
    assert all(bool((targets != IGNORE).any()) for _, targets in found)


@untimed
@given(layouts)
def test_the_mean_loss_does_not_depend_on_the_layout(layout: tuple[int, int, int]) -> None:
    count, batch_size, length = layout
    generator = torch.Generator().manual_seed(count)
    table = torch.randn(13, 13, generator=generator, dtype=torch.float64)  # a bigram model
    ids = torch.randint(13, (count,), generator=generator)
    total = sum(
        cross_entropy(table[inputs].flatten(0, 1), targets.flatten(), reduction="sum")
        for inputs, targets in ContinuousBatches(ids, batch_size, length)
    )
    torch.testing.assert_close(total, cross_entropy(table[ids[:-1]], ids[1:], reduction="sum"))


def test_a_state_carried_over_batches_is_that_of_the_whole_row() -> None:
    torch.manual_seed(7)
    ids = torch.randint(11, (47,))
    network = torch.nn.RNN(5, 7, batch_first=True)
    embedding = torch.nn.Embedding(11, 5)
    [(whole, _)] = ContinuousBatches(ids, 2, 23)
    state, parts = None, []
    for inputs, _ in ContinuousBatches(ids, 2, 5):
        hidden, state = network(embedding(inputs), state)
        parts.append(hidden)
    torch.testing.assert_close(torch.cat(parts, dim=1), network(embedding(whole))[0])


def test_epochs_are_alike_and_can_be_resumed() -> None:
    batches = ContinuousBatches(torch.arange(53), 3, 5)
    assert equal(list(batches), list(batches)) and equal(list(batches), list(batches.epoch(7)))
    assert equal(list(islice(batches.epoch(1), 2, None)), list(batches)[2:])


def test_the_fingerprint_changes_with_the_text_and_its_cutting() -> None:
    ids = [5, 3, 2, 7, 11, 0, 13]
    prints = [
        ContinuousBatches(ids, 2, 3).fingerprint(),
        ContinuousBatches(ids, 3, 3).fingerprint(),
        ContinuousBatches(ids, 2, 5).fingerprint(),
        ContinuousBatches([5, 3, 2, 7, 11, 0, 17], 2, 3).fingerprint(),  # the last is a target only
        ContinuousBatches([6, 3, 2, 7, 11, 0, 13], 2, 3).fingerprint(),
        ContinuousBatches(ids[:-1], 2, 3).fingerprint(),  # where the inputs are the same
    ]
    assert len(set(prints)) == len(prints)
    assert prints[0] == ContinuousBatches(torch.tensor(ids), 2, 3, device="cpu").fingerprint()
    assert len(prints[0]) < 40


def test_writing_into_a_batch_leaves_the_text_alone() -> None:
    ids = torch.arange(13)
    for batch_size in (1, 3):
        batches = ContinuousBatches(ids, batch_size, 100)
        before = list(batches)
        for inputs, targets in batches:
            assert inputs.is_contiguous() and targets.is_contiguous()
            inputs.zero_(), targets.zero_()
        assert equal(list(batches), before) and torch.equal(ids, torch.arange(13))


def test_ids_of_other_kinds_and_a_device() -> None:
    expected = list(ContinuousBatches([5, 3, 2, 7], 2, 2))
    for ids in (torch.tensor([5, 3, 2, 7], dtype=torch.uint8), (5, 3, 2, 7)):
        assert equal(list(ContinuousBatches(ids, 2, 2, device="cpu")), expected)
    [(inputs, _)] = ContinuousBatches([5, 3, 2, 7], 2, 2, device="meta")
    assert inputs.device.type == "meta"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1, 1), "0 tokens, but a model needs at least 2"),
        (([5], 1, 1), "1 tokens, but"),
        (([5, 3, 2], 3, 1), "at most 2 rows: choose 2 or fewer"),
        (([5, 3], 0, 1), "batch_size is 0"),
        (([5, 3], -1, 1), "batch_size is -1"),
        (([5, 3], 1, -3), "length is -3"),
        (([5, 3], 1, 2.0), "length is 2.0"),
        (([5, 3], True, 2), "batch_size is True"),
        (([5.0, 3.0], 1, 1), "ids: should be integers, but is torch.float32"),
        ((torch.tensor([True, False]), 1, 1), "torch.bool"),
        (([5, -100], 1, 1), "ids: holds -100"),
        (([[5, 3], [2, 7]], 1, 1), r"one row, but has shape \(2, 2\)"),
        (("once upon", 1, 1), "list of integers"),
        ((["a", "b"], 1, 1), "list of integers"),
        (([2**70, 1], 1, 1), "list of integers"),
    ],
)
def test_bad_arguments_of_continuous_batches(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContinuousBatches(*arguments)


# ---- masks and padding --------------------------------------------------------------------


def test_masks_by_hand() -> None:
    assert lengths_to_mask([2, 0, 3]).tolist() == [
        [True, True, False],
        [False, False, False],
        [True, True, True],
    ]
    assert lengths_to_mask(torch.tensor([1]), max_length=2).tolist() == [[True, False]]
    assert lengths_to_mask([0, 0]).shape == (2, 0)
    assert lengths_to_mask([]).shape == (0, 0)
    assert lengths_to_mask([1]).dtype == torch.bool


@untimed
@given(st.lists(st.integers(0, 17), max_size=7), st.integers(0, 5))
def test_masks_agree_with_lengths(lengths: list[int], extra: int) -> None:
    longest = max(lengths, default=0)
    mask = lengths_to_mask(lengths, longest + extra)
    assert mask.shape == (len(lengths), longest + extra)
    assert mask.sum(1).tolist() == lengths
    assert torch.equal(mask, mask.int().cummin(1).values.bool())  # no gap before a True


def test_padding_by_hand() -> None:
    tokens, mask = pad([[5, 9], [], torch.tensor([7, 5, 3])], padding_id=9)
    assert tokens.tolist() == [[5, 9, 9], [9, 9, 9], [7, 5, 3]]
    # The 9 of the first row is a real token although it looks like padding.
    assert mask.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert tokens.dtype == torch.int64


@untimed
@given(ragged)
def test_padding_can_be_taken_off_again(sequences: list[list[int]]) -> None:
    tokens, mask = pad(sequences, PADDING)
    assert tokens.shape == mask.shape == (len(sequences), max(map(len, sequences)))
    assert [row[real].tolist() for row, real in zip(tokens, mask, strict=True)] == sequences
    assert bool((tokens[~mask] == PADDING).all())


def test_bad_arguments_of_masks_and_padding() -> None:
    with pytest.raises(ValueError, match="a length is 7, which is more than max_length 5"):
        lengths_to_mask([3, 7], max_length=5)
    with pytest.raises(ValueError, match="lengths: holds -1"):
        lengths_to_mask([3, -1])
    with pytest.raises(ValueError, match=r"lengths: should be integers"):
        lengths_to_mask(torch.tensor([0.5]))
    with pytest.raises(ValueError, match="no sequences"):
        pad([], 0)
    with pytest.raises(ValueError, match="sequence 1: should be integers"):
        pad([[3], [1.5]], 0)
