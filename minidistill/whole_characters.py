"""Only whole characters: byte pairs that may follow each other, so that no "\\ufffd" is written.

A small vocabulary writes a rare character in two or three pieces of its bytes. A model that
stops in the middle, or goes on with a byte of another character, has written no text.
"""

from __future__ import annotations

import codecs
import re

import torch
from torch import Tensor

from minidistill.byte_pairs import BytePairVocabulary, to_bytes
from minidistill.rules import Rule

_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")


def whole_characters(vocabulary: BytePairVocabulary) -> Rule:
    """The rule that lets through only pieces with which the text stays proper UTF-8.

    keep piece c where the bytes of the character begun so far, and then those of c, are whole
    characters and at most the beginning of one more

    The text may still end inside a character where it is cut off by its length: `decode` writes
    "\\ufffd" for that one, or leave off the last tokens. Special tokens are let through between
    characters only. What a prompt breaks does not count: its broken bytes are no beginning.

    Raises:
        ValueError: another kind of vocabulary: its tokens are whole characters as they are.

    Source: UTF-8: RFC 3629, 2003.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    if not isinstance(vocabulary, BytePairVocabulary):
        raise ValueError(
            f"whole_characters is for byte pairs; the tokens of a {type(vocabulary).__name__} "
            "are whole characters"
        )
    special = {vocabulary.token_to_id[name] for name in vocabulary.specials}
    pieces = [b"" if i in special else to_bytes(t) for i, t in enumerate(vocabulary.tokens)]
    allowed: dict[bytes, Tensor] = {}

    def rule(logits: Tensor, tokens: Tensor) -> Tensor:
        rows = []
        for row in tokens[:, -4:].tolist():  # a character has at most four bytes
            begun = _begun(b"".join(pieces[i] for i in row))
            if begun not in allowed:
                kept = [_fits(begun + c) if c else not begun for c in pieces]
                allowed[begun] = torch.tensor(kept)
            rows.append(allowed[begun])
        return logits.masked_fill(~torch.stack(rows).to(logits.device), -torch.inf)

    rule.__name__ = "whole_characters"
    return rule


def _fits(content: bytes) -> bool:
    """Whether some bytes are whole characters and at most the beginning of one more."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return False
    # Half of a surrogate pair is no character, which the decoder sees one byte later.
    return not _SURROGATE.search(content)


def _begun(content: bytes) -> bytes:
    """The bytes at the end that are the beginning of a character, b"" where there is none."""
    for length in (3, 2, 1):
        end = content[-length:] if len(content) >= length else b""
        if end and end[0] >= 0xC0 and _fits(end):
            decoder = codecs.getincrementaldecoder("utf-8")()
            if decoder.decode(end) == "":
                return end
    return b""


__all__ = ["whole_characters"]
