"""The training loop: it learns, repeats itself to the bit, and stops before it does harm."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill import training
from minidistill.batches import IGNORE, ContinuousBatches, PairBatches, Pairs
from minidistill.language_model import LanguageModel
from minidistill.recurrent import RNN
from minidistill.training import (
    History,
    Recipe,
    TrainingError,
    evaluate,
    fit,
    next_token_loss,
    to_device,
)
from tests.training_parts import VOCAB, same_weights, tiny_batches, tiny_model, tiny_text

RECIPE = Recipe(steps=23, learning_rate=0.02, validate_every=5)


def train(model: nn.Module, recipe: Recipe = RECIPE, **options: object) -> History:
    return fit(model, options.pop("batches", tiny_batches()), recipe, progress=False, **options)


# ---- learning -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "precision"),
    [("one_cycle", "float32"), ("one_cycle", "bfloat16"), ("cosine", "float32")],
)
def test_the_loss_falls(schedule: str, precision: str) -> None:
    recipe = Recipe(steps=120, learning_rate=0.02, schedule=schedule, precision=precision)
    history = train(tiny_model(), recipe, validation=tiny_batches(seed=1))
    assert sum(history.losses[:5]) / 5 > 1.8  # near ln 7 = 1.95, where nothing is known
    assert sum(history.losses[-5:]) / 5 < 1.5
    assert history.best[1] < 1.7
    assert len(history.losses) == len(history.gradient_norms) == 120
    assert history.learning_rates == [recipe.rate(step) for step in range(120)]
    assert [step for step, _ in history.validation] == [100, 120]


def test_training_fits_what_is_certain() -> None:
    batches = ContinuousBatches(torch.arange(101) % VOCAB, 3, 7)
    model = LanguageModel(VOCAB, 3, RNN(3, 5))
    history = train(model, Recipe(steps=150, learning_rate=0.05), batches=batches)
    assert history.losses[-1] < 0.1


def test_the_same_seed_gives_the_same_run_to_the_bit() -> None:
    def run(seed: int) -> tuple[History, nn.Module]:
        model = tiny_model(dropout=0.2)
        return train(model, dataclasses.replace(RECIPE, seed=seed)), model

    (one, model), (two, other), (three, _) = run(3), run(3), run(4)
    assert one == two and same_weights(model, other)
    assert one.losses != three.losses  # dropout draws other units


def test_validation_and_checkpoints_do_not_change_the_training(tmp_path) -> None:
    plain = train(tiny_model(dropout=0.2))
    watched = train(
        tiny_model(dropout=0.2),
        dataclasses.replace(RECIPE, validate_every=2, checkpoint_every=3),
        validation=tiny_batches(seed=1),
        checkpoint=tmp_path / "run.safetensors",
    )
    assert watched.losses == plain.losses and watched.gradient_norms == plain.gradient_norms


def test_chance_outside_is_left_alone() -> None:
    torch.manual_seed(17)
    before = torch.get_rng_state()
    train(tiny_model(dropout=0.2), validation=tiny_batches(seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(TrainingError):
        train(tiny_model(), loss=nonsense_at(3, math.nan))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("error")
def test_training_gives_no_warning_and_keeps_the_mode() -> None:
    for mode in (True, False):
        model = tiny_model().train(mode)
        train(model, validation=tiny_batches(seed=1))
        assert model.training is mode
        evaluate(model, tiny_batches())
        assert model.training is mode and model.recurrent.training is mode


def test_frozen_parameters_stay() -> None:
    model = tiny_model()
    model.embedding.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model)
    changed = {
        name for name, tensor in model.state_dict().items() if (tensor != before[name]).any()
    }
    assert changed == before.keys() - {"embedding.weight"}


# ---- state, epochs and other batches ------------------------------------------------------


def test_the_state_is_carried_through_an_epoch_and_no_further() -> None:
    seen = []

    def loss(model: nn.Module, batch: tuple, state: Tensor | None) -> tuple:
        value, count, after = next_token_loss(model, batch, state)
        seen.append((state, after))
        return value, count, after

    train(tiny_model(), Recipe(steps=12), loss=loss)
    for i, (state, _) in enumerate(seen):
        if i % 5 == 0:  # five batches an epoch
            assert state is None
        else:
            assert torch.equal(state, seen[i - 1][1]) and not state.requires_grad


class Bag(nn.Module):
    """The mean of a source, added to the token before: enough to copy a one-letter source."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.readout = nn.Embedding(VOCAB + 4, 5), nn.Linear(5, VOCAB + 4)

    def forward(self, batch: Pairs) -> Tensor:
        mask = batch.source_mask[:, :, None]
        means = (self.embedding(batch.source) * mask).sum(1) / mask.sum(1)  # (B, 5)
        return self.readout(torch.tanh(self.embedding(batch.target_in) + means[:, None]))


