"""A teacher's tokens in a student's pieces: spellings, and probabilities added up over them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.novels import load_novel
from minidistill.piece_map import PieceMap, next_piece
from minidistill.vocabulary import (
    BytePairVocabulary,
    CharacterVocabulary,
    SpacedWordVocabulary,
    WordVocabulary,
)

TEXT = load_novel().split().train.text[:60_000]
HAN = load_novel(language="zh").split().train.text[:20_000]


class Spelled:
    """A vocabulary of so many tokens; its map gives the spellings."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


def made(spelled: list[tuple[int, ...]], pieces: int) -> PieceMap:
    return PieceMap(Spelled(len(spelled)), Spelled(pieces), spelled)


# Spellings.


@pytest.mark.parametrize("size", [257, 300, 512, 900])
@pytest.mark.parametrize("text", [TEXT, HAN])
def test_pieces_of_byte_pairs_are_the_text_as_the_student_cuts_it(text: str, size: int) -> None:
    teacher = BytePairVocabulary.train(text, 1200, specials=["<bos>"])
    student = BytePairVocabulary.train(text, 1200, specials=["<bos>"]).cut(size)
    pieces = PieceMap(teacher, student).encode(teacher.encode(text))
    assert pieces.tolist() == student.encode(text)


def test_characters_are_spelled_in_bytes() -> None:
    teacher = CharacterVocabulary.build(HAN, 500, specials=["<pad>"])
    student = BytePairVocabulary.train(HAN, 400)
    spelling = PieceMap(teacher, student)
    known = "".join(c for c in HAN[:2000] if c in teacher.token_to_id)
    assert student.decode(spelling.encode(teacher.encode(known))) == known
    assert spelling.spelled[0] == () and spelling.spelled[1] == ()  # <unk> and <pad> are no text
    with pytest.raises(ValueError, match="token 0 is unknown or special"):
        spelling.encode([0])


def test_what_the_student_cannot_spell_is_named() -> None:
    teacher, student = CharacterVocabulary.build("abc"), CharacterVocabulary.build("ab")
    with pytest.raises(ValueError, match="3 pieces cannot spell the teacher's token 'c'"):
        PieceMap(teacher, student)


def test_words_take_spellings_of_their_own() -> None:
    teacher = WordVocabulary.build("the river the rivers a")
    student = CharacterVocabulary.build(" aehirstv")
    spelled = [
        () if i == teacher.unknown_id else tuple(student.encode(" " + word))
        for i, word in enumerate(teacher.tokens)
    ]
    spelling = PieceMap(teacher, student, spelled)
    assert student.decode(spelling.encode(teacher.encode("the river"))) == " the river"
    with pytest.raises(ValueError, match=r"1 spellings for \d tokens"):
        PieceMap(teacher, student, spelled[:1])
    with pytest.raises(ValueError, match="nothing to spell"):
        PieceMap(teacher, student, [() for _ in spelled])


# Probabilities.


def test_a_case_worked_by_hand() -> None:
    """Tokens ab, ac, b with probabilities .5, .2, .3; pieces a, b, c are 0, 1, 2."""
    spelling = made([(0, 1), (0, 2), (1,)], 3)
    p = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]], dtype=torch.float64)
    q = spelling.rows(p, [0, 2])  # the text a b | b
    wanted = [[0.7, 0.3, 0], [0, 5 / 7, 2 / 7], [0.2, 0.8, 0]]
    assert torch.allclose(q, torch.tensor(wanted, dtype=torch.float64), atol=1e-12)


def test_at_a_token_s_end_it_may_go_on() -> None:
    """Tokens a and ab: after the piece a, the token was a (.6) or becomes ab (.2)."""
    spelling = made([(0,), (0, 1), (2,)], 3)
    p = torch.tensor([[0.6, 0.2, 0.2], [0.5, 0.0, 0.5]], dtype=torch.float64)
    q = spelling.rows(p, [0, 2])
    first = torch.tensor([0.8, 0, 0.2], dtype=torch.float64)
    second = torch.tensor([0.6 * 0.5, 0.2, 0.6 * 0.5], dtype=torch.float64) / 0.8
    assert torch.allclose(q, torch.stack([first, second]), atol=1e-12)


