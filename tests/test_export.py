"""Exported writers: the same logits, the same text, any batch, files that run without us."""

import io
import sys

import pytest
import torch
from torch import Tensor, nn

from minidistill import export
from minidistill.checkpoints import CheckpointError
from minidistill.convolution import CausalConvolution
from minidistill.device import seeded
from minidistill.export import OnnxWriter, TorchWriter, export_onnx, export_torch
from minidistill.generation import generate
from minidistill.language_model import LanguageModel
from minidistill.quantisation import quantise
from minidistill.recurrent import GRU, LSTM, RNN
from minidistill.training import evaluate
from minidistill.writers import load_writer
from tests.training_parts import Means, tiny_batches

VOCAB = 13
MODELS = [(RNN, 2, False), (LSTM, 1, True), (LSTM, 3, False), (GRU, 2, True)]


def has(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True


needs_onnx = pytest.mark.skipif(
    not (has("onnx") and has("onnxruntime")),
    reason='ONNX is not installed: pip install "minidistill[onnx]"',
)
FORMS = ["torch", pytest.param("onnx", marks=needs_onnx)]


def model_of(kind: type = LSTM, layers: int = 1, tied: bool = True) -> LanguageModel:
    with seeded(0):
        layer = kind(7, 7 if tied else 11, layers)
        model = LanguageModel(VOCAB, 7, layer, tied=tied).eval()
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.4)
    return model.requires_grad_(False)


def tokens_of(*sizes: int) -> Tensor:
    return torch.randint(VOCAB, sizes, generator=torch.Generator().manual_seed(0))


def exported(form: str, model: nn.Module, folder) -> export.StepWriter:
    if form == "onnx":
        return OnnxWriter(export_onnx(model, folder / "writer.onnx"))
    return TorchWriter(export_torch(model, folder / "writer.pt2"))


@pytest.mark.parametrize("kind, layers, tied", MODELS)
@pytest.mark.parametrize("form", FORMS)
def test_the_protocol_is_kept(tmp_path, form: str, kind: type, layers: int, tied: bool) -> None:
    model = model_of(kind, layers, tied)
    writer, tokens = exported(form, model, tmp_path), tokens_of(3, 11)
    wanted, wanted_state = model(tokens)
    logits, state = writer(tokens)
    torch.testing.assert_close(logits, wanted)
    torch.testing.assert_close(state, wanted_state)
    assert type(state) is type(wanted_state) and writer.vocab_size == VOCAB
    assert writer.parameter_count() == sum(p.numel() for p in model.parameters())
    # One row, and many; from a state that was given.
    for rows in (1, 2, 101):
        text = tokens_of(rows, 3)
        first, middle = writer(text[:, :2])
        second, end = writer(text[:, 2:], middle)
        found = torch.cat([first, second], dim=1), end
        torch.testing.assert_close(found, model(text))
    mask = torch.tensor([[1] * 7, [0, 1, 1, 0, 1, 0, 0], [0] * 7]).bool()
    (some, end), (wanted, last) = (
        writer(tokens[:, :7], None, mask),
        model(tokens[:, :7], None, mask),
    )
    torch.testing.assert_close(some[mask], wanted[mask])
    torch.testing.assert_close(end, last)


@pytest.mark.parametrize("form", FORMS)
def test_a_trained_writer_writes_the_same_from_100_prompts(tmp_path, form: str) -> None:
    model, _ = load_writer("house_en")
    writer = exported(form, model, tmp_path)
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(model.vocab_size, (100, 3), generator=generator)
    text = generate(model, prompts, 30, greedy=True)
    assert torch.equal(generate(writer, prompts, 30, greedy=True), text)
    assert torch.equal(generate(writer, prompts[:1], 30, greedy=True), text[:1])
    assert len(text.unique(dim=0)) == 100


@pytest.mark.parametrize("form", FORMS)
def test_it_can_be_drawn_from_and_measured(tmp_path, form: str) -> None:
    with seeded(0):
        model = LanguageModel(7, 5, GRU(5, 5)).eval()
    writer = exported(form, model, tmp_path).train()
    drawn = [
        generate(m, tokens_of(2, 3) % 7, 20, generator=torch.Generator().manual_seed(1))
        for m in (model, writer)
    ]
    assert torch.equal(*drawn)
    assert evaluate(writer, tiny_batches()) == pytest.approx(evaluate(model, tiny_batches()))


