"""The distillation losses: by value and gradient against plain loops, and by their laws."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.batches import IGNORE
from minidistill.distillation import (
    DIVERGENCES,
    distillation_loss,
    jensen_shannon_loss,
    logit_loss,
    reverse_kl_loss,
    soft_target_loss,
)
from tests.pair_models import close

B, T, V = 3, 5, 11
Row = list[float]

LOSSES: dict[str, tuple[Callable[..., Tensor], dict]] = {
    "forward": (soft_target_loss, {}),
    "reverse": (reverse_kl_loss, {}),
    "Jensen-Shannon": (jensen_shannon_loss, {}),
    "Jensen-Shannon, 0.2": (jensen_shannon_loss, {"beta": 0.2}),
    "logits": (logit_loss, {}),
    "centred logits": (logit_loss, {"centred": True}),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def logits(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*(shape or (B, T, V)), generator=generator, dtype=torch.float64)


def some_mask() -> Tensor:
    """Ragged: rows of 5, 2 and 0 real tokens."""
    return torch.arange(T) < torch.tensor([5, 2, 0])[:, None]


def found(name: str, student: Tensor, teacher: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
    """A loss, and its gradient at the student's logits."""
    loss, options = LOSSES[name]
    student = student.detach().clone().requires_grad_()
    value = loss(student, teacher, *rest, **options)
    return value.detach(), torch.autograd.grad(value, student)[0]


# ---- the same by hand: one row at a time, the gradients as one works them out on paper -----


def softened(row: Row, temperature: float) -> Row:
    powers = [math.exp((z - max(row)) / temperature) for z in row]
    return [power / sum(powers) for power in powers]


def kl(p: Row, q: Row) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def through_softmax(q: Row, slopes: Row) -> Row:
    """From slopes by q to slopes by the logits (but for 1/T)."""
    mean = sum(a * s for a, s in zip(q, slopes, strict=True))
    return [a * (s - mean) for a, s in zip(q, slopes, strict=True)]


def row_by_hand(name: str, student: Row, teacher: Row, temperature: float) -> tuple[float, Row]:
    if "logits" in name:
        if "centred" in name:
            student = [z - sum(student) / len(student) for z in student]
            teacher = [z - sum(teacher) / len(teacher) for z in teacher]
        apart = [s - t for s, t in zip(student, teacher, strict=True)]
        return sum(d * d for d in apart), [2 * d for d in apart]
    p, q = softened(teacher, temperature), softened(student, temperature)
    if name == "forward":
        value, slopes = kl(p, q), [b - a for a, b in zip(p, q, strict=True)]
    elif name == "reverse":
        value = kl(q, p)
        slopes = through_softmax(q, [math.log(b / a) for a, b in zip(p, q, strict=True)])
    else:
        beta = LOSSES[name][1].get("beta", 0.5)
        m = [beta * a + (1 - beta) * b for a, b in zip(p, q, strict=True)]
        value = beta * kl(p, m) + (1 - beta) * kl(q, m)
        logs = [(1 - beta) * math.log(b / c) for b, c in zip(q, m, strict=True)]
        slopes = through_softmax(q, logs)
    return temperature**2 * value, [temperature * slope for slope in slopes]


def by_hand(
    name: str, student: Tensor, teacher: Tensor, mask: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    total, gradient, real = 0.0, torch.zeros_like(student), mask.nonzero().tolist()
    for b, t in real:
        rows = student[b, t].tolist(), teacher[b, t].tolist()
        value, slopes = row_by_hand(name, *rows, temperature)
        total += value / len(real)
        gradient[b, t] = torch.tensor(slopes, dtype=torch.float64) / len(real)
    return torch.tensor(total, dtype=torch.float64), gradient


@every_loss
@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_value_and_gradient_are_those_of_plain_loops(name: str, temperature: float) -> None:
    student, teacher = logits(1), logits(2, scale=2)
    for mask in (some_mask(), torch.ones(B, T, dtype=torch.bool)):
        expected = by_hand(name, student, teacher, mask, temperature)
        close(found(name, student, teacher, mask, temperature), expected)
    close(found(name, student, teacher, None, temperature), expected)  # no mask: all are real


@every_loss
def test_autograd_agrees_with_differences(name: str) -> None:
    (loss, options), student = LOSSES[name], logits(3, 2, 3, 5).requires_grad_()
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert torch.autograd.gradcheck(
        lambda z: loss(z, logits(4, 2, 3, 5), mask, 2.0, **options), student
    )


def test_one_row_by_hand() -> None:
    # p = 1/2, 1/2 and q = 1/4, 3/4
    student, teacher = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 1.0])
    assert float(soft_target_loss(student, teacher)) == pytest.approx(math.log(4 / 3) / 2)
    backwards = 0.75 * math.log(3) - math.log(2)
    assert float(reverse_kl_loss(student, teacher)) == pytest.approx(backwards)
    assert float(logit_loss(student, teacher)) == pytest.approx(1 + (math.log(3) - 1) ** 2)


