"""Chapter 02: what known wrong versions of `rnn_backward` return."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_Gradients = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class _Walk:
    """The way back, with switches for the mistakes that are made on it."""

    dh: Tensor  # (T, B, H)
    slope: Tensor  # (T, B, H)
    weight: Tensor  # (H, H), W_hh unless it is mistaken
    past: Tensor  # (T, B, H), what dW_hh multiplies da by
    real: Tensor  # (T, B, 1), True where a real token stands
    forget: bool = False  # g_t is dh_t alone
    pass_on: bool = True  # g goes on unchanged at padding
    zero: bool = True  # da is zero at padding
    forwards: bool = False
    weight_first: bool = False  # the product before the slope
    late: bool = False  # dh_t is added after the slope
    flat: bool = False  # g_t itself goes through W_hh, not da_t
    pile: bool = False  # da_t W_hh is added to g and does not take its place
    stop: int = 0  # the last step of the walk

    def run(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Walk: da, dh0, dW_hh, and every g_t before its slope."""
        da, all_g = torch.zeros_like(self.dh), torch.zeros_like(self.dh)
        g = torch.zeros_like(self.dh[0])
        steps = range(self.stop, len(self.dh))
        for t in steps if self.forwards else reversed(steps):
            come = g
            g = self.dh[t] if self.forget else g + self.dh[t]
            if self.weight_first:
                g = g @ self.weight
            all_g[t] = g
            d = come * self.slope[t] + self.dh[t] if self.late else g * self.slope[t]
            da[t] = d * self.real[t] if self.zero else d
            through = da[t] if self.weight_first else (g if self.flat else da[t]) @ self.weight
            through = g + through if self.pile else through
            g = torch.where(self.real[t], through, g) if self.pass_on else through
        return da, g, _dW(da, self.past), all_g

    def gradients(self) -> _Gradients:
        """da, dh0 and dW_hh."""
        return self.run()[:3]


def _dW(da: Tensor, past: Tensor) -> Tensor:
    return torch.einsum("tbi,tbj->ij", da, past)


def _walk(dh: Tensor, states: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None) -> _Walk:
    real = torch.ones(states.shape[:2], dtype=torch.bool) if mask is None else mask
    before = torch.cat([h0[None], states[:-1]])
    return _Walk(dh, 1 - states**2, W, before, real[:, :, None])


def mistakes(
    dh: Tensor, states: Tensor, h0: Tensor, W: Tensor, mask: Tensor | None
) -> Iterator[tuple[str, object]]:
    """Sentences, and what an answer with that mistake would return."""
    walk = _walk(dh, states, h0, W, mask)
    yield from _slope_mistakes(walk, states)
    yield from _walk_mistakes(walk, W)
    yield from _weight_mistakes(walk, states, h0)
    yield from _state_mistakes(walk)
    yield from _return_mistakes(walk)
    if mask is not None:
        yield from _mask_mistakes(walk, dh, mask)


def _slope_mistakes(walk: _Walk, h: Tensor) -> Iterator:
    for sentence, slope in [
        ("the slope of the tanh is missing: da_t = g (1 - h_t^2)", torch.ones_like(h)),
        ("the slope is 1 - h_t^2: the square is missing", 1 - h),
        ("the slope has the wrong sign (or everything has): 1 - h_t^2", h**2 - 1),
        ("the slope is h^2: tanh has 1 - h_t^2", h**2),
        ("this is the sigmoid's slope h (1 - h): tanh has 1 - h_t^2", h * (1 - h)),
        (
            "the slope takes tanh of the states once more: they are outputs of tanh already",
            1 - torch.tanh(h) ** 2,
        ),
        (
            "the slope takes the state before the step: 1 - h_t^2 is of the step's own output",
            1 - walk.past**2,
        ),
        (
            "the slope takes the state of the next step: 1 - h_t^2 is of the step's own output",
            1 - torch.cat([h[1:], h[-1:]]) ** 2,
        ),
        ("the slope is squared: da_t = g (1 - h_t^2), once", (1 - h**2) ** 2),
    ]:
        yield sentence, replace(walk, slope=slope).gradients()


