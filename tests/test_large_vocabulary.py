"""One argument of `fit` trains any writer by the sampled softmax, and leaves it as it was."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minidistill import load_novel
from minidistill.adaptive_softmax import AdaptiveReadout
from minidistill.batches import IGNORE, ContinuousBatches, PairBatches
from minidistill.byte_pairs import BytePairVocabulary
from minidistill.checkpoints import CheckpointError
from minidistill.convolution import CausalConvolution
from minidistill.device import seeded
from minidistill.distilling import read_with_loss
from minidistill.language_model import LanguageModel
from minidistill.large_vocabulary import ChunkedSoftmax, SampledSoftmax, start_from_counts
from minidistill.pointer import PointerSeq2Seq
from minidistill.readout import hidden_states
from minidistill.recurrent import GRU, RNN
from minidistill.samplers import LogUniformSampler, UniformSampler, UnigramSampler
from minidistill.seq2seq import Seq2Seq
from minidistill.sparse_rows import LazyAdam, RowAdagrad, gradient_values
from minidistill.teacher_forcing import pair_loss
from minidistill.training import History, Recipe, evaluate, fit, next_token_loss
from minidistill.vocabulary import BOS, EOS, PAD, CharacterVocabulary, WordVocabulary
from tests.pair_models import SPECIAL, Kind, model_of
from tests.training_parts import Broken, same_weights

V = 83
RECIPE = Recipe(steps=11, learning_rate=0.01, validate_every=5, checkpoint_every=3)


def text(count: int = 301, seed: int = 0) -> Tensor:
    """Ids by Zipf's law, each of which says much about the next; ids from 73 on never stand."""
    g = torch.Generator().manual_seed(seed)
    weights = 1 / torch.arange(1.0, 74)
    fresh = torch.multinomial(weights, count, replacement=True, generator=g)
    keep, ids = torch.rand(count, generator=g) < 0.3, fresh.tolist()
    for i in range(1, count):
        ids[i] = ids[i] if keep[i] else (5 * ids[i - 1] + 1) % 73
    return torch.tensor(ids)


BATCHES, HELD_OUT = ContinuousBatches(text(), 3, 7), ContinuousBatches(text(seed=1), 5, 11)


def pairs(size: int = 13) -> PairBatches:
    g = torch.Generator().manual_seed(2)
    texts = [torch.randint(3, size, (n,), generator=g) for n in (3, 5, 2, 7, 4, 1, 6, 3)]
    return PairBatches([(t, t.flip(0)) for t in texts], 3, **SPECIAL)


