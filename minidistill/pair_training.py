"""Training on few pairs: batches with little padding, sources seen in part, and what they give."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.batches import PairBatches, Pairs
from minidistill.language_model import State
from minidistill.pairs import special_ids
from minidistill.seq2seq_checkpoints import Trained
from minidistill.teacher_forcing import pair_loss
from minidistill.training import LossFunction, evaluate

PairList = list[tuple[list[int], list[int]]]


class HiddenSources:
    """`pair_loss` for training on few pairs: every target token counts, sources are seen in part.

    L = -1/n sum over the batch's real targets of ln p(y_t | y_1 .. y_{t-1}, x),   n = the
    targets of a batch on average

    Batches of short targets thereby weigh less than those of long ones, token by token the same.
    Each source token is hidden with probability `share`, as if it were padding, so that a source
    cannot be known by heart. In evaluation it is `loss` itself.
    """

    def __init__(self, share: float, training: PairBatches, loss: LossFunction = pair_loss) -> None:
        self.share, self.loss = share, loss
        self.targets = training.targets / len(training)

    def __call__(
        self, model: nn.Module, batch: Pairs, state: State = None
    ) -> tuple[Tensor, int, None]:
        """The loss, the number of real targets, and no state."""
        if not model.training:
            return self.loss(model, batch, state)
        mask = batch.source_mask
        seen = torch.rand(mask.shape, device=mask.device) >= self.share
        mean, count, _ = self.loss(model, batch._replace(source_mask=mask & seen), state)
        return mean * count / self.targets, count, None


class ByTarget(PairBatches):
    """Batches of like targets, and of like sources only among these.

    Sources of several sentences are filled up to one length, targets are short and long: with
    sources sorted first, two of three target places were padding.
    """

    def _lengths(self, i: int) -> tuple[int, int]:
        source, target = super()._lengths(i)
        return target, source


def batches(trained: Trained, pairs: PairList, batch_size: int, **options: Any) -> PairBatches:
    """Lay pairs out in batches with the special tokens of the target's vocabulary."""
    bos, eos, padding = special_ids(trained.vocabulary)
    return ByTarget(pairs, batch_size, bos_id=bos, eos_id=eos, padding_id=padding, **options)


def shuffled_sources(pairs: PairList, seed: int = 0) -> PairList:
    """Give every target the source of another pair: what is left is what needs no source."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(pairs), generator=generator).tolist()
    # One round through all of them in a random order: no pair keeps its own source.
    return [(pairs[b][0], pairs[a][1]) for a, b in zip(order, order[1:] + order[:1], strict=True)]


def perplexity_of(trained: Trained, pairs: PairList) -> float:
    """Return exp of the mean cost in nats of a target's token, its end counted as one."""
    return math.exp(evaluate(trained.model, batches(trained, pairs, 64, shuffle=False), pair_loss))


__all__ = [
    "ByTarget",
    "HiddenSources",
    "PairList",
    "batches",
    "perplexity_of",
    "shuffled_sources",
]
