"""Files that are never half-written: atomic writes, model folders, training checkpoints.

Weights are safetensors: reading one cannot run code, which unpickling can.
"""

from __future__ import annotations

import glob
import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

VERSION = "1"
TIED = ("readout.weight", "embedding.weight")  # one table under two names: the second is kept


class CheckpointError(RuntimeError):
    """A model or checkpoint file that cannot be used; the sentence says what to do."""


def write_atomically(path: Path | str, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    Killed at any moment, the file under the final name is the old one or the new one,
    whole. Temporary files left by a killed run are removed by the next.

    Raises:
        CheckpointError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            stale.unlink(missing_ok=True)
        try:
            write(temporary)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"could not write {path} ({error.strerror or error}): choose a folder that you may "
            "write to, with space left"
        ) from error


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def save_tensors(path: Path | str, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write named tensors and a JSON-able description into one safetensors file, atomically.

    Raises:
        ImportError: safetensors is not installed.
        CheckpointError: the file cannot be written.
    """
    torch_files = _safetensors()
    # safetensors refuses tensors that share memory (tied weights) and non-contiguous ones.
    alone = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"minidistill": VERSION, "about": json.dumps(about)}
    # Not `save_file`: where it is killed it leaves temporary files under names of its own.
    content = _in_order(torch_files.save(alone, metadata))
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def _in_order(content: bytes) -> bytes:
    """The same file, its head's names sorted: safetensors leaves their order to chance."""
    end = 8 + int.from_bytes(content[:8], "little")
    head = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + content[end:]


def load_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote, on the CPU.

    Raises:
        CheckpointError: no such file, or not one of ours, or damaged.
    """
    _safetensors()
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            # A tensor of the file begins at any byte, and sums over it can then differ in the
            # last bit from those over a tensor of torch's own: the copy begins where torch's do.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        if metadata.get("minidistill") != VERSION:
            raise CheckpointError(f"{path} was not written by this version of minidistill")
        return tensors, json.loads(metadata["about"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a safetensors file ({error}): delete it and train again"
        ) from error


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise ImportError(
            'saving and loading weights needs safetensors: pip install "safetensors>=0.4.3"'
        ) from None
    return safetensors.torch


def save_model(
    folder: Path | str,
    model: nn.Module,
    vocabulary: Any,
    card: dict[str, Any],
    dtype: torch.dtype | None = None,
) -> Path:
    """Save a language model, its vocabulary and its card (recipe, figures) in a folder.

    Writes `model.safetensors`, `vocabulary.json` and `card.json`, each atomically. The settings
    needed to build the model again come from its own attributes; a table that is used twice is
    written once.

    dtype: store the weights as this type, such as torch.float16 for half the bytes; None keeps
        their own. They are loaded into a model of float32 either way.

    Raises:
        CheckpointError: a weight that `dtype` cannot hold; a file that cannot be written.
    """
    folder = Path(folder)
    config = getattr(model, "quantised_config", None) or config_of(model)
    weights = dict(model.state_dict())
    if model.tied:
        weights.pop(TIED[0], None)
    if dtype is not None:
        weights = {name: stored_as(dtype, name, tensor) for name, tensor in weights.items()}
    card_text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    save_tensors(folder / "model.safetensors", weights, {"config": config})
    vocabulary.save(folder / "vocabulary.json")
    write_text(folder / "card.json", card_text)
    return folder


def load_model(folder: Path | str, device: torch.device | str | None = None) -> tuple[Any, Any]:
    """Load `(model, vocabulary)` from a folder that `save_model` wrote, ready to write text.

    Raises:
        CheckpointError: files missing or damaged, or a layer that this package does not have.
    """
    from minidistill.vocabulary import Vocabulary

    folder = Path(folder)
    tensors, about = load_tensors(folder / "model.safetensors")
    try:
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        config = dict(about["config"])
        if config.get("quantised"):
            from minidistill.quantisation import QuantisedModel

            return QuantisedModel(config, tensors).to(device or "cpu"), vocabulary
        if config["tied"]:
            tensors.setdefault(TIED[0], tensors[TIED[1]])
        model = empty_model(config, folder)
        model.load_state_dict(tensors)
    except CheckpointError:
        raise
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder} holds no model that save_model wrote, or a part of it is missing or damaged "
            f"({error}): save or train it again"
        ) from error
    return model.to(device or "cpu").eval(), vocabulary


def config_of(model: nn.Module) -> dict[str, Any]:
    """What `empty_model` makes a language model from, read from the model's own attributes."""
    return {
        "vocab_size": model.vocab_size,
        "embedding_size": model.embedding_size,
        "tied": model.tied,
        "dropout": model.dropout.p,
        "recurrent": {"kind": type(model.recurrent).__name__, **settings_of(model.recurrent)},
    }


def settings_of(layer: nn.Module) -> dict[str, Any]:
    """What the layer was made with: its constructor's settings that it kept under their names."""
    # A layer of one's own may take its sizes in another way, or not have all of these.
    asked = ["input_size", "hidden_size", "num_layers", "dropout"]
    names = dict.fromkeys([*asked, *inspect.signature(type(layer)).parameters])
    kept = {name: getattr(layer, name, None) for name in names}
    return {name: value for name, value in kept.items() if isinstance(value, int | float | str)}


def stored_as(dtype: torch.dtype, name: str, tensor: Tensor) -> Tensor:
    """A weight in the type in which it is stored, or CheckpointError where that cannot hold it."""
    if not tensor.is_floating_point():
        return tensor
    stored = tensor.to(dtype)
    if not bool(torch.isfinite(stored).all()):
        raise CheckpointError(
            f"the weight {name} holds a number that {dtype} cannot hold: save without a dtype"
        )
    return stored


def empty_model(config: dict[str, Any], folder: Path) -> nn.Module:
    """The model that a configuration of `save_model` describes, with weights by chance."""
    from minidistill.device import seeded
    from minidistill.language_model import LanguageModel

    settings = dict(config.pop("recurrent"))
    layer = layer_named(settings.pop("kind"), folder)
    dropout = config.pop("dropout")
    with seeded(0):  # the weights are replaced: no one's chance should change for them
        return LanguageModel(recurrent=layer(**settings), dropout=dropout, **config)


def layer_named(kind: Any, folder: Path) -> type[nn.Module]:
    """The class of this package with that name."""
    from minidistill import convolution, recurrent

    layers = {name: getattr(recurrent, name) for name in ("RNN", "LSTM", "GRU")}
    layers["CausalConvolution"] = convolution.CausalConvolution
    if not isinstance(kind, str):
        raise TypeError(f"the layer's kind is {kind!r}, which is no name")
    if kind not in layers:
        raise CheckpointError(
            f"{folder} holds a model with a layer of your own, {kind!r}: build the model yourself "
            "and give load_state_dict the tensors of load_tensors(folder / 'model.safetensors')"
        )
    return layers[kind]
