"""A model without its read-out: the hidden states that its logits would be made of.

A loss that never makes all logits needs what comes before them. It takes the read-out off while it
runs, so that no model has to be written for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class Readout(nn.Module):
    """Stands where a model's read-out stood, and hands its input through."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        # In a tuple: while it stands in for it, its weights are still the model's, once.
        self._linear = (linear,)
        self._last: Tensor | None = None

    @property
    def of(self) -> nn.Module:
        """The read-out itself."""
        return self._linear[0]

    @property
    def weight(self) -> Tensor:
        """(V, H)."""
        return self._table("weight")

    @property
    def bias(self) -> Tensor | None:
        """(V,) or None."""
        return self._table("bias")

    def forward(self, hidden: Tensor) -> Tensor:
        """The hidden states that came, as they are."""
        self._last = hidden
        return hidden

    def _table(self, name: str) -> Any:
        if not hasattr(self.of, name):
            raise ValueError(
                f"the read-out is a {type(self.of).__name__}, which has no {name}: a softmax is "
                "sampled, or made in chunks, from a linear read-out (V, H)"
            )
        return getattr(self.of, name)

    def refuse_others(self, returned: Tensor) -> None:
        """Raise ValueError where the model returned anything else than its read-out's input."""
        if returned is not self._last:
            raise ValueError(
                "this model does more with its logits than to return them, so their softmax "
                "cannot be sampled: train it with its own loss"
            )


@contextmanager
def hidden_states(model: nn.Module) -> Iterator[Readout]:
    """Inside the block the model returns, in the place of logits, what its read-out would get.

    The read-out is the part named `readout`, or else the only `nn.Linear` with V outputs.

    Raises:
        ValueError: there is none.
    """
    parent, name = _place_of_readout(model)
    linear = getattr(parent, name)
    stand_in = Readout(linear)
    setattr(parent, name, stand_in)
    try:
        yield stand_in
    finally:
        setattr(parent, name, linear)


@contextmanager
def sparse_embeddings(model: nn.Module) -> Iterator[None]:
    """Inside the block, embeddings looked up will have gradients of rows, not of tables."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    before = [table.sparse for table in tables]
    for table in tables:
        table.sparse = True
    try:
        yield
    finally:
        for table, sparse in zip(tables, before, strict=True):
            table.sparse = sparse


def _place_of_readout(model: nn.Module) -> tuple[nn.Module, str]:
    """The module that holds the read-out, and its name there."""
    V, modules = model.vocab_size, dict(model.named_modules())
    found = [name for name in modules if name.split(".")[-1] == "readout"] or [
        name
        for name, module in modules.items()
        if isinstance(module, nn.Linear) and module.out_features == V
    ]
    if len(found) != 1:
        raise ValueError(
            f"the model has {len(found)} linear layers with {V} outputs, one for each token: "
            "name the one that makes the logits 'readout'"
        )
    parent, _, name = found[0].rpartition(".")
    return model.get_submodule(parent), name


def tables_of(model: nn.Module) -> list[nn.Parameter]:
    """Embeddings and the read-out, each parameter once."""
    parent, name = _place_of_readout(model)
    readout = Readout(getattr(parent, name))
    tables = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    tables += [p for p in (readout.weight, readout.bias) if p is not None]
    return list({id(p): p for p in tables}.values())


__all__ = ["Readout", "hidden_states", "sparse_embeddings", "tables_of"]
