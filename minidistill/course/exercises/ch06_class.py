"""Chapter 06: cases for the class `AdditiveAttention`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, pattern
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises import ch06_class_wrong as faults
from minidistill.course.exercises.ch02_shared import (
    expect_gradients,
    keeps_type,
    numbers,
    ragged_lengths,
)
from minidistill.course.exercises.ch06_class_wrong import Parts, Weights, prepare, run, wrong

_ALL = faults.MASKS + faults.SCORES + faults.RESULTS
_WHAT = "(the context, the weights)"
Q, K, A = 5, 3, 7


def _drawn(rng: torch.Generator, query: int = Q, key: int = K, hidden: int = A) -> Weights:
    """W, U and v of an ordinary kind, in float64."""
    return {
        "W.weight": numbers(rng, hidden, query, scale=0.5),
        "U.weight": numbers(rng, hidden, key, scale=0.5),
        "v": numbers(rng, hidden),
    }


def _made(answer: Answer, weights: Weights) -> Answer:
    """The student's attention with these weights."""
    (hidden, query), key = weights["W.weight"].shape, weights["U.weight"].size(1)
    mine = answer.create(query, key, hidden)
    mine.load(weights)
    return mine


def _inputs(
    rng: torch.Generator, B: int, T: int, S: int, V: int, query: int = Q, hidden: int = A
) -> tuple[Tensor, ...]:
    """Queries (B, T, Q), prepared keys (B, S, A), values (B, S, V)."""
    return numbers(rng, B, T, query), numbers(rng, B, S, hidden), numbers(rng, B, S, V)


def _mask(rng: torch.Generator, B: int, S: int) -> Tensor:
    return torch.arange(S) < ragged_lengths(rng, S, B)[:, None]


def _compare(got: Any, weights: Weights, *inputs: Any, what: str = _WHAT) -> None:
    want = run(weights, *inputs)
    expect(got, want, what, wrong(_ALL, weights, *inputs))
    for value, right, name in zip(got, want, ("the context", "the weights"), strict=True):
        keeps_type(value, right, name)


def names_and_shapes(answer: Answer, rng: torch.Generator) -> None:
    """parameters W.weight (A, Q), U.weight (A, K) and v (A,), and no others."""
    for sizes, hidden in (((Q, K, A), A), ((Q, K), Q)):
        shapes = {"W.weight": (hidden, sizes[0]), "U.weight": (hidden, sizes[1]), "v": (hidden,)}
        got = answer.create(*sizes).parameters()
        if not got:
            raise Wrong(
                "the attention has no parameters, so nothing would be trained: self.W and self.U "
                "are nn.Linear, self.v an nn.Parameter"
            )
        lacks = ", ".join(name for name in shapes if name not in got)
        extra = ", ".join(name for name in got if name not in shapes)
        if extra and all(name.endswith(".bias") for name in extra.split(", ")) and not lacks:
            raise Wrong(f"it has {extra} too: nn.Linear(..., bias=False), the formula has no bias")
        if lacks or extra:
            texts = [f"it lacks {lacks}" if lacks else "", f"it has {extra} too" if extra else ""]
            raise Wrong(
                f"the parameters are W.weight, U.weight and v: {' and '.join(filter(None, texts))}"
            )
        for name, shape in shapes.items():
            if tuple(got[name].shape) != shape:
                why = "" if len(sizes) == 3 else ": without a hidden size, A is the query's size"
                raise Wrong(f"{name} has shape {tuple(got[name].shape)}, expected {shape}{why}")


def first_weights(answer: Answer, rng: torch.Generator) -> None:
    """the first weights are small, and not all the same."""
    found = answer.create(64, 32, 128).parameters()
    for name, values in found.items():
        if not bool(values.isfinite().all()) or float(values.abs().max()) > 1:
            raise Wrong(
                f"{name} reaches {float(values.abs().max()):.3g} at first: torch.empty holds what "
                "was left in memory, and large scores make a softmax that does not learn. Draw it "
                "between -1/sqrt(A) and 1/sqrt(A)"
            )
        if float(values.std()) < 1e-3:
            raise Wrong(
                f"all entries of {name} are alike at first: with a v of zeros no gradient reaches "
                "W and U, and equal entries learn the same. Draw them at random"
            )


