"""Attention: looking back at all of a source text, and taking from it what is wanted now.

Four ways to score how well a key fits a query, one interface. A key is scored against a query,
the scores of one query become weights that add up to 1, and the values are averaged with them:

    e_ts = score(q_t, k_s)     a_ts = softmax over s of e_ts     c_t = sum over s of a_ts v_s
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

AT_ONCE = {"cpu": 2_000_000, "other": 100_000_000}
"""How many numbers tanh(q_t + k_s) an additive attention works on at a time, by device."""


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weights that add up to 1 over the real entries of each row, and are exactly 0 elsewhere.

    a_s = exp(e_s - max e) / sum over real s' of exp(e_s' - max e)

    A row in which nothing is real gets zeros, and gives zeros as gradients: no NaN in either
    direction, whatever the scores at padding are.

    Args:
        scores: (..., S).
        mask: bool, True where a token is real; any shape that broadcasts to that of the scores.

    Raises:
        ValueError: a mask that is no bool or does not fit the scores.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    if mask is None:
        return scores.softmax(-1)
    _check_mask(scores, mask)
    # Finite, and far from overflow in any precision, so that a row of nothing else has no NaN.
    lowest = torch.finfo(scores.dtype).min
    weights = scores.masked_fill(~mask, lowest).softmax(-1)
    return weights.masked_fill(~mask, 0.0)  # rounding left nothing there, unless all is padding


def additive_score(queries: Tensor, keys: Tensor, v: Tensor) -> Tensor:
    """Bahdanau's score of every key for every query: (B, T, A), (B, S, A), (A,) -> (B, T, S).

    e_ts = v . tanh(q_t + k_s)

    Queries and keys are projected already, q_t = W s_t and k_s = U h_s: a key is the same for
    every query, so projecting it once a source is enough.

    Source: Bahdanau, Cho and Bengio, Neural machine translation by jointly learning to align
    and translate, 2015.
    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    pairs = queries[:, :, None] + keys[:, None]  # (B, T, S, A): every query with every key
    return torch.tanh(pairs) @ v


