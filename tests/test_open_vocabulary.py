"""Words cut away: bits of a text that spells them, spellers, and teachers of the whole."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.batches import IGNORE, ContinuousBatches
from minidistill.common_pieces import common_pieces
from minidistill.device import seeded
from minidistill.distillation import soft_target_loss
from minidistill.distilling import distill
from minidistill.language_model import LanguageModel, eval_mode
from minidistill.open_vocabulary import OpenTeacher, Speller, open_vocabulary_bits
from minidistill.pass_writing import write_passes
from minidistill.piece_map import PieceMap
from minidistill.recurrent import LSTM
from minidistill.training import Recipe
from minidistill.vocabulary import (
    BytePairVocabulary,
    CharacterVocabulary,
    SpacedWordVocabulary,
    WordVocabulary,
)
from tests.test_ngram import Reference

# ---- bits ----------------------------------------------------------------------------------


def test_bits_by_hand() -> None:
    # p = 1/2 for a known word; 1/4 for <unk>, whose word is spelled for 3 bits. 7 characters.
    p = torch.tensor([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])
    targets, spelling = torch.tensor([1, 0]), torch.tensor([9.0, 3 * math.log(2)])
    bits = open_vocabulary_bits(p.log(), targets, spelling, 7)
    assert bits.shape == () and float(bits) == pytest.approx((1 + 2 + 3) / 7)
    # Another id of <unk>: now the first word is spelled.
    bits = open_vocabulary_bits(p.log() + 3, targets, spelling, 7, unknown_id=1)
    assert float(bits) == pytest.approx((1 + 2 + 9 / math.log(2)) / 7)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(5,), (3, 5), (2, 3, 2), (1, 1)]), st.booleans())
def test_bits_by_loops(seed: int, shape: tuple[int, ...], masked: bool) -> None:
    generator, size = torch.Generator().manual_seed(seed), 4
    logits = 2 * torch.randn(*shape, size, generator=generator, dtype=torch.float64)
    targets = torch.randint(size, shape, generator=generator)
    spelling = 5 * torch.rand(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < 0.7
    mine, theirs = (logits.clone().requires_grad_() for _ in range(2))
    nats = torch.zeros((), dtype=torch.float64)
    for at in itertools.product(*map(range, shape)):
        if masked and not mask[at]:
            continue
        row, target = theirs[at], int(targets[at])
        nats = nats - (row[target].exp() / row.exp().sum()).log()
        if target == 2:
            nats = nats + spelling[at]
    expected = nats / (math.log(2) * 17)
    found = open_vocabulary_bits(mine, targets, spelling, 17, 2, mask if masked else None)
    assert torch.allclose(found, expected, rtol=1e-12, atol=0) and found.dtype == torch.float64
    found.backward()
    if expected.requires_grad:
        expected.backward()
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-15)
    else:  # nothing is real
        assert float(found.detach()) == 0 and not mine.grad.any()


def test_what_stands_at_padding_reaches_nothing() -> None:
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
    targets = torch.randint(5, (3, 4), generator=torch.Generator().manual_seed(2))
    targets[0, 0], targets[0, 1] = 0, 1
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1, 2:], mask[2] = False, False
    spelling = torch.where(targets == 0, 2.5, torch.nan)  # anything where nothing is spelled
    clean = logits.clone().requires_grad_()
    expected = open_vocabulary_bits(clean, targets, spelling.nan_to_num(), 11, mask=mask)
    expected.backward()
    for bad in (torch.nan, torch.inf, -torch.inf):
        dirty, wrong = logits.clone(), targets.clone()
        dirty[~mask], wrong[~mask] = bad, IGNORE
        dirty.requires_grad_()
        nowhere = spelling.clone()
        nowhere[~mask] = bad
        found = open_vocabulary_bits(dirty, wrong, nowhere, 11, mask=mask)
        found.backward()
        assert torch.equal(found, expected) and torch.equal(dirty.grad, clean.grad)
    assert not clean.grad[~mask].any() and clean.grad[mask].any(-1).all()


def test_bits_of_half_precision_are_summed_in_single() -> None:
    logits = torch.randn(2, 300, 50, generator=torch.Generator().manual_seed(1)).half()
    targets, spelling = torch.zeros(2, 300, dtype=torch.long), torch.full((2, 300), 7.0)
    found = open_vocabulary_bits(logits, targets, spelling.double(), 100)
    right = open_vocabulary_bits(logits.double(), targets, spelling.double(), 100)
    assert found.dtype == torch.float and float(found) == pytest.approx(float(right), rel=1e-6)


def test_spelling_costs_nothing_of_the_logits() -> None:
    """The price of a spelling is a constant to the model, but may be another model's output."""
    spelling = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    logits = torch.zeros(3, 2)
    open_vocabulary_bits(logits, torch.tensor([0, 1, 0]), spelling, 10).backward()
    assert spelling.grad.tolist() == pytest.approx([0.1 / math.log(2), 0, 0.1 / math.log(2)])


