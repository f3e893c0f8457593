"""Batches: token ids laid out as tensors that a model can read many rows of at once.

One long text gives continuous batches, where a row goes on from batch to batch; pairs of
texts give padded batches with masks. Taught in solutions/01_text_as_data.ipynb.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

IGNORE = -100  # a target of cross_entropy that counts for nothing: its default ignore_index


class ContinuousBatches:
    """One text as `batch_size` long rows, cut every `length` tokens into batches.

    Iterating gives `(inputs, targets)`, each (B, T). The target of a token is the token after
    it. Row b of a batch goes on where row b of the batch before ended, so a model may carry
    its state from batch to batch (`carries_state`). Every token of the text but the first is
    a target exactly once: the end of a row has the start of the next row as its target, and
    where the text runs out before the rows do, inputs are 0 and targets IGNORE. The last
    batch may be shorter than `length`.

    ids: a list or 1-D tensor of token ids. device: where the batches lie; None keeps the
    tensor's own. targets: how many targets an epoch has, one fewer than there are tokens.

    Raises ValueError: fewer than two tokens, ids that are not integers from 0, sizes under 1,
    more rows than targets. Taught in solutions/01_text_as_data.ipynb.
    """

    carries_state = True

    def __init__(
        self,
        ids: Tensor | Sequence[int],
        batch_size: int,
        length: int,
        device: torch.device | str | None = None,
    ) -> None:
        ids = _as_ids(ids, "ids").to(device=device)
        _check_positive("batch_size", batch_size)
        _check_positive("length", length)
        if len(ids) < 2:
            raise ValueError(
                f"the text has {len(ids)} tokens, but a model needs at least 2: one to read "
                "and one to predict"
            )
        self.targets = len(ids) - 1
        if batch_size > self.targets:
            raise ValueError(
                f"batch_size is {batch_size}, but a text of {len(ids)} tokens fills at most "
                f"{self.targets} rows: choose {self.targets} or fewer"
            )
        self.batch_size = batch_size
        self.length = length
        width = -(-self.targets // batch_size)  # tokens in a row, rounded up
        self._inputs = ids.new_zeros(batch_size * width)
        self._inputs[: self.targets] = ids[:-1]
        self._inputs = self._inputs.view(batch_size, width)  # (B, width)
        self._targets = ids.new_full((batch_size * width,), IGNORE)
        self._targets[: self.targets] = ids[1:]
        self._targets = self._targets.view(batch_size, width)  # (B, width)

    def __len__(self) -> int:
        return -(-self._inputs.shape[1] // self.length)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self._inputs.shape[1], self.length):
            part = slice(start, start + self.length)
            # Copies, so that writing into a batch leaves the text as it is.
            yield (
                self._inputs[:, part].clone(memory_format=torch.contiguous_format),  # (B, T)
                self._targets[:, part].clone(memory_format=torch.contiguous_format),  # (B, T)
            )

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the batches of one epoch: the same in every epoch, for a text has one order."""
        return iter(self)

    def fingerprint(self) -> str:
        """Return a few letters that change with the text or its cutting; checkpoints keep it."""
        # The targets too: the last token of the text is only a target.
        text = hash_of_ids([self._inputs.flatten(), self._targets.flatten()])
        return f"{text}-{self.batch_size}x{self.length}"


def lengths_to_mask(lengths: Tensor | Sequence[int], max_length: int | None = None) -> Tensor:
    """Return a BoolTensor (B, T), True where a real token stands.

    mask[b, t] = t < lengths[b]. T is `max_length`, or the longest of the lengths (B,).

    Raises ValueError: lengths that are not integers from 0, a length over `max_length`.
    Taught in solutions/05_seq2seq.ipynb.
    """
    lengths = _as_ids(lengths, "lengths")
    longest = int(lengths.max()) if len(lengths) else 0
    if max_length is None:
        max_length = longest
    if max_length < longest:
        raise ValueError(f"a length is {longest}, which is more than max_length {max_length}")
    return torch.arange(max_length, device=lengths.device) < lengths.unsqueeze(1)  # (B, T)


