"""Chapter 03: cases for `lstm_step`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import Mistake, compare
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type, numbers
from minidistill.lstm import lstm_step

_WHAT = "(h, c)"
_sig, _tanh = torch.sigmoid, torch.tanh


def inputs_of(rng: torch.Generator, B: int, size: int, H: int) -> tuple[Tensor, ...]:
    """x, h, c, W_ih, W_hh, b_ih and b_hh of an ordinary kind."""
    return (
        numbers(rng, B, size),
        numbers(rng, B, H, scale=0.7),
        numbers(rng, B, H),
        numbers(rng, 4 * H, size, scale=0.7),
        numbers(rng, 4 * H, H, scale=0.7),
        numbers(rng, 4 * H),
        numbers(rng, 4 * H),
    )


def _of_sums(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A mistake made after the sums: rule(i, f, g, o, h, c), the four before any squashing."""

    def mistaken(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> Any:
        W_ih, W_hh, b_ih, b_hh = weights
        sums = linear(x, W_ih, b_ih) + linear(h, W_hh, b_hh)
        return rule(*sums.chunk(4, dim=-1), h, c)

    return mistaken


def _with(
    write: Callable[..., Tensor] = lambda i, f, g, c, h: f * c + i * g,
    show: Callable[..., Tensor] = lambda o, new, old: o * torch.tanh(new),
    squash: Callable[..., Any] = lambda i, f, g, o: (_sig(i), _sig(f), _tanh(g), _sig(o)),
) -> Callable[..., Any]:
    """The step with another way to write the cell, to show it, or to squash the sums."""

    def rule(i: Tensor, f: Tensor, g: Tensor, o: Tensor, h: Tensor, c: Tensor) -> Any:
        i, f, g, o = squash(i, f, g, o)
        new = write(i, f, g, c, h)
        return show(o, new, c), new

    return _of_sums(rule)


def _before(change: Callable[..., tuple]) -> Callable[..., Any]:
    """A mistake made in the arguments, and nothing else."""
    return lambda *args: lstm_step(*change(*args))


def _after(change: Callable[..., Any]) -> Callable[..., Any]:
    """A mistake made with the right result: change(h', c', args)."""
    return lambda *args: change(*lstm_step(*args), args)


def orders() -> Iterator[tuple[int, ...]]:
    """All orders of four blocks but the right one."""
    yield from list(itertools.permutations(range(4)))[1:]


def in_order(order: tuple[int, ...]) -> Callable[..., Any]:
    """The step that finds i, f, g, o at other places of the sums."""

    def rule(*parts: Tensor) -> Any:
        i, f, g, o = (parts[place] for place in order)
        c = _sig(f) * parts[5] + _sig(i) * _tanh(g)
        return _sig(o) * _tanh(c), c

    return _of_sums(rule)


def _interleaved(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> Any:
    W_ih, W_hh, b_ih, b_hh = weights
    sums = linear(x, W_ih, b_ih) + linear(h, W_hh, b_hh)
    i, f, g, o = sums.unflatten(-1, (-1, 4)).unbind(-1)
    c = _sig(f) * c + _sig(i) * _tanh(g)
    return _sig(o) * _tanh(c), c


ORDER = "the blocks of the weights are taken in another order: they lie as i, f, g, o"
_GATE = "a gate has a tanh: i, f and o are sigmoids, between 0 (closed) and 1 (open)"

MISTAKES: list[Mistake] = [
    *[(ORDER, in_order(order)) for order in orders()],
    (
        "every fourth row is taken for a gate: each gate has H rows in one piece (chunk(4, -1))",
        _interleaved,
    ),
    (
        "the candidate g has a sigmoid: it is a tanh, or nothing could ever be taken off the cell",
        _with(squash=lambda i, f, g, o: (_sig(i), _sig(f), _sig(g), _sig(o))),
    ),
    (
        "the candidate g is not squashed: tanh(g)",
        _with(squash=lambda i, f, g, o: (_sig(i), _sig(f), g, _sig(o))),
    ),
    (_GATE, _with(squash=lambda i, f, g, o: (_tanh(i), _tanh(f), _tanh(g), _tanh(o)))),
    (_GATE, _with(squash=lambda i, f, g, o: (_tanh(i), _sig(f), _tanh(g), _sig(o)))),
    (_GATE, _with(squash=lambda i, f, g, o: (_sig(i), _tanh(f), _tanh(g), _sig(o)))),
    (_GATE, _with(squash=lambda i, f, g, o: (_sig(i), _sig(f), _tanh(g), _tanh(o)))),
    (
        "the gates are not squashed: sigmoid of i, f and o",
        _with(squash=lambda i, f, g, o: (i, f, _tanh(g), o)),
    ),
    ("nothing is squashed: sigmoid of i, f, o and tanh of g", _with(squash=lambda *sums: sums)),
    (
        "the gates are softmaxed: each entry of a gate opens by itself, by a sigmoid",
        _with(squash=lambda i, f, g, o: (i.softmax(-1), f.softmax(-1), _tanh(g), o.softmax(-1))),
    ),
    ("h' lacks the tanh: it shows o * tanh(c')", _with(show=lambda o, new, old: o * new)),
    (
        "the tanh of h' covers the gate too: o * tanh(c')",
        _with(show=lambda o, new, old: _tanh(o * new)),
    ),
    (
        "h' takes the sigmoid of the cell: o * tanh(c')",
        _with(show=lambda o, new, old: o * _sig(new)),
    ),
    (
        "h' shows the old cell: first the new cell, then o * tanh(c')",
        _with(show=lambda o, new, old: o * _tanh(old)),
    ),
    (
        "the output gate is not used: h' = o * tanh(c')",
        _with(show=lambda o, new, old: _tanh(new)),
    ),
    ("h' is the cell itself: o * tanh(c')", _with(show=lambda o, new, old: new)),
    (
        "the input gate is not used: c' = f * c + i * g",
        _with(lambda i, f, g, c, h: f * c + g),
    ),
    (
        "the forget gate is not used: c' = f * c + i * g (the LSTM of 1997 had none)",
        _with(lambda i, f, g, c, h: c + i * g),
    ),
    (
        "the old cell is not used: c' = f * c + i * g",
        _with(lambda i, f, g, c, h: i * g),
    ),
    (
        "the candidate is not used: c' = f * c + i * g",
        _with(lambda i, f, g, c, h: f * c + i),
    ),
    (
        "1 - f stands in the place of i: the input gate has rows of its own",
        _with(lambda i, f, g, c, h: f * c + (1 - f) * g),
    ),
    (
        "1 - i stands in the place of f: the forget gate has rows of its own",
        _with(lambda i, f, g, c, h: (1 - i) * c + i * g),
    ),
    (
        "the forget gate is turned round: f says how much stays, not how much goes",
        _with(lambda i, f, g, c, h: (1 - f) * c + i * g),
    ),
    (
        "the forget gate multiplies h: it is the cell that is kept, f * c",
        _with(lambda i, f, g, c, h: f * h + i * g),
    ),
    (
        "the forget gate multiplies what is written, too: c' = f * c + i * g",
        _with(lambda i, f, g, c, h: f * (c + i * g)),
    ),
    (
        "what is kept and what is written are subtracted: c' = f * c + i * g",
        _with(lambda i, f, g, c, h: f * c - i * g),
    ),
    (
        "what is kept and what is written are multiplied: c' = f * c + i * g",
        _with(lambda i, f, g, c, h: f * c * i * g),
    ),
    (
        "the new cell is squashed by a tanh: c' = f * c + i * g as it is, or it forgets again",
        _with(lambda i, f, g, c, h: _tanh(f * c + i * g)),
    ),
    (
        "the new cell is squashed by a tanh: c' = f * c + i * g as it is, or it forgets again",
        _with(lambda i, f, g, c, h: _tanh(f * c + i * g), lambda o, new, old: o * new),
    ),
    (
        "b_hh is missing: both biases are added",
        _before(lambda x, h, c, W, U, b, d: (x, h, c, W, U, b, 0 * d)),
    ),
    (
        "b_ih is missing: both biases are added",
        _before(lambda x, h, c, W, U, b, d: (x, h, c, W, U, 0 * b, d)),
    ),
    (
        "both biases are missing",
        _before(lambda x, h, c, W, U, b, d: (x, h, c, W, U, 0 * b, 0 * d)),
    ),
    (
        "b_ih is added twice, b_hh not at all",
        _before(lambda x, h, c, W, U, b, d: (x, h, c, W, U, b, b)),
    ),
    (
        "b_hh is added twice, b_ih not at all",
        _before(lambda x, h, c, W, U, b, d: (x, h, c, W, U, d, d)),
    ),
    (
        "the input x is not used",
        _before(lambda x, h, c, W, U, b, d: (0 * x, h, c, W, U, b, d)),
    ),
    (
        "the hidden state h is not used: the gates read it by h @ W_hh.T",
        _before(lambda x, h, c, W, U, b, d: (x, 0 * h, c, W, U, b, d)),
    ),
    (
        "the gates read the cell: they read h, and the cell only passes through",
        _before(lambda x, h, c, W, U, b, d: (x, c, c, W, U, b, d)),
    ),
    (
        "h and c are mixed up: the gates read h, and f multiplies c",
        _before(lambda x, h, c, W, U, b, d: (x, c, h, W, U, b, d)),
    ),
    (
        "the two weights are swapped: W_ih belongs to x, W_hh to h",
        _before(lambda x, h, c, W, U, b, d: (x, h, c, U, W, b, d)),
    ),
    (
        "W_hh is reshaped, which is no transpose: h @ W_hh.T",
        _before(lambda x, h, c, W, U, b, d: (x, h, c, W, U.reshape(h.size(1), -1).T, b, d)),
    ),
    ("the pair comes in the wrong order: return h, then c", _after(lambda h, c, args: (c, h))),
    ("only h' is returned: the new cell is needed at the next step", _after(lambda h, c, a: h)),
    ("only c' is returned: h' is what the next layer reads", _after(lambda h, c, args: c)),
    ("the old cell is returned: return the new one", _after(lambda h, c, args: (h, args[2]))),
    ("the old h is returned: return the new one", _after(lambda h, c, args: (args[1], c))),
    ("a pair is needed and no more: h, c", _after(lambda h, c, args: (h, c, c))),
    (
        "h and c are stacked into one tensor, or joined: return a pair",
        _after(lambda h, c, args: torch.cat([h, c], dim=-1)),
    ),
]


def cut_by_entries(answer: Answer) -> Any:
    """The answer, with words for the commonest crash: cutting the batch and not the sums."""

    def asked(*args: Any) -> Any:
        try:
            return answer(*args)
        except Wrong as wrong:
            if "values to unpack" not in str(wrong):
                raise
            text = "chunk and split cut dimension 0, the batch, unless told otherwise: dim=-1"
            raise Wrong(f"{text} ({wrong})") from None

    return asked


def _case(answer: Answer, inputs: tuple[Tensor, ...]) -> None:
    probe = inputs_of(torch.Generator().manual_seed(7), 3, 5, 5)
    got = compare(
        cut_by_entries(answer), lstm_step, inputs, _WHAT, mistakes=MISTAKES, probes=[probe]
    )
    for name, value in zip(("h'", "c'"), got, strict=True):
        keeps_type(value, inputs[0], name)


def step_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """two rows of one entry, worked by hand."""
    x, h, c = torch.tensor([[1.0], [-2.0]]), torch.tensor([[0.5], [0.0]]), torch.ones(2, 1)
    W_ih = torch.tensor([[0.6], [-0.2], [0.9], [0.3]])
    W_hh = torch.tensor([[0.4], [0.8], [-0.6], [1.0]])
    b_ih, b_hh = torch.tensor([0.1, 1.0, 0.0, -0.5]), torch.tensor([-0.3, 0.2, 0.4, 0.1])
    _case(answer, (x, h, c, W_ih, W_hh, b_ih, b_hh))


def step_square(answer: Answer, rng: torch.Generator) -> None:
    """equal sizes, where mixed-up weights raise no error."""
    _case(answer, inputs_of(rng, 3, 5, 5))


def step_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, I = 5, H = 7, and one row alone."""
    _case(answer, inputs_of(rng, 3, 5, 7))
    _case(answer, inputs_of(rng, 1, 5, 3))


def step_large(answer: Answer, rng: torch.Generator) -> None:
    """large sums open and close the gates, with no NaN."""
    x, *others = (v.float() for v in inputs_of(rng, 3, 2, 5))
    inputs = (x * 1000, *others)
    got, want = answer(*inputs), lstm_step(*inputs)
    if isinstance(got, (list, tuple)) and any(
        isinstance(v, Tensor) and bool(v.isnan().any()) for v in got
    ):
        raise Wrong(
            "exp overflows for a large sum, and infinity / infinity is NaN: use torch.sigmoid and "
            "torch.tanh"
        )
    expect(got, want, _WHAT)


def step_gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches all seven arguments."""
    inputs = inputs_of(rng, 2, 3, 5)
    got = answer.gradients(*inputs, wrt=range(7))["inputs"]
    want = reference_answer(lstm_step).gradients(*inputs, wrt=range(7))["inputs"]
    expect_gradients(got, want, ("x", "h", "c", "W_ih", "W_hh", "b_ih", "b_hh"))
