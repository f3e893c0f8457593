"""What `distill` minimises at each step: with a teacher at hand, and with its pass in its place."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE, ContinuousBatches
from minidistill.device import seeded
from minidistill.distillation import DIVERGENCES, distillation_loss
from minidistill.distilling import PassTargets, SoftTargets, read_with_loss, sparse_target_loss
from minidistill.ensemble import Ensemble, mean_log_probabilities
from minidistill.language_model import LanguageModel
from minidistill.pass_writing import write_passes
from minidistill.recurrent import GRU, LSTM
from minidistill.teacher_forcing import pair_loss, token_loss
from minidistill.teacher_passes import Said, Taught
from minidistill.training import evaluate, next_token_loss
from tests.pair_models import KINDS, close, gradients, model_of, ragged, rows

V = 11
TEXT = torch.randint(V, (31,), generator=torch.Generator().manual_seed(1))


def models() -> tuple[LanguageModel, LanguageModel, LanguageModel]:
    """A student while it is trained, and two teachers."""
    with seeded(2):
        student, *teachers = (
            LanguageModel(V, size, layer(size, size + 2)).double()
            for size, layer in ((3, GRU), (5, LSTM), (7, GRU))
        )
        for model in (student, *teachers):
            nn.init.normal_(model.readout.weight)  # so that rows differ from each other
    return student.train(), *(teacher.eval() for teacher in teachers)


def batch_of(said: Said | None = None) -> tuple:
    """The text as one batch, ragged: its last seven targets are padding."""
    inputs, targets = next(iter(ContinuousBatches(TEXT[:24], 1, 100)))
    inputs, targets = (
        nn.functional.pad(t, (0, 7), value=v) for t, v in ((inputs, 0), (targets, IGNORE))
    )
    return (inputs, targets) if said is None else Taught(inputs, targets, said)


# ---- with a teacher at hand ---------------------------------------------------------------


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_text_in_batches_is_the_text_as_a_whole(divergence: str) -> None:
    student, teacher, _ = models()
    rows_, width = 3, 10
    inputs, targets = TEXT[:-1].view(rows_, width), TEXT[1:].view(rows_, width)
    expected = distillation_loss(
        student(inputs)[0], teacher(inputs)[0], targets, 0.7, 2.0, DIVERGENCES[divergence]
    )
    loss, total, state = SoftTargets(teacher, 0.7, 2.0, divergence), 0.0, None
    for batch in ContinuousBatches(TEXT, rows_, 3):
        value, count, state = loss(student, batch, state)
        total = total + value * count / 30
        assert not state[1][0].requires_grad  # the teacher's state is carried beside the student's
    close(total, expected)
    close(gradients(student, total), gradients(student, expected))
    assert all(p.grad is None for p in teacher.parameters())


class Bigram(nn.Module):
    """A student without a state."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.vocab_size = nn.Parameter(torch.zeros(V, V).double()), V

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        return self.rows[tokens], None


def test_a_student_without_a_state_does_not_cost_the_teacher_its_own() -> None:
    teacher = models()[1]
    whole, _, _ = SoftTargets(teacher)(Bigram(), (TEXT[None, :-1], TEXT[None, 1:]))
    total, state = 0.0, None
    for batch in ContinuousBatches(TEXT, 1, 10):
        value, _, state = SoftTargets(teacher)(Bigram(), batch, state)
        total = total + value / 3
    close(total, whole)


@pytest.mark.parametrize("kind", KINDS[1::3])
def test_a_batch_of_pairs_is_its_pairs(kind: tuple) -> None:
    student, teacher = model_of(kind).train(), model_of(KINDS[4], seed=6)
    batch, loss = ragged(11, empty=False), SoftTargets(teacher, 0.7, 2.0)
    value, count, state = loss(student, batch)
    parts = [loss(student, row)[:2] for row in rows(batch)]
    expected = sum(mean * n for mean, n in parts) / count
    assert state is None and count == sum(n for _, n in parts)
    close(value, expected)
    close(gradients(student, value), gradients(student, expected))


def test_an_ensemble_is_a_teacher() -> None:
    student, *teachers = models()
    inputs, targets = batch_of()
    mixture = mean_log_probabilities([t(inputs)[0] for t in teachers], [1, 3])
    expected = distillation_loss(student(inputs)[0], mixture, targets, 0.7)
    close(SoftTargets(Ensemble(teachers, [1, 3]), 0.7)(student, (inputs, targets))[0], expected)


