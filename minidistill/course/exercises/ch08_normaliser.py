"""Chapter 08: the cases of log_normaliser.

That no more than `chunk` classes have their logits at a time cannot be seen from values.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from minidistill.chunked_softmax import log_normaliser
from minidistill.course.answer import Answer
from minidistill.course.diagnosis import Mistake, compare, expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import keeps_type
from minidistill.course.exercises.ch08_more import NORMALISER
from minidistill.course.exercises.ch08_normaliser_mistakes import MISTAKES, PAIRS, START_0
from minidistill.course.exercises.ch09_shared import strange

_SINGLE = (*MISTAKES, *NORMALISER)
_KNOWN = (*_SINGLE, *PAIRS)
_WHAT = "the result"
_OVERFLOW = (
    "e to a logit of 1,000 is more than the computer holds: take the largest logit out before exp, "
    "its bias included, and add it again at the end; logsumexp and logaddexp do so"
)
_UNDERFLOW = (
    "e to a logit of -1,000 is 0 in the computer, and ln 0 is infinite: take the largest logit out "
    "before exp, whatever its sign, and add it again at the end; logsumexp and logaddexp do so"
)
_FIRST = (
    "the largest logit of the first chunk is taken out of all: where a later chunk has one that is "
    "larger by 700, e to the difference is more than the computer holds. Keep the largest so far"
)
_LAST = (
    "the chunks' sums are measured by the last chunk's largest logit: where an earlier one is "
    "larger by 700, e to the difference is more than the computer holds. Keep the largest so far"
)
_ROWS = (
    "the largest logit of all rows together is taken out of every row: where a row's own are lower "
    "by 700, e to all of them is 0, and ln 0 is infinite. Each row has its own largest, amax(1)"
)
_NAN = (
    "the first chunk's classes are all ruled out here, with a bias of -inf, and then -inf - (-inf) "
    "is NaN: torch.logaddexp knows that; by hand, take 0 out where the largest so far is -inf"
)

_SKIPPED = (
    "a chunk in which any class is ruled out, with a bias of -inf, is left out altogether: the "
    "others in it count"
)


def inputs(rng: torch.Generator, N: int, H: int, V: int, chunk: int) -> tuple[Any, ...]:
    """Hidden vectors, a table with its biases, and the size of a chunk."""
    hidden, weight, bias = (
        torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((N, H), (V, H), (V,))
    )
    return hidden, weight, bias, chunk


def _no_bias(hidden: Tensor, weight: Tensor, bias: Tensor, chunk: int) -> tuple[Any, ...]:
    return hidden, weight, None, chunk


_RNG = torch.Generator().manual_seed(6)
PROBES = (
    inputs(_RNG, 5, 3, 23, 7),
    inputs(_RNG, 7, 2, 11, 2),
    _no_bias(*inputs(_RNG, 3, 5, 17, 5)),
    inputs(_RNG, 5, 3, 12, 4),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(
    answer: Answer, *args: Any, tolerance: float = 1e-5, known: tuple[Mistake, ...] = _KNOWN
) -> None:
    got = compare(
        answer,
        log_normaliser,
        args,
        _WHAT,
        mistakes=known,
        probes=PROBES,
        tolerance=tolerance,
    )
    keeps_type(got, args[0], _WHAT)


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """e to the logits is 1, 2, 3, 4 and 5, in chunks of 2: ln 15."""
    hidden, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]]).expand(5, 2).clone()
    bias = torch.arange(1.0, 6.0).log() - 1
    args, want = (hidden, weight, bias, 2), torch.tensor([math.log(15)])
    expect(log_normaliser(*args), want, "the reference")
    expect_no_memory(answer, args, (2 * hidden, *args[1:]), want, _WHAT)
    _case(answer, *args)


def even(answer: Answer, rng: torch.Generator) -> None:
    """12 classes in chunks of 4 and of 3, and one class at a time."""
    hidden, weight, bias, _ = inputs(rng, 5, 3, 12, 4)
    for chunk in (4, 3, 1):
        _case(answer, hidden, weight, bias, chunk)


def ragged(answer: Answer, rng: torch.Generator) -> None:
    """23 classes in chunks of 7, 11 and 22: the last is shorter."""
    hidden, weight, bias, _ = inputs(rng, 5, 3, 23, 7)
    for chunk in (7, 11, 22):
        _case(answer, hidden, weight, bias, chunk)


def large_chunk(answer: Answer, rng: torch.Generator) -> None:
    """a chunk as large as the vocabulary, and a larger one."""
    hidden, weight, bias, _ = inputs(rng, 5, 3, 11, 7)
    for chunk in (11, 13, 4096):
        _case(answer, hidden, weight, bias, chunk)


def without_bias(answer: Answer, rng: torch.Generator) -> None:
    """the bias is None."""
    args = _no_bias(*inputs(rng, 5, 3, 23, 7))
    try:
        answer(*args)
    except Wrong as wrong:
        if "None" not in str(wrong):
            raise
        raise Wrong(
            "the bias is None here, which means that there is none: ask `if bias is not None` "
            f"before you use it ({wrong})"
        ) from None
    _case(answer, *args)


def square(answer: Answer, rng: torch.Generator) -> None:
    """N = H = chunk, where mixed-up dimensions raise no error; and a single row."""
    _case(answer, *inputs(rng, 5, 5, 15, 5))
    _case(answer, *inputs(rng, 1, 3, 11, 4))


def many(answer: Answer, rng: torch.Generator) -> None:
    """V = 5,003 in chunks of 256."""
    # Two mistakes at once would take seconds here, and show in the smaller cases as well.
    _case(answer, *inputs(rng, 3, 7, 5003, 256), known=_SINGLE)


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 1,000, of -1,000 and of -30,000,000,000, in float32 too."""
    hidden, weight, bias, chunk = inputs(rng, 5, 3, 23, 7)
    small = hidden.float(), weight.float()
    for h, w in ((hidden, weight), small):
        for shift, sentence in ((1e3, _OVERFLOW), (-1e3, _UNDERFLOW)):
            args = (h, w, (bias + shift).to(h), chunk)
            if strange(answer(*args)):
                raise Wrong(sentence)
            if shift < 0:
                _first_term(answer(*args), log_normaliser(*args))
            _case(answer, *args)
    for shift in (-3e4, -3e10):
        args = (hidden, weight, bias + shift, chunk)
        _first_term(answer(*args), log_normaliser(*args))
        _case(answer, *args)


