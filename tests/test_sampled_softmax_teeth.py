"""Wrong sampled softmaxes that look right: each fails the test made for it, the right one passes.

Leaving the correction out, correcting only one side, keeping accidental hits, or taking the
expected number of draws for the chance of being drawn: all of these train without an error.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from minidistill.sampled_softmax import sampled_backward, sampled_logits, sampled_softmax_loss
from minidistill.samplers import (
    LogUniformSampler,
    Negatives,
    Sampler,
    UniformSampler,
    UnigramSampler,
)

SEEDS, BATCHES = range(3), 1000


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def zipf(size: int) -> Tensor:
    """Zipf's law in float64, the most frequent class first."""
    p = 1 / torch.arange(1, size + 1, dtype=torch.float64)
    return p / p.sum()


class ByDraws(LogUniformSampler):
    """Wrong: the expected number of draws S p in the place of the chance of being among the S."""

    def __init__(self, vocab_size: int, samples: int) -> None:
        super().__init__(vocab_size)
        self.samples = samples

    def log_expected_count(self, ids: Tensor, time: Tensor | float) -> Tensor:
        return self.log_prob(ids) + math.log(self.samples)

    def sample(self, samples: int, generator: torch.Generator | None = None) -> Negatives:
        drawn = super().sample(samples, generator)
        return drawn._replace(log_expected_count=self.log_expected_count(drawn.ids, drawn.time))


# ---- 1: with every class drawn once it is the full softmax ---------------------------------


def miss_of_all_classes(seed: int, sampler: Sampler, **options: object) -> float:
    """How far the loss at S = V lies from the full cross-entropy."""
    V, N, H = sampler.vocab_size, 31, 11
    weight, noise = (torch.randn(n, H, generator=chance(seed + n)) for n in (V, N))
    bias = torch.randn(V, generator=chance(seed + 2))
    targets = torch.multinomial(zipf(V), N, replacement=True, generator=chance(seed + 3))
    hidden = 0.2 * weight[targets] + 0.3 * noise  # a model that has learned something
    full = nn.functional.cross_entropy(hidden @ weight.T + bias, targets)
    drawn = sampler.sample(V, chance(seed))
    found = sampled_softmax_loss(hidden, weight, bias, targets, drawn, sampler, **options)
    return abs(float(found - full))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "make", [UniformSampler, LogUniformSampler, lambda V: UnigramSampler([3] * V)]
)
def test_with_every_class_it_is_the_full_softmax(seed: int, make: Callable[[int], Sampler]) -> None:
    for correction in ("both", "negatives", "none"):  # every Q is 1: there is nothing to correct
        assert miss_of_all_classes(seed, make(53), correction=correction) < 1e-5


@pytest.mark.parametrize("seed", SEEDS)
def test_with_every_class_the_wrong_ones_are_seen(seed: int) -> None:
    assert miss_of_all_classes(seed, LogUniformSampler(53), remove_hits=False) > 0.02
    assert miss_of_all_classes(seed, ByDraws(53, 53)) > 0.15


# ---- 2: where the model is right, nothing pulls at it --------------------------------------


def pull(seed: int, sampler: Sampler, samples: int, **options: object) -> float:
    """Size of the mean gradient at softmax(logits) = P, with 1 for pure noise.

    The bias is ln P and the labels are drawn from P, so every gradient should be 0 on average.
    """
    V = sampler.vocab_size
    counts = (1000 * zipf(V).roll(3)).long()  # not in the sampler's order
    targets, bias = torch.arange(V).repeat_interleave(counts), (counts / counts.sum()).log()
    generator, found = chance(seed), []
    for _ in range(BATCHES):
        c = bias.clone().requires_grad_()
        drawn = sampler.sample(samples, generator)
        zeros = torch.zeros(len(targets), 1), torch.zeros(V, 1)
        sampled_softmax_loss(*zeros, c, targets, drawn, sampler, sparse=False, **options).backward()
        found.append(c.grad)
    gradients = torch.stack(found).double()  # (BATCHES, V)
    noise = gradients.std(0) / BATCHES**0.5
    return float((gradients.mean(0) / noise).square().mean().sqrt())


