"""Further answers to 09.3 logit_loss."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong
from tests.mutants.ch09_logits import centre, mean_of, without_padding


def clean(student, teacher, mask):
    """Logits with 0 at padding, the teacher's detached."""
    return without_padding(student, mask), without_padding(teacher.detach(), mask)


def squares(student, teacher, centred):
    apart = student - teacher
    apart = centre(apart) if centred else apart
    return apart.square().sum(-1)


@wrong("09.3", "NaN at padding reaches the gradient")
def masked_at_the_end(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    return mean_of(squares(student_logits, teacher_logits.detach(), centred), mask)


@wrong("09.3", "backward() stops with an error")
def zero_made_anew(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    if mask is not None and mask.sum() == 0:
        return student_logits.new_zeros(())
    return mean_of(squares(*clean(student_logits, teacher_logits, mask), centred), mask)


@wrong("09.3", "few digits")
def in_single(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = clean(student_logits.float(), teacher_logits.float(), mask)
    return mean_of(squares(student, teacher, centred), mask)


@wrong("09.3", "the mask is turned round")
def padding_counted(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    values = squares(*clean(student_logits, teacher_logits, mask), centred)
    return mean_of(values, None if mask is None else ~mask)


@wrong("09.3", "the mean over the text is subtracted")
def filled_over_the_text(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    pair = clean(student_logits, teacher_logits, mask)
    if centred:
        pair = [centre(z, -2) for z in pair]
    return mean_of((pair[0] - pair[1]).square().sum(-1), mask)


@wrong("09.3", "the mean over the batch is subtracted")
def filled_over_the_batch(
    student_logits, teacher_logits, mask=None, temperature=1.0, centred=False
):
    pair = clean(student_logits, teacher_logits, mask)
    if centred:
        pair = [centre(z, 0) for z in pair]
    return mean_of((pair[0] - pair[1]).square().sum(-1), mask)


@wrong("09.3", "the median of each row")
def median(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    pair = clean(student_logits, teacher_logits, mask)
    if centred:
        pair = [z - z.median(-1, keepdim=True).values for z in pair]
    return mean_of((pair[0] - pair[1]).square().sum(-1), mask)


@wrong("09.3", "added up before they are squared")
def square_of_the_sum(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = clean(student_logits, teacher_logits, mask)
    apart = centre(student) - centre(teacher) if centred else student - teacher
    return mean_of(apart.sum(-1) ** 2, mask)


@wrong("09.3", "half of the mean over the vocabulary")
def half_of_the_mean(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    values = squares(*clean(student_logits, teacher_logits, mask), centred)
    return mean_of(values, mask) / (2 * student_logits.size(-1))


@wrong("09.3", "the squares are centred")
def centred_afterwards(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = clean(student_logits, teacher_logits, mask)
    apart = (student - teacher).square()
    return mean_of((centre(apart) if centred else apart).sum(-1), mask)


@wrong("09.3", "divided by V - 1")
def estimated_variance(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = clean(student_logits, teacher_logits, mask)
    if not centred:
        return mean_of(squares(student, teacher, False), mask)
    apart = student - teacher
    return mean_of(apart.var(-1) * apart.size(-1), mask)


@wrong("09.3", "expected 22")
def padding_guessed(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    """Takes rows of the student that are all 0 for padding."""
    student, teacher = clean(student_logits, teacher_logits, mask)
    count = (student != 0).any(-1).sum().clamp(min=1)
    return squares(student, teacher, centred).sum() / count


@right("09.3")
def temperature_cancels(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = clean(student_logits, teacher_logits, mask)
    values = squares(student / temperature, teacher / temperature, centred)
    return temperature**2 * mean_of(values, mask)


@right("09.3")
def by_matrices(student_logits, teacher_logits, mask=None, temperature=1.0, centred=False):
    student, teacher = clean(student_logits, teacher_logits, mask)
    V = student.size(-1)
    apart = (student - teacher).reshape(-1, V)
    if centred:
        apart = apart @ (torch.eye(V, dtype=apart.dtype) - 1 / V)
    return torch.trace(apart @ apart.T) / (len(apart) if mask is None else max(1, int(mask.sum())))
