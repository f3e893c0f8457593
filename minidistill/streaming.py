"""Text in and out of a writer: the prompt's ids, and what each new token adds to the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from minidistill.rules import Rule, forbid

_PARTIAL = "\ufffd"  # what the beginning of a character decodes to


def readable(
    vocabulary: Any, prompt: str, rules: Sequence[Rule]
) -> tuple[list[int], Sequence[Rule]]:
    """The ids of a prompt, and the rules with one more that forbids the unknown token.

    Raises:
        ValueError: a prompt without tokens.
    """
    ids = vocabulary.encode(prompt)
    if not ids:
        raise ValueError("the prompt is empty: give the writer a few characters to go on from")
    if vocabulary.unknown_id is not None:
        rules = [*rules, forbid([vocabulary.unknown_id])]
    return ids, rules


def text_pieces(
    vocabulary: Any, prompt: str, ids: Sequence[int], new: Iterable[int]
) -> Iterator[str]:
    """Yield the prompt and then what each new token adds to the text; joined, the whole text.

    A token of byte pairs may hold only part of a character, so the end of the text is held
    back until its character is whole, or nothing more comes. A token that adds nothing yields
    nothing.

    Args:
        vocabulary: whatever it decodes must only grow with more ids, but for such an end, and
            must not depend on what stands before a line break.
        prompt, ids: the prompt as it was given, and encoded.
        new: the ids written after it.
    """
    yield prompt
    before = vocabulary.decode(ids)
    # A prompt may end in the space that the vocabulary would set before the next word.
    spaced = prompt[-1:].isspace() and not before[-1:].isspace()
    past, shown = list(ids), before
    for token in new:
        past.append(token)
        text = vocabulary.decode(past)
        piece = text.removesuffix(_PARTIAL)[len(shown) :]
        if not piece:
            continue
        shown += piece
        if text.endswith("\n"):
            past, shown = [], ""  # decoding only the paragraph keeps a long text fast
        if spaced:
            piece, spaced = piece.removeprefix(" "), False
        if piece:
            yield piece
    rest = vocabulary.decode(past)[len(shown) :]
    if rest:
        yield rest


def show(pieces: Iterable[str]) -> None:
    """Print the pieces of a text as they come, in a notebook or a terminal, and a line break.

    `show(stream(model, vocabulary, "The river ", 200))`; interrupted, what was written stays.
    Taught in solutions/04_writing.ipynb.
    """
    try:
        for piece in pieces:
            print(piece, end="", flush=True)
    finally:
        print(flush=True)
