"""Training sequence to sequence: the loss of a batch of pairs, and what the decoder reads.

With teacher forcing (Williams and Zipser, 1989) the decoder reads the true target so far, all
of it at once. When it writes, it reads what it wrote itself, mistakes and all; scheduled
sampling lets it meet its own words already in training, more of them as training goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE, Pairs
from minidistill.language_model import State

Schedule = Callable[[int], float]
"""From the number of a training step to the share of true tokens that the decoder reads."""


def token_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, int]:
    """Mean cross-entropy (nats) over the real targets of a padded batch, and how many there are.

    L = -1/N sum over (b, t) with a real target of ln softmax(logits[b, t])[target[b, t]]

    Every real token counts the same, whatever row it stands in: a mean of rows' means would
    give a token of a short row more weight. Where nothing is real the loss is 0.

    Args:
        logits: (B, T, V). targets: (B, T), IGNORE (-100) where nothing stands.

    Taught in solutions/05_seq2seq.ipynb.
    """
    exact = torch.promote_types(logits.dtype, torch.float32)  # half precision is too coarse to add
    total = nn.functional.cross_entropy(
        logits.flatten(0, 1).to(exact), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    count = int((targets != IGNORE).sum())
    return total / max(1, count), count


def pair_loss(model: nn.Module, batch: Pairs, state: State = None) -> tuple[Tensor, int, None]:
    """Mean cross-entropy (nats) of the target's tokens, <eos> included, with teacher forcing.

    L = -1/N sum over real targets of ln p(y_t | y_1 .. y_{t-1}, x)

    A `LossFunction` of `minidistill.training.fit` and `evaluate`; nothing is carried from batch
    to batch.

    Returns:
        The loss, the number N of real targets, and None.

    Taught in solutions/05_seq2seq.ipynb.
    """
    memory = model.encode(batch.source, batch.source_mask)
    logits, _ = model(batch.target_in, None, batch.target_mask, memory=memory)
    return *token_loss(logits, batch.target_out), None


class ScheduledSampling:
    """Teacher forcing by a schedule: a `LossFunction` that lets the decoder read its own words.

    At training step s every token that the decoder reads is the true one with probability
    schedule(s), else the token that the model itself found likeliest one step before. Which,
    is drawn for each place of each row. No gradient flows through that choice. Where the
    model is not being trained, and where the share is 1, it is `pair_loss`.

    One token must wait for another, so it costs several times what teacher forcing does.

    Args:
        schedule: share of true tokens at a step, between 0 and 1; see `linear` and
            `inverse_sigmoid`.

    Source: Bengio, Vinyals, Jaitly and Shazeer, Scheduled sampling for sequence prediction with
    recurrent neural networks, 2015.
    Taught in solutions/05_seq2seq.ipynb.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.share = schedule, 1.0

    def at(self, step: int) -> ScheduledSampling:
        """The loss of one training step; `fit` asks for it, so a resumed run goes on alike."""
        loss = ScheduledSampling(self.schedule)
        loss.share = float(self.schedule(step))
        if not 0 <= loss.share <= 1:
            raise ValueError(f"the schedule gives {loss.share} at step {step}: a share is 0 to 1")
        return loss

    def __call__(
        self, model: nn.Module, batch: Pairs, state: State = None
    ) -> tuple[Tensor, int, None]:
        """Mean cross-entropy of the target's tokens, as `pair_loss`."""
        if self.share == 1 or not model.training:
            return pair_loss(model, batch)
        memory = model.encode(batch.source, batch.source_mask)
        B, T = batch.target_in.shape
        # Drawn where torch's global chance is, which `fit` ties to the step, and moved once.
        true = (torch.rand(B, T) < self.share).to(batch.target_in.device)
        reads, every, carried = batch.target_in[:, :1], [], None
        for t in range(T):
            mask = batch.target_mask[:, t : t + 1]
            logits, carried = model(reads, carried, mask, memory=memory)  # (B, 1, V)
            every.append(logits)
            if t + 1 < T:
                own = logits.detach().argmax(-1)  # (B, 1)
                place = slice(t + 1, t + 2)
                reads = torch.where(true[:, place], batch.target_in[:, place], own)
        return *token_loss(torch.cat(every, dim=1), batch.target_out), None


def linear(start: float, end: float, steps: int) -> Schedule:
    """A share that goes from `start` to `end` in a straight line over so many steps."""
    return lambda step: start + (end - start) * min(1.0, step / max(1, steps))


def inverse_sigmoid(k: float) -> Schedule:
    """k / (k + exp(step / k)): near 1 at first, then down, the slower the larger k >= 1 is.

    Source: Bengio et al., 2015.
    """
    if k < 1:
        raise ValueError(f"k is at least 1, got {k}")
    # The same, without the exponential that overflows: 1 / (1 + exp(step / k - ln k)).
    return lambda step: 1 / (1 + math.exp(min(700.0, step / k - math.log(k))))


__all__ = [
    "Schedule",
    "ScheduledSampling",
    "inverse_sigmoid",
    "linear",
    "pair_loss",
    "token_loss",
]
