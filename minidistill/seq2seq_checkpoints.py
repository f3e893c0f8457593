"""Sequence-to-sequence models in folders: weights, vocabularies and card, saved and loaded."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from minidistill.attention import ATTENTIONS
from minidistill.checkpoints import (
    CheckpointError,
    layer_named,
    load_tensors,
    save_tensors,
    settings_of,
    stored_as,
    write_text,
)
from minidistill.device import seeded
from minidistill.embeddings import PositionAttention
from minidistill.neighbours import NeighbourAttention
from minidistill.pointer import PointerSeq2Seq
from minidistill.seq2seq import Seq2Seq
from minidistill.vocabulary import Vocabulary

TABLE = "decoder.embedding.weight"
SIZES = ("input_size", "hidden_size", "bidirectional")  # of a layer: `Seq2Seq` gives them


class Trained(NamedTuple):
    """A sequence-to-sequence model and what its sources and its targets are written in."""

    model: Any
    source_vocabulary: Vocabulary
    vocabulary: Vocabulary


def save_seq2seq_model(
    folder: Path | str, trained: Trained, card: dict[str, Any], dtype: torch.dtype | None = None
) -> Path:
    """Save a `Seq2Seq`, its vocabularies and its card in a folder.

    Writes `model.safetensors`, `vocabulary.json` of the target, `source_vocabulary.json` where
    source and target do not share one, and `card.json`, each atomically. A table that is used
    in several places is written once.

    dtype: store the weights as this type, such as torch.float16 for half the bytes; None keeps
        their own. They are loaded into a model of float32 either way.

    Raises:
        CheckpointError: a layer or an attention of your own, a weight that `dtype` cannot hold,
            a file that cannot be written.
    """
    folder, model = Path(folder), trained.model
    config = _config(model)
    if _shapes(_build(dict(config), folder)) != _shapes(model):
        raise CheckpointError(
            "encoder, reader and writer are not made by one layer(input_size, hidden_size), so "
            "the package could not build this model again: save its weights with "
            "save_tensors(path, model.state_dict(), {})"
        )
    again = _copies(model)
    weights = {name: t for name, t in model.state_dict().items() if name not in again}
    if dtype is not None:
        weights = {name: stored_as(dtype, name, tensor) for name, tensor in weights.items()}
    card_text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    save_tensors(folder / "model.safetensors", weights, {"seq2seq": config})
    trained.vocabulary.save(folder / "vocabulary.json")
    if not model.shared:
        trained.source_vocabulary.save(folder / "source_vocabulary.json")
    write_text(folder / "card.json", card_text)
    return folder


def load_seq2seq_model(folder: Path | str, device: torch.device | str | None = None) -> Trained:
    """Load what `save_seq2seq_model` wrote, ready to write text.

    Raises:
        CheckpointError: files missing or damaged, or a layer that this package does not have.
    """
    folder = Path(folder)
    tensors, about = load_tensors(folder / "model.safetensors")
    try:
        model = _build(dict(about["seq2seq"]), folder)
        tensors.update({name: tensors[TABLE] for name in _copies(model)})
        model.load_state_dict(tensors)
        vocabulary = Vocabulary.load(folder / "vocabulary.json")
        source = vocabulary
        if not model.shared:
            source = Vocabulary.load(folder / "source_vocabulary.json")
    except CheckpointError:
        raise
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder} holds no model that save_seq2seq_model wrote, or a part of it is missing or "
            f"damaged ({error}): save or train it again"
        ) from error
    return Trained(model.to(device or "cpu").eval(), source, vocabulary)


def _copies(model: Seq2Seq) -> list[str]:
    """The names under which the target's table stands a second time."""
    names = {"encoder.embedding.weight": model.shared, "decoder.readout.weight": model.decoder.tied}
    return [name for name, same in names.items() if same]


def _shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _config(model: Seq2Seq) -> dict[str, Any]:
    """What `_build` needs, read from the model's own parts."""
    encoder, decoder = model.encoder, model.decoder
    settings = settings_of(encoder.recurrent)
    layer = {name: value for name, value in settings.items() if name not in SIZES}
    if type(model) not in (Seq2Seq, PointerSeq2Seq):
        raise CheckpointError(
            f"the model is one of your own, {type(model).__name__!r}, which the package could not "
            "build again: save its weights with save_tensors(path, model.state_dict(), {})"
        )
    own = _own_part(encoder.context)
    if own is not None:
        raise CheckpointError(
            f"the source's vectors are changed by a part of your own, {own!r}, "
            "which the package could not build again: save the weights with "
            "save_tensors(path, model.state_dict(), {})"
        )
    pointer = {}
    if isinstance(model, PointerSeq2Seq):
        pointer = {"places": model.vocab_size - model.known, "unknown_id": model.unknown_id}
    return {
        **pointer,
        "source_size": encoder.vocab_size,
        "target_size": decoder.vocab_size,
        "embedding_size": decoder.embedding_size,
        "hidden_size": decoder.writer.hidden_size,
        "layer": {"kind": type(encoder.recurrent).__name__, **layer},
        "attention": None if decoder.attention is None else _attention(decoder.attention),
        "values": model.values,
        "bidirectional": encoder.bidirectional,
        "reader": decoder.reader is not None,
        "dropout": decoder.dropout.p,
        "tied": decoder.tied,
        "shared": model.shared,
        **({} if encoder.context is None else {"window": encoder.context.window}),
    }


def _own_part(context: nn.Module | None) -> str | None:
    """The name of what the package could not build again, if there is such a part."""
    if context is not None and type(context) is not NeighbourAttention:
        return type(context).__name__
    attention = PositionAttention if context is None else type(context.attention)
    return None if attention is PositionAttention else attention.__name__


def _attention(attention: nn.Module) -> dict[str, Any]:
    kinds = [name for name, kind in ATTENTIONS.items() if type(attention) is kind]
    if not kinds:
        raise CheckpointError(
            f"the attention is one of your own, {type(attention).__name__!r}, which the package "
            "could not build again: save its weights with save_tensors(path, "
            "model.state_dict(), {})"
        )
    size = getattr(attention, "hidden_size", None)
    return {"kind": kinds[0], **({} if size is None else {"hidden_size": size})}


def _build(config: dict[str, Any], folder: Path) -> Seq2Seq:
    """The model that a configuration describes, with weights by chance."""
    layer, attention = dict(config.pop("layer")), config.pop("attention")
    make_layer = partial(layer_named(layer.pop("kind"), folder), **layer)
    if attention is not None:
        sizes = dict(attention)
        attention = partial(ATTENTIONS[sizes.pop("kind")], **sizes)
    if "window" in config:
        config["context"] = partial(NeighbourAttention, window=config.pop("window"))
    with seeded(0):  # the weights are replaced: no one's chance should change for them
        if "places" in config:
            del config["source_size"]  # source and target have one vocabulary
            size = config.pop("target_size")
            return PointerSeq2Seq(size, layer=make_layer, attention=attention, **config)
        return Seq2Seq(layer=make_layer, attention=attention, **config)


__all__ = ["Trained", "load_seq2seq_model", "save_seq2seq_model"]
