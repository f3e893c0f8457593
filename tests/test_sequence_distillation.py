"""Texts for a student: the teacher's own, or the student's with the teacher's judgement."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from minidistill.batches import ContinuousBatches
from minidistill.device import seeded
from minidistill.distillation import jensen_shannon_loss, soft_target_loss
from minidistill.language_model import LanguageModel
from minidistill.recurrent import GRU
from minidistill.seq2seq import Seq2Seq
from minidistill.sequence_distillation import OnPolicy, taught_pairs, taught_text
from minidistill.training import Recipe, evaluate, fit
from minidistill.transduction import transduce
from tests.training_parts import VOCAB, tiny_batches, tiny_model, tiny_text


class Counter(nn.Module):
    """A teacher that is sure that after k comes k + 1."""

    vocab_size = VOCAB

    def __init__(self) -> None:
        super().__init__()
        self.sure = nn.Parameter(torch.tensor(30.0))

    def forward(self, tokens, state=None, mask=None):
        return self.sure * nn.functional.one_hot((tokens + 1) % VOCAB, VOCAB).float(), state


# What the teacher writes.


def test_the_teacher_s_text_is_the_teacher_s() -> None:
    text = taught_text(Counter(), tiny_text(), 95, prompt=3, length=19, batch_size=2)
    assert text.shape == (95,)
    for row in text.split(19):  # passages, of 19 tokens each
        assert torch.equal(row[1:], (row[:-1] + 1) % VOCAB)


def test_draws_follow_the_teacher_s_probabilities() -> None:
    class Coin(Counter):
        def forward(self, tokens, state=None, mask=None):
            row = torch.tensor([0.5, 0.3, 0.2, 1e-9, 1e-9, 1e-9, 1e-9]).log()
            return row.expand(*tokens.shape, VOCAB) + 0 * self.sure, state

    text = taught_text(Coin(), tiny_text(), 30_000, prompt=1, length=50, batch_size=100)
    shares = torch.bincount(text, minlength=VOCAB) / len(text)
    assert torch.allclose(shares[:3], torch.tensor([0.5, 0.3, 0.2]), atol=0.015)
    assert shares[3:].sum() == 0


def test_the_same_seed_writes_the_same_and_the_mode_is_put_back() -> None:
    model = tiny_model(dropout=0.5).train()
    one, same, other = (taught_text(model, tiny_text(), 40, seed=s, length=11) for s in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert model.training and one.min() >= 0 and one.max() < VOCAB


@pytest.mark.parametrize("bad", [{"tokens": 0}, {"length": 0}, {"prompt": 0}, {"prompt": 500}])
def test_sizes_that_cannot_be(bad: dict) -> None:
    with pytest.raises(ValueError, match="give a longer text"):
        taught_text(Counter(), tiny_text(), **{"tokens": 5, **bad})


def test_pairs_are_what_the_beam_finds() -> None:
    with seeded(0):
        model = Seq2Seq(11, 11, 5, 7, GRU).train()
    sources = [[3, 4, 5], [6], [7, 8]]
    ends = {"bos_id": 1, "eos_id": 2, "padding_id": 0}
    pairs = taught_pairs(model, sources, 6, width=3, **ends)
    assert model.training
    assert [s for s, _ in pairs] == sources
    assert [t for _, t in pairs] == transduce(model.eval(), sources, 6, width=3, **ends)


# What the student writes.


def test_with_no_share_of_its_own_it_is_the_divergence_along_the_text() -> None:
    teacher, student = tiny_model(1).eval(), tiny_model(2)
    student.recurrent.dropout = 0.0
    student.train()
    batch = next(iter(tiny_batches()))
    value, count, state = OnPolicy(teacher, share=0.0, divergence="forward")(student, batch)
    wanted = soft_target_loss(student(batch[0])[0], teacher(batch[0])[0], batch[1] != -100)
    assert torch.allclose(value, wanted, atol=1e-6) and state is None
    assert count == int((batch[1] != -100).sum())


def test_the_student_s_own_words_are_judged_and_only_these() -> None:
    seen = []

    class Listening(Counter):
        def forward(self, tokens, state=None, mask=None):
            seen.append(tokens.clone())
            return super().forward(tokens, state, mask)

    student = tiny_model(2).train()
    batch = next(iter(tiny_batches()))
    torch.manual_seed(5)
    loss = OnPolicy(Listening(), share=1.0, prompt=2)
    value, count, _ = loss(student, batch)
    tokens = seen[0]
    assert torch.equal(tokens[:, :2], batch[0][:, :2])  # the prompt is the text's
    assert not torch.equal(tokens, batch[0])
    assert count == 3 * (7 - 1)  # from the prompt's last token on
    value.backward()
    assert all(p.grad is not None for p in student.parameters())
    student.recurrent.dropout = 0.0
    torch.manual_seed(5)
    again = OnPolicy(Listening(), share=1.0, prompt=2)(student, batch)[0]
    mask = (torch.arange(7) >= 1).expand(3, 7)
    logits, said = student(seen[1])[0], Counter()(seen[1])[0]
    assert torch.allclose(again, jensen_shannon_loss(logits, said, mask), atol=1e-6)


def test_a_student_that_writes_learns_to_go_on_as_its_teacher() -> None:
    text = tiny_batches()
    with seeded(0):
        student = LanguageModel(VOCAB, 8, GRU(8, 16))
    loss = OnPolicy(Counter(), share=0.7, prompt=2, divergence="forward")
    fit(student, text, Recipe(steps=60, learning_rate=2e-2), loss=loss, progress=False)
    with torch.no_grad():
        asked = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0, 1]])
        assert torch.equal(student(asked)[0].argmax(-1), (asked + 1) % VOCAB)


def test_a_resumed_run_draws_the_same(tmp_path) -> None:
    def trained(*steps: int):
        student = tiny_model(2)
        for upto in steps:
            recipe = Recipe(steps=8, checkpoint_every=1)
            loss = OnPolicy(Counter(), share=0.5, prompt=2)
            breaking = _until(loss, upto)
            try:
                fit(
                    student,
                    tiny_batches(),
                    recipe,
                    loss=breaking,
                    checkpoint=tmp_path / f"{len(steps)}.safetensors",
                    progress=False,
                )
            except RuntimeError:
                student = tiny_model(3)
        return student.state_dict()

    whole, broken = trained(99), trained(3, 99)
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def _until(loss: OnPolicy, calls: int):
    """The loss, which breaks at its n-th call."""

    class Breaking:
        made = 0

        def __call__(self, model, batch, state):
            self.made += 1
            if self.made > calls:
                raise RuntimeError
            return loss(model, batch, state)

        def fingerprint(self) -> str:
            return loss.fingerprint()

    return Breaking()


def test_validation_is_the_student_s_cross_entropy() -> None:
    model = tiny_model(1)
    held_out = ContinuousBatches(tiny_text(seed=4), 2, 9)
    assert evaluate(model, held_out, OnPolicy(Counter())) == pytest.approx(
        evaluate(model, held_out)
    )


@pytest.mark.parametrize("bad", [{"share": 1.1}, {"prompt": 0}, {"divergence": "far"}])
def test_settings_that_cannot_be(bad: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        OnPolicy(Counter(), **bad)
