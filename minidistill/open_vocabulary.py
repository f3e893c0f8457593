"""Words that a vocabulary has cut away: what they cost, and what a teacher says of them.

A word vocabulary says <unk> for every word it does not hold. That is no word: it cannot be
written, and a model that is allowed to say it gets thousands of hard words at the price of one.
Here it costs what it stands for: first <unk>, then its spelling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.language_model import State
from minidistill.ngram import NGram
from minidistill.vocabulary_base import Vocabulary


def open_vocabulary_bits(
    logits: Tensor,
    targets: Tensor,
    spelling_nats: Tensor,
    characters: int,
    unknown_id: int = 0,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the bits per character of a text whose unknown words must be spelled.

        bits = sum over real tokens of [-ln p(token) + (spelling where it is <unk>)]
               / (ln 2 * characters)

    Args:
        logits: (..., V). targets: (...), ids.
        spelling_nats: (...), what the word's spelling costs beyond its <unk>; read only where a
            real target is unknown.
        characters: of the text, all of it.
        unknown_id: of <unk>.
        mask: (...), True where a token is real.

    Returns:
        One number, as a tensor; gradients reach the logits.

    Raises:
        ValueError: shapes that do not fit, a mask of numbers, fewer than one character.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    shape = logits.shape[:-1]
    for name, given in (("targets", targets), ("spelling_nats", spelling_nats), ("mask", mask)):
        if given is not None and given.shape != shape:
            raise ValueError(f"{name} is {tuple(given.shape)} and logits {tuple(logits.shape)}")
    if mask is not None and mask.dtype != torch.bool:
        raise ValueError(f"mask is of {mask.dtype}: one True or False for each token")
    if characters < 1:
        raise ValueError(f"bits per character need at least one character, got {characters}")
    if mask is None:
        mask = torch.ones_like(targets, dtype=torch.bool)
    real = targets[mask]
    real_logits = logits[mask]
    if real_logits.dtype != torch.float64:
        real_logits = real_logits.float()  # half precision is too coarse for sums over V
    log_p = real_logits.log_softmax(-1)
    nats = -log_p.gather(-1, real[:, None]).sum()
    spelled = spelling_nats[mask][real == unknown_id].to(nats.dtype).sum()
    return (nats + spelled) / (math.log(2) * characters)


class Speller:
    """What it costs to spell a word: an n-gram of pieces over the rare words of a text.

        B(word) = prod over its pieces, and its end, of p(piece | the order - 1 before it)

    Args:
        words: spellings to learn from, ids of pieces; such as the words that were cut away.
        piece_count: P.
        order: of the n-gram.

    Raises:
        ValueError: no words; pieces that are none.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(self, words: Sequence[Sequence[int]], piece_count: int, order: int = 4) -> None:
        if not words or not all(words):
            raise ValueError("there are no words to learn spelling from, or one has no pieces")
        self.end, self.order = piece_count, order
        self.ngram = NGram(order, piece_count + 1).fit(self._stream(words)[0])

    def nats(self, words: Sequence[Sequence[int]]) -> Tensor:
        """What each word costs in nats, its end included, (N,), float64."""
        if not words:
            return torch.zeros(0, dtype=torch.float64)
        stream, owner = self._stream(words)
        costs = self.ngram.nats(stream)
        kept = owner >= 0
        return torch.zeros(len(words), dtype=torch.float64).index_add(0, owner[kept], costs[kept])

    def _stream(self, words: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """The words one after another, with ends before each; and whose cost each place is.

        So many ends stand before a word that nothing of the word before it is seen; of those
        after it only the first is its own.
        """
        if any(not 0 <= piece < self.end for word in words for piece in word):
            raise ValueError(f"a piece is not a number from 0 to {self.end - 1}")
        pause = [self.end] * max(self.order - 1, 1)
        ids, owner = list(pause), [-1] * len(pause)
        for at, word in enumerate(words):
            ids += [*word, *pause]
            owner += [at] * (len(word) + 1) + [-1] * (len(pause) - 1)
        return torch.tensor(ids), torch.tensor(owner)


class OpenTeacher(nn.Module):
    """A teacher of a cut vocabulary that shares its <unk> out among the words cut away.

        p'(w) = p(w)                                for the words that it knows
        p'(w) = p(<unk>) c(w) / sum over cut c      for a word cut away, c its count in a text

    It then speaks of the whole vocabulary, and of no <unk>: its rows can be said in pieces. That
    a rare word is as likely as its count among the rare ones, whatever stands before it, is an
    approximation: the teacher never learned them apart.

    Args:
        teacher: a language model; read in the mode it is in.
        known: its vocabulary, of words or characters.
        whole: the vocabulary that `known` was cut from, with counts.

    Shapes:
        forward(tokens (B, T) of the whole vocabulary, state) -> log-probabilities (B, T, W)

    Raises:
        ValueError: vocabularies of which one is not the other's beginning, missing counts,
            nothing cut away, a model of another size.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    shares: Tensor

    def __init__(self, teacher: nn.Module, known: Vocabulary, whole: Vocabulary) -> None:
        super().__init__()
        if known.unknown_id is None or whole.tokens[: len(known)] != known.tokens:
            raise ValueError("`known` should be `whole` cut to a smaller size: whole.cut(size)")
        if whole.counts is None or not any(whole.counts[len(known) :]):
            raise ValueError(
                f"of {len(whole)} tokens {len(known)} are known: the whole vocabulary should hold "
                "more words, and their counts"
            )
        if teacher.vocab_size != len(known):
            raise ValueError(
                f"the teacher says {teacher.vocab_size} tokens and its vocabulary {len(known)}"
            )
        counts = torch.tensor(whole.counts[len(known) :], dtype=torch.float)
        self.teacher, self.unknown_id = teacher, known.unknown_id
        self.known_size, self.vocab_size = len(known), len(whole)
        self.register_buffer("shares", (counts / counts.sum()).log())

    def forward(self, tokens: Tensor, state: State = None, **options: Any) -> tuple[Tensor, State]:
        """Log-probabilities of the whole vocabulary after each token, and the state."""
        known = torch.where(tokens < self.known_size, tokens, self.unknown_id)
        logits, state = self.teacher(known, state, **options)
        log_p = logits.log_softmax(-1)
        unknown = log_p[..., self.unknown_id, None]
        rare = unknown + self.shares.to(log_p.dtype)
        silent = torch.tensor([self.unknown_id], device=log_p.device)
        return torch.cat([log_p.index_fill(-1, silent, -torch.inf), rare], dim=-1), state


__all__ = ["OpenTeacher", "Speller", "open_vocabulary_bits"]
