"""Writing: the likeliest by hand, draws by their distribution, and a state that is carried."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.device import seeded
from minidistill.generation import draw, forbid, generate, temperature, write
from minidistill.language_model import LanguageModel
from minidistill.recurrent import RNN
from minidistill.vocabulary import BytePairVocabulary, CharacterVocabulary, WordVocabulary

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
    tokens, noise = prompt, chance(3)
    model.eval()
    for _ in range(11):
        scores = model(tokens)[0][:, -1].float()
        new = scores.argmax(-1) if greedy else draw(scores, noise)
        tokens = torch.cat([tokens, new[:, None]], dim=1)
    assert torch.equal(found, tokens)


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


@pytest.mark.parametrize("value", [0.5, 1.0, 3.0])
def test_draws_follow_the_softmax(value: float) -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, 0.5, -1.0, 1.5, 0.25])
    scores = temperature(value)(logits.expand(50_000, V), torch.zeros(50_000, 1))
    counts = torch.bincount(draw(scores, chance(11)), minlength=V).double()
    expected = 50_000 * (logits.double() / value).softmax(0)
    # Chi-square with 6 degrees of freedom: above 22.5 once in a thousand.
    assert float(((counts - expected) ** 2 / expected).sum()) < 22.5


def test_draws_at_the_limits() -> None:
    never = torch.tensor([[0.0, -torch.inf, 1.0]]).expand(10_000, 3)
    assert set(draw(never, chance()).tolist()) == {0, 2}
    certain = torch.tensor([[-1e4, 1e4, 0.0]], dtype=torch.bfloat16).expand(1000, 3)
    assert set(draw(certain, chance()).tolist()) == {1}


def test_rules_of_temperature_and_forbidding_by_hand() -> None:
    logits, tokens = torch.tensor([[1.0, 2.0, 4.0], [0.0, -2.0, 6.0]]), torch.zeros(2, 1)
    assert temperature(2.0)(logits, tokens).tolist() == [[0.5, 1.0, 2.0], [0.0, -1.0, 3.0]]
    blocked = forbid([0, 2])(logits, tokens)
    assert blocked.tolist() == [[-torch.inf, 2.0, -torch.inf], [-torch.inf, -2.0, -torch.inf]]
    assert logits[0, 0] == 1.0  # what it was given is left alone
    assert torch.equal(forbid([])(logits, tokens), logits)


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
    for value in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=r"a temperature is above 0, got .*likeliest use gree"):
            temperature(value)
