"""Chapter 08: the cases of sampled_logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, agrees, expect
from minidistill.course.exercises.ch02_shared import expect_gradients, keeps_type
from minidistill.course.exercises.ch08_logits_mistakes import MISTAKES, PAIRS, build, left_out, seen
from minidistill.course.exercises.ch08_more import LOGITS, detached
from minidistill.sampled_softmax import sampled_logits

_KNOWN = (*MISTAKES, *LOGITS, *PAIRS)
_WHAT = "the logits"
_NAMES = ("hidden", "the weight", "the bias")


def inputs(
    rng: torch.Generator, N: int, H: int, V: int, S: int, hits: bool = True
) -> tuple[Any, ...]:
    """All that the exercise is about; with `hits` some of the targets were drawn, not all."""
    hidden, weight, bias = (
        torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((N, H), (V, H), (V,))
    )
    q = torch.rand(V, generator=rng, dtype=torch.float64) * 0.9 + 0.05
    order = torch.randperm(V, generator=rng)
    drawn, rest = order[:S], order[S:]
    targets = rest[torch.randint(len(rest), (N,), generator=rng)]
    if hits:
        targets[0], targets[-1], targets[N // 2] = drawn[S // 2], drawn[0], drawn[S // 2]
    return hidden, weight, bias, targets, drawn, q[targets].log(), q[drawn].log()


def _no_bias(hidden: Tensor, weight: Tensor, bias: Tensor, *rest: Tensor) -> tuple[Any, ...]:
    return hidden, weight, None, *rest


_RNG = torch.Generator().manual_seed(8)
PROBES = (
    inputs(_RNG, 5, 3, 23, 7),
    inputs(_RNG, 7, 5, 31, 11),
    _no_bias(*inputs(_RNG, 11, 2, 17, 5)),
)
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _seen(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: seen(function(*args), args)


def _case(answer: Answer, *args: Any, tolerance: float = 1e-5) -> None:
    want = sampled_logits(*args)
    got = compare(
        _seen(answer),
        _seen(sampled_logits),
        args,
        _WHAT,
        mistakes=_KNOWN,
        probes=PROBES,
        describe=lambda got, want: _at_hits(got, want, args),
        tolerance=tolerance,
    )
    keeps_type(got, want, _WHAT)


def _at_hits(got: Any, want: Tensor, args: tuple[Any, ...]) -> str | None:
    """What to say where all is right but the logits of hits."""
    if not isinstance(got, Tensor) or got.shape != want.shape:
        return None
    hits = torch.zeros_like(want, dtype=torch.bool)
    hits[:, 1:] = left_out(args[3], args[4], args[6])
    if not agrees(got.masked_fill(hits, 0.0), want.masked_fill(hits, 0.0)):
        return None
    kept = build({"remove": lambda own, others, _: (own, others)})(*args)
    if agrees(got[hits].max(), kept[hits & (got > -math.inf)].max()) and not agrees(got, kept):
        return (
            "not all accidental hits are removed: the classes drawn may come in any order, several "
            "tokens may have the same target, and each token has its own place to look for"
        )
    value = float(got[hits].max())
    if value != value:
        return (
            "where a class drawn is the target itself stands NaN: infinity times 0 is NaN, so "
            "choose (masked_fill, torch.where), do not multiply"
        )
    if value == 0:
        return (
            "a hit gets the logit 0, which is one like others (exp(0) = 1): -inf, so that e to it "
            "is 0"
        )
    return (
        f"where a class drawn is the target itself, or a slot is empty, stands {value:.5g}: all "
        "other logits may be as low, so let it be -inf (-math.inf), and e to it 0"
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """h . w + c is 5 for the target, 1 and 3 for two others; Q = 1/2, 1/4 and 1/8."""
    hidden = torch.tensor([[1.0, 2.0]])
    weight = torch.tensor([[1.0, 0.0], [2.0, 1.0], [1.0, 1.5], [3.0, 1.0]])
    bias = torch.tensor([0.0, 1.0, -1.0, 7.0])
    q_t, q_d = torch.tensor([0.5]).log(), torch.tensor([0.25, 0.125]).log()
    args = (hidden, weight, bias, torch.tensor([1]), torch.tensor([0, 2]), q_t, q_d)
    ln2 = math.log(2)
    want = torch.tensor([[5 + ln2, 1 + 2 * ln2, 3 + 3 * ln2]])
    expect(sampled_logits(*args), want, "the reference")
    other = (2 * hidden, *args[1:])
    expect_no_memory(_seen(answer), args, other, want, _WHAT)
    _case(answer, *args)


def no_hits(answer: Answer, rng: torch.Generator) -> None:
    """no target was drawn: N = 5, S = 7, V = 23, H = 3."""
    _case(answer, *inputs(rng, 5, 3, 23, 7, hits=False))


def with_hits(answer: Answer, rng: torch.Generator) -> None:
    """some targets were drawn, one of them for two tokens."""
    _case(answer, *inputs(rng, 5, 3, 23, 7))
    _case(answer, *inputs(rng, 13, 5, 29, 3))


def square(answer: Answer, rng: torch.Generator) -> None:
    """N = S = H, where mixed-up dimensions raise no error."""
    _case(answer, *inputs(rng, 5, 5, 17, 5))


def without_bias(answer: Answer, rng: torch.Generator) -> None:
    """the bias is None."""
    hidden, weight, _, *rest = inputs(rng, 5, 3, 23, 7)
    try:
        answer(hidden, weight, None, *rest)
    except Wrong as wrong:
        if "None" not in str(wrong):
            raise
        raise Wrong(
            "the bias is None here, which means that there is none: ask `if bias is not None` "
            f"before you use it ({wrong})"
        ) from None
    _case(answer, hidden, weight, None, *rest)


def every_class(answer: Answer, rng: torch.Generator) -> None:
    """S = V: all classes were drawn, Q = 1, and the softmax is the full one."""
    hidden, weight, bias, targets, *_ = inputs(rng, 5, 3, 11, 7)
    V = len(weight)
    for drawn in (torch.arange(V), torch.randperm(V, generator=rng)):
        certain = hidden.new_zeros(5), hidden.new_zeros(V)
        _case(answer, hidden, weight, bias, targets, drawn, *certain)


def narrow(answer: Answer, rng: torch.Generator) -> None:
    """a single class drawn, which is the target of all tokens; and a single token."""
    hidden, weight, bias, _, drawn, _, q_d = inputs(rng, 5, 3, 11, 1)
    _case(answer, hidden, weight, bias, drawn.expand(5).clone(), drawn, q_d.expand(5).clone(), q_d)
    _case(answer, *inputs(rng, 1, 3, 11, 5))


def empty_slots(answer: Answer, rng: torch.Generator) -> None:
    """slots that stayed empty repeat an id with ln Q = inf, and add nothing."""
    hidden, weight, bias, targets, drawn, q_t, q_d = inputs(rng, 5, 3, 23, 7)
    drawn[-2:], q_d[-2:] = drawn[-3], math.inf
    _case(answer, hidden, weight, bias, targets, drawn, q_t, q_d)


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 30,000 and of -30,000, and classes so rare that ln Q is -40."""
    hidden, weight, bias, targets, drawn, q_t, q_d = inputs(rng, 5, 3, 23, 7)
    for shift in (3e4, -3e4):
        _case(answer, hidden, weight, bias + shift, targets, drawn, q_t, q_d)
    _case(answer, hidden, weight, bias, targets, drawn, q_t - 40, q_d - 40)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradients reach hidden, weight and bias, with the right values."""
    args = inputs(rng, 5, 3, 23, 7, hits=False)
    got = answer.gradients(*args, wrt=(0, 1, 2))["inputs"]
    want = reference_answer(sampled_logits).gradients(*args, wrt=(0, 1, 2))["inputs"]
    expect_gradients(got, want, _NAMES, detached(args))
    hits = inputs(rng, 5, 3, 23, 7)
    for found, name in zip(answer.gradients(*hits, wrt=(0, 1, 2))["inputs"], _NAMES, strict=True):
        if bool(found.isnan().any()):
            raise Wrong(
                f"where a target was drawn the gradient of {name} is NaN, though the logits are "
                "right: choose (masked_fill, torch.where), do not multiply by 0 or infinity"
            )


def precise(answer: Answer, rng: torch.Generator) -> None:
    """in float64 all digits are right."""
    _case(answer, *inputs(rng, 5, 3, 23, 7), tolerance=1e-10)