def pad(sequences: Sequence[Sequence[int] | Tensor], padding_id: int) -> tuple[Tensor, Tensor]:
    """Return ragged lists of ids as one tensor (B, T), and the mask (B, T) of the real tokens.

    Rows are filled up at the end with `padding_id`. The mask comes from the lengths, so a
    real token may have the padding's id. An empty sequence gives a row that is all False.

    Raises ValueError: no sequences, ids that are not integers from 0.
    Taught in solutions/05_seq2seq.ipynb.
    """
    if len(sequences) == 0:
        raise ValueError("there are no sequences to pad: give at least one")
    rows = [_as_ids(row, f"sequence {i}") for i, row in enumerate(sequences)]
    tokens = pad_sequence(rows, batch_first=True, padding_value=padding_id)  # (B, T)
    lengths = torch.tensor([len(row) for row in rows], device=tokens.device)  # (B,)
    return tokens, lengths_to_mask(lengths)


def shift_targets(
    targets: Sequence[Sequence[int] | Tensor], bos_id: int, eos_id: int, padding_id: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what a decoder reads and what it should write, one place apart, for ragged targets.

    For a target y_1 .. y_n: it reads bos, y_1 .. y_n and should write y_1 .. y_n, eos, so at
    every place it sees the tokens before the one it should write, and never that one.

    Returns target_in (B, T), filled up with `padding_id`; target_out (B, T), filled up with
    IGNORE; and the mask (B, T) of the real places. T is the longest target's n + 1. An empty
    target is bos alone, and eos should follow.

    Raises ValueError: no targets, ids that are not integers from 0.
    Taught in solutions/05_seq2seq.ipynb.
    """
    rows = [_as_ids(row, f"target {i}") for i, row in enumerate(targets)]
    bos, eos = _as_ids([bos_id], "bos_id"), _as_ids([eos_id], "eos_id")
    target_in, mask = pad([torch.cat([bos.to(row.device), row]) for row in rows], padding_id)
    target_out, _ = pad([torch.cat([row, eos.to(row.device)]) for row in rows], IGNORE)
    return target_in, target_out, mask


class Pairs(NamedTuple):
    """A batch of source and target texts, S and T tokens long.

    source, source_mask: (B, S). target_in: (B, T), what the decoder reads, from `<bos>` on.
    target_out: (B, T), what it should write, up to `<eos>`, then IGNORE. target_mask: (B, T).
    """

    source: Tensor
    source_mask: Tensor
    target_in: Tensor
    target_out: Tensor
    target_mask: Tensor

    def to(self, device: torch.device | str | None) -> Self:
        """Return the batch on another device."""
        return type(self)(*(tensor.to(device) for tensor in self))


class PairBatches:
    """Pairs of (source ids, target ids) in padded batches, shuffled anew in every epoch.

    For a target y_1 .. y_n the decoder reads bos, y_1 .. y_n and should write y_1 .. y_n, eos.
    Epoch e is shuffled by a generator seeded with (seed, e) alone: the same epoch has the
    same order in every run, and other epochs other orders. Every pair comes exactly once.

    sort_within: padding is work for nothing, so pairs of like length should meet. The
    shuffled pairs are taken in pools of this many batches, each pool is sorted by length and
    cut into batches, and then all batches are shuffled; 1 leaves the pairs wholly shuffled.
    shuffle: False keeps the pairs in their order, unsorted. device: where the batches lie.
    targets: how many tokens an epoch asks the decoder to write. max_length: the most tokens
    that a source or a target may have; None is no limit.

    Raises ValueError: no pairs, an empty source, a text over `max_length`, ids that are not
    integers from 0, sizes under 1. Taught in solutions/05_seq2seq.ipynb.
    """

    carries_state = False

    def __init__(
        self,
        pairs: Sequence[tuple[Sequence[int] | Tensor, Sequence[int] | Tensor]],
        batch_size: int,
        *,
        padding_id: int,
        bos_id: int,
        eos_id: int,
        seed: int = 0,
        shuffle: bool = True,
        sort_within: int = 16,
        max_length: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        _check_positive("batch_size", batch_size)
        _check_positive("sort_within", sort_within)
        if len(pairs) == 0:
            raise ValueError("there are no pairs to make batches of: give at least one")
        _as_ids([bos_id, eos_id, padding_id], "bos_id, eos_id and padding_id")
        self.bos_id, self.eos_id = bos_id, eos_id
        self._pairs = [_check_pair(pair, i, max_length) for i, pair in enumerate(pairs)]
        self.targets = sum(len(target) + 1 for _, target in self._pairs)
        self.batch_size = batch_size
        self.padding_id = padding_id
        self.seed = seed
        self.shuffle = shuffle
        self.sort_within = sort_within
        self.device = device

    def __len__(self) -> int:
        return -(-len(self._pairs) // self.batch_size)

    def __iter__(self) -> Iterator[Pairs]:
        return self.epoch(0)

    def epoch(self, number: int) -> Iterator[Pairs]:
        """Return the batches of epoch `number`, in the order that belongs to it."""
        for chosen in self._order(number):
            yield self._batch([self._pairs[i] for i in chosen])

    def fingerprint(self) -> str:
        """Return a few letters that change with the pairs or how they are laid out."""
        sizes = (self.batch_size, self.sort_within, self.padding_id, self.seed, self.shuffle)
        special = torch.tensor([self.bos_id]), torch.tensor([self.eos_id])
        pairs = hash_of_ids([*special, *(part for pair in self._pairs for part in pair)])
        return f"{pairs}-{'-'.join(str(int(size)) for size in sizes)}"

    def _order(self, number: int) -> list[list[int]]:
        """Return the indices of the pairs, one list a batch."""
        count, size = len(self._pairs), self.batch_size
        if not self.shuffle:
            return _chunks(list(range(count)), size)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**63)
        order = torch.randperm(count, generator=generator).tolist()
        if self.sort_within == 1:
            return _chunks(order, size)
        batches = []
        for pool in _chunks(order, size * self.sort_within):
            batches += _chunks(sorted(pool, key=self._lengths), size)
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def _lengths(self, i: int) -> tuple[int, int]:
        source, target = self._pairs[i]
        return len(source), len(target)

    def _batch(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Pairs:
        source, source_mask = pad([source for source, _ in pairs], self.padding_id)
        target_in, target_out, target_mask = shift_targets(
            [target for _, target in pairs], self.bos_id, self.eos_id, self.padding_id
        )
        batch = Pairs(source, source_mask, target_in, target_out, target_mask)
        return batch if self.device is None else batch.to(self.device)


def _check_pair(
    pair: tuple[Sequence[int] | Tensor, ...], i: int, max_length: int | None
) -> tuple[Tensor, Tensor]:
    if len(pair) != 2:
        raise ValueError(f"pair {i} should be (source ids, target ids), but has {len(pair)} parts")
    source, target = (_as_ids(part, f"pair {i}").cpu() for part in pair)
    if len(source) == 0:
        raise ValueError(f"pair {i} has an empty source: leave it out, there is nothing to read")
    for name, part in (("source", source), ("target", target)):
        if max_length is not None and len(part) > max_length:
            raise ValueError(
                f"pair {i} has a {name} of {len(part)} tokens but max_length is {max_length}: "
                "cut it, leave the pair out, or raise the limit"
            )
    return source, target


def _chunks(items: list[int], size: int) -> list[list[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def hash_of_ids(rows: Iterable[Tensor]) -> str:
    """Return a short hash of rows of ids: each with its length, so that none runs into the next."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(array("q", [len(row)]).tobytes())
        digest.update(array("q", row.tolist()).tobytes())
    return digest.hexdigest()[:16]


def _as_ids(values: Tensor | Sequence[int], name: str) -> Tensor:
    """Return a 1-D LongTensor, and raise ValueError where that would lose or hide something."""
    try:
        tensor = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{name}: should be a list of integers ({error})") from error
    if tensor.dim() != 1:
        raise ValueError(f"{name}: should be one row, but has shape {tuple(tensor.shape)}")
    if len(tensor) == 0:
        return tensor.long()
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name}: should be integers, but is {tensor.dtype}")
    tensor = tensor.long()
    if int(tensor.min()) < 0:
        raise ValueError(f"{name}: holds {int(tensor.min())}, but nothing may be under 0")
    return tensor


def _check_positive(name: str, value: int) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{name} is {value!r} but must be an integer of at least 1")
