"""Two vocabularies: what a teacher says of its tokens, said in the pieces of its student.

A teacher with a large vocabulary says that the next token is " river" with probability 0.3 and
" rivers" with 0.1. A student with a small one writes them as " ri" "ver" and " ri" "vers". So
" ri" must have 0.4, and after it "ver" 0.75 and "vers" 0.25: sums over all tokens that begin
alike, divided by what they begin with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minidistill.byte_pairs import BytePairVocabulary, joined
from minidistill.vocabulary import Vocabulary, WordVocabulary

Pieces = tuple[int, ...]


def next_piece(p: Tensor, spelled: Sequence[Pieces], begun: Pieces, piece_count: int) -> Tensor:
    """Return what a teacher's row of tokens says of the next piece inside a token.

        q(c) = P(tokens that begin with begun and c) / P(tokens that begin with begun and go on)

    This is the definition; `PieceMap` does the same for all places of a text at once.

    Args:
        p: (N, V), probabilities of the tokens.
        spelled: the pieces of each of the V tokens, () for a token that is no text.
        begun: the pieces of the token that are written already, () at its start.
        piece_count: P, how many pieces there are.

    Returns:
        (N, P); zeros where all tokens that begin so and go on have probability 0.

    Raises:
        ValueError: no token begins so and goes on; not one spelling for each token; a piece
            that is none.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    begun = tuple(begun)
    if p.dim() != 2 or p.size(1) != len(spelled):
        raise ValueError(
            f"p is {tuple(p.shape)} and {len(spelled)} tokens are spelled: one row of "
            "probabilities for each place, one number for each token"
        )
    if any(not 0 <= c < piece_count for pieces in spelled for c in pieces):
        raise ValueError(f"a piece is not a number from 0 to {piece_count - 1}")
    size = len(begun)
    longer = [
        (v, pieces[size])
        for v, pieces in enumerate(spelled)
        if len(pieces) > size and tuple(pieces[:size]) == begun
    ]
    if not longer:
        raise ValueError(f"no token begins with the pieces {begun} and goes on")
    tokens, following = (torch.tensor(part, device=p.device) for part in zip(*longer, strict=True))
    q = p.new_zeros(len(p), piece_count).index_add(1, following, p[:, tokens])
    total = q.sum(1, keepdim=True)
    return q / torch.where(total > 0, total, 1.0)


