"""Weights as whole numbers of eight bits: a quarter of the bytes, and often a faster writer.

    small = quantise(model)
    save_quantised(folder, small, vocabulary, card)
    model, vocabulary = load_quantised(folder, engine="int8")

A weight takes four bytes, of which a trained model needs about one. Each row of a matrix is
divided by a scale of its own: rows differ far more in size than the numbers in a row do.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.checkpoints import (
    TIED,
    CheckpointError,
    config_of,
    empty_model,
    layer_named,
    load_model,
    save_model,
)
from minidistill.int8_engine import LARGEST, PARTS, SCALE, Int8Engine, int8_available
from minidistill.language_model import LanguageModel, State

ENGINES = ("float", "int8")


def quantise_rows(weight: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Write each row of a matrix as whole numbers from -127 to 127 and a scale.

    s_r = max over c of |w_rc| / 127     q_rc = round(w_rc / s_r)     |w_rc - s_r q_rc| <= s_r / 2

    A row of zeros comes back as it was.

    Args:
        weight: (R, C), or (R, ...).
        dtype: of the scales: torch.float32, or torch.float16 for two bytes a row less. Numbers
            are divided by the scale as it is stored, so its own rounding costs nothing.

    Returns:
        q, int8 of the weight's shape, and s (R,).

    Raises:
        ValueError: a weight that is not finite, or too large for `dtype`; another dtype.

    Source: Jacob et al., Quantization and training of neural networks, 2018; symmetric and by
    row: Krishnamoorthi, Quantizing deep convolutional networks, 2018.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    bits = {torch.float16: torch.int16, torch.float32: torch.int32}.get(dtype)
    if bits is None:
        raise ValueError(f"scales are torch.float32 or torch.float16, not {dtype}")
    rows = weight.detach().float().flatten(1)
    if not bool(rows.isfinite().all()):
        raise ValueError("a weight is not a finite number: its training may have gone wrong")
    largest = rows.abs().amax(1)
    scale = (largest / LARGEST).to(dtype)
    # Where the type cut so much off the scale that 127 of it fall short, the next larger number
    # of the type is taken: for positive numbers that is the next pattern of bits.
    short = scale.float() * (LARGEST + 0.5) < largest
    scale = (scale.view(bits) + short).view(dtype)
    if not bool(scale.isfinite().all()):
        raise ValueError(f"a weight is {float(largest.max()):g}, too large for scales of {dtype}")
    divisors = torch.where(scale > 0, scale.float(), 1.0)[:, None]
    q = (rows / divisors).round().clamp(-LARGEST, LARGEST).to(torch.int8)
    return q.view(weight.shape), scale


def dequantise_rows(q: Tensor, scale: Tensor) -> Tensor:
    """Return the float32 matrix that rows and scales of `quantise_rows` stand for: s_r q_rc.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    return q.float() * scale.float().view(-1, *[1] * (q.dim() - 1))


class QuantisedModel(nn.Module):
    """A language model whose matrices are stored as int8 rows; it keeps the writer protocol.

    `quantise` makes one from a trained model. Its tensors have the names of the model's own, a
    matrix being int8 with its scales beside it (`embedding.weight`, `embedding.weight_scale`),
    and a tied table is held once. It cannot be trained.

    Shapes: see the protocol at the top of `minidistill.language_model`.

    Args:
        config: what the model is made of, see `minidistill.checkpoints.config_of`.
        tensors: matrices, scales and biases by name.
        engine: "float" turns the rows into float32 once, when first asked, and then is the model
            as it was but for the rounding. "int8" multiplies whole numbers (on a CPU; RNN, LSTM
            and GRU): a quarter of the bytes to read for each token, but the vectors between the
            matrices are rounded too. It may be changed at any time: `model.engine = "int8"`.

    Raises:
        ValueError: tensors that do not fit; an engine that is neither, or cannot be had here.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(
        self, config: dict[str, Any], tensors: dict[str, Tensor], engine: str = "float"
    ) -> None:
        super().__init__()
        self.quantised_config = {**copy.deepcopy(config), "quantised": True}
        self.vocab_size, self.tied = config["vocab_size"], config["tied"]
        self._made: dict[str, Any] = {}  # by engine, what computes: made when first asked
        _check(tensors, self._empty(), self.tied)
        for name, tensor in tensors.items():
            *path, leaf = name.split(".")
            place: nn.Module = self
            for part in path:
                if part not in place._modules:
                    place.add_module(part, nn.Module())
                place = place._modules[part]
            if tensor.dtype == torch.int8 or leaf.endswith(SCALE):
                place.register_buffer(leaf, tensor)
            else:  # a parameter, because a model's first one is asked where the model computes
                place.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
        self.register_load_state_dict_post_hook(_forget)
        self.engine = engine
        self.eval()

    @property
    def engine(self) -> str:
        """What computes: "float" or "int8"."""
        return self._engine

    @engine.setter
    def engine(self, name: str) -> None:
        kind = self.quantised_config["recurrent"]["kind"]
        if name not in ENGINES:
            raise ValueError(f"engine is 'float' or 'int8', got {name!r}")
        if name == "int8" and kind not in PARTS:
            raise ValueError(f"the int8 engine reads {', '.join(PARTS)}, not {kind}: use 'float'")
        if name == "int8" and not int8_available():
            raise ValueError(
                "this processor, or this version of torch, does not multiply int8 numbers without "
                "errors: use engine='float'"
            )
        self._engine = name

    def forward(
        self, tokens: Tensor, state: State = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) for the token after each position, and the state after the last."""
        if self._engine not in self._made:
            with torch.inference_mode(False):  # what is made serves outside of it too
                make = Int8Engine if self._engine == "int8" else dequantise
                self._made[self._engine] = make(self)
        return self._made[self._engine](tokens, state, mask)

    def parameter_count(self) -> int:
        """How many numbers training found: weights and biases, without the scales."""
        return sum(t.numel() for name, t in self.state_dict().items() if not name.endswith(SCALE))

    def _empty(self) -> LanguageModel:
        """The model that this one was, with weights by chance."""
        config = dict(self.quantised_config)
        del config["quantised"]
        return empty_model(config, Path("this model"))

    def _apply(self, *args: Any, **kwargs: Any) -> QuantisedModel:
        _forget(self)  # moved to another device or type
        return super()._apply(*args, **kwargs)

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        layer = dict(self.quantised_config["recurrent"])
        sizes = f"{self.vocab_size} tokens, {layer['kind']} of {layer['hidden_size']}"
        return f'{sizes}, tied={self.tied}, engine="{self._engine}"'