# ---- laws ---------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_an_equal_student_has_nothing_to_learn(name: str, temperature: float) -> None:
    same = logits(5, scale=3)
    close(found(name, same, same, None, temperature), (same.new_zeros(()), torch.zeros_like(same)))
    if name != "logits":  # one number added to a whole row says nothing else
        shifted = same + logits(6, B, T, 1)
        value, gradient = found(name, shifted, same, None, temperature)
        close((value, gradient), (same.new_zeros(()), torch.zeros_like(same)))
    else:
        assert float(logit_loss(same + 1, same)) == pytest.approx(V)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.01, 30), st.floats(0.1, 10), st.floats(0.01, 0.99))
def test_no_divergence_is_negative_and_jensen_shannon_is_bounded(
    seed: int, scale: float, temperature: float, beta: float
) -> None:
    student, teacher = logits(seed, 7, V, scale=scale), logits(seed + 1, 7, V, scale=scale)
    for loss in (soft_target_loss, reverse_kl_loss):
        assert float(loss(student, teacher, None, temperature)) >= -1e-12
    middle = jensen_shannon_loss(student, teacher, None, temperature, beta) / temperature**2
    bound = -beta * math.log(beta) - (1 - beta) * math.log(1 - beta)
    assert -1e-12 <= float(middle) <= bound + 1e-12


def test_jensen_shannon_reaches_its_bound_where_nothing_is_shared() -> None:
    student, teacher = torch.tensor([90.0, -90.0]), torch.tensor([-90.0, 90.0])
    bound = -0.3 * math.log(0.3) - 0.7 * math.log(0.7)
    assert float(jensen_shannon_loss(student, teacher, beta=0.3)) == pytest.approx(bound)
    assert float(soft_target_loss(student, teacher)) == pytest.approx(180)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_jensen_shannon_has_two_limits(temperature: float) -> None:
    student, teacher, tiny = logits(7), logits(8), 1e-7
    for beta, share, limit in ((tiny, tiny, "forward"), (1 - tiny, tiny, "reverse")):
        z = student.clone().requires_grad_()
        value = jensen_shannon_loss(z, teacher, None, temperature, beta) / share
        gradient = torch.autograd.grad(value, z)[0]
        close((value.detach(), gradient), found(limit, student, teacher, None, temperature), 1e-5)
    one = jensen_shannon_loss(student, teacher, None, temperature, 0.2)
    close(one, jensen_shannon_loss(teacher, student, None, temperature, 0.8))


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_at_a_large_temperature_it_is_logit_matching(name: str) -> None:
    student, teacher = logits(9), logits(10)
    value, gradient = (part / (2 * V) for part in found("centred logits", student, teacher))
    apart = []
    for temperature in (10.0, 100.0, 1000.0):
        near, near_gradient = found(name, student, teacher, None, temperature)
        apart.append(float((near_gradient - gradient).norm() / gradient.norm()))
        assert abs(float(near / value) - 1) < 10 / temperature
    assert apart[0] > 8 * apart[1] > 64 * apart[2] and apart[2] < 2e-3  # the error falls as 1/T


@pytest.mark.parametrize("size", [11, 101, 1009])
def test_the_square_of_the_temperature_keeps_the_gradients_size(size: int) -> None:
    student, teacher = logits(11, 3, 5, size, scale=0.5), logits(12, 3, 5, size, scale=0.5)
    norms = {
        T: float(found("forward", student, teacher, None, float(T))[1].norm()) for T in range(1, 9)
    }
    assert all(abs(norm / norms[1] - 1) < 0.1 for norm in norms.values())
    assert norms[8] / 8**2 < norms[1] / 50  # without the square it would all but vanish


@pytest.mark.filterwarnings("ignore:reduction")  # torch warns of this very mistake
def test_the_mean_reduction_of_kl_div_is_another_loss() -> None:
    student, teacher = logits(13), logits(14)
    ours, gradient = found("forward", student, teacher)
    student.requires_grad_()
    log_q, p = student.log_softmax(-1), teacher.softmax(-1)
    mistake = nn.functional.kl_div(log_q, p, reduction="mean")  # over the vocabulary, too
    wrong_gradient = torch.autograd.grad(mistake, student, retain_graph=True)[0]
    close((mistake.detach() * V, wrong_gradient * V), (ours, gradient))
    assert float((wrong_gradient - gradient).norm() / gradient.norm()) > 0.9  # it would be seen
    per_text = nn.functional.kl_div(log_q, p, reduction="batchmean")  # by rows, not by tokens
    close(per_text.detach() / T, ours)


# ---- padding, zeros, precision ------------------------------------------------------------


@every_loss
def test_what_stands_at_padding_reaches_nothing(name: str) -> None:
    student, teacher, mask = logits(15), logits(16), some_mask()
    expected = found(name, student, teacher, mask, 2.0)
    for there in (1e30, math.inf, -math.inf, math.nan):
        dirty = (z.masked_fill(~mask[..., None], there) for z in (student, teacher))
        close(found(name, *dirty, mask, 2.0), expected)


