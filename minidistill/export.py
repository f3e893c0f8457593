"""A writer as a file that runs without this package: as ONNX, or as a program of torch.export.

    export_onnx(model, "writer.onnx")
    model = OnnxWriter("writer.onnx")          # generate(model, ...) as before

What is exported is one step, from a token and the state to the logits and the next state. What
writing needs besides, the loop, the rules and the drawing, is not the model's and stays outside.
"""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.checkpoints import CheckpointError, config_of, write_atomically
from minidistill.gru import GRU, gru_step
from minidistill.int8_engine import PARTS
from minidistill.language_model import LanguageModel, State
from minidistill.lstm import LSTM, lstm_step
from minidistill.onnx_graph import WEIGHTS, OnnxGraph, onnx_step
from minidistill.quantisation import QuantisedModel, dequantise
from minidistill.recurrent import RNN, rnn_step
from minidistill.recurrent_state import first_states

STEPS = {"RNN": (RNN, rnn_step), "LSTM": (LSTM, lstm_step), "GRU": (GRU, gru_step)}
STATE = ("h", "c")  # names of the state's parts
ABOUT = "minidistill"  # under which name the file says what it is


class OneStep(nn.Module):
    """The step of a language model in plain operations, on the model's own weights.

    forward(tokens (B, 1), state, a tuple of tensors (L, B, H)) returns logits (B, 1, V) and the
    next state. The model's own forward has loops, checks and a gradient by hand besides, all of
    which an exporter would have to read through.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.embedding, self.recurrent, self.readout = (
            model.embedding,
            model.recurrent,
            model.readout,
        )

    def forward(
        self, tokens: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step; see the class."""
        x, ends = self.embedding(tokens[:, 0]), []  # (B, E)
        _, step = STEPS[type(self.recurrent).__name__]
        for number in range(self.recurrent.num_layers):
            weights = [getattr(self.recurrent, f"{name}_l{number}") for name in WEIGHTS]
            end = step(x, *[part[number] for part in state], *weights)
            ends.append(end if isinstance(end, tuple) else (end,))
            x = ends[-1][0]  # (B, H)
        following = tuple(torch.stack(part) for part in zip(*ends, strict=True))
        return self.readout(x).unsqueeze(1), following


def export_torch(model: nn.Module, path: Path | str) -> Path:
    """Write one step of a model as a program of `torch.export`, with any size of the batch.

    The file, best called something.pt2, runs in PyTorch without the code it came from:
    `torch.export.load(path).module()(tokens, state)`. `TorchWriter` reads it.

    Args:
        model: a `LanguageModel` with an RNN, LSTM or GRU, or a `QuantisedModel` of one, whose
            weights are written as float32.

    Raises:
        ValueError: another model. CheckpointError: the file cannot be written.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    about = _about(model)
    step = OneStep(dequantise(model) if isinstance(model, QuantisedModel) else model)
    device = step.readout.weight.device
    # Two rows, for a size of one would be taken for one that never changes; and each part a
    # tensor of its own, for one tensor given twice would be taken to be always the same.
    sizes = about["num_layers"], 2, about["hidden_size"]
    state = tuple(torch.zeros(sizes, device=device) for _ in range(about["parts"]))
    tokens = torch.zeros(2, 1, dtype=torch.long, device=device)
    batch = torch.export.Dim("batch", min=1, max=2**16)
    shapes = ({0: batch}, tuple({1: batch} for _ in range(about["parts"])))
    with torch.no_grad():
        program = torch.export.export(step.eval(), (tokens, state), dynamic_shapes=shapes)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={ABOUT: json.dumps(about)})
    return _write(path, content.getvalue())


def export_onnx(model: nn.Module, path: Path | str) -> Path:
    """Write one step of a model as an ONNX file, with any size of the batch.

    Inputs are `tokens` (B, 1) and the state `h`, for an LSTM also `c`, (L, B, H) each; outputs
    are `logits` (B, 1, V), `next_h` and `next_c`. `OnnxWriter` reads it, and so do programs in
    other languages. The graph is put together here, operator by operator, so the file does not
    depend on the version of torch.

    A `QuantisedModel` is written as int8 with its scales, a quarter of the bytes. ONNX Runtime
    turns them into float32 at each step unless told to do so once, at the start, by the session
    entry "session.disable_quant_qdq" = "1", as `OnnxWriter` does.

    Args:
        model: a `LanguageModel` with an RNN, LSTM or GRU, or a `QuantisedModel` of one.

    Raises:
        ImportError: onnx is not installed. ValueError: another model.
        CheckpointError: the file cannot be written.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    onnx, about = _needed("onnx"), _about(model)
    graph = OnnxGraph(onnx, model.state_dict())
    names, layers = STATE[: about["parts"]], range(about["num_layers"])
    x = graph.add("Gather", graph.weight("embedding.weight"), "tokens")  # (B, 1, E)
    x, ends = graph.add("Squeeze", x, graph.number([1])), []  # (B, E)
    for number in layers:
        parts = [graph.add("Gather", name, graph.number(number)) for name in names]
        ends.append(onnx_step(graph, about["kind"], number, x, parts))
        x = ends[-1][0]  # (B, H)
    for name, rows in zip(names, zip(*ends, strict=True), strict=True):
        stacked = [graph.add("Unsqueeze", row, graph.number([0])) for row in rows]
        graph.add("Concat", *stacked, name="next_" + name, axis=0)
    table = graph.weight("embedding.weight" if about["tied"] else "readout.weight")
    logits = graph.add("Gemm", x, table, graph.weight("readout.bias"), transB=1)
    graph.add("Unsqueeze", logits, graph.number([1]), name="logits")
    state = {name: [len(layers), "batch", about["hidden_size"]] for name in names}
    result = {"logits": ["batch", 1, about["vocab_size"]]}
    made = graph.model(
        {"tokens": ["batch", 1], **state},
        result | {"next_" + name: shape for name, shape in state.items()},
    )
    onnx.helper.set_model_props(made, {ABOUT: json.dumps(about)})
    onnx.checker.check_model(made)
    return _write(path, made.SerializeToString())


