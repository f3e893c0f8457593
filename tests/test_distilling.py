"""`distill`: learning from a teacher, from several and from a pass; broken runs; warnings."""

import dataclasses
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minidistill.batches import ContinuousBatches, PairBatches
from minidistill.checkpoints import CheckpointError
from minidistill.device import seeded
from minidistill.distillation import DIVERGENCES
from minidistill.distilling import TeacherWarning, distill, read_with_loss
from minidistill.ensemble import Ensemble
from minidistill.language_model import LanguageModel
from minidistill.matching import Match
from minidistill.pass_writing import write_passes
from minidistill.recurrent import GRU
from minidistill.teacher_passes import PassBatches, Passes
from minidistill.training import History, Recipe, evaluate, fit, next_token_loss
from tests.pair_models import SPECIAL, Kind, model_of
from tests.training_parts import Broken, same_weights

V = 13
PAIR = Kind("GRU", "additive", {})


class Chain(nn.Module):
    """A teacher that knows how its text was made: every token depends on the one before."""

    def __init__(self, noise: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        rows, wrong = (
            torch.randn(V, V, generator=torch.Generator().manual_seed(n)) for n in (0, 100 + seed)
        )
        self.rows = nn.Parameter(1.5 * rows + noise * wrong)
        self.unused, self.vocab_size = nn.Dropout(0.5), V

    def forward(
        self, tokens: Tensor, state: Any = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        return self.unused(self.rows[tokens]), state  # dropout would show where it is not off

    def text(self, count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        p, ids = self.rows.detach().softmax(-1), [0]
        for _ in range(count - 1):
            ids.append(int(torch.multinomial(p[ids[-1]], 1, generator=generator)))
        return torch.tensor(ids)


TEXT, HELD_OUT = Chain().text(201, 1), Chain().text(2001, 2)
LITTLE, HELD = ContinuousBatches(TEXT, 5, 20), ContinuousBatches(HELD_OUT, 20, 100)
RECIPE = Recipe(steps=100, learning_rate=0.02, validate_every=10)
SHORT = Recipe(steps=11, learning_rate=0.02, validate_every=5, checkpoint_every=3)


def student_of(seed: int = 0, vocab_size: int = V, dropout: float = 0.0) -> LanguageModel:
    with seeded(seed):
        return LanguageModel(vocab_size, 11, GRU(11, 17), dropout)


def teach(
    teacher: Any, student: nn.Module, batches: Any = LITTLE, recipe: Recipe = SHORT, **options: Any
) -> History:
    return distill(teacher, student, batches, recipe, progress=False, **options)


def pairs() -> PairBatches:
    generator = torch.Generator().manual_seed(2)
    texts = [torch.randint(3, V, (n,), generator=generator) for n in (3, 5, 2, 7, 4, 1, 6, 3)]
    return PairBatches([(t, t.flip(0)) for t in texts], 3, **SPECIAL)


def pair_model(seed: int, **options: Any) -> nn.Module:
    return model_of(PAIR._replace(options=options), seed, torch.float32)


@pytest.fixture(scope="module")
def passes(tmp_path_factory: pytest.TempPathFactory) -> Passes:
    return write_passes(tmp_path_factory.mktemp("pass"), Chain(), TEXT, progress=False)


@pytest.fixture(scope="module")
def alone() -> float:
    """The best that a student reaches on the little text without a teacher."""
    return fit(student_of(), LITTLE, RECIPE, validation=HELD, progress=False).best[1]


# ---- it teaches ---------------------------------------------------------------------------


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_good_teacher_makes_a_better_student(alone: float, divergence: str) -> None:
    student = student_of()
    options = {"divergence": divergence, "validation": HELD}
    if divergence == "logits":
        options["alpha"] = 0.2  # a sum of squares: far larger than the others
    history = teach(Chain(), student, recipe=RECIPE, alone=alone, **options)
    best = evaluate(Chain(), HELD, read_with_loss)
    assert alone - history.best[1] > 0.6 * (alone - best) > 0.2
    assert evaluate(student, HELD) == pytest.approx(history.best[1])  # the best weights are kept


def test_a_pass_teaches_what_its_teacher_does(alone: float, passes: Passes) -> None:
    best, batches = evaluate(Chain(), HELD, read_with_loss), passes.batches(TEXT, 5, 20)
    history = teach(passes, student_of(), batches, RECIPE, validation=HELD)
    assert alone - history.best[1] > 0.6 * (alone - best)
    full = teach(Chain(), student_of(), recipe=RECIPE, validation=HELD)
    assert history.best[1] == pytest.approx(full.best[1], abs=0.05)


def test_several_teachers_of_which_each_is_half_right() -> None:
    teachers, recipe = [Chain(1.0, seed) for seed in (1, 2)], Recipe(70, 0.03)
    found = [
        teach(t, student_of(), recipe=recipe, alpha=1.0, validation=HELD).best[1]
        for t in (*teachers, Ensemble(teachers))
    ]
    assert found[-1] < min(found[:-1]) - 0.08


def test_pairs() -> None:
    teacher, student, recipe = pair_model(5), pair_model(9, tied=True), Recipe(80, 0.03)
    fit(teacher, pairs(), recipe, loss=read_with_loss, progress=False)
    good, before = (evaluate(model, pairs(), read_with_loss) for model in (teacher, student))
    history = teach(teacher, student, pairs(), recipe, alpha=1.0, temperature=2.0)
    after = evaluate(student, pairs(), read_with_loss)
    assert good < 0.7 * before and after < 0.7 * before  # it never saw the text's own words
    assert sum(history.losses[-9:]) < 0.2 * sum(history.losses[:9])
    ensemble = Ensemble([teacher, pair_model(6)], [3, 1])
    assert len(teach(ensemble, student, pairs(), validation=pairs(), alone=9.0).losses) == 11


def test_validation_is_the_students_cross_entropy() -> None:
    student, options = student_of(), {"alpha": 1.0, "temperature": 2.0, "divergence": "reverse"}
    history = teach(Chain(), student, validation=HELD, alone=9.0, **options)
    assert history.best[1] == pytest.approx(evaluate(student, HELD, next_token_loss))


def test_alpha_of_nothing_is_training_alone() -> None:
    with_teacher, without = student_of(dropout=0.2), student_of(dropout=0.2)
    history = teach(Chain(), with_teacher, alpha=0.0, alone=9.0)
    expected = fit(without, LITTLE, SHORT, progress=False)
    assert history.losses == pytest.approx(expected.losses, rel=1e-5)


@pytest.mark.parametrize("mode", [True, False])
def test_the_teacher_is_left_as_it_was_and_so_is_the_students_mode(mode: bool) -> None:
    teacher, student = Chain().train(mode), student_of().train(not mode)
    before, chance = teacher.rows.detach().clone(), torch.get_rng_state()
    history = teach(teacher, student, validation=HELD)
    assert torch.equal(teacher.rows.detach(), before) and teacher.rows.grad is None
    assert teacher.rows.requires_grad and torch.equal(torch.get_rng_state(), chance)
    assert teacher.training is teacher.unused.training is mode and student.training is not mode
    again = student_of()
    assert (
        teach(Chain().train(not mode), again, validation=HELD) == history
    )  # always without dropout
    assert same_weights(again, student)
    teacher.requires_grad_(False)
    assert teach(teacher, student_of(), validation=HELD) == history


def test_mixed_precision() -> None:
    half = dataclasses.replace(SHORT, precision="bfloat16")
    losses = [teach(Chain(), student_of(), recipe=recipe).losses for recipe in (SHORT, half)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05) and losses[0] != losses[1]


# ---- broken runs --------------------------------------------------------------------------


class Breaking:
    """Batches that break on purpose after some steps."""

    def __init__(self, batches: Any, steps: int) -> None:
        self.batches, self.left, self.carries_state = batches, steps, batches.carries_state

    def epoch(self, number: int) -> Iterator[Any]:
        for batch in self.batches.epoch(number):
            self.left -= 1
            if self.left < 0:
                raise Broken
            yield batch

    def fingerprint(self) -> str:
        return self.batches.fingerprint()


LSTM_LIKE = student_of(seed=3)  # a teacher with a state of its own


@pytest.mark.parametrize("kind", ["text", "matches", "pass", "pairs", "ensemble"])
@pytest.mark.parametrize("step", [3, 8])
def test_a_broken_run_ends_as_the_unbroken_one(
    tmp_path: Path, passes: Passes, kind: str, step: int
) -> None:
    teacher, batches, options = LSTM_LIKE, LITTLE, {"alone": 9.0}

    def new(seed: int) -> nn.Module:
        return student_of(seed, dropout=0.3)

    if kind == "matches":
        options["matches"] = [Match()]
    elif kind == "pass":
        teacher, batches = passes, passes.batches(TEXT, 5, 20)
    elif kind == "ensemble":
        teacher = Ensemble([LSTM_LIKE, Chain(), student_of(seed=4)])
    elif kind == "pairs":
        teacher, batches = pair_model(5), pairs()
        new = lambda seed: pair_model(seed, dropout=0.3)  # noqa: E731
    options["validation"] = pairs() if kind == "pairs" else HELD
    whole, again, path = new(0), new(1), tmp_path / "run.safetensors"
    expected = teach(teacher, whole, batches, **options)
    with pytest.raises(Broken):
        teach(teacher, new(0), Breaking(batches, step), checkpoint=path, **options)
    assert path.exists()
    assert teach(teacher, again, batches, checkpoint=path, **options) == expected
    assert same_weights(again, whole)


def broken(path: Path, **options: Any) -> None:
    with pytest.raises(Broken):
        teach(LSTM_LIKE, student_of(), Breaking(LITTLE, 8), alone=9.0, validation=HELD,
              checkpoint=path, **options)  # fmt: skip


@pytest.mark.parametrize(
    "changed", [{"alpha": 0.5}, {"temperature": 2.0}, {"divergence": "reverse"}]
)
def test_the_checkpoint_of_another_distillation_is_refused(tmp_path: Path, changed: dict) -> None:
    path, student = tmp_path / "run.safetensors", student_of(1)
    broken(path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"differs in: loss\): give this run a file of its"):
        teach(LSTM_LIKE, student, validation=HELD, alone=9.0, checkpoint=path, **changed)
    assert path.read_bytes() == before and same_weights(student, student_of(1))
    path.unlink()
    fit(student_of(), LITTLE, SHORT, checkpoint=path, progress=False)
    with pytest.raises(CheckpointError, match=r"differs in: loss\)"):
        teach(LSTM_LIKE, student, validation=HELD, alone=9.0, checkpoint=path)


def test_the_checkpoint_of_another_pass_is_refused(tmp_path: Path, passes: Passes) -> None:
    path = tmp_path / "run.safetensors"
    teach(passes, student_of(), passes.batches(TEXT, 5, 20), checkpoint=path)
    other = write_passes(tmp_path / "other", Chain(), TEXT, seed=1, progress=False)
    with pytest.raises(CheckpointError, match=r"differs in: batches\)"):
        teach(other, student_of(), other.batches(TEXT, 5, 20), checkpoint=path)


def test_training_alone_does_not_go_on_from_a_distillation(tmp_path: Path) -> None:
    broken(path := tmp_path / "run.safetensors")
    with pytest.raises(CheckpointError, match="differs in: loss"):
        fit(student_of(), LITTLE, SHORT, validation=HELD, checkpoint=path, progress=False)


@pytest.mark.parametrize("what", ["teacher", "matches"])
def test_another_teacher_or_other_matches_are_another_run(tmp_path: Path, what: str) -> None:
    path, options = tmp_path / "run.safetensors", {"validation": HELD, "alone": 9.0}
    broken(path, matches=[Match()])
    teacher = student_of(7) if what == "teacher" else LSTM_LIKE
    options["matches"] = [Match(weight=3.0)] if what == "matches" else [Match()]
    with pytest.raises(CheckpointError, match="differs in"):
        teach(teacher, student_of(), checkpoint=path, **options)


# ---- a teacher that is no better ----------------------------------------------------------


def test_a_bad_teacher_is_warned_of() -> None:
    good, bad, fresh = Chain(), Chain(4.0), student_of()
    theirs = evaluate(bad, HELD, read_with_loss)
    found = rf"perplexity is {math.exp(theirs):.1f}, the student's without it {math.exp(2):.1f}: th"
    with pytest.warns(TeacherWarning, match=found) as caught:
        teach(bad, student_of(), validation=HELD, alone=2.0)
    assert caught[0].filename == __file__  # it names the line that asked
    own = math.exp(evaluate(fresh, HELD))
    with pytest.warns(TeacherWarning, match=f"without it {own:.1f}"):  # as good as none
        teach(bad, fresh, validation=HELD)
    with pytest.warns(TeacherWarning):  # without validation the text itself is asked about
        teach(bad, student_of())
    with pytest.warns(TeacherWarning):
        teach(good, student_of(), validation=HELD, alone=evaluate(good, HELD, read_with_loss))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teach(good, student_of(), validation=HELD, alone=theirs)
        teach(good, student_of(), validation=HELD)
        teach(bad, student_of(), validation=HELD, alone=theirs + 1e-3)


# ---- refusals -----------------------------------------------------------------------------


def test_what_does_not_fit_is_refused(passes: Passes) -> None:
    other, taught = student_of(vocab_size=17), passes.batches(TEXT, 5, 20)
    assert isinstance(taught, PassBatches)
    for teacher, student, options, message in (
        (Chain(), other, {}, "teacher has 13 tokens and the student 17: they need one vocabulary"),
        (Chain(), student_of(), {"divergence": "backwards"}, "divergence is one of forward, rever"),
        (Chain(), student_of(), {"alpha": 1.5}, "alpha is 1.5, but is a share between 0 and 1"),
        (Chain(), student_of(), {"temperature": 0}, "temperature is 0, but must be above 0"),
        (passes, student_of(), {"alpha": -1}, "alpha is -1, but is a share between 0 and 1"),
        (passes, student_of(), {"temperature": 2.0}, "made at temperature 1, not 2: a pass serves"),
        (passes, student_of(), {"divergence": "reverse"}, "'forward' and nothing else"),
        (passes, student_of(), {"matches": [Match()]}, "and nothing else: give the teacher itself"),
        (Chain(), student_of(), {"matches": [Match("middle")]}, "the model has no part 'middle'"),
    ):
        with pytest.raises(ValueError, match=message), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            teach(teacher, student, taught, **options)
    with pytest.raises(ValueError, match="pass has a vocabulary of 13 tokens and the student 17"):
        teach(passes, other, taught)
    with pytest.raises(ValueError, match="the batches are its own"):
        teach(passes, student_of(), LITTLE)
