"""What a master teaches is what the package ships: same code, numbers and text."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

import minidistill
from minidistill import convolution, gru, lstm, recurrent
from minidistill.device import seeded
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

SECOND = ROOT / "solutions" / "02_rnn_from_scratch.ipynb"
THIRD = ROOT / "solutions" / "03_lstm_and_gru.ipynb"
TAUGHT = {
    SECOND: {
        "rnn_step": recurrent,
        "rnn_forward": recurrent,
        "rnn_backward": recurrent,
        "Recurrence": recurrent,
        "RNN": recurrent,
    },
    THIRD: {
        "lstm_step": lstm,
        "lstm_forward": lstm,
        "lstm_backward": lstm,
        "LSTMRecurrence": lstm,
        "LSTM": lstm,
        "gru_step": gru,
        "causal_convolution": convolution,
    },
}
LAYERS = {"RNN": SECOND, "LSTM": THIRD}


@pytest.fixture(scope="module", params=LAYERS)
def layers(request: pytest.FixtureRequest) -> tuple[type[nn.Module], type[nn.Module]]:
    """A layer as the notebook teaches it, and as the package ships it."""
    name, master = request.param, LAYERS[request.param]
    taught = load(master, list(TAUGHT[master]))
    return getattr(taught, name), getattr(recurrent, name)


@pytest.mark.parametrize(
    ("master", "name", "module"),
    [(master, name, home) for master, parts in TAUGHT.items() for name, home in parts.items()],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_code_is_the_same(master, name: str, module: ModuleType) -> None:
    taught = definitions(master)[name]
    assert without_docstrings(taught) == without_docstrings(shipped(module, name))


def test_the_class_was_really_taken_from_the_notebook(layers) -> None:
    taught, shipped = layers
    assert taught is not shipped
    assert taught._read.__code__.co_filename == str(LAYERS[shipped.__name__])


def _writers(layers, **sizes: int) -> tuple[nn.Module, nn.Module]:
    models = []
    for layer in layers:
        with seeded(5):
            models.append(minidistill.LanguageModel(13, 7, layer(7, 11, **sizes)).double())
    return models[0], models[1]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_logits_loss_and_gradients_are_equal(layers, depth: int) -> None:
    mine, ours = _writers(layers, num_layers=depth)
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


def test_both_directions_are_equal(layers) -> None:
    outputs = []
    for layer in layers:
        with seeded(2):
            network = layer(3, 5, num_layers=2, bidirectional=True).double()
            x = torch.randn(4, 7, 3, dtype=torch.float64)
        mask = torch.arange(7) < torch.tensor([7, 1, 4, 6])[:, None]
        out, state = network(x, mask=mask)
        outputs.append((out, *([state] if isinstance(state, torch.Tensor) else state)))
    for one, other in zip(*outputs, strict=True):
        assert torch.equal(one, other)


def test_training_and_generated_ids_are_equal(layers) -> None:
    ids = torch.randint(13, (211,), generator=torch.Generator().manual_seed(3))
    recipe = minidistill.Recipe(steps=7, learning_rate=0.01)
    results = []
    for model in _writers(layers):
        batches = minidistill.ContinuousBatches(ids, 3, 5)
        history = minidistill.fit(model, batches, recipe, progress=False)
        generator = torch.Generator().manual_seed(0)
        written = minidistill.generate(model, torch.tensor([[1, 2]]), 17, generator=generator)
        results.append((history.losses, written.tolist()))
    assert results[0] == results[1]