@pytest.mark.parametrize("form", FORMS)
def test_a_quantised_model_is_exported_as_what_it_stands_for(tmp_path, form: str) -> None:
    with seeded(0):
        model = LanguageModel(401, 31, LSTM(31, 31), tied=True).eval()
    small = quantise(model)
    writer, tokens = exported(form, small, tmp_path), torch.arange(51).view(3, 17) * 7
    torch.testing.assert_close(writer(tokens)[0], small(tokens)[0])
    assert writer.parameter_count() == sum(p.numel() for p in model.parameters())
    if form == "onnx":  # the table is stored once, and as int8
        assert writer.path.stat().st_size < 401 * (31 + 8) + 4 * 31 * (62 + 16) + 6000
        assert export_onnx(model, tmp_path / "whole.onnx").stat().st_size > 4 * 401 * 31


@needs_onnx
def test_an_onnx_file_runs_without_this_package(tmp_path) -> None:
    import onnxruntime

    model, tokens = model_of(LSTM, 2, False), tokens_of(5, 1)
    path = export_onnx(model, tmp_path / "new" / "writer.onnx")
    assert [file.name for file in path.parent.iterdir()] == ["writer.onnx"]
    session = onnxruntime.InferenceSession(str(path))
    shapes = {value.name: value.shape for value in session.get_inputs() + session.get_outputs()}
    state = [2, "batch", 11]
    wanted = {"tokens": ["batch", 1], "h": state, "c": state, "logits": ["batch", 1, VOCAB]}
    assert shapes == {**wanted, "next_h": state, "next_c": state}
    zeros = torch.zeros(2, 5, 11).numpy()
    named = ["next_c", "logits", "next_h"]
    c, logits, h = session.run(named, {"tokens": tokens.numpy(), "h": zeros, "c": zeros})
    found = torch.from_numpy(logits), (torch.from_numpy(h), torch.from_numpy(c))
    torch.testing.assert_close(found, model(tokens))


def test_a_program_runs_without_this_package(tmp_path) -> None:
    model, tokens = model_of(GRU, 2, False), tokens_of(5, 1)
    program = torch.export.load(export_torch(model, tmp_path / "writer.pt2"))
    logits, (h,) = program.module()(tokens, (torch.zeros(2, 5, 11),))
    torch.testing.assert_close((logits, h), model(tokens))


@pytest.mark.parametrize("form", FORMS)
def test_bad_input_is_refused_in_words(tmp_path, form: str) -> None:
    writer = exported(form, model_of(), tmp_path)
    with pytest.raises(ValueError, match=r"expected \(batch, time\)"):
        writer(tokens_of(5))
    for wrong in (VOCAB, -1):
        with pytest.raises(ValueError, match=f"{wrong}.*this model knows 13 tokens: encode the"):
            writer(torch.tensor([[1, wrong]]))
    with pytest.raises(ValueError, match=r"a pair \(h, c\), got 1"):
        writer(tokens_of(1, 3), torch.zeros(1, 1, 7))
    with pytest.raises(ValueError, match=r"this layer keeps \(1, 2, 7\)"):
        writer(tokens_of(2, 3), (torch.zeros(1, 1, 7), torch.zeros(1, 1, 7)))
    with pytest.raises(ValueError, match="one True or False per token"):
        writer(tokens_of(1, 3), None, torch.ones(1, 4, dtype=torch.bool))


@pytest.mark.parametrize("form", FORMS)
def test_models_that_cannot_be_exported(tmp_path, form: str) -> None:
    own = Means()
    convolution = LanguageModel(VOCAB, 5, CausalConvolution(5, 7, 2))
    for model, name in [
        (LanguageModel(VOCAB, own.input_size, own), "Means"),
        (convolution, "CausalConvolution"),
        (quantise(convolution), "Module"),
        (nn.Linear(2, 3), "Linear"),
    ]:
        with pytest.raises(ValueError, match=f"not {name}: write a step of your own"):
            exported(form, model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", FORMS)
def test_files_that_cannot_be_read(tmp_path, form: str) -> None:
    read = {"onnx": OnnxWriter, "torch": TorchWriter}[form]
    path = tmp_path / "writer"
    with pytest.raises(CheckpointError, match=f"there is no file {path}"):
        read(path)
    whole = exported(form, model_of(), tmp_path).path.read_bytes()
    for content in (b"", b"once upon a time", whole[:1000]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"not a file of export_{form} .*: export again"):
            read(path)


def test_a_program_of_another_is_refused(tmp_path) -> None:
    file = io.BytesIO()
    torch.export.save(torch.export.export(nn.Linear(2, 3), (torch.zeros(5, 2),)), file)
    (tmp_path / "other.pt2").write_bytes(file.getvalue())
    with pytest.raises(CheckpointError, match="not a file of export_torch"):
        TorchWriter(tmp_path / "other.pt2")


def test_what_is_missing_is_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'needs onnx: pip install "minidistill\[onnx\]"'):
        export_onnx(model_of(), tmp_path / "writer.onnx")
    with pytest.raises(ImportError, match="needs onnxruntime: pip install"):
        OnnxWriter(tmp_path / "writer.onnx")
    assert not list(tmp_path.iterdir())
