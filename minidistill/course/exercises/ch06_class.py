"""Chapter 06: cases for the class `AdditiveAttention`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, pattern
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises import ch06_class_wrong as faults
from minidistill.course.exercises.ch02_shared import (
    expect_gradients,
    keeps_type,
    numbers,
    ragged_lengths,
)
from minidistill.course.exercises.ch06_class_parameters import A, K, Q
from minidistill.course.exercises.ch06_class_wrong import Parts, Weights, prepare, run, wrong

_DROPOUT = (
    "in training the result is another than in evaluation: there is dropout in it, which the "
    "formula does not have"
)
_WHAT = "(the context, the weights)"


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
    if _scores_given(got, want):
        raise Wrong("the scores are returned in the weights' place: return context, weights")
    expect(got, want, what, wrong(faults.ALL, weights, *inputs))
    for value, right, name in zip(got, want, ("the context", "the weights"), strict=True):
        keeps_type(value, right, name)


def _scores_given(got: Any, want: tuple[Tensor, Tensor]) -> bool:
    """Whether the context is right, and what comes with it would be after a softmax."""
    if not isinstance(got, (list, tuple)) or len(got) != 2 or not agrees(got[0], want[0]):
        return False
    given, weights = got[1], want[1]
    alike = isinstance(given, Tensor) and given.shape == weights.shape
    return alike and not agrees(given, weights) and agrees(given.softmax(-1), weights)


def prepared_keys(answer: Answer, rng: torch.Generator) -> None:
    """prepare multiplies the keys by U, for B = 2, S = 11."""
    for sizes in ((5, 5, 5), (Q, K, A)):  # where all are equal, no mistake is a crash
        weights, keys = _drawn(rng, *sizes), numbers(rng, 2, 11, sizes[1])
        mine = _made(answer, weights)
        got = mine.method("prepare", keys)
        mine.train(False)
        right = prepare(weights, keys)
        if not agrees(got, right) and agrees(mine.method("prepare", keys), right):
            raise Wrong(_DROPOUT)
        known = []
        for sentence, parts in faults.PREPARED:
            try:
                known.append((sentence, prepare(weights, keys, parts)))
            except RuntimeError:
                continue
        expect(got, right, "the prepared keys", known)
    for B, S in ((1, 7), (2, 1), (1, 1)):
        keys = numbers(rng, B, S, sizes[1])
        got = _made(answer, weights).method("prepare", keys)
        expect(got, prepare(weights, keys), f"the prepared keys for B = {B} and S = {S}")


def prepared_anew(answer: Answer, rng: torch.Generator) -> None:
    """prepare takes each source's own keys, and lets the gradient through."""
    weights = _drawn(rng)
    mine = _made(answer, weights)
    for S in (7, 7, 11):
        keys = numbers(rng, 2, S, K)
        if not agrees(mine.method("prepare", keys), prepare(weights, keys)):
            raise Wrong(
                "prepare gives an earlier source's keys when it is called again: keep nothing "
                "between calls, each source has its own keys"
            )
    keys = numbers(rng, 2, 7, K)
    try:
        found = mine.gradients(keys, wrt=(0,), method="prepare")
    except Wrong as trouble:
        if "no gradient reaches" not in str(trouble):
            raise
        raise Wrong(
            "what prepare gives back is cut off from U and from the keys, so that neither U nor "
            "the encoder ever learns: no .detach() and no torch.no_grad() in it"
        ) from None
    got = [*found["inputs"], found["parameters"].get("U.weight")]
    U, given = weights["U.weight"].clone().requires_grad_(), keys.clone().requires_grad_()
    prepared = prepare({"U.weight": U}, given)
    want = torch.autograd.grad((prepared * pattern(prepared)).sum(), (given, U))
    expect_gradients(got, want, ["the keys in prepare", "U.weight in prepare"])


def square(answer: Answer, rng: torch.Generator) -> None:
    """no mask, and all sizes alike: context and weights."""
    weights, inputs = _drawn(rng, 5, 5, 5), _inputs(rng, 5, 5, 5, 5, 5, 5)
    mine = _made(answer, weights)
    try:
        got = mine(*inputs)
    except Wrong as trouble:
        raise Wrong(_why_it_fails(mine, inputs, str(trouble))) from None
    mine.method("prepare", numbers(rng, 5, 5, 5))  # another source, which must change nothing
    if not agrees(mine(*inputs), got):
        raise Wrong(
            "the same call gives another result the second time: something is kept between calls "
            "(forward takes the keys that it is given, not the last that were prepared), or left "
            "to chance (dropout)"
        )
    want = run(weights, *inputs)
    mine.train(False)
    if not agrees(got, want) and agrees(mine(*inputs), want):
        raise Wrong(_DROPOUT)
    _compare(got, weights, *inputs)


def _why_it_fails(mine: Answer, inputs: tuple[Tensor, ...], trouble: str) -> str:
    """What a failure without a mask comes from, found by calling in other ways."""

    def runs(*more: Any) -> bool:
        try:
            mine(*inputs, *more)
        except Wrong:
            return False
        return True

    if runs(torch.ones(inputs[1].shape[:2], dtype=torch.bool)):
        return (
            "no mask is handed in here, which means that every token is real: mask=None in the "
            f"first line of forward, and ask `if mask is not None` ({trouble})"
        )
    mine.method("prepare", inputs[1])
    if runs():
        return (
            "forward and score work with keys that prepare has kept: they get the prepared keys "
            f"as an argument, and take those ({trouble})"
        )
    return trouble


def uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 2, T = 1 and 3, S = 11, all sizes different, and a batch of one."""
    for B, T in ((2, 1), (1, 2), (2, 3)):
        weights, inputs = _drawn(rng), _inputs(rng, B, T, 11, 13)
        _compare(_made(answer, weights)(*inputs), weights, *inputs)
    small = {name: w.float() for name, w in weights.items()}
    inputs = tuple(x.float() for x in inputs)
    _compare(_made(answer, small)(*inputs), small, *inputs)


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
    queries, keys, values = inputs
    padding = ~mask[:, :, None]
    spoiled = keys.masked_fill(padding, torch.nan), values.masked_fill(padding, torch.inf)
    made = _made(answer, weights)
    got = made.gradients(queries, *spoiled, mask, wrt=(0,))
    for name, found in (("the queries", got["inputs"][0]), *got["parameters"].items()):
        if bool(found.isnan().any()):
            raise Wrong(
                f"the gradient of {name} is NaN where keys are NaN and values infinite at padding, "
                "though the weights there are 0: fill keys and values at padding with 0 first"
            )


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
