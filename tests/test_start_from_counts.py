"""A model that starts from counts says, untrained, how often each word stands in the text."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from minidistill import LSTM, ChunkedSoftmax, LanguageModel, seeded, start_from_counts
from minidistill.adaptive_softmax import AdaptiveReadout
from minidistill.sparse_rows import RowAdagrad

COUNTS = [0, 31, 17, 5, 2, 1, 0]


def model(tied: bool = False) -> LanguageModel:
    with seeded(0):
        return LanguageModel(7, 5, LSTM(5, 5), tied=tied)


@pytest.mark.parametrize("tied", [True, False])
def test_without_a_context_the_probabilities_are_the_shares(tied: bool) -> None:
    writer = model(tied)
    before = writer.readout.weight.clone()
    start_from_counts(writer, COUNTS)
    share = torch.tensor([1.0, 31, 17, 5, 2, 1, 1]) / 58  # what never stands there, once
    torch.testing.assert_close(writer.readout.bias.softmax(0), share)
    assert torch.equal(writer.readout.weight, before)
    assert writer.readout.bias.requires_grad
    assert isinstance(writer.readout, nn.Linear)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="6 counts for 7 classes"):
        start_from_counts(model(), COUNTS[1:])
    bare = model()
    bare.readout = nn.Linear(5, 7, bias=False)
    with pytest.raises(ValueError, match="no bias"):
        start_from_counts(bare, COUNTS)
    clusters = model()
    clusters.readout = AdaptiveReadout(5, 7)
    with pytest.raises(ValueError, match="AdaptiveReadout"):
        start_from_counts(clusters, COUNTS)


def test_the_full_softmax_may_move_its_tables_by_rows_too() -> None:
    writer = model()
    made = ChunkedSoftmax(optimizer="adagrad").optimizer(writer, 0.01, 0.0)
    assert isinstance(made.optimizers[0], RowAdagrad)
    assert made.param_groups[0]["factor"] == 30
    assert isinstance(ChunkedSoftmax().optimizer(writer, 0.01, 0.0), torch.optim.AdamW)
    with pytest.raises(ValueError, match="'sgd'"):
        ChunkedSoftmax(optimizer="sgd")
