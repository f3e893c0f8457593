"""A teacher's pass over a text, kept on disk: asked once, it teaches any number of students.

A whole row of V probabilities for each token would fill a disk. Two short forms are kept:

    draws   K tokens drawn from the teacher's row. Their mean is the row, so learning from them
            is learning from the whole row, with a little noise. They are drawn evenly: a token
            of probability p stands among them K p times, rounded up or down.
    top_k   the K likeliest tokens with their probabilities, and the rest in one number, the tail.

The folder has one safetensors file for every few thousand tokens, read through the file system's
map, and about.json, which says for what text, vocabulary and teacher it was made.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from minidistill.batches import ContinuousBatches, hash_of_ids
from minidistill.checkpoints import CheckpointError

ABOUT = "about.json"


class Said(NamedTuple):
    """What a teacher said of each token to come: some tokens, their shares, and the rest.

    ids (..., K), shares (..., K), tail (...): shares and tail add up to 1.
    """

    ids: Tensor
    shares: Tensor
    tail: Tensor


class Taught(NamedTuple):
    """A batch of text, (B, T) each, with what the teacher said of each target."""

    inputs: Tensor
    targets: Tensor
    said: Said


class Passes:
    """A teacher's pass over a text, opened for reading.

    Args:
        folder: that `write_passes` filled, wholly.

    Raises:
        CheckpointError: no such folder, one that is not finished, a damaged file.

    Taught in solutions/09_knowledge_distillation.ipynb.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.about = read_about(self.folder)
        if self.about is None:
            raise CheckpointError(f"{folder} holds no teacher's pass: make one with write_passes")
        self.tokens: int = self.about["tokens"]
        self.starts = starts_of(self.about)
        missing = [f.name for f in files_of(self.folder, self.about) if not f.is_file()]
        if missing:
            raise CheckpointError(
                f"{folder} is not finished ({len(missing)} files are missing, from {missing[0]} "
                "on): call write_passes again with the same arguments, it goes on where it stopped"
            )
        self._open: dict[int, Any] = {}

    def at(self, start: int, stop: int) -> Said:
        """What was said of targets start .. stop - 1; target n is token n + 1 of the text.

        Raises:
            IndexError: targets that the text does not have.
        """
        if not 0 <= start < stop <= self.tokens:
            raise IndexError(f"targets {start} to {stop} of a pass that has {self.tokens}")
        parts = []
        while start < stop:
            number = bisect_right(self.starts, start) - 1
            begin, end = [*self.starts, self.tokens][number : number + 2]
            until = min(end, stop)
            parts.append(self._slice(number, start - begin, until - begin))
            start = until
        ids, shares, tail = (torch.cat(part) for part in zip(*parts, strict=True))
        return Said(ids, shares, tail)

    def check(self, ids: Tensor | Sequence[int], vocab_size: int | None = None) -> None:
        """CheckpointError where the pass was made of another text or another vocabulary."""
        if vocab_size is not None and vocab_size != self.about["vocab_size"]:
            raise CheckpointError(
                f"{self.folder} was made with a vocabulary of {self.about['vocab_size']:,} tokens, "
                f"and the student has {vocab_size:,}: teacher and student need the same tokeniser"
            )
        if text_hash(ids) != self.about["text"]:
            raise CheckpointError(
                f"{self.folder} was made for another text, or the text was cut into tokens in "
                "another way: give the same ids, or make a pass of its own with write_passes"
            )

    def batches(self, ids: Tensor | Sequence[int], batch_size: int, length: int) -> PassBatches:
        """The text in batches as `ContinuousBatches` cuts it, with what the teacher said."""
        return PassBatches(self, ids, batch_size, length)

    def _slice(self, number: int, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        file = self._file(number)
        ids = file.get_slice("ids")[start:stop].long()
        if self.about["form"] == "draws":
            shares = torch.full(ids.shape, 1 / ids.size(-1))
            return ids, shares, torch.zeros(ids.shape[:-1])
        shares = file.get_slice("shares")[start:stop].float()
        return ids, shares, (1 - shares.sum(-1)).clamp(min=0)

    def _file(self, number: int) -> Any:
        if number not in self._open:
            from safetensors import SafetensorError, safe_open

            path = files_of(self.folder, self.about)[number]
            try:
                file = safe_open(str(path), framework="pt", device="cpu").__enter__()
                made_for = json.loads(file.metadata()["about"])
            except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
                raise CheckpointError(
                    f"{path} is damaged ({error}): delete it and call write_passes again"
                ) from error
            if made_for != {**self.about, "file": number}:
                raise CheckpointError(
                    f"{path} belongs to another pass: delete it and call write_passes again"
                )
            self._open[number] = file
        return self._open[number]


class PassBatches(ContinuousBatches):
    """A text in batches, with what a teacher said of each target: `Taught` in place of pairs.

    Args:
        passes: of this very text. ids, batch_size, length: see `ContinuousBatches`.

    Raises:
        CheckpointError: the pass was made of another text.
    """

    def __init__(
        self, passes: Passes, ids: Tensor | Sequence[int], batch_size: int, length: int
    ) -> None:
        passes.check(ids)
        super().__init__(ids, batch_size, length)
        self.passes = passes

    def __iter__(self) -> Iterator[Taught]:
        width = self._inputs.shape[1]
        for place, (inputs, targets) in enumerate(super().__iter__()):
            start = place * self.length
            rows = [
                self._row(row * width + start, inputs.size(1)) for row in range(self.batch_size)
            ]
            said = Said(*(torch.stack(part) for part in zip(*rows, strict=True)))
            yield Taught(inputs, targets, said)

    def fingerprint(self) -> str:
        """As that of the text, with the pass."""
        pass_ = hashlib.sha256(json.dumps(self.passes.about, sort_keys=True).encode())
        return f"{super().fingerprint()}-{pass_.hexdigest()[:16]}"

    def _row(self, start: int, length: int) -> Said:
        stop = min(start + length, self.targets)
        if stop <= start:  # the text ran out before the rows did
            return Said(*(torch.zeros_like(part[:1]).expand(length, *part.shape[1:])
                          for part in self.passes.at(0, 1)))  # fmt: skip
        said = self.passes.at(start, stop)
        short = length - (stop - start)
        return Said(*(torch.cat([p, p.new_zeros(short, *p.shape[1:])]) for p in said))


def text_hash(ids: Tensor | Sequence[int]) -> str:
    """Return a few letters that change with any token of a text."""
    return hash_of_ids([torch.as_tensor(ids)])


def files_of(folder: Path, about: dict[str, Any]) -> list[Path]:
    """Return the files that a pass is made of, whether they are there or not."""
    return [folder / f"{number:05}.safetensors" for number in range(len(starts_of(about)))]


def starts_of(about: dict[str, Any]) -> list[int]:
    """Return the first target of each file; in a pass of pieces, files differ in length."""
    return about.get("starts") or list(range(0, about["tokens"], about["file_tokens"]))


def read_about(folder: Path) -> dict[str, Any] | None:
    """Return what a folder's pass was made for, or None where there is none."""
    path = folder / ABOUT
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return {**about, "tokens": int(about["tokens"]), "file_tokens": int(about["file_tokens"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): delete the folder") from error


__all__ = ["PassBatches", "Passes", "Said", "Taught"]