def _forget(model: QuantisedModel, _: Any = None) -> None:
    model._made.clear()


def _check(tensors: dict[str, Tensor], model: LanguageModel, tied: bool) -> None:
    """Raise ValueError unless these are the model's tensors, each matrix int8 with its scales."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if tied:
        del wanted[TIED[0]]
    matrices = {name for name, shape in wanted.items() if len(shape) > 1}
    wanted |= {name + SCALE: wanted[name][:1] for name in matrices}
    for name in sorted(wanted.keys() | tensors.keys()):
        found = tuple(tensors[name].shape) if name in tensors else "no tensor"
        needed = wanted.get(name, "no tensor")
        if found != needed:
            raise ValueError(f"{name} is {found}, but the model's settings ask for {needed}")
        if (name in matrices) != (tensors[name].dtype == torch.int8):
            raise ValueError(f"{name} holds {tensors[name].dtype}: only matrices are int8")


@torch.no_grad()
def dequantise(model: QuantisedModel) -> LanguageModel:
    """Return a `LanguageModel` with the weights that the rows stand for, frozen, in eval mode.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    tensors, floats = model.state_dict(), {}
    for name, tensor in tensors.items():
        if name + SCALE in tensors:
            floats[name] = dequantise_rows(tensor, tensors[name + SCALE])
        elif not name.endswith(SCALE):
            floats[name] = tensor.float().clone()
    if model.tied:
        floats[TIED[0]] = floats[TIED[1]]
    made = model._empty()
    made.load_state_dict(floats, assign=True)
    if model.tied:
        made.readout.weight = made.embedding.weight
    return made.requires_grad_(False).eval()


def quantise(
    model: LanguageModel, engine: str = "float", dtype: torch.dtype = torch.float32
) -> QuantisedModel:
    """Return a copy of a language model that stores every matrix as int8 rows.

    The table of embeddings is one of them, and where it is tied it stays one. The bytes fall to
    a quarter, and about 4 / C more for the scales of rows of C numbers.

    Args:
        model: with any layer of this package, any number of layers, tied or not.
        engine: see `QuantisedModel`.
        dtype: of scales and biases, torch.float32 or torch.float16.

    Raises:
        ValueError: a model that is none, or has a layer of your own; what `quantise_rows` and
            `QuantisedModel` raise.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    if not isinstance(model, LanguageModel):
        raise ValueError(f"quantise takes a LanguageModel, not a {type(model).__name__}")
    config = config_of(model)
    try:
        known = layer_named(config["recurrent"]["kind"], Path("this model"))
    except CheckpointError:
        known = None
    if type(model.recurrent) is not known:
        raise ValueError(
            f"quantise knows this package's layers, not your {type(model.recurrent).__name__}: "
            "call quantise_rows on its matrices yourself"
        )
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if model.tied and name == TIED[0]:
            continue
        if tensor.dim() < 2:
            tensors[name] = tensor.detach().to(dtype, copy=True)
            continue
        try:
            tensors[name], tensors[name + SCALE] = quantise_rows(tensor, dtype)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return QuantisedModel(config, tensors, engine)


def save_quantised(
    folder: Path | str, model: nn.Module, vocabulary: Any, card: dict[str, Any]
) -> Path:
    """Save a model as int8 rows, with its vocabulary and card, in the files of `save_model`.

    model: from `quantise`, or a `LanguageModel`, which is quantised first.

    Raises:
        CheckpointError: a file that cannot be written. ValueError: what `quantise` raises.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    model = model if isinstance(model, QuantisedModel) else quantise(model)
    return save_model(folder, model, vocabulary, card)


def load_quantised(
    folder: Path | str, device: torch.device | str | None = None, engine: str = "float"
) -> tuple[QuantisedModel, Any]:
    """Load `(model, vocabulary)` that `save_quantised` wrote; `load_model` reads them too.

    Raises:
        CheckpointError: files missing or damaged, or a model that is not quantised.
        ValueError: an engine that cannot be had.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    model, vocabulary = load_model(folder, device)
    if not isinstance(model, QuantisedModel):
        raise CheckpointError(f"the model in {folder} is not quantised: use load_model")
    model.engine = engine
    return model, vocabulary


__all__ = [
    "QuantisedModel",
    "dequantise",
    "dequantise_rows",
    "int8_available",
    "load_quantised",
    "quantise",
    "quantise_rows",
    "save_quantised",
]
