"""The pass that comes with the course belongs to its teacher and its text, and teaches."""

from __future__ import annotations

import pytest
import torch

from minidistill import Recipe, evaluate, fit
from minidistill.batches import ContinuousBatches
from minidistill.device import seeded
from minidistill.distilling import PassTargets
from minidistill.language_model import LanguageModel
from minidistill.novels import load_novel
from minidistill.pass_writing import weights_hash
from minidistill.paths import data_folder
from minidistill.recurrent import LSTM
from minidistill.teacher_passes import Passes
from minidistill.writers import load_writer


@pytest.fixture(scope="module")
def parts():
    teacher, vocabulary = load_writer("teacher_en")
    split = load_novel().split()
    train, held = (torch.tensor(vocabulary.encode(p.text)) for p in split[:2])
    return teacher, Passes(data_folder() / "passes" / "house_en"), train, held


def test_it_belongs_to_its_teacher_and_its_text(parts) -> None:
    teacher, passes, train, _ = parts
    assert passes.about["teacher"] == weights_hash(teacher)
    passes.check(train, teacher.vocab_size)
    files = list(passes.folder.iterdir())
    assert sum(file.stat().st_size for file in files) < 4_000_000


def test_its_draws_are_the_teacher_s(parts) -> None:
    """The teacher finds what was drawn as likely as its own rows say that it should."""
    teacher, passes, train, _ = parts
    teacher.recurrent.engine = "torch"
    start, count, before = 20_000, 256, 64
    with torch.no_grad():
        logits, _ = teacher(train[None, start - before : start + count])
    log_p = logits[0, before:].log_softmax(-1)
    ids = passes.at(start, start + count).ids
    found = log_p.gather(-1, ids).mean()
    entropy = (log_p.exp() * log_p).sum(-1).mean()
    assert float(found - entropy) == pytest.approx(0, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_student_learns_more_from_it_than_from_the_text_alone(parts, seed: int) -> None:
    _, passes, train, held = parts

    def student() -> LanguageModel:
        with seeded(seed):
            return LanguageModel(4096, 48, LSTM(48, 48, engine="torch"), tied=True)

    recipe = Recipe(150, 1e-2, seed=seed)
    alone, taught = student(), student()
    fit(alone, ContinuousBatches(train, 16, 35), recipe, progress=False)
    laid = passes.batches(train, 16, 35)
    fit(taught, laid, recipe, loss=PassTargets(0.9), progress=False)
    held_out = ContinuousBatches(held, 4, 64)
    assert evaluate(taught, held_out) < evaluate(alone, held_out) - 0.03
