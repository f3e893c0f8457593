"""Copying words from the source, so that a word which no vocabulary holds can still be written.

    extended = ExtendedVocabulary(vocabulary)
    source = extended.encode_source("the guest was Orlan .")     # Orlan: the first id after all
    memory = model.encode(torch.tensor([source.extended]))
    scores, state = model(tokens, state, memory=memory)          # ln p, (B, T, V + places)

The ids travel as any others do, so `PairBatches`, `pair_loss`, `fit`, `transduce` and
`beam_search` need not know that anything is copied. Taught in
solutions/10_vocabulary_distillation.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minidistill.attention import AdditiveAttention
from minidistill.encoder import look_up
from minidistill.extended_vocabulary import PLACES, ExtendedSource, ExtendedVocabulary, check_places
from minidistill.language_model import State
from minidistill.seq2seq import Memory, Seq2Seq


def copy_mixture(
    logits: Tensor,
    weights: Tensor,
    gate: Tensor,
    source: Tensor,
    extended_size: int,
    mask: Tensor | None = None,
) -> Tensor:
    """ln p of every word, known or standing in the source: written with share g, else copied.

        p(w) = g softmax(logits)_w + (1 - g) sum over s with source_s = w of weights_s

    where the first part is 0 for w >= V. A word that stands twice in the source is copied with
    the sum of both weights. Where nothing of a source is real there is nothing to copy, so g = 1.

    Args:
        logits: of the vocabulary, (B, T, V).
        weights: where each target position looks, (B, T, S), as an attention gives them: they add
            up to 1 over the real tokens.
        gate: g, between 0 and 1, (B, T).
        source: extended ids of the source, (B, S), below `extended_size`.
        extended_size: V and the places after it.
        mask: True where a source token is real, (B, S); None: all are.

    Returns:
        (B, T, extended_size), float32 or, where the logits are, float64. exp of a row adds up to
        1, so cross-entropy and search, which normalise once more, change nothing. A word with
        p = 0 has not -inf but ln of the smallest normal number, -87 in float32: the gradient of
        ln at 0 is infinite, and infinity times 0 a NaN for the whole model. Below that smallest
        number no gradient flows.

    Raises:
        ValueError: shapes that do not fit, ids outside the extended vocabulary.

    Source: See, Liu and Manning, 2017, equation 9.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    _check_shapes(logits, weights, gate, source, extended_size, mask)
    exact = torch.promote_types(logits.dtype, torch.float32)  # half precision is too coarse to add
    g, weights = gate.to(exact)[:, :, None], weights.to(exact)
    if mask is not None:
        real = mask.any(1)[:, None, None]
        g = torch.where(real, g, 1.0)
        weights = weights.masked_fill(~mask[:, None], 0.0)
        source = source.masked_fill(~mask, 0)  # whatever stands at padding, it is given 0
    written = g * logits.to(exact).softmax(-1)  # (B, T, V)
    p = nn.functional.pad(written, (0, extended_size - logits.size(-1)))
    places = source[:, None].expand_as(weights)  # (B, T, S)
    try:
        p = p.scatter_add(2, places, (1 - g) * weights)
    except RuntimeError:
        if int(source.min()) >= 0 and int(source.max()) < extended_size:
            raise
        raise ValueError(
            f"source ids reach {int(source.max())} (lowest {int(source.min())}) but with all "
            f"places there are {extended_size}: encode the source with as many places as the model"
        ) from None
    return p.clamp(min=torch.finfo(exact).tiny).log()


class PointerMemory(NamedTuple):
    """`Memory`, and the extended ids of the source, (B, S), to be copied."""

    summary: Tensor
    keys: Tensor
    values: Tensor
    mask: Tensor
    source: Tensor


