"""Tables of which a step touches a few rows: gradients of rows, and optimisers that move only them.

A table of V rows has a gradient that is zero in all rows but those that the batch looked at.
`torch` can keep such a gradient as a sparse tensor: numbers of rows, and their values. What is
here never touches another row, and all its shapes are known beforehand, so a GPU need not wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def merged_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that a gradient touches and their sums; a row named n times has its sum once.

    The other n - 1 places keep the row's number with a value of 0, so that the shapes do not
    depend on how many rows there are.

    Args:
        gradient: a sparse tensor (V, ...) with one sparse dimension, or a dense one.

    Returns:
        rows (n,), in rising order, and values (n, ...).

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    if not gradient.is_sparse:
        return torch.arange(len(gradient), device=gradient.device), gradient
    # What `gradient_values` left, and no backward pass has added rows to since.
    if getattr(gradient, "merged", None) == len(gradient._values()):
        return gradient._indices()[0], gradient._values()
    # `coalesce` would do, but it counts the rows, and a GPU has to wait for that number.
    rows, order = gradient._indices()[0].sort(stable=True)
    values = gradient._values()
    places = torch.arange(len(rows), device=rows.device)
    group = torch.where(starts(rows), places, 0).cummax(0).values  # where the row stands first
    group = torch.empty_like(group).scatter_(0, order, group)  # for each value as it lies
    return rows, torch.zeros_like(values).index_add_(0, group, values)


def starts(rows: Tensor) -> Tensor:
    """Where a row of sorted numbers has a number for the first time: (n,), boolean."""
    first = torch.ones_like(rows, dtype=torch.bool)
    first[1:] = rows[1:] != rows[:-1]
    return first


def gradient_values(parameter: nn.Parameter) -> Tensor:
    """The numbers of a parameter's gradient, to be measured or scaled in place.

    A sparse gradient is merged first: the norm of its parts is not the norm of their sum.
    """
    gradient = parameter.grad
    if not gradient.is_sparse:
        return gradient
    rows, values = merged_rows(gradient)
    parameter.grad = rows_gradient(rows, values, gradient.shape)
    parameter.grad.merged = len(rows)  # so that the optimiser need not do it again
    return parameter.grad._values()


def rows_gradient(rows: Tensor, values: Tensor, shape: torch.Size) -> Tensor:
    """A sparse tensor of a table's shape from numbers of rows (n,) and their values (n, ...)."""
    return torch.sparse_coo_tensor(rows[None], values, shape, check_invariants=False)


def table_gradient(rows: Tensor, values: Tensor, shape: torch.Size, sparse: bool) -> Tensor:
    """`rows_gradient`, or with sparse=False the same as a dense tensor of the table's shape."""
    if sparse:
        return rows_gradient(rows, values, shape)
    return values.new_zeros(shape).index_add_(0, rows, values)


class RowAdagrad(torch.optim.Optimizer):
    """Adagrad with one number a row: what a step did not touch costs nothing.

        a_r <- a_r + mean_j g_rj^2
        w_r <- w_r - rate g_r / (sqrt(a_r) + eps)          for the rows r of the gradient

    A row that is rarely touched keeps a high rate, as rare words need. The state is V numbers,
    where Adagrad has V d and Adam 2 V d.

    Args:
        params: tables (V, d) or rows of numbers (V,), with sparse or dense gradients.
        lr: the rate; about 30 times that of Adam is a good start.

    Source: Duchi, Hazan and Singer, 2011; one number a row: Naumov et al., Deep learning
    recommendation model, 2019. Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.1, eps: float = 1e-10) -> None:
        super().__init__(params, {"lr": _above_zero(lr), "eps": eps})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` gave; the sums keep their type, whatever that of their table."""
        super().load_state_dict(state_dict)  # which gives all state the type of its parameter
        numbers = [n for group in state_dict["param_groups"] for n in group["params"]]
        tables = [p for group in self.param_groups for p in group["params"]]
        for n, p in zip(numbers, tables, strict=True):
            if n in state_dict["state"]:
                sums = state_dict["state"][n]["sum"]
                self.state[p]["sum"] = sums.to(p.device, _at_least_single(p), copy=True)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move the rows that have a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["sum"] = torch.zeros(len(p), dtype=_at_least_single(p), device=p.device)
                rows, g = merged_rows(p.grad)
                _move_rows(p, state["sum"], rows, g, group["lr"], group["eps"])