def _walk_mistakes(walk: _Walk, W: Tensor) -> Iterator:
    dh, T = walk.dh, len(walk.dh)
    only_last, not_last, not_first = dh.clone(), dh.clone(), dh.clone()
    only_last[:-1], not_last[-1], not_first[0] = 0, 0, 0
    for sentence, other in [
        (
            "the gradient of the later steps is lost: g must collect dh[t] and what came back "
            "from step t + 1",
            replace(walk, forget=True),
        ),
        (
            "W_hh is transposed on the way back: h went in by h @ W_hh.T, so the gradient comes "
            "back by da @ W_hh",
            replace(walk, weight=W.T),
        ),
        (
            "W_hh is used entry by entry: da_t @ W_hh mixes all entries",
            replace(walk, weight=W.diagonal().diag()),
        ),
        (
            "W_hh is left out on the way back: g = da_t @ W_hh (for dh0 too)",
            replace(walk, weight=torch.eye(len(W), dtype=W.dtype)),
        ),
        (
            "dh[t] is added after the slope: first g = g + dh[t], then da_t = g (1 - h_t^2)",
            replace(walk, late=True),
        ),
        (
            "the product with W_hh comes before the slope: first the tanh, then W_hh",
            replace(walk, weight_first=True),
        ),
        ("the way back runs forwards: start at the last step", replace(walk, forwards=True)),
        (
            "only the last step's dh is used: every step has its own, add dh[t] each time",
            replace(walk, dh=only_last),
        ),
        ("the walk stops before t = 0: range(T - 1, -1, -1)", replace(walk, stop=1)),
        (
            "g goes back without the slope: g = da_t @ W_hh, and da_t has been through the tanh",
            replace(walk, flat=True),
        ),
        (
            "da_t @ W_hh is added to g: it takes the place of g, which has done its work",
            replace(walk, pile=True),
        ),
        ("the last step's dh is left out", replace(walk, dh=not_last)),
        ("the first step's dh is left out", replace(walk, dh=not_first)),
        (
            "the sum of all dh is used at every step: dh[t] is the step's own",
            replace(walk, dh=dh.sum(0).expand_as(dh)),
        ),
        ("dh[t] is added twice", replace(walk, dh=2 * dh)),
        ("everything has the wrong sign", replace(walk, dh=-dh)),
        ("da, dh0 and dW_hh are divided by the batch size", replace(walk, dh=dh / dh.size(1))),
        ("da, dh0 and dW_hh are divided by the number of steps", replace(walk, dh=dh / T)),
    ]:
        yield sentence, other.gradients()


def _weight_mistakes(walk: _Walk, states: Tensor, h0: Tensor) -> Iterator:
    da, dh0, dW, g = walk.run()
    T, B = da.shape[:2]
    none = torch.zeros_like(h0)[None]
    averaged = "dW_hh is averaged over {}: a weight used in many places gets the sum"
    for sentence, wrong in [
        (
            "dW_hh uses the state after the step: it is da_t times h_{t-1}, the state before "
            "(h0 before the first step, and states[-1] is the last)",
            _dW(da, states),
        ),
        (
            "dW_hh uses states[t - 1] also at t = 0, where it is the last state: h0 stands before "
            "the first step",
            _dW(da, torch.cat([states[-1:], states[:-1]])),
        ),
        ("dW_hh leaves out h0: the first step read it", _dW(da, torch.cat([none, states[:-1]]))),
        ("dW_hh uses h0 at every step: h_{t-1} is the state before", _dW(da, h0.expand_as(da))),
        ("dW_hh uses g before the slope: it is da_t times h_{t-1}", _dW(g, walk.past)),
        ("dW_hh is transposed: rows belong to the new state, columns to the old", dW.T),
        (averaged.format("all rows and steps"), dW / (T * B)),
        (averaged.format("the batch"), dW / B),
        (averaged.format("the steps"), dW / T),
        ("dW_hh holds only the first step: sum over all", da[0].T @ walk.past[0]),
        ("dW_hh holds only the last step: sum over all", da[-1].T @ walk.past[-1]),
        ("dW_hh is multiplied by the number of steps", dW * T),
        (
            "dW_hh counts later steps several times: da_t times h_{t-1}, once for every t",
            _dW(da.flip(0).cumsum(0).flip(0), walk.past),
        ),
        ("dW_hh stands apart for every step: sum over t", da.transpose(1, 2) @ walk.past),
        (
            "dW_hh stands apart for every row: sum over the batch",
            torch.einsum("tbi,tbj->bij", da, walk.past),
        ),
        (
            "all da_t are added up before the product: sum the products, not the factors",
            da.sum(0).T @ walk.past.sum(0),
        ),
        (
            "da and the states are flattened in different orders before their product",
            da.transpose(0, 1).flatten(0, 1).T @ walk.past.flatten(0, 1),
        ),
        ("dW_hh is zero", torch.zeros_like(dW)),
    ]:
        yield sentence, (da, dh0, wrong)


