"""Vocabularies: a text becomes a list of numbers, and a list of numbers becomes a text again.

Three kinds, by what one token is: a character, a word, or a piece of a word that byte-pair
encoding found. Taught in solutions/01_text_as_data.ipynb.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor

UNKNOWN = "<unk>"
PAD = "<pad>"
BOS = "<bos>"
EOS = "<eos>"
LOST = "□"  # what an unknown token is written as: the mark printers use for a lost character
VERSION = 1  # of the saved file

# A special token's name is never a token of a text: characters are shorter, and neither
# `split_words` nor byte-pair encoding joins a bracket to a letter. So a novel that contains
# "<pad>" cannot smuggle in the special id.
_SPECIAL_NAME = re.compile(r"<[a-z][a-z_]*>")


class Vocabulary:
    """A list of tokens whose places are their ids, and the two ways between text and ids.

    tokens: all tokens, special ones first, then the most frequent first. token_to_id: the
    same list the other way round. specials: names of the reserved tokens, without `<unk>`.
    unknown_id: the id of every token that is not in the list, or None where that cannot
    happen. counts: how often each token stood in the training text (special tokens 0, the
    unknown token as often as it stands for a token that was cut away), or None.

    Raises ValueError: a token twice, a special token not written like `<name>`.
    Taught in solutions/01_text_as_data.ipynb.
    """

    kind: ClassVar[str]
    unknown_id: int | None = 0

    def __init__(
        self,
        tokens: Sequence[str],
        specials: Iterable[str] = (),
        counts: Sequence[int] | None = None,
    ) -> None:
        self.tokens = list(tokens)
        self.specials = _check_specials(specials)
        self.counts = None if counts is None else list(counts)
        self.token_to_id = {token: i for i, token in enumerate(self.tokens)}
        if len(self.token_to_id) != len(self.tokens):
            twice = Counter(self.tokens).most_common(1)[0][0]
            raise ValueError(f"the token {twice!r} stands twice in the vocabulary")
        first = self._reserved(self.specials)
        if self.tokens[: len(first)] != first:
            raise ValueError(
                f"the vocabulary must begin with {first}, but it begins with "
                f"{self.tokens[: len(first)]}"
            )
        if self.counts is not None and len(self.counts) != len(self.tokens):
            raise ValueError(f"{len(self.tokens)} tokens but {len(self.counts)} counts")

    @classmethod
    def _reserved(cls, specials: Sequence[str]) -> list[str]:
        return [*([] if cls.unknown_id is None else [UNKNOWN]), *specials]

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} tokens)"

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens. Raises ValueError: what is no proper text."""
        _check_text(text)
        unknown = self.unknown_id
        get = self.token_to_id.get
        return [get(token, unknown) for token in self._split(text)]

    def decode(self, ids: Sequence[int] | Tensor) -> str:
        """Return the text of a list or 1-D tensor of ids.

        An unknown token is written "□"; the other special tokens are no text and are left
        out. Raises ValueError: an id outside the vocabulary, ids that are not integers.
        """
        silent = {self.token_to_id[name] for name in self.specials}
        shown = [i for i in self._check_ids(ids) if i not in silent]
        return self._join([LOST if i == self.unknown_id else self.tokens[i] for i in shown])

    def coverage(self, text: str) -> float:
        """Return the share of the text's tokens that the vocabulary knows, from 0 to 1.

        Raises ValueError: a text without tokens.
        """
        ids = self.encode(text)
        if not ids:
            raise ValueError("coverage of a text without tokens is not defined")
        return 1 - ids.count(self.unknown_id) / len(ids)

    def cut(self, size: int) -> Self:
        """Return a vocabulary of the special tokens and the most frequent others, `size` in all.

        What is cut away is unknown from then on. Order and the kept tokens' ids stay.
        Raises ValueError: a size with no room for any token beside the special ones.
        Taught in solutions/10_vocabulary_distillation.ipynb.
        """
        _check_size(size, len(self._reserved(self.specials)))
        counts = self.counts
        if counts is not None:
            counts = [counts[0] + sum(counts[size:]), *counts[1:size]]
        return type(self)(self.tokens[:size], self.specials, counts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary to a JSON file, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            half.write_bytes(_to_json(self._fields()).encode("utf-8"))
            os.replace(half, path)
        finally:
            half.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a vocabulary of any kind that `save` wrote.

        Raises ValueError: not JSON, no vocabulary, an unknown kind, a newer version, a
        missing or damaged field, another kind than the class it is called on.
        """
        fields = _read_json(Path(path))
        kinds = {kind.kind: kind for kind in (CharacterVocabulary, WordVocabulary)}
        kinds[BytePairVocabulary.kind] = BytePairVocabulary
        kind, version = fields.get("kind"), fields.get("version")
        if not isinstance(kind, str) or kind not in kinds:
            raise ValueError(f"{path}: the kind {kind!r} is none of {', '.join(kinds)}")
        if type(version) is not int or version < 1:
            raise ValueError(f"{path}: the version is {version!r} but should be a number from 1")
        if version > VERSION:
            raise ValueError(
                f"{path} was written by a newer minidistill (file version {version}, this one "
                f"reads {VERSION}): upgrade minidistill, or save the vocabulary again here"
            )
        if not issubclass(kinds[kind], cls):
            raise ValueError(f"{path} holds a vocabulary of {kind}, not of {cls.kind}")
        try:
            return kinds[kind]._from_fields(fields)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def _split(self, text: str) -> Iterable[str]:
        raise NotImplementedError("use CharacterVocabulary, WordVocabulary or BytePairVocabulary")

    def _join(self, tokens: list[str]) -> str:
        return "".join(tokens)

    def _fields(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "version": VERSION,
            "specials": list(self.specials),
            "tokens": self.tokens,
            "counts": self.counts,
        }

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        return cls(*cls._read_lists(fields))

    @staticmethod
    def _read_lists(fields: dict[str, Any]) -> tuple[list[str], list[str], list[int] | None]:
        counts = None if fields.get("counts") is None else _list_of(fields, "counts", int)
        return _list_of(fields, "tokens", str), _list_of(fields, "specials", str), counts

    def _check_ids(self, ids: Sequence[int] | Tensor) -> list[int]:
        if isinstance(ids, Tensor) and ids.dim() != 1:
            raise ValueError(f"decode takes one row of ids, but got shape {tuple(ids.shape)}")
        ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        for i in ids:
            if type(i) is not int or not 0 <= i < len(self):
                raise ValueError(f"{i!r} is not an id: ids are integers from 0 to {len(self) - 1}")
        return ids


class _MostFrequent(Vocabulary):
    """What characters and words share: the tokens that stand most often in a text are kept."""

    @classmethod
    def build(cls, text: str, size: int | None = None, specials: Iterable[str] = ()) -> Self:
        """Return the vocabulary of a text: most frequent first, ties by first appearance.

        size: how many tokens at most, special ones counted; None keeps all. The unknown
        token has id 0 and the special tokens come next.

        Raises ValueError: a text without tokens, a size with no room for any of them, a
        special token not written like `<name>`. Taught in solutions/01_text_as_data.ipynb.
        """
        _check_text(text)
        reserved = cls._reserved(_check_specials(specials))
        if size is not None:
            _check_size(size, len(reserved))
        # A Counter keeps first appearance, and most_common sorts stably.
        counted = Counter(cls._split(text)).most_common()
        if not counted:
            raise ValueError("the text holds no tokens: there is nothing to build from")
        tokens = reserved + [token for token, _ in counted]
        counts = [0] * len(reserved) + [count for _, count in counted]
        whole = cls(tokens, reserved[1:], counts)
        return whole if size is None else whole.cut(size)


class CharacterVocabulary(_MostFrequent):
    """A vocabulary whose tokens are single characters (Unicode code points).

    `decode(encode(text)) == text` for every text of known characters.
    Taught in solutions/01_text_as_data.ipynb.
    """

    kind = "characters"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return text


class WordVocabulary(_MostFrequent):
    """A vocabulary whose tokens are words, punctuation marks and single Chinese characters.

    `split_words` says what a token is. White space is lost, so `decode` sets spaces by rule:
    the text comes back as people write it, not exactly as it was. But splitting it again
    gives the same tokens. Taught in solutions/01_text_as_data.ipynb.
    """

    kind = "words"

    @staticmethod
    def _split(text: str) -> Iterable[str]:
        return split_words(text)

    def _join(self, tokens: list[str]) -> str:
        return join_words(tokens)


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
        made = _tokens_of_merges(self.merges)
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
        _check_text(text)
        specials = _check_specials(specials)
        _check_size(size, len(specials) + 255)
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
        found = cls([*specials, *_tokens_of_merges(merges)], specials, None, merges)
        counted = Counter(found.encode(text))
        found.counts = [counted[i] for i in range(len(found))]
        return found

    def encode(self, text: str) -> list[int]:
        """Return the ids of the text's tokens.

        Raises ValueError: what is no proper text. ImportError: `tokenizers` is missing.
        """
        _check_text(text)
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        return self._tokenizer.encode(text).ids

    def cut(self, size: int) -> Self:
        """Return the vocabulary that training would have found with this smaller size.

        The latest merges go, nothing becomes unknown, and texts get more tokens. The counts
        are None, for they change with every merge that goes.
        Raises ValueError: a size too small for the 256 bytes and the special tokens.
        """
        _check_size(size, len(self.specials) + 255)
        if size >= len(self):
            return type(self)(self.tokens, self.specials, self.counts, self.merges)
        made = [_show(_to_bytes(left) + _to_bytes(right)) for left, right in self.merges]
        last = self.tokens[size - 1]
        kept = made.index(last) + 1 if last in made else 0  # a single byte is never made
        return type(self)(self.tokens[:size], self.specials, None, self.merges[:kept])

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
        return b"".join(map(_to_bytes, tokens)).decode("utf-8", errors="replace")

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "merges": [list(pair) for pair in self.merges]}

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Self:
        merges = _list_of(fields, "merges", list)
        for pair in merges:
            if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
                raise ValueError(f"a merge should be two tokens, not {pair!r}")
        return cls(*cls._read_lists(fields), merges)


_HAN = r"\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_LETTER = rf"[^\W_{_HAN}]"
_WORD = re.compile(
    rf"""
      [{_HAN}]                                  # one Chinese character, or
    | \d+ (?: [.,]\d+ )+                        # a number with points: 1,000.50, or
    | {_LETTER} (?: {_LETTER} | [\u0300-\u036f]   # a word: letters, digits, their accents,
        | ['’-](?={_LETTER}) )*                 # apostrophe or hyphen inside: don't, ill-bred
    | --                                        # a typewriter's dash, or
    | \n\s*                                     # line breaks: the end of a paragraph, or
    | \S                                        # any other character that is not white space
    """,
    re.VERBOSE,
)
PARAGRAPH = "\n"  # the token that ends a paragraph, however many line breaks stand there


def split_words(text: str) -> list[str]:
    """Return the words, punctuation marks and Chinese characters of a text, in order.

    One regular expression, `_WORD`, says what a token is: a single Chinese character; a
    number with points or commas inside; a run of letters and digits, with accents, and with
    apostrophes and hyphens inside it; "--"; line breaks, which end a paragraph and become one
    token "\\n" together; any other single character. Other white space only separates. Upper
    and lower case stay apart. A file with line breaks inside its paragraphs should be cleaned
    first, as `minidistill.novels` does. Taught in solutions/01_text_as_data.ipynb.
    """
    return [PARAGRAPH if token[0] == "\n" else token for token in _WORD.findall(text)]


_AFTER_WORD = set(".,;:!?)]}”’%…")  # no space before
_BEFORE_WORD = set("([{“‘")  # no space after
_PAIRED = set('"_')  # opens and closes with the same mark
# Characters and marks of Chinese (full-width letters are letters), dashes, and paragraphs:
# no space on either side.
_MARKS = r"\u3001-\u3004\u3008-\u3020\u3030\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_TIGHT = re.compile(rf"[{_HAN}{_MARKS}—–\n]|--")


def join_words(tokens: Iterable[str]) -> str:
    """Return tokens of `split_words` as text, with spaces where people write them."""
    pieces: list[str] = []
    open_marks: set[str] = set()
    last, glue = PARAGRAPH, True
    for token in tokens:
        tight = _TIGHT.fullmatch(token) is not None
        closes = token in open_marks
        glue = glue or tight or closes or token in _AFTER_WORD
        # A dash beside a hyphen would read as another dash.
        if not glue or last[-1] == token[0] == "-":
            pieces.append(" ")
        pieces.append(token)
        if token == PARAGRAPH:
            open_marks.clear()  # a paragraph closes what it opened
        elif token in _PAIRED:
            open_marks ^= {token}
        glue = tight or token in _BEFORE_WORD or (token in _PAIRED and not closes)
        last = token
    return "".join(pieces)


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


def _to_bytes(token: str) -> bytes:
    # No text is learned as "<0xE4>": training never joins "<" to a digit.
    if _BYTES_SHOWN.fullmatch(token):
        return bytes.fromhex(token.replace("<0x", "").replace(">", ""))
    return token.encode("utf-8")


def _to_letters(token: str) -> str:
    return "".join(_LETTER_OF_BYTE[byte] for byte in _to_bytes(token))


def _from_letters(letters: str) -> bytes:
    return bytes(_BYTE_OF_LETTER[letter] for letter in letters)


def _tokens_of_merges(merges: Iterable[tuple[str, str]]) -> list[str]:
    """Return the 256 bytes and then what each merge makes, in order, each once."""
    tokens = dict.fromkeys(_show(bytes([byte])) for byte in range(256))
    for left, right in merges:
        if left not in tokens or right not in tokens:
            raise ValueError(f"the merge of {left!r} and {right!r} uses a token not made before")
        tokens[_show(_to_bytes(left) + _to_bytes(right))] = None
    return list(tokens)


def _import_tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            'byte-pair encoding needs the tokenizers library: pip install "minidistill[bpe]"'
        ) from error
    return tokenizers


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"the text should be a string, but is a {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} of the text is half of a surrogate pair, which no text "
            "file may hold: read the file again as UTF-8"
        ) from error


def _check_size(size: int, reserved: int) -> None:
    if type(size) is not int or size <= reserved:
        raise ValueError(f"size is {size!r} but must be an integer of at least {reserved + 1}")


def _check_specials(specials: Iterable[str]) -> tuple[str, ...]:
    if isinstance(specials, str):
        raise ValueError(f'specials should be a list of names: ("{specials}",)')
    names = tuple(specials)
    for name in names:
        if not isinstance(name, str) or not _SPECIAL_NAME.fullmatch(name) or name == UNKNOWN:
            raise ValueError(
                f"{name!r} cannot be a special token: write it in small letters between < and "
                f">, like {PAD}; {UNKNOWN} is there without asking"
            )
    return names


def _list_of(fields: dict[str, Any], name: str, kind: type) -> list[Any]:
    values = fields.get(name)
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise ValueError(f"the field {name!r} is missing, or is not a list of {kind.__name__}")
    return values


def _to_json(fields: dict[str, Any]) -> str:
    """Return JSON with every item of a list on a line of its own, to be read by people."""

    def lines(value: Any) -> str:
        if not isinstance(value, list) or not value:
            return json.dumps(value, ensure_ascii=False)
        items = (json.dumps(item, ensure_ascii=False) for item in value)
        return "[\n  " + ",\n  ".join(items) + "\n ]"

    return "{\n " + ",\n ".join(f'"{name}": {lines(fields[name])}' for name in fields) + "\n}\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file, so not a vocabulary: {error}") from error
    if not isinstance(fields, dict) or "kind" not in fields:
        raise ValueError(f"{path} is JSON but not a vocabulary: it has no field 'kind'")
    return fields
