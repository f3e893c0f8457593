"""Tokens' vectors that know their neighbours: the attention of chapter 07 as an input layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minidistill.embeddings import PositionAttention


class NeighbourAttention(nn.Module):
    """Adds to each token's vector what its neighbours say, weighted by a `PositionAttention`.

        e'_t = e_t + g * sum_i alpha_ti e_i,   i within `window` of t, without t itself

    g (E,) is learned and 0 at the start, where e' = e: a model begins as it would without this.

    Args:
        size: E. window: how many tokens on either side.
        attention: gives alpha from keys (N, 2 window, E) and mask; None: `PositionAttention`.

    Shapes:
        forward(vectors (B, T, E), mask (B, T) or None) -> (B, T, E), zero at padding
        weights(vectors, mask) -> alpha (B, T, 2 window), from the left to the right

    A token without a real neighbour keeps its vector. It looks to both sides, so it is for
    texts that are known as a whole: a source, never the text that is being written.

    Taught in solutions/07_word_embeddings.ipynb.
    """

    def __init__(self, size: int, window: int = 5, attention: nn.Module | None = None) -> None:
        super().__init__()
        if size < 1 or window < 1:
            raise ValueError(f"size ({size}) and window ({window}) must be at least 1")
        self.size, self.window = size, window
        self.attention = PositionAttention(size, window) if attention is None else attention
        self.gate = nn.Parameter(torch.zeros(size))

    def forward(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """The vectors with their neighbours'; see the class."""
        mask = self._checked(vectors, mask)
        vectors = vectors.masked_fill(~mask[:, :, None], 0.0)
        neighbours, weights = self._look(vectors, mask)
        said = torch.einsum("btc,btce->bte", weights, neighbours)
        return (vectors + self.gate * said).masked_fill(~mask[:, :, None], 0.0)

    def weights(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """How much each token listens to each of its neighbours, (B, T, 2 window)."""
        mask = self._checked(vectors, mask)
        return self._look(vectors.masked_fill(~mask[:, :, None], 0.0), mask)[1]

    def _look(self, vectors: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The neighbours (B, T, C, E) of all tokens, and their weights (B, T, C)."""
        w = self.window
        others = [i for i in range(2 * w + 1) if i != w]
        around = F.pad(vectors, (0, 0, w, w)).unfold(1, 2 * w + 1, 1)  # (B, T, E, 2w + 1)
        neighbours = around.transpose(2, 3)[:, :, others]  # (B, T, C, E)
        real = F.pad(mask, (w, w)).unfold(1, 2 * w + 1, 1)[:, :, others]
        flat = self.attention(neighbours.flatten(0, 1), real.flatten(0, 1))
        return neighbours, flat.view(real.shape)

    def _checked(self, vectors: Tensor, mask: Tensor | None) -> Tensor:
        if vectors.dim() != 3 or vectors.size(2) != self.size:
            raise ValueError(
                f"vectors have shape {tuple(vectors.shape)}, expected (batch, time, {self.size})"
            )
        if mask is None:
            return torch.ones_like(vectors[:, :, 0], dtype=torch.bool)
        if mask.shape != vectors.shape[:2] or mask.dtype != torch.bool:
            raise ValueError(
                f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but there are "
                f"{tuple(vectors.shape[:2])} tokens: one True or False per token"
            )
        return mask


__all__ = ["NeighbourAttention"]
