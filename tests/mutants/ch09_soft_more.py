"""Further answers to 09.1 soft_target_loss: gradients, small numbers, other divergences."""

from __future__ import annotations

import math

import torch

from tests.mutants import right, wrong
from tests.mutants.ch09_soft import both, kl, mean_of


def real_logits(student, teacher, mask):
    """Logits with 0 at padding, the teacher's detached."""
    teacher = teacher.detach()
    if mask is None:
        return student, teacher
    return tuple(z.masked_fill(~mask[..., None], 0.0) for z in (student, teacher))


@wrong("09.1", "NaN at padding reaches the gradient")
def only_the_loss_is_masked(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "NaN at padding reaches the gradient")
def logits_times_mask(student_logits, teacher_logits, mask=None, temperature=1.0):
    if mask is not None:
        student_logits = student_logits * mask[..., None]
    cost = kl(*both(student_logits, teacher_logits, temperature))
    cost = cost if mask is None else cost.masked_fill(~mask[..., None], 0.0)
    return temperature**2 * mean_of(cost.sum(-1), mask)


@wrong("09.1", "backward() stops with an error")
def new_zero_where_nothing_is_real(student_logits, teacher_logits, mask=None, temperature=1.0):
    if mask is not None and not mask.any():
        return torch.tensor(0.0)
    log_p, log_q = both(*real_logits(student_logits, teacher_logits, mask), temperature)
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "no probability has changed")
def teacher_cut_off(student_logits, teacher_logits, mask=None, temperature=1.0):
    student, teacher = real_logits(student_logits, teacher_logits, mask)
    log_p, log_q = both(student, teacher.clamp(min=-30.0), temperature)
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "a small number is added")
def small_number_in_the_logarithm(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, _ = both(student_logits, teacher_logits, temperature)
    log_q = ((student_logits / temperature).softmax(-1) + 1e-8).log()
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "cut off below")
def probabilities_cut_off(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, _ = both(student_logits, teacher_logits, temperature)
    log_q = (student_logits / temperature).softmax(-1).clamp(min=1e-12).log()
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "the mask is turned round")
def real_tokens_left_out(student_logits, teacher_logits, mask=None, temperature=1.0):
    student, teacher = real_logits(student_logits, teacher_logits, mask)
    cost = kl(*both(student, teacher, temperature)).sum(-1)
    return temperature**2 * mean_of(cost, None if mask is None else ~mask)


@wrong("09.1", "over the tokens of the text")
def along_the_text(student_logits, teacher_logits, mask=None, temperature=1.0):
    student, teacher = real_logits(student_logits, teacher_logits, mask)
    log_p, log_q = (teacher / temperature).log_softmax(-2), (student / temperature).log_softmax(-2)
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "the logits are subtracted")
def difference_of_logits(student_logits, teacher_logits, mask=None, temperature=1.0):
    student, teacher = real_logits(student_logits, teacher_logits, mask)
    p = (teacher / temperature).softmax(-1)
    return temperature**2 * mean_of((p * (teacher - student) / temperature).sum(-1), mask)


@wrong("09.1", "the log-probabilities are divided by T")
def softened_too_late(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, 1.0)
    cost = kl(log_p / temperature, log_q / temperature).sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "Jensen-Shannon")
def against_the_mean_row(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    middle = torch.logaddexp(log_p, log_q) - math.log(2)
    cost = (kl(log_p, middle) + kl(log_q, middle)).sum(-1) / 2
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "both directions are averaged")
def symmetric(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    cost = (kl(log_p, log_q) + kl(log_q, log_p)).sum(-1) / 2
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "lose their sign")
def absolute(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).abs().sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "by T squared")
def times_two(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).sum(-1)
    return temperature * 2 * mean_of(cost, mask)


@wrong("09.1", "two mistakes")
def batchmean_of_the_cross_entropy(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    cost = -(log_p.exp() * log_q).sum(-1)
    cost = cost if mask is None else cost.masked_fill(~mask, 0.0)
    return temperature**2 * cost.sum() / len(cost)


@right("09.1")
def token_by_token(student_logits, teacher_logits, mask=None, temperature=1.0):
    V = student_logits.size(-1)
    students, teachers = student_logits.reshape(-1, V), teacher_logits.detach().reshape(-1, V)
    real = [True] * len(students) if mask is None else mask.flatten().tolist()
    total, count = 0 * students[:, :0].sum(), 0
    for s, t, counts in zip(students, teachers, real, strict=True):
        if not counts:
            continue
        log_q, log_p = (s / temperature).log_softmax(0), (t / temperature).log_softmax(0)
        possible = log_p.isfinite()
        total = total + (log_p[possible].exp() * (log_p - log_q)[possible]).sum()
        count += 1
    return temperature**2 * total / max(1, count)


@right("09.1")
def mean_of_a_selection(student_logits, teacher_logits, mask=None, temperature=1.0):
    """The mean of nothing is NaN, but no gradient comes from it."""
    student, teacher = real_logits(student_logits, teacher_logits, mask)
    cost = kl(*both(student, teacher, temperature)).sum(-1)
    return temperature**2 * (cost.mean() if mask is None else torch.nan_to_num(cost[mask].mean()))


@wrong("09.1", "keep the order of the arguments")
def another_order(student_logits, teacher_logits, temperature=1.0, mask=None):
    student, teacher = real_logits(student_logits, teacher_logits, mask)
    return temperature**2 * mean_of(kl(*both(student, teacher, temperature)).sum(-1), mask)