def test_bits_of_what_does_not_fit() -> None:
    logits, row = torch.zeros(2, 3, 5), torch.zeros(2, 3)
    ids = row.long()
    for targets, spelling, mask, name in (
        (ids[:1], row, None, r"targets is \(1, 3\)"),
        (ids.flatten(), row, None, "targets"),
        (ids, row[:, :2], None, r"spelling_nats is \(2, 2\) and logits \(2, 3, 5\)"),
        (ids, row, ids[:, :1].bool(), "mask is"),
        (ids, row, ids, "mask is of torch.int64: one True or False"),
        (ids, row, row, "mask is of"),
    ):
        with pytest.raises(ValueError, match=name):
            open_vocabulary_bits(logits, targets, spelling, 7, mask=mask)
    for count in (0, -3):
        with pytest.raises(ValueError, match=rf"at least one character, got {count}"):
            open_vocabulary_bits(logits, ids, row, count)


# ---- spelling ------------------------------------------------------------------------------

SPELLED = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=1, max_size=9)


def by_formula(words: list, asked: list, pieces: int, order: int) -> list[float]:
    """Each word by itself, after as many ends as the n-gram sees, piece by piece, in fractions."""
    pause = [pieces] * max(order - 1, 1)
    stream = [*pause]
    for word in words:
        stream += [*word, *pause]
    model, costs = Reference(order, pieces + 1, stream), []
    for word in asked:
        read, cost = list(pause), 0.0
        for piece in [*word, pieces]:  # its end once
            cost -= math.log(model.p(piece, tuple(read)))
            read.append(piece)
        costs.append(cost)
    return costs


@settings(max_examples=60, deadline=None)
@given(SPELLED, SPELLED, st.integers(1, 5))
def test_a_word_costs_what_the_formula_says(words: list, asked: list, order: int) -> None:
    found = Speller(words, 3, order).nats(asked)
    assert found.dtype == torch.float64 and found.shape == (len(asked),)
    assert found.tolist() == pytest.approx(by_formula(words, asked, 3, order), rel=1e-9)


def test_the_usual_order_is_four() -> None:
    words = [[0, 1, 2, 0, 1, 2], [0, 1, 2, 1], [2, 1, 0, 1, 2, 0]]
    found = [Speller(words, 3, order).nats(words).tolist() for order in (3, 4, 5)]
    assert Speller(words, 3).nats(words).tolist() == found[1] and found[1] not in found[::2]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_all_words_together_have_probability_one_at_most(order: int) -> None:
    speller = Speller([[0], [1, 0], [0], [1], [0, 0], [1, 0], [0, 1]], 2, order)
    sums, total = [], 0.0
    for length in range(11):
        strings = [list(word) for word in itertools.product(range(2), repeat=length)]
        total += float(speller.nats(strings).neg().exp().sum())
        sums.append(total)
    assert sums == sorted(sums) and sums[1] < sums[-1] <= 1 + 1e-12
    assert sums[-1] > 0.98  # the rest are words of more than ten pieces


@settings(max_examples=40, deadline=None)
@given(SPELLED, SPELLED, st.integers(1, 5))
def test_neighbours_in_the_list_change_nothing(words: list, asked: list, order: int) -> None:
    speller = Speller(words, 3, order)
    alone = torch.cat([speller.nats([word]) for word in asked])
    assert torch.allclose(speller.nats(asked), alone, rtol=1e-12)
    assert torch.allclose(speller.nats(asked[::-1]), alone.flip(0), rtol=1e-12)
    assert bool((alone > 0).all() and alone.isfinite().all())


def test_what_was_seen_is_cheaper_and_nothing_is_free() -> None:
    speller = Speller([[0, 1, 2, 3]] * 5 + [[3, 2]], 50)
    seen, other, strange = speller.nats([[0, 1, 2, 3], [2, 0, 3, 1], [48, 49, 47, 48]]).tolist()
    assert 0 < seen < other < strange < math.inf
    assert speller.nats([]).shape == (0,) and speller.nats([]).dtype == torch.float64


def test_words_that_cannot_be_spelled() -> None:
    for words in ([], [[]], [[0, 1], []]):
        with pytest.raises(ValueError, match="no words to learn spelling from, or one has no piec"):
            Speller(words, 3)
    for piece in (-1, 3, 4):  # 3 is the end, which is no piece
        with pytest.raises(ValueError, match="a piece is not a number from 0 to 2"):
            Speller([[0, 1], [piece]], 3)
        with pytest.raises(ValueError, match="a piece is not a number from 0 to 2"):
            Speller([[0, 1]], 3).nats([[0], [1, piece]])
    with pytest.raises(ValueError, match="order must be at least 1"):
        Speller([[0]], 3, 0)


