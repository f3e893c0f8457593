"""A teacher's pass, read: batches with what was said; damaged files and other texts refused."""

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from minidistill.batches import IGNORE, ContinuousBatches
from minidistill.checkpoints import CheckpointError
from minidistill.teacher_passes import Passes
from tests.pass_parts import (
    SIZES,
    V,
    ask,
    contents,
    every_form,
    small_files,
    teacher_of,
    text,
)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_files():
        yield


# ---- batches ------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", SIZES)
@every_form
def test_batches_are_those_of_the_text_with_what_was_said(
    tmp_path: Path, targets: int, form: dict
) -> None:
    ids = text(targets)
    passes = ask(tmp_path, ids, **form)
    for rows, length in ((1, 4), (2, 100), (3, 5), (7, 2), (5, 3)):
        if rows > targets:
            continue
        batches, plain = (
            passes.batches(ids.tolist(), rows, length),
            ContinuousBatches(ids, rows, length),
        )
        assert (len(batches), batches.targets, batches.carries_state) == (len(plain), targets, True)
        width, done = -(-targets // rows), 0
        for taught, (inputs, expected) in zip(batches.epoch(3), plain, strict=True):
            assert torch.equal(taught.inputs, inputs) and torch.equal(taught.targets, expected)
            assert taught.said.ids.shape[:2] == taught.said.tail.shape == inputs.shape
            for b, t in itertools.product(range(rows), range(inputs.size(1))):
                place, said = b * width + done + t, [part[b, t] for part in taught.said]
                if expected[b, t] == IGNORE:
                    assert place >= targets and not any(bool(part.any()) for part in said)
                else:
                    right = [part[0] for part in passes.at(place, place + 1)]
                    assert all(torch.equal(*pair) for pair in zip(said, right, strict=True))
            done += inputs.size(1)


def test_batches_of_another_text_are_refused(tmp_path: Path) -> None:
    passes, ids = ask(tmp_path, text(33)), text(33)
    passes.check(ids), passes.check(ids.tolist(), V), passes.check(ids.int())
    for other in (ids[:-1], ids.flip(0), [*ids.tolist(), 0]):
        with pytest.raises(CheckpointError, match="was made for another text"):
            passes.batches(other, 3, 5)
    with pytest.raises(CheckpointError, match="vocabulary of 13 tokens, and the student has 17"):
        passes.check(ids, 17)


def test_a_fingerprint_for_every_pass_and_every_cutting(tmp_path: Path) -> None:
    ids, made = text(33), ({}, {"seed": 1}, {"draws": 3}, {"top_k": 3}, {"temperature": 2.0})
    passes = [ask(tmp_path / str(n), ids, **options) for n, options in enumerate(made)]
    passes.append(ask(tmp_path / "other teacher", ids, teacher_of(1)))
    found = [p.batches(ids, 3, 5).fingerprint() for p in passes]
    found += [
        passes[0].batches(ids, 3, 4).fingerprint(),
        ContinuousBatches(ids, 3, 5).fingerprint(),
    ]
    assert len(set(found)) == len(found)
    assert Passes(tmp_path / "0").batches(ids, 3, 5).fingerprint() == found[0]


# ---- damaged folders ---------------------------------------------------------------------


def test_a_damaged_file_is_refused_and_made_anew(tmp_path: Path) -> None:
    ids, folder, other = text(53), tmp_path / "pass", tmp_path / "other"
    ask(folder, ids, seed=1), ask(other, ids, seed=2)
    name = "00001.safetensors"
    whole, content = contents(folder), (folder / name).read_bytes()
    for damaged, message in (
        (b"", "is damaged"),
        (content[:50], "is damaged"),
        (content[: len(content) // 2], "is damaged"),
        (content[:-1], "is damaged"),
        (random.Random(1).randbytes(len(content)), "is damaged"),
        ((folder / "00002.safetensors").read_bytes(), "belongs to another pass"),
        ((other / name).read_bytes(), "belongs to another pass"),
    ):
        (folder / name).write_bytes(damaged)
        passes = Passes(folder)
        passes.at(0, 15)
        with pytest.raises(CheckpointError, match=f"{name} {message}.*call write_passes again"):
            passes.at(14, 16)
        ask(folder, ids, seed=1)
        assert contents(folder) == whole
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"\(1 files are missing, from {name} on\): call wr"):
        Passes(folder)


def test_folders_that_hold_no_pass(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no teacher's pass: make one with write_pass"):
        Passes(tmp_path)
    ask(tmp_path, text(33))
    about = json.loads((tmp_path / "about.json").read_text())
    for damaged in ("", "[]", '{"tokens": 3}', json.dumps({**about, "tokens": "many"})):
        (tmp_path / "about.json").write_text(damaged)
        with pytest.raises(CheckpointError, match=r"about\.json is damaged .*delete the folder"):
            Passes(tmp_path)
