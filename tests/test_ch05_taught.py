"""What chapter 05's master teaches is what the package ships: the same code, or the same values."""

from __future__ import annotations

import ast
from types import ModuleType

import pytest
import torch

from minidistill import alignment, batches, encoder, teacher_forcing
from minidistill.batches import IGNORE
from minidistill.device import seeded
from minidistill.recurrent import GRU
from minidistill.seq2seq import Seq2Seq
from minidistill.transduction import transduce
from tests.notebook_code import ROOT, definitions, load, shipped, without_docstrings

MASTER = ROOT / "solutions" / "05_seq2seq.ipynb"
SAME_CODE = {"summarise": encoder, "exact_match": alignment, "_ids": alignment}
# The package's forms check their input too, or call what this chapter's exercise forbids.
SAME_VALUES = ("lengths_to_mask", "shift_targets", "token_loss")


@pytest.mark.parametrize("name", SAME_CODE)
def test_the_code_is_the_same(name: str) -> None:
    assert _bare(definitions(MASTER)[name]) == _bare(shipped(SAME_CODE[name], name))


def _bare(function: ast.stmt) -> str:
    """The syntax tree without docstrings and annotations."""
    assert isinstance(function, ast.FunctionDef)
    for argument in function.args.args:
        argument.annotation = None
    function.returns = None
    return without_docstrings(function)


def test_the_masks_comparison_is_the_same() -> None:
    last = [
        ast.dump(tree.body[-1])
        for tree in (
            definitions(MASTER)["lengths_to_mask"],
            shipped(batches, "lengths_to_mask"),
        )
    ]
    assert last[0] == last[1]


@pytest.fixture(scope="module")
def taught() -> ModuleType:
    return load(MASTER, [*SAME_CODE, *SAME_VALUES, "PlainGRU", "decode"])


def test_the_code_was_really_taken_from_the_notebook(taught: ModuleType) -> None:
    assert taught.summarise is not encoder.summarise
    assert taught.summarise.__code__.co_filename == str(MASTER)


@pytest.mark.parametrize("seed", range(20))
def test_masks_targets_and_loss_have_the_packages_values(taught: ModuleType, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 11, (int(torch.randint(1, 8, (1,), generator=rng)),), generator=rng)
    for width in (None, 13):
        torch.testing.assert_close(
            taught.lengths_to_mask(lengths, width), batches.lengths_to_mask(lengths, width)
        )
    rows = [torch.randint(7, (int(n),), generator=rng).tolist() for n in lengths]
    one, other = (f(rows, 7, 8, 3) for f in (taught.shift_targets, batches.shift_targets))
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)
    logits = torch.randn(*one[1].shape, 9, generator=rng)
    (a, n), (b, m) = (f(logits, one[1]) for f in (taught.token_loss, teacher_forcing.token_loss))
    torch.testing.assert_close(a, b)
    assert n == m


def test_a_loss_over_nothing_is_zero_in_both(taught: ModuleType) -> None:
    nothing = torch.full((2, 3), IGNORE)
    for function in (taught.token_loss, teacher_forcing.token_loss):
        loss, count = function(torch.randn(2, 3, 5), nothing)
        assert (float(loss), count) == (0.0, 0)


def test_the_plain_layer_in_the_slot_gives_the_packages_numbers(taught: ModuleType) -> None:
    with seeded(3):
        plain, ours = (Seq2Seq(13, 13, 5, 7, layer).double() for layer in (taught.PlainGRU, GRU))
    plain.load_state_dict(ours.state_dict())
    rng = torch.Generator().manual_seed(1)
    sources = [torch.randint(13, (n,), generator=rng) for n in (5, 1, 3)]
    source, mask = batches.pad(sources, 12)
    target_in, _, real = batches.shift_targets(sources, 10, 11, 12)
    results = []
    for model in (plain, ours):
        logits, _ = model(target_in, None, real, memory=model.encode(source, mask))
        ids = transduce(model, sources, 9, bos_id=10, eos_id=11, padding_id=12)
        results.append((logits[real], ids))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_the_decoder_of_the_chapter_is_the_packages(taught: ModuleType) -> None:
    with seeded(4):
        model = Seq2Seq(13, 13, 5, 7, GRU).double().eval()
    tokens = torch.randint(13, (3, 5), generator=torch.Generator().manual_seed(2))
    memory, mask = model.encode(tokens), torch.ones(3, 5, dtype=torch.bool)
    logits, _ = model(tokens, None, mask, memory=memory)
    ours = taught.decode(model.decoder, tokens, memory.summary, mask)
    torch.testing.assert_close(ours, logits)
