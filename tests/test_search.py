"""Search: beams against all texts tried one by one, against Viterbi, and by hand."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from minidistill.device import seeded
from minidistill.generation import generate
from minidistill.language_model import LanguageModel
from minidistill.recurrent import GRU, LSTM, RNN
from minidistill.rules import Rule, forbid, no_repeats, repetition_penalty, temperature, top_k
from minidistill.search import (
    LOOK_EVERY,
    Beams,
    beam_search,
    beam_step,
    exhaustive_search,
    select,
    viterbi,
)

INF = torch.inf


def writer(layer: type[nn.Module], vocab_size: int, seed: int = 0) -> LanguageModel:
    """A random model with opinions: larger weights than a fresh one, so that choices matter."""
    with seeded(seed):
        model = LanguageModel(vocab_size, 5, layer(5, 7, num_layers=2), dropout=0.4).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    return model


class Table(nn.Module):
    """A first-order model: row v of the table holds the logits of what follows v."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.vocab_size = logits, len(logits)

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        return self.logits[tokens], None


class Historian(nn.Module):
    """Its state is all that it has read, in nested tuples; every text has its own logits."""

    def __init__(self, vocab_size: int, seed: int = 0) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.chance = torch.rand(997, vocab_size, generator=torch.Generator().manual_seed(seed))
        self.rows_read: list[int] = []

    def forward(self, tokens: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        self.rows_read.append(len(tokens))
        past = tokens[None, :, :0] if state is None else state[1][0]
        read = torch.cat([past, tokens[None]], dim=2)  # (1, B, t)
        powers = torch.tensor([pow(31, n, 997) for n in range(read.size(2))])
        sums = ((read[0] + 1) * powers).cumsum(1)[:, past.size(2) :] % 997  # (B, T)
        count = torch.full((3, len(tokens)), read.size(2))
        assert state is None or bool((state[0] == past.size(2)).all())
        return 4 * self.chance.double()[sums], (count, (read,))


def prompts(vocab_size: int, rows: int = 3, length: int = 2) -> Tensor:
    chance = torch.Generator().manual_seed(7)
    return torch.randint(vocab_size, (rows, length), generator=chance)


def score_of(model: nn.Module, prompt: list[int], text: tuple[int, ...]) -> float:
    """ln p of a text after a prompt, summed one token at a time."""
    total = 0.0
    with torch.no_grad():
        for n, token in enumerate(text):
            logits = model(torch.tensor([[*prompt, *text[:n]]]))[0][0, -1]
            total += float(logits.double().log_softmax(-1)[token])
    return total


def all_texts(size: int, n: int, stop_id: int | None = None) -> list[tuple[int, ...]]:
    """Every text of n tokens, or of fewer that ends in the stop token."""
    if stop_id is None:
        return list(product(range(size), repeat=n))
    others = [w for w in range(size) if w != stop_id]
    ended = [(*text, stop_id) for m in range(n) for text in product(others, repeat=m)]
    return ended + list(product(others, repeat=n))


def padded(text: tuple[int, ...], n: int, stop_id: int | None) -> list[int]:
    return [*text, *[stop_id] * (n - len(text))]


# ---- one step -----------------------------------------------------------------------------


def test_a_step_by_hand() -> None:
    # Beam 0 (0.5): 0.05, 0.20, 0.25; beam 1 (0.3): 0.21, 0.06, 0.03.
    scores = torch.tensor([[0.5, 0.3]]).log()
    log_probs = torch.tensor([[[0.1, 0.4, 0.5], [0.7, 0.2, 0.1]]]).log()
    best, parents, tokens = beam_step(scores, log_probs, torch.zeros(1, 2, dtype=bool), None)
    assert torch.allclose(best.exp(), torch.tensor([[0.25, 0.21]]))
    assert parents.tolist() == [[0, 1]] and tokens.tolist() == [[2, 0]]


def test_an_ended_beam_goes_on_with_the_stop_token_at_no_cost() -> None:
    scores = torch.tensor([[0.5, 0.3], [0.5, 0.3]]).log()
    log_probs = torch.tensor([[[0.1, 0.4, 0.5], [0.7, 0.2, 0.1]]]).log().expand(2, 2, 3)
    ended = torch.tensor([[False, True], [True, True]])
    best, parents, tokens = beam_step(scores, log_probs, ended, 1)
    assert torch.allclose(best.exp(), torch.tensor([[0.3, 0.25], [0.5, 0.3]]))
    assert parents.tolist() == [[1, 0], [0, 1]] and tokens.tolist() == [[1, 2], [1, 1]]
    # Whatever the model says after the end, no number at all included.
    nothing = torch.full_like(log_probs, torch.nan)
    assert torch.equal(beam_step(scores[1:], nothing[1:], ended[1:], 1)[0], scores[1:])
    # Without a stop token nothing has ended.
    assert beam_step(scores, log_probs, ended, None)[2].tolist() == [[2, 0], [2, 0]]


def test_a_step_keeps_the_rows_apart() -> None:
    chance = torch.Generator().manual_seed(0)
    scores = -torch.rand(5, 3, generator=chance)
    log_probs = torch.randn(5, 3, 7, generator=chance).log_softmax(-1)
    ended = torch.rand(5, 3, generator=chance) < 0.3
    whole = beam_step(scores, log_probs, ended, 4)
    for row in range(5):
        one = beam_step(scores[[row]], log_probs[[row]], ended[[row]], 4)
        assert all(torch.equal(a[0], b[row]) for a, b in zip(one, whole, strict=True))


# ---- against all texts --------------------------------------------------------------------

MODELS = {
    "RNN": lambda V, seed: writer(RNN, V, seed),
    "LSTM": lambda V, seed: writer(LSTM, V, seed),
    "GRU": lambda V, seed: writer(GRU, V, seed),
    "nested state": Historian,
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("stop_id", [None, 1])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 2.0])
def test_exhaustive_search_is_the_best_of_a_plain_loop(
    kind: str, stop_id: int | None, length_penalty: float
) -> None:
    model, prompt = MODELS[kind](3, 11).eval(), prompts(3)
    found = exhaustive_search(model, prompt, 3, stop_id=stop_id, length_penalty=length_penalty)
    for row, start in enumerate(prompt.tolist()):
        scores = {text: score_of(model, start, text) for text in all_texts(3, 3, stop_id)}
        best = max(scores, key=lambda text: scores[text] / len(text) ** length_penalty)
        width = found.tokens.size(2) - 2
        assert found.tokens[row, 0].tolist() == start + padded(best, width, stop_id)
        assert float(found.scores[row, 0]) == pytest.approx(scores[best], abs=1e-9)
        normalised = scores[best] / len(best) ** length_penalty
        assert float(found.normalised[row, 0]) == pytest.approx(normalised, abs=1e-9)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("stop_id", [None, 2])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize(("V", "n"), [(3, 4), (5, 3), (7, 2), (5, 1)])
