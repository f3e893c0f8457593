"""What the tests of copying share."""

import torch
from torch import Tensor


def loop_mixture(
    logits: Tensor, weights: Tensor, gate: Tensor, source: Tensor, size: int, mask: Tensor
) -> Tensor:
    """The equation, word by word."""
    B, T, known = logits.shape
    every = []
    for b in range(B):
        real = [s for s in range(source.size(1)) if mask[b, s]]
        for t in range(T):
            g = gate[b, t] if real else torch.ones_like(gate[b, t])
            total = sum(torch.exp(x) for x in logits[b, t])
            for w in range(size):
                p = g * torch.exp(logits[b, t, w]) / total if w < known else 0 * g
                p = p + (1 - g) * sum(weights[b, t, s] for s in real if source[b, s] == w)
                every.append(p)
    return torch.stack(every).view(B, T, size)
