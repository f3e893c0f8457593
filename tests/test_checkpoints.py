"""Files: whole or not there at all, and a model that comes back is the model that was saved."""

import errno
import inspect
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minidistill.checkpoints import (
    CheckpointError,
    load_model,
    load_tensors,
    save_model,
    save_tensors,
    write_atomically,
    write_text,
)
from minidistill.convolution import CausalConvolution
from minidistill.device import seeded
from minidistill.generation import write
from minidistill.language_model import LanguageModel
from minidistill.recurrent import GRU, LSTM, RNN
from minidistill.training import Recipe, fit
from minidistill.vocabulary import CharacterVocabulary, WordVocabulary
from tests.training_parts import VOCAB, Means, same_weights, tiny_batches, tiny_model

STORY = "The lamp was out. Who put it out? Nobody knew."


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# ---- whole or not at all ------------------------------------------------------------------


def test_a_file_is_written_where_there_was_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "text.txt"
    write_text(path, "灯\nthe lamp\n")
    assert path.read_bytes() == "灯\nthe lamp\n".encode()
    write_text(str(path), "again")
    assert path.read_text() == "again" and names(path.parent) == ["text.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path, error: type) -> None:
    path = tmp_path / "text.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the new")
        raise error

    with pytest.raises(error):
        write_atomically(path, fail)
    assert path.read_text() == "old" and names(tmp_path) == ["text.txt"]


def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    write_text(path, "old")

    def fill(temporary: Path) -> None:
        temporary.write_text("half of the new")
        raise OSError(errno.ENOSPC, "No space left on device")

    message = r"could not write .*text.txt \(No space left on device\): choose a folder that you"
    with pytest.raises(CheckpointError, match=message):
        write_atomically(path, fill)
    assert path.read_text() == "old" and names(tmp_path) == ["text.txt"]


def test_until_it_is_whole_the_old_file_stands_under_the_name(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    write_text(path, "old")

    def look(temporary: Path) -> None:
        assert temporary.parent == path.parent  # so that renaming does not copy
        temporary.write_text("new")
        assert path.read_text() == "old"

    write_atomically(path, look)
    assert path.read_text() == "new"


def test_what_a_killed_run_left_is_swept_up(tmp_path: Path) -> None:
    for name in (".a[1].txt.123.tmp", ".a1.txt.123.tmp", ".b.txt.123.tmp"):
        (tmp_path / name).write_text("left by a killed run")
    write_text(tmp_path / "a[1].txt", "new")
    assert names(tmp_path) == [".a1.txt.123.tmp", ".b.txt.123.tmp", "a[1].txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX systems")
def test_others_may_read_what_they_may_read_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    save_tensors(tmp_path / "ours", {"a": torch.ones(1)}, {})
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "text.txt", tmp_path / "folder"):
        with pytest.raises(CheckpointError, match="choose a folder that you may write to"):
            write_text(path, "text")
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == []


# ---- tensors ------------------------------------------------------------------------------


def test_tensors_come_back_to_the_bit(tmp_path: Path) -> None:
    numbers = torch.randn(5, 7, generator=torch.Generator().manual_seed(3))
    tensors = {
        "float": numbers,
        "double": numbers.double(),
        "half": numbers.bfloat16(),
        "ids": torch.arange(11),
        "mask": numbers > 0,
        "one": torch.tensor(3.5),
        "none": torch.zeros(0, 3),
        "turned": numbers.T,
        "shared": numbers,
        "part": numbers[1:3, ::2],
        "nonsense": torch.tensor([float("nan"), float("inf"), -0.0]),
        "a/b 灯": torch.ones(1, requires_grad=True),
    }
    about = {"text": "灯 \n \"'", "list": [1, 2.5, None, {"deep": True}], "small": 1e-45}
    save_tensors(tmp_path / "file", tensors, about)
    found, said = load_tensors(tmp_path / "file")
    assert said == about and found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and found[name].is_contiguous()
        torch.testing.assert_close(found[name], tensor.detach(), rtol=0, atol=0, equal_nan=True)
        assert not found[name].requires_grad