class PointerSeq2Seq(Seq2Seq):
    """A `Seq2Seq` that can copy: at each step a gate says whether to write or to copy.

        g_t = sigmoid(w_c . c_t + w_s . s_t + w_y . y_t + b)
        p(y_{t+1}) = g_t softmax(W_o P [s_t; c_t] + b_o) + (1 - g_t) attention's weights

    c_t is what attention found, s_t the writer's output, y_t the vector of the token just read.
    Source and target have one vocabulary, or a copied id would be another word. The embedding has
    no vector for a temporary id: it is read as `<unk>`, in the source and when it is fed back.

    Args:
        vocab_size: V, the known words.
        embedding_size, hidden_size, layer, attention, options: as for `Seq2Seq`.
        places: how many temporary ids there are; see `ExtendedVocabulary`.
        unknown_id: of `<unk>`.
        shared: source and target also have one table of vectors.

    Attributes:
        vocab_size: V + places, as wide as what it returns; known: V.

    Shapes:
        encode(source (B, S) extended ids, mask (B, S) or None) -> PointerMemory
        forward(tokens (B, T) extended ids, state, mask, memory=PointerMemory)
        returns ln p (B, T, V + places), see `copy_mixture`, and the state.

    Raises:
        ValueError: as `Seq2Seq`; no attention, no places, an unknown_id outside the vocabulary.

    Source: See, Liu and Manning, 2017. Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        layer: Callable[..., nn.Module],
        attention: Callable[..., nn.Module] = AdditiveAttention,
        *,
        places: int = PLACES,
        unknown_id: int = 0,
        shared: bool = True,
        **options: Any,
    ) -> None:
        if attention is None:
            raise ValueError("copying needs an attention: its weights say which word is copied")
        check_places(places)
        if not 0 <= unknown_id < vocab_size:
            raise ValueError(f"unknown_id is {unknown_id}, but ids go from 0 to {vocab_size - 1}")
        sizes = vocab_size, vocab_size, embedding_size, hidden_size
        super().__init__(*sizes, layer, attention, shared=shared, **options)
        self.known, self.vocab_size, self.unknown_id = vocab_size, vocab_size + places, unknown_id
        self.gate = nn.Linear(self.decoder.project.in_features + embedding_size, 1)  # C + H + E

    def encode(self, source: Tensor, mask: Tensor | None = None) -> PointerMemory:
        """Read a batch of sources and keep their extended ids."""
        return PointerMemory(*super().encode(self._as_read(source), mask), source)

    def forward(
        self,
        tokens: Tensor,
        state: State = None,
        mask: Tensor | None = None,
        memory: Memory | PointerMemory | None = None,
    ) -> tuple[Tensor, State]:
        """ln p (B, T, V + places) of the token after each position, and the state."""
        memory = self._checked(tokens, memory)
        logits, gate, weights, state = self._steps(tokens, state, mask, memory)
        return copy_mixture(
            logits, weights, gate, memory.source, self.vocab_size, memory.mask
        ), state

    @torch.no_grad()
    def look(self, tokens: Tensor, memory: Memory, mask: Tensor | None = None) -> Tensor:
        """Where every target position looked in the source, (B, T, S); see `Seq2Seq.look`."""
        return super().look(self._as_read(tokens), memory, mask)

    @torch.no_grad()
    def copied(self, tokens: Tensor, memory: Memory, mask: Tensor | None = None) -> Tensor:
        """How much of every position's p is copied, 1 - g_t, (B, T).

        Row t belongs to the token that is written *after* tokens[:, t].
        Taught in solutions/10_vocabulary_distillation.ipynb.
        """
        return 1 - self._steps(tokens, None, mask, self._checked(tokens, memory))[1]

    def _steps(
        self, tokens: Tensor, state: State, mask: Tensor | None, memory: PointerMemory
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """The decoder's steps: logits (B, T, V), gate (B, T), weights (B, T, S), state."""
        d = self.decoder
        y = d.dropout(look_up(d.embedding, self._as_read(tokens), "target"))  # (B, T, E)
        steps = d._one_by_one if d.reader is None else d._all_at_once
        said, contexts, weights, state = steps(y, state, mask, memory)
        found = torch.cat([said, contexts], dim=-1)  # (B, T, H + C)
        logits = d.readout(d.dropout(d.project(found)))
        z = self.gate(torch.cat([found, y], dim=-1))[:, :, 0]
        # In bfloat16 a sigmoid is exactly 1 from z = 6.3 on, and nothing could be copied there.
        gate = z.to(torch.promote_types(z.dtype, torch.float32)).sigmoid()
        return logits, gate, weights, state

    def _as_read(self, ids: Tensor) -> Tensor:
        """Temporary ids become `<unk>`; ids that are none at all stay, and are refused later."""
        temporary = (ids >= self.known) & (ids < self.vocab_size)
        return ids.masked_fill(temporary, self.unknown_id)

    def _checked(self, tokens: Tensor, memory: Any) -> PointerMemory:
        if memory is not None and len(memory) != len(PointerMemory._fields):
            raise ValueError(
                "this memory does not hold the source's ids, so nothing can be copied: make it "
                "with this model's own encode(source, mask)"
            )
        checked = super()._checked(tokens, None if memory is None else memory[:-1])
        return PointerMemory(*checked, memory[-1])

    def extra_repr(self) -> str:
        """What `print(model)` shows."""
        return f"{self.known} words and {self.vocab_size - self.known} places"


def _check_shapes(
    logits: Tensor,
    weights: Tensor,
    gate: Tensor,
    source: Tensor,
    extended_size: int,
    mask: Tensor | None,
) -> None:
    fits = logits.dim() == weights.dim() == 3
    if not fits or gate.shape != logits.shape[:2] or weights.shape[:2] != logits.shape[:2]:
        raise ValueError(
            f"logits {tuple(logits.shape)}, weights {tuple(weights.shape)} and gate "
            f"{tuple(gate.shape)}: give (B, T, V), (B, T, S) and (B, T)"
        )
    if source.shape != (len(weights), weights.size(2)):
        raise ValueError(
            f"the source has shape {tuple(source.shape)} but the weights {tuple(weights.shape)}: "
            "one id for each weight of a row, (B, S)"
        )
    if extended_size < logits.size(-1):
        raise ValueError(
            f"extended_size is {extended_size}, less than the {logits.size(-1)} known words: it "
            "counts these and the places after them"
        )
    if mask is not None and (mask.shape != source.shape or mask.dtype != torch.bool):
        raise ValueError(
            f"mask has shape {tuple(mask.shape)} and type {mask.dtype} but the source is "
            f"{tuple(source.shape)}: one True or False per token"
        )


__all__ = [
    "ExtendedSource",
    "ExtendedVocabulary",
    "PointerMemory",
    "PointerSeq2Seq",
    "copy_mixture",
]