def test_a_beam_that_covers_all_texts_finds_the_best(
    kind: str, seed: int, stop_id: int | None, length_penalty: float, V: int, n: int
) -> None:
    model, prompt = MODELS[kind](V, seed), prompts(V)
    options = {"stop_id": stop_id, "length_penalty": length_penalty}
    exact = exhaustive_search(model, prompt, n, **options)
    found = beam_search(model, prompt, n, V ** (n - 1), **options)
    T = exact.tokens.size(2)
    assert torch.equal(found.tokens[:, 0, :T], exact.tokens[:, 0])
    assert n + 2 == T if stop_id is None else bool((found.tokens[:, 0, T:] == stop_id).all())
    assert torch.allclose(found.scores[:, 0], exact.scores[:, 0], rtol=0, atol=1e-9)
    assert torch.allclose(found.normalised[:, 0], exact.normalised[:, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("stop_id", [None, 2])
def test_a_covering_beam_holds_the_best_texts_in_order(stop_id: int | None) -> None:
    model = writer(GRU, 3, 5).eval()
    found = beam_search(model, torch.tensor([[1, 0]]), 4, 27, stop_id=stop_id)
    scores = {text: score_of(model, [1, 0], text) for text in all_texts(3, 4, stop_id)}
    best = sorted(scores, key=scores.get, reverse=True)[:27]
    assert found.tokens[0, :, 2:].tolist() == [padded(text, 4, stop_id) for text in best]
    expected = torch.tensor([scores[text] for text in best], dtype=torch.float64)
    assert torch.allclose(found.scores[0], expected, rtol=0, atol=1e-9)


# ---- Viterbi ------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_viterbi_is_the_best_of_all_paths(seed: int, size: int, length: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    start = torch.randn(size, generator=chance, dtype=torch.float64).log_softmax(0)
    step = torch.randn(size, size, generator=chance, dtype=torch.float64).log_softmax(1)

    def score(path: tuple[int, ...]) -> float:
        return float(start[path[0]]) + sum(float(step[v, w]) for v, w in pairwise(path))

    path, found = viterbi(start, step, length)
    best = max(map(score, product(range(size), repeat=length)))
    # Two paths with the same steps in another order are equally good: only scores are compared.
    assert float(found) == pytest.approx(best, abs=1e-9)
    assert score(tuple(path.tolist())) == pytest.approx(best, abs=1e-9) and len(path) == length


@pytest.mark.parametrize("seed", range(5))
def test_beam_and_viterbi_agree_on_a_first_order_model(seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(5, 5, generator=chance, dtype=torch.float64)
    log_p, prompt = logits.log_softmax(1), torch.tensor([[3], [0]])
    found = beam_search(Table(logits), prompt, 4, 5**3)
    for row, first in enumerate([3, 0]):
        path, score = viterbi(log_p[first], log_p, 4)
        assert float(found.scores[row, 0]) == pytest.approx(float(score), abs=1e-9)
        same_steps = sorted(pairwise([first, *path.tolist()]))
        assert sorted(pairwise(found.tokens[row, 0].tolist())) == same_steps
        # Where no beam could cover the texts, none is better than Viterbi's.
        _, score = viterbi(log_p[first], log_p, 41)
        narrow = beam_search(Table(logits), prompt[[row]], 41, 3)
        assert float(narrow.scores[0, 0]) <= float(score) + 1e-9


# ---- narrow and wide ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("stop_id", [None, 4])
@pytest.mark.parametrize("rules", [[], [forbid([2]), no_repeats(2)]])
def test_width_one_is_greedy(kind: str, stop_id: int | None, rules: list) -> None:
    model, prompt = MODELS[kind](7, 3), prompts(7, rows=5)
    found = beam_search(model, prompt, 19, 1, rules=rules, stop_id=stop_id)
    greedy = generate(model, prompt, 19, greedy=True, rules=rules, stop_id=stop_id)
    assert torch.equal(found.tokens[:, 0], greedy)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 2))
def test_wider_is_never_worse_in_two_tokens(seed: int, width: int, n: int) -> None:
    # The K best first tokens are among the K + 1 best, and the last step takes the best
    # child of any of them: more parents, no worse a child. With a third token this ends:
    # which second beginnings are kept is a contest, and more parents are more rivals.
    model, prompt = Historian(5, seed), prompts(5)
    narrow = beam_search(model, prompt, n, width).scores[:, 0]
    wide = beam_search(model, prompt, n, width + 1).scores[:, 0]
    assert bool((wide >= narrow - 1e-12).all())


@pytest.mark.parametrize("seed", range(3))
def test_no_beam_is_better_than_one_that_covers_all(seed: int) -> None:
    model, prompt = writer(LSTM, 3, seed), prompts(3)
    whole = beam_search(model, prompt, 4, 27).scores[:, 0]
    for width in (1, 2, 5, 13, 27, 41):
        found = beam_search(model, prompt, 4, width).scores[:, 0]
        assert bool((found <= whole + 1e-12).all())
        assert width < 27 or torch.allclose(found, whole, rtol=0, atol=1e-12)


def test_where_the_past_does_not_matter_all_widths_are_equal() -> None:
    row = torch.randn(7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores = [beam_search(Table(row.expand(7, 7)), prompts(7), 5, k).scores[:, 0] for k in (1, 3)]
    assert torch.equal(*scores)


def test_a_wider_beam_can_do_worse() -> None:
    # 0 begins; A = 1 leads surely to a good end through 3, B = 2 to two bad ones, 4 and 5.
    p = torch.full((7, 7), 1e-9, dtype=torch.float64)
    p[0, 1], p[0, 2] = 0.55, 0.45
    p[1, 3], p[1, 0], p[1, 6] = 0.4, 0.3, 0.3
    p[2, 4], p[2, 5] = 0.5, 0.5
    p[3, 6] = 1.0
    p[4], p[5] = 1 / 7, 1 / 7
    model, prompt = Table(p.log()), torch.tensor([[0]])
    narrow, wide = (beam_search(model, prompt, 3, width) for width in (1, 2))
    assert narrow.tokens[0, 0].tolist() == [0, 1, 3, 6]
    assert float(narrow.scores[0, 0].exp()) == pytest.approx(0.22, abs=1e-6)
    assert float(wide.scores[0, 0].exp()) == pytest.approx(0.225 / 7, abs=1e-6)
    best = exhaustive_search(model, prompt, 3)
    assert best.tokens[0, 0].tolist() == [0, 1, 3, 6]


# ---- batches, states, sources -------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("stop_id", [None, 3])
def test_a_batch_writes_what_its_rows_write_alone(kind: str, stop_id: int | None) -> None:
    model, prompt = MODELS[kind](7, 2), prompts(7, rows=5, length=3)
    options = {"stop_id": stop_id, "length_penalty": 0.8}
    whole = beam_search(model, prompt, 11, 4, **options)
    for row in range(5):
        one = beam_search(model, prompt[[row]], 11, 4, **options)
        assert torch.equal(one.tokens[0], whole.tokens[row, :, : one.tokens.size(2)])
        assert torch.allclose(one.scores[0], whole.scores[row], rtol=0, atol=1e-9)
        assert torch.allclose(one.normalised[0], whole.normalised[row], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", MODELS)
def test_every_score_is_what_the_model_gives_the_text(kind: str) -> None:
    model, prompt = MODELS[kind](7, 4).eval(), prompts(7)
    found = beam_search(model, prompt, 6, 4, rules=[forbid([5])])
    assert found.tokens.shape == (3, 4, 8) and not bool((found.tokens[:, :, 2:] == 5).any())
    assert bool((found.scores.diff(dim=1) <= 0).all())
    for row, beam in product(range(3), range(4)):
        text = tuple(found.tokens[row, beam, 2:].tolist())
        expected = score_of(model, prompt[row].tolist(), text)
        assert float(found.scores[row, beam]) == pytest.approx(expected, abs=1e-9)


def test_all_beams_are_read_in_one_call_and_the_prompt_once() -> None:
    model = Historian(7)
    beam_search(model, prompts(7, rows=3, length=5), 4, 11)
    assert model.rows_read == [3, 33, 33, 33]


def test_states_of_every_form_are_reordered_along_the_batch() -> None:
    part, rows = torch.arange(24).view(2, 3, 4), torch.tensor([2, 2, 0, 1, 0])
    assert select(None, rows, 1) is None
    assert torch.equal(select(part, rows, 1), part[:, rows])
    nested = select((part, (part + 1, None)), rows, 1)
    assert torch.equal(nested[0], part[:, rows]) and torch.equal(nested[1][0], part[:, rows] + 1)
    assert nested[1][1] is None
    assert torch.equal(select(part.transpose(0, 1), rows), part.transpose(0, 1)[rows])


def test_a_source_text_goes_with_its_row() -> None:
    class Copier(nn.Module):
        """Writes what its source says at this place, or else 0."""

        def forward(self, tokens: Tensor, state: Tensor | None, *, memory: tuple) -> tuple:
            places = torch.zeros(1, len(tokens), 1) if state is None else state
            words, mask = memory  # (B, S), (B, S)
            assert len(words) == len(tokens)
            said = (words * mask).gather(1, places[0].long())  # (B, 1)
            logits = 3.0 * nn.functional.one_hot(said, 7) + torch.arange(7) / 10
            return logits.expand(-1, tokens.size(1), -1), places + 1

    words = torch.tensor([[1, 2, 3], [4, 5, 6], [6, 6, 1]])
    mask = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])
    options = {"memory": (words, mask)}
    found = beam_search(Copier(), prompts(7), 3, 5, **options)
    assert found.tokens[:, 0, 2:].tolist() == [[1, 2, 3], [4, 5, 0], [6, 6, 1]]
    exact = exhaustive_search(Copier(), prompts(7)[:, :1], 1, **options)
    assert exact.tokens[:, 0, 1:].tolist() == [[1], [4], [6]]


# ---- endings ------------------------------------------------------------------------------


def test_texts_end_at_the_stop_token_and_only_there() -> None:
    p = torch.tensor([[0.0, 0.6, 0.4], [0.5, 0.3, 0.2], [0.9, 0.05, 0.05]])
    found = beam_search(Table(p.log()), torch.tensor([[2]]), 5, 3, stop_id=0)
    assert found.tokens[0].tolist() == [[2, 0, 0], [2, 2, 0], [2, 1, 0]]
    assert torch.allclose(found.scores[0].exp(), torch.tensor([0.9, 0.045, 0.025]))
    # The length counts the stop token, once.
    by_length = beam_search(Table(p.log()), torch.tensor([[2]]), 5, 3, stop_id=0, length_penalty=1)
    assert float(by_length.normalised[0, 1]) == pytest.approx(
        float(by_length.scores[0, 1]) / 2, abs=1e-6
    )


def test_the_surplus_after_all_ends_is_cut_off_and_not_written() -> None:
    class Counted(Table):
        calls = 0

        def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
            self.calls += 1
            return super().forward(tokens)

    p = torch.full((5, 5), 1e-4)
    p[0, 1], p[1, 2], p[2, 3] = 1.0, 1.0, 1.0
    model = Counted(p.log())
    found = beam_search(model, torch.tensor([[0], [2]]), 500, 1, stop_id=3)
    assert found.tokens[:, 0].tolist() == [[0, 1, 2, 3], [2, 3, 3, 3]]
    assert model.calls == LOOK_EVERY


def test_fewer_texts_than_beams() -> None:
    found = beam_search(Historian(3), prompts(3), 1, 7)
    assert bool((found.scores[:, 3:] == -INF).all()) and bool(found.scores[:, :3].isfinite().all())
    assert torch.equal(found.tokens[:, 3:], found.tokens[:, :1].expand(-1, 4, -1))
    # They stay out of it for good: with another token all seven are different texts.
    later = beam_search(Historian(3), prompts(3), 2, 7)
    assert all(len({tuple(text) for text in row}) == 7 for row in later.tokens.tolist())
    assert bool(later.scores.isfinite().all())


def test_no_new_token() -> None:
    found = beam_search(writer(RNN, 5), prompts(5), 0, 2, length_penalty=1.0)
    assert torch.equal(found.tokens, prompts(5)[:, None].expand(3, 2, 2))
    assert found.normalised.tolist() == [[0.0, -INF]] * 3
    assert exhaustive_search(writer(RNN, 5), prompts(5), 0).scores.tolist() == [[0.0]] * 3


# ---- rules --------------------------------------------------------------------------------


def test_rules_see_the_text_of_their_own_beam() -> None:
    model, seen = Historian(5), []

    def look(logits: Tensor, tokens: Tensor) -> Tensor:
        seen.append(tokens)
        expected = model.chance.double()[
            ((tokens + 1) * torch.tensor([pow(31, n, 997) for n in range(tokens.size(1))])).sum(1)
            % 997
        ]
        assert torch.allclose(logits, (4 * expected).log_softmax(-1))
        return logits

    found = beam_search(model, prompts(5), 4, 3, rules=[look])
    assert [tuple(tokens.shape) for tokens in seen] == [(9, 2), (9, 3), (9, 4), (9, 5)]
    assert isinstance(found, Beams)


def test_rules_work_in_the_search() -> None:
    model, prompt = writer(GRU, 7, 1), prompts(7)
    for repeats in (True, False):
        found = beam_search(model, prompt, 6, 4, rules=[] if repeats else [no_repeats(2)])
        pairs = [list(pairwise(row)) for row in found.tokens.flatten(0, 1).tolist()]
        assert any(len(set(row)) < len(row) for row in pairs) == repeats
    rules = [temperature(0.7), repetition_penalty(1.3), top_k(3)]
    exact = exhaustive_search(model, prompt, 3, rules=rules)
    found = beam_search(model, prompt, 3, 49, rules=rules)
    assert torch.equal(found.tokens[:, 0], exact.tokens[:, 0])


def test_a_beam_that_the_rules_corner_gives_way_to_the_others() -> None:
    def nothing_after(*last: int) -> Rule:
        return lambda logits, tokens: logits.masked_fill(
            torch.isin(tokens[:, -1:], torch.tensor(last)), -INF
        )

    model, prompt = Table(torch.tensor([[0.1, 0.7, 0.2]]).expand(3, 3).log()), torch.tensor([[2]])
    found = beam_search(model, prompt, 2, 2, rules=[nothing_after(1)])
    assert found.tokens[0].tolist() == [[2, 2, 1], [2, 2, 2]]
    found = beam_search(model, prompt, 2, 5, rules=[nothing_after(1, 0)])
    assert found.tokens[0, :3].tolist() == [[2, 2, 1], [2, 2, 2], [2, 2, 0]]
    assert found.tokens[0, 3:].tolist() == [[2, 2, 1]] * 2  # no text that the rules forbid
    assert found.scores[0, 3:].tolist() == [-INF] * 2


# ---- care ---------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_dropped_out_and_the_mode_is_put_back(training: bool) -> None:
    model = writer(LSTM, 7).train(training)
    first = beam_search(model, prompts(7), 9, 3)
    assert model.training is training and model.recurrent.training is training
    assert torch.equal(first.scores, beam_search(model, prompts(7), 9, 3).scores)
    assert not first.scores.requires_grad


def test_half_precision_is_added_in_single() -> None:
    model = writer(LSTM, 7).bfloat16()
    assert beam_search(model, prompts(7), 5, 3).scores.dtype == torch.float32


class Looks(TorchDispatchMode):
    """Counts how often a number is fetched from a tensor, which on a GPU stops everything."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
        )
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("stop_id", [None, 6])
def test_no_number_is_fetched_token_by_token(stop_id: int | None) -> None:
    model, counts = writer(GRU, 7), []
    for n in (3, LOOK_EVERY - 1):
        with Looks() as looks:
            beam_search(model, prompts(7), n, 3, stop_id=stop_id, rules=[no_repeats(3)])
        counts.append(looks.count)
    assert counts[0] == counts[1]


def test_what_is_refused() -> None:
    model, prompt = writer(RNN, 5), prompts(5)
    for bad in (torch.tensor([1, 2]), torch.zeros(2, 0).long(), torch.zeros(0, 2).long()):
        for search in (beam_search, exhaustive_search):
            more = {"width": 2} if search is beam_search else {}
            with pytest.raises(ValueError, match=r"give \(batch, time\) with at least one token"):
                search(model, bad, 3, **more)
    with pytest.raises(ValueError, match="how many texts are kept, at least 1, got 0"):
        beam_search(model, prompt, 3, 0)
    for options in ({"max_new_tokens": -1}, {"length_penalty": -0.5}):
        with pytest.raises(ValueError, match="are at least 0, got"):
            beam_search(model, prompt, **{"max_new_tokens": 3, "width": 2, **options})
    for search in (beam_search, exhaustive_search):
        more = {"width": 3} if search is beam_search else {}
        with pytest.raises(ValueError, match="row 1 of the batch has no text to choose"):
            search(
                Table(torch.zeros(5, 5)),
                torch.tensor([[1], [2]]),
                3,
                rules=[lambda logits, tokens: logits.masked_fill(tokens[:, :1] == 2, -INF)],
                **more,
            )
        with pytest.raises(
            ValueError, match=r"row 0 of the batch has no .* logits that are no num"
        ):
            search(Table(torch.full((5, 5), torch.nan)), torch.tensor([[1]]), 2, **more)
    with pytest.raises(ValueError, match=r"more than 1,000,000 texts to try: ask for fewer"):
        exhaustive_search(Historian(5), torch.tensor([[0]]), 12)
    for start, step, length in ((3, (3, 2), 2), (3, (3, 3), 0), (2, (3, 3), 2)):
        with pytest.raises(ValueError, match=r"give \(V,\), \(V, V\) and at least 1"):
            viterbi(torch.zeros(start), torch.zeros(*step), length)
