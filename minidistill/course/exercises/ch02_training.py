"""Chapter 02: cases for `mean_cross_entropy`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minidistill.course.answer import Answer, reference_answer
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises.ch02_loss_mistakes import IGNORE, mistakes
from minidistill.course.exercises.ch02_shared import compare, expect_gradients


def mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -ln softmax(logits)[target] over targets that are not -100; (B, T, V), (B, T)."""
    log_p = logits - logits.logsumexp(dim=-1, keepdim=True)
    real = targets != IGNORE
    chosen = log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -(chosen * real).sum() / real.sum().clamp(min=1)


def _inputs(rng: torch.Generator, B: int, T: int, V: int) -> tuple[Tensor, Tensor]:
    """Ragged rows with padding at the end; token 0 and the last token are among the targets."""
    logits = torch.randn(B, T, V, generator=rng, dtype=torch.float64) * 2
    targets = torch.randint(V, (B, T), generator=rng)
    targets[0, 0], targets[-1, 0] = 0, V - 1
    lengths = torch.randint(2, T, (B,), generator=rng)
    return logits, targets.masked_fill(torch.arange(T) >= lengths[:, None], IGNORE)


def _case(answer: Answer, logits: Tensor, targets: Tensor) -> None:
    rng = torch.Generator().manual_seed(7)
    probe = _inputs(rng, 5, 7, 3)
    if bool((targets != IGNORE).all()):
        probe = probe[0], torch.randint(3, (5, 7), generator=rng)
    compare(answer, mean_cross_entropy, (logits, targets), "the loss", mistakes, probe)


def loss_by_hand(answer: Answer, rng: torch.Generator) -> None:
    """equal logits over 4 tokens cost ln 4 = 1.3863."""
    first = [[2.0, 0.0, -1.0, 1.0], [0.5, 0.5, 3.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
    second = [[0.0, 1.5, 0.2, -0.3], [-1.0, 0.3, 0.7, 2.0], [0.4, 0.0, 0.9, 0.1]]
    _case(answer, torch.tensor([first, second]), torch.tensor([[0, 1, 2], [2, 3, 1]]))
    got, want = answer(torch.ones(1, 1, 4), torch.tensor([[2]])), torch.tensor(math.log(4))
    expect(got, want, "the loss of four equal logits")


def loss_uneven(answer: Answer, rng: torch.Generator) -> None:
    """B = 3, T = 5, V = 11, every target real."""
    logits = torch.randn(3, 5, 11, generator=rng, dtype=torch.float64) * 2
    _case(answer, logits, torch.randint(11, (3, 5), generator=rng))


def loss_ragged(answer: Answer, rng: torch.Generator) -> None:
    """targets of -100 do not count, wherever they stand."""
    logits, targets = _inputs(rng, 5, 7, 11)
    _case(answer, logits, targets)
    targets[2, 0] = targets[3, 1] = IGNORE
    targets[:, 4] = IGNORE
    _case(answer, logits, targets)


_OVERFLOW = (
    "exp of a large logit overflows: subtract the row's largest logit first "
    "(logits - logits.amax(-1, keepdim=True)); the softmax does not change"
)


def loss_extreme(answer: Answer, rng: torch.Generator) -> None:
    """logits of 10,000 and of -10,000 overflow nothing."""
    logits, targets = torch.randn(2, 3, 5, generator=rng), torch.randint(5, (2, 3), generator=rng)
    want = mean_cross_entropy(logits.double(), targets).float()
    for shift in (1e4, -1e4):
        _finite(answer(logits + shift, targets), _OVERFLOW)
        cut = {"large logits are cut off (clamp), and so made equal": torch.tensor(math.log(5))}
        expect(answer(logits + shift, targets), want, "the loss", cut, tolerance=1e-2)
    both = logits + torch.tensor([1e4, -1e4])[:, None, None]
    got = answer(both, targets)
    _finite(
        got,
        "the largest logit of the whole batch is subtracted, so exp gives 0 for a whole row: "
        "subtract each row's own, logits.amax(-1, keepdim=True)",
    )
    expect(got, want, "the loss", tolerance=1e-2)


def loss_hopeless(answer: Answer, rng: torch.Generator) -> None:
    """a hopeless guess costs all it should."""
    far = torch.zeros(1, 1, 3, dtype=torch.float64)
    far[0, 0, 0] = 2000.0
    _finite(answer(far, torch.tensor([[0]])), _OVERFLOW)
    got = answer(far, torch.tensor([[1]]))
    _finite(
        got,
        "the probability is so small that it becomes 0, and ln 0 is minus infinity: do not take "
        "the logarithm of the softmax, compute z - ln(sum of exp(z)) for the shifted logits z",
    )
    value = float(got) if isinstance(got, (int, float, Tensor)) else 2000.0
    if value < 1990:
        raise Wrong(
            f"a guess that should cost 2000 nats costs {value:.5g}: a small number is added to "
            "the probability, or it is cut off; nothing of the kind is needed"
        )
    expect(got, torch.tensor(2000.0), "the loss of a hopeless guess", tolerance=1e-4)


def _finite(got: object, sentence: str) -> None:
    if isinstance(got, (float, Tensor)) and not bool(torch.as_tensor(got).isfinite().all()):
        raise Wrong(sentence)


def loss_gradient(answer: Answer, rng: torch.Generator) -> None:
    """its gradient is softmax minus one-hot, over the number of real targets."""
    logits, targets = _inputs(rng, 3, 5, 7)
    got = answer.gradients(logits, targets, wrt=(0,))["inputs"]
    want = reference_answer(mean_cross_entropy).gradients(logits, targets, wrt=(0,))["inputs"]
    real = (targets != IGNORE)[..., None]
    hot = torch.zeros_like(logits).scatter(-1, targets.clamp(min=0)[..., None], 1.0)
    # The desk multiplies the loss by a fixed weight, so the factor is taken from the right one.
    factor = want[0][0, 0, 1] / logits.softmax(-1)[0, 0, 1]
    known = [
        (
            "the normalisation is detached: ln(sum of exp(z)) has a gradient, too",
            [-hot * real * factor],
        ),
        (
            "the target's own logit is detached: it has a gradient, too",
            [logits.softmax(-1) * real * factor],
        ),
    ]
    expect_gradients(got, want, ["the logits"], known)
