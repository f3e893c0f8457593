"""Negative sampling in `fit`: it learns, goes on after a break to the bit, and finds the truth."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minidistill.checkpoints import CheckpointError
from minidistill.device import seeded
from minidistill.embedding_training import NegativeSampling, guess
from minidistill.embeddings import CBOW, MeanQueryAttention, PositionAttention, SkipGram
from minidistill.negative_sampling import negative_sampling_loss
from minidistill.sparse_rows import RowAdagrad
from minidistill.training import History, Recipe, evaluate, fit
from minidistill.windows import WindowBatch, Windows, WordStream
from tests.training_parts import Broken, same_weights

V, H, WINDOW = 17, 7, 2
RECIPE = Recipe(steps=23, learning_rate=0.02, validate_every=5, checkpoint_every=4)


def stream_of(count: int = 301, seed: int = 0) -> WordStream:
    """Words that mostly count upwards, so that neighbours tell the middle."""
    g = torch.Generator().manual_seed(seed)
    noise = torch.randint(V, (count,), generator=g)
    counting = torch.rand(count, generator=g) < 0.8
    ids = torch.where(counting, torch.arange(count) % V, noise)
    return WordStream(ids, torch.arange(count) // 29)


STREAM = stream_of()
COUNTS = torch.bincount(STREAM.ids, minlength=V).tolist()
KEEP = torch.linspace(0.4, 1, V)
MODELS = {
    "plain": lambda: CBOW(V, H),
    "mean query": lambda: CBOW(V, H, MeanQueryAttention(), counts=COUNTS),
    "position": lambda: CBOW(V, H, PositionAttention(H, WINDOW), tied=True),
    "keys": lambda: CBOW(V, H, PositionAttention(3, WINDOW), key_size=3),
    "skip-gram": lambda: SkipGram(V, H),
}
every_model = pytest.mark.parametrize("kind", MODELS)


def model_of(kind: str, seed: int = 0) -> nn.Module:
    with seeded(seed):
        return MODELS[kind]()


def loss_of(**options: Any) -> NegativeSampling:
    return NegativeSampling(COUNTS, samples=31, **options)


def windows(seed: int = 0, **options: Any) -> Windows:
    return Windows(stream_of(seed=seed), WINDOW, 41, **options)


def train(model: nn.Module, loss: Any, path: Path | None = None, **options: Any) -> History:
    recipe = dataclasses.replace(RECIPE, **options)
    return fit(
        model,
        windows(shrink=True),
        recipe,
        validation=windows(1, shuffle=False),
        loss=loss,
        checkpoint=path,
        progress=False,
    )


# ---- training -------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("corrected", [True, False])
def test_the_loss_falls(kind: str, corrected: bool) -> None:
    model = model_of(kind)
    history = train(model, loss_of(corrected=corrected), steps=150, learning_rate=0.05)
    assert sum(history.losses[-10:]) < 0.9 * sum(history.losses[:10])
    assert history.best[1] < math.log(V) - 0.2
    assert not any(table.sparse for table in model.modules() if isinstance(table, nn.Embedding))


class BreakingAt(NegativeSampling):
    """Breaks when it is called for the `step`-th time while training."""

    step = 0

    def __call__(self, model: nn.Module, batch: WindowBatch, state: None = None) -> tuple:
        self.step -= model.training
        if self.step < 0:
            raise Broken
        return super().__call__(model, batch, state)


@every_model
@pytest.mark.parametrize("step", [2, 9, 22])
def test_a_broken_run_ends_as_the_unbroken_one(tmp_path: Path, kind: str, step: int) -> None:
    whole, path = model_of(kind), tmp_path / "run.safetensors"
    expected = train(whole, loss_of())
    breaking = BreakingAt(COUNTS, samples=31)
    breaking.step = step
    with pytest.raises(Broken):
        train(model_of(kind), breaking, path)
    assert path.exists() == (step >= 4)
    again = model_of(kind, seed=9 if path.exists() else 0)
    assert train(again, loss_of(), path) == expected
    assert same_weights(again, whole)


@pytest.mark.parametrize(
    "other",
    [
        {"negatives": 6},
        {"negatives": 2.5, "keep": torch.full((V,), 0.5)},  # of the same offset
        {"power": 0.5},
        {"keep": KEEP},
        {"corrected": False},
        {"factor": 20.0},
        {"samples": 32},
        {"counts": COUNTS[::-1]},
    ],
    ids=str,
)
def test_another_loss_is_another_run(other: dict[str, Any], tmp_path: Path) -> None:
    options: dict[str, Any] = {"counts": COUNTS, "samples": 31}
    one, two = NegativeSampling(**options), NegativeSampling(**(options | other))
    assert one.fingerprint() == NegativeSampling(**options).fingerprint() != two.fingerprint()
    path = tmp_path / "run.safetensors"
    train(model_of("plain"), one, path, steps=1)
    with pytest.raises(CheckpointError, match="it differs in: loss"):
        train(model_of("plain"), two, path, steps=1)


def test_tables_move_by_rows_and_the_rest_by_adamw() -> None:
    model = model_of("keys")
    rows, others = loss_of(factor=20.0).optimizer(model, 0.1, 0.3).optimizers
    assert isinstance(rows, RowAdagrad) and isinstance(others, torch.optim.AdamW)
    tables = {id(p): g["factor"] for g in rows.param_groups for p in g["params"]}
    moved = [model.embedding.weight, model.readout.weight, model.readout.bias]
    assert {tables.pop(id(p)) for p in moved} == {20.0}
    assert [*tables] == [id(model.keys.weight)] and tables[id(model.keys.weight)] < 20  # slowly
    assert [*map(id, others.param_groups[0]["params"])] == [*map(id, model.context.parameters())]
    assert others.param_groups[0]["weight_decay"] == 0.3


# ---- the cost -------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("corrected", [True, False])
def test_the_cost_of_a_batch_is_that_of_the_drawn_words(kind: str, corrected: bool) -> None:
    model, loss = model_of(kind), loss_of(corrected=corrected, negatives=3, keep=KEEP)
    nn.init.normal_(model.readout.bias)
    batch = next(windows().epoch(0))
    torch.manual_seed(5)
    value, count, state = loss(model, batch)
    torch.manual_seed(5)
    x, targets, mask = guess(model, batch)
    extra = {"bias": model.readout.bias, "offset": loss.offset} if corrected else {}
    drawn = loss.sampler.draw(31)
    expected = negative_sampling_loss(
        x, model.readout.weight, targets, drawn, 3, mask=mask, **extra
    )
    assert torch.equal(value, expected) and state is None
    assert int(count) == int(batch.mask.sum() if kind == "skip-gram" else len(batch.middles))
    value.backward()
    assert model.embedding.weight.grad.is_sparse and model.readout.weight.grad.is_sparse


def full_softmax(model: nn.Module, scores: Any) -> tuple[float, int]:
    """Sum and number of all costs over the validation text, one window at a time."""
    total, count = 0.0, 0
    for batch in windows(1, shuffle=False).epoch(0):
        for middle, words, mask in zip(batch.targets, batch.contexts, batch.mask, strict=True):
            if isinstance(model, SkipGram):
                x, targets = model(middle[None]), words[mask]
            else:
                x, targets = model(words[None], mask[None])[0], middle[None]
            p = scores(model, x).softmax(1)
            total -= float(p[0, targets].log().sum())
            count += len(targets)
    return total, count


def plain_scores(model: nn.Module, x: Tensor) -> Tensor:
    return x @ model.readout.weight.T + model.readout.bias


@every_model
@pytest.mark.parametrize("corrected", [True, False])
def test_evaluation_is_the_cross_entropy_of_the_full_softmax(kind: str, corrected: bool) -> None:
    model, loss = model_of(kind), loss_of(corrected=corrected, negatives=3, keep=KEEP)
    nn.init.normal_(model.readout.weight)
    nn.init.normal_(model.readout.bias)
    ratio = -loss.sampler.log_prob(torch.arange(V)) - math.log(3) + KEEP.log()

    def scores(model: nn.Module, x: Tensor) -> Tensor:
        if corrected:
            return plain_scores(model, x)
        return x @ model.readout.weight.T - ratio  # ln(P / kQ), so ln P is that much less

    with torch.no_grad():
        total, count = full_softmax(model.eval(), scores)
    found = evaluate(model, windows(1, shuffle=False), loss)
    assert found == pytest.approx(total / count, abs=1e-5)


# ---- what it learns of a text that was thinned ----------------------------------------------


class Blind(nn.Module):
    """Learns how often each word is to be guessed, and nothing else."""

    def __init__(self, reads_middle: bool) -> None:
        super().__init__()
        self.reads_middle, self.vocab_size = reads_middle, 2
        self.readout = nn.Linear(1, 2)

    def forward(self, words: Tensor, mask: Any = None, stretch: Any = None) -> Any:
        x = torch.ones(len(words), 1)
        return x if self.reads_middle else (x, mask)


OFTEN = torch.tensor([800.0, 200.0])
THIN = torch.tensor([0.25, 1.0])  # half and half remain


def learned(thin: str, reads_middle: bool = False, **options: Any) -> float:
    """What a model finds to be the chance of the frequent word, from the thinned text."""
    ids = (torch.rand(2000, generator=torch.Generator().manual_seed(0)) >= 0.8).long()
    text = Windows(WordStream(ids, torch.zeros_like(ids)), 1, 128, keep=THIN, thin=thin)
    loss, model = NegativeSampling(OFTEN, samples=64, **options), Blind(reads_middle)
    fit(model, text, Recipe(steps=300, learning_rate=0.01), loss=loss, progress=False)
    x = torch.ones(1, 1)
    scores = model.readout(x) if loss.corrected else x @ model.readout.weight.T
    return float(scores.softmax(1)[0, 0].detach())


# What skip-gram guesses is not thinned where only middles are.
THINNED = [(thin, reads) for thin in ("words", "places", "middles") for reads in (False, True)][:-1]


@pytest.mark.parametrize(("thin", "reads_middle"), THINNED)
def test_the_softmax_is_that_of_the_text_before_thinning(thin: str, reads_middle: bool) -> None:
    assert learned(thin, reads_middle, keep=THIN) == pytest.approx(0.8, abs=0.06)


def test_otherwise_it_is_not() -> None:
    assert learned("middles") == pytest.approx(0.5, abs=0.08)  # the thinned text's own
    q = OFTEN**0.75 / (OFTEN**0.75).sum()
    expected = float((1 / q[0]) / (1 / q).sum())  # word2vec's scores: ln(1/2 / q), but for k
    assert learned("middles", keep=THIN, corrected=False) == pytest.approx(expected, abs=0.08)
    assert expected < 0.4


# ---- what a model guesses, and refusals -----------------------------------------------------


def test_who_guesses_what() -> None:
    batch = next(windows().epoch(0))
    x, targets, mask = guess(model := model_of("skip-gram"), batch)
    assert torch.equal(x, model(batch.targets)) and torch.equal(targets, batch.contexts)
    assert mask is batch.mask
    x, targets, mask = guess(model := model_of("keys"), batch)
    torch.testing.assert_close(x, model(batch.contexts, batch.mask)[0])
    assert torch.equal(targets, batch.targets) and mask is None


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"negatives": 0}, {"negatives": -1.0}])
def test_what_must_be_above_zero(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"samples \(.*\) and negatives \(.*\) must be above 0"):
        NegativeSampling(COUNTS, **wrong)


def test_words_of_another_vocabulary_are_refused() -> None:
    loss = NegativeSampling([3, 5, 7])
    stream = WordStream(torch.tensor([1, V, 2]), torch.zeros(3).long())
    with pytest.raises(ValueError, match="this model knows 17 words"):
        fit(model_of("plain"), Windows(stream, 1), RECIPE, loss=loss, progress=False)


def test_a_step_is_fits_and_no_one_elses() -> None:
    """The words drawn depend on the step alone: two runs of one recipe are the same to the bit."""
    one, two = model_of("skip-gram"), model_of("skip-gram")
    first = train(one, loss_of())
    torch.manual_seed(99)
    assert train(two, loss_of()) == first and same_weights(one, two)


def test_half_precision_is_near() -> None:
    losses = [
        train(model_of("position"), loss_of(), precision=p).losses for p in ("float32", "bfloat16")
    ]
    torch.testing.assert_close(*map(torch.tensor, losses), rtol=0.03, atol=0.03)
    assert losses[0] != losses[1]
