"""What chapter 02's master teaches is what the package ships: same code, numbers and text."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest
import torch

import minidistill
from minidistill import recurrent
from minidistill.device import seeded
from tests.notebook_code import ROOT, definitions, load, without_docstrings

MASTER = ROOT / "solutions" / "02_rnn_from_scratch.ipynb"
TAUGHT = ["rnn_step", "rnn_forward", "rnn_backward", "Recurrence", "RNN"]


@pytest.fixture(scope="module")
def notebook() -> ModuleType:
    return load(MASTER, TAUGHT)


@pytest.mark.parametrize("name", TAUGHT)
def test_the_code_is_the_same(name: str) -> None:
    shipped = ast.parse(inspect.getsource(getattr(recurrent, name))).body[0]
    taught = definitions(MASTER)[name]
    assert without_docstrings(taught) == without_docstrings(shipped)


def test_the_class_was_really_taken_from_the_notebook(notebook: ModuleType) -> None:
    assert notebook.RNN is not recurrent.RNN
    assert notebook.RNN.forward.__code__.co_filename == str(MASTER)


def _writers(notebook: ModuleType, **sizes: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    models = []
    for layer in (notebook.RNN, recurrent.RNN):
        with seeded(5):
            models.append(minidistill.LanguageModel(13, 7, layer(7, 11, **sizes)).double())
    return models[0], models[1]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_logits_loss_and_gradients_are_equal(notebook: ModuleType, layers: int) -> None:
    mine, ours = _writers(notebook, num_layers=layers)
    tokens = torch.randint(13, (3, 5), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(5) < torch.tensor([5, 2, 3])[:, None]
    losses = []
    for model in (mine, ours):
        logits, _ = model(tokens, mask=mask)
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1][mask[:, 1:]], tokens[:, 1:][mask[:, 1:]]
        )
        loss.backward()
        losses.append((logits, loss))
    assert torch.equal(losses[0][0], losses[1][0])
    assert torch.equal(losses[0][1], losses[1][1])
    for p, q in zip(mine.parameters(), ours.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


def test_both_directions_are_equal(notebook: ModuleType) -> None:
    outputs = []
    for layer in (notebook.RNN, recurrent.RNN):
        with seeded(2):
            rnn = layer(3, 5, num_layers=2, bidirectional=True).double()
            x = torch.randn(4, 7, 3, dtype=torch.float64)
        mask = torch.arange(7) < torch.tensor([7, 1, 4, 6])[:, None]
        outputs.append(rnn(x, mask=mask))
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert torch.equal(outputs[0][1], outputs[1][1])


def test_training_and_generated_ids_are_equal(notebook: ModuleType) -> None:
    ids = torch.randint(13, (211,), generator=torch.Generator().manual_seed(3))
    recipe = minidistill.Recipe(steps=7, learning_rate=0.01)
    results = []
    for model in _writers(notebook):
        batches = minidistill.ContinuousBatches(ids, 3, 5)
        history = minidistill.fit(model, batches, recipe, progress=False)
        generator = torch.Generator().manual_seed(0)
        written = minidistill.generate(model, torch.tensor([[1, 2]]), 17, generator=generator)
        results.append((history.losses, written.tolist()))
    assert results[0] == results[1]
