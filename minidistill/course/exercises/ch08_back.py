"""Chapter 08: the cases of sampled_backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises import ch08_logits
from minidistill.course.exercises.ch02_shared import keeps_type
from minidistill.course.exercises.ch08_back_form import form
from minidistill.course.exercises.ch08_back_mistakes import MISTAKES, PAIRS, seen
from minidistill.course.exercises.ch08_more import BACK
from minidistill.course.exercises.ch09_shared import strange
from minidistill.sampled_softmax import sampled_backward, sampled_logits

_WHAT = "(the gradient of hidden, the gradient of the weight)"
_OVERFLOW = (
    "exp of a large logit overflows, or all of a row are 0: softmax(1) takes the largest out first"
)
_ROWS = (
    "a number is taken out of all tokens' logits together: where a token's own are lower by 1,000, "
    "e to all of them is 0. Each token has its own largest, amax(1); softmax(1) takes that one"
)
_REMOVED = (
    "where a target was drawn too its logit there is -inf, and it spoils the gradient: e^(-inf) is "
    "0, but -inf times 0, or -inf less -inf, is NaN. softmax(1) gives 0 there"
)


def _inputs(
    rng: torch.Generator, N: int, H: int, V: int, S: int, hits: bool = True
) -> tuple[Tensor, ...]:
    """What 08.2 was about, with its logits."""
    args = ch08_logits.inputs(rng, N, H, V, S, hits)
    hidden, weight, _, targets, drawn, *_ = args
    return hidden, weight, targets, drawn, sampled_logits(*args)


_RNG = torch.Generator().manual_seed(3)
PROBES = (
    _inputs(_RNG, 5, 3, 23, 7),
    _inputs(_RNG, 7, 2, 31, 11),
    _inputs(_RNG, 11, 5, 17, 4, hits=False),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _seen(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: seen(function(*args), args)


_KNOWN = tuple((sentence, _seen(mistaken)) for sentence, mistaken in (*MISTAKES, *BACK, *PAIRS))


def _case(answer: Answer, *args: Tensor, tolerance: float = 1e-5) -> None:
    given = answer(*args)
    sentence = form(given, args)
    if sentence is not None:
        raise Wrong(sentence)
    compare(
        _seen(answer),
        _seen(sampled_backward),
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        tolerance=tolerance,
    )
    keeps_type(given[0], args[0], "the gradient of hidden")
    keeps_type(given[2], args[1], "what is added to the rows")


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two tokens, p = (1/2, 1/4, 1/4) and (1/4, 1/4, 1/2): (3, -2) and (2, -3) for hidden."""
    hidden = torch.tensor([[4.0, 0.0], [0.0, 8.0]])
    weight = torch.tensor([[8.0, 0.0], [0.0, 8.0], [9.0, 9.0], [8.0, 8.0], [16.0, 0.0]])
    logits = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 2.0]]).log()
    args = (hidden, weight, torch.tensor([1, 3]), torch.tensor([0, 4]), logits)
    table = torch.tensor([[0.5, 1.0], [-1.0, 0.0], [0.0, 0.0], [0.0, -3.0], [0.5, 2.0]])
    want = [torch.tensor([[3.0, -2.0], [2.0, -3.0]]), table]
    expect(list(seen(sampled_backward(*args), args)), want, "the reference")
    sentence = form(answer(*args), args)
    if sentence is not None:
        raise Wrong(sentence)
    expect_no_memory(_seen(answer), args, (*args[:4], 2 * logits), want, _WHAT)
    _case(answer, *args)


def no_hits(answer: Answer, rng: torch.Generator) -> None:
    """no target was drawn: N = 5, S = 7, V = 23, H = 3."""
    _case(answer, *_inputs(rng, 5, 3, 23, 7, hits=False))


def with_hits(answer: Answer, rng: torch.Generator) -> None:
    """some targets were drawn: -inf stands there, and the row plays two parts."""
    for args in (_inputs(rng, 5, 3, 23, 7), _inputs(rng, 13, 5, 29, 3)):
        _whole(answer, args, _REMOVED)
        _case(answer, *args)


def _whole(answer: Answer, args: tuple[Tensor, ...], sentence: str) -> None:
    given = answer(*args)
    if isinstance(given, (list, tuple)) and any(strange(x) for x in given):
        raise Wrong(sentence)


def square(answer: Answer, rng: torch.Generator) -> None:
    """N = S = H, where mixed-up dimensions raise no error."""
    _case(answer, *_inputs(rng, 5, 5, 17, 5))


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """a single token; and a single class drawn, which is the target of some tokens."""
    _case(answer, *_inputs(rng, 1, 3, 11, 5))
    _case(answer, *_inputs(rng, 5, 3, 11, 1))


def same_target(answer: Answer, rng: torch.Generator) -> None:
    """all tokens have the same target: its row is named for each."""
    hidden, weight, bias, targets, drawn, q_t, q_d = ch08_logits.inputs(rng, 5, 3, 23, 7, False)
    targets, q_t = targets[:1].expand(5).clone(), q_t[:1].expand(5).clone()
    logits = sampled_logits(hidden, weight, bias, targets, drawn, q_t, q_d)
    _case(answer, hidden, weight, targets, drawn, logits)


def every_class(answer: Answer, rng: torch.Generator) -> None:
    """S = V: every class was drawn, every target is a hit, and the softmax is the full one."""
    hidden, weight, bias, targets, *_ = ch08_logits.inputs(rng, 5, 3, 11, 7)
    for drawn in (torch.arange(11), torch.randperm(11, generator=rng)):
        certain = hidden.new_zeros(5), hidden.new_zeros(11)
        logits = sampled_logits(hidden, weight, bias, targets, drawn, *certain)
        _case(answer, hidden, weight, targets, drawn, logits)


def empty_slots(answer: Answer, rng: torch.Generator) -> None:
    """slots that stayed empty repeat an id, with logits of -inf."""
    hidden, weight, targets, drawn, logits = _inputs(rng, 5, 3, 23, 7)
    drawn[-2:], logits[:, -2:] = drawn[-3], -math.inf
    args = (hidden, weight, targets, drawn, logits)
    _whole(answer, args, _REMOVED)
    _case(answer, *args)


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 30,000 and of -30,000, tokens 1,000 apart, and a model sure of its target."""
    hidden, weight, targets, drawn, logits = _inputs(rng, 5, 3, 23, 7)
    for shift in (3e4, -3e4):
        args = (hidden, weight, targets, drawn, logits + shift)
        _whole(answer, args, _OVERFLOW)
        _case(answer, *args)
    apart = torch.arange(5.0, dtype=logits.dtype)[:, None] * 1000
    args = (hidden, weight, targets, drawn, logits + apart)
    if strange(answer(*args)[0]) or _cut_rows(answer(*args)[0], weight, targets):
        raise Wrong(_ROWS)
    _case(answer, *args)
    for more in (50.0, -50.0):
        sure = logits.clone()
        sure[:, 0] += more
        _case(answer, hidden, weight, targets, drawn, sure)


def _cut_rows(to_hidden: Any, weight: Tensor, targets: Tensor) -> bool:
    """Whether the lowest tokens' softmax came out as 0 everywhere, so that only the 1 is left."""
    alone = -weight[targets][:-1] / len(targets)
    return isinstance(to_hidden, Tensor) and agrees(to_hidden[:-1], alone)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    _case(answer, *_inputs(rng, 5, 3, 23, 7), tolerance=1e-10)
