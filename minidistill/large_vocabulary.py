"""Training a writer of a large vocabulary: losses for `fit` that never make all its logits.

    fit(model, batches, recipe, loss=SampledSoftmax(LogUniformSampler(model.vocab_size)))

Nothing of the model changes: while such a loss runs, the read-out is taken off, and the loss
works out from the hidden states what it needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE
from minidistill.chunked_softmax import CHUNK, chunked_cross_entropy
from minidistill.distilling import read
from minidistill.language_model import State
from minidistill.readout import hidden_states, sparse_embeddings, tables_of
from minidistill.sampled_softmax import sampled_softmax_loss
from minidistill.samplers import (
    LogUniformSampler,
    Sampler,
    UniformSampler,
    UnigramSampler,
    check_counts,
)
from minidistill.sparse_rows import LazyAdam, RowAdagrad, Together
from minidistill.training import adamw
from minidistill.vocabulary_base import Vocabulary


class Rows:
    """How tables move while the rest of a model is trained by AdamW.

    Args:
        kind: "adagrad", with one number a row, or "adam", lazy.
        factor: how many times the recipe's learning rate theirs is; None takes 30 for
            "adagrad" and 1 for "adam".
    """

    def __init__(self, kind: str = "adagrad", factor: float | None = None) -> None:
        if kind not in ("adagrad", "adam"):
            raise ValueError(f"optimizer is 'adagrad' or 'adam', not {kind!r}")
        self.kind = kind
        self.factor = {"adagrad": 30.0, "adam": 1.0}[kind] if factor is None else factor

    def __iter__(self) -> Iterator[Any]:
        return iter((self.kind, self.factor))

    def of(
        self,
        model: nn.Module,
        lr: float,
        weight_decay: float,
        slow: nn.Parameter | None = None,
        slowness: float = 1.0,
    ) -> Together:
        """One optimiser for a model. Tables do not decay: that would touch every row.

        slow: a table that learns at `slowness` times the rate of the others.
        """
        tables = tables_of(model)
        names = {id(p) for p in (*tables, slow)}
        others = [p for p in model.parameters() if id(p) not in names]
        make = RowAdagrad if self.kind == "adagrad" else LazyAdam
        fast = [p for p in tables if p is not slow]
        groups: list[dict[str, Any]] = [{"params": fast, "factor": self.factor}]
        if slow is not None:
            groups.append({"params": [slow], "factor": self.factor * slowness})
        rows = make(groups, lr * self.factor)
        if not others:  # a model of tables alone
            return Together(rows)
        return Together(rows, torch.optim.AdamW(others, lr, weight_decay=weight_decay))


class ChunkedSoftmax:
    """The full softmax, exact, without the table of all logits: a `LossFunction` for `fit`.

    It gives what `next_token_loss` and `pair_loss` give, in a fraction of the memory, at a third
    more products. See `chunked_cross_entropy`.

    Args:
        chunk: classes looked at together.
        optimizer, factor: of the tables, as for `SampledSoftmax`; None is AdamW, as ever.

    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(
        self, chunk: int = CHUNK, *, optimizer: str | None = None, factor: float | None = None
    ) -> None:
        self.chunk, self.rows = chunk, Rows(optimizer, factor) if optimizer else None

    def __call__(
        self, model: nn.Module, batch: Any, state: State = None
    ) -> tuple[Tensor, int, State]:
        """Loss, number of targets, and the state to carry on with."""
        with hidden_states(model) as readout:
            hidden, targets, state = read(model, batch, state)
            readout.refuse_others(hidden)
        value = chunked_cross_entropy(hidden, readout.weight, readout.bias, targets, self.chunk)
        return value, int((targets != IGNORE).sum()), state

    def optimizer(self, model: nn.Module, lr: float, weight_decay: float) -> Any:
        """What `fit` steps with."""
        if self.rows is None:
            return adamw(model, lr, weight_decay)
        return self.rows.of(model, lr, weight_decay)

    def fingerprint(self) -> str:
        """What a checkpoint remembers of this loss: nothing of its chunks, they change nothing."""
        return "" if self.rows is None else json.dumps(["full", *self.rows])


class SampledSoftmax:
    """The sampled softmax as a `LossFunction`: of a language model, or of a model with `encode`.

    While the model is trained, the cost of a token is that among itself and the classes drawn
    for the batch, and only the rows of these move. In evaluation it is the full softmax, in
    chunks, so that validation can be compared with any other model's. The two numbers cannot be
    compared with each other.

    Args:
        sampler: of the model's vocabulary; `for_vocabulary` makes one.
        samples: S, classes drawn for a batch.
        optimizer, factor: of the tables, see `Rows`; the rest is trained by AdamW as ever.
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
        if not 1 <= samples <= sampler.vocab_size:
            raise ValueError(
                f"samples is {samples} but the vocabulary has {sampler.vocab_size} tokens: no "
                "token is drawn twice"
            )
        self.sampler, self.samples, self.rows = sampler, samples, Rows(optimizer, factor)
        self.correction, self.remove_hits = correction, remove_hits
        self._exact = ChunkedSoftmax()

    @classmethod
    def for_vocabulary(
        cls, vocabulary: Vocabulary, samples: int = 1024, sampler: str = "unigram", **more: Any
    ) -> SampledSoftmax:
        """The loss for a vocabulary, drawn by its counts: "unigram", "log-uniform" or "uniform".

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
        """What `fit` steps with."""
        return self.rows.of(model, lr, weight_decay)

    def fingerprint(self) -> str:
        """What a checkpoint remembers of this loss."""
        every = torch.arange(self.sampler.vocab_size)
        p = self.sampler.cpu().log_prob(every).mul(1e3).round().long()  # alike on all machines
        sampler = [
            type(self.sampler).__name__,
            hashlib.sha256(p.numpy().tobytes()).hexdigest()[:16],
        ]
        settings = [self.samples, *self.rows, self.correction, self.remove_hits]
        return json.dumps([*sampler, *settings])


def start_from_counts(model: nn.Module, counts: Sequence[int]) -> None:
    """Set the read-out's bias to ln of each token's share of the text: training starts there.

    c_k = ln(max(count_k, 1) / sum of counts)

    An untrained model finds all words alike. The full softmax pushes every rare word down in
    every step; a sampled one pushes only those that it draws, and a rare word of 40,000 waits
    long for its turn. With this bias the first probabilities are those of the unigrams, and
    nothing has to be pushed down that far.

    Raises:
        ValueError: no linear read-out, no bias, or counts that are not one a token.

    Taught in solutions/08_sampled_softmax.ipynb.
    """
    with hidden_states(model) as readout:
        bias = readout.bias
    if bias is None:
        raise ValueError("the read-out has no bias to start from: nn.Linear(H, V, bias=True)")
    check_counts(counts, len(bias))
    share = torch.as_tensor(counts, dtype=torch.float64).clamp(min=1.0)
    with torch.no_grad():
        bias.copy_((share / share.sum()).log())


__all__ = [
    "ChunkedSoftmax",
    "Rows",
    "SampledSoftmax",
    "hidden_states",
    "sparse_embeddings",
    "start_from_counts",
]