def prepared_keys(answer: Answer, rng: torch.Generator) -> None:
    """prepare multiplies the keys by U, for B = 2, S = 11."""
    for sizes in ((5, 5, 5), (Q, K, A)):  # where all are equal, no mistake is a crash
        weights, keys = _drawn(rng, *sizes), numbers(rng, 2, 11, sizes[1])
        got = _made(answer, weights).method("prepare", keys)
        known = []
        for sentence, parts in faults.PREPARED:
            try:
                known.append((sentence, prepare(weights, keys, parts)))
            except RuntimeError:
                continue
        expect(got, prepare(weights, keys), "the prepared keys", known)


def square(answer: Answer, rng: torch.Generator) -> None:
    """no mask, and all sizes alike: context and weights."""
    weights, inputs = _drawn(rng, 5, 5, 5), _inputs(rng, 5, 5, 5, 5, 5, 5)
    mine = _made(answer, weights)
    try:
        got = mine(*inputs)
    except Wrong as trouble:
        if "NoneType" not in str(trouble) and "missing" not in str(trouble):
            raise
        raise Wrong(
            "no mask is handed in here, which means that every token is real: mask=None in the "
            f"first line of forward, and ask `if mask is not None` ({trouble})"
        ) from None
    _compare(got, weights, *inputs)
    again = mine(*inputs)
    expect(again, got, "(the context of a second call, its weights)")


def uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 2, T = 1 and 3, S = 11, all sizes different."""
    for T in (1, 3):
        weights, inputs = _drawn(rng), _inputs(rng, 2, T, 11, 13)
        _compare(_made(answer, weights)(*inputs), weights, *inputs)


def ragged_sources(answer: Answer, rng: torch.Generator) -> None:
    """padding gets the weight 0, whatever stands there."""
    weights, inputs, mask = _drawn(rng), _inputs(rng, 3, 2, 7, 11), _mask(rng, 3, 7)
    mine = _made(answer, weights)
    _compare(mine(*inputs, mask), weights, *inputs, mask)
    queries, keys, values = inputs
    padding = ~mask[:, :, None]
    spoiled = keys.masked_fill(padding, 1e9), values.masked_fill(padding, torch.inf)
    what = "(the context with infinity at padding, the weights)"
    _compare(mine(queries, *spoiled, mask), weights, queries, *spoiled, mask, what=what)


def nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a source that is nothing but padding: zeros, no NaN."""
    weights, inputs, mask = _drawn(rng), _inputs(rng, 3, 2, 7, 11), _mask(rng, 3, 7)
    mask[1] = False
    got = _made(answer, weights)(*inputs, mask)
    what = "(the context where all is padding, the weights)"
    _compare(got, weights, *inputs, mask, what=what)


def all_gradients(answer: Answer, rng: torch.Generator) -> None:
    """every gradient is right: queries, keys, values, W and v."""
    weights, inputs, mask = _drawn(rng), _inputs(rng, 3, 2, 7, 11), _mask(rng, 3, 7)
    mask[1] = False
    got = _made(answer, weights).gradients(*inputs, mask, wrt=range(3))
    mine = [*got["inputs"], *(got["parameters"].get(name) for name in ("W.weight", "v"))]
    want = _gradients(weights, inputs, mask, None)
    known = [(text, _gradients(weights, inputs, mask, parts)) for text, parts in faults.CUTS]
    names = ["the queries", "the prepared keys", "the values", "W.weight", "v"]
    expect_gradients(mine, want, names, known)


def _gradients(
    weights: Weights, inputs: tuple[Tensor, ...], mask: Tensor, parts: Parts | None
) -> list[Tensor]:
    """Gradients of queries, keys, values, W and v, the outputs weighed as the desk does it."""
    mine = {name: w.clone().requires_grad_() for name, w in weights.items()}
    sources = [x.clone().requires_grad_() for x in inputs]
    results = run(mine, *sources, mask, parts=parts)
    total = sum((o * pattern(o)).sum() for o in results)
    sources += [mine["W.weight"], mine["v"]]
    found = torch.autograd.grad(total, sources, allow_unused=True)
    return [torch.zeros_like(s) if g is None else g for s, g in zip(sources, found, strict=True)]