# ---- a teacher of the whole vocabulary -----------------------------------------------------

TEXT = "the cat saw the dog, the cat saw a bird and the dog saw a tree; the bird saw it.\n" * 2
TEXT += "rare rare rare rarer rarer rarest"
WHOLE = SpacedWordVocabulary.build(TEXT, specials=["<bos>"])
KNOWN = WHOLE.cut(9)
W, V = len(WHOLE), len(KNOWN)


def small_teacher(vocab_size: int = V) -> LanguageModel:
    with seeded(3):
        model = LanguageModel(vocab_size, 5, LSTM(5, 7), dropout=0.4)
        nn.init.normal_(model.readout.weight, std=2.0)
    return model


def opened() -> OpenTeacher:
    return OpenTeacher(small_teacher(), KNOWN, WHOLE).eval()


def tokens_of(*shape: int) -> Tensor:
    return torch.randint(1, W, shape, generator=torch.Generator().manual_seed(7))


def test_every_row_by_hand() -> None:
    teacher, tokens = opened(), tokens_of(2, 11)
    assert teacher.vocab_size == W and bool((tokens >= V).any())
    log_p, _ = teacher(tokens)
    with torch.no_grad():
        asked = tokens.clone()
        asked[asked >= V] = 0
        p = teacher.teacher(asked)[0].softmax(-1)
    assert log_p.shape == (2, 11, W) and torch.equal(
        teacher.teacher(asked)[0], teacher.teacher(asked)[0]
    )
    cut_away = WHOLE.counts[V:]
    for b, t in itertools.product(range(2), range(11)):
        expected = [0.0, *p[b, t, 1:].tolist()]
        expected += [float(p[b, t, 0]) * count / sum(cut_away) for count in cut_away]
        assert log_p[b, t].exp().tolist() == pytest.approx(expected, rel=1e-5)
    assert bool((log_p[..., 0] == -torch.inf).all()) and log_p[..., 1:].isfinite().all()


def test_rows_sum_to_one_and_rare_words_keep_their_ratios() -> None:
    log_p = opened()(tokens_of(3, 7))[0].double()
    assert torch.allclose(log_p.exp().sum(-1), torch.ones(3, 7, dtype=torch.float64), atol=1e-6)
    once = WHOLE.token_to_id[" rarest"]
    assert WHOLE.counts[once] == 1 and once >= V
    ratio = (log_p[..., V:] - log_p[..., once, None]).exp()
    counts = torch.tensor(WHOLE.counts[V:], dtype=torch.float64)
    assert torch.allclose(ratio, counts.expand_as(ratio), rtol=1e-5) and counts.unique().numel() > 1


def test_it_reads_step_by_step_as_at_once() -> None:
    teacher, tokens = opened(), tokens_of(2, 9)
    whole, last = teacher(tokens, None)
    state, rows = None, []
    for t in range(9):
        row, state = teacher(tokens[:, t : t + 1], state)
        rows.append(row)
    assert torch.allclose(torch.cat(rows, 1), whole, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(state, last, strict=True))
    middle = teacher(tokens[:, :4])[1]
    assert torch.allclose(teacher(tokens[:, 4:], middle)[0], whole[:, 4:], atol=1e-6)


def test_it_hands_the_mask_on_and_reads_in_the_mode_it_is_in() -> None:
    teacher, tokens = opened(), tokens_of(2, 6)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 3:] = False
    full, state = teacher(tokens, None, mask=mask)
    short, shorter = teacher(tokens[1:, :3])
    assert torch.allclose(full[1, :3], short[0], atol=1e-6)
    assert torch.allclose(state[0][:, 1], shorter[0][:, 0], atol=1e-6)
    teacher.train()
    assert not torch.equal(teacher(tokens)[0], teacher(tokens)[0])  # dropout
    with eval_mode(teacher):
        assert torch.equal(teacher(tokens)[0], teacher(tokens)[0])


