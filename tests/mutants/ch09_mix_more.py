"""Further answers to 09.2 distillation_loss."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from minidistill.distillation import soft_target_loss
from minidistill.teacher_forcing import token_loss
from tests.mutants import right, wrong
from tests.mutants.ch09_mix import IGNORE, parts


@wrong("09.2", "the soft loss is detached")
def soft_held_fixed(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft.detach() + (1 - alpha) * hard


@wrong("09.2", "the hard loss is detached")
def hard_held_fixed(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + (1 - alpha) * hard.detach()


@wrong("09.2", "backward() stops with an error")
def new_zero(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    if (targets == IGNORE).all():
        return student_logits.new_zeros(())
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + (1 - alpha) * hard


@wrong("09.2", "asks whether a target is token 0")
def zero_is_padding(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft = soft_target_loss(student_logits, teacher_logits, targets != 0, temperature)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@wrong("09.2", "divided by T twice")
def softened_twice(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    s, t = student_logits / temperature, teacher_logits / temperature
    soft = soft_target_loss(s, t, targets != IGNORE, temperature)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@wrong("09.2", "once more")
def divided_by_the_count(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    hard, count = token_loss(student_logits, targets)
    return alpha * soft + (1 - alpha) * hard / max(count, 1)


@wrong("09.2", "the count stands where the hard loss should")
def the_other_one(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[1]


@wrong("09.2", "the weights are written into the code")
def nine_tenths(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return 0.9 * soft + 0.1 * hard


@wrong("09.2", "each row is averaged first")
def mean_of_means(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    cost = F.cross_entropy(student_logits.transpose(1, 2), targets, reduction="none")
    hard = (cost.sum(1) / (targets != IGNORE).sum(1).clamp(min=1)).mean()
    return alpha * soft + (1 - alpha) * hard


@wrong("09.2", "moved one place")
def next_of_the_next(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    hard = token_loss(student_logits[:, :-1], targets[:, 1:])[0]
    return alpha * soft + (1 - alpha) * hard


@wrong("09.2", "are softmaxed before the loss")
def probabilities_for_logits(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits.softmax(-1), teacher_logits.softmax(-1), targets, temperature)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@wrong("09.2", "without the teacher's own entropy")
def crossed(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    real = targets != IGNORE
    p = (teacher_logits.detach() / temperature).softmax(-1)
    cost = -(p * (student_logits / temperature).log_softmax(-1)).sum(-1)
    soft = temperature**2 * cost.masked_fill(~real, 0.0).sum() / real.sum().clamp(min=1)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@wrong("09.2", "the teacher's likeliest words")
def teachers_choice(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, _ = parts(student_logits, teacher_logits, targets, temperature)
    chosen = teacher_logits.argmax(-1).masked_fill(targets == IGNORE, IGNORE)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, chosen)[0]


@wrong("09.2", "the mixed loss and its parts")
def all_three(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + (1 - alpha) * hard, soft, hard


@right("09.2")
def one_part_at_the_ends(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    loss = torch.zeros((), dtype=student_logits.dtype)
    if alpha > 0:
        soft = soft_target_loss(student_logits, teacher_logits, targets >= 0, temperature)
        loss = loss + alpha * soft
    if alpha < 1:
        log_q = student_logits.log_softmax(-1)
        loss = loss + (1 - alpha) * token_loss(log_q, targets)[0]
    return loss


@wrong("09.2", "one place off")
def rows_of_the_word_before(student_logits, teacher_logits, targets, alpha=0.9, temperature=1.0):
    mask = targets[:, 1:] != IGNORE
    soft = soft_target_loss(student_logits[:, 1:], teacher_logits[:, :-1], mask, temperature)
    return alpha * soft + (1 - alpha) * token_loss(student_logits, targets)[0]


@wrong("09.2", "alpha and temperature have changed places")
def another_order(student_logits, teacher_logits, targets, temperature=1.0, alpha=0.9):
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}")
    soft, hard = parts(student_logits, teacher_logits, targets, temperature)
    return alpha * soft + (1 - alpha) * hard
