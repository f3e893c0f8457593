"""Chapter 05: more known wrong versions of `token_loss`: other costs of the real places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch05_loss_mistakes import AN_ID, FAULTS, IGNORE, SMALL, build


def _by_place(cost: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Any]:
    """Another cost of the real places, from their logits (N, V) and targets (N,)."""

    def mistaken(logits: Tensor, targets: Tensor) -> Any:
        real = targets != IGNORE
        count = int(real.sum())
        return cost(logits[real], targets[real]).sum() / max(1, count), count

    return mistaken


def _chosen(log_p: Tensor, ids: Tensor) -> Tensor:
    return log_p.gather(1, ids[:, None])[:, 0]


def _smoothed(logits: Tensor, ids: Tensor) -> Tensor:
    log_p = logits.log_softmax(-1)
    return -0.9 * _chosen(log_p, ids) - 0.1 * log_p.mean(-1)


MISTAKES = (
    *two.singles(build, FAULTS),
    (
        "the softmax runs over the places: tokens stand along the last dimension (dim=-1)",
        _by_place(lambda z, y: -_chosen(z.log_softmax(0), y)),
    ),
    (
        "the softmax runs over all places and tokens at once: each place has its own (dim=-1)",
        _by_place(lambda z, y: z.logsumexp((0, 1)) - _chosen(z, y)),
    ),
    (
        "the largest logit takes the place of the whole normaliser: it is ln of the sum of all "
        "exp(logit) (log_softmax)",
        _by_place(lambda z, y: z.amax(-1) - _chosen(z, y)),
    ),
    (
        "this is what the likeliest token costs: what the target costs is wanted, likely or not",
        _by_place(lambda z, y: -z.log_softmax(-1).amax(-1)),
    ),
    (
        "this is the entropy of the predictions: what the target costs is wanted",
        _by_place(lambda z, y: -(z.log_softmax(-1) * z.softmax(-1)).sum(-1)),
    ),
    (
        "it is divided by the number of tokens in the vocabulary too: each real target costs one "
        "number, so divide by how many targets there are",
        _by_place(lambda z, y: -_chosen(z.log_softmax(-1), y) / z.size(-1)),
    ),
    (
        "all tokens are charged, not the target alone: pick the target's entry (gather)",
        _by_place(lambda z, y: -z.log_softmax(-1).sum(-1)),
    ),
    (
        "each token is asked for itself (sigmoid): the tokens share one probability (log_softmax)",
        _by_place(lambda z, y: -_chosen(logsigmoid(z), y)),
    ),
    (
        "this is the squared distance from a one-hot vector: the cost is -ln of the target's "
        "probability",
        _by_place(lambda z, y: (z.softmax(-1) - one_hot(y, z.size(-1))).square().sum(-1)),
    ),
    ("the target is smoothed: each target is one token and no other", _by_place(_smoothed)),
)
PAIRS = tuple(two.pairs(build, [f for f in FAULTS if f[0] not in (SMALL, AN_ID)]))
"""Two mistakes at once."""
