"""Chapter 03: cases for `causal_convolution`."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor

from minidistill.convolution import causal_convolution
from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare
from minidistill.course.exercise import Wrong
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers
from minidistill.course.exercises.ch03_convolution_mistakes import FUTURE, MISTAKES, PAIRS, PAST
from minidistill.course.exercises.ch03_pairs import fitting

_WHAT = "the result"


def _inputs(
    rng: torch.Generator, B: int, T: int, size: int, out: int, K: int, dilation: int
) -> tuple[Any, ...]:
    """x (B, T, I), weight (O, I, K), bias (O,), dilation."""
    weight = numbers(rng, out, size, K, scale=0.5)
    return numbers(rng, B, T, size), weight, numbers(rng, out), dilation


def _case(answer: Answer, *inputs: Any) -> None:
    rng = torch.Generator().manual_seed(7)
    probe = _inputs(rng, 3, 11, 5, 5, 3, 3)
    known = chain(MISTAKES, fitting(PAIRS, answer, inputs))
    got = compare(answer, causal_convolution, inputs, _WHAT, mistakes=known, probes=[probe])
    keeps_type(got, inputs[0], _WHAT)


def convolution_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """one number a step, two taps, dilation 3, worked by hand."""
    x = torch.tensor([[[1.0], [2.0], [4.0], [-8.0], [16.0], [-1.0]]])
    _case(answer, x, torch.tensor([[[0.5, 2.0]]]), torch.tensor([0.25]), 3)


def convolution_square(answer: Answer, rng: torch.Generator) -> None:
    """I = O, three taps, dilation 3: mixed-up dimensions raise no error."""
    _case(answer, *_inputs(rng, 3, 11, 5, 5, 3, 3))


def convolution_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 2, T = 13, I = 3, O = 5, K = 4, dilations 1 and 3."""
    _case(answer, *_inputs(rng, 2, 13, 3, 5, 4, 3))
    _case(answer, *_inputs(rng, 2, 13, 3, 5, 4, 1))


def convolution_short(answer: Answer, rng: torch.Generator) -> None:
    """a text shorter than the reach, one step, and one tap."""
    _case(answer, *_inputs(rng, 2, 5, 3, 2, 3, 7))
    _case(answer, *_inputs(rng, 2, 1, 3, 2, 3, 2))
    _case(answer, *_inputs(rng, 2, 5, 3, 2, 1, 3))


def convolution_future(answer: Answer, rng: torch.Generator) -> None:
    """what comes later changes nothing earlier, and `past` is what came before."""
    x, weight, bias, dilation = _inputs(rng, 2, 11, 3, 5, 3, 2)
    other = x.clone()
    other[:, 7:] += 1
    one, two = answer(x, weight, bias, dilation), answer(other, weight, bias, dilation)
    if not isinstance(one, Tensor) or one.dim() != 3 or one.size(1) != 11:
        raise Wrong("the result is one tensor (B, T, O), a step for every step of the text")
    if not torch.allclose(one[:, :7], two[:, :7], atol=1e-9):
        raise Wrong(FUTURE)
    for T in (7, 2):  # the last T steps, after the four that they look back upon
        x, past = numbers(rng, 2, T, 3), numbers(rng, 2, 4, 3)
        inputs = (x, weight, bias, dilation, past)
        compare(answer, causal_convolution, inputs, "the result with a past", mistakes=PAST)


def convolution_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches x, weight, bias and past."""
    inputs, wrt = (*_inputs(rng, 2, 7, 3, 5, 3, 2), numbers(rng, 2, 4, 3)), (0, 1, 2, 4)
    got = answer.gradients(*inputs, wrt=wrt)["inputs"]
    want = reference_answer(causal_convolution).gradients(*inputs, wrt=wrt)["inputs"]
    expect_gradients(got, want, ("x", "weight", "bias", "past"))
