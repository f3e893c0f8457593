"""Negative sampling by hand against the loss as it is read; its optimum, its noise, refusals."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid

from minidistill.embedding_training import NegativeSampling
from minidistill.negative_sampling import negative_sampling_loss
from minidistill.samplers import UnigramSampler
from tests.test_alias_table import chance_of
from tests.test_chunked_softmax import Largest, same

N, K, H, V, S = 11, 3, 7, 43, 13
NEGATIVES = 5
Parts = dict[str, Any]


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(
    seed: int = 0,
    several: bool = False,
    bias: bool = True,
    offset: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Parts:
    """All arguments; ids are drawn twice, targets are among the drawn, the mask is ragged."""
    g = chance(seed)
    x, weight, c, f = (
        torch.randn(size, generator=g, dtype=torch.float64).to(dtype)
        for size in ((N, H), (V, H), (V,), (V,))
    )
    for part in (x, weight, c):
        part.requires_grad_()
    drawn = torch.randint(V, (S,), generator=g)
    drawn[3:6], drawn[-1] = drawn[0], 2
    targets = torch.randint(V, (N, K) if several else (N,), generator=g)
    targets.view(-1)[::3] = 2
    found: Parts = {"x": x, "weight": weight, "targets": targets, "drawn": drawn}
    if several:
        found["mask"] = torch.rand(N, K, generator=g) < 0.6
        found["mask"][0], found["mask"][1] = True, False
    return found | ({"bias": c} if bias else {}) | ({"offset": f} if offset else {})


def as_read(parts: Parts, negatives: float = NEGATIVES) -> Tensor:
    """The loss in loops over rows and targets, for autograd."""
    weight, drawn = parts["weight"], parts["drawn"]
    added = weight.new_zeros(len(weight))
    for name in ("bias", "offset"):
        added = added + parts.get(name, 0)
    targets = parts["targets"].view(len(parts["x"]), -1)
    mask = parts.get("mask", torch.ones_like(targets, dtype=torch.bool)).view_as(targets)
    total = 0
    for x, row, real in zip(parts["x"], targets, mask, strict=True):
        noise = sum(logsigmoid(-(x @ weight[d] + added[d])) for d in drawn.tolist())
        for t in row[real].tolist():
            total = total - logsigmoid(x @ weight[t] + added[t]) - negatives / len(drawn) * noise
    return total / mask.sum()


def by_hand(parts: Parts, negatives: float = NEGATIVES, **options: Any) -> Tensor:
    return negative_sampling_loss(negatives=negatives, **(parts | options))


def with_gradients(loss: Tensor, parts: Parts) -> list[Tensor]:
    """The loss, and dense gradients of x, weight and, where there is one, bias."""
    kept = [parts[name] for name in ("x", "weight", "bias") if name in parts]
    return [loss, *(g.to_dense() for g in torch.autograd.grad(loss, kept))]


# ---- the definition -----------------------------------------------------------------------


@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("offset", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_value_and_gradients_are_those_of_the_definition(
    several: bool, bias: bool, offset: bool, sparse: bool
) -> None:
    parts = inputs(several=several, bias=bias, offset=offset)
    loss = by_hand(parts, sparse=sparse)
    assert loss.dtype == torch.float64 and loss.shape == ()
    found, expected = with_gradients(3 * loss, parts), with_gradients(3 * as_read(parts), parts)
    same(found, expected)
    kinds = torch.autograd.grad(by_hand(parts, sparse=sparse), parts["weight"])
    assert kinds[0].is_sparse == sparse


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1, 2, 20]), st.booleans())
def test_any_batch(seed: int, negatives: float, several: bool) -> None:
    parts = inputs(seed, several)
    found = with_gradients(by_hand(parts, negatives), parts)
    same(found, with_gradients(as_read(parts, negatives), parts))


def test_a_case_by_hand() -> None:
    # One vector, target 0 with score 1; 2 drawn twice with score 3, 0 drawn once; k = 6, S = 3.
    x = torch.tensor([[1.0, 0.0]], requires_grad=True)
    weight = torch.tensor([[1.0, 5.0], [7.0, 7.0], [2.0, 6.0]], requires_grad=True)
    bias = torch.tensor([0.0, 9.0, 1.0], requires_grad=True)
    drawn = torch.tensor([2, 0, 2])
    loss = negative_sampling_loss(x, weight, torch.tensor([0]), drawn, 6, bias=bias)
    one, three = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-3))
    expected = -math.log(one) - 2 * math.log(1 - one) - 4 * math.log(1 - three)
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    of_0, of_2 = one - 1 + 2 * one, 4 * three
    assert bias.grad.to_dense().tolist() == pytest.approx([of_0, 0, of_2])
    assert weight.grad.to_dense()[:, 0].tolist() == pytest.approx([of_0, 0, of_2])
    assert x.grad[0].tolist() == pytest.approx([of_0 + 2 * of_2, 5 * of_0 + 6 * of_2])


@pytest.mark.parametrize("several", [True, False])
def test_gradcheck(several: bool) -> None:
    parts = inputs(several=several)
    kept = [parts.pop(name) for name in ("x", "weight", "bias")]

    def cost(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return by_hand(parts | {"x": x, "weight": weight, "bias": bias}, sparse=False)

    assert torch.autograd.gradcheck(cost, kept)


def test_what_needs_no_gradient_gets_none() -> None:
    parts = inputs()
    expected = with_gradients(as_read(parts), parts)[1:]
    for place, name in enumerate(("x", "weight", "bias")):
        alone = {n: p.detach() if torch.is_tensor(p) else p for n, p in parts.items()}
        alone[name].requires_grad_()
        by_hand(alone).backward()
        same(alone[name].grad.to_dense(), expected[place])
        assert all(p.grad is None for n, p in alone.items() if n != name)


# ---- padding --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [-100, -1, V, 10**9])
def test_ids_at_padding_mean_nothing(what: int) -> None:
    parts = inputs(several=True)
    dirty = parts | {"targets": parts["targets"].masked_fill(~parts["mask"], what)}
    same(with_gradients(by_hand(dirty), dirty), with_gradients(as_read(parts), parts))


def test_one_row_of_targets_is_the_same_as_a_row_of_ones() -> None:
    parts = inputs()
    column = parts | {"targets": parts["targets"][:, None]}
    masked = parts | {"mask": torch.arange(N) % 3 > 0}
    left_out = parts | {name: parts[name][masked["mask"]] for name in ("x", "targets")}
    same(with_gradients(by_hand(column), parts), with_gradients(by_hand(parts), parts))
    same(by_hand(masked), by_hand(left_out))


# ---- what it learns ---------------------------------------------------------------------------


@pytest.mark.parametrize("corrected", [True, False])
def test_the_best_score_is_the_logarithm_of_the_ratio(corrected: bool) -> None:
    """All pairs of a known table, and every id drawn as often as Q says: nothing is left to chance.

    The score of (context, word) is one free number, x the unit vector of the context.
    """
    joint = torch.tensor([[4, 2, 1, 1], [1, 3, 2, 2], [2, 2, 3, 1.0]], dtype=torch.float64)
    q = torch.tensor([1, 2, 3, 4], dtype=torch.float64) / 10
    drawn = torch.arange(4).repeat_interleave(torch.tensor([1, 2, 3, 4]))
    contexts, targets = joint.nonzero().T
    often = joint[contexts, targets].long()
    contexts, targets = contexts.repeat_interleave(often), targets.repeat_interleave(often)
    score = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    offset = -(NEGATIVES * q).log() if corrected else None
    options = {"tolerance_grad": 1e-12, "tolerance_change": 0, "line_search_fn": "strong_wolfe"}
    step = torch.optim.LBFGS([score], max_iter=300, **options)

    def cost() -> Tensor:
        step.zero_grad()
        x = torch.eye(3, dtype=torch.float64)[contexts]
        loss = negative_sampling_loss(x, score, targets, drawn, offset=offset, sparse=False)
        loss.backward()
        return loss

    step.step(cost)
    p = joint / joint.sum(1, keepdim=True)
    expected = p.log() if corrected else (p / (NEGATIVES * q)).log()
    same(score.detach().T, expected, atol=1e-6)


def test_more_negatives_are_the_same_cost_on_average() -> None:
    parts = inputs()
    drawn = torch.arange(V)
    expected = by_hand(parts, drawn=drawn)
    same(by_hand(parts, drawn=drawn.repeat(3)), expected)  # S is three times as large, k is not
    halves = [by_hand(parts, drawn=drawn[:20]), by_hand(parts, drawn=drawn[20:])]
    same((20 * halves[0] + 23 * halves[1]) / 43, expected)


# ---- the noise ---------------------------------------------------------------------------------

COUNTS = [31, 5, 997, 17, 2, 211, 0, 503, 43, 7, 2, 89, 11, 61, 3, 5, 131, 1, 23, 13, 71, 19, 37]


def test_the_noise_follows_the_counts_to_the_power() -> None:
    sampler = NegativeSampling(COUNTS).sampler
    drawn = sampler.draw(200_000, chance(0))
    law = {power: torch.tensor(COUNTS).double().clamp(min=1) ** power for power in (0.65, 0.75, 1)}
    off = {power: chance_of(drawn, p / p.sum()) for power, p in law.items()}
    assert off[0.75] < 5 and off[0.65] > 50 and off[1] > 50
    drawn = NegativeSampling(COUNTS, power=1.0).sampler.draw(200_000, chance(0))
    assert chance_of(drawn, law[1] / law[1].sum()) < 5


def test_the_offset_is_minus_ln_k_q() -> None:
    keep = torch.linspace(0.1, 1, len(COUNTS))
    q = UnigramSampler(COUNTS).log_prob(torch.arange(len(COUNTS))).exp()
    same(NegativeSampling(COUNTS, 7).offset, -(7 * q).log(), atol=1e-5)
    same(NegativeSampling(COUNTS, 7, keep=keep).offset, (keep / (7 * q)).log(), atol=1e-5)


# ---- large numbers, few bits, and nothing of size V ----------------------------------------------


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_scores_stay_finite(size: float) -> None:
    parts = inputs(dtype=torch.float32)
    parts["x"] = (size * parts["x"].detach()).requires_grad_()
    found = with_gradients(by_hand(parts), parts)
    assert all(bool(x.isfinite().all()) for x in found)
    torch.testing.assert_close(found, with_gradients(as_read(parts), parts), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("several", [True, False])
def test_autocast(several: bool) -> None:
    parts = inputs(several=several, dtype=torch.float32)
    expected = with_gradients(by_hand(parts), parts)
    with torch.autocast("cpu", torch.bfloat16):
        loss = by_hand(parts)
    found = with_gradients(loss, parts)
    assert {x.dtype for x in found} == {torch.float32}
    torch.testing.assert_close(found, expected, rtol=0.03, atol=0.1)
    assert not torch.equal(found[0], expected[0])


def test_gradients_are_rows_and_nothing_of_the_tables_size_is_made() -> None:
    classes, count = 1_000_003, 5
    weight = torch.zeros(classes, 2, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    x, targets = torch.ones(count, 2, requires_grad=True), torch.arange(count) * 200_000
    drawn = torch.arange(S) * 7
    with Largest(weight, bias) as seen:
        negative_sampling_loss(x, weight, targets, drawn, bias=bias, sparse=True).backward()
    assert seen.numbers < 200
    for table in (weight, bias):
        assert table.grad.is_sparse and table.grad.shape == table.shape
        assert set(table.grad._indices()[0].tolist()) == {*drawn.tolist(), *targets.tolist()}


# ---- what is refused -------------------------------------------------------------------------


def test_a_second_derivative_is_refused() -> None:
    parts = inputs()
    loss = by_hand(parts, sparse=False)
    with pytest.raises(RuntimeError, match="second derivative"):
        torch.autograd.grad(loss, parts["x"], create_graph=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x": torch.zeros(N, H + 1)}, r"x has shape \(11, 8\) and weight \(43, 7\)"),
        ({"x": torch.zeros(N, 1, H)}, r"x is \(N, H\) and weight \(V, H\)"),
        ({"targets": torch.zeros(N - 1).long()}, r"targets have shape \(10,\) for 11 vectors"),
        ({"targets": torch.zeros(N, 1, 1).long()}, "one row of targets for each"),
        ({"mask": torch.ones(N, 2).bool()}, r"mask has shape \(11, 2\) .* one True or False"),
        ({"mask": torch.ones(N)}, "type torch.float32 but targets"),
        ({"mask": torch.zeros(N).bool()}, "no real target in this batch"),
        ({"bias": torch.zeros(V - 1)}, r"bias has shape \(42,\), expected \(43,\)"),
        ({"offset": torch.zeros(V, 1)}, r"offset has shape \(43, 1\), expected \(43,\)"),
        ({"drawn": torch.zeros(0).long()}, "give at least one word"),
        ({"drawn": torch.zeros(1, 2).long()}, r"drawn has shape \(1, 2\)"),
        ({"drawn": torch.tensor([3, V])}, "to 43 but the weight has 43 rows"),
        ({"targets": torch.tensor([-1] + [5] * (N - 1))}, "ids reach from -1 to"),
        ({"targets": torch.tensor([V] + [5] * (N - 1))}, "to 43 but the weight has 43 rows"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Parts, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_hand(inputs(dtype=torch.float32), **wrong)


def test_an_x_without_a_real_target_may_be_anything() -> None:
    x = torch.ones(3, 2).masked_fill(torch.tensor([[False], [True], [False]]), torch.nan)
    x.requires_grad_()
    weight, mask = torch.ones(5, 2), torch.tensor([[True, True], [False, False], [True, False]])
    targets, drawn = torch.tensor([[1, 2], [0, 0], [3, 0]]), torch.tensor([4, 2])
    loss = negative_sampling_loss(x, weight, targets, drawn, mask=mask)
    loss.backward()
    assert bool(loss.isfinite())
    assert not bool(x.grad[1].any())
    assert bool(x.grad[[0, 2]].isfinite().all())
