"""What chapter 06's master teaches is what the package ships: same code, numbers and text."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import nn

from minidistill import alignment, attention
from minidistill.batches import PairBatches
from minidistill.device import seeded
from minidistill.recurrent import GRU
from minidistill.seq2seq import Seq2Seq
from minidistill.tasks import BOS, EOS, PADDING, TASK_VOCABULARY_SIZE, reversal
from minidistill.teacher_forcing import pair_loss
from minidistill.training import Recipe, fit
from minidistill.transduction import transduce
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

MASTER = ROOT / "solutions" / "06_bahdanau_attention.ipynb"
TAUGHT = {
    "masked_softmax": attention,
    "additive_score": attention,
    "Attention": attention,
    "AdditiveAttention": attention,
    "dot_score": attention,
    "alignment_accuracy": alignment,
}


@pytest.mark.parametrize("name", TAUGHT)
def test_the_code_is_the_same(name: str) -> None:
    taught = definitions(MASTER)[name]
    assert without_docstrings(taught) == without_docstrings(shipped(TAUGHT[name], name))


@pytest.fixture(scope="module")
def taught() -> ModuleType:
    return load(MASTER, ["_check_mask", *TAUGHT, "plain_score"])


def test_the_class_was_really_taken_from_the_notebook(taught: ModuleType) -> None:
    assert taught.AdditiveAttention is not attention.AdditiveAttention
    assert taught.AdditiveAttention.score.__code__.co_filename == str(MASTER)


def test_the_notebooks_plain_score_is_the_packages(taught: ModuleType) -> None:
    rng = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(*s, generator=rng).double() for s in ((2, 3, 5), (2, 7, 5), (5,)))
    want = attention.additive_score(q, k, v)
    torch.testing.assert_close(taught.plain_score(q, k, v), want, rtol=0, atol=1e-12)


def test_a_mask_that_does_not_fit_is_refused_in_the_notebook_too(taught: ModuleType) -> None:
    scores = torch.zeros(2, 3, 5)
    for mask in (torch.ones(2, 5), torch.ones(7, dtype=torch.bool)):
        with pytest.raises(ValueError, match="does not fit"):
            taught.masked_softmax(scores, mask)


@pytest.mark.parametrize("reader", [True, False])
def test_losses_gradients_and_text_are_equal(taught: ModuleType, reader: bool) -> None:
    pairs = [pair[:2] for pair in reversal(23, (1, 7), seed=5)]
    batches = PairBatches(pairs, 5, padding_id=PADDING, bos_id=BOS, eos_id=EOS)
    results = []
    for kind in (taught.AdditiveAttention, attention.AdditiveAttention):
        model = _model(kind, reader)
        history = fit(model, batches, Recipe(steps=4), loss=pair_loss, progress=False)
        sources = [source for source, _ in pairs[:3]]
        texts = transduce(model, sources, 7, bos_id=BOS, eos_id=EOS, padding_id=PADDING)
        results.append((history.losses, texts, [p.detach() for p in model.parameters()]))
    (losses, texts, weights), (other_losses, other_texts, other_weights) = results
    assert losses == other_losses
    assert texts == other_texts
    assert all(torch.equal(p, q) for p, q in zip(weights, other_weights, strict=True))


def _model(kind: type[nn.Module], reader: bool) -> Seq2Seq:
    size = TASK_VOCABULARY_SIZE
    with seeded(5):
        return Seq2Seq(size, size, 7, 11, GRU, kind, values="embeddings", reader=reader).double()