def test_what_was_loaded_lies_as_tensors_of_torch_do(tmp_path: Path) -> None:
    # Otherwise sums differ in the last bit, and a resumed run leaves the unbroken one.
    tensors = {f"{i}": torch.ones(i, dtype=torch.uint8) for i in range(1, 9)}
    tensors |= {f"float {i}": torch.ones(i) for i in range(1, 9)}
    save_tensors(tmp_path / "file", tensors, {})
    found, _ = load_tensors(tmp_path / "file")
    assert {tensor.data_ptr() % 16 for tensor in found.values()} == {0}
    found["float 8"].zero_()  # and they are no window into the file
    assert bool(load_tensors(tmp_path / "file")[0]["float 8"].all())


def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "file"
    with pytest.raises(CheckpointError, match=f"there is no file {path}"):
        load_tensors(path)
    for content in (b"", b"once upon a time", b"\xff" * 100, b"{}"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is damaged or not a safetensors file"):
            load_tensors(path)
    for metadata in (None, {"format": "pt"}, {"minidistill": "0", "about": "{}"}):
        save_file({"a": torch.ones(3)}, path, metadata)
        with pytest.raises(CheckpointError, match="was not written by this version of minidist"):
            load_tensors(path)
    for metadata in ({"minidistill": "1"}, {"minidistill": "1", "about": "{"}):
        save_file({"a": torch.ones(3)}, path, metadata)
        with pytest.raises(CheckpointError, match="delete it and train again"):
            load_tensors(path)


def test_without_the_library_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ImportError, match=r'pip install "safetensors>=0\.4\.3"'):
        save_tensors(tmp_path / "file", {}, {})
    with pytest.raises(ImportError, match="needs safetensors"):
        load_tensors(tmp_path / "file")


# ---- models -------------------------------------------------------------------------------


def writer(vocab_size: int, tied: bool = False) -> LanguageModel:
    with seeded(3):
        layer = RNN(5, 5 if tied else 7, num_layers=2, dropout=0.3)
        return LanguageModel(vocab_size, 5, layer, dropout=0.2, tied=tied)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", [CharacterVocabulary, WordVocabulary])
