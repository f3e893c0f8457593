"""Several teachers as one: the mean of what they expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.language_model import State


def mean_log_probabilities(
    logits: Sequence[Tensor], weights: Sequence[float] | None = None, of: str = "probabilities"
) -> Tensor:
    """Return the log-probabilities of a mixture of teachers, (..., V).

        of="probabilities":  ln sum_k w_k softmax(z_k)     a word is likely if any teacher says so
        of="logits":         ln softmax(sum_k w_k z_k)     only if no teacher says otherwise

    The first is a mixture, the second, a normalised geometric mean, is a product of experts.

    Args:
        logits: of each teacher, (..., V). weights: of each, positive; None: all the same. They
            are divided by their sum.

    Raises:
        ValueError: no teachers, shapes that differ, weights that are not one for each, `of`.

    Source: Hinton, Vinyals and Dean, 2015 (both forms); product of experts: Hinton, 2002.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    shares = _shares(len(logits), weights)
    if of not in ("probabilities", "logits"):
        raise ValueError(f"of is 'probabilities' or 'logits', not {of!r}")
    if any(z.shape != logits[0].shape for z in logits):
        shapes = ", ".join(str(tuple(z.shape)) for z in logits)
        raise ValueError(f"the teachers' logits are {shapes}: one vocabulary, the same tokens")
    if of == "logits":
        return sum(w * z for w, z in zip(shares, logits, strict=True)).log_softmax(-1)
    # In logarithms, so that a word that all teachers find unlikely does not become impossible.
    parts = [z.log_softmax(-1) + math.log(w) for w, z in zip(shares, logits, strict=True)]
    return torch.logsumexp(torch.stack(parts), dim=0)


class Ensemble(nn.Module):
    """Teachers that answer as one writer and keep the protocol of `minidistill.language_model`.

    Logits are log-probabilities, the state is a tuple of the teachers' states, the memory of a
    source (where the teachers have `encode`) a tuple of their memories.

    Args:
        teachers: writers with one vocabulary. weights, of: see `mean_log_probabilities`.

    Raises:
        ValueError: as there; vocabularies of several sizes.

    Taught in solutions/09_knowledge_distillation.ipynb.
    """

    def __init__(
        self,
        teachers: Sequence[nn.Module],
        weights: Sequence[float] | None = None,
        of: str = "probabilities",
    ) -> None:
        super().__init__()
        _shares(len(teachers), weights)
        if of not in ("probabilities", "logits"):
            raise ValueError(f"of is 'probabilities' or 'logits', not {of!r}")
        sizes = sorted({teacher.vocab_size for teacher in teachers})
        if len(sizes) > 1:
            raise ValueError(f"the teachers' vocabularies have {sizes} tokens: they must be one")
        self.teachers = nn.ModuleList(teachers)
        self.weights, self.of, self.vocab_size = weights, of, sizes[0]

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"weights={self.weights}, of={self.of!r}"

    def encode(self, source: Tensor, mask: Tensor | None = None) -> tuple[Any, ...]:
        """Every teacher's memory of the sources."""
        return tuple(teacher.encode(source, mask) for teacher in self.teachers)

    def forward(
        self,
        tokens: Tensor,
        state: State = None,
        mask: Tensor | None = None,
        memory: tuple[Any, ...] | None = None,
    ) -> tuple[Tensor, State]:
        """Log-probabilities (B, T, V) of the mixture, and all states."""
        count = len(self.teachers)
        states = (None,) * count if state is None else state
        sources = [{}] * count if memory is None else [{"memory": part} for part in memory]
        asked = zip(self.teachers, states, sources, strict=True)
        logits, states = zip(*(t(tokens, s, mask, **m) for t, s, m in asked), strict=True)
        return mean_log_probabilities(logits, self.weights, self.of), tuple(states)


def _shares(count: int, weights: Sequence[float] | None) -> list[float]:
    if count == 0:
        raise ValueError("there are no teachers: give at least one")
    weights = [1.0] * count if weights is None else list(weights)
    if len(weights) != count or not all(w > 0 and math.isfinite(w) for w in weights):
        raise ValueError(f"weights are {weights}: one positive number for each of {count} teachers")
    return [w / sum(weights) for w in weights]


__all__ = ["Ensemble", "mean_log_probabilities"]
