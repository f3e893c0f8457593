"""A novel that goes on sentence by sentence: what was written last is read to write the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from minidistill.cleaning import Chapter
from minidistill.pairs import chapter_sentences, last_that_fit, special_ids
from minidistill.rules import Rule, forbid
from minidistill.seq2seq_checkpoints import Trained
from minidistill.textfile import guess_language
from minidistill.transduction import transduce


def write_on(
    trained: Trained,
    beginnings: Sequence[str],
    count: int,
    *,
    before: int = 3,
    max_source: int = 40,
    max_target: int = 60,
    rules: Sequence[Rule] = (),
    generator: torch.Generator | None = None,
    width: int = 1,
    length_penalty: float = 0.0,
) -> list[str]:
    """Go on from every beginning for `count` sentences; each is read to write the next.

    A beginning is a paragraph or more; the source of every new sentence is the last sentences
    so far, as `next_sentence_pairs` takes them. Without a generator or a width the likeliest
    token is taken each time; see `transduce`.

    Returns:
        what was written after each beginning, without it.

    Raises:
        ValueError: an empty beginning; both a generator and a width above 1.

    Taught in solutions/05_seq2seq.ipynb.
    """
    vocabulary = trained.vocabulary
    bos, eos, padding = special_ids(vocabulary)
    texts = []
    for beginning in beginnings:
        chapter = Chapter("", tuple(beginning.split("\n")))
        parts = chapter_sentences(chapter, guess_language(beginning))
        texts.append([trained.source_vocabulary.encode(part) for part in parts])
    written: list[list[int]] = [[] for _ in texts]
    silent = [bos, padding, *([] if vocabulary.unknown_id is None else [vocabulary.unknown_id])]
    for _ in range(count):
        new = transduce(
            trained.model,
            [last_that_fit(parts[-before:], max_source) for parts in texts],
            max_target,
            bos_id=bos,
            eos_id=eos,
            padding_id=padding,
            rules=[forbid(silent), *rules],
            generator=generator,
            width=width,
            length_penalty=length_penalty,
        )
        for parts, text, ids in zip(texts, written, new, strict=True):
            text += ids
            parts += [ids] if ids else []  # a sentence of nothing says nothing to the next one
    return [vocabulary.decode(ids) for ids in written]


__all__ = ["write_on"]
