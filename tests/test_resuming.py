"""Broken runs: gone on with, they end as if nothing had broken; other runs' files are refused."""

import contextlib
import dataclasses
import json
import random
from pathlib import Path

import pytest
import torch
from torch import nn

from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import CheckpointError, load_tensors, save_tensors
from minidistill.device import seeded
from minidistill.language_model import LanguageModel
from minidistill.training import History, Recipe, fit
from tests.training_parts import (
    SIZE,
    VOCAB,
    Broken,
    Means,
    breaking_at,
    same_weights,
    tiny_batches,
    tiny_model,
    tiny_text,
)

RECIPE = Recipe(steps=23, learning_rate=0.02, validate_every=5, checkpoint_every=4)


def train(
    model: nn.Module, path: Path | None, recipe: Recipe = RECIPE, **options: object
) -> History:
    batches = options.pop("batches", tiny_batches())
    validation = options.pop("validation", tiny_batches(seed=1))
    return fit(
        model, batches, recipe, validation=validation, checkpoint=path, progress=False, **options
    )


def broken(path: Path, step: int, model: nn.Module, recipe: Recipe = RECIPE) -> None:
    with pytest.raises(Broken):
        train(model, path, recipe, loss=breaking_at(step))


def own_model(seed: int) -> LanguageModel:
    with seeded(seed):
        return LanguageModel(VOCAB, SIZE, Means(), dropout=0.2, tied=True)


# ---- as if it had never been broken -------------------------------------------------------


@pytest.fixture(scope="module")
def unbroken() -> tuple[History, LanguageModel]:
    model = tiny_model(dropout=0.2)
    return train(model, None), model


@pytest.mark.parametrize("step", range(23))
def test_a_run_broken_at_any_step_ends_as_the_unbroken_one(
    tmp_path: Path, unbroken: tuple[History, LanguageModel], step: int
) -> None:
    (expected, whole), path = unbroken, tmp_path / "run.safetensors"
    broken(path, step, tiny_model(dropout=0.2))
    assert path.exists() == (step >= 4)
    # A process that starts anew makes the model again: where there is a checkpoint, any will do.
    again = tiny_model(seed=9 if path.exists() else 0, dropout=0.2)
    assert train(again, path) == expected
    assert same_weights(again, whole)
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_broken_after_every_checkpoint_ends_as_the_unbroken_one(
    tmp_path: Path, precision: str
) -> None:
    # The layer is one's own, with a nested state and tied weights, and the run stops early.
    recipe = dataclasses.replace(
        RECIPE, steps=60, learning_rate=0.3, patience=2, precision=precision
    )
    whole, path = own_model(0), tmp_path / "run.safetensors"
    expected = train(whole, None, recipe)
    assert expected.stopped and len(expected.losses) < 60
    for _ in range(len(expected.losses) // 4):
        broken(path, 4, own_model(0), recipe)
    again = own_model(7)
    assert train(again, path, recipe) == expected
    assert same_weights(again, whole) and again.readout.weight is again.embedding.weight


@pytest.mark.parametrize("every", [1, 5, 23, 100])
def test_the_end_of_an_epoch_and_of_the_run_are_no_exceptions(
    tmp_path: Path, unbroken: tuple[History, LanguageModel], every: int
) -> None:
    recipe = dataclasses.replace(RECIPE, checkpoint_every=every)  # five batches an epoch
    (expected, whole), path = unbroken, tmp_path / "run.safetensors"
    for step in (5, 5, 5):
        broken(path, step, tiny_model(dropout=0.2), recipe)
    again = tiny_model(dropout=0.2)
    assert train(again, path, recipe) == expected and same_weights(again, whole)


@pytest.mark.parametrize("patience", [None, 1])
def test_a_finished_run_returns_at_once(tmp_path: Path, patience: int | None) -> None:
    recipe = dataclasses.replace(RECIPE, patience=patience, learning_rate=0.5)
    path, model, again = tmp_path / "run.safetensors", tiny_model(), tiny_model(seed=9)
    expected = train(model, path, recipe)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise AssertionError("a finished run computed something")

    assert train(again, path, recipe, loss=refuse) == expected
    assert same_weights(again, model) and path.read_bytes() == before
    assert all(isinstance(pair, tuple) for pair in expected.validation)


def test_without_validation_there_are_no_best_weights_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    broken(path, 10, tiny_model())
    assert any(name.startswith("best/") for name in load_tensors(path)[0])
    path.unlink()
    whole, again = tiny_model(), tiny_model(seed=9)
    expected = train(whole, path, validation=None)
    assert not any(name.startswith("best/") for name in load_tensors(path)[0])
    assert train(again, path, validation=None) == expected and same_weights(again, whole)


# ---- files of other runs ------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "run.safetensors"
    broken(path, 10, tiny_model())
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"learning_rate": 0.01}, r"differs in: learning_rate=0.02, now 0.01\): give this run a"),
        ({"steps": 50, "seed": 3}, r"differs in: steps=23, now 50, seed=0, now 3\)"),
        ({"clip_norm": None}, r"differs in: clip_norm=1.0, now None\)"),
    ],
)
def test_another_recipe_is_refused(checkpoint: Path, changed: dict, message: str) -> None:
    before, model, weights = checkpoint.read_bytes(), tiny_model(seed=9), tiny_model(seed=9)
    with pytest.raises(CheckpointError, match=message):
        train(model, checkpoint, dataclasses.replace(RECIPE, **changed))
    assert checkpoint.read_bytes() == before and same_weights(model, weights)


