"""Chapter 07: the cases of the class `PositionAttention`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong, agrees
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type
from minidistill.course.exercises.ch07_formula import holes
from minidistill.course.exercises.ch07_formula_more import not_one
from minidistill.course.exercises.ch07_places_mistakes import (
    MISTAKES,
    PAIRS,
    as_class,
    build,
    detached,
)
from minidistill.course.exercises.ch09_shared import strange

_KNOWN = (*MISTAKES, *PAIRS)
_WHAT = "the weights"
_RIGHT = build({})
_NAN = (
    "a row without any real word gives NaN: a softmax over nothing but -inf has no sum. All "
    "weights of such a row are 0"
)
_OVERFLOW = (
    "e to a score of 1,000 is more than the computer holds: what may be taken off all scores of a "
    "context, before e to them, without changing the weights?"
)


def inputs(rng: torch.Generator, B: int, window: int, A: int) -> tuple[Tensor, ...]:
    """Queries and biases of the 2 window places, keys, and a mask with holes."""
    C = 2 * window
    query, bias, keys = (
        torch.randn(*shape, generator=rng, dtype=torch.float64)
        for shape in ((C, A), (C,), (B, C, A))
    )
    return query, bias, keys, holes(rng, B, C)


_RNG = torch.Generator().manual_seed(28)
PROBES = (
    inputs(_RNG, 5, 3, 7),
    inputs(_RNG, 7, 2, 3),
    inputs(_RNG, 3, 5, 2),
    inputs(_RNG, 6, 3, 6),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _made(answer: Answer, query: Tensor, bias: Tensor) -> Answer:
    """The student's attention with these parameters."""
    mine = answer.create(query.size(1), len(query) // 2)
    mine.load({"query": query, "bias": bias})
    return mine


def _function(answer: Answer) -> Callable[..., Any]:
    """The class as a function of its parameters, as the mistakes are."""

    def run(query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> Any:
        return _made(answer, query, bias)(keys, mask)

    return run


def _case(answer: Answer, *args: Tensor, tolerance: float = 1e-5) -> None:
    got = compare(
        _function(answer),
        _RIGHT,
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        describe=not_one,
        tolerance=tolerance,
    )
    keeps_type(got, args[2], _WHAT)


def names_and_shapes(answer: Answer, rng: torch.Generator) -> None:
    """parameters query (2 window, key_size) and bias (2 window,), and no others."""
    for key_size, window in ((7, 3), (3, 5), (4, 2)):
        got = answer.create(key_size, window).parameters()
        if not got:
            raise Wrong(
                "the attention has no parameters, so nothing would be trained: a tensor, or a "
                "buffer, is none; what makes one of a tensor?"
            )
        shapes = {"query": (2 * window, key_size), "bias": (2 * window,)}
        lacks = [name for name in shapes if name not in got]
        extra = [name for name in got if name not in shapes]
        if lacks:
            raise Wrong(_lacking(lacks, extra))
        if extra:
            raise Wrong(f"it has {', '.join(extra)} too: query and bias are all there is to learn")
        for name, shape in shapes.items():
            found = tuple(got[name].shape)
            if found != shape:
                raise Wrong(f"{name} has shape {found}, expected {shape}{_why(found, shape)}")


def _lacking(lacks: list[str], extra: list[str]) -> str:
    within = [name for name in extra if name.split(".")[0] in lacks]
    if within:
        return (
            f"its parameters are called {', '.join(within)}, as those of a layer are: "
            f"{' and '.join(lacks)} should be parameters themselves"
        )
    other = f" (it has {', '.join(extra)})" if extra else ""
    return (
        f"{' and '.join(lacks)} is not among its parameters{other}, so it would not be trained: a "
        "tensor, or a buffer, is no parameter; what makes one of a tensor?"
    )


def _why(found: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Why a parameter's shape may be wrong."""
    places = shape[0]
    if not found:
        return ": each of the places has its own"
    if found[::-1] == shape and len(shape) == 2:
        return ": a row for each place"
    if found[0] == places // 2:
        return ": window is how many words there are on each side, and both sides count"
    if found[0] == places + 1:
        return ": the word itself is no place of its context"
    if found[0] == 1 or found == shape[1:]:
        return ": each of the places has its own"
    if len(shape) == 1 and len(found) == 2:
        return ": one number for each place"
    return ""


def at_the_start(answer: Answer, rng: torch.Generator) -> None:
    """at the start all parameters are 0, and the real words weigh the same."""
    for key_size, window in ((5, 3), (3, 2)):
        mine = answer.create(key_size, window)
        for name, value in mine.parameters().items():
            if bool((value != 0).any()):
                raise Wrong(
                    f"{name} is not 0 at the start: training is to begin with the plain mean, "
                    "which all zeros give (a random start would prefer some words by chance)"
                )
        query, bias, keys, mask = inputs(rng, 5, window, key_size)
        keys, query, bias = keys.float(), 0 * query.float(), 0 * bias.float()
        got = mine(keys, mask)
        want = _RIGHT(query, bias, keys, mask)
        if not agrees(got, want):
            _case(answer, *inputs(rng, 5, window, key_size))
            _case(answer, query, bias, keys, mask)
            raise Wrong(
                "freshly made it gives other weights than with the same zeros loaded: the weights "
                "must come from query and bias alone"
            )


def ordinary(answer: Answer, rng: torch.Generator) -> None:
    """windows of 2, 3 and 5, keys of 3 to 11 numbers, padding anywhere."""
    for B, window, A in ((5, 3, 7), (7, 2, 3), (3, 5, 11)):
        args = inputs(rng, B, window, A)
        _case(answer, *args)
        _same_again(answer, args)


def _same_again(answer: Answer, args: tuple[Tensor, ...]) -> None:
    query, bias, keys, mask = args
    mine = _made(answer, query, bias)
    first = mine(keys, mask)
    mine(keys.flip(0), mask.flip(0))
    if not agrees(mine(keys, mask), first):
        raise Wrong(
            "the same call gives another result the second time: something is kept between calls, "
            "or left to chance"
        )


def all_real(answer: Answer, rng: torch.Generator) -> None:
    """no padding."""
    query, bias, keys, mask = inputs(rng, 5, 3, 7)
    _case(answer, query, bias, keys, torch.ones_like(mask))


def square(answer: Answer, rng: torch.Generator) -> None:
    """B = 2 window = key_size, where mixed-up dimensions raise no error."""
    _case(answer, *inputs(rng, 6, 3, 6))


def bias_alone(answer: Answer, rng: torch.Generator) -> None:
    """queries of 0: the bias decides; and biases of 0: the queries do."""
    query, bias, keys, mask = inputs(rng, 5, 3, 7)
    _case(answer, 0 * query, bias, keys, mask)
    _case(answer, query, 0 * bias, keys, mask)


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """one context, a window of 1, keys of one number."""
    _case(answer, *inputs(rng, 1, 3, 5))
    _case(answer, *inputs(rng, 5, 1, 3))
    _case(answer, *inputs(rng, 5, 3, 1))


def at_padding(answer: Answer, rng: torch.Generator) -> None:
    """what stands at padding makes no difference, however large it is."""
    query, bias, keys, mask = inputs(rng, 5, 3, 7)
    for value in (0.0, 50.0, -1e4):
        _case(answer, query, bias, keys.masked_fill(~mask[:, :, None], value), mask)


def nothing_real(answer: Answer, rng: torch.Generator) -> None:
    """a context without any real word: zeros, and no NaN."""
    query, bias, keys, mask = inputs(rng, 5, 3, 7)
    mask[2] = False
    for given in (mask, torch.zeros_like(mask)):
        if strange(_made(answer, query, bias)(keys, given)):
            raise Wrong(_NAN)
        _case(answer, query, bias, keys, given)


def large_scores(answer: Answer, rng: torch.Generator) -> None:
    """scores of 1,000 and of -1,000, in float32 too."""
    query, bias, keys, mask = inputs(rng, 5, 3, 7)
    for kind in (torch.float64, torch.float32):
        for shift in (1e3, -1e3):
            args = query.to(kind), (bias + shift).to(kind), keys.to(kind), mask
            if strange(_made(answer, *args[:2])(*args[2:])):
                raise Wrong(_OVERFLOW)
            _case(answer, *args, tolerance=1e-4)
    _case(answer, 300 * query, bias, keys, mask)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradients reach query, bias and keys, with the right values."""
    names = ("the keys", "query", "bias")
    for empty in (False, True):
        query, bias, keys, mask = inputs(rng, 5, 3, 7)
        if empty:
            mask[2] = False
        given = query, bias, keys, mask
        got = _slopes(answer, *given)
        if empty and any(map(strange, got)):
            raise Wrong(
                "the weights are right, but where a context has no real word the gradients are "
                "NaN, and a step would make all weights NaN: 0 / 0 stays on the way back even if "
                "the result is exchanged afterwards (nan_to_num, torch.where)"
            )
        known = (
            (
                f"the right weights, but no gradient reaches {name}: it is detached there",
                _slopes(reference_answer(as_class(detached(source))), *given),
            )
            for name, source in zip(names, ("keys", "query", "bias"), strict=True)
        )
        expect_gradients(got, _slopes(reference_answer(as_class(_RIGHT)), *given), names, known)


def _slopes(answer: Answer, query: Tensor, bias: Tensor, keys: Tensor, mask: Tensor) -> list[Any]:
    found = _made(answer, query, bias).gradients(keys, mask, wrt=(0,))
    return [*found["inputs"], *(found["parameters"].get(name) for name in ("query", "bias"))]


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    _case(answer, *inputs(rng, 5, 3, 7), tolerance=1e-10)