class OwnModel(nn.Module):
    """A student's class: its own names, and a read-out called otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.vocab_size = V
        self.vectors = nn.Embedding(V, 5)
        self.memory = nn.GRU(5, 7, batch_first=True)
        self.to_words = nn.Linear(7, V, bias=False)

    def forward(self, tokens: Tensor, state: Any = None, mask: Any = None) -> tuple[Tensor, Any]:
        h, state = self.memory(self.vectors(tokens), state)
        return self.to_words(h), state


class Bigrams(nn.Module):
    """Nothing but tables."""

    def __init__(self) -> None:
        super().__init__()
        self.vocab_size = V
        self.vectors, self.to_words = nn.Embedding(V, 5), nn.Linear(5, V)

    def forward(self, tokens: Tensor, state: Any = None, mask: Any = None) -> tuple[Tensor, Any]:
        return self.to_words(self.vectors(tokens)), None


def language_model(seed: int = 0, tied: bool = False, dropout: float = 0.2) -> LanguageModel:
    with seeded(seed):
        return LanguageModel(V, 7, RNN(7, 7), dropout, tied)


def pair_model(attention: str | None = "additive", **options: Any) -> nn.Module:
    return model_of(Kind("GRU", attention, options), dtype=torch.float32)


def shared_model() -> nn.Module:
    with seeded(5):
        return Seq2Seq(17, 17, 5, 7, GRU, None, shared=True, tied=True)


MODELS: dict[str, tuple[Callable[[], nn.Module], Any, Any]] = {
    "recurrent": (language_model, BATCHES, HELD_OUT),
    "tied": (lambda: language_model(tied=True), BATCHES, HELD_OUT),
    "convolution": (lambda: LanguageModel(V, 5, CausalConvolution(5, 7, 2)), BATCHES, HELD_OUT),
    "own": (OwnModel, BATCHES, HELD_OUT),
    "bigrams": (Bigrams, BATCHES, HELD_OUT),
    "attention": (pair_model, pairs(), pairs()),
    "attention, tied": (lambda: pair_model("general", tied=True), pairs(), pairs()),
    "no reader": (lambda: pair_model("additive", reader=False), pairs(), pairs()),
    "no attention": (lambda: pair_model(None), pairs(), pairs()),
    "shared": (shared_model, pairs(17), pairs(17)),
}


def made(name: str) -> tuple[nn.Module, Any, Any]:
    make, batches, held_out = MODELS[name]
    with seeded(3):
        return make(), batches, held_out


def sampled(model: nn.Module, samples: int = 5, **options: Any) -> SampledSoftmax:
    return SampledSoftmax(LogUniformSampler(model.vocab_size), samples, **options)


def train(model: nn.Module, loss: Any, recipe: Recipe = RECIPE, **options: Any) -> History:
    batches = options.pop("batches", BATCHES)
    return fit(model, batches, recipe, loss=loss, progress=False, **options)


def outline(model: nn.Module) -> list:
    """What a loss might leave changed: modules, their kinds, modes, sparse gradients, names."""
    found: list = [
        (name, type(part), part.training, getattr(part, "sparse", None))
        for name, part in model.named_modules()
    ]
    return [*found, *(name for name, _ in model.named_parameters(remove_duplicate=False))]


# ---- every writer, one argument -------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("name", MODELS)
def test_any_writer_trains_and_is_left_as_it_was(name: str, optimizer: str) -> None:
    model, batches, held_out = made(name)
    before, shape = evaluate(model, held_out, read_with_loss), outline(model)
    rate = 0.01 if optimizer == "adagrad" else 0.05
    recipe = dataclasses.replace(RECIPE, steps=40, validate_every=20, learning_rate=rate)
    loss = sampled(model, optimizer=optimizer)
    history = train(model, loss, recipe, batches=batches, validation=held_out)
    assert outline(model) == shape
    assert history.best[1] < before - 0.1
    usual = pair_loss if hasattr(model, "encode") else next_token_loss
    exact = evaluate(model, held_out, usual)  # of the best weights
    assert history.best[1] == pytest.approx(exact, rel=1e-5)
    assert evaluate(model, held_out, loss) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_in_chunks_it_trains_as_ever(name: str) -> None:
    (one, batches, held_out), (two, _, _) = made(name), made(name)
    found = train(one, ChunkedSoftmax(7), batches=batches, validation=held_out)
    expected = train(two, read_with_loss, batches=batches, validation=held_out)
    assert found.losses == pytest.approx(expected.losses, rel=1e-4)
    assert [x for _, x in found.validation] == pytest.approx([x for _, x in expected.validation])
    theirs = two.state_dict()
    for key, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, theirs[key], rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", MODELS)
def test_all_classes_train_as_the_full_softmax(name: str) -> None:
    """With S = V one step of the loss has the gradients of all tables that torch has."""
    (one, batches, _), (two, _, _) = made(name), made(name)
    batch = next(batches.epoch(0))
    loss = sampled(one, one.vocab_size)
    for model, cost in ((one.train(), loss), (two.train(), read_with_loss)):
        with seeded(1):
            cost(model, batch, None)[0].backward()
    assert any(p.grad is not None and p.grad.is_sparse for p in one.parameters())
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        found = torch.zeros_like(q) if p.grad is None else p.grad.to_dense()
        torch.testing.assert_close(found, q.grad, rtol=0, atol=1e-5)


def test_the_state_is_carried_and_the_count_is_of_real_targets() -> None:
    model = language_model().train()
    inputs, targets = next(BATCHES.epoch(0))
    targets = targets.clone()
    targets[0, :3] = IGNORE
    for loss in (sampled(model), ChunkedSoftmax()):
        value, count, state = loss(model, (inputs, targets), None)
        assert int(count) == targets.numel() - 3 and value.dim() == 0
        assert state.shape == model(inputs)[1].shape


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", [SampledSoftmax, ChunkedSoftmax])
def test_mixed_precision(kind: type, precision: str) -> None:
    model = language_model(tied=True)
    loss = sampled(model) if kind is SampledSoftmax else ChunkedSoftmax(7)
    history = train(model, loss, dataclasses.replace(RECIPE, precision=precision))
    assert all(math.isfinite(x) for x in history.losses)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


# ---- rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_rows_that_no_step_touched_are_the_same_to_the_bit(optimizer: str, tied: bool) -> None:
    model = language_model(tied=tied)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loss = sampled(model, 5, optimizer=optimizer)
    touched, sample = set(), loss.sampler.sample

    def watched(samples: int, generator: torch.Generator | None = None) -> Any:
        drawn = sample(samples, generator)
        touched.update(drawn.ids.tolist())
        return drawn

    loss.sampler.sample = watched
    batches = ContinuousBatches(text(40), 3, 7)
    train(model, loss, dataclasses.replace(RECIPE, steps=3, weight_decay=0.5), batches=batches)
    read, told = ({int(i) for i in part.flatten()} for part in _both(batches))
    touched |= told - {IGNORE}
    after = model.state_dict()
    for name, rows in (
        ("embedding.weight", touched | read if tied else read),
        ("readout.weight", touched | read if tied else touched),
        ("readout.bias", touched),
    ):
        same = (before[name] == after[name]).view(V, -1)
        assert 5 < len(rows) < V - 5
        for row in range(V):
            assert bool(same[row].all()) == (row not in rows), (name, row)


def _both(batches: Any) -> tuple[Tensor, Tensor]:
    inputs, targets = zip(*batches.epoch(0), strict=True)
    return torch.cat(inputs, 1), torch.cat(targets, 1)


@pytest.mark.parametrize("tied", [True, False])
def test_the_norm_that_is_clipped_is_that_of_the_dense_gradient(tied: bool) -> None:
    model, other = language_model(tied=tied), language_model(tied=tied)
    recipe = dataclasses.replace(RECIPE, steps=1, clip_norm=0.01, seed=2)
    history = train(model, sampled(model), recipe)
    torch.manual_seed(2 * 1_000_003)  # what `fit` draws step 0 from
    sampled(other)(other.train(), next(BATCHES.epoch(0)), None)[0].backward()
    norms = [p.grad.to_dense().norm() for p in other.parameters()]
    assert history.gradient_norms[0] == pytest.approx(float(torch.stack(norms).norm()), rel=1e-5)
    parts = [p.grad._values().norm() for p in other.parameters() if p.grad.is_sparse]
    assert float(torch.stack(parts).norm()) != pytest.approx(history.gradient_norms[0], rel=0.01)
    assert sum(p.grad.is_sparse for p in other.parameters()) == (2 if tied else 3)
    for p in other.parameters():
        assert float(gradient_values(p).norm()) == pytest.approx(float(p.grad.to_dense().norm()))


def test_the_rates_of_tables_and_of_the_rest() -> None:
    model = language_model()
    for kind, given, factor in (("adagrad", None, 30), ("adam", None, 1), ("adam", 7.0, 7)):
        loss = sampled(model, optimizer=kind, factor=given)
        optimizer = loss.optimizer(model, 0.01, 0.3)
        tables, rest = optimizer.param_groups
        kinds = [type(part) for part in optimizer.optimizers]
        assert kinds == [RowAdagrad if kind == "adagrad" else LazyAdam, torch.optim.AdamW]
        assert tables["lr"] == pytest.approx(0.01 * factor) and rest["lr"] == 0.01
        assert rest["weight_decay"] == 0.3
        named = {id(p) for p in (*model.readout.parameters(), model.embedding.weight)}
        assert {id(p) for p in tables["params"]} == named and len(tables["params"]) == 3
        assert {id(p) for p in rest["params"]} == {id(p) for p in model.recurrent.parameters()}
    train(model, loss)
    tied = language_model(tied=True)
    assert len(sampled(tied).optimizer(tied, 0.01, 0.0).param_groups[0]["params"]) == 2


# ---- broken on purpose ----------------------------------------------------------------------


class Breaking(SampledSoftmax):
    """It raises in the `left`-th training step, inside the model."""

    left = 10**9

    def __call__(self, model: nn.Module, batch: Any, state: Any = None) -> tuple:
        if model.training:
            self.left -= 1
        if self.left < 0:
            handle = model.recurrent.register_forward_pre_hook(_break)
            try:
                return super().__call__(model, batch, state)
            finally:
                handle.remove()
        return super().__call__(model, batch, state)


def _break(*_: Any) -> None:
    raise Broken


def breaking_at(step: int, **options: Any) -> Breaking:
    loss = Breaking(LogUniformSampler(V), 5, **options)
    loss.left = step
    return loss


def test_after_an_error_the_model_is_as_it_was() -> None:
    model = language_model(tied=True)
    shape, readout = outline(model.train()), model.readout
    with pytest.raises(Broken):
        train(model, breaking_at(2))
    assert outline(model) == shape and model.readout is readout
    assert model.readout.weight is model.embedding.weight
    model.embedding.sparse = True  # as the student had it
    train(model, sampled(model))
    assert model.embedding.sparse
    for loss in (sampled(model), ChunkedSoftmax()):
        with pytest.raises(ValueError, match="token ids reach 83"):
            loss(model, (torch.full((1, 2), V), torch.zeros(1, 2, dtype=torch.int64)), None)
        assert model.readout is readout and model.embedding.sparse


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_broken_run_ends_as_the_unbroken_one(tmp_path: Path, optimizer: str, tied: bool) -> None:
    def options() -> dict:
        return {"validation": HELD_OUT, "checkpoint": tmp_path / "run.safetensors"}

    whole = language_model(tied=tied)
    expected = train(whole, breaking_at(99, optimizer=optimizer), validation=HELD_OUT)
    for step in (4, 4, 3):
        with pytest.raises(Broken):
            train(language_model(tied=tied), breaking_at(step, optimizer=optimizer), **options())
    again = language_model(9, tied)
    assert train(again, breaking_at(99, optimizer=optimizer), **options()) == expected
    assert same_weights(again, whole)


@pytest.mark.parametrize(
    "other",
    [
        lambda: SampledSoftmax(LogUniformSampler(V), 7),
        lambda: SampledSoftmax(UniformSampler(V), 5),
        lambda: SampledSoftmax(LogUniformSampler(V), 5, optimizer="adam"),
        lambda: SampledSoftmax(LogUniformSampler(V), 5, factor=10.0),
        lambda: SampledSoftmax(LogUniformSampler(V), 5, correction="none"),
        lambda: SampledSoftmax(LogUniformSampler(V), 5, remove_hits=False),
        lambda: next_token_loss,
    ],
)
def test_a_checkpoint_of_another_loss_is_refused(tmp_path: Path, other: Callable[[], Any]) -> None:
    path, model = tmp_path / "run.safetensors", language_model()
    with pytest.raises(Broken):
        train(model, breaking_at(5), checkpoint=path)
    with pytest.raises(CheckpointError, match=r"it differs in: loss\)"):
        train(language_model(), other(), checkpoint=path)


def test_another_unigram_sampler_is_another_loss() -> None:
    def words(*given: Any) -> str:
        return SampledSoftmax(UnigramSampler(*given), 5).fingerprint()

    counts = list(range(1, V + 1))
    assert words(counts) == words(counts) != words(counts, 1.0)
    assert words(counts) != words(counts[::-1])  # other chances, other draws


# ---- what is refused ------------------------------------------------------------------------


def test_a_model_that_does_more_with_its_logits_is_refused() -> None:
    with seeded(0):
        model = PointerSeq2Seq(17, 5, 7, GRU, places=3)
    for loss in (SampledSoftmax(UniformSampler(20), 5), ChunkedSoftmax()):
        with pytest.raises(ValueError, match="does more with its logits than to return them"):
            train(model, loss, batches=pairs(17))

    class Cooler(OwnModel):
        def forward(self, *given: Any) -> tuple[Tensor, Any]:
            logits, state = super().forward(*given)
            return logits / 2, state

    cooler = Cooler()
    with pytest.raises(ValueError, match="train it with its own loss"):
        train(cooler, sampled(cooler))
    assert isinstance(cooler.to_words, nn.Linear)


def test_a_model_whose_read_out_is_not_plain_is_refused() -> None:
    two, none = OwnModel(), OwnModel()
    two.also = nn.Linear(7, V)
    none.to_words = nn.Linear(7, V + 1)
    for model, count in ((two, 2), (none, 0)):
        for loss in (SampledSoftmax(UniformSampler(V), 5), ChunkedSoftmax()):
            with pytest.raises(ValueError, match=f"has {count} linear layers with {V} outputs"):
                train(model, loss)
    two.readout = two.to_words  # named, it is plain which one makes the logits
    del two.to_words, two.also
    with hidden_states(two) as readout:
        assert readout.of.out_features == V


@pytest.mark.parametrize("kind", ["sampled", "chunked"])
def test_a_read_out_that_is_not_linear_is_refused(kind: str) -> None:
    model = language_model()
    model.readout = AdaptiveReadout(7, V, [10, 40], div_value=2.0)
    loss = sampled(model) if kind == "sampled" else ChunkedSoftmax()
    with pytest.raises(ValueError, match="read-out is a AdaptiveReadout, which has no weight"):
        train(model, loss)


def test_a_sampler_of_another_vocabulary_is_refused() -> None:
    for size in (V - 2, V + 2):
        with pytest.raises(ValueError, match=f"draws from {size} classes but the weight has {V}"):
            train(language_model(), SampledSoftmax(UniformSampler(size), 5))


@pytest.mark.parametrize("samples", [0, -1, V + 1])
def test_a_wrong_number_of_samples(samples: int) -> None:
    with pytest.raises(ValueError, match=f"samples is {samples} but the vocabulary has {V} tokens"):
        SampledSoftmax(UniformSampler(V), samples)


def test_an_unknown_optimizer() -> None:
    with pytest.raises(ValueError, match="optimizer is 'adagrad' or 'adam', not 'sgd'"):
        SampledSoftmax(UniformSampler(V), 5, optimizer="sgd")


# ---- from a vocabulary ------------------------------------------------------------------------

STORY = "the lamp was out and the lamp was cold and the house was dark . the end . " * 3


def test_for_a_vocabulary_in_order() -> None:
    for specials in ((), (PAD, BOS, EOS)):
        for make in (WordVocabulary, CharacterVocabulary):
            vocabulary = make.build(STORY, specials=specials)
            for name, kind in (
                ("log-uniform", LogUniformSampler),
                ("unigram", UnigramSampler),
                ("uniform", UniformSampler),
            ):
                loss = SampledSoftmax.for_vocabulary(vocabulary, 5, name, optimizer="adam")
                assert type(loss.sampler) is kind and loss.samples == 5 and loss.rows.kind == "adam"
                assert loss.sampler.vocab_size == len(vocabulary)
    assert type(SampledSoftmax.for_vocabulary(vocabulary, 5).sampler) is UnigramSampler
    cut = WordVocabulary.build(STORY, specials=(PAD,)).cut(7)  # <unk> stands for many words now
    SampledSoftmax.for_vocabulary(cut, 3, "log-uniform")


def test_for_a_vocabulary_that_is_not_in_order() -> None:
    byte_pairs = BytePairVocabulary.train(STORY, 270)
    wrong = WordVocabulary(["<unk>", "a", "b", "c"], (), [0, 2, 7, 1])
    for vocabulary in (byte_pairs, wrong):
        with pytest.raises(ValueError, match="takes ids for the order of frequency"):
            SampledSoftmax.for_vocabulary(vocabulary, 3, "log-uniform")
        assert SampledSoftmax.for_vocabulary(vocabulary, 3, "unigram").samples == 3
        assert SampledSoftmax.for_vocabulary(vocabulary, 3, "uniform").samples == 3


def test_for_a_vocabulary_without_counts() -> None:
    vocabulary = WordVocabulary(["<unk>", "a", "b", "c"])
    for name in ("log-uniform", "unigram"):
        with pytest.raises(ValueError, match="no counts: build it from a text, or draw by 'unif"):
            SampledSoftmax.for_vocabulary(vocabulary, 3, name)
    assert SampledSoftmax.for_vocabulary(vocabulary, 3, "uniform").sampler.vocab_size == 4


def test_for_a_vocabulary_the_other_wrong_arguments() -> None:
    vocabulary = WordVocabulary.build(STORY)
    for name in ("log-uniform", "unigram", "uniform"):
        with pytest.raises(ValueError, match=f"but the vocabulary has {len(vocabulary)} tokens"):
            SampledSoftmax.for_vocabulary(vocabulary, len(vocabulary) + 1, name)
    with pytest.raises(ValueError, match="log-uniform, unigram or uniform, not 'zipf'"):
        SampledSoftmax.for_vocabulary(vocabulary, 3, "zipf")


def test_the_bias_can_start_from_counts() -> None:
    model, counts = language_model(), [0, *range(82, 0, -1)]
    start_from_counts(model, counts)
    total = sum(counts) + 1  # what never stands is counted once
    expected = [math.log(max(1, count) / total) for count in counts]
    assert model.readout.bias.tolist() == pytest.approx(expected, abs=1e-5)
    assert isinstance(model.readout, nn.Linear) and model.readout.bias.requires_grad
    with pytest.raises(ValueError, match="82 counts for 83 classes"):
        start_from_counts(model, counts[1:])
    with pytest.raises(ValueError, match="the read-out has no bias to start from"):
        start_from_counts(OwnModel(), counts)


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_in_chunks_with_the_optimiser_of_rows(optimizer: str) -> None:
    model, loss = language_model(), ChunkedSoftmax(7, optimizer=optimizer)
    before = evaluate(model, HELD_OUT)
    recipe = dataclasses.replace(RECIPE, steps=30)
    assert train(model, loss, recipe, validation=HELD_OUT).best[1] < before - 0.1
    assert loss.fingerprint() != ChunkedSoftmax(7).fingerprint() == ""


# ---- a real text --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["log-uniform", "unigram"])
def test_on_a_novel_it_ends_close_to_full_training(sampler: str) -> None:
    train_text, held_out = (part.text for part in load_novel().split()[:2])
    vocabulary = WordVocabulary.build(train_text)
    train_on, validate_on = (
        ContinuousBatches(torch.tensor(vocabulary.encode(part)), 16, 20)
        for part in (train_text, held_out)
    )

    def perplexity(loss: Any, rate: float) -> float:
        with seeded(0):
            model = LanguageModel(len(vocabulary), 32, GRU(32, 32))
        recipe = Recipe(steps=60, learning_rate=rate, validate_every=60)
        options = {"batches": train_on, "validation": validate_on}
        return math.exp(train(model, loss, recipe, **options).best[1])

    full = min(perplexity(next_token_loss, rate) for rate in (0.01, 0.03, 0.1))
    loss = SampledSoftmax.for_vocabulary(vocabulary, 64, sampler)
    found = min(perplexity(loss, rate) for rate in (0.003, 0.01, 0.03))
    assert found < len(vocabulary) / 6
    assert found < 1.15 * full