def _state_mistakes(walk: _Walk) -> Iterator:
    da, dh0, dW, g = walk.run()
    for sentence, wrong in [
        ("dh0 is zero: the first step hands its gradient to h0", torch.zeros_like(dh0)),
        ("dh0 is da[0]: it must still go through W_hh", da[0]),
        ("dh0 is g of the first step: it must still go through the tanh and W_hh", g[0]),
        ("dh[0] is added to dh0: dh belongs to h_1 .. h_T, h0 has none", dh0 + walk.dh[0]),
        ("dh0 goes through W_hh twice: da[0] @ W_hh", dh0 @ walk.weight),
        ("dh0 is summed over the batch: every row has its own h0, (B, H)", dh0.sum(0)),
        ("dh0 is averaged over the batch: every row has its own h0, (B, H)", dh0.mean(0)),
        ("dh0 is da of the last step: the walk ends at the first", da[-1]),
        ("dh0 is W_hh transposed times da[0]: da[0] @ W_hh", da[0] @ walk.weight.T),
    ]:
        yield sentence, (da, wrong, dW)


def _return_mistakes(walk: _Walk) -> Iterator:
    da, dh0, dW, g = walk.run()
    for order in list(itertools.permutations((da, dh0, dW)))[1:]:
        yield "the gradients come in another order: return da, dh0, dW_hh", order
    yield (
        "da is in the order of the walk, last step first: turn it round",
        (da.flip(0), dh0, dW),
    )
    yield (
        "da is in the order of the walk, last step first (and so dW_hh pairs it with the wrong "
        "states): turn it round",
        (da.flip(0), dh0, _dW(da.flip(0), walk.past)),
    )
    yield "da is batch first: keep time first, (T, B, H)", (da.transpose(0, 1), dh0, dW)
    yield "da holds g before the slope: da_t = g (1 - h_t^2)", (g, dh0, dW)
    yield "three gradients are needed: da, dh0, dW_hh", (da, dh0)
    yield "three gradients are needed: da, dh0, dW_hh", (da, dW)
    yield "three gradients are needed: da, dh0, dW_hh", da
    yield "three gradients are needed: da, dh0, dW_hh", {"da": da, "dh0": dh0, "dW_hh": dW}
    yield "three gradients are needed and no more: da, dh0, dW_hh", (da, dh0, dW, None)


def _mask_mistakes(walk: _Walk, dh: Tensor, mask: Tensor) -> Iterator:
    da, dh0, dW, _ = walk.run()
    loose = replace(walk, zero=False).gradients()
    yield from [
        (
            "the mask is ignored: a padded step gives da_t = 0 and hands g on",
            replace(walk, real=torch.ones_like(walk.real)).gradients(),
        ),
        (
            "the mask is used the wrong way round: True marks a real token",
            replace(walk, real=~walk.real).gradients(),
        ),
        (
            "a padded step stops the gradient (or its dh is left out): it changed nothing, so g, "
            "its own dh included, goes on unchanged",
            replace(walk, pass_on=False).gradients(),
        ),
        (
            "the dh of padded steps is left out: a padded step copied its state, so its dh goes "
            "on to the step before",
            replace(walk, dh=dh * mask[:, :, None]).gradients(),
        ),
        ("da is not zero at padding: nothing went through the tanh there", loose),
        ("da is not zero at padding: nothing went through the tanh there", (loose[0], dh0, dW)),
        (
            "dW_hh counts padded steps: da_t is 0 there, before the product with h_{t-1}",
            (da, dh0, loose[2]),
        ),
        (
            "dh0 is zero for rows that begin with padding: g goes on unchanged to h0",
            (da, dh0 * walk.real[0], dW),
        ),
        (
            "the mask is read as a length, as if padding stood only at the end: ask mask[t]",
            replace(
                walk, real=(torch.arange(len(mask))[:, None] < mask.sum(0))[..., None]
            ).gradients(),
        ),
        (
            "the gradients are masked, but the walk is not: at padding g goes on unchanged",
            _masked_after(replace(walk, real=torch.ones_like(walk.real)), walk.real),
        ),
    ]


def _masked_after(walk: _Walk, real: Tensor) -> _Gradients:
    da, dh0, _ = walk.gradients()
    return da * real, dh0, _dW(da * real, walk.past)