def row_adagrad(
    weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
) -> tuple[Tensor, Tensor]:
    """One step of `RowAdagrad` as a function: the new weight (V, d) and sums (V,).

    Args:
        rows: (n,) numbers of rows, in any order; a row may stand there several times.
        values: (n, d) what each adds to the gradient of its row.

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    weight, sums = weight.clone(), sums.clone()
    merged = merged_rows(rows_gradient(rows, values, weight.shape))
    _move_rows(weight, sums, *merged, lr, eps)
    return weight, sums


def _move_rows(
    weight: Tensor, sums: Tensor, rows: Tensor, g: Tensor, lr: float, eps: float
) -> None:
    """In place; what stands in `g` for a row that stood before is 0, and so moves nothing."""
    wide = g[:, None].flatten(1)  # (n, d), d = 1 where the rows are numbers
    size = torch.linalg.vector_norm(wide.to(sums.dtype), dim=1)
    sums.index_add_(0, rows, size.square_().div_(wide.size(1)))
    size = sums.index_select(0, rows).sqrt_().add_(eps)  # (n,)
    change = wide * size.reciprocal_().mul_(-lr)[:, None]
    weight.index_add_(0, rows, change.to(weight.dtype).view_as(g))


class LazyAdam(torch.optim.Optimizer):
    """Adam whose averages move only in the rows that a step touches.

        m_r <- b1 m_r + (1 - b1) g_r,   v_r <- b2 v_r + (1 - b2) g_r^2
        w_r <- w_r - rate mhat_r / (sqrt(vhat_r) + eps)    for the rows r of the gradient

    Adam also moves, and lets fade, the rows that a step did not touch: that costs V d numbers,
    and it is why the two differ. The same rule as `torch.optim.SparseAdam`, which waits for the
    number of rows.

    Source: Kingma and Ba, Adam: a method for stochastic optimization, 2015.
    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": _above_zero(lr), "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Move the rows that have a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, self.state[p], group)

    def _move(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = (torch.zeros_like(p) for _ in range(2))
        state["step"] += 1
        t, (b1, b2) = float(state["step"]), group["betas"]
        rows, g = merged_rows(p.grad)
        first = starts(rows).view(-1, *[1] * (g.dim() - 1))  # each row moves once
        m, v = state["mean"][rows], state["square"][rows]
        to_m, to_v = (1 - b1) * (g - m) * first, (1 - b2) * (g * g - v) * first
        state["mean"].index_add_(0, rows, to_m)
        state["square"].index_add_(0, rows, to_v)
        mhat, vhat = (m + to_m) / (1 - b1**t), (v + to_v) / (1 - b2**t)
        p.index_add_(0, rows, -group["lr"] * mhat / (vhat.sqrt() + group["eps"]) * first)


class Together:
    """Several optimisers that step as one: what `fit` and its checkpoints ask of an optimiser."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """All groups, one optimiser after the other."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """One step of each."""
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """All states, numbered through; groups as each optimiser numbers its own."""
        state, groups, base = {}, [], 0
        for optimizer in self.optimizers:
            part = optimizer.state_dict()
            state |= {base + number: values for number, values in part["state"].items()}
            groups += part["param_groups"]
            base += sum(len(group["params"]) for group in part["param_groups"])
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, given: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        base, groups = 0, list(given["param_groups"])
        for optimizer in self.optimizers:
            count = sum(len(group["params"]) for group in optimizer.param_groups)
            state = {n - base: v for n, v in given["state"].items() if base <= n < base + count}
            mine, groups = (
                groups[: len(optimizer.param_groups)],
                groups[len(optimizer.param_groups) :],
            )
            optimizer.load_state_dict({"state": state, "param_groups": mine})
            base += count


def _at_least_single(p: Tensor) -> torch.dtype:
    return torch.promote_types(p.dtype, torch.float32)


def _above_zero(lr: float) -> float:
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    return lr
