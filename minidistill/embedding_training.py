"""Negative sampling as a loss for `fit`, for the models of `minidistill.embeddings`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.chunked_softmax import chunked_cross_entropy
from minidistill.large_vocabulary import Rows
from minidistill.negative_sampling import negative_sampling_loss
from minidistill.readout import sparse_embeddings
from minidistill.samplers import UnigramSampler
from minidistill.sparse_rows import Together
from minidistill.windows import WindowBatch

KEY_RATE = 0.01
"""How fast keys learn beside vectors: as fast as these, they learn a novel's windows by heart."""


class NegativeSampling:
    """Negative sampling as a loss for `fit`: of a `CBOW`, a `SkipGram`, or a model of your own.

    While the model is trained, the cost is that of telling the target from S words drawn for the
    batch; in evaluation it is the cross-entropy of the full softmax, so that models can be
    compared. The two numbers cannot be compared with each other.

    The scores learn ln P itself (f = ln keep(w) - ln(k Q(w)) is added to them while training):
    so a softmax of them is what the model believes, also where frequent words were thinned out
    of the training text. `corrected=False` leaves that out and is word2vec's loss to the letter.

    Args:
        counts: (V,), how often each word stands in the text.
        negatives: k, as in word2vec. samples: S, drawn for a batch and shared by all its words.
        power: see `UnigramSampler`. keep: (V,), what the windows were thinned out by. What is
            guessed must have been thinned: for `SkipGram` leave it out with thin="middles".
        factor: how many times the recipe's learning rate the tables' is.
        key_rate: how many times the tables' rate that of a table of keys is.

    Taught in solutions/07_word_embeddings.ipynb.
    """

    def __init__(
        self,
        counts: Sequence[float],
        negatives: float = 5,
        samples: int = 128,
        *,
        power: float = 0.75,
        keep: Tensor | None = None,
        corrected: bool = True,
        factor: float = 30.0,
        key_rate: float = KEY_RATE,
    ) -> None:
        if samples < 1 or not negatives > 0:
            raise ValueError(f"samples ({samples}) and negatives ({negatives}) must be above 0")
        self.sampler, self.negatives, self.samples = (
            UnigramSampler(counts, power),
            negatives,
            samples,
        )
        self.rows, self.key_rate, self.corrected = Rows("adagrad", factor), key_rate, corrected
        every = torch.arange(self.sampler.vocab_size)
        offset = -self.sampler.log_prob(every).double() - torch.tensor(negatives).double().log()
        if keep is not None:
            if keep.shape != offset.shape:
                raise ValueError(f"keep has shape {tuple(keep.shape)} for {len(offset)} counts")
            offset = offset + keep.double().log()
        self.offset = offset.float()

    def __call__(
        self, model: nn.Module, batch: WindowBatch, state: None = None
    ) -> tuple[Tensor, Any, None]:
        """Loss, number of targets, and None."""
        if not model.training:
            return self._exact(model, batch)
        with sparse_embeddings(model):
            x, targets, mask = guess(model, batch)
        sampler = self.sampler.to(x.device)
        self.offset = self.offset.to(x.device)
        value = negative_sampling_loss(
            x,
            model.readout.weight,
            targets,
            sampler.draw(self.samples),
            self.negatives,
            mask=mask,
            bias=model.readout.bias if self.corrected else None,
            offset=self.offset if self.corrected else None,
            sparse=True,
        )
        return value, targets.numel() if mask is None else mask.sum(), None

    def _exact(self, model: nn.Module, batch: WindowBatch) -> tuple[Tensor, int, None]:
        x, targets, mask = guess(model, batch)
        if mask is not None:
            x = x[:, None].expand(-1, targets.size(1), -1)[mask]
            targets = targets[mask]
        weight, bias = model.readout.weight, model.readout.bias
        if not self.corrected:  # the scores are ln P - f
            bias = -self.offset.to(x.device)
        return chunked_cross_entropy(x, weight, bias, targets), len(targets), None

    def optimizer(self, model: nn.Module, lr: float, weight_decay: float) -> Together:
        """What `fit` steps with: rows by Adagrad, those of keys slowly, the rest by AdamW."""
        keys = getattr(getattr(model, "keys", None), "weight", None)
        return self.rows.of(model, lr, weight_decay, keys, self.key_rate)

    def fingerprint(self) -> str:
        """What a checkpoint remembers of this loss."""
        offset = self.offset.cpu().mul(1e3).round().long()  # alike on all machines
        text = hashlib.sha256(offset.numpy().tobytes()).hexdigest()[:16]
        return json.dumps(
            [text, self.negatives, self.samples, self.corrected, self.rows.factor, self.key_rate]
        )


def guess(model: nn.Module, batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor | None]:
    """What a model makes of windows: x (B, H), the words it should guess, and their mask.

    A model that reads the middle (`SkipGram`) guesses the neighbours, (B, C) with a mask; one
    that reads the context guesses the middle, (B,).
    """
    if getattr(model, "reads_middle", False):
        return model(batch.targets), batch.contexts, batch.mask
    return model(batch.places, batch.mask, batch.words)[0], batch.targets, None


__all__ = ["NegativeSampling", "guess"]
