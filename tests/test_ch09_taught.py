"""What chapter 09's master teaches is what the package ships: same code, losses and students."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from minidistill import distillation, distilling, ensemble
from minidistill.batches import IGNORE, ContinuousBatches
from minidistill.device import seeded
from minidistill.language_model import LanguageModel
from minidistill.recurrent import LSTM
from minidistill.teacher_passes import Said
from minidistill.training import Recipe, fit
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

MASTER = ROOT / "solutions" / "09_knowledge_distillation.ipynb"
TAUGHT = {
    "_check": distillation,
    "_exact": distillation,
    "masked_mean": distillation,
    "_log_probabilities": distillation,
    "_kl": distillation,
    "soft_target_loss": distillation,
    "distillation_loss": distillation,
    "logit_loss": distillation,
    "sparse_target_loss": distilling,
    "_shares": ensemble,
    "mean_log_probabilities": ensemble,
}


@pytest.mark.parametrize("name", TAUGHT)
def test_the_code_is_the_same(name: str) -> None:
    taught = definitions(MASTER)[name]
    assert without_docstrings(taught) == without_docstrings(shipped(TAUGHT[name], name))


@pytest.fixture(scope="module")
def taught() -> ModuleType:
    return load(MASTER, list(TAUGHT))


def test_the_functions_were_really_taken_from_the_notebook(taught: ModuleType) -> None:
    for name, module in TAUGHT.items():
        assert getattr(taught, name) is not getattr(module, name)
        assert getattr(taught, name).__code__.co_filename == str(MASTER)


@pytest.mark.parametrize("seed", range(5))
def test_values_and_gradients_are_equal(taught: ModuleType, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    z, t = (torch.randn(3, 5, 11, generator=rng) for _ in range(2))
    targets = torch.randint(11, (3, 5), generator=rng)
    targets[0, 3:], targets[2] = IGNORE, IGNORE
    mask = targets != IGNORE
    said = Said(*reversed(t.softmax(-1).topk(4)), torch.zeros(3, 5))
    said = said._replace(tail=1 - said.shares.sum(-1))
    calls = {
        "soft_target_loss": (z, t, mask, 1.7),
        "distillation_loss": (z, t, targets, 0.7, 1.7),
        "logit_loss": (z, t, mask, 1.0, True),
        "sparse_target_loss": (z, said, mask, 1.7),
    }
    for name, (logits, *rest) in calls.items():
        results = []
        for module in (taught, TAUGHT[name]):
            leaf = logits.clone().requires_grad_()
            value = getattr(module, name)(leaf, *rest)
            results.append((value.detach(), *torch.autograd.grad(value, leaf)))
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True)), name
    for of in ("probabilities", "logits"):
        one, other = (m.mean_log_probabilities([z, t], [1, 2], of) for m in (taught, ensemble))
        assert torch.equal(one, other)


def _model(seed: int, size: int) -> LanguageModel:
    with seeded(seed):
        return LanguageModel(13, size, LSTM(size, size), tied=True)


def test_a_student_trained_with_the_notebooks_loss_is_the_packages(taught: ModuleType) -> None:
    teacher = _model(1, 11).eval()
    ids = torch.randint(13, (211,), generator=torch.Generator().manual_seed(3))
    batches, recipe = ContinuousBatches(ids, 3, 5), Recipe(steps=7, learning_rate=0.01)

    def loss(model, batch, state=None):
        mine, theirs = state or (None, None)
        logits, mine = model(batch[0], mine)
        with torch.no_grad():
            said, theirs = teacher(batch[0], theirs)
        value = taught.distillation_loss(logits, said, batch[1], 0.7, 1.5)
        return value, int((batch[1] != IGNORE).sum()), (mine, theirs)

    by_hand, packaged = _model(0, 7), _model(0, 7)
    one = fit(by_hand, batches, recipe, loss=loss, progress=False)
    other = distilling.distill(
        teacher, packaged, batches, recipe, alpha=0.7, temperature=1.5, progress=False
    )
    assert one.losses == other.losses
    for p, q in zip(by_hand.parameters(), packaged.parameters(), strict=True):
        assert torch.equal(p, q)