def by_definition(spelled: list, pieces: int, p: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """The same sums, over all tokens, for each piece one by one."""
    rows = []
    for at, i in enumerate(ids):
        for length in range(len(spelled[i])):
            begun, row = spelled[i][:length], torch.zeros(pieces, dtype=torch.float64)
            for token, other in enumerate(spelled):
                if other[:length] == begun and len(other) > length:
                    row[other[length]] += p[at, token]
            row = row / row.sum()
            if length == 0 and at > 0:
                last = spelled[ids[at - 1]]
                longer = torch.zeros(pieces, dtype=torch.float64)
                whole = torch.zeros((), dtype=torch.float64)
                for token, other in enumerate(spelled):
                    if other == last:
                        whole += p[at - 1, token]
                    elif other[: len(last)] == last:
                        longer[other[len(last)]] += p[at - 1, token]
                row = (whole * row + longer) / (whole + longer.sum())
            rows.append(row)
    return torch.stack(rows)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_are_the_sums_that_they_are_defined_as(data) -> None:
    pieces = data.draw(st.integers(2, 5))
    spelling = st.lists(st.integers(0, pieces - 1), min_size=1, max_size=4).map(tuple)
    spelled = data.draw(st.lists(spelling, min_size=1, max_size=13))
    spelled.insert(data.draw(st.integers(0, len(spelled))), ())  # a special token
    texts = [i for i, row in enumerate(spelled) if row]
    ids = data.draw(st.lists(st.sampled_from(texts), min_size=1, max_size=7))
    seed = data.draw(st.integers(0, 1000))
    generator = torch.Generator().manual_seed(seed)
    p = torch.randn(len(ids), len(spelled), generator=generator, dtype=torch.float64).softmax(-1)
    text_only = p.clone()
    text_only[:, [i for i, row in enumerate(spelled) if not row]] = 0
    text_only /= text_only.sum(1, keepdim=True)
    found = made(spelled, pieces).rows(p, ids)
    assert torch.allclose(found, by_definition(spelled, pieces, text_only, ids), atol=1e-9)
    assert torch.allclose(found.sum(1), torch.ones(len(found), dtype=torch.float64))


def test_where_no_spelling_begins_another_the_text_costs_the_same() -> None:
    """Then nothing is left out: the product over pieces is the product over tokens."""
    spelled = [(0, 0), (0, 1), (1, 0, 0), (1, 0, 1), (1, 1), (2,)]
    p = torch.randn(7, 6, generator=torch.Generator().manual_seed(3)).double().softmax(-1)
    ids = [0, 3, 5, 4, 2, 1, 3]
    spelling = made(spelled, 3)
    q, pieces = spelling.rows(p, ids), spelling.encode(ids)
    nats = -q[torch.arange(len(pieces)), pieces].log().sum()
    assert torch.allclose(nats, -p[torch.arange(7), ids].log().sum())


def test_the_whole_vocabulary_is_itself() -> None:
    vocabulary = BytePairVocabulary.train(TEXT, 400)
    ids = vocabulary.encode(TEXT[:300])
    spelling = PieceMap(vocabulary, vocabulary)
    p = torch.randn(len(ids), 400, generator=torch.Generator().manual_seed(0)).softmax(-1)
    assert torch.allclose(spelling.rows(p, ids), p, atol=1e-6)


def test_a_token_of_probability_zero_gives_no_nan() -> None:
    spelling = made([(0, 1), (0, 2), (1,)], 3)
    q = spelling.rows(torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), [0, 0])
    assert bool(q.isfinite().all())


@pytest.mark.parametrize("shape", [(2, 2), (1, 3), (2,)])
def test_shapes_that_do_not_fit(shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"should be \(2, 3\)"):
        made([(0, 1), (0, 2), (1,)], 3).rows(torch.ones(shape), [0, 2])


# The definition, for one beginning.


@st.composite
def spellings(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], int]:
    """Spellings of some tokens, one of them no text, and how many pieces there are."""
    pieces = draw(st.integers(2, 5))
    spelling = st.lists(st.integers(0, pieces - 1), min_size=1, max_size=4).map(tuple)
    spelled = draw(st.lists(spelling, min_size=1, max_size=13))
    spelled.insert(draw(st.integers(0, len(spelled))), ())
    return spelled, pieces


def random_rows(count: int, size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64).softmax(-1)


def test_the_next_piece_by_hand() -> None:
    """Tokens ab, ac, a, b and one that is no text; pieces a, b, c are 0, 1, 2."""
    spelled, p = [(0, 1), (0, 2), (0,), (1,), ()], torch.tensor([[0.1, 0.2, 0.15, 0.05, 0.5]])
    assert torch.allclose(next_piece(p, spelled, (), 3), torch.tensor([[0.9, 0.1, 0.0]]))
    assert torch.allclose(next_piece(p, spelled, (0,), 3), torch.tensor([[0, 1 / 3, 2 / 3]]))
    assert next_piece(p, spelled, [0], 4).shape == (1, 4)
    with pytest.raises(ValueError, match=r"no token begins with the pieces \(1,\) and goes on"):
        next_piece(p, spelled, (1,), 3)


