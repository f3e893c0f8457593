"""Padded pairs: a batch by hand, every pair once an epoch, and an order that the seed decides."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.batches import IGNORE, PairBatches, Pairs

PADDING, FIRST, LAST = 1, 2, 3
SPECIAL = {"padding_id": PADDING, "bos_id": FIRST, "eos_id": LAST}

untimed = settings(deadline=None)  # other work on the machine is no fault of a test
pair_lists = st.lists(
    st.tuples(st.lists(st.integers(4, 11), min_size=1, max_size=7), st.lists(st.integers(4, 11))),
    min_size=1,
    max_size=23,
)


def test_pair_batches_by_hand() -> None:
    pairs = [([5, 7, 5], [11]), ([7], [9, 10, 9])]
    [batch] = PairBatches(pairs, 2, shuffle=False, **SPECIAL)
    assert isinstance(batch, Pairs)
    assert batch.source.tolist() == [[5, 7, 5], [7, PADDING, PADDING]]
    assert batch.source_mask.tolist() == [[True, True, True], [True, False, False]]
    assert batch.target_in.tolist() == [[FIRST, 11, PADDING, PADDING], [FIRST, 9, 10, 9]]
    assert batch.target_out.tolist() == [[11, LAST, IGNORE, IGNORE], [9, 10, 9, LAST]]
    assert batch.target_mask.tolist() == [[True, True, False, False], [True] * 4]


def unpad(batch: Pairs) -> list[tuple[list[int], list[int]]]:
    """Take the pairs out of a batch, and check on the way that its parts fit together."""
    found = []
    for source, source_mask, target_in, target_out, mask in zip(*batch, strict=True):
        read, written = target_in[mask].tolist(), target_out[mask].tolist()
        assert read[0] == FIRST and written[-1] == LAST and read[1:] == written[:-1]
        assert bool((target_out[~mask] == IGNORE).all())
        assert bool((target_in[~mask] == PADDING).all())
        found.append((source[source_mask].tolist(), written[:-1]))
    return found


@untimed
@given(pair_lists, st.integers(1, 7), st.integers(1, 3), st.booleans(), st.integers(0, 2**40))
def test_an_epoch_holds_every_pair_once(
    pairs: list, batch_size: int, sort_within: int, shuffle: bool, seed: int
) -> None:
    batches = PairBatches(
        pairs, batch_size, seed=seed, shuffle=shuffle, sort_within=sort_within, **SPECIAL
    )
    for number in (0, 5):
        epoch = list(batches.epoch(number))
        found = [pair for batch in epoch for pair in unpad(batch)]
        assert len(epoch) == len(batches)
        assert sorted(found) == sorted(pairs)
        assert shuffle or found == pairs
        assert sorted(len(b.source) for b in epoch)[1:] == [batch_size] * (len(epoch) - 1)
        assert sum(int(b.target_mask.sum()) for b in epoch) == batches.targets


def numbered(count: int = 97) -> list[tuple[list[int], list[int]]]:
    """Return distinct pairs of many lengths."""
    return [([4 + i] * (1 + i * 7 % 11), [4 + i] * (i * 5 % 13)) for i in range(count)]


@pytest.mark.parametrize("sort_within", [1, 3])
def test_order_belongs_to_seed_and_epoch_alone(sort_within: int) -> None:
    def order(seed: int, number: int, batches: PairBatches | None = None) -> list:
        new = PairBatches(numbered(), 5, seed=seed, sort_within=sort_within, **SPECIAL)
        return [pair for batch in (batches or new).epoch(number) for pair in unpad(batch)]

    used = PairBatches(numbered(), 5, seed=3, sort_within=sort_within, **SPECIAL)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    list(used.epoch(0)), list(used.epoch(1))
    assert order(3, 2, used) == order(3, 2)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone
    different = [order(seed, number) for seed in (-1, 0, 3) for number in range(5)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])
    assert order(3, 0) == [pair for batch in used for pair in unpad(batch)]


def test_an_epoch_can_be_resumed() -> None:
    batches = PairBatches(numbered(), 5, **SPECIAL)
    later, whole = list(islice(batches.epoch(2), 7, None)), list(batches.epoch(2))
    for batch, expected in zip(later, whole[7:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, expected, strict=True))
    assert not batches.carries_state


def test_the_fingerprint_of_pairs_changes_with_all_that_decides_a_batch() -> None:
    def fingerprint(pairs: list, **changed: int) -> str:
        return PairBatches(pairs, **{"batch_size": 2, **SPECIAL, **changed}).fingerprint()

    pairs = [([5, 7], [11]), ([7], [9, 10])]
    other_pairs = [
        pairs,
        pairs[::-1],
        pairs[:1],
        [([5, 7], [12]), ([7], [9, 10])],
        [([5], [7, 11]), ([7], [9, 10])],  # the same ids in a row, cut elsewhere
        [([5, 7], [11]), ([7, 9], [10])],
    ]
    names = ("batch_size", "seed", "sort_within", "bos_id", "eos_id", "padding_id")
    prints = [fingerprint(other) for other in other_pairs]
    prints += [fingerprint(pairs, **{name: 17}) for name in names]
    prints += [fingerprint(pairs, shuffle=False)]
    assert len(set(prints)) == len(prints)
    tensors = [(torch.tensor(source), torch.tensor(target)) for source, target in pairs]
    assert fingerprint(tensors, device="cpu") == prints[0]


def test_sorting_within_pools_saves_padding() -> None:
    def share_padding(sort_within: int) -> float:
        batches = list(PairBatches(numbered(), 5, sort_within=sort_within, **SPECIAL))
        real = sum(int(b.source_mask.sum()) for b in batches)
        return 1 - real / sum(b.source.numel() for b in batches)

    assert share_padding(16) < 0.1 < 0.3 < share_padding(1)


def test_batched_is_the_same_as_one_by_one() -> None:
    pairs = numbered(23)
    batched = [pair for b in PairBatches(pairs, 7, shuffle=False, **SPECIAL) for pair in unpad(b)]
    alone = [b for b in PairBatches(pairs, 1, shuffle=False, **SPECIAL)]
    assert batched == [pair for b in alone for pair in unpad(b)] == pairs
    assert all(bool(b.source_mask.all() and b.target_mask.all()) for b in alone)


def test_tensors_and_devices() -> None:
    pairs = [(torch.tensor([5, 7]), torch.tensor([11])), (torch.tensor([5]), torch.tensor([]))]
    [batch] = PairBatches(pairs, 2, shuffle=False, device="cpu", **SPECIAL)
    assert unpad(batch) == [([5, 7], [11]), ([5], [])]
    [moved] = PairBatches(pairs, 2, shuffle=False, device="meta", **SPECIAL)
    assert {tensor.device.type for tensor in moved} == {"meta"}
    assert isinstance(moved, Pairs)


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([], {}, "no pairs"),
        ([([5], [7]), ([], [7])], {}, "pair 1 has an empty source"),
        ([([5], [7], [9])], {}, "pair 0 should be .* has 3 parts"),
        ([([5], [0.5])], {}, "pair 0: should be integers"),
        ([([5], [-100])], {}, "pair 0: holds -100"),
        ([([5], [7])], {"batch_size": 0}, "batch_size is 0"),
        ([([5], [7])], {"sort_within": 0}, "sort_within is 0"),
        ([([5], [7])], {"bos_id": -1}, "bos_id, eos_id and padding_id: holds -1"),
        ([([5], [7])], {"padding_id": None}, "bos_id, eos_id and padding_id"),
    ],
)
def test_bad_arguments_of_pair_batches(pairs: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairBatches(pairs, **{"batch_size": 3, **SPECIAL, **options})
