"""Tasks with a known alignment, learned: attention finds it, and the fixed context cannot."""

import pytest
import torch

from minidistill.alignment_lesson import (
    Score,
    lesson_batches,
    look_at,
    score_on,
    train_on,
    with_end,
)
from minidistill.attention import AdditiveAttention, ScaledDotAttention
from minidistill.device import seeded
from minidistill.recurrent import LSTM
from minidistill.seq2seq import Seq2Seq
from minidistill.tasks import EOS, TASK_VOCABULARY_SIZE, Aligned, phrase_order, reversal, unspell
from minidistill.teacher_forcing import pair_loss
from tests.pair_models import close
from tests.training_parts import same_weights


def test_what_is_trained_on() -> None:
    batches = lesson_batches(phrase_order, seed=3)
    assert (len(batches), batches.batch_size) == (400, 64)
    lengths = []
    for batch in batches.epoch(0):
        lengths += (batch.source_mask.sum(1) - 1).tolist()
        last = batch.source.gather(1, batch.source_mask.sum(1, keepdim=True) - 1)
        assert bool((last == EOS).all())
    counts = torch.bincount(torch.tensor(lengths))
    assert (len(counts), int(counts[:2].sum()), int(counts.sum())) == (21, 0, 25_600)
    assert bool(((counts[2:15] - 12_800 / 19).abs() < 150).all())
    assert bool(((counts[15:] - (12_800 / 19 + 12_800 / 6)).abs() < 300).all())


def test_the_seed_decides_the_model() -> None:
    one, same, other = (train_on(reversal, seed=seed, steps=2) for seed in (3, 3, 5))
    assert same_weights(one, same) and not same_weights(one, other)
    assert not one.training


class Exact(torch.nn.Module):
    """Writes every reversal, and looks where each letter comes from; past the start, at the end."""

    vocab_size = TASK_VOCABULARY_SIZE

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(()))
        self.shift = shift

    def encode(self, source, mask):
        return source, mask.sum(1) - 1

    def forward(self, tokens, state=None, mask=None, memory=None):
        done = 0 if state is None else int(state[0, 0, 0])
        places = self.places(tokens.size(1), done, memory)
        logits = torch.nn.functional.one_hot(memory[0].gather(1, places), self.vocab_size)
        return logits.float(), torch.full((1, len(tokens), 1), done + tokens.size(1))

    def places(self, count, done, memory):
        """Letter t comes from place n - 1 - t, and the end from place n."""
        n = memory[1][:, None]
        places = n - 1 - torch.arange(done, done + count)
        return torch.where(places < 0, n, places)

    def look(self, tokens, memory, mask=None):
        places = self.places(tokens.size(1), 0, memory)
        return torch.nn.functional.one_hot((places + self.shift) % memory[0].size(1)).float()


def test_score_by_hand() -> None:
    assert score_on(Exact(), reversal, 7, count=11) == Score(1.0, 1.0)
    assert score_on(Exact(shift=1), reversal, 7, count=11) == Score(1.0, 0.0)
    wrong = score_on(Exact(), phrase_order, 11, count=97)
    assert wrong.exact < 0.3 and wrong.alignment < 0.5


def test_spaces_are_not_counted() -> None:
    def only_task(count: int, lengths: tuple[int, int], seed: int) -> list[Aligned]:
        # Reversed, but for the origin of the space, which `Exact` then has wrong.
        source = unspell("ab cde")
        return [Aligned(source, source.flip(0), torch.tensor([5, 4, 3, 0, 1, 0]))] * count

    assert score_on(Exact(), only_task, 6, count=3) == Score(1.0, 1.0)


def test_where_it_looks() -> None:
    with seeded(3):
        model = Seq2Seq(TASK_VOCABULARY_SIZE, TASK_VOCABULARY_SIZE, 5, 7, LSTM, AdditiveAttention)
    made = reversal(3, (2, 9), seed=1)
    weights = look_at(model, made)
    assert model.training
    for one, found in zip(made, weights, strict=True):
        n = len(one.source)
        assert with_end(one.source).tolist() == [*one.source.tolist(), EOS]
        close(found[: n + 1, : n + 1], look_at(model, [one])[0], 1e-6)
        close(found[: n + 1, : n + 1].sum(1), torch.ones(n + 1), 1e-6)


def test_other_parts_may_be_given() -> None:
    model = train_on(
        phrase_order,
        ScaledDotAttention,
        values="states",
        steps=1,
        # A scaled dot product needs one size: the encoder of a plain layer has H, not 2 H.
        layer=lambda i, h, bidirectional=False: LSTM(
            i, h // (1 + bidirectional), bidirectional=bidirectional
        ),
    )
    assert isinstance(model.decoder.attention, ScaledDotAttention)
    assert score_on(model, phrase_order, 5, count=3).exact == 0.0
    fixed = train_on(reversal, None, steps=1)
    assert score_on(fixed, reversal, 5, count=3) == Score(0.0, None)


def test_short_training_is_on_its_way() -> None:
    """A few steps are enough to see that it learns: the smoke test of the bar below."""
    first, later = (train_on(reversal, seed=1, steps=steps) for steps in (1, 40))
    batch = next(lesson_batches(reversal, seed=7).epoch(0))
    with torch.no_grad():
        before, after = (float(pair_loss(model, batch)[0]) for model in (first, later))
    assert after < before - 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_attention_finds_the_alignment_of_a_reversal(seed: int) -> None:
    score = score_on(train_on(reversal, seed=seed), reversal, 20)
    assert score.exact >= 0.99 and score.alignment >= 0.95


@pytest.mark.slow
def test_attention_finds_the_alignment_of_phrases() -> None:
    score = score_on(train_on(phrase_order), phrase_order, 20)
    # 0.99 and more where it was measured, with little to spare: see benchmarks/alignment.py.
    assert score.exact >= 0.97 and score.alignment >= 0.95


@pytest.mark.slow
def test_the_fixed_context_cannot() -> None:
    assert score_on(train_on(reversal, None), reversal, 20).exact <= 0.10
