"""Matching hidden states and attention: the two losses, and the pupil that listens to both."""

import contextlib
import math

import pytest
import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE, ContinuousBatches, PairBatches
from minidistill.device import seeded
from minidistill.distillation import distillation_loss
from minidistill.distilling import SoftTargets, distill
from minidistill.ensemble import Ensemble
from minidistill.language_model import LanguageModel
from minidistill.matching import Match, Pupil, attention_loss, hidden_loss
from minidistill.recurrent import GRU, LSTM
from minidistill.training import Recipe, fit
from tests.pair_models import SPECIAL, Kind, close, model_of, ragged, remembered
from tests.training_parts import VOCAB, Broken, same_weights, tiny_batches

B, T, S = 2, 3, 5
BOTH = [
    Match("decoder.writer", "decoder.writer", 0.7),
    Match(*["decoder.attention"] * 2, 2, "weights"),
]
ATTENDING = Kind("GRU", "additive", {})


def numbers(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def some_mask() -> Tensor:
    return torch.tensor([[True, True, True], [True, False, False]])


def projection(student: int, teacher: int) -> nn.Linear:
    with seeded(4):
        return nn.Linear(student, teacher).double()


# ---- the two losses -----------------------------------------------------------------------


def test_hidden_states_by_hand() -> None:
    student, teacher, project = numbers(1, B, T, 5), numbers(2, B, T, 7), projection(5, 7)
    total = 0.0
    for b, t in some_mask().nonzero().tolist():
        for j in range(7):
            own = sum(project.weight[j, i] * student[b, t, i] for i in range(5)) + project.bias[j]
            total = total + (own - teacher[b, t, j]) ** 2 / 7 / 4
    student.requires_grad_(), teacher.requires_grad_()
    loss = hidden_loss(student, teacher, project, some_mask())
    close(loss, total)
    loss.backward()
    assert teacher.grad is None and float(project.weight.grad.norm()) > 0
    assert bool((student.grad[~some_mask()] == 0).all())
    assert bool(student.grad[some_mask()].abs().sum(-1).gt(0).all())


def weights(seed: int) -> Tensor:
    """Attention over five source tokens, of which the last row's last two are padding."""
    scores = 2 * numbers(seed, B, T, S)
    scores[1, :, 3:] = -math.inf
    return scores.softmax(-1)


def test_attention_by_hand() -> None:
    student, teacher = weights(3), weights(4)
    total = 0.0
    for b, t in some_mask().nonzero().tolist():
        for s in range(S if b == 0 else 3):
            a, own = float(teacher[b, t, s]), float(student[b, t, s])
            total += a * (math.log(a) - math.log(own)) / 4
    student.requires_grad_(), teacher.requires_grad_()
    loss = attention_loss(student, teacher, some_mask())
    assert float(loss.detach()) == pytest.approx(total)
    loss.backward()
    expected = -teacher.detach() / student.detach() / 4
    expected[~some_mask()] = expected[1, :, 3:] = 0
    close(student.grad, expected)
    assert teacher.grad is None


def test_what_is_alike_costs_nothing_and_nothing_costs_nothing() -> None:
    states, looks, nothing = numbers(5, B, T, 5), weights(6), torch.zeros(B, T, dtype=torch.bool)
    for mask in (some_mask(), nothing):
        assert float(hidden_loss(states, states, nn.Identity(), mask)) == 0
        assert float(attention_loss(looks, looks, mask)) == 0
    assert float(hidden_loss(states, -states, nn.Identity(), nothing)) == 0
    assert float(attention_loss(looks, weights(7), nothing)) == 0
    assert float(attention_loss(looks, weights(7), some_mask())) > 0


def test_a_student_that_looks_away_is_charged_a_finite_price() -> None:
    student = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    loss = attention_loss(student, torch.tensor([[[0.5, 0.5]]]), torch.ones(1, 1, dtype=torch.bool))
    loss.backward()
    assert 40 < float(loss.detach()) < 50 and bool(student.grad.isfinite().all())


@pytest.mark.parametrize("there", [math.inf, math.nan])
def test_padding_reaches_neither_value_nor_gradient(there: float) -> None:
    student, teacher, project = numbers(1, B, T, 5), numbers(2, B, T, 7), projection(5, 7)
    expected = hidden_loss(student, teacher, project, some_mask())
    for dirty in (student, teacher):
        dirty[~some_mask()] = there
    student.requires_grad_()
    loss = hidden_loss(student, teacher, project, some_mask())
    close(loss, expected)
    loss.backward()
    assert bool(student.grad.isfinite().all()) and bool(project.weight.grad.isfinite().all())


# ---- the pupil ----------------------------------------------------------------------------


def student_and_teacher() -> tuple[LanguageModel, LanguageModel]:
    with seeded(8):
        return (
            LanguageModel(VOCAB, 3, GRU(3, 5), dropout=0.2),
            LanguageModel(VOCAB, 11, LSTM(11, 13), dropout=0.2),
        )


def hooks(*models: nn.Module) -> int:
    return sum(len(module._forward_hooks) for model in models for module in model.modules())


def test_it_listens_within_the_block_only() -> None:
    student, teacher = student_and_teacher()
    pupil = Pupil(student, teacher, [Match(), Match("recurrent", "recurrent", 3.0)])
    assert hooks(student, teacher) == 0
    with pupil as entered:
        assert entered is pupil and hooks(student, teacher) == 4
    assert hooks(student, teacher) == 0
    with pytest.raises(Broken), pupil:
        raise Broken
    assert hooks(student, teacher) == 0


def test_it_answers_as_the_student_and_owns_nothing_of_the_teacher() -> None:
    student, teacher = student_and_teacher()
    before = torch.get_rng_state()
    pupil = Pupil(student, teacher, [Match()]).eval()
    assert torch.equal(torch.get_rng_state(), before)
    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]])
    with pupil:
        close(pupil(tokens), student(tokens))
    own = {f"student.{name}" for name in student.state_dict()}
    extra = {"projections.0.weight", "projections.0.bias"}
    assert pupil.state_dict().keys() == own | extra and pupil.vocab_size == VOCAB
    assert pupil.projections[0].weight.shape == (13, 5)
    assert not {id(p) for p in pupil.parameters()} & {id(p) for p in teacher.parameters()}


