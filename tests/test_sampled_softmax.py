"""The sampled softmax by hand against the one written as it is read; padding, sizes, precisions."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from minidistill.batches import IGNORE
from minidistill.chunked_softmax import check_targets
from minidistill.fast_product import product
from minidistill.sampled_softmax import (
    CORRECTIONS,
    LazyAdam,
    RowAdagrad,
    forget_hits,
    merged_rows,
    sampled_backward,
    sampled_logits,
    sampled_softmax_loss,
)
from minidistill.samplers import LogUniformSampler, Negatives, Sampler, UniformSampler
from tests.test_chunked_softmax import Largest, by_torch, same

N, H, V, S = 11, 7, 43, 13
Parts = tuple[Tensor, Tensor, Tensor | None, Tensor]


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs(
    seed: int = 0,
    shape: tuple[int, ...] = (N,),
    bias: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Parts:
    """hidden (*shape, H), weight (V, H), bias (V,) and targets; one target several times."""
    g = chance(seed)
    hidden, weight, c = (
        torch.randn(size, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
        for size in ((*shape, H), (V, H), (V,))
    )
    targets = torch.randint(V, shape, generator=g)
    targets.view(-1)[::3] = 2
    return hidden, weight, c if bias else None, targets


def drawn_for(sampler: Sampler, seed: int = 1, samples: int = S) -> Negatives:
    return sampler.sample(samples, chance(seed))


SAMPLER = LogUniformSampler(V)
DRAWN = drawn_for(SAMPLER)
assert 2 in DRAWN.ids  # so that there are accidental hits


def as_read(
    parts: Parts,
    drawn: Negatives,
    correction: str = "both",
    remove_hits: bool = True,
    sampler: Sampler = SAMPLER,
) -> Tensor:
    """The loss from `sampled_logits`, for autograd."""
    hidden, weight, bias, targets = parts
    real = targets.flatten() != IGNORE
    hidden, targets = hidden.flatten(0, -2)[real], targets.flatten()[real]
    q_t, q = sampler.log_expected_count(targets, drawn.time), drawn.log_expected_count
    if correction != "both":
        q_t = torch.zeros_like(q_t)
    if correction == "none":
        q = torch.zeros_like(q)
    logits = sampled_logits(hidden, weight, bias, targets, drawn.ids, q_t, q)
    if not remove_hits:
        others = hidden @ weight[drawn.ids].T - q
        others = others if bias is None else others + bias[drawn.ids]
        logits = torch.cat([logits[:, :1], others], dim=1)
    return (logits.logsumexp(1) - logits[:, 0]).sum() / max(1, len(targets))


def by_hand(
    parts: Parts, drawn: Negatives = DRAWN, sampler: Sampler = SAMPLER, **options: Any
) -> Tensor:
    return sampled_softmax_loss(*parts, drawn, sampler, **options)


def with_gradients(loss: Tensor, parts: Parts) -> list[Tensor]:
    """The loss, and dense gradients of hidden, weight and, where there is one, bias."""
    found = torch.autograd.grad(loss, [part for part in parts[:3] if part is not None])
    return [loss, *(g.to_dense() for g in found)]


# ---- the definition -----------------------------------------------------------------------


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("remove_hits", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_value_and_gradients_are_those_of_the_definition(
    correction: str, remove_hits: bool, bias: bool, sparse: bool
) -> None:
    parts = inputs(bias=bias)
    options = {"correction": correction, "remove_hits": remove_hits}
    found = with_gradients(3 * by_hand(parts, sparse=sparse, **options), parts)
    same(found, with_gradients(3 * as_read(parts, DRAWN, **options), parts))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 17), st.integers(1, V), st.booleans())
def test_any_batch_and_any_draw(seed: int, count: int, samples: int, uniform: bool) -> None:
    sampler = UniformSampler(V) if uniform else SAMPLER
    parts, drawn = inputs(seed, (count,)), drawn_for(sampler, seed, samples)
    parts[3][torch.rand(count, generator=chance(seed)) < 0.2] = IGNORE
    found = with_gradients(by_hand(parts, drawn, sampler), parts)
    same(found, with_gradients(as_read(parts, drawn, sampler=sampler), parts))


def test_a_case_by_hand() -> None:
    # One token, target 0 with logit 1; class 2 drawn with logit 3; Q(0) = 1/2, Q(2) = 1/4.
    hidden = torch.tensor([[1.0, 0.0]], requires_grad=True)
    weight = torch.tensor([[1.0, 5.0], [7.0, 7.0], [2.0, 6.0]], requires_grad=True)
    bias, targets = torch.tensor([0.0, 9.0, 1.0], requires_grad=True), torch.tensor([0])
    q = torch.tensor([0.5, 0.25]).log()
    logits = sampled_logits(hidden, weight, bias, targets, torch.tensor([2]), q[:1], q[1:])
    expected = [1 + math.log(2), 3 + math.log(4)]
    assert logits[0].tolist() == pytest.approx(expected)
    p = 1 / (1 + math.exp(expected[0] - expected[1]))  # of the class drawn
    to_hidden, rows, values = sampled_backward(hidden, weight, targets, torch.tensor([2]), logits)
    assert to_hidden[0].tolist() == pytest.approx([p, p])  # p (w_2 - w_0)
    assert rows.tolist() == [0, 2]
    assert values.flatten().tolist() == pytest.approx([-p, 0, p, 0])


def test_sampled_backward_is_autograds() -> None:
    hidden, weight, _, targets = parts = inputs(bias=False)
    q = SAMPLER.log_expected_count(targets, DRAWN.time), DRAWN.log_expected_count
    logits = sampled_logits(*parts, DRAWN.ids, *q)
    to_hidden, rows, values = sampled_backward(hidden, weight, targets, DRAWN.ids, logits)
    assert rows.shape == (N + S,) and values.shape == (N + S, H)
    found = [to_hidden, torch.zeros_like(weight).index_add(0, rows, values)]
    same(found, with_gradients(as_read(parts, DRAWN), parts)[1:])


def test_a_hit_is_looked_up() -> None:
    logits = torch.arange(12.0).view(3, 4)
    forget_hits(logits, torch.tensor([5, 9, 4]), torch.tensor([1, 4, 5, 7]))
    assert (logits == -math.inf).nonzero().tolist() == [[0, 2], [2, 1]]
    assert logits[1].tolist() == [4, 5, 6, 7]


def test_the_batchs_loss_is_the_mean_of_the_tokens() -> None:
    parts = inputs(shape=(3, 5))
    parts[3][0, 1] = parts[3][2, 4] = IGNORE
    whole = with_gradients(by_hand(parts), parts)
    real = (parts[3] != IGNORE).nonzero().tolist()
    single = [
        by_hand((parts[0][b, t][None], parts[1], parts[2], parts[3][b, t][None])) for b, t in real
    ]
    same(whole, with_gradients(torch.stack(single).sum() / len(real), parts))
    # And two halves, each by its share of real targets.
    halves = [
        by_hand((parts[0][r], parts[1], parts[2], parts[3][r])) for r in (slice(1), slice(1, 3))
    ]
    same(whole[0], (4 * halves[0] + 9 * halves[1]) / 13)


@pytest.mark.parametrize("shape", [(N,), (1,), (3, 5), (2, 1, 3)])
def test_any_shape_of_hidden(shape: tuple[int, ...]) -> None:
    hidden, weight, bias, targets = parts = inputs(shape=shape)
    flat = hidden.flatten(0, -2), weight, bias, targets.flatten()
    found = with_gradients(by_hand(parts), parts)
    assert found[1].shape == (*shape, H)
    same(found, with_gradients(by_hand(flat), parts))


# ---- padding, and slots that stayed empty --------------------------------------------------


@pytest.mark.parametrize("what", [math.nan, math.inf, 1e30])
def test_what_stands_at_padding_reaches_nothing(what: float) -> None:
    parts = inputs(shape=(3, 5))
    parts[3][0, 0] = parts[3][1, 2] = parts[3][2, 3:] = IGNORE
    dirty = parts[0].detach().masked_fill((parts[3] == IGNORE)[..., None], what).requires_grad_()
    found = with_gradients(by_hand((dirty, *parts[1:])), (dirty, *parts[1:]))
    same(found, with_gradients(as_read(parts, DRAWN), parts))


@pytest.mark.parametrize("sparse", [True, False])
def test_all_padding_is_a_loss_of_nothing(sparse: bool) -> None:
    hidden, weight, bias, targets = inputs()
    dirty = torch.full_like(hidden, math.nan).requires_grad_()
    parts = dirty, weight, bias, torch.full_like(targets, IGNORE)
    found = with_gradients(by_hand(parts, sparse=sparse), parts)
    assert not any(bool(x.any()) for x in found)


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("remove_hits", [True, False])
def test_empty_slots_have_no_influence(correction: str, remove_hits: bool) -> None:
    parts = inputs()
    parts[3][1] = DRAWN.ids[-1]  # a target which the empty slots repeat
    last = DRAWN.ids[-1:].expand(4)
    padded = Negatives(
        torch.cat([DRAWN.ids, last]),
        nn.functional.pad(DRAWN.log_expected_count, (0, 4), value=math.inf),
        DRAWN.time,
    )
    options = {"correction": correction, "remove_hits": remove_hits}
    found = with_gradients(by_hand(parts, padded, **options), parts)
    same(found, with_gradients(by_hand(parts, DRAWN, **options), parts))


def test_a_sampler_that_ran_dry() -> None:
    class Stubborn(UniformSampler):
        """Draws three classes only, whatever it says."""

        def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
            return super().draw(count, generator) % 3 + 1

    sampler, parts = Stubborn(V), inputs()
    drawn = drawn_for(sampler)
    assert drawn.log_expected_count.isinf().sum() == S - 3
    full = Negatives(drawn.ids[:3], drawn.log_expected_count[:3], drawn.time)
    found = with_gradients(by_hand(parts, drawn, sampler), parts)
    same(found, with_gradients(as_read(parts, full, sampler=sampler), parts))


# ---- large numbers and few bits -------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits_stay_finite(dtype: torch.dtype) -> None:
    hidden, weight, bias, targets = inputs(dtype=dtype)
    for size in (1e4, -1e4):
        parts = (size * hidden.detach()).requires_grad_(), weight, bias, targets
        found = with_gradients(by_hand(parts), parts)
        assert all(bool(x.isfinite().all()) for x in found)
        expected = with_gradients(as_read(parts, DRAWN), parts)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []

    def watched(a: Tensor, b: Tensor) -> Tensor:
        kinds.append((a.dtype, b.dtype))
        return product(a, b)

    monkeypatch.setattr("minidistill.sampled_softmax.product", watched)
    parts = inputs(dtype=torch.float32)
    expected = with_gradients(by_hand(parts), parts)
    assert set(kinds) == {(torch.float32, torch.float32)}
    kinds.clear()
    with torch.autocast("cpu", torch.bfloat16):
        loss = by_hand(parts)
    found = with_gradients(loss, parts)
    assert kinds == [(torch.bfloat16, torch.bfloat16)] * 3  # forward, hidden, weight
    assert {x.dtype for x in found} == {torch.float32}
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)
    assert not torch.equal(found[0], expected[0])


def test_hidden_states_in_bfloat16_from_a_layer_under_autocast() -> None:
    hidden, weight, bias, targets = inputs(dtype=torch.float32)
    layer = nn.Linear(H, H)
    with torch.autocast("cpu", torch.bfloat16):
        h = layer(hidden)
        assert h.dtype == torch.bfloat16
        by_hand((h, weight, bias, targets)).backward()
    assert layer.weight.grad.dtype == weight.grad.dtype == bias.grad.dtype == torch.float32
    assert float(layer.weight.grad.norm()) > 0


# ---- nothing of size V -----------------------------------------------------------------------


def test_gradients_are_rows_and_nothing_of_the_tables_size_is_made() -> None:
    classes, count, size, samples = 1_000_003, 5, 2, 7
    sampler = LogUniformSampler(classes)
    drawn = drawn_for(sampler, samples=samples)
    weight = torch.zeros(classes, size, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    hidden, targets = torch.ones(count, size, requires_grad=True), torch.arange(count) * 200_000
    with Largest(weight, bias) as seen:
        by_hand((hidden, weight, bias, targets), drawn, sampler).backward()
    assert seen.numbers < 200
    for table in (weight, bias):
        assert table.grad.is_sparse and table.grad.shape == table.shape
        assert table.grad._values().shape == (count + samples, *table.shape[1:])
        named = set(table.grad._indices()[0].tolist())
        assert named == {*drawn.ids.tolist(), *targets.tolist()}
    with Largest(weight, bias) as seen:
        by_hand((hidden, weight, bias, targets), drawn, sampler, sparse=False).backward()
    assert seen.numbers >= classes  # the watch sees it where it is


def test_a_table_shared_with_the_embedding_has_one_gradient() -> None:
    embedding = nn.Embedding(V, H, sparse=True, dtype=torch.float64)
    read, targets = torch.tensor([3, 2, 2, 41, 5]), torch.tensor([2, 2, 41, 5, 6])
    parts = embedding(read), embedding.weight, None, targets
    by_hand(parts).backward()
    assert embedding.weight.grad.is_sparse
    assert len(embedding.weight.grad._values()) <= 2 * 5 + S
    dense = embedding.weight.detach().clone().requires_grad_()
    as_read((dense[read], dense, None, targets), DRAWN).backward()
    same(embedding.weight.grad.to_dense(), dense.grad)


@pytest.mark.parametrize("optimizer", [RowAdagrad, LazyAdam])
def test_no_shape_depends_on_a_number(
    optimizer: type[torch.optim.Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be done with tensors of no content makes no GPU wait."""
    ready = LogUniformSampler(V)
    drawn_for(ready)  # how many draws it takes is worked out once
    # On a CPU the targets are looked at, which need not wait there.
    monkeypatch.setattr("minidistill.sampled_softmax.check_targets", lambda *_: None)

    def merged(gradient: Tensor) -> tuple[Tensor, Tensor]:
        # A sparse tensor without content forgets how many rows it has.
        parts = torch.empty(1, N + S, dtype=torch.int64), torch.empty(N + S, *gradient.shape[1:])
        look = {"_indices": lambda: parts[0], "_values": lambda: parts[1]}
        return merged_rows(SimpleNamespace(is_sparse=True, **look))

    monkeypatch.setattr("minidistill.sparse_rows.merged_rows", merged)
    with FakeTensorMode():
        sampler = LogUniformSampler(V)
        sampler._draws = ready._draws
        hidden, weight, bias = (torch.empty(s, requires_grad=True) for s in ((N, H), (V, H), (V,)))
        parts = hidden, weight, bias, torch.empty(N, dtype=torch.int64)
        moves = optimizer([weight, bias])
        if optimizer is LazyAdam:  # its number of steps lies on the CPU, and is looked at there
            for p in (weight, bias):
                zeros = {"mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
                moves.state[p] = {"step": 0.0, **zeros}
        for _ in range(2):  # the first step makes the optimiser's state
            by_hand(parts, sampler.sample(S), sampler).backward()
            moves.step()


def test_targets_on_another_device_are_not_looked_at() -> None:
    check_targets(torch.empty(5, dtype=torch.int64, device="meta"), V)


# ---- what is refused -------------------------------------------------------------------------


def test_a_second_derivative_is_refused() -> None:
    # Were the first one taken for a constant, a penalty on it would train nothing, unseen.
    parts = inputs()
    loss = by_hand(parts, sparse=False)
    with pytest.raises(RuntimeError, match="second derivative"):
        (gradient,) = torch.autograd.grad(loss, parts[0], create_graph=True)
        (loss + gradient.square().sum()).backward()


@pytest.mark.parametrize("wrong", [V, V + 1000, -1, -99])
def test_a_target_outside_the_vocabulary(wrong: int) -> None:
    parts = inputs()
    parts[3][4] = wrong
    with pytest.raises(ValueError, match=rf"the target {wrong} is outside the vocabulary of {V} "):
        by_hand(parts)


def test_an_unknown_correction() -> None:
    with pytest.raises(ValueError, match="one of both, negatives, none, not 'target'"):
        by_hand(inputs(), correction="target")


def test_a_sampler_of_another_vocabulary() -> None:
    with pytest.raises(ValueError, match=f"draws from 47 classes but the weight has {V} rows"):
        by_hand(inputs(), sampler=LogUniformSampler(47))


def test_shapes_that_do_not_fit() -> None:
    hidden, weight, bias, targets = inputs()
    with pytest.raises(ValueError, match=r"hidden has shape \(11, 7\) and targets \(10,\)"):
        by_hand((hidden, weight, bias, targets[1:]))
    with pytest.raises(ValueError, match=r"hidden has shape \(11, 7\) and targets \(1, 11\)"):
        by_hand((hidden, weight, bias, targets[None]))
    with pytest.raises(ValueError, match=r"vectors of size 5, weight has shape \(43, 7\)"):
        by_hand((hidden[:, :5], weight, bias, targets))
    with pytest.raises(ValueError, match=r"and bias \(42,\): weight is \(V, H\) and bias \(V,\)"):
        by_hand((hidden, weight, bias[1:], targets))
    with pytest.raises(ValueError, match="hidden has one vector for each target"):
        by_hand((hidden, weight[0], bias, targets))


def test_at_all_classes_it_is_torchs() -> None:
    parts, every = inputs(), drawn_for(SAMPLER, samples=V)
    same(with_gradients(by_hand(parts, every), parts), with_gradients(by_torch(*parts), parts))