class StepWriter(nn.Module):
    """A model that reads token by token, by a step from a file; it keeps the writer protocol.

    It computes on the CPU, and cannot be trained. A class under it says what a step is.

    Shapes: see the protocol at the top of `minidistill.language_model`. At padding the state
    stays as it was; the logits there mean nothing.

    Raises:
        ValueError: tokens outside the vocabulary; a state or a mask that does not fit.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        super().__init__()
        self.path, self.about, self.vocab_size = path, about, about["vocab_size"]
        # Whoever works with a model asks its first parameter where it computes.
        self.here = nn.Parameter(torch.empty(0), requires_grad=False)
        self.shape = SimpleNamespace(**about, input_size=1, directions=("",))

    def parameter_count(self) -> int:
        """How many numbers training found."""
        return self.about["parameters"]

    def forward(
        self, tokens: Tensor, state: State = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) for the token after each position, and the state after the last."""
        if tokens.dim() != 2:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, expected (batch, time)")
        parts = first_states(self.shape, self.here.new_zeros(*tokens.shape, 1), state, mask)
        low, high = (int(end) for end in tokens.aminmax())
        if low < 0 or high >= self.vocab_size:
            raise ValueError(
                f"token ids reach {high} (lowest {low}) but this model knows {self.vocab_size} "
                "tokens: encode the text with the model's own vocabulary"
            )
        written = []
        for t in range(tokens.size(1)):
            logits, new = self.step(tokens[:, t : t + 1], parts)
            if mask is not None:
                real, pairs = mask[:, t, None], zip(new, parts, strict=True)
                new = tuple(torch.where(real, later, before) for later, before in pairs)
            parts = new
            written.append(logits)
        return torch.cat(written, dim=1), (parts if len(parts) > 1 else parts[0])

    def step(self, tokens: Tensor, parts: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step: tokens (B, 1) and the state's parts; logits (B, 1, V) and the new parts."""
        raise NotImplementedError


class OnnxWriter(StepWriter):
    """A model that ONNX Runtime computes, from a file of `export_onnx`.

    Raises:
        ImportError: onnxruntime is not installed.
        CheckpointError: no such file, a damaged one, or one that `export_onnx` did not write.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(self, path: Path | str) -> None:
        runtime, path = _needed("onnxruntime"), _there(path)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # int8 rows become float32 once, when the file is read, and not at every step.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            session = runtime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
            about = json.loads(session.get_modelmeta().custom_metadata_map[ABOUT])
        except Exception as error:  # the library's own errors have no class in common
            raise _damaged(path, "export_onnx", error) from error
        super().__init__(path, about)
        self._session = session

    def step(self, tokens: Tensor, parts: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step by ONNX Runtime; see `StepWriter`."""
        named = zip(("tokens", *STATE), (tokens, *parts), strict=False)
        arrays = {name: tensor.detach().contiguous().numpy() for name, tensor in named}
        logits, *state = map(torch.from_numpy, self._session.run(None, arrays))
        return logits, tuple(state)


class TorchWriter(StepWriter):
    """A model that a program of `torch.export` computes, from a file of `export_torch`.

    Such a file may be made to run code when it is read: read only files whose origin you know.

    Raises:
        CheckpointError: no such file, a damaged one, or one that `export_torch` did not write.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(self, path: Path | str) -> None:
        path, extra = _there(path), {ABOUT: ""}
        try:
            program = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra)
            about = json.loads(extra[ABOUT])
        except Exception as error:  # a zip file, JSON, a pickle: each has errors of its own
            raise _damaged(path, "export_torch", error) from error
        super().__init__(path, about)
        # In a list, so that it is no submodule: such a program refuses train() and eval().
        self._program = [program.module()]

    def step(self, tokens: Tensor, parts: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step by the program; see `StepWriter`."""
        return self._program[0](tokens, parts)


def _about(model: nn.Module) -> dict[str, Any]:
    """What a reader of the file must know; ValueError where the model cannot be exported."""
    if isinstance(model, QuantisedModel):
        config, count = model.quantised_config, model.parameter_count()
    elif isinstance(model, LanguageModel):
        config, count = config_of(model), sum(p.numel() for p in model.parameters())
        layer = STEPS.get(config["recurrent"]["kind"], (None,))[0]
        config = config if type(model.recurrent) is layer else None
    else:
        config = None
    if config is None or config["recurrent"]["kind"] not in STEPS:
        raise ValueError(
            f"export takes a LanguageModel with {', '.join(STEPS)} of this package, or one that "
            f"was quantised, not {type(getattr(model, 'recurrent', model)).__name__}: write a "
            "step of your own and give it to torch.export.export"
        )
    layer = config["recurrent"]
    about = {"vocab_size": config["vocab_size"], "tied": config["tied"], "parameters": count}
    about |= {"kind": layer["kind"], "parts": PARTS[layer["kind"]]}
    return about | {name: layer[name] for name in ("num_layers", "hidden_size")}


def _needed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f'this needs {name}: pip install "minidistill[onnx]"') from None


def _write(path: Path | str, content: bytes) -> Path:
    path = Path(path)
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return path


def _there(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    return path


def _damaged(path: Path, wanted: str, error: Exception) -> CheckpointError:
    first = (str(error) or type(error).__name__).splitlines()[0]
    return CheckpointError(f"{path} is damaged, or not a file of {wanted} ({first}): export again")