def test_another_model_or_text_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"\(it differs in: model\)"):
        train(tiny_model(hidden_size=11), checkpoint)
    for other in (
        tiny_batches(seed=5),
        ContinuousBatches(tiny_text(), batch_size=5, length=7),
        ContinuousBatches(tiny_text(), batch_size=3, length=5),
    ):
        with pytest.raises(CheckpointError, match=r"\(it differs in: batches\)"):
            train(tiny_model(), checkpoint, batches=other)


# ---- damaged files ------------------------------------------------------------------------


def refused(path: Path) -> None:
    model, weights = tiny_model(seed=9), tiny_model(seed=9)
    with pytest.raises(CheckpointError, match=str(path)):
        train(model, path)
    assert same_weights(model, weights)


def test_a_file_cut_short_is_refused(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        checkpoint.write_bytes(whole[:length])
        refused(checkpoint)


def test_random_bytes_are_refused(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for seed in range(5):
        checkpoint.write_bytes(random.Random(seed).randbytes(len(whole)))
        refused(checkpoint)


def test_a_damaged_head_gives_no_other_error(checkpoint: Path) -> None:
    whole, chance = checkpoint.read_bytes(), random.Random(3)
    head = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(100):
        damaged, place = bytearray(whole), chance.randrange(head)
        damaged[place] = chance.randrange(32, 127)
        checkpoint.write_bytes(damaged)
        # Some letters more or less matter; what must not come is an error of another kind.
        with contextlib.suppress(CheckpointError, Broken):
            train(tiny_model(), checkpoint, loss=breaking_at(0))


@pytest.mark.parametrize("name", ["identity", "step", "epoch", "batch", "carried", "history"])
def test_a_file_that_lacks_a_part_is_refused(checkpoint: Path, name: str) -> None:
    tensors, said = load_tensors(checkpoint)
    said.pop(name)
    save_tensors(checkpoint, tensors, said)
    refused(checkpoint)


def test_files_of_another_kind_are_refused(checkpoint: Path) -> None:
    tensors, said = load_tensors(checkpoint)
    for changed in (
        {**tensors, "notes/1": torch.ones(1)},
        {name: tensor for name, tensor in tensors.items() if not name.startswith("carried")},
        {name: tensor for name, tensor in tensors.items() if name != "model/readout.bias"},
        {name: tensor for name, tensor in tensors.items() if name != "best/readout.bias"},
    ):
        save_tensors(checkpoint, changed, said)
        refused(checkpoint)
    save_tensors(checkpoint, tensors, {**said, "history": {**said["history"], "notes": []}})
    refused(checkpoint)
    save_tensors(checkpoint, tiny_model().state_dict(), {"config": {}})  # a model's own file
    refused(checkpoint)
    checkpoint.write_text(json.dumps(said))
    refused(checkpoint)
    checkpoint.unlink()
    checkpoint.mkdir()
    refused(checkpoint)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match="choose a folder that you may write to"):
        train(tiny_model(), tmp_path / "file" / "run.safetensors")
