"""Word embeddings: vectors of words, learned by guessing words from their neighbours.

    skip-gram   the middle word guesses each of its neighbours
    CBOW        the neighbours, weighted and added up, guess the middle word

What is weighted how is a part of its own, `context`: all alike in the plain model, or by an
attention. A part of your own needs `forward(keys, mask)`, which gives the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minidistill.attention import masked_softmax
from minidistill.large_vocabulary import start_from_counts


class EqualWeights(nn.Module):
    """Every real word of the context weighs the same: plain CBOW.

        alpha_i = 1 / n,   n the number of real words

    Shapes: forward(keys (B, C, A) or None, mask (B, C)) -> (B, C); a row without a real word is 0.
    Taught in solutions/07_word_embeddings.ipynb.
    """

    needs_keys = False

    def forward(self, keys: Tensor | None, mask: Tensor) -> Tensor:
        """The weights, (B, C)."""
        weights = mask.to(torch.float32 if keys is None else keys.dtype)
        return weights / weights.sum(1, keepdim=True).clamp(min=1)


class MeanQueryAttention(nn.Module):
    """The words of a context weighted by how well they fit its mean, as the formula has it.

        V = 1/C sum_j W_j,   alpha_i = exp(W_i . V) / sum_j exp(W_j . V)

    Exactly that: no scale, no place, nothing that can be learned besides the keys W, and with
    `use_mask=False` no mask either, so that padding is a word like others and has its share.

    Shapes: forward(keys W (B, C, A), mask (B, C)) -> (B, C), which adds up to 1 over real words.
    Taught in solutions/07_word_embeddings.ipynb, with what it gets wrong.
    """

    def __init__(self, use_mask: bool = True) -> None:
        super().__init__()
        self.use_mask = use_mask

    def forward(self, keys: Tensor, mask: Tensor) -> Tensor:
        """The weights, (B, C)."""
        if not self.use_mask:
            mask = torch.ones_like(mask)
        real = mask[:, :, None]  # (B, C, 1)
        keys = keys.masked_fill(~real, 0.0)  # what stands at padding may be NaN
        query = keys.sum(1) / real.sum(1).clamp(min=1)  # V, (B, A)
        return masked_softmax((keys * query[:, None]).sum(-1), mask)


class PlaceWeights(nn.Module):
    """The words of a context weighted by where they stand alone.

        alpha_i = softmax_i( b_p(i) ),   p(i) = -window .. -1, 1 .. window

    Args:
        window: how many words on either side.

    Shapes: forward(keys or None, mask (B, 2 window)) -> (B, 2 window).
    Taught in solutions/07_word_embeddings.ipynb.
    """

    needs_keys = False

    def __init__(self, window: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2 * window))

    def forward(self, keys: Tensor | None, mask: Tensor) -> Tensor:
        """The weights, (B, C)."""
        if mask.size(1) != len(self.bias):
            raise ValueError(
                f"the mask has shape {tuple(mask.shape)} but there are {len(self.bias)} places"
            )
        return masked_softmax(self.bias.expand(mask.shape), mask)


class PositionAttention(nn.Module):
    """The words of a context weighted by what they are and where they stand.

        alpha_i = softmax_i( k_i . q_p(i) + b_p(i) ),   p(i) = -window .. -1, 1 .. window

    Each place has a query q_p that is learned, and a bias b_p. At the start all are 0 and the
    weights are those of the plain mean; k_i . q_p alone is a table of words by places in A
    numbers a word and place (Ling et al. have it in full, a number for each pair).

    Args:
        key_size: A. window: how many words on either side.

    Shapes: forward(keys (B, 2 window, A), mask (B, 2 window)) -> (B, 2 window), which adds up
    to 1 over real words and is 0 elsewhere.

    Source: Ling et al., Not all contexts are created equal, 2015.
    Taught in solutions/07_word_embeddings.ipynb.
    """

    def __init__(self, key_size: int, window: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(2 * window, key_size))
        self.bias = nn.Parameter(torch.zeros(2 * window))

    def forward(self, keys: Tensor, mask: Tensor) -> Tensor:
        """The weights, (B, C)."""
        if keys.shape[1:] != self.query.shape:
            raise ValueError(
                f"keys have shape {tuple(keys.shape)} but this attention reads "
                f"(B, {len(self.query)}, {self.query.size(1)}): one key for each place"
            )
        keys = keys.masked_fill(~mask[:, :, None], 0.0)  # what stands at padding may be NaN
        return masked_softmax((keys * self.query).sum(-1) + self.bias, mask)


class _Tables(nn.Module):
    """What both models have: a vector, and a row of the read-out, for each word."""

    def __init__(
        self, vocab_size: int, size: int, tied: bool, counts: Sequence[float] | None
    ) -> None:
        super().__init__()
        self.vocab_size, self.size, self.tied = vocab_size, size, tied
        self.embedding = _table(vocab_size, size)
        self.readout = nn.Linear(size, vocab_size)
        nn.init.zeros_(self.readout.bias)
        if tied:
            self.readout.weight = self.embedding.weight
        else:  # the first guesses are those of the bias alone
            nn.init.zeros_(self.readout.weight)
        if counts is not None:
            start_from_counts(self, counts)

    def logits(self, x: Tensor) -> Tensor:
        """Scores of all words for vectors x (N, H): (N, V). P(w | x) = softmax of them."""
        return self.readout(x)


def _table(vocab_size: int, size: int) -> nn.Embedding:
    """Vectors of length 1/2 or so, in random directions."""
    table = nn.Embedding(vocab_size, size)
    nn.init.normal_(table.weight, std=0.5 / size**0.5)
    return table


def _look_up(table: nn.Embedding, words: Tensor) -> Tensor:
    try:
        return table(words)
    except IndexError:
        raise ValueError(
            f"ids reach {int(words.max())} (lowest {int(words.min())}) but this model knows "
            f"{table.num_embeddings} words: encode the text with the model's own vocabulary"
        ) from None


class CBOW(_Tables):
    """The middle word guessed from the weighted sum of its neighbours' vectors.

        x = sum_i alpha_i e_i,   P(w | x) = softmax(o_w . x + c_w)

    Args:
        vocab_size, size: V and H.
        context: gives alpha from the keys, `EqualWeights` if None.
        key_size: A, of a table of keys W of their own; None: the vectors e are the keys.
        tied: the read-out is the table of vectors, o = e.
        counts: (V,), of the words in the text; the bias c starts from ln of their shares.

    Shapes:
        forward(context (B, C) ids, mask (B, C) or None) -> x (B, H), alpha (B, C)
        forward(places (B, C), mask, words (L,)): the context is words[places]; a word of a
        stretch of text is then looked up once however many windows it is in.

    Raises:
        ValueError: ids outside the vocabulary, shapes that do not fit.

    Source: Mikolov et al., Efficient estimation of word representations in vector space, 2013.
    Taught in solutions/07_word_embeddings.ipynb.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        context: nn.Module | None = None,
        *,
        key_size: int | None = None,
        tied: bool = False,
        counts: Sequence[float] | None = None,
    ) -> None:
        super().__init__(vocab_size, size, tied, counts)
        self.context = EqualWeights() if context is None else context
        self.keys = None if key_size is None else _table(vocab_size, key_size)

    def forward(
        self, context: Tensor, mask: Tensor | None = None, words: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The context's vector and what each word weighed in it; see the class for shapes."""
        if mask is None:
            mask = torch.ones_like(context, dtype=torch.bool)
        if context.dim() != 2 or mask.shape != context.shape or mask.dtype != torch.bool:
            raise ValueError(
                f"the context has shape {tuple(context.shape)} and the mask {tuple(mask.shape)} "
                f"of {mask.dtype}: both are (B, C), the mask True or False"
            )
        if words is None:
            words = context.flatten()
            context = torch.arange(len(words), device=words.device).view_as(context)
        rows = _look_up(self.embedding, words)  # (L, H)
        keys = None
        if getattr(self.context, "needs_keys", True):
            table = rows if self.keys is None else _look_up(self.keys, words)
            keys = F.embedding(context, table)  # (B, C, A)
        weights = self.context(keys, mask)  # (B, C)
        if weights.shape != mask.shape:
            raise ValueError(
                f"the weights have shape {tuple(weights.shape)} but the context has "
                f"{tuple(mask.shape)}: one weight for each word"
            )
        # sum_i alpha_i e_i, without a copy of the (B, C, H) vectors.
        x = F.embedding_bag(context, rows, per_sample_weights=weights.to(rows.dtype), mode="sum")
        return x, weights


class SkipGram(_Tables):
    """Each neighbour guessed from the middle word alone.

        x = e_middle,   P(w | x) = softmax(o_w . x + c_w) for every neighbour w

    Args: as for `CBOW`.
    Shapes: forward(words (B,) ids) -> x (B, H)

    Source: Mikolov et al., Efficient estimation of word representations in vector space, 2013.
    Taught in solutions/07_word_embeddings.ipynb.
    """

    reads_middle = True

    def __init__(
        self,
        vocab_size: int,
        size: int,
        *,
        tied: bool = False,
        counts: Sequence[float] | None = None,
    ) -> None:
        super().__init__(vocab_size, size, tied, counts)

    def forward(self, words: Tensor) -> Tensor:
        """The vectors of the words, (B, H)."""
        return _look_up(self.embedding, words)


__all__ = [
    "CBOW",
    "EqualWeights",
    "MeanQueryAttention",
    "PlaceWeights",
    "PositionAttention",
    "SkipGram",
]
