"""What a writer costs: the plain numbers of `measure`, and the process that measures memory."""

import math

import pytest
import torch
from torch import nn

from minidistill.checkpoints import CheckpointError, save_model
from minidistill.deployment import measure, peak_memory, weights_bytes
from minidistill.device import seeded
from minidistill.export import TorchWriter, export_torch
from minidistill.language_model import LanguageModel
from minidistill.quantisation import quantise, save_quantised
from minidistill.recurrent import GRU, LSTM
from minidistill.vocabulary import CharacterVocabulary
from tests.training_parts import Means

STORY = "The lamp was lit, and the long road went down to the sea. " * 5
VOCABULARY = CharacterVocabulary.build(STORY)
KEYS = {
    "parameters",
    "stored_mb",
    "weights_mb",
    "tokens_per_second",
    "tokens_per_second_32",
    "first_token_ms",
    "peak_mb",
    "peak_writer_mb",
    "perplexity",
}


def model_of(tied: bool = True) -> LanguageModel:
    with seeded(0):
        layer = LSTM(31, 31) if tied else GRU(31, 37, 2)
        return LanguageModel(len(VOCABULARY), 31, layer, tied=tied).eval()


def quick(model: nn.Module, **options) -> dict[str, float]:
    return measure(model, VOCABULARY, STORY, "The ", tokens=8, repeats=1, memory=False, **options)


def test_all_figures_are_there_and_add_up(tmp_path) -> None:
    model = model_of()
    found = quick(model)
    assert found.keys() == KEYS and math.isnan(found["peak_mb"])
    count = sum(p.numel() for p in model.parameters())
    assert found["parameters"] == count
    assert found["weights_mb"] == pytest.approx(count * 4 / 1e6)
    file = save_model(tmp_path, model, VOCABULARY, {}) / "model.safetensors"
    assert found["stored_mb"] == file.stat().st_size / 1e6
    assert min(v for k, v in found.items() if not k.startswith("peak")) > 0
    ids = torch.tensor([VOCABULARY.encode("\n" + STORY)])
    with torch.no_grad():
        logits = model(ids[:, :-1])[0][0]
    nats = nn.functional.cross_entropy(logits, ids[0, 1:])
    assert found["perplexity"] == pytest.approx(float(nats.exp()), rel=1e-5)


def test_what_is_stored_in_a_folder_is_measured_there(tmp_path) -> None:
    model = model_of()
    save_model(tmp_path, model, VOCABULARY, {}, torch.float16)
    half, whole = quick(model, folder=str(tmp_path)), quick(model)
    assert half["weights_mb"] == whole["weights_mb"]
    assert 0.5 < half["stored_mb"] / whole["stored_mb"] < 0.55
    with pytest.raises(CheckpointError, match="none: give a folder of save_model"):
        quick(model, folder=tmp_path / "none")


def test_quantised_and_exported_models_are_measured_too(tmp_path) -> None:
    model = model_of()
    whole, small = quick(model), quick(quantise(model))
    assert small["parameters"] == whole["parameters"]
    assert small["weights_mb"] < 0.4 * whole["weights_mb"]
    assert small["perplexity"] == pytest.approx(whole["perplexity"], rel=0.005)
    writer = TorchWriter(export_torch(model, tmp_path / "writer.pt2"))
    found = quick(writer)
    assert found["perplexity"] == pytest.approx(whole["perplexity"], rel=1e-5)
    assert found["parameters"] == whole["parameters"]
    assert found["stored_mb"] == found["weights_mb"] == writer.path.stat().st_size / 1e6


def test_a_layer_of_ones_own_is_measured_but_for_its_memory() -> None:
    own = Means()
    model = LanguageModel(len(VOCABULARY), own.input_size, own)
    found = measure(model, VOCABULARY, STORY, "The", tokens=3, repeats=1)
    assert math.isnan(found["peak_writer_mb"]) and found["tokens_per_second"] > 0


def test_weights_in_bytes() -> None:
    model = model_of(tied=False)
    assert weights_bytes(model) == 4 * sum(p.numel() for p in model.parameters())
    small = quantise(model_of(), dtype=torch.float16)
    rows = len(VOCABULARY) + 2 * 4 * 31
    biases = len(VOCABULARY) + 2 * 4 * 31
    assert weights_bytes(small) == 31 * rows + 2 * rows + 2 * biases


def test_bad_arguments() -> None:
    model = model_of()
    with pytest.raises(ValueError, match="the prompt is empty"):
        measure(model, VOCABULARY, STORY, "")
    with pytest.raises(ValueError, match="the text is empty"):
        measure(model, VOCABULARY, "")
    for wrong in ({"tokens": 0}, {"repeats": 0}):
        with pytest.raises(ValueError, match="at least 1, got"):
            measure(model, VOCABULARY, STORY, **wrong)


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own(tmp_path) -> None:
    with seeded(0):
        large = LanguageModel(len(VOCABULARY), 1024, LSTM(1024, 1024))  # 34 MB
    prompt = VOCABULARY.encode("The")
    small = save_quantised(tmp_path / "small", model_of(), VOCABULARY, {})
    before = peak_memory(small, prompt, 4)
    after = peak_memory(save_model(tmp_path / "large", large, VOCABULARY, {}), prompt, 4)
    assert 0 <= before["writer"] < before["peak"] and before["peak"] > 20e6
    assert 34e6 < after["writer"] - before["writer"] < 200e6


@pytest.mark.slow
def test_a_process_that_fails_says_why(tmp_path) -> None:
    with pytest.raises(RuntimeError, match=r"failed: .*CheckpointError: there is no file"):
        peak_memory(tmp_path, [1])
