"""Clusters of rare words: exact probabilities, a cost that agrees with them, and a model to use."""

import math
import warnings

import pytest
import torch
from torch import Tensor, nn

from minidistill.adaptive_softmax import AdaptiveReadout, AdaptiveSoftmax
from minidistill.batches import IGNORE, ContinuousBatches
from minidistill.device import seeded
from minidistill.generation import generate
from minidistill.language_model import LanguageModel
from minidistill.recurrent import GRU
from minidistill.training import Recipe, evaluate, fit, next_token_loss
from tests.training_parts import same_weights

V, H = 83, 11


def readout(seed: int = 0, **options: object) -> AdaptiveReadout:
    with seeded(seed):
        return AdaptiveReadout(H, V, **{"cutoffs": [7, 31], "div_value": 2.0, **options})


def model_of(seed: int = 0, **options: object) -> LanguageModel:
    with seeded(seed):
        model = LanguageModel(V, H, GRU(H, H))
    model.readout = readout(seed, **options)
    return model


def ids(count: int, seed: int = 0) -> Tensor:
    """By Zipf's law, the most frequent first; half of them follow from the one before."""
    g = torch.Generator().manual_seed(seed)
    found = torch.multinomial(1 / torch.arange(1.0, V + 1), count, replacement=True, generator=g)
    follows = torch.rand(count, generator=g) < 0.5
    for i in range(1, count):
        found[i] = (3 * found[i - 1] + 1) % V if follows[i] else found[i]
    return found


def hidden_of(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, H, generator=torch.Generator().manual_seed(seed))


# ---- the probabilities --------------------------------------------------------------------


@pytest.mark.parametrize("cutoffs", [None, [1], [7, 31], [1, 2, 3, 82]])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 1, 3)])
def test_probabilities_add_up_to_one(shape: tuple[int, ...], cutoffs: list[int] | None) -> None:
    log_p = readout(cutoffs=cutoffs, div_value=1.5)(3 * hidden_of(*shape))
    assert log_p.shape == (*shape, V)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(shape))


def test_a_rare_word_has_the_product_of_two_probabilities() -> None:
    part, hidden = readout(), hidden_of(5)
    head = part.adaptive.head(hidden).softmax(-1)  # 7 words and 2 clusters
    first, second = (tail(hidden).softmax(-1) for tail in part.adaptive.tail)
    expected = torch.cat([head[:, :7], head[:, 7:8] * first, head[:, 8:] * second], 1)
    torch.testing.assert_close(part(hidden).exp(), expected)


def test_the_cost_is_that_of_the_probabilities() -> None:
    part, targets = readout(), ids(15).view(3, 5)
    hidden = hidden_of(3, 5).requires_grad_()
    assert len({(i >= 7) + (i >= 31) for i in targets.flatten().tolist()}) == 3  # all clusters
    expected = -part(hidden).gather(-1, targets[..., None]).mean()
    found = part.cost(hidden, targets)
    torch.testing.assert_close(found, expected)
    wanted = [hidden, *part.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(found, wanted), torch.autograd.grad(expected, wanted)
    )


def test_padding_counts_for_nothing() -> None:
    part, targets = readout(), ids(15).view(3, 5)
    targets[0, 0] = targets[2, 3:] = IGNORE
    real = targets != IGNORE
    hidden = hidden_of(3, 5).masked_fill(~real[..., None], math.nan).requires_grad_()
    found = part.cost(hidden, targets)
    expected = -part(hidden[real]).gather(-1, targets[real][:, None]).mean()
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, hidden)
    assert bool(gradient[real].any(-1).all()) and not bool(gradient[~real].any())


def test_all_padding() -> None:
    hidden = hidden_of(3, 5).requires_grad_()
    found = readout().cost(hidden, torch.full((3, 5), IGNORE))
    assert float(found.detach()) == 0
    assert not bool(torch.autograd.grad(found, hidden)[0].any())


