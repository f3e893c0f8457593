"""Two measures of a decoder: where it looked, and whether all it wrote was right."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.alignment import alignment_accuracy, exact_match
from minidistill.batches import IGNORE

untimed = settings(deadline=None)  # other work on the machine is no fault of a test
texts = st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=9)


def test_alignment_accuracy_by_hand() -> None:
    weights = torch.tensor(
        [
            [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3]],
            [[0.1, 0.9, 0.0], [0.4, 0.6, 0.0], [1.0, 0.0, 0.0]],
        ]
    )
    alignment = torch.tensor([[0, 2, 0], [1, 0, IGNORE]])
    assert alignment_accuracy(weights, alignment) == (3, 5)
    assert alignment_accuracy(weights, torch.full((2, 3), IGNORE)) == (0, 0)
    assert alignment_accuracy(weights, torch.tensor([[0, 2, 1], [1, 1, 0]])) == (6, 6)


@untimed
@given(st.integers(0, 10**6))
def test_alignment_accuracy_is_counted_place_by_place(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(3, 5, 7, generator=generator).softmax(-1)
    alignment = torch.randint(7, (3, 5), generator=generator)
    alignment[torch.rand(3, 5, generator=generator) < 0.3] = IGNORE
    right = known = 0
    for row, places in zip(weights.tolist(), alignment.tolist(), strict=True):
        for looked, place in zip(row, places, strict=True):
            known += place != IGNORE
            right += looked.index(max(looked)) == place
    found = alignment_accuracy(weights, alignment)
    assert found == (right, known) and all(type(number) is int for number in found)


def test_alignments_that_do_not_fit() -> None:
    weights = torch.rand(2, 3, 5)
    for shape in [(2, 4), (1, 3), (2, 3, 5), (2,)]:
        with pytest.raises(ValueError, match="one place in the source for each target token"):
            alignment_accuracy(weights, torch.zeros(shape, dtype=torch.long))


def test_exact_match_by_hand() -> None:
    wanted = [[3, 5], [], [7], torch.tensor([2, 2])]
    assert exact_match([[3, 5], [], [7], [2, 2]], wanted) == 1.0
    assert exact_match([[3, 5, 1], [1], [], torch.tensor([2, 2])], wanted) == 0.25
    assert exact_match([[5, 3], [0], [3], [2]], wanted) == 0.0


@untimed
@given(texts, st.data())
def test_exact_match_is_the_share_of_equal_rows(written: list, data: st.DataObject) -> None:
    wanted = [data.draw(st.sampled_from([row, [*row, 1], row[1:]])) for row in written]
    share = sum(one == other for one, other in zip(written, wanted, strict=True)) / len(written)
    assert exact_match(written, wanted) == share
    assert exact_match([torch.tensor(row) for row in written], wanted) == share
    assert exact_match(wanted, wanted) == 1.0


def test_not_one_for_one() -> None:
    for written, wanted in [([[1]], [[1], [2]]), ([[1], [2]], [[1]]), ([], [])]:
        with pytest.raises(ValueError, match="give one for one, and some"):
            exact_match(written, wanted)