def _first_term(got: Any, want: Tensor) -> None:
    """Wrong where the running total began with a number instead of nothing."""
    if not isinstance(got, Tensor) or got.shape != want.shape:
        return
    if bool((got > want + 50).all()) and float(got.max() - got.min()) < 1e-3:
        raise Wrong(
            START_0
            if abs(float(got[0])) < 1e-3
            else f"the running total begins with {float(got[0]):.5g}, which is a term like others "
            "where all logits are lower still: begin with the first chunk, or with -inf"
        )


def rising_and_falling(answer: Answer, rng: torch.Generator) -> None:
    """chunks whose logits lie 1,000 above, or below, those of the chunk before."""
    hidden, weight, bias, chunk = inputs(rng, 5, 3, 23, 7)
    steps = torch.arange(23) // chunk * 1000.0
    for more, sentence in ((steps, _FIRST), (-steps, _LAST)):
        for start in (0.0, -2000.0):
            args = (hidden, weight, bias + more + start, chunk)
            if strange(answer(*args)):
                raise Wrong(sentence)
            _case(answer, *args)


def rows_apart(answer: Answer, rng: torch.Generator) -> None:
    """rows of hidden whose logits lie 1,000 apart."""
    hidden, weight, bias, chunk = inputs(rng, 5, 3, 23, 7)
    hidden = torch.cat([hidden, torch.tensor([[0.0], [1.0], [-2.0], [3.0], [-1.0]])], 1)
    weight = torch.cat([weight, weight.new_full((23, 1), 1000.0)], 1)
    args = (hidden, weight, bias, chunk)
    if strange(answer(*args)):
        raise Wrong(_ROWS)
    _case(answer, *args)


def ruled_out(answer: Answer, rng: torch.Generator) -> None:
    """classes with a bias of -inf: some, the whole first chunk, the last, and all but one."""
    hidden, weight, bias, chunk = inputs(rng, 5, 3, 23, 7)
    for gone in ([0, 3, 9, 22], range(7), range(14), range(21, 23), range(7, 14), range(1, 23)):
        some = bias.clone()
        some[list(gone)] = -math.inf
        args = (hidden, weight, some, chunk)
        got = answer(*args)
        if isinstance(got, Tensor) and bool(got.isnan().any()):
            raise Wrong(_NAN if gone in (range(7), range(14)) else _NAN.replace("first ", "a "))
        left = [i for i in range(23) if not some[i // 7 * 7 : i // 7 * 7 + 7].isinf().any()]
        without = log_normaliser(hidden, weight[left], some[left], chunk)
        if agrees(got, without) and not agrees(got, log_normaliser(*args)):
            raise Wrong(_SKIPPED)
        _case(answer, *args)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    _case(answer, *inputs(rng, 5, 3, 23, 7), tolerance=1e-10)