@pytest.mark.parametrize(
    "cutoffs", [[], [0], [31, 7], [7, 7], [V], [7, V + 3], [-1], [2.5], [7, 31, 31]]
)
def test_bad_cutoffs(cutoffs: list) -> None:
    with pytest.raises(ValueError, match="whole numbers that rise, each above 0 and below the"):
        AdaptiveReadout(H, V, cutoffs)


@pytest.mark.parametrize("hidden_size", [1, 7, 11, 63, 64])
def test_every_cluster_has_vectors(hidden_size: int) -> None:
    # Vectors of no numbers would make all words of a cluster alike, and nothing would say so.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part = AdaptiveReadout(hidden_size, V)
    assert all(p.numel() for p in part.parameters())
    rare = part(torch.ones(1, hidden_size))[0, -10:]
    assert len(set(rare.tolist())) > 1


# ---- training -----------------------------------------------------------------------------

BATCHES, HELD_OUT = ContinuousBatches(ids(301), 3, 7), ContinuousBatches(ids(301, 1), 5, 11)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_trains_and_its_loss_is_the_cross_entropy(precision: str) -> None:
    model, loss = model_of(), AdaptiveSoftmax()
    part, recipe = model.readout, Recipe(60, 0.02, validate_every=20, precision=precision)
    before = evaluate(model, HELD_OUT, next_token_loss)
    history = fit(model, BATCHES, recipe, validation=HELD_OUT, loss=loss, progress=False)
    assert model.readout is part and history.best[1] < before - 0.3
    exact = evaluate(model, HELD_OUT, next_token_loss)
    assert history.best[1] == pytest.approx(exact, rel=1e-5)


def test_it_trains_as_with_all_probabilities() -> None:
    one, two = model_of(), model_of()
    recipe = Recipe(7, 0.01)
    found = fit(one, BATCHES, recipe, loss=AdaptiveSoftmax(), progress=False)
    expected = fit(two, BATCHES, recipe, loss=next_token_loss, progress=False)
    assert found.losses == pytest.approx(expected.losses, rel=1e-4)
    assert not same_weights(one, model_of())


def test_the_count_is_of_real_targets() -> None:
    inputs, targets = next(BATCHES.epoch(0))
    targets = targets.clone()
    targets[0, :3] = IGNORE
    value, count, state = AdaptiveSoftmax()(model_of(), (inputs, targets), None)
    assert count == targets.numel() - 3 and state.shape == (1, 3, H) and value.isfinite()
    nothing = torch.full_like(targets, IGNORE)
    value, count, _ = AdaptiveSoftmax()(model_of(), (inputs, nothing), None)
    assert float(value.detach()) == 0 and count == 0


def test_a_model_in_double_precision() -> None:
    model, batch = model_of().double(), next(BATCHES.epoch(0))
    value = AdaptiveSoftmax()(model, batch, None)[0]
    assert value.dtype == torch.float64
    torch.testing.assert_close(value, next_token_loss(model.float(), batch, None)[0].double())


# ---- writing ------------------------------------------------------------------------------


def test_it_writes() -> None:
    model, prompt = model_of(), torch.tensor([[1, 2], [60, 5]])
    written = generate(model, prompt, 30, generator=torch.Generator().manual_seed(0))
    assert written.shape == (2, 32) and int(written.max()) > 31 and int(written.max()) < V
    greedy = generate(model, prompt, 3, greedy=True)
    with torch.no_grad():
        expected = model(greedy[:, :-1])[0][:, 1:].argmax(-1)
    assert torch.equal(greedy[:, 2:], expected)


def test_a_linear_read_out_is_refused() -> None:
    with seeded(0):
        model = LanguageModel(V, H, GRU(H, H))
    with pytest.raises(ValueError, match=r"no clusters: model.readout = AdaptiveReadout\(H, V\)"):
        fit(model, BATCHES, Recipe(2), loss=AdaptiveSoftmax(), progress=False)
    assert isinstance(model.readout, nn.Linear)
