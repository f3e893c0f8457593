"""Training a writer of a large vocabulary: losses for `fit` that never make all its logits.

    fit(model, batches, recipe, loss=SampledSoftmax(LogUniformSampler(model.vocab_size)))

Nothing of the model changes: while such a loss runs, the read-out is taken off, and the loss
works out from the hidden states what it needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE
from minidistill.chunked_softmax import CHUNK, chunked_cross_entropy
from minidistill.distilling import read
from minidistill.language_model import State
from minidistill.sampled_softmax import sampled_softmax_loss
from minidistill.samplers import LogUniformSampler, Sampler, UniformSampler, UnigramSampler
from minidistill.sparse_rows import LazyAdam, RowAdagrad, Together
from minidistill.vocabulary_base import Vocabulary


class ChunkedSoftmax:
    """The full softmax, exact, without the table of all logits: a `LossFunction` for `fit`.

    It gives what `next_token_loss` and `pair_loss` give, in a fraction of the memory, at a third
    more products. See `chunked_cross_entropy`.

    Args:
        chunk: classes looked at together.

    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(self, chunk: int = CHUNK) -> None:
        self.chunk = chunk

    def __call__(
        self, model: nn.Module, batch: Any, state: State = None
    ) -> tuple[Tensor, int, State]:
        """Loss, number of targets, and the state to carry on with."""
        with hidden_states(model) as readout:
            hidden, targets, state = read(model, batch, state)
            readout.refuse_others(hidden)
        value = chunked_cross_entropy(hidden, readout.weight, readout.bias, targets, self.chunk)
        return value, int((targets != IGNORE).sum()), state


class SampledSoftmax:
    """The sampled softmax as a `LossFunction`: of a language model, or of a model with `encode`.

    While the model is trained, the cost of a token is that among itself and the classes drawn
    for the batch, and only the rows of these move. In evaluation it is the full softmax, in
    chunks, so that validation can be compared with any other model's. The two numbers cannot be
    compared with each other.

    Args:
        sampler: of the model's vocabulary; `for_vocabulary` makes one.
        samples: S, classes drawn for a batch.
        optimizer: of the tables: "adagrad", with one number a row, or "adam", lazy. The rest of
            the model is trained by AdamW as ever.
        factor: how many times `Recipe.learning_rate` the tables' rate is; None takes 30 for
            "adagrad" and 1 for "adam".
        correction, remove_hits: see `sampled_softmax_loss`.

    Draws come from torch's own chance, which `fit` ties to the step: a resumed run draws alike.

    Raises:
        ValueError: a model without a linear read-out of its own, or a sampler of another
            vocabulary.

    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(
        self,
        sampler: Sampler,
        samples: int = 1024,
        *,
        optimizer: str = "adagrad",
        factor: float | None = None,
        correction: str = "both",
        remove_hits: bool = True,
    ) -> None:
        if optimizer not in ("adagrad", "adam"):
            raise ValueError(f"optimizer is 'adagrad' or 'adam', not {optimizer!r}")
        if not 1 <= samples <= sampler.vocab_size:
            raise ValueError(
                f"samples is {samples} but the vocabulary has {sampler.vocab_size} tokens: no "
                "token is drawn twice"
            )
        self.sampler, self.samples, self.kind = sampler, samples, optimizer
        self.factor = {"adagrad": 30.0, "adam": 1.0}[optimizer] if factor is None else factor
        self.correction, self.remove_hits = correction, remove_hits
        self._exact = ChunkedSoftmax()

    @classmethod
    def for_vocabulary(
        cls, vocabulary: Vocabulary, samples: int = 1024, sampler: str = "log-uniform", **more: Any
    ) -> SampledSoftmax:
        """The loss for a vocabulary, its counts known: sampler "log-uniform", "unigram", "uniform".

        Raises:
            ValueError: a vocabulary without counts, or one that is not in the order of
                frequency where the sampler takes it to be.
        """
        counts, V = vocabulary.counts, len(vocabulary)
        if sampler == "uniform":
            return cls(UniformSampler(V), samples, **more)
        if sampler not in ("log-uniform", "unigram"):
            raise ValueError(f"sampler is log-uniform, unigram or uniform, not {sampler!r}")
        if counts is None:
            raise ValueError(
                "this vocabulary has no counts: build it from a text, or draw by 'uniform'"
            )
        if sampler == "unigram":
            return cls(UnigramSampler(counts), samples, **more)
        reserved = len(vocabulary.specials) + (vocabulary.unknown_id is not None)
        return cls(LogUniformSampler(V, counts, reserved), samples, **more)

    def __call__(
        self, model: nn.Module, batch: Any, state: State = None
    ) -> tuple[Tensor, Any, State]:
        """Loss, number of targets (a tensor while training: to read it is to wait), and state."""
        if not model.training:
            return self._exact(model, batch, state)
        with hidden_states(model) as readout, sparse_embeddings(model):
            hidden, targets, state = read(model, batch, state)
            readout.refuse_others(hidden)
        sampler = self.sampler.to(hidden.device)
        value = sampled_softmax_loss(
            hidden,
            readout.weight,
            readout.bias,
            targets,
            sampler.sample(self.samples),
            sampler,
            correction=self.correction,
            remove_hits=self.remove_hits,
        )
        return value, (targets != IGNORE).sum(), state

    def optimizer(self, model: nn.Module, lr: float, weight_decay: float) -> Together:
        """What `fit` steps with: rows of the tables by `RowAdagrad` or `LazyAdam`, AdamW else.

        Tables do not decay: that would touch every row.
        """
        tables = _tables(model)
        names = {id(p) for p in tables}
        others = [p for p in model.parameters() if id(p) not in names]
        make = RowAdagrad if self.kind == "adagrad" else LazyAdam
        rows = make([{"params": tables, "factor": self.factor}], lr * self.factor)
        return Together(rows, torch.optim.AdamW(others, lr, weight_decay=weight_decay))

    def fingerprint(self) -> str:
        """What a checkpoint remembers of this loss."""
        sampler = [type(self.sampler).__name__, getattr(self.sampler, "power", None)]
        settings = [self.samples, self.kind, self.factor, self.correction, self.remove_hits]
        return json.dumps([*sampler, *settings])


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


def _tables(model: nn.Module) -> list[nn.Parameter]:
    """Embeddings and the read-out, each parameter once."""
    parent, name = _place_of_readout(model)
    readout = getattr(parent, name)
    tables = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    tables += [p for p in (readout.weight, readout.bias) if p is not None]
    return list({id(p): p for p in tables}.values())


__all__ = ["ChunkedSoftmax", "Readout", "SampledSoftmax", "hidden_states", "sparse_embeddings"]
