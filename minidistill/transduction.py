"""From source texts to target texts with a trained encoder and decoder, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minidistill.batches import pad
from minidistill.generation import generate
from minidistill.language_model import eval_mode
from minidistill.rules import Rule
from minidistill.search import beam_search


@torch.no_grad()
def transduce(
    model: nn.Module,
    sources: Sequence[Sequence[int] | Tensor],
    max_new_tokens: int,
    *,
    bos_id: int,
    eos_id: int,
    padding_id: int,
    rules: Sequence[Rule] = (),
    generator: torch.Generator | None = None,
    width: int = 1,
    length_penalty: float = 0.0,
    batch_size: int = 64,
) -> list[list[int]]:
    """Write a target for every source: the likeliest token each time, drawn, or by a beam.

    Sources of like length are read together, so little of a batch is padding. What is written
    for a source does not depend on which others it was read with, nor on the batch size: the
    numbers of chance are drawn for all sources before the first is read.

    Args:
        model: has `encode(source, mask)` and keeps the protocol, as `Seq2Seq` does.
        sources: ids of each source, at least one token.
        max_new_tokens: a target that has not ended by then is cut there.
        rules: see `minidistill.rules`; they see the target so far, from bos on.
        generator: draw with this chance; None: the likeliest token (width 1), or a beam.
        width, length_penalty: of the beam, see `beam_search`.

    Returns:
        the targets' ids without bos and eos, in the order of the sources.

    Raises:
        ValueError: an empty source; both a generator and a width above 1; a width or a batch
            size below 1.

    Taught in solutions/05_seq2seq.ipynb.
    """
    if generator is not None and width > 1:
        raise ValueError("a beam does not draw: give either a generator or a width above 1")
    if width < 1 or batch_size < 1:
        raise ValueError(f"width and batch_size are at least 1, got {width} and {batch_size}")
    empty = [i for i, source in enumerate(sources) if len(source) == 0]
    if empty:
        raise ValueError(f"source {empty[0]} is empty: there is nothing to read")
    device = next(model.parameters()).device
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    targets: list[list[int]] = [[] for _ in sources]
    numbers = None
    if generator is not None:
        shape = max_new_tokens, len(sources)
        numbers = torch.rand(shape, generator=generator, dtype=torch.float64)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        source, mask = (part.to(device) for part in pad([sources[i] for i in chosen], padding_id))
        with eval_mode(model):
            memory = model.encode(source, mask)
        prompt = torch.full((len(chosen), 1), bos_id, device=device)
        if width > 1:
            tokens = beam_search(
                model,
                prompt,
                max_new_tokens,
                width,
                length_penalty=length_penalty,
                rules=rules,
                stop_id=eos_id,
                memory=memory,
            ).tokens[:, 0]
        else:
            tokens = generate(
                model,
                prompt,
                max_new_tokens,
                rules=rules,
                greedy=numbers is None,
                generator=None if numbers is None else numbers[:, chosen],
                stop_id=eos_id,
                memory=memory,
            )
        for i, row in zip(chosen, tokens[:, 1:].tolist(), strict=True):
            targets[i] = row[: row.index(eos_id)] if eos_id in row else row
    return targets


__all__ = ["transduce"]
