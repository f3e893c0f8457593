"""Sequence to sequence: one text is read, another is written.

The encoder reads the source and leaves a memory; the decoder writes the target, token by token,
with that memory beside it. The model keeps the protocol of `minidistill.language_model`:

    memory = model.encode(source, source_mask)
    logits, state = model(tokens, state, memory=memory)

so generation, search and training treat it like any other writer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minidistill.encoder import Encoder, Memory, check_sizes, look_up
from minidistill.language_model import State


class Decoder(nn.Module):
    """Writes the target: it reads what is written so far, looks at the source, says what comes.

        r_t = reader(y_1 .. y_t)                     what is written so far
        c_t = attention(r_t, keys, values)           or, without attention, always the summary
        s_t = writer([r_t; c_t], s_{t-1})            what to say next
        p(y_{t+1} | y_1 .. y_t, x) = softmax(W_o P [s_t; c_t] + b)

    All steps of the reader are known before the first look, so in training every target token
    looks back at once. Without a reader the order is that of the paper (2015): the query is the
    writer's last state, s_{t-1}, its input [E y_t; c_t], and one token must wait for another.

    Args:
        vocab_size, embedding_size: V and E of the target.
        writer: reads (B, T, Q + C); Q is H where there is a reader, else E.
        reader: reads (B, T, E); None: see above.
        attention: `prepare(keys)` and `attention(queries, keys, values, mask)`, as in
            `minidistill.attention`; None: the summary stands beside every step.
        context_size: C, the size of a value, or of the summary.
        dropout: of embedding and read-out, while training.
        tied: the read-out uses the embedding's table (Press and Wolf, 2017).

    Shapes:
        forward(tokens (B, T), state or None, mask (B, T) or None, memory)
        returns logits (B, T, V), the state, and the weights (B, T, S) or None.

    Source: Bahdanau, Cho and Bengio, 2015; a reader below and a writer above: Wu et al.,
    Google's neural machine translation system, 2016.
    Taught in solutions/05_seq2seq.ipynb and solutions/06_bahdanau_attention.ipynb.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        writer: nn.Module,
        context_size: int,
        reader: nn.Module | None = None,
        attention: nn.Module | None = None,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        super().__init__()
        query_size = embedding_size
        if reader is not None:
            check_sizes(reader, embedding_size, "the decoder's reader", one_way=True)
            query_size = reader.hidden_size
        check_sizes(writer, query_size + context_size, "the decoder's writer", one_way=True)
        self.vocab_size, self.embedding_size, self.tied = vocab_size, embedding_size, tied
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.reader, self.writer, self.attention = reader, writer, attention
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(writer.hidden_size + context_size, embedding_size)
        self.readout = nn.Linear(embedding_size, vocab_size)
        if tied:
            # A table drawn from N(0, 1) would give logits of size sqrt(E) at the start.
            nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)
            self.readout.weight = self.embedding.weight

    def forward(
        self, tokens: Tensor, state: State, mask: Tensor | None, memory: Memory
    ) -> tuple[Tensor, State, Tensor | None]:
        """Logits for the token after each position, the state, and where it looked."""
        y = self.dropout(look_up(self.embedding, tokens, "target"))  # (B, T, E)
        if self.attention is not None and self.reader is None:
            said, contexts, weights, state = self._one_by_one(y, state, mask, memory)
        else:
            said, contexts, weights, state = self._all_at_once(y, state, mask, memory)
        out = self.project(torch.cat([said, contexts], dim=-1))  # (B, T, E)
        return self.readout(self.dropout(out)), state, weights

    def _all_at_once(
        self, y: Tensor, state: State, mask: Tensor | None, memory: Memory
    ) -> tuple[Tensor, Tensor, Tensor | None, State]:
        """Every target position reads, then looks, then writes, in three calls."""
        read, written = (None, None) if state is None else state
        if self.reader is not None:
            y, read = self.reader(y, read, mask)  # (B, T, H)
        if self.attention is None:
            contexts, weights = memory.summary[:, None].expand(-1, y.size(1), -1), None
        else:
            contexts, weights = self.attention(y, memory.keys, memory.values, memory.mask)
        said, written = self.writer(torch.cat([y, contexts], dim=-1), written, mask)
        return said, contexts, weights, (read, written)

    def _one_by_one(
        self, y: Tensor, state: State, mask: Tensor | None, memory: Memory
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """The paper's order: look with the writer's last state, write, look with the new one."""
        last, written = (None, None) if state is None else state
        if last is None:
            last = y.new_zeros(1, len(y), self.writer.hidden_size)
        steps = []
        for t in range(y.size(1)):
            query = last.transpose(0, 1)  # (B, 1, H)
            context, weights = self.attention(query, memory.keys, memory.values, memory.mask)
            now = None if mask is None else mask[:, t : t + 1]
            said, written = self.writer(torch.cat([y[:, t : t + 1], context], -1), written, now)
            new = said.transpose(0, 1)  # (1, B, H): dimension 1 is the batch, as in every state
            last = new if now is None else torch.where(now.T[:, :, None], new, last)
            steps.append((said, context, weights))
        said, contexts, weights = (torch.cat(parts, dim=1) for parts in zip(*steps, strict=True))
        return said, contexts, weights, (last, written)


class Seq2Seq(nn.Module):
    """An encoder and a decoder, made of the layer and the attention that you give.

    Args:
        source_size, target_size: how many tokens either vocabulary has.
        embedding_size, hidden_size: E and H.
        layer: makes a recurrent layer, `layer(input_size, hidden_size)`, for the encoder with
            `bidirectional=True`: `RNN`, `GRU`, `LSTM`, or a class of your own.
        attention: makes an attention, `attention(query_size, key_size)`; None: the summary of
            the source stands beside every step, and nothing else is known of it.
        values: what is averaged: the encoder's "states", or the tokens' "embeddings", which
            know nothing of their neighbours.
        bidirectional: whether the encoder also reads from the end.
        reader: whether the decoder has a layer that reads what is written, see `Decoder`.
        dropout, tied: see `Decoder`.
        shared: source and target have one vocabulary and one table of vectors.
        context: makes what changes a source token's vector by its neighbours', `context(size)`,
            such as `NeighbourAttention`; None: a plain table. See `Encoder`.

    Shapes:
        encode(source (B, S), mask (B, S) or None) -> Memory
        forward(tokens (B, T), state, mask (B, T) or None, memory=Memory) -> logits, state

    Raises:
        ValueError: sizes that do not fit, ids outside a vocabulary, a missing memory.

    Taught in solutions/05_seq2seq.ipynb.
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        embedding_size: int,
        hidden_size: int,
        layer: Callable[..., nn.Module],
        attention: Callable[..., nn.Module] | None = None,
        *,
        values: str = "states",
        bidirectional: bool = True,
        reader: bool = True,
        dropout: float = 0.0,
        tied: bool = False,
        shared: bool = False,
        context: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if values not in ("states", "embeddings"):
            raise ValueError(f"values are 'states' or 'embeddings', not {values!r}")
        if shared and source_size != target_size:
            raise ValueError(
                f"shared=True needs one vocabulary, but source_size is {source_size} and "
                f"target_size {target_size}"
            )
        E, H = embedding_size, hidden_size
        both = {"bidirectional": True} if bidirectional else {}
        self.vocab_size, self.values, self.shared = target_size, values, shared
        around = None if context is None else context(E)
        self.encoder = Encoder(source_size, E, layer(E, H, **both), dropout, around)
        context_size = self.encoder.output_size
        if attention is not None and values == "embeddings":
            context_size = E
        self.decoder = Decoder(
            target_size,
            E,
            layer((H if reader else E) + context_size, H),
            context_size,
            layer(E, H) if reader else None,
            None if attention is None else attention(H, self.encoder.output_size),
            dropout,
            tied,
        )
        if shared:
            self.encoder.embedding = self.decoder.embedding

    def encode(self, source: Tensor, mask: Tensor | None = None) -> Memory:
        """Read a batch of sources, once, whatever will be written from them."""
        if mask is None:
            mask = torch.ones_like(source, dtype=torch.bool)
        states, vectors, summary = self.encoder(source, mask)
        values = vectors if self.values == "embeddings" else states
        attention = self.decoder.attention
        keys = states if attention is None else attention.prepare(states)
        return Memory(summary, keys, values, mask)

    def forward(
        self,
        tokens: Tensor,
        state: State = None,
        mask: Tensor | None = None,
        memory: Memory | None = None,
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) for the token after each position, and the state after the last."""
        logits, state, _ = self.decoder(tokens, state, mask, self._checked(tokens, memory))
        return logits, state

    @torch.no_grad()
    def look(self, tokens: Tensor, memory: Memory, mask: Tensor | None = None) -> Tensor | None:
        """Where every target position looked in the source, (B, T, S); None without attention.

        Row t belongs to the token that was written *after* tokens[:, t].
        Taught in solutions/06_bahdanau_attention.ipynb.
        """
        return self.decoder(tokens, None, mask, self._checked(tokens, memory))[2]

    def _checked(self, tokens: Tensor, memory: Memory | None) -> Memory:
        if memory is None:
            raise ValueError(
                "this writer reads a source first: memory = model.encode(source, mask), and then "
                "model(tokens, state, memory=memory)"
            )
        memory = Memory(*memory)
        if tokens.dim() != 2 or len(memory.summary) != len(tokens):
            raise ValueError(
                f"tokens have shape {tuple(tokens.shape)} and the memory holds "
                f"{len(memory.summary)} sources: one row of tokens for each source"
            )
        return memory


__all__ = ["Decoder", "Encoder", "Memory", "Seq2Seq"]
