"""Chapter 05: the cases of token_loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.diagnosis import compare, expect_no_memory
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_shared import expect_gradients
from minidistill.course.exercises.ch05_loss_mistakes import IGNORE
from minidistill.course.exercises.ch05_loss_more import MISTAKES, PAIRS
from minidistill.teacher_forcing import token_loss

_WHAT = "(the loss, the count)"
_RNG = torch.Generator().manual_seed(7)


def _inputs(rng: torch.Generator, B: int, T: int, V: int) -> tuple[Tensor, Tensor]:
    """Ragged targets with padding at the end; the first and the last token are among them."""
    logits = torch.randn(B, T, V, generator=rng) * 2
    targets = torch.randint(V, (B, T), generator=rng)
    targets[0, 0], targets[-1, 0], targets[0, 1] = 0, V - 1, 0
    lengths = torch.randint(1, T, (B,), generator=rng)
    lengths[0], lengths[-1] = T - 1, 2
    return logits, targets.masked_fill(torch.arange(T) >= lengths[:, None], IGNORE)


PROBES = (_inputs(_RNG, 5, 7, 3), _inputs(_RNG, 4, 6, 11), _inputs(_RNG, 3, 8, 5))
"""Ordinary inputs on which a mistake must show itself too before it is named."""


def _case(answer: Answer, logits: Tensor, targets: Tensor) -> None:
    got = compare(
        answer,
        token_loss,
        (logits, targets),
        _WHAT,
        mistakes=(*MISTAKES, *PAIRS),
        probes=PROBES,
    )
    if isinstance(got[0], Tensor):
        return
    kind = type(got[0]).__name__
    if bool((targets != IGNORE).any()):
        raise Wrong(
            f"the loss is right, but it is a {kind}: .item(), float() and .tolist() take it out "
            "of torch, so no gradient reaches the inputs. Return the tensor"
        )
    raise Wrong(
        f"with no real target the loss is a {kind}: it must be a tensor there too, for what comes "
        "after calls loss.backward() and loss.item()"
    )


def by_hand(answer: Answer, rng: torch.Generator) -> None:
    """equal logits over 4 tokens cost ln 4 = 1.3863, whatever the target; three are real."""
    first = [[2.0, 0.0, -1.0, 1.0], [0.5, 0.5, 3.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    second = [[0.0, 1.5, 0.2, -0.3], [-1.0, 0.3, 0.7, 2.0], [0.4, 0.0, 0.9, 0.1]]
    targets = torch.tensor([[0, 1, 2], [2, IGNORE, IGNORE]])
    logits = torch.tensor([first, second])
    args, other = (logits, targets), (logits[:1], targets[:1])
    expect_no_memory(answer, args, other, token_loss(*args), "the loss")
    _case(answer, logits, targets)
    expect(
        answer(torch.ones(2, 2, 4), torch.tensor([[2, 1], [0, IGNORE]])),
        (torch.tensor(math.log(4)), 3),
        _WHAT,
    )


def uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, T = 5, V = 11, every target real."""
    logits = torch.randn(3, 5, 11, generator=rng) * 2
    _case(answer, logits, torch.randint(11, (3, 5), generator=rng))


def ragged(answer: Answer, rng: torch.Generator) -> None:
    """ragged rows: every real token weighs the same, in a short row as in a long one."""
    _case(answer, *_inputs(rng, 5, 7, 11))
    _case(answer, *_inputs(rng, 3, 13, 5))


def anywhere(answer: Answer, rng: torch.Generator) -> None:
    """targets of -100 do not count, wherever they stand; a whole row may be nothing else."""
    logits, targets = _inputs(rng, 5, 7, 11)
    targets[2, 0] = targets[0, 2] = IGNORE
    _case(answer, logits, targets)
    targets[3] = IGNORE
    _case(answer, logits, targets)


def any_id(answer: Answer, rng: torch.Generator) -> None:
    """every id from 0 on is a token: V = 37, and each of the 37 is a target once."""
    logits = torch.randn(3, 13, 37, generator=rng)
    targets = torch.cat([torch.randperm(37, generator=rng), torch.tensor([IGNORE, IGNORE])])
    _case(answer, logits, targets.view(3, 13))


def nothing(answer: Answer, rng: torch.Generator) -> None:
    """no real target at all: the loss is 0, and so is the count."""
    logits, targets = torch.randn(2, 3, 5, generator=rng), torch.full((2, 3), IGNORE)
    got = answer(logits, targets)
    if _any(got, Tensor.isnan):
        raise Wrong(
            "with no real target the loss is 0 / 0, which is NaN and spoils every weight: divide "
            "by max(1, count)"
        )
    _case(answer, logits, targets)


def _any(got: Any, strange: Callable[[Tensor], Tensor]) -> bool:
    """Whether the loss is a tensor and strange in some place."""
    loss = got[0] if isinstance(got, (list, tuple)) and got else None
    return isinstance(loss, Tensor) and bool(strange(loss).any())


def extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 10,000, and tokens of which the model is sure."""
    logits, targets = _inputs(rng, 3, 5, 7)
    got = answer(logits + 1e4, targets)
    if _any(got, lambda loss: ~loss.isfinite()):
        raise Wrong(
            "exp of a large logit overflows: take the logarithm and the softmax in one step "
            "(log_softmax)"
        )
    expect(got, token_loss(logits, targets), _WHAT, tolerance=1e-2)
    got = answer(logits * 60, targets)
    if _any(got, lambda loss: ~loss.isfinite()):
        raise Wrong(
            "the softmax of a very unlikely token is 0 in the computer, and the logarithm of 0 is "
            "infinite: take the logarithm and the softmax in one step (log_softmax)"
        )
    _case(answer, logits * 60, targets)


def at_padding(answer: Answer, rng: torch.Generator) -> None:
    """at padding the logits may be minus infinity, some or all of them."""
    for tokens in (slice(1, None), slice(0, 1), slice(None)):
        logits, targets = _inputs(rng, 3, 5, 7)
        logits[:, -1, tokens], targets[:, -1] = -torch.inf, IGNORE
        if _any(answer(logits, targets), Tensor.isnan):
            raise Wrong(
                "at a padded place the logits may be anything, -inf too, and -inf times 0 is NaN: "
                "leave such places out (masked_fill, or an index), do not multiply them by 0"
            )
        _case(answer, logits, targets)


def precise(answer: Answer, rng: torch.Generator) -> None:
    """logits in float64 give a loss with all its digits."""
    logits, targets = _inputs(rng, 3, 5, 7)
    want = token_loss(logits.double(), targets)
    expect(answer(logits.double(), targets), want, _WHAT, tolerance=1e-9)


def gradients(answer: Answer, rng: torch.Generator) -> None:
    """the gradient reaches the logits of real tokens, and is 0 at padding."""
    logits, targets = _inputs(rng, 3, 5, 7)
    got = answer.gradients(logits, targets, wrt=(0,))["inputs"]
    want = reference_answer(token_loss).gradients(logits, targets, wrt=(0,))["inputs"]
    expect_gradients(got, want, ("the logits",))
