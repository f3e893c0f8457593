"""Chapter 01: the right answers."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

UNKNOWN = "<unk>"


def build_vocabulary(tokens: list[str], size: int) -> list[str]:
    """The unknown token, then the most frequent tokens, ties in order of first appearance."""
    return [UNKNOWN] + [token for token, _ in Counter(tokens).most_common(size - 1)]


def encode(tokens: list[str], vocabulary: list[str]) -> list[int]:
    """Each token's place in the vocabulary, 0 for a token that it does not hold."""
    ids = {token: i for i, token in enumerate(vocabulary)}
    return [ids.get(token, 0) for token in tokens]


def merge_pair(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of a pair of neighbours, from the left, without overlap."""
    merged: list[str] = []
    i = 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == tuple(pair):
            merged.append(tokens[i] + tokens[i + 1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def continuous_batches(ids: Tensor, batch_size: int, length: int) -> list[tuple[Tensor, Tensor]]:
    """Rows that go on from batch to batch, with the next token as the target of each."""
    width = (len(ids) - 1) // batch_size
    inputs = ids[: batch_size * width].view(batch_size, width)  # (B, width)
    targets = ids[1 : batch_size * width + 1].view(batch_size, width)
    starts = range(0, width, length)
    return [(inputs[:, s : s + length], targets[:, s : s + length]) for s in starts]


def pad_batch(sequences: list[list[int]], padding_id: int) -> tuple[Tensor, Tensor]:
    """Ragged lists as one tensor (B, T), filled up at the end, and the mask of real tokens."""
    longest = max(len(s) for s in sequences)
    tokens = torch.tensor([s + [padding_id] * (longest - len(s)) for s in sequences])
    lengths = torch.tensor([len(s) for s in sequences])
    return tokens.long().view(len(sequences), longest), torch.arange(longest) < lengths[:, None]
