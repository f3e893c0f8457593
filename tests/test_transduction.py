"""Many sources to many targets: as one at a time, as a plain loop, and in the order given."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.generation import generate
from minidistill.rules import forbid
from minidistill.search import beam_search
from minidistill.seq2seq import Seq2Seq
from minidistill.transduction import transduce
from tests.pair_models import (
    BOS,
    EOS,
    KINDS,
    SOURCE_SIZE,
    SPECIAL,
    TARGET_SIZE,
    Kind,
    lively,
    model_of,
    name_of,
)

untimed = settings(deadline=None, max_examples=15)  # other work is no fault of a test
every_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)
ragged_sources = st.lists(
    st.lists(st.integers(0, SOURCE_SIZE - 1), min_size=1, max_size=7), max_size=11
)
ADDITIVE = Kind("GRU", "additive", {})
LIVELY = lively(model_of(ADDITIVE))


def some_sources(count: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (count,), generator=generator).tolist()
    return [torch.randint(SOURCE_SIZE, (n,), generator=generator).tolist() for n in lengths]


def by_a_plain_loop(model: Seq2Seq, source: list[int], most: int) -> list[int]:
    """The likeliest token each time, one source, everything read again for each token."""
    written: list[int] = []
    with torch.no_grad():
        memory = model.encode(torch.tensor([source]))
        while len(written) < most:
            logits, _ = model(torch.tensor([[BOS, *written]]), memory=memory)
            best = int(logits[0, -1].argmax())
            if best == EOS:
                break
            written.append(best)
    return written


@every_kind
def test_the_likeliest_is_what_a_plain_loop_writes(kind: Kind) -> None:
    model, sources = lively(model_of(kind)), some_sources(11)
    found = transduce(model, sources, 6, batch_size=4, **SPECIAL)
    assert found == [by_a_plain_loop(model, source, 6) for source in sources]
    assert len({tuple(target) for target in found}) > 2  # they do depend on the source


@untimed
@given(ragged_sources, st.integers(1, 5), st.integers(0, 7), st.sampled_from([1, 3]))
def test_many_sources_as_one_at_a_time(
    sources: list[list[int]], batch_size: int, most: int, width: int
) -> None:
    options = {"width": width, "length_penalty": 0.7, **SPECIAL}
    found = transduce(LIVELY, sources, most, batch_size=batch_size, **options)
    assert found == [transduce(LIVELY, [source], most, **options)[0] for source in sources]
    for target in found:
        assert EOS not in target and len(target) <= most
        assert all(type(i) is int and 0 <= i < TARGET_SIZE for i in target)


def test_a_beam_is_the_searchs_best() -> None:
    sources = some_sources(7, seed=3)
    found = transduce(LIVELY, sources, 5, width=4, length_penalty=0.6, **SPECIAL)
    for source, target in zip(sources, found, strict=True):
        memory = LIVELY.encode(torch.tensor([source]))
        best = beam_search(
            LIVELY, torch.tensor([[BOS]]), 5, 4, length_penalty=0.6, stop_id=EOS, memory=memory
        ).tokens[0, 0, 1:]
        row = best.tolist()
        assert target == (row[: row.index(EOS)] if EOS in row else row)


def test_sampling_is_decided_by_the_generator_alone() -> None:
    sources = some_sources(13)

    def drawn(seed: int, batch_size: int = 64, most: int = 6) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return transduce(
            LIVELY, sources, most, generator=generator, batch_size=batch_size, **SPECIAL
        )

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1) == drawn(1, batch_size=1) == drawn(1, batch_size=5)
    assert [target[:3] for target in drawn(1)] == drawn(1, most=3)  # the beginning of a longer one


def test_sampling_one_source_is_generate() -> None:
    [source] = some_sources(1)
    options = {"generator": torch.Generator().manual_seed(1)}
    [found] = transduce(LIVELY, [source], 6, **options, **SPECIAL)
    memory, prompt = LIVELY.encode(torch.tensor([source])), torch.tensor([[BOS]])
    options = {"generator": torch.Generator().manual_seed(1), "stop_id": EOS}
    row = generate(LIVELY, prompt, 6, memory=memory, **options)[0, 1:].tolist()
    assert found == (row[: row.index(EOS)] if EOS in row else row)


def test_rules_see_the_target_from_bos_on() -> None:
    seen = []

    def look(scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tokens.clone())
        return scores

    plain = transduce(LIVELY, [[3, 5, 7]], 4, **SPECIAL)[0]
    common = plain[0] if plain else EOS
    found = transduce(LIVELY, [[3, 5, 7]], 4, rules=[look, forbid([common, EOS])], **SPECIAL)[0]
    assert common not in found and len(found) == 4
    assert [tokens.size(1) for tokens in seen] == [1, 2, 3, 4] and bool((seen[0] == BOS).all())
    for width in (1, 3):
        rules = [forbid([common, EOS])]
        written = transduce(LIVELY, [[3, 5, 7]], 4, rules=rules, width=width, **SPECIAL)[0]
        assert common not in written and len(written) == 4


def test_tensors_and_lists_are_the_same_sources() -> None:
    sources = some_sources(5)
    tensors = [torch.tensor(source) for source in sources]
    assert transduce(LIVELY, tensors, 6, **SPECIAL) == transduce(LIVELY, sources, 6, **SPECIAL)


def test_the_mode_of_the_model_is_left_as_it_was_and_nothing_is_dropped() -> None:
    model = lively(model_of(Kind("GRU", "additive", {"dropout": 0.5})))
    expected = transduce(model, some_sources(5), 6, **SPECIAL)
    model.train()
    assert transduce(model, some_sources(5), 6, **SPECIAL) == expected
    assert model.training


def test_nothing_to_write() -> None:
    assert transduce(LIVELY, [], 5, **SPECIAL) == []
    for width in (1, 3):
        assert transduce(LIVELY, [[3], [5, 7]], 0, width=width, **SPECIAL) == [[], []]


def test_what_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="source 2 is empty: there is nothing to read"):
        transduce(LIVELY, [[3], [5], [], [7]], 5, **SPECIAL)
    with pytest.raises(ValueError, match="either a generator or a width above 1"):
        transduce(LIVELY, [[3]], 5, generator=torch.Generator(), width=2, **SPECIAL)
    with pytest.raises(ValueError, match=f"source ids reach {SOURCE_SIZE}"):
        transduce(LIVELY, [[3, SOURCE_SIZE]], 5, **SPECIAL)
    with pytest.raises(ValueError, match="under 0"):
        transduce(LIVELY, [[3, -1]], 5, **SPECIAL)
    for options in ({"width": 0}, {"width": -1}, {"batch_size": 0}, {"batch_size": -3}):
        with pytest.raises(ValueError, match="width and batch_size are at least 1"):
            transduce(LIVELY, [[3]], 5, **options, **SPECIAL)