def test_a_word_s_count_of_nought_is_no_nan() -> None:
    never = SpacedWordVocabulary(WHOLE.tokens, WHOLE.specials, [*WHOLE.counts[:-2], 0, 0])
    log_p = OpenTeacher(small_teacher(), KNOWN, never).eval()(tokens_of(2, 5))[0]
    assert bool((log_p[..., -2:] == -torch.inf).all()) and not log_p.isnan().any()
    assert torch.allclose(log_p.exp().sum(-1), torch.ones(2, 5))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_student_s_loss_against_it_is_finite(temperature: float) -> None:
    with torch.no_grad():
        said = opened()(tokens_of(3, 4))[0]
    logits = torch.randn(3, 4, W, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = soft_target_loss(logits, said, temperature=temperature)
    loss.backward()
    p, q = (said / temperature).softmax(-1).double(), (logits / temperature).softmax(-1).double()
    expected = temperature**2 * (torch.special.xlogy(p, p) - torch.special.xlogy(p, q)).sum(-1)
    assert float(loss.detach()) == pytest.approx(float(expected.mean().detach()), rel=1e-4)
    assert bool(logits.grad.isfinite().all()) and bool(logits.grad.any())
    # Of <unk> it says 0, so the student is pulled away from it.
    assert bool((logits.grad[..., 0] > 0).all())


def test_a_student_of_the_whole_vocabulary_learns_from_it() -> None:
    ids = torch.tensor(WHOLE.encode(TEXT))
    with seeded(0):
        student = LanguageModel(W, 8, LSTM(8, 8))
    batches = ContinuousBatches(ids, 2, 9)
    history = distill(
        opened(), student, batches, Recipe(60, 2e-2), alpha=1.0, alone=99.0, progress=False
    )
    assert all(map(math.isfinite, history.losses)) and history.losses[-1] < history.losses[0]
    with torch.no_grad():
        said = student(ids[None, :20])[0].softmax(-1)
    assert float(said[..., 0].max()) < 0.02 < 1 / W  # <unk>, which nobody said
    state_dict = opened().state_dict()
    assert "shares" in state_dict and state_dict["shares"].shape == (W - V,)


def test_carried_over_to_pieces(tmp_path: Path) -> None:
    pieces = common_pieces([WHOLE], [TEXT], 270)
    spelling, teacher = PieceMap(WHOLE, pieces), opened()
    ids = torch.tensor(WHOLE.encode(TEXT))
    assert 0 not in ids and spelling.encode(ids).tolist() == pieces.encode(TEXT)
    with torch.no_grad():
        p = teacher(ids[None, :-1])[0][0].exp()
    rows = spelling.rows(p, ids[1:])
    assert rows.isfinite().all() and torch.allclose(rows.sum(1), torch.ones(len(rows)), atol=1e-5)
    said = write_passes(
        tmp_path, teacher, ids, top_k=len(pieces), spelling=spelling, progress=False
    )
    said.check(pieces.encode(TEXT), len(pieces))
    first = len(spelling.spelled[int(ids[0])]) - 1
    kept = said.at(first, first + 60)  # of the first tokens after the text's first
    dense = torch.zeros(60, len(pieces)).scatter_add(1, kept.ids, kept.shares)
    begins = torch.tensor([len(spelling.spelled[i]) for i in ids[1:].tolist()]).cumsum(0).tolist()
    inside = [n for n in range(60) if n not in [0, *begins]]  # a border looks at the row before
    assert len(inside) > 20 and torch.allclose(dense[inside], rows[:60][inside], atol=1e-5)


def test_characters_too() -> None:
    whole = CharacterVocabulary.build("aaaabbbccd")
    log_p = OpenTeacher(small_teacher(3), whole.cut(3), whole).eval()(torch.tensor([[3, 1, 4]]))[0]
    assert log_p.shape == (1, 3, 5) and bool((log_p[..., 0] == -torch.inf).all())
    assert torch.allclose(log_p[..., 3].exp(), 2 * log_p[..., 4].exp())  # c twice, d once


def test_vocabularies_that_do_not_fit() -> None:
    teacher, other = small_teacher(), SpacedWordVocabulary.build(TEXT[::-1], specials=["<bos>"])
    pairs = BytePairVocabulary.train(TEXT, 300)
    words = WordVocabulary.build(TEXT, specials=["<bos>"])
    for known, whole in ((other.cut(9), WHOLE), (WHOLE, KNOWN), (pairs.cut(260), pairs),
                         (words.cut(9), WHOLE)):  # fmt: skip
        with pytest.raises(ValueError, match="`known` should be `whole` cut to a smaller size"):
            OpenTeacher(teacher, known, whole)
    silent = SpacedWordVocabulary(WHOLE.tokens, WHOLE.specials)
    never = SpacedWordVocabulary(WHOLE.tokens, WHOLE.specials, [0] * W)
    for known, whole in ((KNOWN, silent), (WHOLE, WHOLE), (KNOWN, never)):
        message = rf"of {len(whole)} tokens {len(known)} are known: .* and their counts"
        with pytest.raises(ValueError, match=message):
            OpenTeacher(teacher, known, whole)
    with pytest.raises(
        ValueError, match=rf"the teacher says {V + 1} tokens and its vocabulary {V}"
    ):
        OpenTeacher(small_teacher(V + 1), KNOWN, WHOLE)
