"""A teacher's tokens in a student's pieces: spellings, and probabilities added up over them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.novels import load_novel
from minidistill.piece_map import PieceMap
from minidistill.vocabulary import BytePairVocabulary, CharacterVocabulary, WordVocabulary

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