def test_pairs_train_with_a_loss_of_ones_own() -> None:
    pairs = [([4 + i % VOCAB] * (1 + i % 3), [4 + i % VOCAB]) for i in range(29)]
    batches = PairBatches(pairs, 5, padding_id=0, bos_id=1, eos_id=2)

    def loss(model: nn.Module, batch: Pairs, state: object) -> tuple:
        assert state is None
        real = batch.target_out != IGNORE
        value = nn.functional.cross_entropy(model(batch)[real], batch.target_out[real])
        return value, int(real.sum()), "a state that nobody carries"

    history = train(
        Bag(), Recipe(steps=100, learning_rate=0.05), batches=batches, loss=loss, validation=batches
    )
    assert history.losses[0] > 1.9 and history.best[1] < 0.2


class Endless:
    """Batches that nobody has told anything of fingerprints, lengths or states."""

    def __init__(self, batches: list) -> None:
        self.batches = batches

    def epoch(self, number: int) -> Iterator:
        return iter(self.batches)


def test_batches_need_no_more_than_epochs() -> None:
    history = train(tiny_model(), batches=Endless(list(tiny_batches())))
    assert len(history.losses) == 23
    with pytest.raises(TrainingError, match="no batches to train on: give a longer text"):
        train(tiny_model(), batches=Endless([]))


def test_batches_are_moved_whole() -> None:
    batch = Pairs(*(torch.zeros(2, 3) for _ in range(5)))
    moved = to_device((batch, torch.ones(2), "name"), torch.device("meta"))
    assert isinstance(moved, tuple) and isinstance(moved[0], Pairs) and moved[2] == "name"
    assert {tensor.device.type for tensor in (*moved[0], moved[1])} == {"meta"}


# ---- evaluation ---------------------------------------------------------------------------