def test_what_it_heard_is_matched() -> None:
    student, teacher = (model.eval() for model in student_and_teacher())
    tokens, mask = torch.tensor([[1, 2, 3], [4, 5, 6]]), some_mask()
    with Pupil(student, teacher, [Match(), Match(weight=0.5)]) as pupil:
        pupil(tokens), teacher(tokens)
        found = pupil.matched(mask)
        states = [m.recurrent(m.embedding(tokens), None, None)[0] for m in (student, teacher)]
        parts = [hidden_loss(*states, project, mask) for project in pupil.projections]
        close(found, parts[0] + 0.5 * parts[1], 1e-6)


def test_training_moves_student_and_projections_and_not_the_teacher() -> None:
    student, teacher = student_and_teacher()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    loss = SoftTargets(teacher.eval(), alpha=0.5)
    with Pupil(student, teacher, [Match(weight=5.0)]) as pupil:
        loss.pupil, first = pupil, {k: v.clone() for k, v in pupil.state_dict().items()}
        recipe = Recipe(steps=60, learning_rate=0.02)
        losses = fit(pupil, tiny_batches(), recipe, loss=loss, progress=False).losses
    assert all(not torch.equal(first[k], v) for k, v in pupil.state_dict().items())
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters())
    assert pupil.student is student and sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_distill_with_matches_trains_the_student_and_leaves_no_trace() -> None:
    recipe, results = Recipe(steps=5, learning_rate=0.02), []
    for matches in ([], [Match(weight=0.0)], [Match(weight=2.0)]):
        student, teacher = student_and_teacher()
        names = student.state_dict().keys()
        distill(teacher, student, tiny_batches(), recipe, matches=matches, alone=9, progress=False)
        assert student.state_dict().keys() == names and hooks(student, teacher) == 0
        results.append(student)
    assert same_weights(results[0], results[1]) and not same_weights(results[0], results[2])


def test_hooks_are_gone_after_a_broken_run() -> None:
    class Breaking(ContinuousBatches):
        def epoch(self, number: int) -> object:
            raise Broken

    student, teacher = student_and_teacher()
    held_out, batches = tiny_batches(1), Breaking(torch.arange(29) % VOCAB, 3, 5)
    with pytest.raises(Broken):
        distill(
            teacher,
            student,
            batches,
            matches=[Match()],
            alone=9,
            validation=held_out,
            progress=False,
        )
    assert hooks(student, teacher) == 0


def test_a_teacher_within_an_ensemble() -> None:
    student, teacher = student_and_teacher()
    ensemble, tokens = Ensemble([teacher, student_and_teacher()[1]]), torch.tensor([[1, 2, 3]])
    with Pupil(student, ensemble, [Match("recurrent", "teachers.1.recurrent")]) as pupil:
        pupil(tokens), ensemble(tokens)
        assert float(pupil.matched(tokens > 0).detach()) > 0