SAMPLERS = {
    "uniform": UniformSampler,
    "log-uniform": LogUniformSampler,
    "unigram": lambda V: UnigramSampler((1000 * zipf(V)).tolist()),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_at_the_right_model_the_gradient_vanishes(name: str, seed: int) -> None:
    assert pull(seed, SAMPLERS[name](47), 5) < 1.5
    assert pull(seed, SAMPLERS[name](47), 23) < 1.5


@pytest.mark.parametrize("seed", SEEDS)
def test_at_the_right_model_the_wrong_ones_pull(seed: int) -> None:
    sampler = LogUniformSampler(47)
    assert pull(seed, sampler, 23, correction="none") > 10
    assert pull(seed, sampler, 23, remove_hits=False) > 3
    assert pull(seed, UniformSampler(47), 5, correction="negatives") > 2.5
    assert pull(seed, ByDraws(47, 23), 23) > 30


# ---- 3: it learns the same as the full softmax ---------------------------------------------


class Learned(NamedTuple):
    """Contexts, read-out and bias of a model p(w | c) = softmax(W h_c + b)."""

    contexts: nn.Parameter
    weight: nn.Parameter
    bias: nn.Parameter


V, D, S, CONTEXTS = 5000, 32, 128, 20


def truth() -> Tensor:
    """P(w | c) (CONTEXTS, V): Zipf's law, bent by the context."""
    contexts, words = (0.7 * torch.randn(n, 5, generator=chance(n)) for n in (CONTEXTS, V))
    return (contexts @ words.T + zipf(V).log()).softmax(-1).float()


def learn(seed: int, cost: Callable[[Tensor, Learned, Tensor, int], Tensor]) -> float:
    """Train on draws from the truth; the full cross-entropy with the truth, in nats."""
    P, generator = truth(), chance(seed)
    pairs = P.double().flatten().cumsum(0) / CONTEXTS  # every context as often as any other
    parts = [0.3 * torch.randn(n, D, generator=generator) for n in (CONTEXTS, V)]
    model = Learned(*map(nn.Parameter, (*parts, torch.zeros(V))))
    steps = 300
    optimizer = torch.optim.Adam(model, lr=0.03)
    fall = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    for step in range(steps):
        places = torch.rand(512, generator=generator, dtype=torch.float64)
        places = torch.searchsorted(pairs, places).clamp(max=P.numel() - 1)
        c, targets = places // V, places % V
        optimizer.zero_grad()
        cost(model.contexts[c], model, targets, step).backward()
        optimizer.step()
        fall.step()
    with torch.no_grad():
        logits = model.contexts @ model.weight.T + model.bias
        return float(-(P * logits.log_softmax(-1)).sum(-1).mean())


def full(hidden: Tensor, model: Learned, targets: Tensor, step: int) -> Tensor:
    return nn.functional.cross_entropy(hidden @ model.weight.T + model.bias, targets)


def sampled(**options: object) -> Callable[[Tensor, Learned, Tensor, int], Tensor]:
    sampler = options.pop("sampler", LogUniformSampler(V))

    def cost(hidden: Tensor, model: Learned, targets: Tensor, step: int) -> Tensor:
        drawn = sampler.sample(S, chance(step))
        return sampled_softmax_loss(
            hidden, model.weight, model.bias, targets, drawn, sampler, sparse=False, **options
        )

    return cost


@pytest.mark.slow
def test_training_ends_where_the_full_softmax_ends() -> None:
    exact = learn(0, full)
    for seed in SEEDS:
        assert learn(seed, sampled()) < exact + 0.25
    assert learn(0, sampled(correction="none")) > exact + 1.2
    assert learn(0, sampled(sampler=ByDraws(V, S))) > exact + 0.4


# ---- 4: gradients by hand, and draws as often as is said -----------------------------------


def by_autograd(hits: bool = True) -> tuple[Tensor, ...]:
    """hidden, weight, targets, drawn, logits, and both gradients of the mean cost."""
    hidden, weight = (
        torch.randn(n, 5, generator=chance(n), dtype=torch.float64).requires_grad_()
        for n in (11, 17)
    )
    targets = torch.tensor([0, 2, 2, 3, 16, 5, 2, 0, 1, 7, 16])
    drawn = torch.tensor([0, 1, 3, 8, 11, 16])
    q = torch.rand(17, generator=chance(3), dtype=torch.float64).log()
    logits = sampled_logits(hidden, weight, None, targets, drawn, q[targets], q[drawn])
    if not hits:
        logits = torch.cat([logits[:, :1], hidden @ weight[drawn].T - q[drawn]], 1)
    cost = (logits.logsumexp(1) - logits[:, 0]).mean()
    return hidden, weight, targets, drawn, logits, *torch.autograd.grad(cost, (hidden, weight))


def of_rows(rows: Tensor, values: Tensor) -> Tensor:
    return torch.zeros(17, 5, dtype=values.dtype).index_add_(0, rows, values)


def test_gradients_by_hand_are_those_of_autograd() -> None:
    hidden, weight, targets, drawn, logits, to_hidden, to_weight = by_autograd()
    found, rows, values = sampled_backward(hidden, weight, targets, drawn, logits)
    torch.testing.assert_close(found, to_hidden, rtol=0, atol=1e-14)
    torch.testing.assert_close(of_rows(rows, values), to_weight, rtol=0, atol=1e-14)
    assert rows.shape == (17,) and values.shape == (17, 5)

    # The last value of a row in the place of their sum; and gradients of logits with the hits.
    last = torch.zeros_like(weight).index_put((rows,), values)
    assert (last - to_weight).abs().max() > 0.01
    other = by_autograd(hits=False)
    found, rows, values = sampled_backward(hidden, weight, targets, drawn, other[4])
    assert (found - to_hidden).abs().max() > 0.01
    assert (of_rows(rows, values) - to_weight).abs().max() > 0.01


class OneOff(LogUniformSampler):
    """Wrong: ranks that start from 2."""

    def log_prob(self, ids: Tensor) -> Tensor:
        return super().log_prob(ids + 1)


class Unbent(UnigramSampler):
    """Wrong: counts without their power."""

    def log_prob(self, ids: Tensor) -> Tensor:
        log_p = self._log_p / self.power
        return (log_p - log_p.logsumexp(0))[ids]


def misfit(sampler: Sampler, seed: int, count: int = 100_000) -> float:
    """Chi-square of draws against log_prob, in standard deviations above its mean."""
    every = torch.arange(sampler.vocab_size)
    expected = sampler.log_prob(every).double().exp() * count
    found = sampler.draw(count, chance(seed)).bincount(minlength=len(every))
    assert len(found) == len(every)
    freedom = len(every) - 1
    return float(((found - expected).square() / expected).sum() - freedom) / (2 * freedom) ** 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_draws_come_as_often_as_is_said(seed: int) -> None:
    counts = torch.randint(1, 1000, (101,), generator=chance(1)).tolist()
    for sampler in (UniformSampler(101), LogUniformSampler(101), UnigramSampler(counts)):
        assert misfit(sampler, seed) < 5
        total = sampler.log_prob(torch.arange(101)).exp().sum()
        assert float(total) == pytest.approx(1, abs=1e-5)
    powers = UnigramSampler(counts).log_prob(torch.arange(101))
    expected = 0.75 * (torch.tensor(counts) / counts[0]).log()
    torch.testing.assert_close(powers - powers[0], expected, rtol=0, atol=1e-5)
    assert misfit(OneOff(101), seed) > 50
    assert misfit(Unbent(counts), seed) > 50
