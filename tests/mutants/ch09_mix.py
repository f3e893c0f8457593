"""Answers to 09.2 distillation_loss as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from minidistill.distillation import soft_target_loss
from minidistill.teacher_forcing import token_loss
from tests.mutants import right, wrong

IGNORE = -100


def parts(student, teacher, targets, T):
    soft = soft_target_loss(student, teacher, targets != IGNORE, T)
    return soft, token_loss(student, targets)[0]


@wrong("09.2", "alpha stands at the wrong term")
def turned_round(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return (1 - alpha) * soft + alpha * hard


@wrong("09.2", "multiplied by T^2 as well")
def square_on_both(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + (1 - alpha) * hard * temperature**2


@wrong("09.2", "taken at temperature T")
def hard_softened(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    hard = token_loss(student_logits / temperature, targets)[0]
    return alpha * soft + (1 - alpha) * hard


@wrong("09.2", "not handed on")
def no_temperature(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, 1.0)
    return alpha * soft + (1 - alpha) * hard


@wrong("09.2", "counted in the soft loss")
def padding_in_the_soft(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft = soft_target_loss(student_logits, teacher_logits, None, temperature)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@wrong("09.2", "counted in the hard loss")
def padding_in_the_hard(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    hard = F.cross_entropy(student_logits.flatten(0, 1), targets.clamp(min=0).flatten())
    return alpha * soft + (1 - alpha) * hard


@wrong("09.2", "swapped in the soft loss")
def swapped(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft = soft_target_loss(teacher_logits, student_logits, targets != IGNORE, temperature)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@wrong("09.2", "T^2 is there twice")
def twice(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * temperature**2 * soft + (1 - alpha) * hard


@wrong("09.2", "added whole")
def hard_whole(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + hard


@wrong("09.2", "the loss and a count")
def with_count(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + (1 - alpha) * hard, int((targets != IGNORE).sum())


@wrong("09.2", "0 / 0")
def pytorchs_own_mean(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    hard = F.cross_entropy(student_logits.flatten(0, 1), targets.flatten())
    return alpha * soft + (1 - alpha) * hard


@wrong("09.2", "may not be used here")
def all_of_it_ready_made(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    from minidistill.distillation import distillation_loss

    return distillation_loss(student_logits, teacher_logits, targets, alpha, temperature)


@wrong("09.2", "a gradient reaches the teacher")
def teacher_learns(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    mask = targets != IGNORE
    log_p = (teacher_logits / temperature).log_softmax(-1)
    log_q = (student_logits / temperature).log_softmax(-1)
    cost = (log_p.exp() * (log_p - log_q)).sum(-1).masked_fill(~mask, 0.0)
    soft = temperature**2 * cost.sum() / mask.sum().clamp(min=1)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@right("09.2")
def as_taught(
    student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0, divergence=soft_target_loss
):
    mask = targets != IGNORE
    soft = divergence(student_logits, teacher_logits, mask=mask, temperature=temperature)
    return torch.lerp(token_loss(student_logits, targets)[0], soft, alpha)


@right("09.2")
def own_parts(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    real = targets != IGNORE
    s, t, y = student_logits[real], teacher_logits.detach()[real], targets[real]
    n = max(1, len(y))
    p = (t / temperature).softmax(-1)
    log_q = (s / temperature).log_softmax(-1)
    soft = temperature**2 * (torch.xlogy(p, p) - p * log_q).sum() / n
    hard = F.cross_entropy(s, y, reduction="sum") / n
    return alpha * soft + (1 - alpha) * hard


@right("09.2")
def one_target_row(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    """Soft loss from the given one, hard loss by hand."""
    real = targets != IGNORE
    soft = soft_target_loss(student_logits, teacher_logits, real, temperature)
    log_q = student_logits.log_softmax(-1)
    picked = log_q.gather(-1, targets.clamp(min=0)[..., None]).squeeze(-1)
    hard = -torch.where(real, picked, 0.0).sum() / real.sum().clamp(min=1)
    return hard + alpha * (soft - hard)
