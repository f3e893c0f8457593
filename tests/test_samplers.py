"""Samplers: draws by their law, samples with the exact chance of every class, plain refusals."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from minidistill.device import seeded
from minidistill.samplers import (
    DRAWS_A_SAMPLE,
    LogUniformSampler,
    Negatives,
    Sampler,
    UniformSampler,
    UnigramSampler,
    first_different,
    log_expected_count,
)
from tests.test_alias_table import chance_of

V, S = 23, 7
DRAWS = 200_000
SAMPLES = 4000
# In no order, with classes of the same count and one that never stood in the text.
COUNTS = [31, 5, 997, 17, 2, 211, 0, 503, 43, 7, 2, 89, 11, 61, 3, 5, 131, 1, 23, 13, 71, 19, 37]


def every_sampler(vocab_size: int = V) -> list[Sampler]:
    counts = (COUNTS * (1 + vocab_size // V))[:vocab_size]
    return [
        UniformSampler(vocab_size),
        LogUniformSampler(vocab_size),
        *(UnigramSampler(counts, power) for power in (0.0, 0.75, 1.0)),
    ]


def name_of(sampler: Sampler) -> str:
    return f"{type(sampler).__name__}{getattr(sampler, 'power', '')}"


all_samplers = pytest.mark.parametrize("sampler", every_sampler(), ids=name_of)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def probabilities(sampler: Sampler) -> Tensor:
    return sampler.log_prob(torch.arange(sampler.vocab_size)).double().exp()


# ---- one draw -------------------------------------------------------------------------------


@pytest.mark.parametrize("vocab_size", [1, 2, 23, 1009])
def test_probabilities_add_up_to_one(vocab_size: int) -> None:
    for sampler in every_sampler(vocab_size):
        assert float(probabilities(sampler).sum()) == pytest.approx(1, abs=1e-6)


def test_probabilities_by_hand() -> None:
    ids = torch.tensor([[1, 0], [2, 1]])
    torch.testing.assert_close(UniformSampler(5).log_prob(ids).exp(), torch.full((2, 2), 0.2))
    # ln(2 / 1), ln(3 / 2) and ln(4 / 3) add up to ln 4.
    expected = torch.tensor([[1.5, 2.0], [4 / 3, 1.5]]).log() / math.log(4)
    torch.testing.assert_close(LogUniformSampler(3).log_prob(ids).exp(), expected)
    expected = torch.tensor([[4.0, 1.0], [9.0, 4.0]]) / 14
    torch.testing.assert_close(UnigramSampler([1, 16, 81], 0.5).log_prob(ids).exp(), expected)


def test_log_uniform_equals_its_formula_in_a_million_classes() -> None:
    vocab_size = 1_000_003
    ids = [0, 1, 2, 96, 9_973, 499_979, vocab_size - 2, vocab_size - 1]
    expected = [math.log(math.log1p(1 / (k + 1)) / math.log(vocab_size + 1)) for k in ids]
    got = LogUniformSampler(vocab_size).log_prob(torch.tensor(ids))
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got.double(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1.1e-6
    )


@all_samplers
def test_draws_follow_log_prob(sampler: Sampler) -> None:
    drawn = sampler.draw(DRAWS, chance())
    assert drawn.shape == (DRAWS,) and drawn.dtype == torch.int64
    assert int(drawn.min()) >= 0 and int(drawn.max()) < V
    assert chance_of(drawn, probabilities(sampler)) < 5


def test_the_draws_of_one_power_are_not_those_of_the_next() -> None:
    drawn = UnigramSampler(COUNTS, 0.75).draw(DRAWS, chance())
    for power in (0.0, 0.73, 0.77, 1.0):
        assert chance_of(drawn, probabilities(UnigramSampler(COUNTS, power))) > 5


def test_fifty_million_classes_can_be_told_apart() -> None:
    # Above 2^25 numbers of 24 bits are all multiples of 4: most classes would never come.
    drawn = LogUniformSampler(50_000_017).draw(DRAWS, chance())
    far = drawn[drawn > 2**25]
    assert len(far) > 2000 and int(far.max()) < 50_000_017
    assert chance_of(far % 4, torch.full((4,), 0.25)) < 5


def test_a_count_of_zero_counts_once() -> None:
    log_p = UnigramSampler([0, 1, 8, 0], power=1.0).log_prob(torch.arange(4))
    torch.testing.assert_close(log_p.exp(), torch.tensor([1.0, 1.0, 8.0, 1.0]) / 11)


# ---- a sample -------------------------------------------------------------------------------


def slowly(drawn: list[int], samples: int) -> tuple[list[int], list[bool], int]:
    """`first_different`, one draw after the other."""
    came: list[int] = []
    end = len(drawn)
    for place, k in enumerate(drawn):
        if k not in came and len(came) == samples:
            end = place
            break
        came += [k] * (k not in came)
    empty = samples - len(came)
    filled = [True] * len(came) + [False] * empty
    return sorted(came) + [max(came)] * empty, filled, end


@given(
    st.integers(1, 7).flatmap(
        lambda samples: st.tuples(
            st.lists(st.integers(0, 10), min_size=samples + 1, max_size=29), st.just(samples)
        )
    )
)
@example(([5, 5, 5], 2))  # one slot stays empty
@example(([5, 3, 5], 2))  # all are filled, but number S + 1 never comes
@example(([5, 3, 9], 2))  # number S + 1 comes last
@example(([0, 0], 1))
@settings(max_examples=300, deadline=None)
def test_first_different_equals_the_slow_way(case: tuple[list[int], int]) -> None:
    drawn, samples = case
    ids, filled, end = first_different(torch.tensor(drawn), samples)
    assert (ids.tolist(), filled.tolist(), int(end)) == slowly(drawn, samples)


@given(st.integers(1, 41), st.integers(0, 10_000), st.data())
@settings(max_examples=100, deadline=None)
def test_a_sample_is_of_different_classes_in_rising_order(
    vocab_size: int, seed: int, data: st.DataObject
) -> None:
    samples = data.draw(st.integers(1, vocab_size))
    for sampler in every_sampler(vocab_size)[:3]:
        ids, log_q, time = sampler.sample(samples, chance(seed))
        assert ids.shape == log_q.shape == (samples,) and time.shape == ()
        assert ids.dtype == torch.int64 and log_q.dtype == torch.float32
        assert int(ids[0]) >= 0 and int(ids[-1]) < vocab_size
        assert bool((ids[1:] > ids[:-1]).all())
        assert bool(((log_q <= 0) & log_q.isfinite()).all())


@all_samplers
def test_a_sample_is_what_the_draws_and_their_times_give(sampler: Sampler) -> None:
    """The same chance, taken one step after the other."""
    p = probabilities(sampler)
    for seed in range(11):
        ids, log_q, time = sampler.sample(S, chance(seed))
        generator = chance(seed)
        drawn = sampler.draw(sampler._draws_for(S), generator)
        waits = torch.empty(len(drawn), dtype=torch.float64).exponential_(generator=generator)
        expected, _, end = slowly(drawn.tolist(), S)
        assert ids.tolist() == expected
        assert float(time) == pytest.approx(sum(waits[: end + 1].tolist()), rel=1e-9)
        q = [math.log(-math.expm1(-float(p[k]) * float(time))) for k in expected]
        torch.testing.assert_close(log_q, torch.tensor(q), rtol=1e-5, atol=1e-6)


@all_samplers
def test_there_are_enough_draws_and_not_many_more(sampler: Sampler) -> None:
    enough = sampler._draws_for(S)
    assert enough < 25 * S
    generator = chance()
    for _ in range(500):
        assert int(first_different(sampler.draw(enough, generator), S)[2]) < enough


def inverse_counts(sampler: Sampler, q: str) -> Tensor:
    """1{k in the sample} / Q(k), for many samples (n, V) and for a right or a wrong Q."""
    generator, p = chance(), probabilities(sampler)
    found = torch.zeros(SAMPLES, V, dtype=torch.float64)
    for row in found:
        ids, log_q, time = sampler.sample(S, generator)
        assert bool(log_q.isfinite().all())
        row[ids] = 1 / {"ours": log_q.double().exp(), "S p": S * p[ids], "p t": p[ids] * time}[q]
    return found


def errors_off(found: Tensor) -> Tensor:
    """How many standard errors the mean of each column lies from 1."""
    return (found.mean(0) - 1).abs() / (found.std(0) / math.sqrt(len(found)))


@all_samplers
def test_one_over_q_counts_every_class_once(sampler: Sampler) -> None:
    found = inverse_counts(sampler, "ours")
    assert float(errors_off(found).max()) < 5
    # All classes at once, where the noise is smaller: V in the mean.
    assert float(errors_off(found.sum(1, keepdim=True) / V)) < 5


@all_samplers
def test_a_wrong_q_does_not(sampler: Sampler) -> None:
    # The count with repeats: too large, above all for the classes that come often.
    assert float(errors_off(inverse_counts(sampler, "p t").sum(1, keepdim=True) / V)) > 10
    if probabilities(sampler).std() > 1e-6:  # where all are alike, S p is what it should be
        assert float(errors_off(inverse_counts(sampler, "S p")).max()) > 20


@all_samplers
def test_as_many_as_there_are_gives_all_of_them(sampler: Sampler) -> None:
    ids, log_q, time = sampler.sample(V, chance())
    assert ids.tolist() == list(range(V)) and log_q.tolist() == [0.0] * V
    assert float(time) == math.inf
    assert UniformSampler(1).sample(1).ids.tolist() == [0]


@all_samplers
def test_a_generator_repeats_a_sample_and_leaves_global_chance_alone(sampler: Sampler) -> None:
    before = torch.get_rng_state()
    once, again, another = (sampler.sample(S, chance(seed)) for seed in (3, 3, 5))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert not torch.equal(once.ids, another.ids) and float(once.time) != float(another.time)
    assert not torch.equal(sampler.draw(97, chance(3)), sampler.draw(97, chance(5)))
    assert torch.equal(before, torch.get_rng_state())


@all_samplers
def test_without_a_generator_chance_is_the_global_one(sampler: Sampler) -> None:
    with seeded(3):
        once = sampler.sample(S)
        later = sampler.sample(S)
    with seeded(3):
        again = sampler.sample(S)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert float(once.time) != float(later.time)


@pytest.mark.parametrize("often", [5_000, 10**9])
@pytest.mark.parametrize("place", [0, 11, 22])
def test_slots_that_stay_empty(often: int, place: int) -> None:
    counts = [1] * V
    counts[place] = often
    sampler = UnigramSampler(counts, power=1.0)
    p, wanted = probabilities(sampler), V - 1
    assert sampler._draws_for(wanted) == DRAWS_A_SAMPLE * wanted  # and no more than that
    for seed in range(7):
        ids, log_q, time = sampler.sample(wanted, chance(seed))
        filled = int((log_q < math.inf).sum())
        assert 1 <= filled < wanted and (filled == 1) == (often == 10**9)
        assert bool((log_q[:filled] <= 0).all()) and bool((log_q[filled:] == math.inf).all())
        assert place in ids[:filled] and bool((ids[1:filled] > ids[: filled - 1]).all())
        assert ids[filled:].tolist() == [int(ids[filled - 1])] * (wanted - filled)
        assert 0 < float(time) < math.inf
        expected = (-torch.expm1(-p[ids[:filled]] * float(time))).log().float()
        torch.testing.assert_close(log_q[:filled], expected)


# ---- ln Q -----------------------------------------------------------------------------------


def test_rare_classes_keep_their_digits() -> None:
    p = torch.tensor([1e-12, 1e-9, 0.25, 1.0], dtype=torch.float64)
    got = log_expected_count(p, 1.0)
    expected = [math.log(1e-12) - 5e-13, math.log(1e-9) - 5e-10]
    expected += [math.log(1 - math.exp(-0.25)), math.log(1 - math.exp(-1))]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=0)
    forever = log_expected_count(p, torch.tensor(math.inf))
    assert forever.tolist() == [0.0] * 4


@given(st.floats(-15, 3), st.floats(-15, 0))
@settings(max_examples=100, deadline=None)
def test_ln_q_at_any_time(log_time: float, log_p: float) -> None:
    p, time = 10.0**log_p, 10.0**log_time
    got = float(log_expected_count(torch.tensor(p, dtype=torch.float64), time))
    assert got == pytest.approx(math.log(-math.expm1(-p * time)), rel=1e-12, abs=1e-15)


def test_a_samplers_ln_q() -> None:
    sampler = LogUniformSampler(1_000_003)
    ids = torch.tensor([[0, 1_000_002]])
    # p t is about 7e-14 for the last class: Q is p t itself.
    early = sampler.log_expected_count(ids, 1e-6)
    assert early.shape == ids.shape and early.dtype == torch.float32
    torch.testing.assert_close(early, sampler.log_prob(ids) + math.log(1e-6), rtol=1e-6, atol=0)
    assert sampler.log_expected_count(ids, math.inf).tolist() == [[0.0, 0.0]]
    assert sampler.log_expected_count(ids, torch.tensor(math.inf)).tolist() == [[0.0, 0.0]]


# ---- modules, and nothing that waits ---------------------------------------------------------


@all_samplers
def test_a_sampler_has_nothing_to_learn_and_nothing_to_store(sampler: Sampler) -> None:
    assert not list(sampler.parameters()) and not sampler.state_dict()


def test_a_sampler_moves() -> None:
    for sampler in every_sampler():
        assert sampler.to("cpu") is sampler and sampler.sample(S).ids.device.type == "cpu"
        moved = sampler.to("meta")
        assert moved.draw(5).shape == (5,) and moved.draw(5).device.type == "meta"
        assert moved.log_prob(torch.arange(V, device="meta")).device.type == "meta"
        assert all(part.device.type == "meta" for part in moved.sample(V))


def faked(sampler: Sampler, mode: FakeTensorMode) -> Sampler:
    """The sampler with tensors that have a shape and no numbers."""
    for name, buffer in list(sampler.named_buffers()):
        setattr(sampler, name, mode.from_tensor(buffer))
    return sampler


@pytest.mark.parametrize("samples", [S, V])
def test_a_sample_waits_for_no_number(samples: int) -> None:
    for sampler in every_sampler():
        sampler.sample(samples)  # how many draws it takes is counted once, on real numbers
        with FakeTensorMode() as mode:
            drawn = faked(sampler, mode).sample(samples)
        assert isinstance(drawn, Negatives)
        assert drawn.ids.shape == drawn.log_expected_count.shape == (samples,)


def test_numbers_that_are_waited_for_are_seen() -> None:
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        torch.arange(5)[
            torch.arange(3).max()
        ]  # an index without a dimension is fetched as a number


class Pairs(Sampler):
    """A sampler as a reader writes one: even classes twice as often as odd ones, of six."""

    def log_prob(self, ids: Tensor) -> Tensor:
        return torch.where(ids % 2 == 0, 2 / 9, 1 / 9).log()

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.tensor([0, 2, 4, 0, 2, 4, 1, 3, 5])[
            torch.randint(9, (count,), generator=generator)
        ]


def test_a_sampler_of_ones_own_needs_two_functions() -> None:
    ids, log_q, _ = Pairs(6).sample(5, chance())
    assert len(set(ids.tolist())) == 5 and bool((log_q < 0).all())
    with pytest.raises(NotImplementedError, match="log_prob"):
        Sampler(6).log_prob(ids)
    with pytest.raises(NotImplementedError, match="draw"):
        Sampler(6).draw(5)


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [0, -3, V + 1, 2.0, "3", None])
def test_samples_that_cannot_be_drawn_are_refused(samples: object) -> None:
    for sampler in every_sampler():
        with pytest.raises(ValueError, match=r"a whole number from 1 to the vocabulary's 23 clas"):
            sampler.sample(samples)


@pytest.mark.parametrize("vocab_size", [0, -5, 2.0])
def test_a_vocabulary_without_classes_is_refused(vocab_size: object) -> None:
    for kind in (UniformSampler, LogUniformSampler):
        with pytest.raises(ValueError, match=rf"vocab_size is {vocab_size} but must be an integer"):
            kind(vocab_size)
    with pytest.raises(ValueError, match="vocab_size is 0"):
        UnigramSampler([])


def test_ids_that_are_not_in_the_order_of_counts_are_refused() -> None:
    LogUniformSampler(5, [9, 9, 4, 0, 0])
    message = (
        r"class 2 stands 7 times and class 1 before it only 4: .*order of frequency.*"
        r"Sort the vocabulary, or use UnigramSampler\(counts\)"
    )
    with pytest.raises(ValueError, match=message):
        LogUniformSampler(5, [9, 4, 7, 3, 2])
    with pytest.raises(ValueError, match="class 1 stands 5 times and class 0 before it only 4"):
        LogUniformSampler(5, [4, 5, 3, 2, 1])
    with pytest.raises(ValueError, match="class 4 stands 3 times and class 3 before it only 2"):
        LogUniformSampler(5, [9, 4, 3, 2, 3])


def test_special_tokens_stand_first_whatever_their_counts() -> None:
    counts = [0, 3, 0, 9, 5, 5, 1]
    LogUniformSampler(7, counts, reserved=3)
    with pytest.raises(ValueError, match="class 3 stands 9 times and class 2 before it only 0"):
        LogUniformSampler(7, counts, reserved=2)
    with pytest.raises(ValueError, match="class 5 stands 6 times and class 4 before it only 5"):
        LogUniformSampler(7, [0, 3, 0, 9, 5, 6, 1], reserved=3)
    LogUniformSampler(3, [0, 1, 2], reserved=3)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, 3, -1], "class 2 has the count -1"),
        ([5, math.nan, 1], "class 1 has the count nan"),
        ([math.inf, 3, 1], "class 0 has the count inf"),
        ([0, 0, 0], "all counts are 0: count the tokens of a text first"),
    ],
)
def test_counts_that_are_none_are_refused(counts: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UnigramSampler(counts)
    with pytest.raises(ValueError, match=message):
        LogUniformSampler(3, counts)


@pytest.mark.parametrize("counts", [[5, 3], [5, 3, 2, 1]])
def test_one_count_a_class(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"{len(counts)} counts for 3 classes"):
        LogUniformSampler(3, counts)
