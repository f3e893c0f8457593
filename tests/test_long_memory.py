"""The long-memory task of chapter 03: the gated networks solve 100 steps, the RNN stays at chance.

Marked slow: nine trainings, about half a minute on two cores.
"""

from __future__ import annotations

import pytest
import torch

import minidistill
from minidistill.recurrent import GRU, LSTM, RNN
from tests.notebook_code import ROOT, load

MASTER = ROOT / "solutions" / "03_lstm_and_gru.ipynb"
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def notebook():
    """The task and its training as the chapter shows them."""
    module = load(MASTER, ["recall_batch", "remember_long", "recall_accuracy"])
    module.KEYS, module.NOISE, module.device = 8, 4, torch.device("cpu")
    module.minidistill = minidistill
    return module


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_gates_remember_a_hundred_steps(notebook, kind: type, seed: int) -> None:
    assert notebook.recall_accuracy(kind, 100, seed=seed) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_plain_network_stays_at_chance(notebook, seed: int) -> None:
    assert notebook.recall_accuracy(RNN, 100, seed=seed) < 0.25
