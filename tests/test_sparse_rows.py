"""Gradients of a few rows, and optimisers that move only them, against the dense rules."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from minidistill.sparse_rows import (
    LazyAdam,
    RowAdagrad,
    Together,
    gradient_values,
    merged_rows,
    row_adagrad,
    rows_gradient,
    starts,
)

V, D = 17, 5
# The rows of each step: some stand there several times, some come back, most never come.
STEPS = [[3, 1, 3, 16], [0, 1], [16, 16, 2, 16, 5], [3], [5, 0, 3, 7, 0]]
UNTOUCHED = sorted(set(range(V)) - {row for rows in STEPS for row in rows})
KINDS = [RowAdagrad, LazyAdam]
both = pytest.mark.parametrize("kind", KINDS)
shapes = pytest.mark.parametrize("shape", [(V, D), (V,)], ids=["table", "numbers"])


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def sparse(rows: list[int], values: Tensor, size: int = V) -> Tensor:
    places, shape = torch.tensor([rows], dtype=torch.int64), (size, *values.shape[1:])
    return torch.sparse_coo_tensor(places, values, shape, check_invariants=True)


def gradient_of(step: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    rows = STEPS[step % len(STEPS)]
    return sparse(rows, random(len(rows), *shape[1:], seed=100 + step, dtype=dtype))


def table(shape: tuple[int, ...] = (V, D), dtype: torch.dtype = torch.float64) -> nn.Parameter:
    return nn.Parameter(random(*shape, seed=7, dtype=dtype))


def take(optimizer: Any, p: nn.Parameter, steps: range) -> None:
    for step in steps:
        p.grad = gradient_of(step, p.shape, p.dtype)
        optimizer.step()


# ---- gradients ------------------------------------------------------------------------------


def test_rows_that_stand_several_times_have_their_sum_once() -> None:
    values = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0], [1000.0, 2000.0]])
    rows, sums = merged_rows(sparse([5, 2, 5, 5], values))
    assert rows.tolist() == [2, 5, 5, 5]
    assert sums.tolist() == [[10.0, 20.0], [1101.0, 2202.0], [0.0, 0.0], [0.0, 0.0]]
    rows, sums = merged_rows(sparse([5, 2, 5, 5], values[:, 0]))
    assert rows.tolist() == [2, 5, 5, 5] and sums.tolist() == [10.0, 1101.0, 0.0, 0.0]


def test_where_a_number_stands_first() -> None:
    rows = torch.tensor([0, 0, 3, 4, 4, 4, 9])
    assert starts(rows).tolist() == [True, False, True, True, False, False, True]
    assert starts(rows[:1]).tolist() == [True] and starts(rows[:0]).tolist() == []


@given(st.lists(st.integers(0, 6), max_size=13), st.sampled_from([(), (3,), (3, 2)]))
@example([], (3,))
@example([4, 4, 4], ())
@settings(max_examples=150, deadline=None)
def test_merged_rows_equal_coalesce(rows: list[int], shape: tuple[int, ...]) -> None:
    gradient = sparse(rows, random(len(rows), *shape), 7)
    numbers, values = merged_rows(gradient)
    assert numbers.tolist() == sorted(rows) and values.shape == (len(rows), *shape)
    first = starts(numbers)
    together = gradient.coalesce()
    assert torch.equal(numbers[first], together.indices()[0])
    torch.testing.assert_close(values[first], together.values())
    assert not bool(values[~first].any())
    again = rows_gradient(numbers, values, gradient.shape)
    torch.testing.assert_close(again.to_dense(), gradient.to_dense())


@shapes
def test_a_dense_gradient_touches_every_row(shape: tuple[int, ...]) -> None:
    gradient = random(*shape)
    rows, values = merged_rows(gradient)
    assert rows.tolist() == list(range(V)) and torch.equal(values, gradient)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=13), st.sampled_from([(), (3,)]))
@example([4, 4, 4], (3,))
@settings(max_examples=60, deadline=None)
def test_the_values_have_the_norm_of_the_gradient(rows: list[int], shape: tuple[int]) -> None:
    p = nn.Parameter(torch.zeros(7, *shape, dtype=torch.float64))
    p.grad = sparse(rows, random(len(rows), *shape), 7)
    dense, parts = p.grad.to_dense(), p.grad._values().norm()
    values = gradient_values(p)
    torch.testing.assert_close(values.norm(), dense.norm())
    if rows == [4, 4, 4]:
        assert abs(float(parts - dense.norm())) > 0.1  # not merged, it is another number
    values.mul_(-0.25)
    assert p.grad.is_sparse
    torch.testing.assert_close(p.grad.to_dense(), -0.25 * dense)


def test_the_values_of_a_dense_gradient_are_the_gradient() -> None:
    p = table()
    p.grad = random(V, D)
    gradient_values(p).mul_(3)
    torch.testing.assert_close(p.grad, 3 * random(V, D))


# ---- the two rules --------------------------------------------------------------------------

Rule = Callable[[Tensor, dict[str, Tensor], Tensor, Tensor, int, float], Tensor]


def dense_row_adagrad(
    w: Tensor, state: dict[str, Tensor], g: Tensor, touched: Tensor, t: int, lr: float
) -> Tensor:
    a = state["sum"] = state.get("sum", 0) + g.reshape(V, -1).square().mean(1)
    change = lr * g.reshape(V, -1) / (a.sqrt() + 1e-10)[:, None]
    return w - change.view_as(w)


def dense_lazy_adam(
    w: Tensor, state: dict[str, Tensor], g: Tensor, touched: Tensor, t: int, lr: float
) -> Tensor:
    touched = touched.view(-1, *[1] * (w.dim() - 1))
    m, v = (state.get(name, torch.zeros_like(w)) for name in ("mean", "square"))
    m = state["mean"] = torch.where(touched, 0.9 * m + 0.1 * g, m)
    v = state["square"] = torch.where(touched, 0.999 * v + 0.001 * g * g, v)
    change = lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
    return torch.where(touched, w - change, w)


RULES = {RowAdagrad: dense_row_adagrad, LazyAdam: dense_lazy_adam}


@both
@shapes
@pytest.mark.parametrize(
    ("dtype", "near"), [(torch.float64, 1e-12), (torch.float32, 2e-6)], ids=["64", "32"]
)
def test_a_rule_equals_its_dense_form(
    kind: type, shape: tuple[int, ...], dtype: torch.dtype, near: float
) -> None:
    p, state = table(shape, dtype), {}
    start, w = p.detach().clone(), p.detach().clone().double()
    optimizer = kind([p], lr=0.3)
    for step in range(2 * len(STEPS)):
        lr = 0.3 if step < 4 else 0.07  # the rate is looked up at every step
        optimizer.param_groups[0]["lr"] = lr
        take(optimizer, p, range(step, step + 1))
        g = p.grad.to_dense().double()
        touched = torch.zeros(V, dtype=torch.bool)
        touched[STEPS[step % len(STEPS)]] = True
        w = RULES[kind](w, state, g, touched, step + 1, lr)
        torch.testing.assert_close(p.detach().double(), w, rtol=near, atol=near)
        for name, expected in state.items():
            got = optimizer.state[p][name]
            assert got.dtype == dtype
            torch.testing.assert_close(got.double(), expected, rtol=near, atol=near)
            assert not bool(got[UNTOUCHED].any())
    assert torch.equal(p.detach()[UNTOUCHED], start[UNTOUCHED])
    assert float((p.detach() - start).abs().max()) > 0.1


@both
def test_a_step_leaves_other_rows_bit_for_bit(kind: type) -> None:
    p = table(dtype=torch.float32)
    optimizer = kind([p])
    take(optimizer, p, range(len(STEPS)))
    weights, state = p.detach().clone(), copy.deepcopy(optimizer.state[p])
    take(optimizer, p, range(1))
    others = sorted(set(range(V)) - set(STEPS[0]))
    assert torch.equal(p.detach()[others], weights[others])
    assert not bool((p.detach()[STEPS[0]] == weights[STEPS[0]]).all(1).any())
    for name in state.keys() - {"step"}:
        assert torch.equal(optimizer.state[p][name][others], state[name][others])
        assert not torch.equal(optimizer.state[p][name], state[name])


def test_lazy_adam_equals_the_sparse_adam_of_torch() -> None:
    ours, theirs = table(), table()
    # They add eps on different sides of a division: small enough, it makes no difference.
    mine = LazyAdam([ours], lr=0.03, betas=(0.8, 0.97), eps=1e-14)
    other = torch.optim.SparseAdam([theirs], lr=0.03, betas=(0.8, 0.97), eps=1e-14)
    for step in range(3 * len(STEPS)):
        take(mine, ours, range(step, step + 1))
        take(other, theirs, range(step, step + 1))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_lazy_adam_equals_adam_where_every_row_is_touched() -> None:
    ours, theirs = table(), table()
    rates = {"lr": 0.03, "betas": (0.8, 0.97), "eps": 1e-3}
    mine, other = LazyAdam([ours], **rates), torch.optim.Adam([theirs], **rates)
    for step in range(7):
        for p, optimizer in ((ours, mine), (theirs, other)):
            p.grad = random(V, D, seed=step)
            optimizer.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_row_adagrad_by_hand() -> None:
    # Row 2: 3 + 1 = 4 and 0: mean square 8. Row 0: -1 and 7: mean square 25.
    p = nn.Parameter(torch.zeros(3, 2, dtype=torch.float64))
    optimizer = RowAdagrad([p], lr=0.5, eps=1.0)
    p.grad = sparse([2, 0, 2], torch.tensor([[3.0, 2.0], [-1.0, 7.0], [1.0, -2.0]]).double(), 3)
    optimizer.step()
    assert optimizer.state[p]["sum"].tolist() == pytest.approx([25.0, 0.0, 8.0])
    expected = [[0.5 / 6, -3.5 / 6], [0.0, 0.0], [-2 / (math.sqrt(8) + 1), 0.0]]
    torch.testing.assert_close(p.detach(), torch.tensor(expected, dtype=torch.float64))


def squares_first(
    w: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float
) -> tuple[Tensor, Tensor]:
    """The mistake: every part of a row's gradient squared by itself."""
    sums = sums.index_add(0, rows, values.square().mean(1))
    change = -lr * values / sums[rows].sqrt()[:, None]
    return w.index_add(0, rows, change), sums