def test_what_is_not_trained_is_measured_by_cross_entropy() -> None:
    student, teacher, _ = models()
    batches, pairs = ContinuousBatches(TEXT, 3, 4), ragged(11)
    for loss in (SoftTargets(teacher), PassTargets(), read_with_loss):
        assert evaluate(student, batches, loss) == pytest.approx(
            evaluate(student, batches), rel=1e-6
        )
        model = model_of(KINDS[4])
        close(loss(model, pairs)[0], pair_loss(model, pairs)[0])
    value, count, state = read_with_loss(student, batch_of())
    expected = next_token_loss(student, batch_of(), None)
    close((value, state), (expected[0].double(), expected[2]), 1e-6)
    assert count == expected[1] == 23


# ---- with what a pass kept ----------------------------------------------------------------


def kept(logits: Tensor, count: int, temperature: float = 1.0) -> Said:
    """The likeliest words of each row, in float64."""
    shares, ids = (logits / temperature).softmax(-1).detach().topk(count, dim=-1)
    tail = torch.zeros_like(shares[..., 0]) if count == V else 1 - shares.sum(-1)
    return Said(ids, shares, tail)


def some_logits(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, V, generator=generator, dtype=torch.float64)


MASK = torch.tensor([[True, True, True], [True, False, False]])