def test_a_model_that_comes_back_writes_the_same(tmp_path: Path, kind: type, tied: bool) -> None:
    vocabulary = kind.build(STORY)
    model = writer(len(vocabulary), tied).eval()
    folder = save_model(tmp_path / "writer", model, vocabulary, {"novel": "灯", "steps": 3})
    assert names(folder) == ["card.json", "model.safetensors", "vocabulary.json"]
    assert json.loads((folder / "card.json").read_text("utf-8")) == {"novel": "灯", "steps": 3}
    state = torch.get_rng_state()
    again, words = load_model(str(folder))
    assert not again.training and words.tokens == vocabulary.tokens and type(words) is kind
    tokens = torch.arange(11)[None] % len(vocabulary)
    assert torch.equal(again(tokens)[0], model(tokens)[0])
    assert write(again, words, "The", 29) == write(model, vocabulary, "The", 29)
    assert (again.readout.weight is again.embedding.weight) is tied
    assert repr(again) == repr(model)  # layers, sizes, dropout
    assert again.dropout.p == 0.2 and again.recurrent.dropout == 0.3
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "layer",
    [
        RNN(5, 7, num_layers=2, dropout=0.3),
        LSTM(5, 7, num_layers=3, dropout=0.2, engine="torch"),
        LSTM(5, 7),
        GRU(5, 7, num_layers=2, engine="torch"),
        CausalConvolution(5, 7, num_layers=3, kernel_size=3, dropout=0.1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_every_layer_comes_back_with_all_its_settings(tmp_path: Path, layer: nn.Module) -> None:
    vocabulary = CharacterVocabulary.build(STORY)
    model = LanguageModel(len(vocabulary), 5, layer, dropout=0.4).eval()
    again, _ = load_model(save_model(tmp_path, model, vocabulary, {}))
    assert type(again.recurrent) is type(layer) and repr(again) == repr(model)
    for name in inspect.signature(type(layer)).parameters:
        assert getattr(again.recurrent, name) == getattr(layer, name), name
    tokens = torch.arange(11)[None] % len(vocabulary)
    assert torch.equal(again(tokens)[0], model(tokens)[0])


@pytest.mark.parametrize("tied", [False, True])
def test_a_folder_of_an_earlier_version_still_loads(tmp_path: Path, tied: bool) -> None:
    # It named four settings of the layer only, and wrote a tied table twice.
    vocabulary = CharacterVocabulary.build(STORY)
    model = writer(len(vocabulary), tied).eval()
    save_model(tmp_path, model, vocabulary, {})
    _, about = load_tensors(tmp_path / "model.safetensors")
    kept = {"kind", "input_size", "hidden_size", "num_layers", "dropout"}
    layer = {name: value for name, value in about["config"]["recurrent"].items() if name in kept}
    assert kept == layer.keys()
    about["config"]["recurrent"] = layer
    save_tensors(tmp_path / "model.safetensors", model.state_dict(), about)
    again, _ = load_model(tmp_path)
    assert repr(again) == repr(model) and same_weights(again, model)


def test_a_table_that_is_used_twice_is_written_once(tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary.build(STORY)
    for tied in (False, True):
        save_model(tmp_path, writer(len(vocabulary), tied), vocabulary, {})
        tensors, _ = load_tensors(tmp_path / "model.safetensors")
        assert ("readout.weight" in tensors) is not tied and "embedding.weight" in tensors


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_may_be_stored_as_another_type(
    tmp_path: Path, dtype: torch.dtype, tied: bool
) -> None:
    vocabulary = CharacterVocabulary.build(STORY)
    model = writer(len(vocabulary), tied)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_model(tmp_path, model, vocabulary, {}, dtype)
    tensors, _ = load_tensors(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {dtype}
    again, _ = load_model(tmp_path)
    for name, tensor in again.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[name].to(dtype).float())
        assert torch.equal(model.state_dict()[name], before[name])  # the model is as it was
    assert (again.readout.weight is again.embedding.weight) is tied


def test_a_weight_too_large_for_its_type_is_refused(tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary.build(STORY)
    model = writer(len(vocabulary))
    with torch.no_grad():
        model.readout.bias[2] = 70_000.0  # float16 ends at 65,504
    with pytest.raises(CheckpointError, match=r"readout\.bias .* torch\.float16 cannot hold"):
        save_model(tmp_path / "writer", model, vocabulary, {}, torch.float16)
    assert not (tmp_path / "writer").exists()


def test_a_layer_of_ones_own_is_saved_and_named(tmp_path: Path) -> None:
    vocabulary, (size, own) = CharacterVocabulary.build(STORY), (Means().input_size, Means())
    model = LanguageModel(len(vocabulary), size, own)
    save_model(tmp_path, model, vocabulary, {})
    with pytest.raises(CheckpointError, match="a layer of your own, 'Means': build the model you"):
        load_model(tmp_path)
    again = LanguageModel(len(vocabulary), size, Means())
    again.load_state_dict(load_tensors(tmp_path / "model.safetensors")[0])
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(again(tokens)[0], model(tokens)[0])


class OtherRNN(nn.Module):
    """A layer that happens to be called as one of ours, with other weights."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = self.hidden_size = 5
        self.mix = nn.Linear(5, 5)

    def forward(self, x: Tensor, state: None, mask: None) -> tuple[Tensor, None]:
        return self.mix(x), None


def test_folders_that_hold_no_whole_model_are_refused(tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary.build(STORY)

    def refused(message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            load_model(tmp_path)

    def save() -> None:
        save_model(tmp_path, writer(len(vocabulary)), vocabulary, {})

    refused("there is no file")
    save()
    (tmp_path / "vocabulary.json").unlink()
    refused("a part of it is missing or damaged .*vocabulary.json")
    (tmp_path / "vocabulary.json").write_text("[]")
    refused("a part of it is missing or damaged .*no field 'kind'")
    save()
    tensors, about = load_tensors(tmp_path / "model.safetensors")
    path = tmp_path / "model.safetensors"
    for wrong in ({"config": {}}, {}, {"config": {**about["config"], "recurrent": {"kind": 3}}}):
        save_tensors(path, tensors, wrong)
        refused("holds no model that save_model wrote")
    tensors.pop("readout.bias")
    save_tensors(path, tensors, about)
    refused("readout.bias")
    path.unlink()
    fit(tiny_model(), tiny_batches(), Recipe(steps=1), checkpoint=path, progress=False)
    refused("holds no model that save_model wrote")
    OtherRNN.__name__ = "RNN"
    save_model(tmp_path, LanguageModel(VOCAB, 5, OtherRNN()), vocabulary, {})
    refused("recurrent.mix.weight")


def test_a_card_that_cannot_be_written_leaves_no_half_model(tmp_path: Path) -> None:
    vocabulary = CharacterVocabulary.build(STORY)
    with pytest.raises(TypeError):
        save_model(tmp_path / "writer", writer(5), vocabulary, {"tensor": torch.ones(1)})
    assert not (tmp_path / "writer").exists()