@settings(max_examples=60, deadline=None)
@given(spellings(), st.integers(0, 1000))
def test_the_next_piece_by_loops(made_up: tuple, seed: int) -> None:
    spelled, pieces = made_up
    p = random_rows(3, len(spelled), seed)
    for begun in {row[:n] for row in spelled for n in range(len(row) + 1)}:
        expected = torch.zeros(3, pieces, dtype=torch.float64)
        for n in range(3):
            for v, row in enumerate(spelled):
                if row[: len(begun)] == begun and len(row) > len(begun):
                    expected[n, row[len(begun)]] += p[n, v]
        if not expected.any():  # it is a whole token's end, and no longer one begins so
            with pytest.raises(ValueError, match="and goes on"):
                next_piece(p, spelled, begun, pieces)
            continue
        found = next_piece(p, spelled, begun, pieces)
        assert torch.allclose(found, expected / expected.sum(1, keepdim=True), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(spellings(), st.integers(0, 1000), st.data())
def test_inside_a_token_the_map_says_the_same(made_up: tuple, seed: int, data) -> None:
    spelled, pieces = made_up
    texts = [i for i, row in enumerate(spelled) if row]
    ids = data.draw(st.lists(st.sampled_from(texts), min_size=1, max_size=7))
    p = random_rows(len(ids), len(spelled), seed)
    rows, done = made(spelled, pieces).rows(p, ids), 0
    for at, i in enumerate(ids):
        for length in range(len(spelled[i])):
            if length > 0 or at == 0:  # at a token's start the map adds what the last may become
                right = next_piece(p[at : at + 1], spelled, spelled[i][:length], pieces)[0]
                assert torch.allclose(rows[done + length], right, atol=1e-9)
        done += len(spelled[i])


def test_the_next_piece_of_nothing_is_nothing() -> None:
    spelled, p = [(0, 1), (0, 2), (1,)], torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    found = next_piece(p, spelled, (0,), 3)
    assert found.tolist() == [[0, 0, 0], [0, 0.5, 0.5]] and found.dtype == p.dtype
    p.requires_grad_()
    next_piece(p, spelled, (0,), 3).square().sum().backward()
    assert bool(p.grad.isfinite().all())


def test_the_next_piece_of_what_does_not_fit() -> None:
    spelled = [(0, 1), (0, 2), (1,)]
    for shape in ((2, 2), (3,), (1, 2, 3)):
        with pytest.raises(ValueError, match=r"and 3 tokens are spelled: one row"):
            next_piece(torch.ones(shape), spelled, (), 3)
    for bad in ([(0, 1), (0, 3), (1,)], [(0, 1), (0, -1), (1,)]):
        with pytest.raises(ValueError, match="a piece is not a number from 0 to 2"):
            next_piece(torch.ones(1, 3), bad, (1,), 3)
    with pytest.raises(ValueError, match=r"no token begins with the pieces \(2,\)"):
        next_piece(torch.ones(1, 3), spelled, (2,), 3)


# Words with their spaces.


def test_a_vocabulary_of_words_without_spaces_is_refused() -> None:
    teacher, student = WordVocabulary.build(TEXT[:2000]), BytePairVocabulary.train(TEXT, 300)
    with pytest.raises(ValueError, match=r"does not know where spaces stand.*SpacedWordVocabulary"):
        PieceMap(teacher, student)
    spelled = [tuple(student.encode(" " + word)) for word in teacher.tokens]
    assert len(PieceMap(teacher, student, spelled).encode([3, 4])) > 0  # with spellings it may


@pytest.mark.parametrize("size", [256, 400, 900])
def test_pieces_of_spaced_words_are_the_text_as_the_student_cuts_it(size: int) -> None:
    teacher = SpacedWordVocabulary.build(TEXT, specials=["<bos>"])
    student = BytePairVocabulary.train(TEXT, size)
    spelling = PieceMap(teacher, student)
    assert spelling.encode(teacher.encode(TEXT)).tolist() == student.encode(TEXT)
    assert spelling.spelled[:2] == [(), ()] and all(spelling.spelled[2:])
