"""The encoder: it reads the source text and leaves a memory of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Memory(NamedTuple):
    """What an encoder leaves of its source; every tensor has the batch first.

    summary: the whole source in one vector, (B, C). keys: what the decoder's attention compares
    with, prepared once, (B, S, A). values: what it takes averages of, (B, S, V). mask: True
    where a source token is real, (B, S).
    """

    summary: Tensor
    keys: Tensor
    values: Tensor
    mask: Tensor


class Encoder(nn.Module):
    """Embedding and a recurrent layer, in both directions if wanted, over the source.

    states h_s = [forwards; backwards] after reading token s from either side,
    summary = [forwards after the last real token; backwards after the first]

    Args:
        vocab_size, embedding_size: V and E of the source.
        recurrent: reads (B, S, E), state, mask; `RNN`, `GRU`, `LSTM` or your own.
        dropout: share of the embedding's entries dropped while training.
        context: changes the tokens' vectors by those around them, `context(vectors (B, S, E),
            mask (B, S))`, such as a `NeighbourAttention`; None leaves them.

    Shapes:
        forward(tokens (B, S), mask (B, S) bool or None)
        returns states (B, S, D*H), zero at padding, the tokens' vectors (B, S, E), zero at
        padding, and the summary (B, D*H). A source without a real token has a summary of zeros.

    Raises:
        ValueError: ids outside the vocabulary; a batch without any token.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014; both
    directions: Bahdanau, Cho and Bengio, 2015.
    Taught in solutions/05_seq2seq.ipynb.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        recurrent: nn.Module,
        dropout: float = 0.0,
        context: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_sizes(recurrent, embedding_size, "the encoder's layer")
        self.vocab_size, self.embedding_size = vocab_size, embedding_size
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.context, self.recurrent = context, recurrent
        self.dropout = nn.Dropout(dropout)
        self.bidirectional = bool(getattr(recurrent, "bidirectional", False))
        self.output_size = recurrent.hidden_size * (1 + self.bidirectional)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """States, token vectors and summary of a source; see the class for shapes."""
        if mask is None:
            mask = torch.ones_like(tokens, dtype=torch.bool)
        vectors = look_up(self.embedding, tokens, "source")  # (B, S, E)
        if mask.shape != tokens.shape or mask.dtype != torch.bool:
            raise ValueError(
                f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but the source is "
                f"{tuple(tokens.shape)}: one True or False per token"
            )
        vectors = vectors.masked_fill(~mask[:, :, None], 0.0)
        if self.context is not None:
            vectors = self.context(vectors, mask)
        states, _ = self.recurrent(self.dropout(vectors), None, mask)  # (B, S, D*H)
        states = states.masked_fill(~mask[:, :, None], 0.0)
        return states, vectors, summarise(states, mask, self.bidirectional)


def summarise(states: Tensor, mask: Tensor, bidirectional: bool) -> Tensor:
    """What each direction knows when it has read all of a source, (B, S, D*H) -> (B, D*H).

    The layer that reads forwards has read everything at the last real token, the one that reads
    backwards at the first. Where nothing is real the summary is zeros.

    Args:
        states: (B, S, D*H), the first half of the last dimension forwards, the second backwards.
        mask: (B, S), True where a token is real; padding may stand anywhere.

    Taught in solutions/05_seq2seq.ipynb.
    """
    rows = torch.arange(len(states), device=states.device)
    places = torch.arange(mask.size(1), device=states.device)
    last = (places * mask).amax(1)  # (B,)
    first = mask.long().argmax(1)  # (B,), the first True
    if bidirectional:
        forwards, backwards = states.chunk(2, dim=-1)
        summary = torch.cat([forwards[rows, last], backwards[rows, first]], dim=-1)
    else:
        summary = states[rows, last]
    return summary.masked_fill(~mask.any(1)[:, None], 0.0)


def check_sizes(layer: nn.Module, wanted: int, name: str, one_way: bool = False) -> None:
    """ValueError where a layer does not read vectors of the size that it will be given."""
    if layer.input_size != wanted:
        raise ValueError(
            f"{name} reads vectors of size {layer.input_size} but will be given {wanted}: make "
            "the two equal"
        )
    if one_way and getattr(layer, "bidirectional", False):
        raise ValueError(
            f"{name} must not be bidirectional: it would see the tokens it should predict"
        )


def look_up(embedding: nn.Embedding, tokens: Tensor, what: str) -> Tensor:
    """The vectors of ids (B, T), (B, T, E), or ValueError with the id that there is none for."""
    if tokens.dim() != 2 or tokens.size(1) == 0:
        raise ValueError(
            f"{what} tokens have shape {tuple(tokens.shape)}, expected (batch, time) with at "
            "least one step"
        )
    try:
        return embedding(tokens)
    except IndexError:
        raise ValueError(
            f"{what} ids reach {int(tokens.max())} (lowest {int(tokens.min())}) but this model "
            f"knows {embedding.num_embeddings} tokens: encode the text with the model's own "
            "vocabulary"
        ) from None


__all__ = ["Encoder", "Memory", "check_sizes", "look_up", "summarise"]