def dot_score(queries: Tensor, keys: Tensor, scale: float = 1.0) -> Tensor:
    """The dot product of every query with every key: (B, T, D), (B, S, D) -> (B, T, S).

    e_ts = scale q_t . k_s

    Source: Luong, Pham and Manning, Effective approaches to attention-based neural machine
    translation, 2015; scale = 1 / sqrt(D): Vaswani et al., Attention is all you need, 2017.
    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    return (queries * scale) @ keys.transpose(1, 2)


class Attention(nn.Module):
    """What all attentions share: checks, the masked softmax, the weighted average.

    A kind of its own says what is done with the keys once a source (`prepare`) and how a key is
    scored (`score`). A class of your own may have nothing in common with this one but the two
    calls: `prepare(keys)`, and `attention(queries, prepared, values, mask) -> context, weights`.

    Args:
        query_size, key_size: sizes of the vectors that are compared, Q and K.

    Shapes:
        prepare(keys (B, S, K)) -> prepared keys (B, S, A), to be used for any number of queries
        forward(queries (B, T, Q), prepared keys (B, S, A), values (B, S, V), mask (B, S) or None)
        returns context (B, T, V) and weights (B, T, S); the weights are 0 at padding, and where
        a source is nothing but padding both are 0.

    Raises:
        ValueError: shapes that do not fit, with both named.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        for name, size in [("query", query_size), ("key", key_size)]:
            if size < 1:
                raise ValueError(f"the {name} size must be at least 1, got {size}")
        self.query_size, self.key_size = query_size, key_size

    def prepare(self, keys: Tensor) -> Tensor:
        """What can be done with the keys before any query is known, (B, S, K) -> (B, S, A)."""
        self._check_keys(keys)
        return keys

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """How well every prepared key fits every query, (B, T, S)."""
        raise NotImplementedError

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Context and weights for every query; see the class for shapes."""
        if queries.dim() != 3 or queries.size(2) != self.query_size:
            raise ValueError(
                f"queries have shape {tuple(queries.shape)} but this attention takes (batch, "
                f"target, {self.query_size})"
            )
        if keys.shape[:2] != values.shape[:2] or len(keys) != len(queries):
            raise ValueError(
                f"queries {tuple(queries.shape)}, keys {tuple(keys.shape)} and values "
                f"{tuple(values.shape)}: one batch, and one key and one value per source token"
            )
        if mask is not None and (mask.shape != keys.shape[:2] or mask.dtype != torch.bool):
            raise ValueError(
                f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but the keys are "
                f"{tuple(keys.shape)}: one True or False per source token"
            )
        if mask is not None:  # 0 times infinity would be a NaN, and so would its gradient
            padding = ~mask[:, :, None]
            keys, values = keys.masked_fill(padding, 0.0), values.masked_fill(padding, 0.0)
        scores = self.score(queries, keys)  # (B, T, S)
        weights = masked_softmax(scores, None if mask is None else mask[:, None])
        return weights @ values, weights

    def _check_keys(self, keys: Tensor) -> None:
        if keys.dim() != 3 or keys.size(2) != self.key_size:
            raise ValueError(
                f"keys have shape {tuple(keys.shape)} but this attention takes (batch, source, "
                f"{self.key_size})"
            )

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"{self.query_size}, {self.key_size}"


class AdditiveAttention(Attention):
    """Additive attention (加性注意力), Bahdanau's: e_ts = v . tanh(W q_t + U k_s).

    Args:
        query_size, key_size: Q and K, which need not be equal.
        hidden_size: A, the size in which the two meet; None for the query's.

    Source: Bahdanau, Cho and Bengio, 2015. Taught in solutions/06_bahdanau_attention.ipynb.
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int | None = None) -> None:
        super().__init__(query_size, key_size)
        self.hidden_size = query_size if hidden_size is None else hidden_size
        self.W = nn.Linear(query_size, self.hidden_size, bias=False)
        self.U = nn.Linear(key_size, self.hidden_size, bias=False)
        bound = 1 / math.sqrt(self.hidden_size)
        self.v = nn.Parameter(torch.empty(self.hidden_size).uniform_(-bound, bound))

    def prepare(self, keys: Tensor) -> Tensor:
        """U k_s, once a source and not once a step."""
        self._check_keys(keys)
        return self.U(keys)  # (B, S, A)

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """v . tanh(W q_t + U k_s) for every pair, (B, T, S)."""
        # (B, T, S, A) numbers are many. A CPU that is given some targets at a time takes the
        # same memory again for the next, in place of new memory from the system: half the time.
        at_once = AT_ONCE.get(queries.device.type, AT_ONCE["other"])
        rows = max(1, at_once // max(1, keys.numel()))
        parts = self.W(queries).split(rows, dim=1)
        return torch.cat([additive_score(part, keys, self.v) for part in parts], dim=1)


class DotAttention(Attention):
    """Dot-product attention: e_ts = q_t . k_s. No weights of its own; needs Q = K.

    Source: Luong, Pham and Manning, 2015. Taught in solutions/06_bahdanau_attention.ipynb.
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__(query_size, key_size)
        if query_size != key_size:
            raise ValueError(
                f"a dot product needs queries and keys of one size, got {query_size} and "
                f"{key_size}: use GeneralAttention, which has a matrix between the two"
            )
        self.scale = 1.0

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """q_t . k_s for every pair, (B, T, S)."""
        return dot_score(queries, keys, self.scale)


class ScaledDotAttention(DotAttention):
    """Scaled dot-product attention (缩放点积注意力): e_ts = q_t . k_s / sqrt(D).

    The sum of D products of independent numbers of variance 1 has variance D: without the
    scale, large vectors make a softmax that sees one key only and passes no gradient.

    Source: Vaswani et al., 2017. Taught in solutions/06_bahdanau_attention.ipynb.
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__(query_size, key_size)
        self.scale = 1 / math.sqrt(key_size)


class GeneralAttention(Attention):
    """Luong's general attention: e_ts = q_t . W k_s.

    Source: Luong, Pham and Manning, 2015. Taught in solutions/06_bahdanau_attention.ipynb.
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__(query_size, key_size)
        self.W = nn.Linear(key_size, query_size, bias=False)

    def prepare(self, keys: Tensor) -> Tensor:
        """W k_s, once a source."""
        self._check_keys(keys)
        return self.W(keys)  # (B, S, Q)

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """q_t . W k_s for every pair, (B, T, S)."""
        return dot_score(queries, keys)


ATTENTIONS = {
    "additive": AdditiveAttention,
    "dot": DotAttention,
    "scaled dot": ScaledDotAttention,
    "general": GeneralAttention,
}


def _check_mask(scores: Tensor, mask: Tensor) -> None:
    fits = mask.dim() <= scores.dim() and all(
        m in (1, s) for m, s in zip(reversed(mask.shape), reversed(scores.shape), strict=False)
    )
    if mask.dtype != torch.bool or not fits:
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but scores have "
            f"{tuple(scores.shape)}: one True or False per source token"
        )


__all__ = [
    "ATTENTIONS",
    "AdditiveAttention",
    "Attention",
    "DotAttention",
    "GeneralAttention",
    "ScaledDotAttention",
    "additive_score",
    "dot_score",
    "masked_softmax",
]
