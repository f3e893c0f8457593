"""Several teachers as one: two ways to take the mean, and the protocol that every writer keeps."""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.device import seeded
from minidistill.ensemble import Ensemble, mean_log_probabilities
from minidistill.generation import generate
from minidistill.language_model import LanguageModel, eval_mode
from minidistill.recurrent import GRU, LSTM, RNN
from minidistill.search import beam_search, exhaustive_search
from tests.pair_models import BOS, EOS, KINDS, close, lively, model_of, ragged, remembered, rows

V = 13
FORMS = ("probabilities", "logits")

every_form = pytest.mark.parametrize("of", FORMS)


def text_models(vocab_size: int = V) -> list[LanguageModel]:
    """Three of several layers and sizes, with states of several shapes."""
    layers = (functools.partial(RNN, num_layers=2), LSTM, GRU)
    with seeded(2):
        return [
            LanguageModel(vocab_size, size, layer(size, 2 * size + 1)).double().eval()
            for layer, size in zip(layers, (3, 5, 7), strict=True)
        ]


def some_tokens(*shape: int) -> Tensor:
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(3))


# ---- the two means ------------------------------------------------------------------------

ONE, TWO = [1 / 2, 1 / 4, 1 / 4], [1 / 8, 1 / 8, 3 / 4]
ROOTS = [1 / 4, math.sqrt(1 / 32), math.sqrt(3 / 16)]
CUBES = [(a**3 * b) ** 0.25 for a, b in zip(ONE, TWO, strict=True)]


@pytest.mark.parametrize(
    ("of", "weights", "expected"),
    [
        ("probabilities", None, [5 / 16, 3 / 16, 1 / 2]),
        ("probabilities", [3, 1], [13 / 32, 7 / 32, 3 / 8]),
        ("logits", None, [r / sum(ROOTS) for r in ROOTS]),
        ("logits", [0.6, 0.2], [c / sum(CUBES) for c in CUBES]),
    ],
)
def test_two_teachers_by_hand(of: str, weights: list | None, expected: list[float]) -> None:
    # What is added to all logits of a teacher says nothing.
    logits = [torch.tensor(p).log() + shift for p, shift in ((ONE, 2.0), (TWO, -5.0))]
    close(mean_log_probabilities(logits, weights, of).exp(), torch.tensor(expected), 1e-6)


def test_one_says_never() -> None:
    sure, open_minded = torch.tensor([0.0, -math.inf]), torch.tensor([0.0, 0.0])
    mixture = mean_log_probabilities([sure, open_minded])
    product = mean_log_probabilities([sure, open_minded], of="logits")
    close(mixture.exp(), torch.tensor([0.75, 0.25]), 1e-6)
    assert product.tolist() == [0, -math.inf]