class Table(nn.Module):
    """A bigram model: no state, so a layout cannot change what it says."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.table = nn.Parameter(torch.randn(VOCAB, VOCAB, generator=generator))

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        return self.table[tokens], None


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 67), st.integers(1, 19), st.integers(1, 23))
def test_every_target_counts_once_whatever_the_layout(count: int, rows: int, length: int) -> None:
    ids, model = tiny_text(count), Table()
    by_hand = -sum(
        float(model.table.detach().double()[a].log_softmax(0)[b])
        for a, b in itertools.pairwise(ids.tolist())
    ) / (count - 1)
    found = evaluate(model, ContinuousBatches(ids, min(rows, count - 1), length))
    assert found == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("length", [1, 3, 100])
def test_evaluation_carries_the_state_and_drops_nothing_out(length: int) -> None:
    model, ids = tiny_model(dropout=0.5), tiny_text()
    logits, _ = model.eval()(ids[None, :-1])
    expected = float(nn.functional.cross_entropy(logits[0], ids[1:]).detach())
    found = evaluate(model.train(), ContinuousBatches(ids, 1, length))
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_batch_by_hand() -> None:
    model = Table()
    targets = torch.tensor([[2, IGNORE], [5, 1]])
    value, count, state = next_token_loss(model, (torch.tensor([[0, 3], [4, 6]]), targets), None)
    logs = model.table.detach().log_softmax(1)
    by_hand = -(logs[0, 2] + logs[4, 5] + logs[6, 1]) / 3
    torch.testing.assert_close(value.detach(), by_hand)
    assert count == 3 and state is None
    nothing, count, _ = next_token_loss(model, (targets[:1, :1], torch.tensor([[IGNORE]])), None)
    assert float(nothing.detach()) == 0.0 and count == 0


# ---- early stop and the best weights ------------------------------------------------------


def scripted(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    script = iter(values)
    monkeypatch.setattr(training, "evaluate", lambda *_: next(script))


def test_patience_stops_and_the_best_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(steps=40, validate_every=3, patience=2, schedule="constant")
    scripted(monkeypatch, [2.5, 1.5, 2.0, 1.5, 0.1])  # an equal value is no better one
    model = tiny_model()
    history = train(model, recipe, validation="scripted")
    assert history.validation == [(3, 2.5), (6, 1.5), (9, 2.0), (12, 1.5)]
    assert history.stopped == "no better validation in 2 tries"
    assert history.best == (6, 1.5) and len(history.losses) == 12
    until_best = tiny_model()
    train(until_best, dataclasses.replace(recipe, steps=6))
    assert same_weights(model, until_best)


def test_without_patience_it_goes_on_and_without_validation_the_last_weights_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = Recipe(steps=7, validate_every=3, schedule="constant")
    scripted(monkeypatch, [1.0, 2.0, 3.0])
    model, last = tiny_model(), tiny_model()
    history = train(model, recipe, validation="scripted")
    assert [step for step, _ in history.validation] == [3, 6, 7] and not history.stopped
    train(last, recipe)
    assert not same_weights(model, last)
    with pytest.raises(ValueError, match="no validation text, so it has no best step"):
        train(tiny_model(), recipe).best  # noqa: B018


# ---- nonsense -----------------------------------------------------------------------------


def nonsense_at(step: int, value: float):
    calls = 0

    def loss(model: nn.Module, batch: tuple, state: object) -> tuple:
        nonlocal calls
        calls += 1
        mean, count, state = next_token_loss(model, batch, state)
        return (mean * value if calls > step else mean), count, state

    return loss


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (math.nan, {}, r"the loss became nan at step 5: lower the learning rate \(0.02\); the"),
        (math.inf, {}, "the loss became inf at step 5"),
        (math.nan, {"clip_norm": None}, r"rate \(0.02\) or set clip_norm=1.0; the weights are t"),
    ],
)
def test_nonsense_never_reaches_the_weights(value: float, options: dict, message: str) -> None:
    recipe = dataclasses.replace(RECIPE, schedule="constant", **options)
    model, before = tiny_model(), tiny_model()
    with pytest.raises(TrainingError, match=message):
        train(model, recipe, loss=nonsense_at(5, value))
    train(before, dataclasses.replace(recipe, steps=5))
    assert same_weights(model, before)


def test_a_nonsense_gradient_of_a_sound_loss_is_refused() -> None:
    model = Table()
    before = model.table.detach().clone()

    def loss(model: nn.Module, batch: tuple, state: object) -> tuple:
        return (model.table * 0).sum().sqrt(), 1, None  # the slope of a root at 0 is infinite

    with pytest.raises(TrainingError, match="the gradient's norm became nan at step 0"):
        train(model, loss=loss)
    assert torch.equal(model.table.detach(), before)


# ---- clipping -----------------------------------------------------------------------------


def test_clipping_while_training() -> None:
    steep = train(tiny_model(), dataclasses.replace(RECIPE, clip_norm=None))
    model = tiny_model()
    clipped = train(model, dataclasses.replace(RECIPE, clip_norm=1e-3))
    assert clipped.gradient_norms[0] == steep.gradient_norms[0] > 0.1  # as it was before
    left = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert float(left.norm()) == pytest.approx(1e-3, rel=0.01)
    by_value = train(tiny_model(), dataclasses.replace(RECIPE, clip_norm=None, clip_value=1e-3))
    count = sum(p.numel() for p in tiny_model().parameters())
    assert max(by_value.gradient_norms) <= 1e-3 * count**0.5 * 1.001