def test_pairs_by_hand() -> None:
    student, teacher, batch = model_of(ATTENDING), model_of(ATTENDING, seed=6), ragged(11)
    mask, loss, heard = batch.target_out != IGNORE, SoftTargets(teacher, 0.6), []
    with Pupil(student, teacher, BOTH).double() as pupil:
        loss.pupil = pupil.train()
        value, _, _ = loss(pupil, batch)
        project = pupil.projections[0]
    for model in (student, teacher):
        memory, parts = remembered(model, batch), []
        hook = model.decoder.writer.register_forward_hook(lambda *x, to=parts: to.append(x[2][0]))
        logits, _, looks = model.decoder(batch.target_in, None, batch.target_mask, memory)
        hook.remove()
        heard.append((logits, parts[0], looks))
    (mine, states, looks), (theirs, their_states, their_looks) = heard
    expected = distillation_loss(mine, theirs, batch.target_out, 0.6)
    expected = expected + 0.7 * hidden_loss(states, their_states, project, mask)
    close(value, expected + 2 * attention_loss(looks, their_looks, mask))


def test_distill_of_pairs_with_matches() -> None:
    student, teacher = (model_of(ATTENDING, seed, torch.float32) for seed in (9, 5))
    pairs = [([3 + n % 7, 4, 5][: 1 + n % 3], [4 + n % 5, 3]) for n in range(11)]
    batches, recipe = PairBatches(pairs, 3, **SPECIAL), Recipe(steps=40, learning_rate=0.02)
    losses = distill(
        teacher, student, batches, recipe, alpha=1.0, matches=BOTH, alone=9, progress=False
    ).losses
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8]) and hooks(student, teacher) == 0


# ---- refusals, and modes ------------------------------------------------------------------


def test_parts_that_are_not_there_are_refused() -> None:
    student, teacher = student_and_teacher()
    pair = model_of(Kind("GRU", None, {}))
    for models, match, message in (
        ((student, teacher), Match("recurent"), "no part 'recurent'; it has embedding, recurrent"),
        ((student, teacher), Match(teacher="decoder.writer"), "no part 'decoder.writer'"),
        ((student, teacher), Match("readout"), "'readout' has no hidden_size: name a recurrent"),
        ((student, teacher), Match(of="logits"), "of is 'states' or 'weights', not 'logits'"),
        ((pair, pair), Match(*["decoder.attention"] * 2, of="weights"), "no part 'decoder.att"),
    ):
        with pytest.raises(ValueError, match=message), Pupil(*models, [match]):
            pass


def test_a_wrong_name_leaves_no_hook() -> None:
    pair, other = model_of(ATTENDING), model_of(Kind("GRU", None, {}))
    with pytest.raises(ValueError, match="no part"), Pupil(pair, other, BOTH[1:]):
        pass
    assert hooks(pair, other) == 0


def test_a_layer_has_no_attention_weights() -> None:
    student, teacher = student_and_teacher()
    with pytest.raises(ValueError), Pupil(student, teacher, [Match(of="weights")]) as pupil:
        tokens = torch.tensor([[1, 2, 3]])
        pupil(tokens), teacher(tokens)
        pupil.matched(tokens > 0)


def test_a_decoder_that_writes_one_by_one_is_matched_whole_or_refused() -> None:
    kind, tokens = Kind("GRU", "additive", {"reader": False}), torch.tensor([[1, 3, 4], [1, 5, 6]])
    student, teacher, source = model_of(kind), model_of(kind, seed=6), tokens.repeat(1, 2)
    with contextlib.suppress(ValueError), Pupil(student, teacher, BOTH[1:]) as pupil:
        looks = [m.look(tokens, m.encode(source)) for m in (student, teacher)]
        close(pupil.matched(some_mask()), 2 * attention_loss(*looks, some_mask()))


def test_models_in_float64() -> None:
    student, teacher = (model.double() for model in student_and_teacher())
    distill(
        teacher,
        student,
        tiny_batches(),
        Recipe(steps=1),
        matches=[Match()],
        alone=9,
        progress=False,
    )


def test_the_students_mode_is_restored() -> None:
    student, teacher = student_and_teacher()
    student.eval()
    recipe = Recipe(steps=1)
    distill(teacher, student, tiny_batches(), recipe, matches=[Match()], alone=9, progress=False)
    assert not student.training
