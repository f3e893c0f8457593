"""Chapter 09: known mistakes of `sparse_target_loss`: renormalising, and entropies."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault


def _less_own(shares: Tensor, named: Tensor) -> Tensor:
    return (torch.xlogy(shares, shares) - shares * named).sum(-1)


_STILL = "is still charged: there it is left out, as if it were not"
_OWN = "is subtracted, as in a KL divergence: this loss is the cross-entropy alone"

RENORMALISED: tuple[Fault, ...] = (
    (
        f"with 'renormalise' the tail {_STILL}",
        {
            "renormalise": lambda shares, named, tail, rest: (
                -(shares * named).sum(-1) / shares.sum(-1) - tail * rest
            )
        },
    ),
    (
        f"with 'renormalise' the tail {_STILL}",
        {
            "renormalise": lambda shares, named, tail, rest: (
                (-(shares * named).sum(-1) - tail * rest) / shares.sum(-1)
            )
        },
    ),
    (
        "with 'renormalise' the sum is divided by K, the number of named words: by the sum of "
        "their shares",
        {"renormalise": lambda shares, named, *_: -(shares * named).mean(-1)},
    ),
    (
        "with 'renormalise' the student's probabilities are renormalised as well: only the shares "
        "are divided by their sum, ln q is that of the whole vocabulary",
        {
            "renormalise": lambda shares, named, *_: (
                -(shares * named.log_softmax(-1)).sum(-1) / shares.sum(-1)
            )
        },
    ),
    (
        f"the shares' own entropy {_OWN}",
        {
            "lump": lambda shares, named, tail, rest: _less_own(shares, named) - tail * rest,
            "renormalise": lambda shares, named, *_: _less_own(shares, named) / shares.sum(-1),
        },
    ),
    (
        f"the entropy of shares and tail {_OWN}",
        {
            "lump": lambda shares, named, tail, rest: (
                _less_own(shares, named) + torch.xlogy(tail, tail) - tail * rest
            )
        },
    ),
)
