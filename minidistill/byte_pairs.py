"""Byte-pair encoding: pieces of words, learned from a text, that can write every text.

Taught in solutions/01_text_as_data.ipynb.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from minidistill.vocabulary_base import Vocabulary, check_size, check_specials, check_text, list_of


class BytePairVocabulary(Vocabulary):
    """A vocabulary of byte strings: all 256 bytes, and the pairs that training joined.

    Training starts from bytes and joins, again and again, the pair of neighbours that stands
    most often in the text (within a word; a space belongs to the word after it). Since every
    byte is a token no text has unknown tokens, and `decode(encode(text)) == text` always.
    A token is shown as its text (" the"), or, where it holds only part of a character, by its
    bytes ("<0xE4><0xBD>"). Ids that end inside a character decode to U+FFFD there.

    merges: the joined pairs, in the order in which they were learned and are applied.

    Sennrich, Haddow and Birch 2016; on bytes: Radford et al. 2019.
    Taught in solutions/01_text_as_data.ipynb.
    """

    kind = "byte pairs"
    unknown_id = None

    def __init__(
        self,
        tokens: Sequence[str],
        specials: Iterable[str] = (),
        counts: Sequence[int] | None = None,
        merges: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(tokens, specials, counts)
        self.merges = [(left, right) for left, right in merges]
        made = tokens_of_merges(self.merges)
        if self.tokens[len(self.specials) :] != made:
            raise ValueError("the tokens are not the 256 bytes and then what the merges make")
        self._tokenizer: Any = None  # made at the first encode

    @classmethod
    def train(cls, text: str, size: int, specials: Iterable[str] = ()) -> Self:
        """Learn the merges from a text, up to `size` tokens, special ones counted.

        A pair is joined only if it stands there twice, so a short text gives fewer tokens.
        The same text and size give the same vocabulary.

        Raises ValueError: a size too small for the 256 bytes and the special tokens, an empty
        text. ImportError: the `tokenizers` library is missing.
        """
        check_text(text)
        specials = check_specials(specials)
        check_size(size, len(specials) + 255)
        if not text:
            raise ValueError("the text is empty: there is nothing to learn merges from")
        tokenizers = _import_tokenizers()
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size - len(specials),
            min_frequency=2,
            initial_alphabet=_byte_letters(),
            show_progress=False,
        )
        tokenizer.train_from_iterator([text], trainer)
        learned = json.loads(tokenizer.to_str())["model"]["merges"]
        # tokenizers before 0.20 writes a merge as "a b", later ones as ["a", "b"].
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in learned]
        merges = [(_show(_from_letters(a)), _show(_from_letters(b))) for a, b in pairs]
        found = cls([*specials, *tokens_of_merges(merges)], specials, None, merges)
        counted = Counter(found.encode(text))
        found.counts = [counted[i] for i in range(len(found))]
        return found

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens.

        Raises ValueError: what is no proper text. ImportError: `tokenizers` is missing.
        """
        check_text(text)
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        return self._tokenizer.encode(text).ids

    def cut(self, size: int) -> Self:
        """Return the vocabulary that training would have found with this smaller size.

        The latest merges go, nothing becomes unknown, and texts get more tokens. The counts
        are None, for they change with every merge that goes.
        Raises ValueError: a size too small for the 256 bytes and the special tokens.
        """
        check_size(size, len(self.specials) + 255)
        if size >= len(self):
            return type(self)(self.tokens, self.specials, self.counts, self.merges)
        made = [joined(left, right) for left, right in self.merges]
        last = self.tokens[size - 1]
        kept = made.index(last) + 1 if last in made else 0  # a single byte is never made
        return type(self)(self.tokens[:size], self.specials, None, self.merges[:kept])

    def without_rare(self, least: int) -> Self:
        """Refused with ValueError: pieces are in the order of their merges, not of their counts."""
        raise ValueError("byte pairs are not in the order of their counts: use cut(size)")

    def _make_tokenizer(self) -> Any:
        tokenizers = _import_tokenizers()
        # The special tokens stay outside, so no text can become one.
        words = enumerate(self.tokens[len(self.specials) :], start=len(self.specials))
        model = tokenizers.models.BPE(
            vocab={_to_letters(token): i for i, token in words},
            merges=[(_to_letters(left), _to_letters(right)) for left, right in self.merges],
        )
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        return tokenizer

    def _join(self, tokens: list[str]) -> str:
        return b"".join(map(to_bytes, tokens)).decode("utf-8", errors="replace")

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "merges": [list(pair) for pair in self.merges]}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        merges = list_of(fields, "merges", list)
        for pair in merges:
            if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
                raise ValueError(f"a merge should be two tokens, not {pair!r}")
        return cls(*cls._read_lists(fields), merges)


def _byte_letters() -> list[str]:
    """Return the 256 letters that stand for the bytes inside the `tokenizers` library.

    A byte that prints stands for itself, the others for U+0100 and on (Radford et al. 2019).
    """
    printing = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in printing else next(spare)) for byte in range(256)]


_LETTER_OF_BYTE = _byte_letters()
_BYTE_OF_LETTER = {letter: byte for byte, letter in enumerate(_LETTER_OF_BYTE)}
_BYTES_SHOWN = re.compile(r"(?:<0x[0-9A-F]{2}>)+")


def _show(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in content)


def joined(left: str, right: str) -> str:
    """The token that two tokens of a byte-pair vocabulary make, as it is shown."""
    return _show(to_bytes(left) + to_bytes(right))


def to_bytes(token: str) -> bytes:
    """The bytes that a token of a byte-pair vocabulary stands for, maybe half a character."""
    # No text is learned as "<0xE4>": training never joins "<" to a digit.
    if _BYTES_SHOWN.fullmatch(token):
        return bytes.fromhex(token.replace("<0x", "").replace(">", ""))
    return token.encode("utf-8")


def _to_letters(token: str) -> str:
    return "".join(_LETTER_OF_BYTE[byte] for byte in to_bytes(token))


def _from_letters(letters: str) -> bytes:
    return bytes(_BYTE_OF_LETTER[letter] for letter in letters)


def tokens_of_merges(merges: Iterable[tuple[str, str]]) -> list[str]:
    """Return the 256 bytes and then what each merge makes, in order, each once."""
    tokens = dict.fromkeys(_show(bytes([byte])) for byte in range(256))
    for left, right in merges:
        if left not in tokens or right not in tokens:
            raise ValueError(f"the merge of {left!r} and {right!r} uses a token not made before")
        tokens[joined(left, right)] = None
    return list(tokens)


def _import_tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            'byte-pair encoding needs the tokenizers library: pip install "minidistill[bpe]"'
        ) from error
    return tokenizers
