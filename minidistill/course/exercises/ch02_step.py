"""Chapter 02: cases for `rnn_step`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.exercise import expect
from minidistill.course.exercises.ch02_shared import compare, expect_gradients, keeps_type, numbers
from minidistill.recurrent import rnn_step

_Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def _inputs(rng: torch.Generator, B: int, size: int, H: int) -> _Inputs:
    return (
        numbers(rng, B, size),
        numbers(rng, B, H),
        numbers(rng, H, size, scale=0.5),
        numbers(rng, H, H, scale=0.5),
        numbers(rng, H),
        numbers(rng, H),
    )


def _mistakes(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, c: Tensor) -> Iterator:
    """Sentences, and what an answer with that mistake would return."""
    tanh, from_x, from_h = torch.tanh, x @ W.T, h @ U.T
    a = from_x + b + from_h + c
    yield "b_hh is missing: both biases are added", tanh(a - c)
    yield "b_ih is missing: both biases are added", tanh(a - b)
    yield "both biases are missing", tanh(from_x + from_h)
    yield "b_ih is added twice, b_hh not at all", tanh(a - c + b)
    yield "b_hh is added twice, b_ih not at all", tanh(a - b + c)
    yield "a bias is subtracted: both are added", tanh(a - 2 * c)
    yield "a bias is subtracted: both are added", tanh(a - 2 * b)
    unused = "the old state h is not used: without h @ W_hh.T nothing is remembered"
    yield unused, tanh(from_x + b + c)
    yield unused, tanh(from_x + b)
    yield "the input x is not used", tanh(from_h + b + c)
    yield "the input x is not used", tanh(from_h + c)
    yield (
        "W_hh is not transposed: weights are stored (out, in), so h @ W_hh.T",
        tanh(from_x + b + h @ U + c),
    )
    yield (
        "the state is multiplied entry by entry: h @ W_hh.T mixes all entries of h",
        tanh(from_x + b + h * U.diagonal() + c),
    )
    yield "the two parts are subtracted: add them", tanh(from_x + b - from_h - c)
    yield "the two parts are multiplied: add them", tanh((from_x + b) * (from_h + c))
    yield (
        "h is added before the product with W_hh: x @ W_ih.T + b_ih stays outside it",
        tanh((from_x + b + h) @ U.T + c),
    )
    yield (
        "the tanh is taken before the products: it belongs around the whole sum",
        (tanh(x) @ W.T + b + tanh(h) @ U.T + c),
    )
    if from_x.shape == h.shape:
        yield (
            "the two products are chained: x @ W_ih.T and h @ W_hh.T are added",
            tanh(tanh(from_x + b) @ U.T + c),
        )
    yield "the biases are added after the tanh: they belong inside", tanh(from_x + from_h) + b + c
    yield "the sum is halved: add the two parts, do not average them", tanh(a / 2)
    if x.shape == h.shape:
        yield from _square_mistakes(x, h, W, U, b, c)
    yield from _tanh_mistakes(a, from_x + b, from_h + c, h)
    yield from _batch_mistakes(tanh(a), h)
    rows, old = [], h[0]
    for row in x:  # the batch taken for time
        old = tanh(W @ row + b + U @ old + c)
        rows.append(old)
    yield "a row gets the state of the row above: rows are different texts", torch.stack(rows)


def _square_mistakes(x: Tensor, h: Tensor, W: Tensor, U: Tensor, b: Tensor, c: Tensor) -> Iterator:
    tanh, from_h = torch.tanh, h @ U.T
    yield (
        "W_ih is not transposed: weights are stored (out, in), so x @ W_ih.T",
        tanh(x @ W + b + from_h + c),
    )
    yield "neither weight is transposed: x @ W_ih.T and h @ W_hh.T", tanh(x @ W + b + h @ U + c)
    yield (
        "the two weights are swapped: W_ih belongs to x, W_hh to h",
        tanh(x @ U.T + b + h @ W.T + c),
    )
    yield (
        "the input is multiplied entry by entry: x @ W_ih.T mixes all entries of x",
        tanh(x * W.diagonal() + b + from_h + c),
    )


def _tanh_mistakes(a: Tensor, of_x: Tensor, of_h: Tensor, h: Tensor) -> Iterator:
    new = torch.tanh(a)
    missing = "the tanh is missing: without it the network is linear, and its state may grow"
    yield missing, a
    yield "this is a ReLU: the simple recurrent network uses tanh", torch.relu(a)
    yield "this is a sigmoid: the simple recurrent network uses tanh", torch.sigmoid(a)
    yield "this is a softmax: the simple recurrent network uses tanh", torch.softmax(a, -1)
    yield "this cuts off at -1 and 1: tanh bends smoothly towards them", a.clamp(-1, 1)
    yield "this is tan, the tangent: tanh is another function", torch.tan(a)
    yield "this is sinh, not tanh", torch.sinh(a)
    yield (
        "the tanh is taken of each part: add everything first, then one tanh",
        torch.tanh(of_x) + torch.tanh(of_h),
    )
    yield (
        "the tanh covers only the input's part: it belongs around the whole sum",
        torch.tanh(of_x) + of_h,
    )
    yield (
        "the tanh covers only the state's part: it belongs around the whole sum",
        of_x + torch.tanh(of_h),
    )
    yield (
        "the fraction lacks brackets: (e^z - e^-z) / (e^z + e^-z), or torch.tanh",
        (a.exp() - (-a).exp()) / a.exp() + (-a).exp(),
    )
    yield "the tanh is applied twice: once is enough", torch.tanh(new)
    yield "the old state is added a second time: h' = tanh(...), nothing added outside", new + h
    yield "the new state is mixed with the old one: h' is the tanh alone", (h + new) / 2
    yield "the sign is turned round", -new
    yield "this is the slope 1 - tanh^2: return the tanh itself", 1 - new**2


def _batch_mistakes(new: Tensor, h: Tensor) -> Iterator:
    yield "the old state comes back unchanged: return the new one", h
    yield "the rows of the batch are averaged: every row has its own new state", new.mean(0)
    yield "the rows of the batch are added: every row has its own new state", new.sum(0)
    for row in (new[0], new[-1]):
        yield "only one row of the batch is computed: return (B, H)", row
        yield "only one row of the batch is computed: return (B, H)", row[None]
    yield "every row gets the first row's state", new[:1].expand_as(new)
    yield "the result is (H, B): the batch comes first, (B, H)", new.T


def _case(answer: Answer, inputs: _Inputs) -> None:
    probe = _inputs(torch.Generator().manual_seed(7), 3, 5, 5)
    got = compare(answer, rnn_step, inputs, "the new state", _mistakes, probe)
    keeps_type(got, inputs[0], "the new state")


def step_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """three rows of two entries, worked by hand."""
    x = torch.tensor([[1.0, -2.0], [3.0, 1.0], [-1.0, 0.5]])
    h = torch.tensor([[0.5, 0.25], [-1.0, 2.0], [0.0, 1.0]])
    W_ih = torch.tensor([[0.1, 0.2], [0.3, -0.1]])
    W_hh = torch.tensor([[0.4, 0.8], [-0.2, -1.6]])
    b_ih, b_hh = torch.tensor([0.1, 0.0]), torch.tensor([0.0, -0.3])
    _case(answer, (x, h, W_ih, W_hh, b_ih, b_hh))


def step_square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where a forgotten transpose raises no error."""
    _case(answer, _inputs(rng, 3, 5, 5))


def step_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, I = 5, H = 7, and one row alone."""
    _case(answer, _inputs(rng, 3, 5, 7))
    _case(answer, _inputs(rng, 1, 5, 3))


def step_large(answer: Answer, rng: torch.Generator) -> None:
    """large sums give -1 and 1, not NaN."""
    x, h, W, U, b, c = (v.float() for v in _inputs(rng, 3, 2, 5))
    inputs = (x * 1000, h, W, U, b, c)
    nan = torch.full_like(h, torch.nan)
    sentence = "exp overflows for a large sum, and infinity / infinity is NaN: use torch.tanh"
    got, want = answer(*inputs), rnn_step(*inputs)
    if isinstance(got, Tensor) and got.shape == want.shape:
        nan = torch.where(got.isnan(), nan, want)
    expect(got, want, "the new state", {sentence: nan})


def step_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches all six arguments."""
    inputs = _inputs(rng, 2, 3, 5)
    got = answer.gradients(*inputs, wrt=range(6))["inputs"]
    want = reference_answer(rnn_step).gradients(*inputs, wrt=range(6))["inputs"]
    expect_gradients(got, want, ("x", "h", "W_ih", "W_hh", "b_ih", "b_hh"))
