"""Answers to 09.3 logit_loss as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def mean_of(values, mask):
    if mask is None:
        return values.mean()
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def without_padding(z, mask):
    return z if mask is None else z.masked_fill(~mask[..., None], 0.0)


def centre(z, dim=-1):
    return z - z.mean(dim, keepdim=True)


@wrong("09.3", "centred is not used")
def never_centred(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    return mean_of((student_logits - teacher_logits.detach()).square().sum(-1), mask)


@wrong("09.3", "though centred is False")
def always_centred(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = centre(student_logits) - centre(teacher_logits.detach())
    return mean_of(apart.square().sum(-1), mask)


@wrong("09.3", "the mean over the text is subtracted")
def over_the_text(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = student_logits, teacher_logits.detach()
    if centred:
        student, teacher = centre(student, -2), centre(teacher, -2)
    return mean_of((student - teacher).square().sum(-1), mask)


@wrong("09.3", "one mean of the whole tensor")
def over_everything(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = student_logits, teacher_logits.detach()
    if centred:
        student, teacher = student - student.mean(), teacher - teacher.mean()
    return mean_of((student - teacher).square().sum(-1), mask)


@wrong("09.3", "only the student is centred")
def one_side(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student = centre(student_logits) if centred else student_logits
    return mean_of((student - teacher_logits.detach()).square().sum(-1), mask)


@wrong("09.3", "mean over the vocabulary")
def mean_of_squares(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = student_logits - teacher_logits.detach()
    apart = centre(apart) if centred else apart
    return mean_of(apart.square().mean(-1), mask)


@wrong("09.3", "without the root")
def rooted(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = student_logits - teacher_logits.detach()
    apart = centre(apart) if centred else apart
    return mean_of(apart.norm(dim=-1), mask)


@wrong("09.3", "probabilities are compared")
def probabilities(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = student_logits.softmax(-1) - teacher_logits.detach().softmax(-1)
    return mean_of(apart.square().sum(-1), mask)


@wrong("09.3", "the temperature is used")
def softened(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = (student_logits - teacher_logits.detach()) / temperature
    apart = centre(apart) if centred else apart
    return mean_of(apart.square().sum(-1), mask)


@wrong("09.3", "divided by all places")
def all_places(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = student_logits - teacher_logits.detach()
    apart = centre(apart) if centred else apart
    values = apart.square().sum(-1)
    return (values if mask is None else values.masked_fill(~mask, 0.0)).mean()


@wrong("09.3", "a gradient reaches the teacher")
def teacher_learns(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = student_logits - teacher_logits
    apart = centre(apart) if centred else apart
    return mean_of(apart.square().sum(-1), mask)


@wrong("09.3", "spoils the loss")
def times_mask(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = student_logits - teacher_logits.detach()
    apart = centre(apart) if centred else apart
    values = apart.square().sum(-1)
    return values.mean() if mask is None else (values * mask).sum() / mask.sum().clamp(min=1)


@wrong("09.3", "may not be used here")
def ready_made(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = F.mse_loss(student_logits, teacher_logits.detach(), reduction="none")
    return mean_of(apart.sum(-1), mask)


@right("09.3")
def by_norm(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    apart = student_logits - teacher_logits.detach()
    if mask is not None:
        apart = apart[mask]
    if centred:
        apart = apart - apart.mean(-1, keepdim=True)
    return torch.einsum("...v,...v->", apart, apart) / max(1, apart[..., 0].numel())


@right("09.3")
def by_variance(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    """The sum of squares less V times the squared mean is the centred one."""
    apart = student_logits - without_padding(teacher_logits.detach(), mask)
    values = (apart**2).sum(-1)
    if centred:
        values = values - apart.size(-1) * apart.mean(-1) ** 2
    return mean_of(values, mask)


@right("09.3")
def centred_first(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    pair = [student_logits, without_padding(teacher_logits.detach(), mask)]
    if centred:
        pair = [centre(z) for z in pair]
    return mean_of(torch.pow(pair[1] - pair[0], 2).sum(dim=-1), mask)
