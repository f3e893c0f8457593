"""Answers to 09.1 soft_target_loss as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from tests.mutants import right, wrong


def mean_of(values, mask):
    if mask is None:
        return values.mean()
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def both(student, teacher, T):
    """Log-probabilities of teacher and student."""
    return (teacher.detach() / T).log_softmax(-1), (student / T).log_softmax(-1)


def kl(log_p, log_q):
    p = log_p.exp()
    return (p * (log_p - log_q)).masked_fill(p == 0, 0.0)


@wrong("09.1", "mean over the vocabulary too")
def mean_reduction(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).mean(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "T^2 is missing")
def no_square(student_logits, teacher_logits, mask=None, temperature=1.0):
    return mean_of(kl(*both(student_logits, teacher_logits, temperature)).sum(-1), mask)


@wrong("09.1", "only the student is softened")
def student_softened(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p = teacher_logits.detach().log_softmax(-1)
    log_q = (student_logits / temperature).log_softmax(-1)
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "only the teacher is softened")
def teacher_softened(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p = (teacher_logits.detach() / temperature).log_softmax(-1)
    log_q = student_logits.log_softmax(-1)
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "in the other direction")
def reverse(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    return temperature**2 * mean_of(kl(log_q, log_p).sum(-1), mask)


@wrong("09.1", "in the other direction")
def swapped(teacher_logits, student_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "a gradient reaches the teacher")
def teacher_not_detached(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p = (teacher_logits / temperature).log_softmax(-1)
    log_q = (student_logits / temperature).log_softmax(-1)
    return temperature**2 * mean_of(kl(log_p, log_q).sum(-1), mask)


@wrong("09.1", "padding is averaged in")
def no_mask(student_logits, teacher_logits, mask=None, temperature=1.0):
    return temperature**2 * kl(*both(student_logits, teacher_logits, temperature)).sum(-1).mean()


@wrong("09.1", "divided by all places")
def all_places(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).sum(-1)
    if mask is not None:
        cost = cost * mask
    return temperature**2 * cost.mean()


@wrong("09.1", "each row is averaged first")
def mean_of_means(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).sum(-1)
    if mask is None:
        return temperature**2 * cost.mean()
    rows = cost.masked_fill(~mask, 0.0).sum(1) / mask.sum(1).clamp(min=1)
    return temperature**2 * rows.mean()


@wrong("09.1", "divided by the number of rows")
def batchmean(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).sum(-1)
    if mask is not None:
        cost = cost.masked_fill(~mask, 0.0)
    return temperature**2 * cost.sum() / len(student_logits)


@wrong("09.1", "one step")
def log_of_softmax(student_logits, teacher_logits, mask=None, temperature=1.0):
    p = (teacher_logits.detach() / temperature).softmax(-1)
    q = (student_logits / temperature).softmax(-1)
    cost = (p * (p.log() - q.log())).masked_fill(p == 0, 0.0).sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "exp of a large logit overflows")
def exp_by_hand(student_logits, teacher_logits, mask=None, temperature=1.0):
    p = (teacher_logits.detach() / temperature).exp()
    p = p / p.sum(-1, keepdim=True)
    q = (student_logits / temperature).exp()
    q = q / q.sum(-1, keepdim=True)
    cost = (p * (p.log() - q.log())).masked_fill(p == 0, 0.0).sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "probability 0 makes the loss NaN")
def zero_times_infinity(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    return temperature**2 * mean_of((log_p.exp() * (log_p - log_q)).sum(-1), mask)


@wrong("09.1", "the teacher's own entropy")
def cross_entropy_alone(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    return temperature**2 * mean_of(-(log_p.exp() * log_q).sum(-1), mask)


@wrong("09.1", "spoils the loss")
def times_mask(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).sum(-1)
    if mask is None:
        return temperature**2 * cost.mean()
    return temperature**2 * (cost * mask).sum() / mask.sum().clamp(min=1)


@wrong("09.1", "0 / 0")
def divided_by_nothing(student_logits, teacher_logits, mask=None, temperature=1.0):
    cost = kl(*both(student_logits, teacher_logits, temperature)).sum(-1)
    if mask is None:
        return temperature**2 * cost.mean()
    return temperature**2 * cost[mask].mean()


@wrong("09.1", "may not be used here")
def ready_made(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    cost = F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "may not be used here")
def ready_made_module(student_logits, teacher_logits, mask=None, temperature=1.0):
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    cost = nn.KLDivLoss(reduction="none", log_target=True)(log_q, log_p).sum(-1)
    return temperature**2 * mean_of(cost, mask)


@wrong("09.1", "two mistakes")
def mean_and_no_square(student_logits, teacher_logits, mask=None, temperature=1.0):
    return mean_of(kl(*both(student_logits, teacher_logits, temperature)).mean(-1), mask)


@right("09.1")
def cross_entropy_less_entropy(student_logits, teacher_logits, mask=None, temperature=1.0):
    if mask is not None:
        student_logits = student_logits.masked_fill(~mask[..., None], 0.0)
        teacher_logits = teacher_logits.masked_fill(~mask[..., None], 0.0)
    log_p, log_q = both(student_logits, teacher_logits, temperature)
    p = log_p.exp()
    own = torch.special.entr(p).sum(-1)
    cost = -torch.where(p > 0, p * log_q, 0.0).sum(-1) - own
    return mean_of(cost, mask) * temperature * temperature


@right("09.1")
def only_the_real(student_logits, teacher_logits, mask=None, temperature=1.0):
    if mask is not None:
        student_logits, teacher_logits = student_logits[mask], teacher_logits[mask]
    log_q = F.log_softmax(student_logits / temperature, dim=-1)
    with torch.no_grad():
        p = F.softmax(teacher_logits / temperature, dim=-1)
    cost = torch.xlogy(p, p) - torch.where(p > 0, p * log_q, torch.zeros_like(p))
    count = cost[..., 0].numel()
    return cost.sum() * temperature**2 / max(1, count)


@right("09.1")
def with_clamp(student_logits, teacher_logits, mask=None, temperature=1.0):
    if mask is None:
        mask = torch.ones(student_logits.shape[:-1], dtype=torch.bool)
    s = torch.where(mask[..., None], student_logits, 0.0) / temperature
    t = torch.where(mask[..., None], teacher_logits.detach(), 0.0) / temperature
    log_q = s - s.logsumexp(-1, keepdim=True)
    log_p = (t - t.logsumexp(-1, keepdim=True)).clamp(min=-1e30)
    cost = (log_p.exp() * (log_p - log_q)).sum(-1)
    return (temperature**2 * cost * mask).sum() / mask.sum().clamp(min=1)


@right("09.1")
def torch_cross_entropy(student_logits, teacher_logits, mask=None, temperature=1.0):
    V = student_logits.size(-1)
    s, t = (z.reshape(-1, V) / temperature for z in (student_logits, teacher_logits.detach()))
    if mask is not None:
        s, t = s[mask.flatten()], t[mask.flatten()]
    p = t.softmax(-1)
    cost = F.cross_entropy(s, p, reduction="sum") - torch.special.entr(p).sum()
    return temperature**2 * cost / max(1, len(s))
