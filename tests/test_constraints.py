"""Constraints: automata against plain string code, and texts that never break their form."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.automaton import OTHER, Automaton, seek, spell
from minidistill.byte_pairs import to_bytes
from minidistill.constraints import (
    ConstraintError,
    dialogue,
    ends_with,
    follows,
    must_contain,
    must_not_contain,
)
from minidistill.device import seeded
from minidistill.generation import forbid, generate, temperature, write
from minidistill.language_model import LanguageModel
from minidistill.recurrent import GRU
from minidistill.rules import no_repeats, repetition_penalty, top_k, top_p
from minidistill.search import beam_search, exhaustive_search
from minidistill.vocabulary import BytePairVocabulary, CharacterVocabulary
from minidistill.vocabulary import WordVocabulary as Words
from tests.test_search import Historian, Looks, Table

STORY = (
    "“Which of these is mine?” asked the aunt. “That is the tea.”\n"
    "“They are wed,” said she, and night fell: é, ü… – all in a light.\n"
    * 3
    + "“哪个疙瘩是我的？”方婶问。“那个是新娘子。”\n“我的茶呢？”“茶在夜里。”\n"
)
CHARACTERS = CharacterVocabulary.build(STORY, specials=("<bos>", "<eos>"))
PAIRS = BytePairVocabulary.train(STORY, 330, specials=("<eos>",))
VOCABULARIES = {"characters": CHARACTERS, "byte pairs": PAIRS}
IN_PAIRS = dialogue(PAIRS)
TEMPERATURES = (0.2, 0.7, 1.0, 3.0)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def untrained(vocab_size: int, seed: int = 0) -> LanguageModel:
    with seeded(seed):
        return LanguageModel(vocab_size, 7, GRU(7, 11))


def thousand(vocab_size: int, length: int, prompt: list[int], **options: object) -> list[list[int]]:
    """1,000 texts of a random untrained model, 250 at each of four temperatures."""
    rules, texts = options.pop("rules"), []
    for seed, value in enumerate(TEMPERATURES):
        model = untrained(vocab_size, seed)
        with torch.no_grad():
            model.readout.weight.mul_(10)  # opinions, so that 0.2 is close to greedy
        tokens = generate(
            model,
            torch.tensor([prompt]).expand(250, -1),
            length,
            rules=[*rules, temperature(value)],
            generator=chance(seed),
            **options,
        )
        texts += tokens[:, len(prompt) :].tolist()
    assert len(texts) == 1000
    return texts


def stands_in(piece: list[int], text: list[int]) -> bool:
    return any(text[n : n + len(piece)] == piece for n in range(len(text)))


# ---- automata -----------------------------------------------------------------------------


def random_automaton(states: int, size: int, seed: int) -> Automaton:
    step = torch.randint(states, (states, size), generator=chance(seed))
    return Automaton(step, torch.rand(states, generator=chance(seed + 1)) < 0.4, states // 2)


def walk(form: Automaton, text: list[int]) -> int:
    state = form.start
    for token in text:
        state = int(form.step[state, token])
    return state


def accepts(form: Automaton, text: list[int]) -> bool:
    return bool(form.accepting[walk(form, text)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 10**6), st.integers(0, 23))
def test_reading_in_pairs_or_in_steps(S: int, V: int, seed: int, length: int) -> None:
    form = random_automaton(S, V, seed)
    tokens = torch.randint(V, (3, length), generator=chance(seed))
    expected = [walk(form, text) for text in tokens.tolist()]
    assert form.read(tokens).tolist() == expected
    with patch("minidistill.automaton.MANY_STATES", 0):
        assert form.read(tokens).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 10**6))
def test_smallest_and_both(S: int, V: int, seed: int) -> None:
    one, other = random_automaton(S, V, seed), random_automaton(3, V, seed + 7)
    small, both = one.smallest(), one & other
    assert len(small.accepting) <= S and len(small.smallest().accepting) == len(small.accepting)
    for n in range(5):
        for text in map(list, product(range(V), repeat=n)):
            assert accepts(small, text) == accepts(one, text)
            assert accepts(both, text) == (accepts(one, text) and accepts(other, text))


def test_the_fewest_states_by_hand() -> None:
    # Even or odd many 1s, told apart by three bits of which two do not matter.
    step = torch.tensor([[(s ^ w) & 1 | (s + 2) % 8 & 6 for w in (0, 1)] for s in range(8)])
    odd = Automaton(step, torch.arange(8) % 2 == 1).smallest()
    assert len(odd.accepting) == 2
    assert [accepts(odd, [1, 0, 1, 1]), accepts(odd, [1, 0, 1])] == [True, False]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 10**6))
def test_what_can_finish(S: int, V: int, seed: int) -> None:
    form = random_automaton(S, V, seed)
    found = form.can_finish(4)
    for n, state in product(range(5), range(S)):
        begun = Automaton(form.step, form.accepting, state)
        expected = any(accepts(begun, list(text)) for text in product(range(V), repeat=n))
        assert bool(found[n, state]) == expected


SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(SEQUENCES, st.lists(st.integers(0, 3), max_size=19))
def test_seeking_sequences(sought: list[list[int]], text: list[int]) -> None:
    found = seek(sought, 5)
    ends = [any(text[:n][-len(one) :] == one for one in sought) for n in range(1, len(text) + 1)]
    assert [accepts(found, text[:n]) for n in range(1, len(text) + 1)] == ends
    assert accepts(must_not_contain(sought, 5), text) == (not any(ends))
    assert accepts(must_contain(sought[0], 5), text) == stands_in(sought[0], text)
    assert accepts(ends_with(sought, 5), text) == (ends[-1:] == [True])


def test_tables_that_are_refused() -> None:
    with pytest.raises(ValueError, match="one True or False per state"):
        Automaton(torch.zeros(2, 3).long(), torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="must be a number from 0 to 1"):
        Automaton(torch.full((2, 3), 2), torch.zeros(2, dtype=torch.bool))
    for size in (7, 11):
        with pytest.raises(ValueError, match="made for 5 tokens and the other for"):
            must_contain([1], 5) & must_contain([1], size)
    large = Automaton(torch.zeros(2000, 100).long(), torch.ones(2000, dtype=torch.bool))
    with pytest.raises(ValueError, match="together need a table of 400,000,000 entries"):
        large & large
    for bad in ([], [[]], [[1], []]):
        with pytest.raises(ValueError, match="at least one sequence, and at least one token"):
            must_not_contain(bad, 5)
    for bad in ([5], [-1], [True], [1.0]):
        with pytest.raises(ValueError, match="is not an id: ids go from 0 to 4"):
            must_contain(bad, 5)


# ---- characters, bytes, tokens ------------------------------------------------------------

WORDS_OF_THREE = {"first": {OTHER: "second"}, "second": {OTHER: "third"}, "third": {OTHER: "end"}}
WORDS_OF_THREE["end"] = {"。 ": "first"}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_characters_are_counted_however_they_are_cut(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    form = spell(WORDS_OF_THREE, {"end"}, vocabulary)
    for text in ("tea", "哪个é", "tea哪", "té 茶在夜", "té 。在夜", "te", "tea ", "wed。the tea"):
        expected = re.fullmatch("[^。 ]{3}([。 ][^。 ]{3})*", text) is not None
        assert accepts(form, vocabulary.encode(text)) == expected, text
    assert not accepts(form, [*vocabulary.encode("te"), vocabulary.token_to_id["<eos>"], 40])


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="“”‘…a\n茶é𝄞 ", max_size=12))
def test_bytes_one_by_one_spell_the_characters(text: str) -> None:
    form = IN_PAIRS
    single = [PAIRS.tokens.index(t) for t in map(_shown, text.encode())]
    assert PAIRS.decode(single) == text
    assert accepts(form, single) == is_dialogue(text)
    if single and text[-1] > "\x7f":  # a text does not end inside a character
        assert not accepts(form, single[:-1])


def test_what_is_no_text_is_not_accepted() -> None:
    form = spell(WORDS_OF_THREE, {"end"}, PAIRS)
    lead, inside = PAIRS.tokens.index("<0xE8>"), PAIRS.tokens.index("<0x8C>")
    letter = PAIRS.tokens.index("a")
    assert accepts(form, [letter, lead, inside, inside, letter])
    full_stop = PAIRS.tokens.index("<0xE3>")  # how "。" begins too, so read another way
    assert accepts(form, [letter, letter, full_stop, inside, inside])
    assert not accepts(form, [letter, letter, full_stop, letter, inside])
    for bad in ([inside, letter, letter], [letter, lead, letter], [letter, letter, lead]):
        assert not accepts(form, bad)
        assert not accepts(form, [letter, *bad]) and not accepts(form, [*bad, letter])
    for special in (0, CHARACTERS.token_to_id["<eos>"]):  # the unknown token is id 0
        speech = [*CHARACTERS.encode("“is"), special, *CHARACTERS.encode("”")]
        assert not accepts(dialogue(CHARACTERS), speech)
        assert not accepts(must_contain("is", CHARACTERS), speech)


def _shown(byte: int) -> str:
    return chr(byte) if byte < 128 else f"<0x{byte:02X}>"


def is_dialogue(text: str) -> bool:
    return re.fullmatch("“[^“”\n]+”(\n“[^“”\n]+”)*", text) is not None


def is_told(text: str) -> bool:
    speech = "“[^“”\n]+”"
    paragraph = f"{speech}([^“”\n]+{speech})*([^“”\n]+)?"
    return re.fullmatch(f"{paragraph}(\n{paragraph})*", text) is not None


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize(
    ("text", "strict", "told"),
    [
        ("“That is the tea.”", True, True),
        ("“That is the tea.”\n“哪个疙瘩是我的？”", True, True),
        ("“They are wed,” said she, “all.”\n“all.”", False, True),
        ("“That is the tea.” said she", False, True),
        ("“那个是新娘子。”方婶问。“茶”", False, True),
        ("“That is the tea.”\n", False, False),
        ("“That is", False, False),
        ("“That “is” mine", False, False),
        ("“”", False, False),
        ("Which “is” mine", False, False),
        ("“Which\nis”", False, False),
        ("“is”\n\n“is”", False, False),
        ("“is”“is”", False, False),
        ("", False, False),
    ],
)
def test_dialogue_of_known_texts(name: str, text: str, strict: bool, told: bool) -> None:
    vocabulary = VOCABULARIES[name]
    ids = vocabulary.encode(text)
    assert accepts(dialogue(vocabulary), ids) == strict == is_dialogue(text)
    assert accepts(dialogue(vocabulary, narration=True), ids) == told == is_told(text)


def test_dialogue_with_other_marks_and_in_words() -> None:
    straight = CharacterVocabulary.build('"tea," said she, \n')
    form = dialogue(straight, quotes='""', narration=True)
    assert accepts(form, straight.encode('"tea," said she\n"tea"'))
    assert not accepts(form, straight.encode('"tea'))
    corners = CharacterVocabulary.build("「茶」\n")
    assert accepts(dialogue(corners, quotes="「」"), corners.encode("「茶茶」"))
    words = Words.build(STORY)
    ids = words.encode("“That is the tea.”\n“They are wed.”")
    assert accepts(dialogue(words), ids) and not accepts(dialogue(words), ids[:-1])


def test_marks_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"cannot write speech in 「」: name its own quotes"):
        dialogue(CHARACTERS, quotes="「」")
    for bad in ("", "“", "“”“"):
        with pytest.raises(ValueError, match="two characters, the opening and the closing"):
            dialogue(CHARACTERS, quotes=bad)
    with pytest.raises(ValueError, match="the state 'end' has no moves"):
        spell({"start": {"a": "end"}}, {"start"}, CHARACTERS)


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_pieces_of_text_however_they_are_cut(name: str, data: st.DataObject) -> None:
    vocabulary = VOCABULARIES[name]
    ids = data.draw(st.lists(st.integers(3, len(vocabulary) - 1), min_size=1, max_size=30))
    text = b"".join(to_bytes(vocabulary.tokens[i]) for i in ids)
    begin = data.draw(st.integers(0, len(vocabulary.decode(ids))))
    taken = vocabulary.decode(ids)[begin : begin + 3].replace("�", "")
    pieces = [taken or "tea", "is", "茶"]
    there = [piece.encode() in text for piece in pieces]
    assert accepts(must_contain(pieces[0], vocabulary), ids) == there[0]
    assert accepts(must_not_contain(pieces, vocabulary), ids) == (not any(there))
    ends = any(text.endswith(piece.encode()) for piece in pieces)
    assert accepts(ends_with(pieces, vocabulary), ids) == ends


def test_pieces_that_are_refused() -> None:
    with pytest.raises(ValueError, match=r"give a list of pieces: \['tea'\]"):
        must_not_contain("tea", CHARACTERS)
    with pytest.raises(ValueError, match="texts or ids, not both"):
        ends_with(["tea", [3]], CHARACTERS)
    for vocabulary in (7, Words.build(STORY)):
        with pytest.raises(ValueError, match="name the pieces by their ids"):
            must_contain("tea", vocabulary)
    with pytest.raises(ValueError, match="at least one token in each"):
        must_contain("", CHARACTERS)


# ---- the rule -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(2, 3), st.integers(1, 4), st.integers(0, 10**6))
def test_the_rule_keeps_exactly_the_tokens_that_can_still_end_well(
    S: int, V: int, length: int, seed: int
) -> None:
    form = random_automaton(S, V, seed)
    texts = {text for text in product(range(V), repeat=length) if accepts(form, list(text))}
    if not texts:
        with pytest.raises(ConstraintError):
            follows(form, start=2, length=length)
        return
    rule = follows(form, start=2, length=length)
    for begun in range(length):
        beginnings = sorted({text[:begun] for text in texts})
        tokens = torch.tensor([[0, 1, *text] for text in beginnings])
        logits = torch.randn(len(beginnings), V, generator=chance(seed))
        kept = rule(logits, tokens)
        for row, beginning in enumerate(beginnings):
            good = {text[begun] for text in texts if text[:begun] == beginning}
            expected = [float(logits[row, w]) if w in good else -torch.inf for w in range(V)]
            assert kept[row].tolist() == expected
    for outside in (1, 2 + length, 3 + length):  # before and after, nothing is asked
        assert torch.equal(rule(logits[:1], torch.zeros(1, outside).long()), logits[:1])


def test_what_was_given_is_left_alone_and_the_rule_has_a_name() -> None:
    rule = follows(must_contain([1], 3), start=1, length=1)
    logits = torch.zeros(1, 3)
    assert rule(logits, torch.zeros(1, 1).long()).tolist() == [[-torch.inf, 0.0, -torch.inf]]
    assert logits.tolist() == [[0.0, 0.0, 0.0]]
    assert rule.__name__ == "follows(start=1, length=1)"


# ---- a thousand texts ---------------------------------------------------------------------

V, A, B = 11, [3, 1, 3], [7, 7]


def contains_a(text: list[int]) -> bool:
    return stands_in(A, text)


FORMS: dict[str, tuple[Callable[[], Automaton], Callable[[list[int]], bool]]] = {
    "not": (
        lambda: must_not_contain([A, B, 5], V),
        lambda t: not (stands_in(A, t) or stands_in(B, t) or 5 in t),
    ),
    "contains": (lambda: must_contain(A, V), contains_a),
    "ends": (lambda: ends_with([A, 9, B], V), lambda t: t[-3:] == A or t[-1] == 9 or t[-2:] == B),
    "both": (
        lambda: must_contain(A, V) & must_contain(B, V),
        lambda t: stands_in(A, t) and stands_in(B, t),
    ),
    "all": (
        lambda: must_contain(A, V) & must_not_contain([[1, 3, 1], 2], V) & ends_with([B], V),
        lambda t: stands_in(A, t) and not stands_in([1, 3, 1], t) and 2 not in t and t[-2:] == B,
    ),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("length", [5, 17])
@pytest.mark.parametrize("stop_id", [None, 10])
def test_no_form_of_ids_is_ever_broken(name: str, length: int, stop_id: int | None) -> None:
    form, kept = FORMS[name]
    rule = follows(form(), start=2, length=length, stop_id=stop_id)
    texts = thousand(V, length, [4, 3], rules=[rule], stop_id=stop_id)
    if stop_id is not None:
        texts = [text[: [*text, stop_id].index(stop_id)] for text in texts]
        assert name in ("both", "all") or any(len(text) < length for text in texts)
    assert all(kept(text) for text in texts)
    # Forced to keep a form, not to write one text; but 5 tokens leave the last two no choice.
    assert len(set(map(tuple, texts))) > (100 if length == 17 or name not in ("both", "all") else 0)


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("narration", [False, True])
def test_dialogue_is_never_broken(name: str, narration: bool) -> None:
    vocabulary = VOCABULARIES[name]
    form = dialogue(vocabulary, narration=narration)
    prompt = vocabulary.encode("And night fell.\n")
    for stop_id in (None, vocabulary.token_to_id["<eos>"]):
        rule = follows(form, start=len(prompt), length=23, stop_id=stop_id)
        for ids in thousand(len(vocabulary), 23, prompt, rules=[rule], stop_id=stop_id):
            text = vocabulary.decode(ids)
            assert (is_told if narration else is_dialogue)(text), text


@pytest.mark.parametrize("name", VOCABULARIES)
def test_forms_of_texts_are_never_broken(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    form = (
        must_contain("tea", vocabulary)
        & must_not_contain(["e ", "茶", "aa"], vocabulary)
        & ends_with(["ight.”", "夜里。”"], vocabulary)
        & dialogue(vocabulary)
    )
    prompt = vocabulary.encode("Night fell.\n")
    rule = follows(form, start=len(prompt), length=29)
    for ids in thousand(len(vocabulary), 29, prompt, rules=[rule]):
        text = vocabulary.decode(ids)
        assert is_dialogue(text) and "tea" in text and text.endswith(("ight.”", "夜里。”"))
        assert not any(piece in text for piece in ("e ", "茶", "aa"))


def test_other_rules_choose_among_what_the_form_allows() -> None:
    form, kept = FORMS["all"]
    after = [top_k(2), top_p(0.8), repetition_penalty(1.5), no_repeats(2)]
    rule = follows(form(), start=2, length=13)
    assert all(kept(text) for text in thousand(V, 13, [4, 3], rules=[rule, *after]))
    texts = thousand(V, 13, [4, 3], rules=[rule, forbid([0, 8])])
    assert all(kept(text) and not {0, 8} & set(text) for text in texts)


def test_the_model_may_hate_what_it_must_write() -> None:
    form, kept = FORMS["all"]
    logits = torch.zeros(V, V).index_fill(1, torch.tensor([1, 3, 7]), -1e30)
    rule = follows(form(), start=1, length=9)
    for greedy in (True, False):
        prompt = torch.zeros(50, 1).long()
        tokens = generate(Table(logits), prompt, 9, rules=[rule], greedy=greedy, generator=chance())
        assert all(kept(text[1:]) for text in tokens.tolist())


def test_every_line_of_a_verse_has_its_own_form() -> None:
    lines = [
        follows(ends_with([rhyme + "\n"], CHARACTERS) & _one_line(), start=1 + 19 * n, length=19)
        for n, rhyme in enumerate(("light", "tea", "night", "she"))
    ]
    for ids in thousand(len(CHARACTERS), 4 * 19, CHARACTERS.encode("\n"), rules=lines)[::7]:
        text = CHARACTERS.decode(ids)
        assert re.fullmatch("[^\n]*light\n[^\n]*tea\n[^\n]*night\n[^\n]*she\n", text)


def _one_line() -> Automaton:
    return spell({"line": {OTHER: "line", "\n": "end"}, "end": {}}, {"end"}, CHARACTERS)


# ---- where the text begins ----------------------------------------------------------------


def test_the_prompt_counts_where_start_is_zero() -> None:
    prompt = CHARACTERS.encode("“Which of")
    rule = follows(dialogue(CHARACTERS), start=0, length=len(prompt) + 13)
    for ids in thousand(len(CHARACTERS), 13, prompt, rules=[rule]):
        assert is_dialogue("“Which of" + CHARACTERS.decode(ids))
    # What must not stand there may not be finished from the prompt's end, nor need be begun.
    rule = follows(must_not_contain([[3, 1]], V), start=0, length=20)
    assert all(text[0] != 1 for text in thousand(V, 18, [4, 3], rules=[rule]))
    rule = follows(must_contain([4, 3, 1], V), start=0, length=3)
    assert {tuple(text) for text in thousand(V, 1, [4, 3], rules=[rule])} == {(1,)}


def test_a_prompt_that_broke_the_form_raises_and_is_not_gone_on_with() -> None:
    model, prompt = untrained(V), torch.tensor([[4, 4], [3, 5]])
    rule = follows(must_not_contain([5], V), start=0, length=9)
    for write_on in (
        lambda: generate(model, prompt, 7, rules=[rule], greedy=True),
        lambda: beam_search(model, prompt, 7, 3, rules=[rule]),
    ):
        with pytest.raises(ValueError, match="row 1 of the batch"):
            write_on()
    assert generate(model, prompt[:1], 7, rules=[rule], greedy=True).shape == (1, 9)


def test_write_takes_constraints() -> None:
    rule = follows(dialogue(CHARACTERS), start=1, length=40)
    text = write(untrained(len(CHARACTERS)), CHARACTERS, "\n", 40, rules=[rule], seed=3)
    assert is_dialogue(text[1:]) and len(text) == 41


# ---- what cannot be met -------------------------------------------------------------------


def test_too_few_tokens() -> None:
    with pytest.raises(ConstraintError, match=r"no text of 2 tokens .* the shortest .* has 3: giv"):
        follows(must_contain(A, V), start=2, length=2)
    with pytest.raises(ConstraintError, match="the shortest that does has 5"):
        follows(must_contain(A, V) & ends_with([B], V), start=2, length=4)
    follows(must_contain([1, 2, 3], V) & ends_with([[3, 4]], V), start=2, length=4)  # they overlap
    with pytest.raises(ConstraintError, match="no text of 2 tokens"):
        follows(dialogue(CHARACTERS), start=2, length=2)
    with pytest.raises(ConstraintError, match=r"no text of 2 tokens .* the shortest .* has 3"):
        follows(must_contain(A, V), start=2, length=2, stop_id=10)
    model, rule = untrained(V), follows(must_contain(A, V), start=0, length=5)
    with pytest.raises(ValueError, match=r"follows\(start=0, length=5\), leaves no token to write"):
        generate(model, torch.tensor([[4, 4, 4]]), 2, rules=[rule], greedy=True)


def test_contradictions() -> None:
    contradiction = "no text keeps this form: what it asks for contradicts itself"
    for form in (
        must_contain(A, V) & must_not_contain([[1, 3]], V),
        ends_with([A], V) & ends_with([B], V),
        must_contain("tee", CHARACTERS) & must_not_contain(["ee"], CHARACTERS),
        must_contain("x", CHARACTERS),  # no such character
        must_contain("Q", CharacterVocabulary.build("tea")),
    ):
        with pytest.raises(ConstraintError, match=contradiction):
            follows(form, start=2, length=50)
    with pytest.raises(ConstraintError, match="the shortest that does has 0"):
        follows(must_not_contain(range(V), V), start=2, length=50)
    with pytest.raises(ConstraintError, match=contradiction):
        follows(must_contain([3, 10], V), start=2, length=50, stop_id=10)


def test_rules_that_corner_each_other_raise_and_neither_is_broken() -> None:
    one = follows(must_contain(A, V), start=2, length=5)
    other = follows(ends_with([B], V) & must_not_contain([3], V), start=2, length=5)
    for rules in ([one, other], [other, one], [forbid([3]), one]):
        with pytest.raises(ValueError, match="leaves no token to write"):
            generate(untrained(V), torch.tensor([[4, 3]]), 5, rules=rules, generator=chance())
        with pytest.raises(ValueError, match="row 0 of the batch has no text to choose"):
            beam_search(untrained(V), torch.tensor([[4, 3]]), 5, 3, rules=rules)


def test_numbers_out_of_range() -> None:
    form = must_contain([1], V)
    for start, length in ((-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="start is at least 0 and length at least 1"):
            follows(form, start=start, length=length)
    for stop_id in (-1, V):
        with pytest.raises(ValueError, match="the form knows the ids 0 to 10"):
            follows(form, start=0, length=3, stop_id=stop_id)
    rule = follows(form, start=1, length=3)
    with pytest.raises(ValueError, match="made for 11 tokens but the model writes 7"):
        generate(untrained(7), torch.tensor([[1]]), 3, rules=[rule], greedy=True)


# ---- under beam search --------------------------------------------------------------------

SMALL = {
    "not": (lambda: must_not_contain([[1, 1], [2, 0]], 4), None),
    "contains": (lambda: must_contain([3, 0], 4), None),
    "ends": (lambda: ends_with([[0, 2], 1], 4), None),
    "all": (lambda: must_contain([2, 2], 4) & must_not_contain([3], 4) & ends_with([0], 4), None),
    "stops": (lambda: must_contain([2, 0], 4) & must_not_contain([[0, 1]], 4), 3),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("seed", range(3))
def test_the_beam_finds_the_likeliest_text_of_the_form(name: str, seed: int) -> None:
    make, stop_id = SMALL[name]
    form, model, prompt = make(), Historian(4, seed), torch.tensor([[1, 1], [3, 2], [0, 2]])
    options = {"rules": [follows(form, start=2, length=4, stop_id=stop_id)], "stop_id": stop_id}
    found = beam_search(model, prompt, 4, 64, **options)
    exact = exhaustive_search(model, prompt, 4, **options)
    T = exact.tokens.size(2)
    assert torch.equal(found.tokens[:, 0, :T], exact.tokens[:, 0])
    free = beam_search(model, prompt, 4, 256, stop_id=stop_id)  # all texts, the best first
    for row in range(3):
        texts = free.tokens[row, :, 2:].tolist()
        good = next(n for n, text in enumerate(texts) if _kept(form, text, stop_id))
        assert found.tokens[row, 0, 2:].tolist()[: T - 2] == texts[good][: T - 2]
        # A token that the form forces costs what the model thinks of it.
        assert float(found.scores[row, 0]) == pytest.approx(float(free.scores[row, good]))
        possible = found.scores[row].isfinite()
        texts = found.tokens[row, possible, 2:].tolist()
        assert all(_kept(form, text, stop_id) for text in texts) and len(texts) > 1


def _kept(form: Automaton, text: list[int], stop_id: int | None) -> bool:
    return accepts(form, text if stop_id is None else text[: [*text, stop_id].index(stop_id)])


@pytest.mark.parametrize("width", [1, 3, 7])
def test_narrow_beams_keep_the_form_too(width: int) -> None:
    form, kept = FORMS["all"]
    rule = follows(form(), start=1, length=19)
    found = beam_search(untrained(V), torch.tensor([[1], [2], [3]]), 19, width, rules=[rule])
    assert all(kept(text[1:]) for text in found.tokens.flatten(0, 1).tolist())
    rule = follows(dialogue(PAIRS), start=1, length=19)
    found = beam_search(untrained(len(PAIRS)), torch.tensor([[1], [2]]), 19, width, rules=[rule])
    assert all(is_dialogue(PAIRS.decode(t[1:])) for t in found.tokens.flatten(0, 1).tolist())


def test_the_rule_fetches_no_number() -> None:
    rule = follows(FORMS["all"][0](), start=1, length=19, stop_id=8)
    for length in (1, 2, 13, 19):
        tokens, logits = torch.zeros(3, length).long(), torch.zeros(3, V)
        with Looks() as looks:
            rule(logits, tokens)
        assert looks.count == 0