def test_repeated_rows_are_summed_before_they_are_squared() -> None:
    w, sums, rows = random(V, D), torch.zeros(V).double(), torch.tensor(STEPS[0])
    values = random(len(rows), D, seed=3)
    wrong, wrong_sums = squares_first(w, sums, rows, values, 0.3)
    right, right_sums = row_adagrad(w, sums, rows, values, 0.3)
    alone = [1, 16]
    torch.testing.assert_close(wrong[alone], right[alone])
    torch.testing.assert_close(wrong_sums[alone], right_sums[alone])
    assert float((wrong[3] - right[3]).abs().max()) > 0.01
    assert abs(float(wrong_sums[3] - right_sums[3])) > 0.01
    by_hand = (values[0] + values[2]).square().mean()
    torch.testing.assert_close(right_sums[3], by_hand)
    # A gradient that is handed in already merged gives the same step.
    p = nn.Parameter(w.clone())
    p.grad = sparse(STEPS[0], values).coalesce()
    RowAdagrad([p], lr=0.3).step()
    torch.testing.assert_close(p.detach(), right)


def test_the_function_equals_the_optimiser_and_changes_nothing_given() -> None:
    p, sums = table(), torch.zeros(V, dtype=torch.float64)
    optimizer, w = RowAdagrad([p], lr=0.3, eps=1e-3), p.detach().clone()
    for step in range(len(STEPS)):
        take(optimizer, p, range(step, step + 1))
        rows, values = p.grad._indices()[0], p.grad._values()
        given = [t.clone() for t in (w, sums, rows, values)]
        new, more = row_adagrad(w, sums, rows, values, 0.3, 1e-3)
        assert all(map(torch.equal, given, (w, sums, rows, values)))
        w, sums = new, more
        assert torch.equal(w, p.detach()) and torch.equal(sums, optimizer.state[p]["sum"])


