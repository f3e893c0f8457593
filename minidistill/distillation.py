"""Distillation losses: how far the student's probabilities are from the teacher's.

One row of targets says that the next word was "river". A teacher says more: "river" 0.4, "bank"
0.2, "water" 0.1, and next to nothing for "although". The student learns from the whole row.

All losses here take logits (..., V) of student and teacher and a mask (...) of the real tokens;
they sum over the vocabulary, average over the real tokens, and are 0 where nothing is real.
No gradient flows to the teacher.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from minidistill.batches import IGNORE
from minidistill.teacher_forcing import token_loss

Divergence = Callable[..., Tensor]
"""(student_logits, teacher_logits, mask, temperature) -> loss, such as `soft_target_loss`."""


def soft_target_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Forward KL divergence from the teacher to the student, with softened probabilities, nats.

        p = softmax(z_teacher / T),   q = softmax(z_student / T)
        L = T^2 1/N sum over real tokens of sum_v p_v (ln p_v - ln q_v)

    The student is charged wherever the teacher puts probability, so it learns to cover all of
    it. T^2 undoes the 1/T^2 by which softening shrinks the gradient, so that one weight `alpha`
    serves for every temperature.

    Args:
        student_logits, teacher_logits: (..., V).
        mask: (...), True where a token is real; None: all are.
        temperature: T > 0; larger is softer.

    Raises:
        ValueError: shapes that differ, a mask of another shape, a temperature not above 0.

    Source: Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    log_p, log_q = _log_probabilities(student_logits, teacher_logits, mask, temperature)
    return temperature**2 * masked_mean(_kl(log_p, log_q), mask)


def reverse_kl_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Reverse KL divergence, from the student to the teacher.

        L = T^2 1/N sum over real tokens of sum_v q_v (ln q_v - ln p_v)

    The student is charged for what it puts where the teacher has little, and not for what it
    leaves out: a small student keeps to what it can say well. Arguments as `soft_target_loss`.

    Source: Gu et al., MiniLLM: knowledge distillation of large language models, 2023.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    log_p, log_q = _log_probabilities(student_logits, teacher_logits, mask, temperature)
    return temperature**2 * masked_mean(_kl(log_q, log_p), mask)


def jensen_shannon_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    beta: float = 0.5,
) -> Tensor:
    """Generalised Jensen-Shannon divergence: between forward KL and reverse KL, and bounded.

        m = beta p + (1 - beta) q
        L = T^2 1/N sum over real tokens of beta KL(p || m) + (1 - beta) KL(q || m)

    Divided by beta it tends to the forward KL as beta tends to 0; divided by 1 - beta, to the
    reverse KL as beta tends to 1. Other arguments as `soft_target_loss`.

    Args:
        beta: between 0 and 1, both excluded.

    Source: Agarwal et al., On-policy distillation of language models (GKD), 2023.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    if not 0 < beta < 1:
        raise ValueError(f"beta is {beta}, but must lie between 0 and 1, both excluded")
    log_p, log_q = _log_probabilities(student_logits, teacher_logits, mask, temperature)
    weight = log_p.new_tensor(beta)
    log_m = torch.logaddexp(log_p + weight.log(), log_q + (1 - weight).log())
    value = beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m)
    return temperature**2 * masked_mean(value, mask)


def logit_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    centred: bool = False,
) -> Tensor:
    """Squared distance of the logits themselves.

        L = 1/N sum over real tokens of ||f_S - f_T||^2

    Adding one number to all logits of a token changes no probability, but it does change this
    loss; `centred` subtracts each row's mean first, which cures that. 1 / (2 V) times the
    centred loss is what `soft_target_loss` tends to as its temperature grows (Hinton, 2015).
    Has no temperature: the argument is there so that it can stand where a divergence stands.

    Source: Ba and Caruana, Do deep nets really need to be deep?, 2014.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    student, teacher = _exact(student_logits, teacher_logits, mask, temperature)
    if centred:
        student = student - student.mean(-1, keepdim=True)
        teacher = teacher - teacher.mean(-1, keepdim=True)
    return masked_mean((student - teacher).square().sum(-1), mask)


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    alpha: float = 0.9,
    temperature: float = 1.0,
    divergence: Divergence = soft_target_loss,
) -> Tensor:
    """The teacher's row and the text's own word, mixed.

        L = alpha soft + (1 - alpha) hard,   hard = -1/N sum over real tokens of ln q_target

    The hard loss is `token_loss`, at temperature 1, as the student will be used.

    Args:
        student_logits, teacher_logits: (B, T, V).
        targets: (B, T) ids, IGNORE (-100) where nothing stands.
        alpha: between 0 (the text alone) and 1 (the teacher alone).
        divergence: `soft_target_loss` or another of this file.

    Raises:
        ValueError: alpha outside 0 to 1; and what the divergence refuses.

    Source: Hinton, Vinyals and Dean, 2015.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, but is a share between 0 and 1")
    mask = targets != IGNORE
    soft = divergence(student_logits, teacher_logits, mask=mask, temperature=temperature)
    # What stands at padding may be NaN, and 0 times that would reach the gradient.
    student_logits = student_logits.masked_fill(~mask[..., None], 0.0)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the real entries; 0 where none is, in the gradient too."""
    if mask is None:
        return values.mean()
    # Not values * mask: what stands at padding may be NaN, and 0 * NaN is NaN.
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q), one number for each row."""
    p = log_p.exp()
    # p (ln p - ln q) tends to 0 as p does, but computed with ln 0 it is NaN.
    return (p * (log_p - log_q)).masked_fill(p == 0, 0.0).sum(-1)


def _log_probabilities(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor]:
    """Softened log-probabilities of teacher and student."""
    student, teacher = _exact(student_logits, teacher_logits, mask, temperature)
    return (teacher / temperature).log_softmax(-1), (student / temperature).log_softmax(-1)


def _exact(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor]:
    """Logits of student and teacher in float32 at least, 0 at padding."""
    _check(student_logits, teacher_logits, mask, temperature)
    exact = torch.promote_types(student_logits.dtype, torch.float32)
    student, teacher = student_logits.to(exact), teacher_logits.detach().to(exact)
    if mask is not None:  # what stands there may be infinite, and would reach the gradient
        student = student.masked_fill(~mask[..., None], 0.0)
        teacher = teacher.masked_fill(~mask[..., None], 0.0)
    return student, teacher


def _check(student: Tensor, teacher: Tensor, mask: Tensor | None, temperature: float) -> None:
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student's logits are {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)}: both read the same tokens in one vocabulary"
        )
    if mask is not None and (mask.shape != student.shape[:-1] or mask.dtype != torch.bool):
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but the logits are "
            f"{tuple(student.shape)}: one True or False per token"
        )
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, but must be above 0")


DIVERGENCES: dict[str, Divergence] = {
    "forward": soft_target_loss,
    "reverse": reverse_kl_loss,
    "jensen-shannon": jensen_shannon_loss,
    "logits": logit_loss,
}
"""Names of the divergences, for `distill`."""


def divergence_named(name: str) -> Divergence:
    """Return a divergence of DIVERGENCES, or ValueError with the names that there are."""
    if name not in DIVERGENCES:
        raise ValueError(f"divergence is one of {', '.join(DIVERGENCES)}, not {name!r}")
    return DIVERGENCES[name]


__all__ = [
    "DIVERGENCES",
    "distillation_loss",
    "divergence_named",
    "jensen_shannon_loss",
    "logit_loss",
    "masked_mean",
    "reverse_kl_loss",
    "soft_target_loss",
]
