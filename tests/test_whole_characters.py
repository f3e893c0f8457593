"""Pieces of characters that may follow each other: the text is always proper UTF-8."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minidistill.byte_pairs import BytePairVocabulary
from minidistill.device import seeded
from minidistill.generation import generate
from minidistill.language_model import LanguageModel
from minidistill.recurrent import GRU
from minidistill.vocabulary import CharacterVocabulary
from minidistill.whole_characters import whole_characters

TEXT = "老温说：“好。”他走了，他又来了。\nOld Wen said, “Good.” Old Wen went. été"
PIECES = BytePairVocabulary.train(TEXT * 3, 290, specials=["<bos>"])


def allowed(text: bytes) -> set[str]:
    """The pieces that may follow these bytes, each given as a piece of its own."""
    by_bytes = [PIECES.token_to_id[token] for token in PIECES.tokens[1:257]]
    row = torch.tensor([[by_bytes[byte] for byte in text]], dtype=torch.long)
    kept = whole_characters(PIECES)(torch.zeros(1, len(PIECES)), row)[0]
    return {PIECES.tokens[i] for i in torch.isfinite(kept).nonzero().flatten().tolist()}


def test_inside_a_character_only_its_next_bytes_may_come() -> None:
    inside = allowed("老".encode()[:2])
    assert "<0x81>" in inside and "a" not in inside and "<0xE8>" not in inside
    assert "<bos>" not in inside
    between = allowed("老".encode())
    assert {"a", "<0xE8>", "<bos>"} <= between and "<0x81>" not in between


def test_what_no_character_begins_with_is_never_written() -> None:
    never = {f"<0x{byte:02X}>" for byte in (0xC0, 0xC1, *range(0xF5, 0x100))}
    assert not never & allowed(b"a")
    assert "<0xA0>" not in allowed(b"\xed") and "<0x9F>" in allowed(b"\xed")  # surrogates
    assert "<0x90>" not in allowed(b"\xf4") and "<0x80>" not in allowed(b"\xe0")


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_whatever_the_model_wants_the_text_is_proper(seed: int, length: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    rule = whole_characters(PIECES)
    tokens = torch.tensor([PIECES.encode("老")] * 2)
    for _ in range(length):
        logits = rule(4 * torch.randn(2, len(PIECES), generator=chance), tokens)
        tokens = torch.cat([tokens, logits.softmax(-1).multinomial(1, generator=chance)], 1)
    for row in tokens:
        text = PIECES.decode(row)
        assert "\ufffd" not in text.rstrip("\ufffd")
        assert len(text) - len(text.rstrip("\ufffd")) <= 1


def test_each_row_and_the_models_own_order_are_kept() -> None:
    with seeded(0):
        model = LanguageModel(len(PIECES), 7, GRU(7, 11))
    prompt = torch.tensor([PIECES.encode("温")[:2], PIECES.encode("ab")[:2]])
    written = generate(
        model,
        prompt,
        40,
        rules=[whole_characters(PIECES)],
        generator=torch.Generator().manual_seed(1),
    )
    alone = [whole_characters(PIECES)(torch.zeros(1, len(PIECES)), row[None])[0] for row in written]
    together = whole_characters(PIECES)(torch.zeros(2, len(PIECES)), written)
    assert torch.equal(together, torch.stack(alone))


def test_a_broken_prompt_does_not_stop_the_text() -> None:
    assert "a" in allowed(b"\x81") and "a" in allowed(b"\xe8\x41")


def test_other_vocabularies_are_refused() -> None:
    with pytest.raises(ValueError, match="CharacterVocabulary are whole characters"):
        whole_characters(CharacterVocabulary.build("abc"))