# ---- what optimisers are asked ---------------------------------------------------------------


@both
def test_groups_have_rates_of_their_own_and_what_has_no_gradient_stays(kind: type) -> None:
    p, slow, still = table(), table(), table()
    optimizer = kind([{"params": [p, still]}, {"params": [slow], "lr": 0.01}], lr=0.1)
    p.grad, slow.grad = (gradient_of(0, (V, D)) for _ in range(2))
    optimizer.step()
    start = table().detach()
    torch.testing.assert_close(p.detach() - start, 10 * (slow.detach() - start))
    assert torch.equal(still, start) and not optimizer.state.get(still)


@both
@shapes
def test_a_batch_without_tokens_moves_nothing(kind: type, shape: tuple[int, ...]) -> None:
    p = table(shape)
    optimizer = kind([p])
    take(optimizer, p, range(2))
    before = p.detach().clone()
    p.grad = sparse([], torch.zeros(0, *shape[1:], dtype=torch.float64))
    optimizer.step()
    assert torch.equal(p.detach(), before)


@both
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_stored_state_goes_on_exactly(kind: type, dtype: torch.dtype) -> None:
    p = table(dtype=dtype)
    optimizer = kind([p], lr=0.3)
    take(optimizer, p, range(3))
    optimizer.param_groups[0]["lr"] = 0.05
    stored, again = copy.deepcopy(optimizer.state_dict()), nn.Parameter(p.detach().clone())
    other = kind([again])
    other.load_state_dict(stored)
    for o, q in ((optimizer, p), (other, again)):
        take(o, q, range(3, 8))
    assert torch.equal(p, again)
    forgetful = nn.Parameter(table(dtype=dtype).detach())
    take(kind([forgetful], lr=0.05), forgetful, range(3, 8))
    assert not torch.equal(forgetful, again)