@every_loss
def test_more_padding_changes_nothing(name: str) -> None:
    student, teacher, mask = logits(15), logits(16), some_mask()
    value, gradient = found(name, student, teacher, mask, 2.0)
    wide = (torch.cat([z, logits(17, B, 2, V)], 1) for z in (student, teacher))
    wide_value, wide_gradient = found(name, *wide, nn.functional.pad(mask, (0, 2)), 2.0)
    close((wide_value, wide_gradient[:, :T]), (value, gradient))
    assert bool((gradient[~mask] == 0).all()) and bool((wide_gradient[:, T:] == 0).all())


@every_loss
def test_where_nothing_is_real_there_is_no_loss(name: str) -> None:
    student, nothing = logits(18), torch.zeros(B, T, dtype=torch.bool)
    close(found(name, student, logits(19), nothing), (student.new_zeros(()), student * 0))


@pytest.mark.parametrize("name", ["forward", "Jensen-Shannon", "Jensen-Shannon, 0.2"])
def test_a_word_that_the_teacher_forbids(name: str) -> None:
    student, teacher = logits(20), logits(21)
    teacher[:, :, 3] = -math.inf
    teacher[1, 2, :-1] = -math.inf  # all but one
    value, gradient = found(name, student, teacher)
    assert bool(value.isfinite()) and bool(gradient.isfinite().all())
    near = teacher.clamp(min=-60)
    close((value, gradient), found(name, student, near), 1e-8)


def test_reverse_kl_of_a_forbidden_word_is_infinite_and_no_nan() -> None:
    student, teacher = logits(20), logits(21)
    teacher[0, 0, 3] = -math.inf
    assert float(reverse_kl_loss(student, teacher)) == math.inf
    student[0, 0, 3] = -math.inf  # unless the student does not say it either
    assert math.isfinite(reverse_kl_loss(student, teacher))


@every_loss
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_added_up_in_float32(name: str, half: torch.dtype) -> None:
    student, teacher = logits(22, 3, 5, 101).to(half), logits(23, 3, 5, 101).to(half)
    value, gradient = found(name, student, teacher, None, 2.0)
    exact = found(name, student.float(), teacher.float(), None, 2.0)
    assert value.dtype == torch.float32 and gradient.dtype == half
    close((value, gradient), (exact[0], exact[1].to(half)))
    assert found(name, student.double(), teacher, None)[0].dtype == torch.float64


# ---- mixed with the text's own words ------------------------------------------------------


def some_targets() -> Tensor:
    words = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(24))
    return words.masked_fill(~some_mask(), IGNORE)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_mixture_by_hand(alpha: float, divergence: str) -> None:
    student, teacher, targets = logits(25).requires_grad_(), logits(26), some_targets()
    loss = DIVERGENCES[divergence]
    value = distillation_loss(student, teacher, targets, alpha, 2.0, loss)
    soft = loss(student, teacher, some_mask(), 2.0)
    real = some_mask().nonzero().tolist()
    hard = -sum(student[b, t].log_softmax(-1)[targets[b, t]] for b, t in real) / len(real)
    expected = alpha * soft + (1 - alpha) * hard  # the hard loss knows no temperature
    close(value, expected)
    close(*(torch.autograd.grad(part, student)[0] for part in (value, expected)))


@pytest.mark.parametrize("there", [math.inf, math.nan])
def test_padding_does_not_reach_the_mixture(there: float) -> None:
    student = logits(25).masked_fill(~some_mask()[..., None], there).requires_grad_()
    value = distillation_loss(student, logits(26), some_targets(), 0.5)
    close(value, distillation_loss(logits(25), logits(26), some_targets(), 0.5))
    assert bool(torch.autograd.grad(value, student)[0].isfinite().all())


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_no_gradient_reaches_the_teacher(divergence: str) -> None:
    (student, teacher), loss = (
        (logits(n).requires_grad_() for n in (27, 28)),
        DIVERGENCES[divergence],
    )
    distillation_loss(student, teacher, some_targets(), 0.5, 2.0, loss).backward()
    assert teacher.grad is None and float(student.grad.norm()) > 0


# ---- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_what_does_not_fit_is_refused(divergence: str) -> None:
    loss, z = DIVERGENCES[divergence], logits(29)
    with pytest.raises(ValueError, match=r"are \(3, 5, 11\) and the teacher's \(3, 5, 10\)"):
        loss(z, z[..., 1:])
    with pytest.raises(ValueError, match=r"mask has shape \(3, 4\).*one True or False per token"):
        loss(z, z, torch.ones(B, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"type torch.int64.*one True or False per token"):
        loss(z, z, torch.ones(B, T, dtype=torch.long))
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"temperature is {temperature}, but must be above 0"):
            loss(z, z, None, temperature)


def test_shares_out_of_range_are_refused() -> None:
    z = logits(30)
    for beta in (0.0, 1.0, -0.2, math.nan):
        with pytest.raises(ValueError, match=f"beta is {beta}, but must lie between 0 and 1"):
            jensen_shannon_loss(z, z, beta=beta)
    for alpha in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=f"alpha is {alpha}, but is a share between 0 and 1"):
            distillation_loss(z, z, some_targets(), alpha)
    with pytest.raises(ValueError, match="mask has shape"):
        distillation_loss(z, z, some_targets()[:, 1:])