@pytest.mark.parametrize("tail", ["lump", "renormalise"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_what_a_pass_costs_by_hand(tail: str, temperature: float) -> None:
    student, said = some_logits(3, 2, 3), kept(some_logits(4, 2, 3), 3, temperature)
    total = 0.0
    for b, t in MASK.nonzero().tolist():
        powers = [math.exp(z / temperature) for z in student[b, t].tolist()]
        q = [power / sum(powers) for power in powers]
        named = list(zip(said.ids[b, t].tolist(), said.shares[b, t].tolist(), strict=True))
        if tail == "lump":
            cost = -sum(s * math.log(q[v]) for v, s in named)
            cost -= float(said.tail[b, t]) * math.log(1 - sum(q[v] for v, _ in named))
        else:
            cost = -sum(s * math.log(q[v]) for v, s in named) / sum(s for _, s in named)
        total += temperature**2 * cost / 4
    found = sparse_target_loss(student, said, MASK, temperature, tail)
    assert float(found) == pytest.approx(total, rel=1e-12)
    student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: sparse_target_loss(z, said, MASK, temperature, tail), student
    )


def test_only_with_the_tail_lumped_has_an_equal_student_nothing_to_learn() -> None:
    logits = some_logits(5, 2, 3).requires_grad_()
    slopes = {
        tail: torch.autograd.grad(
            sparse_target_loss(logits, kept(logits, 3), None, 1.0, tail), logits
        )[0]
        for tail in ("lump", "renormalise")
    }
    close(slopes["lump"], torch.zeros_like(logits))
    outside = torch.ones(2, 3, V).scatter(-1, kept(logits, 3).ids, 0.0).bool()
    assert bool((slopes["renormalise"][outside] > 0).all())  # down with every word not named


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_pass_that_keeps_everything_is_the_teacher(temperature: float) -> None:
    student, teacher, _ = models()
    inputs, targets = batch_of()
    logits = teacher(inputs)[0].detach()
    soft, count, _ = SoftTargets(teacher, 0.7, temperature)(student, (inputs, targets))
    said = kept(logits, V, temperature)
    found, counted, state = PassTargets(0.7, temperature)(student, batch_of(said))
    entropy = -(said.shares * said.shares.log()).sum(-1)[targets != IGNORE].mean()
    close(found - 0.7 * temperature**2 * entropy, soft, 1e-9)  # but for a constant
    close(gradients(student, found), gradients(student, soft), 1e-9)
    assert counted == count == 23 and state.shape == (1, 1, 5)


def slope(student: LanguageModel, loss: object, batch: tuple) -> Tensor:
    found = gradients(student, loss(student, batch)[0])
    return torch.cat([part.flatten() for part in found.values()])


def test_a_pass_on_disk_gives_the_teachers_gradient(tmp_path: Path) -> None:
    student, teacher, _ = models()
    expected = slope(student, SoftTargets(teacher, 1.0), next(iter(ContinuousBatches(TEXT, 1, 30))))

    def apart(name: str, **options: int) -> float:
        passes = write_passes(tmp_path / name, teacher, TEXT, progress=False, **options)
        batch = next(iter(passes.batches(TEXT, 1, 30)))
        return float((slope(student, PassTargets(1.0), batch) - expected).norm() / expected.norm())

    assert apart("everything", top_k=V) < 1e-6
    found = [apart(str(count), draws=count) for count in (30, 1_000, 33_000)]
    assert found[0] > 3 * found[1] > 9 * found[2] and found[2] < 0.02  # as 1 / sqrt(count)


def test_draws_are_right_on_average() -> None:
    logits, student = some_logits(6, 2, 3), some_logits(7, 2, 3).requires_grad_()
    p = logits.softmax(-1)
    expected = torch.autograd.grad(sparse_target_loss(student, kept(logits, V)), student)[0]
    generator, total = torch.Generator().manual_seed(8), torch.zeros_like(student)
    for _ in range(500):
        ids = torch.multinomial(p.flatten(0, 1), 5, True, generator=generator).view(2, 3, 5)
        said = Said(ids, torch.full((2, 3, 5), 1 / 5), torch.zeros(2, 3))
        total += torch.autograd.grad(sparse_target_loss(student, said), student)[0] / 500
    assert float((total - expected).norm() / expected.norm()) < 0.05


def test_certain_and_repeated_words_give_no_nonsense() -> None:
    student = torch.zeros(1, 2, V)
    student[0, 0, 3] = 200.0  # nothing is left for the others
    student.requires_grad_()
    ids = torch.tensor([[[3, 3, 3], [1, 1, 2]]])
    for tail in (0.0, 0.3):
        shares = torch.full((1, 2, 3), (1 - tail) / 3)
        value = sparse_target_loss(student, Said(ids, shares, torch.full((1, 2), tail)))
        (gradient,) = torch.autograd.grad(value, student)
        assert bool(value.isfinite()) and bool(gradient.isfinite().all())


def test_half_precision_is_added_up_in_float32() -> None:
    said = kept(some_logits(9, 2, 3), 3)
    student = some_logits(10, 2, 3).bfloat16()
    found = sparse_target_loss(student, said, MASK)
    assert found.dtype == torch.float32
    close(found, sparse_target_loss(student.float(), said, MASK), 1e-6)


def test_padding_changes_nothing_and_nothing_costs_nothing() -> None:
    student, said = some_logits(11, 2, 3).requires_grad_(), kept(some_logits(12, 2, 3), 3)
    value = sparse_target_loss(student, said, MASK)
    (gradient,) = torch.autograd.grad(value, student)
    assert bool((gradient[~MASK] == 0).all())
    blank = Said(*(part.masked_fill(~MASK.view(2, 3, *[1] * (part.dim() - 2)), 0) for part in said))
    close(sparse_target_loss(student, blank, MASK), value)  # as it is where the text has run out
    nothing = sparse_target_loss(student, said, torch.zeros(2, 3, dtype=torch.bool))
    close(torch.autograd.grad(nothing, student)[0], torch.zeros_like(student))
    assert float(nothing.detach()) == 0


@pytest.mark.parametrize("there", [math.inf, math.nan])
def test_what_stands_at_padding_reaches_nothing(there: float) -> None:
    student, said = some_logits(11, 2, 3), kept(some_logits(12, 2, 3), 3)
    dirty = student.masked_fill(~MASK[..., None], there).requires_grad_()
    value = sparse_target_loss(dirty, said, MASK)
    close(value, sparse_target_loss(student, said, MASK))
    assert bool(torch.autograd.grad(value, dirty)[0].isfinite().all())


def test_the_mixture_with_a_pass() -> None:
    student, teacher, _ = models()
    inputs, targets = batch_of()
    logits, said = student(inputs)[0], kept(teacher(inputs)[0], 3)
    for tail in ("lump", "renormalise"):
        soft = sparse_target_loss(logits, said, targets != IGNORE, 1.0, tail)
        expected = 0.6 * soft + 0.4 * token_loss(logits, targets)[0]
        close(PassTargets(0.6, tail=tail)(student, batch_of(said))[0], expected)


def test_settings_that_are_none_are_refused_and_each_has_its_fingerprint() -> None:
    teacher = models()[1]
    with pytest.raises(ValueError, match="tail is 'lump' or 'renormalise', not 'drop'"):
        PassTargets(tail="drop")
    with pytest.raises(
        ValueError, match="one of forward, reverse, jensen-shannon, logits, not 'kl'"
    ):
        SoftTargets(teacher, divergence="kl")
    losses = [SoftTargets(teacher, *rest) for rest in ((), (0.5,), (0.9, 2.0), (0.9, 1, "reverse"))]
    losses += [
        PassTargets(),
        PassTargets(0.5),
        PassTargets(0.9, 2.0),
        PassTargets(tail="renormalise"),
    ]
    assert len({loss.fingerprint() for loss in losses}) == 8