class PieceMap:
    """How each token of a teacher is spelled in a student's pieces, as a tree of beginnings.

    Tokens are put in the order of their spellings. All tokens that begin with the same pieces
    then stand side by side, and the probability of a beginning is a difference of two cumulative
    sums, however many tokens share it.

    Args:
        teacher: whose tokens are spelled; joined, their texts are the text: characters, byte pairs,
            or words with their spaces.
        student: whose pieces are used.
        spelled: the pieces of each token, where the two vocabularies cannot tell; () for a
            token that is no text.

    Attributes:
        spelled: the pieces of each token; () for special and unknown tokens, which a text does
            not hold: their probability is shared out among the others.

    Raises:
        ValueError: a token that the student's pieces cannot spell, with its text.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(
        self,
        teacher: Vocabulary,
        student: Vocabulary,
        spelled: Sequence[Pieces] | None = None,
    ) -> None:
        self.vocab_size, self.piece_count = len(teacher), len(student)
        self.spelled = _spell_all(teacher, student) if spelled is None else list(spelled)
        if len(self.spelled) != len(teacher):
            raise ValueError(f"{len(self.spelled)} spellings for {len(teacher)} tokens: one each")
        texts = [i for i, pieces in enumerate(self.spelled) if pieces]
        if not texts:
            raise ValueError("no token of the teacher is text: there is nothing to spell")
        self.order = torch.tensor(sorted(texts, key=lambda i: self.spelled[i]))
        self._grow([self.spelled[i] for i in self.order.tolist()])

    def _grow(self, rows: list[Pieces]) -> None:
        """Make the tree: of each beginning its range in the order, and what may come after it."""
        self.place: dict[Pieces, int] = {(): 0}
        low, high, pieces, parents = [0], [len(rows)], [-1], [-1]
        for at, row in enumerate(rows):
            for length in range(1, len(row) + 1):
                node = self.place.setdefault(row[:length], len(low))
                if node == len(low):
                    low.append(at)
                    high.append(at)
                    pieces.append(row[length - 1])
                    parents.append(self.place[row[: length - 1]])
                high[node] = at + 1
        children: list[list[int]] = [[] for _ in low]
        for node, parent in enumerate(parents):
            if parent >= 0:
                children[parent].append(node)
        self.low, self.high, self.piece = map(torch.tensor, (low, high, pieces))
        counts = torch.tensor([len(found) for found in children])
        self.first = counts.cumsum(0) - counts  # where a node's children begin in `after`
        self.count = counts
        self.after = torch.tensor([child for found in children for child in found])

    def encode(self, ids: Sequence[int] | Tensor) -> Tensor:
        """The pieces of a text that the teacher's vocabulary has encoded.

        Raises:
            ValueError: an unknown or special token, which has no pieces.
        """
        found: list[int] = []
        for i in torch.as_tensor(ids).tolist():
            if not self.spelled[i]:
                raise ValueError(f"token {i} is unknown or special: it has no pieces")
            found += self.spelled[i]
        return torch.tensor(found)

    def rows(self, p: Tensor, ids: Sequence[int] | Tensor) -> Tensor:
        """What the teacher says of each piece of a text, (M, P), M its number of pieces.

        Within a token, after pieces that all of its kin begin with,

            q(c | c_1 .. c_j) = P(tokens that begin c_1 .. c_j c) / P(those and go on after c_j)

        and at its end, where nobody has said that it ends, both may happen: it was the whole
        token, and the next one begins, or it goes on:

            q(c) = [P(token) P'(next begins with c) + P(tokens that begin with it and c)]
                   / [P(token) + P(longer tokens that begin with it)]

        Exact, but for one thing: inside a token, that a shorter token could have ended there is
        left out, for the teacher was not asked what would come after it. Where no token's
        pieces are the beginning of another's, nothing is left out.

        Args:
            p: (N, V), the teacher's probabilities for each of the N tokens. ids: the tokens.

        Raises:
            ValueError: shapes that do not fit; a token without pieces.
        """
        ids = torch.as_tensor(ids)
        if p.dim() != 2 or p.shape != (len(ids), self.vocab_size):
            raise ValueError(
                f"p is {tuple(p.shape)}, but should be {(len(ids), self.vocab_size)}: one row of "
                "the teacher's probabilities for each token"
            )
        sums = self._sums(p)
        which, nodes, starts = self._walk(ids)
        q = p.new_zeros(len(nodes), self.piece_count, dtype=torch.float64)
        self._add(q, torch.arange(len(nodes)), nodes, sums[which])
        q /= q.sum(1, keepdim=True).clamp(min=1e-300)
        # At the start of a token: the one before may go on.
        later, before = starts[1:], torch.arange(len(ids) - 1)
        ends = [self.place[self.spelled[i]] for i in ids[:-1].tolist()]
        ends = torch.tensor(ends, dtype=torch.long)
        longer = torch.zeros(len(later), self.piece_count, dtype=torch.float64, device=p.device)
        self._add(longer, before, ends, sums[before])
        # Of all that begins with the token, what does not go on: it, and what is spelled alike.
        whole = self._mass(ends, sums[before])[:, None] - longer.sum(1, keepdim=True)
        whole = whole.clamp(min=0)
        mixed = whole * q[later] + longer
        q[later] = mixed / mixed.sum(1, keepdim=True).clamp(min=1e-300)
        return q.to(p.dtype)

    def _sums(self, p: Tensor) -> Tensor:
        """Cumulative sums in the order of the spellings, (N, tokens + 1)."""
        ordered = p.double()[:, self.order.to(p.device)]
        ordered = ordered / ordered.sum(1, keepdim=True).clamp(min=1e-300)
        return torch.nn.functional.pad(ordered.cumsum(1), (1, 0))

    def _mass(self, nodes: Tensor, sums: Tensor) -> Tensor:
        rows = torch.arange(len(nodes), device=sums.device)
        high, low = self.high[nodes].to(sums.device), self.low[nodes].to(sums.device)
        return sums[rows, high] - sums[rows, low]

    def _walk(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each piece: its token's place in the text, and the node that it comes after."""
        which, nodes, starts = [], [], []
        for at, i in enumerate(ids.tolist()):
            pieces = self.spelled[i]
            if not pieces:
                raise ValueError(f"token {i} is unknown or special: it has no pieces")
            starts.append(len(which))
            which += [at] * len(pieces)
            nodes += [self.place[pieces[:length]] for length in range(len(pieces))]
        return torch.tensor(which), torch.tensor(nodes), torch.tensor(starts)

    def _add(self, q: Tensor, places: Tensor, nodes: Tensor, sums: Tensor) -> None:
        """Add to each row of q the probabilities of the pieces that may come after its node."""
        counts = self.count[nodes]
        owner = torch.repeat_interleave(torch.arange(len(nodes)), counts)
        offset = torch.arange(len(owner)) - (counts.cumsum(0) - counts)[owner]
        child = self.after[self.first[nodes][owner] + offset]
        device = sums.device
        rows = owner.to(device)
        mass = sums[rows, self.high[child].to(device)] - sums[rows, self.low[child].to(device)]
        place = places.to(device)[rows], self.piece[child].to(device)
        q.index_put_(place, mass.clamp(min=0), accumulate=True)


def _spell_all(teacher: Vocabulary, student: Vocabulary) -> list[Pieces]:
    if isinstance(teacher, WordVocabulary):
        raise ValueError(
            "a WordVocabulary does not know where spaces stand, so its words cannot be spelled: "
            "use SpacedWordVocabulary for the teacher"
        )
    silent = {teacher.token_to_id[name] for name in teacher.specials} | {teacher.unknown_id}
    parts: dict[str, Pieces] = {}
    if isinstance(teacher, BytePairVocabulary) and isinstance(student, BytePairVocabulary):
        parts = _spell_merges(teacher, student)
    spelled: list[Pieces] = []
    for i, token in enumerate(teacher.tokens):
        if i in silent:
            spelled.append(())
            continue
        pieces = parts[token] if token in parts else tuple(student.encode(teacher.decode([i])))
        if not pieces or student.unknown_id in pieces:
            raise ValueError(
                f"the student's {len(student)} pieces cannot spell the teacher's token {token!r}: "
                "give it byte pairs, which spell every text"
            )
        spelled.append(pieces)
    return spelled


def _spell_merges(teacher: BytePairVocabulary, student: BytePairVocabulary) -> dict[str, Pieces]:
    """A token is a piece, or what it was joined from, spelled: half characters are spelled too."""
    parts: dict[str, Pieces] = {}
    halves: dict[str, tuple[str, str]] = {}
    for left, right in teacher.merges:
        halves.setdefault(joined(left, right), (left, right))
    for token in teacher.tokens[len(teacher.specials) :]:
        if token in student.token_to_id:
            parts[token] = (student.token_to_id[token],)
        else:
            left, right = halves[token]
            parts[token] = parts[left] + parts[right]
    return parts


__all__ = ["PieceMap", "next_piece"]
