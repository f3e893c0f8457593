"""The other road to a large vocabulary: rare words in clusters that are seldom looked into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE
from minidistill.distilling import read
from minidistill.language_model import State
from minidistill.readout import hidden_states


class AdaptiveReadout(nn.Module):
    """A read-out that is `torch.nn.AdaptiveLogSoftmaxWithLoss`, in the place of a linear one.

        p(w) = p_head(w)                          for the most frequent words
        p(w) = p_head(cluster c) p_c(w)           for the others, c the cluster of w

    The probabilities are exact and add up to 1, but it is another model: rare words have
    narrower vectors, by `div_value` from cluster to cluster. Training looks into a cluster only
    for the tokens that are in it; writing needs all of them.

    Args:
        hidden_size: H. vocab_size: V, ids in the order of frequency.
        cutoffs: where clusters begin; None: at V / 15 and V / 5.

    Shapes:
        forward(hidden (..., H)) returns ln p (..., V), which serve as logits.

    Raises:
        ValueError: cutoffs that do not rise between 0 and V.

    Source: Grave, Joulin, Cissé, Grangier and Jégou, Efficient softmax approximation for GPUs,
    2017. Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        cutoffs: Sequence[int] | None = None,
        div_value: float = 4.0,
    ) -> None:
        super().__init__()
        if cutoffs is None:
            cutoffs = sorted({max(1, vocab_size // part) for part in (15, 5)})
        # Narrower still, the vectors of the last cluster would have no numbers at all.
        narrowest = hidden_size ** (1 / max(1, len(cutoffs))) * (1 - 1e-9)
        div_value = min(div_value, narrowest)
        try:
            self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(
                hidden_size, vocab_size, list(cutoffs), div_value, head_bias=True
            )
        except ValueError:
            raise ValueError(
                f"cutoffs are {list(cutoffs)}: whole numbers that rise, each above 0 and below "
                f"the vocabulary's {vocab_size}"
            ) from None

    def forward(self, hidden: Tensor) -> Tensor:
        """Logarithms of all probabilities."""
        return self.adaptive.log_prob(hidden.flatten(0, -2)).view(*hidden.shape[:-1], -1)

    def cost(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean cost (nats) of the real targets (...), looking only into their clusters."""
        real = targets != IGNORE
        if not bool(real.any()):
            return hidden[real].sum()
        return self.adaptive(hidden[real], targets[real]).loss


class AdaptiveSoftmax:
    """The loss of a model with an `AdaptiveReadout`: a `LossFunction` for `fit` and `evaluate`.

    It is exact, so it can be compared with other models' losses. The clusters are found token
    by token, for which a GPU has to wait.

    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __call__(
        self, model: nn.Module, batch: Any, state: State = None
    ) -> tuple[Tensor, int, State]:
        """Loss, number of targets, and the state to carry on with."""
        with hidden_states(model) as readout:
            hidden, targets, state = read(model, batch, state)
            readout.refuse_others(hidden)
        real = readout.of
        if not isinstance(real, AdaptiveReadout):
            raise ValueError(
                "this model's read-out has no clusters: model.readout = AdaptiveReadout(H, V)"
            )
        with torch.autocast(hidden.device.type, enabled=False):
            exact = torch.promote_types(hidden.dtype, torch.float32)
            value = real.cost(hidden.to(exact), targets)
        return value, int((targets != IGNORE).sum()), state


__all__ = ["AdaptiveReadout", "AdaptiveSoftmax"]