def test_sums_of_a_half_precision_table_keep_their_digits() -> None:
    p = table(dtype=torch.bfloat16)
    optimizer = RowAdagrad([p], lr=0.3)
    take(optimizer, p, range(3))
    sums = optimizer.state[p]["sum"].clone()
    assert sums.dtype == torch.float32 and p.dtype == torch.bfloat16
    other = RowAdagrad([p])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert other.state[p]["sum"].dtype == torch.float32
    assert torch.equal(other.state[p]["sum"], sums)


@both
@pytest.mark.parametrize("lr", [0.0, -0.1, math.nan])
def test_a_rate_that_is_not_above_zero_is_refused(kind: type, lr: float) -> None:
    with pytest.raises(ValueError, match=rf"lr must be above 0, got {lr}"):
        kind([table()], lr=lr)


# ---- nothing that waits ----------------------------------------------------------------------

WAITING = {
    *("_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select"),
    *("_coalesce", "coalesce", "_unique2", "unique_consecutive", "unique_dim", "bincount"),
}


class NoWaiting(TorchDispatchMode):
    """Refuses every operation that needs a number before it knows a shape or goes on."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = func._schema.name.removeprefix("aten::")
        masks = args[1] if name in ("index", "index_put", "index_put_") else []
        if name in WAITING or any(m is not None and m.dtype == torch.bool for m in masks):
            raise AssertionError(f"{name} waits")
        return func(*args, **(kwargs or {}))


def ready(kind: type, p: nn.Parameter) -> torch.optim.Optimizer:
    """An optimiser whose number of steps, which lies on the CPU, is a plain number."""
    optimizer = kind([p])
    if kind is LazyAdam:
        average = torch.zeros_like(p)
        optimizer.state[p] = {"step": 0.0, "mean": average, "square": average.clone()}
    return optimizer


@both
def test_a_step_waits_for_no_number(kind: type) -> None:
    p = table()
    optimizer = ready(kind, p)
    ids = torch.tensor([[1, 4, 4], [16, 1, 0]])
    F.embedding(ids, p, sparse=True).square().sum().backward()
    with NoWaiting():
        gradient_values(p)
        optimizer.step()
    expected = table()
    F.embedding(ids, expected, sparse=True).square().sum().backward()
    kind([expected]).step()
    torch.testing.assert_close(p, expected)


@both
def test_a_step_needs_shapes_only(kind: type) -> None:
    with FakeTensorMode():  # tensors without numbers: what asks for one is refused
        p = nn.Parameter(torch.empty(V, D))
        p.grad = rows_gradient(torch.empty(4, dtype=torch.int64), torch.empty(4, D), p.shape)
        rows, values = merged_rows(p.grad)
        assert rows.shape == (4,) and values.shape == (4, D)
        ready(kind, p).step()


def test_what_waits_is_seen() -> None:
    p = table()
    p.grad = gradient_of(0, (V, D))
    with NoWaiting():
        with pytest.raises(AssertionError, match="coalesce waits"):
            torch.optim.SparseAdam([p]).step()
        with pytest.raises(AssertionError, match="_local_scalar_dense waits"):
            float(p.detach().sum())
        with pytest.raises(AssertionError, match=r"(index|nonzero) waits"):
            p.detach()[p.detach()[:, 0] > 0]


# ---- several optimisers ----------------------------------------------------------------------


def pair(weights: list[Tensor]) -> tuple[list[nn.Parameter], Together]:
    """Two tables under one optimiser; three dense weights, in two groups, under another."""
    ps = [nn.Parameter(w.clone()) for w in weights]
    tables = RowAdagrad(ps[:2], lr=0.3)
    groups = [{"params": ps[2:3]}, {"params": ps[3:], "weight_decay": 0.5, "lr": 0.02}]
    return ps, Together(tables, torch.optim.AdamW(groups, lr=0.01))


def go(ps: list[nn.Parameter], together: Together, steps: range) -> None:
    for step in steps:
        together.zero_grad()
        assert all(p.grad is None for p in ps)
        ps[0].grad = gradient_of(step, (V, D))
        if step:  # the second table comes into play later, and one weight never
            ps[1].grad = gradient_of(step + 1, (V,))
        ps[2].grad, ps[4].grad = random(3, 5, seed=step), random(11, seed=step)
        together.step()


def starting() -> list[Tensor]:
    return [random(*shape) for shape in ((V, D), (V,), (3, 5), (7,), (11,))]


def test_together_steps_each() -> None:
    ps, together = pair(starting())
    alone, apart = pair(starting())
    go(ps, together, range(3))
    for step in range(3):
        go(alone, apart, range(step, step))
        alone[0].grad = gradient_of(step, (V, D))
        alone[1].grad = gradient_of(step + 1, (V,)) if step else None
        alone[2].grad, alone[4].grad = random(3, 5, seed=step), random(11, seed=step)
        for optimizer in apart.optimizers:
            optimizer.step()
    assert all(map(torch.equal, ps, alone))
    moved = [not torch.equal(p, w) for p, w in zip(ps, starting(), strict=True)]
    assert moved == [True, True, True, False, True]


def test_together_has_the_groups_of_all() -> None:
    ps, together = pair(starting())
    assert [len(group["params"]) for group in together.param_groups] == [2, 1, 2]
    assert [group["lr"] for group in together.param_groups] == [0.3, 0.01, 0.02]
    for group in together.param_groups:
        group["lr"] = 1e-30
    go(ps, together, range(2))
    for p, w in zip(ps, starting(), strict=True):
        torch.testing.assert_close(p.detach(), w, rtol=0, atol=1e-20)


@pytest.mark.parametrize("before", [0, 1, 3])
def test_together_goes_on_exactly_from_a_stored_state(before: int) -> None:
    ps, together = pair(starting())
    go(ps, together, range(before))
    together.param_groups[0]["lr"], together.param_groups[2]["lr"] = 0.07, 0.005
    stored = copy.deepcopy(together.state_dict())
    # The second table is first touched at the second step, the fourth weight never.
    assert sorted(stored["state"]) == {0: [], 1: [0, 2, 4], 3: [0, 1, 2, 4]}[before]
    assert [len(group["params"]) for group in stored["param_groups"]] == [2, 1, 2]
    again, other = pair([p.detach() for p in ps])
    go(again, other, range(5, 6))  # what it has learnt is forgotten, all of it
    for p, w in zip(again, ps, strict=True):
        p.data.copy_(w.detach())
    other.load_state_dict(copy.deepcopy(stored))
    assert [group["lr"] for group in other.param_groups] == [0.07, 0.01, 0.005]
    go(ps, together, range(before, before + 3))
    go(again, other, range(before, before + 3))
    assert all(map(torch.equal, ps, again))
