"""Writing: the likeliest by hand, draws by their distribution, and a state that is carried."""

import io
import sys
from collections.abc import Iterator
from math import nan
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill import generation
from minidistill.device import seeded
from minidistill.generation import draw, forbid, generate, show, stream, temperature, write
from minidistill.language_model import LanguageModel
from minidistill.recurrent import LSTM, RNN
from minidistill.rules import no_repeats, top_p
from minidistill.streaming import text_pieces
from minidistill.vocabulary import BytePairVocabulary, CharacterVocabulary, WordVocabulary
from tests.test_rules import EVERY_RULE, Moves

V = 7


class Following(nn.Module):
    """A model without weights: after a token it gives fixed logits to each next one."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits, self.vocab_size = torch.tensor(logits), len(logits)
        self.calls: list[tuple[list[list[int]], object, dict]] = []

    def forward(self, tokens: Tensor, state: int | None = None, **more: object) -> tuple:
        self.calls.append((tokens.tolist(), state, more))
        return self.logits[tokens], (state or 0) + 1


def counting() -> Following:
    """After token i comes i + 1, and less likely i + 2."""
    table = torch.zeros(V, V)
    for i in range(V):
        table[i, (i + 1) % V], table[i, (i + 2) % V] = 3.0, 2.0
    return Following(table.tolist())


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(vocab_size: int = V) -> LanguageModel:
    with seeded(5):
        return LanguageModel(vocab_size, 3, RNN(3, 5, num_layers=2), dropout=0.4).double()


def one_at_a_time(
    model: nn.Module,
    prompt: Tensor,
    length: int,
    rules: list,
    numbers: Tensor | None,
    stop_id: int | None,
) -> Tensor:
    """What `generate` should give: the whole text read for each token, and a test after each."""
    tokens, ended = prompt, torch.zeros(len(prompt), dtype=torch.bool)
    for t in range(length):
        scores = model(tokens)[0][:, -1].float()
        for rule in rules:
            scores = rule(scores, tokens)
        new = scores.argmax(-1) if numbers is None else draw(scores, numbers[t])
        if stop_id is not None:
            new[ended] = stop_id
            ended |= new == stop_id
        tokens = torch.cat([tokens, new[:, None]], dim=1)
        if ended.all():
            break
    return tokens


def uniform(length: int, batch: int, seed: int) -> Tensor:
    return torch.rand(length, batch, generator=chance(seed), dtype=torch.float64)


# ---- the likeliest ------------------------------------------------------------------------


def test_greedy_by_hand() -> None:
    model = counting()
    found = generate(model, torch.tensor([[3], [6]]), 4, greedy=True)
    assert found.tolist() == [[3, 4, 5, 6, 0], [6, 0, 1, 2, 3]]
    # The prompt is read once, then only what is new, with the state that came back.
    assert [call[:2] for call in model.calls] == [
        ([[3], [6]], None),
        ([[4], [0]], 1),
        ([[5], [1]], 2),
        ([[6], [2]], 3),
    ]


def test_a_longer_prompt_goes_on_after_its_last_token() -> None:
    assert generate(counting(), torch.tensor([[5, 1, 3]]), 2, greedy=True).tolist() == [
        [5, 1, 3, 4, 5]
    ]
    assert generate(counting(), torch.tensor([[5, 1]]), 0, greedy=True).tolist() == [[5, 1]]


def test_a_source_text_is_handed_on() -> None:
    model = counting()
    generate(model, torch.tensor([[3]]), 2, greedy=True, memory="a source")
    assert [call[2] for call in model.calls] == [{"memory": "a source"}] * 2


# ---- the state ----------------------------------------------------------------------------


@pytest.mark.parametrize("greedy", [True, False])
def test_the_carried_state_says_the_same_as_the_whole_prefix(greedy: bool) -> None:
    model = small_model()
    prompt = torch.tensor([[1, 5, 2], [0, 0, 6]])
    found = generate(model, prompt, 11, greedy=greedy, generator=chance(3))
    numbers = None if greedy else uniform(11, 2, 3)
    assert torch.equal(found, one_at_a_time(model.eval(), prompt, 11, [], numbers, None))


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_dropped_out_and_the_mode_is_put_back(training: bool) -> None:
    model, prompt = small_model().train(training), torch.tensor([[1]])
    found = generate(model, prompt, 11, greedy=True)
    assert model.training is training and model.recurrent.training is training
    assert torch.equal(found, generate(model.eval(), prompt, 11, greedy=True))

    def broken(logits: Tensor, tokens: Tensor) -> Tensor:
        raise KeyboardInterrupt

    model.train(training)
    with pytest.raises(KeyboardInterrupt):
        generate(model, prompt, 11, greedy=True, rules=[broken])
    assert model.training is training


# ---- draws --------------------------------------------------------------------------------


def test_rules_act_in_order_and_see_all_tokens() -> None:
    seen = []

    def look(logits: Tensor, tokens: Tensor) -> Tensor:
        seen.append((logits[0, 4].item(), tokens.tolist()))
        return logits

    rules = [temperature(2.0), look, forbid([4])]
    found = generate(counting(), torch.tensor([[2, 3]]), 2, rules=rules, greedy=True)
    assert found.tolist() == [[2, 3, 5, 6]]  # 4 may not stand there, the next best is 5
    assert seen == [(1.5, [[2, 3]]), (0.0, [[2, 3, 5]])]


def test_what_is_forbidden_is_never_written() -> None:
    found = generate(
        counting(), torch.zeros(23, 1).long(), 29, rules=[forbid([1, 5])], generator=chance()
    )
    assert set(found.flatten().tolist()) == {0, 2, 3, 4, 6}


def test_the_same_seed_writes_the_same_and_chance_outside_is_left_alone() -> None:
    model, prompt = small_model(), torch.tensor([[1], [1], [4]])
    before = torch.get_rng_state()
    first = generate(model, prompt, 13, generator=chance(3))
    assert torch.equal(first, generate(model, prompt, 13, generator=chance(3)))
    for length in (0, 1, 7, 12):  # a shorter text is the beginning of a longer one
        shorter = generate(model, prompt, length, generator=chance(3))
        assert torch.equal(shorter, first[:, : 1 + length])
    assert not torch.equal(first, generate(model, prompt, 13, generator=chance(4)))
    assert not torch.equal(first[0], first[1])  # rows with one prompt go ways of their own
    assert torch.equal(torch.get_rng_state(), before)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.integers(0, V - 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_rows_do_not_touch_each_other(prompts: list[list[int]]) -> None:
    model = small_model()
    together = generate(model, torch.tensor(prompts), 7, greedy=True)
    for row, prompt in enumerate(prompts):
        [alone] = generate(model, torch.tensor([prompt]), 7, greedy=True)
        assert torch.equal(together[row], alone)
    drawn = generate(model, torch.tensor(prompts), 7, generator=chance())
    numbers = uniform(7, len(prompts), 0)
    for row, prompt in enumerate(prompts):  # a batch is one by one, given the same numbers
        alone = one_at_a_time(
            model.eval(), torch.tensor([prompt]), 7, [], numbers[:, row, None], None
        )
        assert torch.equal(drawn[row], alone[0])
    changed = torch.tensor(prompts)
    changed[-1] = (changed[-1] + 1) % V
    assert torch.equal(generate(model, changed, 7, generator=chance())[:-1], drawn[:-1])


# ---- the end ------------------------------------------------------------------------------


def test_a_row_that_ended_writes_nothing_else() -> None:
    prompt = torch.tensor([[3], [0], [5]])
    found = generate(counting(), prompt, 5, greedy=True, stop_id=5)
    # A 5 in the prompt ends nothing: only what is written does.
    assert found.tolist() == [[3, 4, 5, 5, 5, 5], [0, 1, 2, 3, 4, 5], [5, 6, 0, 1, 2, 3]]
    found = generate(counting(), prompt[:2], 50, greedy=True, stop_id=5)
    assert found.tolist() == [[3, 4, 5, 5, 5, 5], [0, 1, 2, 3, 4, 5]]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_end_is_where_a_test_at_each_token_would_put_it(data: st.DataObject) -> None:
    rows, length = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 53))
    stop_id = data.draw(st.none() | st.integers(0, V))
    with seeded(data.draw(st.integers(0, 99))):
        model = Following((2 * torch.randn(V, V)).tolist())
        prompt = torch.randint(V, (rows, 2))
    rules, seed = data.draw(st.sampled_from([[], [forbid([2])], [no_repeats(4), top_p(0.9)]])), 5
    numbers = data.draw(st.none() | st.just(uniform(length, rows, seed)))
    found = generate(
        model,
        prompt,
        length,
        rules=rules,
        greedy=numbers is None,
        generator=chance(seed),
        stop_id=stop_id,
    )
    assert torch.equal(found, one_at_a_time(model, prompt, length, rules, numbers, stop_id))


def test_what_happens_after_the_end_does_not_count() -> None:
    prompt = torch.tensor([[3], [0]])  # they end after 2 and after 5 tokens

    def breaks(logits: Tensor, tokens: Tensor) -> Tensor:
        if tokens.size(1) > 5:
            raise RuntimeError("the text is too long for this rule")
        return torch.where(tokens[:, -1:] == 5, nan, logits)

    found = generate(counting(), prompt, 50, greedy=True, stop_id=5, rules=[breaks])
    assert found.tolist() == [[3, 4, 5, 5, 5, 5], [0, 1, 2, 3, 4, 5]]
    with pytest.raises(RuntimeError, match="too long for this rule"):
        generate(counting(), prompt, 50, greedy=True, rules=[lambda x, t: breaks(x.abs(), t * 0)])
    late = torch.tensor([[3], [6]])  # the second row would end after 6 tokens
    with pytest.raises(RuntimeError, match="too long for this rule"):
        generate(counting(), late, 50, greedy=True, stop_id=5, rules=[breaks])


# ---- the device ---------------------------------------------------------------------------


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("length", [37, 117])
def test_nothing_moves_between_devices_a_token_at_a_time(length: int, greedy: bool) -> None:
    vocabulary = CharacterVocabulary.build(STORY)
    size = len(vocabulary)
    with seeded(5):
        model = LanguageModel(size, 3, LSTM(3, 5, num_layers=2))
    options = {"rules": [*EVERY_RULE, forbid([1])], "greedy": greedy}
    with Moves() as batch:
        prompt = torch.randint(size, (3, 5), generator=chance())
        generate(model, prompt, length, generator=chance(), stop_id=size, **options)
    with Moves() as written:
        write(model, vocabulary, "The l", length, **options)
    with Moves() as streamed:
        pieces = list(stream(model, vocabulary, "The l", length, **options))
    assert len(pieces) == length + 1
    # Once for each 16 tokens, and a few times at the beginning and the end.
    assert max(batch.most, written.most, streamed.most) <= 16 + length / 16


def test_where_there_is_no_double_precision_it_writes_in_single(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, prompt = small_model(), torch.tensor([[1], [4]])
    found = generate(model, prompt, 61, generator=chance(3))
    monkeypatch.setattr(generation, "_precise", lambda device: torch.float32)
    assert torch.equal(generate(model, prompt, 61, generator=chance(3)), found)


# ---- text ---------------------------------------------------------------------------------

STORY = "The lamp was out. Who put the lamp out? Nobody knew: the lamp was old, and it was late."


def test_text_goes_on_from_the_prompt() -> None:
    vocabulary = CharacterVocabulary.build(STORY)
    model = small_model(len(vocabulary))
    text = write(model, vocabulary, "The l", 29, seed=3)
    assert text.startswith("The l") and len(text) == 34 and "□" not in text
    assert text == write(model, vocabulary, "The l", 29, seed=3)
    assert text != write(model, vocabulary, "The l", 29, seed=4)
    likeliest = write(model, vocabulary, "The l", 29, greedy=True, seed=3)
    assert likeliest == write(model, vocabulary, "The l", 29, greedy=True, seed=4)
    assert write(model, vocabulary, "Thé ☃ l", 3).startswith("Thé ☃ l")  # as it was given


def test_the_unknown_token_is_never_written() -> None:
    vocabulary = CharacterVocabulary.build("ab")
    model = Following([[9.0, 0.0, 0.0]] * 3)
    assert set(write(model, vocabulary, "a", 97)) == {"a", "b"}
    assert write(model, vocabulary, "a", 2, rules=[forbid([2])]) == "aaa"


def test_words_are_set_apart_from_the_prompt() -> None:
    vocabulary = WordVocabulary.build("lamp the , out")
    ids = {token: i for i, token in enumerate(vocabulary.tokens)}
    order = ["the", "lamp", ",", "out"]
    table = torch.zeros(5, 5)
    for token, following in zip(order, order[1:] + order[:1], strict=True):
        table[ids[token], ids[following]] = 1.0
    model = Following(table.tolist())
    assert write(model, vocabulary, "the", 4, greedy=True) == "the lamp, out the"
    assert write(model, vocabulary, "the lamp", 2, greedy=True) == "the lamp, out"
    assert write(model, vocabulary, "The,", 1, greedy=True) == "The, out"
    assert write(model, vocabulary, "see  the ", 1, greedy=True) == "see  the lamp"


def test_byte_pairs_go_on_inside_a_character() -> None:
    vocabulary = BytePairVocabulary.train(STORY, 300)
    text = write(small_model(len(vocabulary)), vocabulary, "灯 the", 41)
    assert text.startswith("灯 the") and len(text) > 6
    half = vocabulary.encode("灯")[:1]  # written alone, the first byte of a character is lost
    table = torch.zeros(len(vocabulary), len(vocabulary))
    table[:, half[0]] = 1.0
    assert write(Following(table.tolist()), vocabulary, "灯", 1, greedy=True) == "灯\ufffd"


# ---- text as it is written ----------------------------------------------------------------

TALE = 'He said: "The lamp (the old one) is out."\n"Out, then?"\n\n灯灭了。' + STORY
KINDS = {
    "characters": CharacterVocabulary.build(TALE),
    "few characters": CharacterVocabulary.build(TALE, size=7),
    "words": WordVocabulary.build(TALE, specials=["<pad>"]),
    "byte pairs": BytePairVocabulary.train(TALE, 290),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", ['He said: "the ', "The lamp\n", "灯 lamp\t", 'one\n"Out', "☃ "])
def test_the_joined_pieces_are_what_write_returns(kind: str, prompt: str) -> None:
    vocabulary = KINDS[kind]
    model = small_model(len(vocabulary))
    for seed, length, greedy in ((0, 0, False), (1, 1, False), (2, 97, False), (3, 41, True)):
        options = {"rules": [temperature(1.5)], "greedy": greedy, "seed": seed}
        whole = write(model, vocabulary, prompt, length, **options)
        pieces = list(stream(model, vocabulary, prompt, length, **options))
        assert "".join(pieces) == whole and pieces[0] == prompt and "" not in pieces
        for every in (1, 5, 1000):
            assert pieces == list(stream(model, vocabulary, prompt, length, every=every, **options))


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_pieces_are_whole_characters_and_only_grow(kind: str, data: st.DataObject) -> None:
    vocabulary = KINDS[kind]
    whole = vocabulary.encode("灯灭 🦊\n\ufffd")  # so that characters in pieces are frequent
    token = st.integers(0, len(vocabulary) - 1) | st.sampled_from(whole)
    prompt = data.draw(st.sampled_from(["灯", "The lamp", "\ufffd", 'a\n"b']))
    ids, new = vocabulary.encode(prompt), data.draw(st.lists(token, max_size=23))
    pieces = list(text_pieces(vocabulary, prompt, ids, new))
    before = vocabulary.decode(ids)
    assert pieces[0] == prompt
    assert before + "".join(pieces[1:]) == vocabulary.decode(ids + new)


def test_a_character_in_pieces_is_held_back_until_it_is_whole() -> None:
    vocabulary = KINDS["byte pairs"]
    fox = vocabulary.encode("🦊")
    assert len(fox) == 4
    [a] = vocabulary.encode("a")
    pieces = text_pieces(vocabulary, "a", [a], [a, *fox, a, *fox[:2], a, a, *fox[:3]])
    assert list(pieces) == ["a", "a", "🦊", "a", "\ufffda", "a", "\ufffd"]


def test_a_stream_writes_when_it_is_asked() -> None:
    vocabulary, model = KINDS["characters"], small_model(len(KINDS["characters"])).train()
    reads = []
    model.register_forward_hook(lambda module, given, result: reads.append(module.training))
    pieces = stream(model, vocabulary, "The l", 40, every=3)
    assert next(pieces) == "The l" and reads == []
    assert len(next(pieces)) == 1 and reads == [False] * 3
    assert model.training and torch.is_grad_enabled()  # between the pieces all is as it was
    next(pieces), next(pieces), next(pieces)
    assert len(reads) == 6
    with pytest.raises(ValueError, match="the prompt is empty"):
        stream(model, vocabulary, "", 3)  # at once, not when the first piece is asked for
    with pytest.raises(ValueError, match="every is how many tokens to fetch at a time, from 1"):
        stream(model, vocabulary, "The l", 3, every=0)
    [_, first] = stream(model, vocabulary, "The l", 1)
    with pytest.raises(ValueError, match=r"rule 1 of 2, forbid\(.*leaves no token to write"):
        list(stream(model, vocabulary, "The l", 3, rules=[forbid(range(len(vocabulary)))]))
    assert first != "□"


def test_what_is_shown_is_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        seen = ""

        def flush(self) -> None:
            self.seen = self.getvalue()

    def pieces() -> Iterator[str]:
        yield "灯"
        assert screen.seen == "灯"
        yield " lamp"
        assert screen.seen == "灯 lamp"
        raise KeyboardInterrupt

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    with pytest.raises(KeyboardInterrupt):
        show(pieces())
    show(["a", "b"])
    assert screen.seen == "灯 lamp\nab\n"  # interrupted, what was written stays, on its own line


# ---- errors -------------------------------------------------------------------------------


def test_prompts_and_calls_that_cannot_work() -> None:
    model = counting()
    for prompt in (torch.zeros(2, 0).long(), torch.zeros(3).long()):
        with pytest.raises(ValueError, match=r"give \(batch, time\) with at least one token"):
            generate(model, prompt, 3, greedy=True)
    with pytest.raises(ValueError, match=r"generator=torch.Generator\(\).manual_seed\(0\), or gr"):
        generate(model, torch.tensor([[1]]), 3)
    for kind, prompt in ((CharacterVocabulary, ""), (WordVocabulary, " \t ")):
        with pytest.raises(ValueError, match="the prompt is empty"):
            write(model, kind.build(STORY), prompt, 3)
    with pytest.raises(ValueError, match="-1 new tokens cannot be written"):
        generate(model, torch.tensor([[1]]), -1, greedy=True)
    with pytest.raises(ValueError, match=r"holds torch.float32, but token ids are whole numbers"):
        generate(model, torch.tensor([[1.0]]), 3, greedy=True)
    elsewhere = SimpleNamespace(device=torch.device("cuda"))
    with pytest.raises(ValueError, match="the generator must be on the CPU, so that a seed"):
        generate(model, torch.tensor([[1]]), 3, generator=elsewhere)
