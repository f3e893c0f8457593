"""Several teachers for one student: each one's pass over its own text, read as one.

Each teacher has read another language, or another novel, in a vocabulary of its own. Carried over
to one vocabulary (`minidistill.piece_map`), their passes can be laid end to end, and a student
learns from all of them at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch import Tensor

from minidistill.checkpoints import CheckpointError
from minidistill.teacher_passes import Passes, Said, text_hash

_SAME = {"form": "form", "count": "number of tokens kept", "temperature": "temperature"}


class JoinedPasses(Passes):
    """Passes of several teachers over several texts, as one pass over the texts joined.

    Where one text ends and the next begins no teacher has said anything: there the row is the
    text's own token.

    Args:
        passes: in one vocabulary, each kept in the same form.
        texts: the ids of each pass's text.

    Attributes:
        ids: the texts joined, for `passes.batches(passes.ids, batch_size, length)`.

    Raises:
        ValueError: no passes, not one text for each.
        CheckpointError: a pass of another text, vocabulary or form.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """

    def __init__(self, passes: Sequence[Passes], texts: Sequence[Tensor | Sequence[int]]) -> None:
        if not passes or len(passes) != len(texts):
            raise ValueError(
                f"{len(passes)} passes and {len(texts)} texts: give each pass its own text"
            )
        rows = [torch.as_tensor(text).long().cpu() for text in texts]
        first = passes[0].about
        for one, row in zip(passes, rows, strict=True):
            one.check(row, first["vocab_size"])
            for key, name in _SAME.items():
                if one.about[key] != first[key]:
                    raise CheckpointError(
                        f"the passes differ in their {name} ({first[key]} and {one.about[key]}): "
                        "make them alike"
                    )
        self.ids = torch.cat(rows)
        self.parts, self.tokens = list(passes), len(self.ids) - 1
        ends = torch.tensor([len(row) for row in rows]).cumsum(0).tolist()
        self.begins = [0, *ends[:-1]]  # of each text, in tokens of all
        self.folder = passes[0].folder
        self.about = {
            **{key: first[key] for key in ("vocab_size", *_SAME)},
            "tokens": self.tokens,
            "text": text_hash(self.ids),
            "joined": [one.about for one in passes],
        }

    def at(self, start: int, stop: int) -> Said:
        """What was said of targets start .. stop - 1; target n is token n + 1 of the texts."""
        found = []
        while start < stop:
            number = bisect_right(self.begins, start) - 1
            part, begin = self.parts[number], self.begins[number]
            until = min(begin + part.tokens, stop)
            if start < until:
                found.append(part.at(start - begin, until - begin))
            else:  # the first token of the next text
                until = start + 1
                found.append(self._itself(int(self.ids[until]), found or [part.at(0, 1)]))
            start = until
        return Said(*(torch.cat(part) for part in zip(*found, strict=True)))

    def _itself(self, token: int, like: list[Said]) -> Said:
        """A row that names one token; the other places name others and give them nothing."""
        count, size = like[0].ids.size(-1), self.about["vocab_size"]
        ids = (token + torch.arange(count)) % size
        shares = torch.zeros(count, dtype=like[0].shares.dtype)
        shares[0] = 1.0
        return Said(ids[None], shares[None], torch.zeros(1, dtype=like[0].tail.dtype))


__all__ = ["JoinedPasses"]