def test_what_all_find_unlikely_does_not_become_impossible() -> None:
    rows = [torch.tensor([0.0, -z]).double() for z in (1000.0, 1000.0)]
    for of in FORMS:
        close(mean_log_probabilities(rows, of=of), rows[0])


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.lists(st.floats(0.01, 100), min_size=1, max_size=4),
    st.sampled_from(FORMS),
)
def test_laws_of_the_mean(seed: int, weights: list[float], of: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = list(3 * torch.randn(len(weights), 3, 5, 7, generator=generator, dtype=torch.float64))
    mean = mean_log_probabilities(logits, weights, of)
    close(mean.logsumexp(-1), torch.zeros(3, 5).double())
    close(mean_log_probabilities(logits[::-1], weights[::-1], of), mean)
    close(mean_log_probabilities(logits, [7 * w for w in weights], of), mean)
    close(
        mean_log_probabilities([logits[0]] * len(weights), weights, of), logits[0].log_softmax(-1)
    )
    every = torch.stack([z.softmax(-1) for z in logits])
    if of == "probabilities":  # between the least and the most of what the teachers say
        inside = (mean.exp() >= every.amin(0) - 1e-12) & (mean.exp() <= every.amax(0) + 1e-12)
        assert bool(inside.all())
        shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        close(mean.exp(), torch.einsum("k,kbtv->btv", shares, every))


def test_what_cannot_be_averaged_is_refused() -> None:
    z = torch.zeros(3, 5)
    with pytest.raises(ValueError, match="there are no teachers: give at least one"):
        mean_log_probabilities([])
    with pytest.raises(ValueError, match=r"\(3, 5\), \(3, 4\): one vocabulary, the same tokens"):
        mean_log_probabilities([z, z[:, 1:]])
    with pytest.raises(ValueError, match="'probabilities' or 'logits', not 'mean'"):
        mean_log_probabilities([z, z], of="mean")
    for weights in ([1], [1, 2, 3], [1, 0], [1, -1], [1, math.inf], [1, math.nan]):
        with pytest.raises(ValueError, match="one positive number for each of 2 teachers"):
            mean_log_probabilities([z, z], weights)


# ---- the ensemble as a writer -------------------------------------------------------------


@every_form
def test_an_ensemble_says_the_mean_of_its_teachers(of: str) -> None:
    teachers, tokens = text_models(), some_tokens(3, 11)
    logits, state = Ensemble(teachers, [1, 2, 5], of)(tokens)
    alone = [teacher(tokens) for teacher in teachers]
    close(logits, mean_log_probabilities([z for z, _ in alone], [1, 2, 5], of))
    close(state, tuple(s for _, s in alone))
    assert Ensemble(teachers).vocab_size == V


@every_form
def test_read_in_pieces_it_says_what_it_says_of_the_whole(of: str) -> None:
    ensemble, tokens = Ensemble(text_models(), of=of), some_tokens(3, 11)
    mask = torch.arange(11) < torch.tensor([11, 6, 2])[:, None]
    for real in (None, mask):
        whole, last = ensemble(tokens, None, real)
        pieces, state = [], None
        for part in (slice(0, 2), slice(2, 3), slice(3, 11)):
            logits, state = ensemble(
                tokens[:, part], state, None if real is None else real[:, part]
            )
            pieces.append(logits)
        real = torch.ones_like(mask) if real is None else real
        close(torch.cat(pieces, 1)[real], whole[real])
        close(state, last)


@every_form
def test_it_writes_and_searches(of: str) -> None:
    ensemble, prompt = Ensemble(text_models(5), of=of), torch.tensor([[1, 2, 3], [4, 0, 1]])
    with torch.no_grad():
        for model in ensemble.teachers:
            model.readout.weight.mul_(4)
    text = generate(ensemble, prompt, 9, greedy=True)
    by_hand = prompt
    for _ in range(9):
        by_hand = torch.cat([by_hand, ensemble(by_hand)[0][:, -1:].argmax(-1)], 1)
    assert text.tolist() == by_hand.tolist()
    drawn = generate(ensemble, prompt, 9, generator=torch.Generator().manual_seed(1))
    assert drawn.shape == (2, 12) and drawn.tolist() != text.tolist()
    best = beam_search(ensemble, prompt, 3, 25)
    assert best.tokens[:, :1].tolist() == exhaustive_search(ensemble, prompt, 3).tokens.tolist()


@every_form
def test_teachers_that_read_a_source_first(of: str) -> None:
    teachers = [lively(model_of(kind, seed=n)) for n, kind in enumerate(KINDS[::4])]
    ensemble, batch = Ensemble(teachers, of=of), ragged(11)
    memory = ensemble.encode(batch.source, batch.source_mask)
    logits, _ = ensemble(batch.target_in, None, batch.target_mask, memory=memory)
    alone = [
        t(batch.target_in, None, batch.target_mask, memory=remembered(t, batch))[0]
        for t in teachers
    ]
    close(logits, mean_log_probabilities(alone, of=of))
    prompt = torch.full((len(batch.source), 1), BOS)
    written = generate(ensemble, prompt, 7, greedy=True, stop_id=EOS, memory=memory)
    beams = beam_search(ensemble, prompt, 5, 3, stop_id=EOS, memory=memory)
    for b, row in enumerate(rows(batch)):
        own = {"memory": ensemble.encode(row.source, row.source_mask), "stop_id": EOS}
        text = generate(ensemble, prompt[:1], 7, greedy=True, **own)[0].tolist()
        assert written[b].tolist()[: len(text)] == text
        scores = beam_search(ensemble, prompt[:1], 5, 3, **own).scores[0]
        close(beams.scores[b], scores, 1e-5)


def test_its_teachers_are_its_parts() -> None:
    teachers = text_models()
    ensemble = Ensemble(teachers)
    count = sum(p.numel() for teacher in teachers for p in teacher.parameters())
    assert sum(p.numel() for p in ensemble.parameters()) == count
    nested, tokens = Ensemble([Ensemble(teachers[:2]), teachers[2]], [2, 1]), some_tokens(2, 5)
    close(nested(tokens)[0], ensemble(tokens)[0])  # an ensemble is a teacher like any other


def test_teachers_that_were_in_eval_mode_stay_there() -> None:
    ensemble = Ensemble(text_models())
    with eval_mode(ensemble):
        pass
    assert not any(teacher.training for teacher in ensemble.teachers)


def test_ensembles_that_cannot_be_are_refused() -> None:
    teachers = text_models()
    with pytest.raises(ValueError, match="there are no teachers"):
        Ensemble([])
    with pytest.raises(ValueError, match="one positive number for each of 3 teachers"):
        Ensemble(teachers, [1, 2])
    with pytest.raises(ValueError, match="'probabilities' or 'logits', not 'probability'"):
        Ensemble(teachers, of="probability")
    other: nn.Module = text_models(17)[0]
    with pytest.raises(ValueError, match=r"vocabularies have \[13, 17\] tokens: they must be one"):
        Ensemble([*teachers, other])
