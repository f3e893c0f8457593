"""A student that was trained here, stored as data/models has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minidistill import parameter_count, quantise
from minidistill.checkpoints import save_model
from minidistill.quantisation import dequantise


def keep_student(
    folder: Path,
    model: nn.Module,
    vocabulary: Any,
    made: dict[str, Any],
    measure: Callable[[nn.Module], dict[str, Any]],
) -> None:
    """Save a student in int8, with a card: how it was made, and what its stored weights reach."""
    model.recurrent.engine = "scratch"  # the quicker one where a text is written
    kept = quantise(model)
    card = {
        "name": folder.name,
        **made,
        "parameters": parameter_count(model),
        "stored_as": "int8",
        **measure(dequantise(kept)),
        "torch": torch.__version__,
    }
    save_model(folder, kept, vocabulary, card)
