"""What every vocabulary is: a list of tokens, two ways between text and ids, and a file.

Use the kinds in `minidistill.vocabulary`. Taught in solutions/01_text_as_data.ipynb.
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
    kinds: ClassVar[dict[str, type["Vocabulary"]]] = {}  # all that `load` can read, by name
    unknown_id: int | None = 0

    def __init_subclass__(cls) -> None:
        # The first class of a name keeps it, so a class of your own does not change `load`.
        if "kind" in vars(cls):
            Vocabulary.kinds.setdefault(cls.kind, cls)

    def __init__(
        self,
        tokens: Sequence[str],
        specials: Iterable[str] = (),
        counts: Sequence[int] | None = None,
    ) -> None:
        self.tokens = list(tokens)
        self.specials = check_specials(specials)
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
        check_text(text)
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
        check_size(size, len(self._reserved(self.specials)))
        counts = self.counts
        if counts is not None:
            counts = [counts[0] + sum(counts[size:]), *counts[1:size]]
        return type(self)(self.tokens[:size], self.specials, counts)

    def without_rare(self, least: int) -> Self:
        """Return a vocabulary of the special tokens and those that stand `least` times or more.

        Raises ValueError: a vocabulary without counts, or in which no token is so frequent.
        Taught in solutions/07_word_embeddings.ipynb.
        """
        if self.counts is None:
            raise ValueError("this vocabulary has no counts: build it from a text")
        reserved = len(self._reserved(self.specials))
        kept = sum(count >= least for count in self.counts[reserved:])
        if not kept:
            raise ValueError(f"no token stands {least} times in the text: ask for fewer")
        return self.cut(reserved + kept)

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
        kinds = Vocabulary.kinds
        kind, version = fields.get("kind"), fields.get("version")
        if not isinstance(kind, str) or kind not in kinds:
            raise ValueError(f"{path}: the kind {kind!r} is none of {', '.join(sorted(kinds))}")
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
        counts = None if fields.get("counts") is None else list_of(fields, "counts", int)
        return list_of(fields, "tokens", str), list_of(fields, "specials", str), counts

    def _check_ids(self, ids: Sequence[int] | Tensor) -> list[int]:
        if isinstance(ids, Tensor) and ids.dim() != 1:
            raise ValueError(f"decode takes one row of ids, but got shape {tuple(ids.shape)}")
        ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        for i in ids:
            if type(i) is not int or not 0 <= i < len(self):
                raise ValueError(f"{i!r} is not an id: ids are integers from 0 to {len(self) - 1}")
        return ids


def check_text(text: str) -> None:
    """Raise ValueError where the text is no string, or no UTF-8 file could hold it."""
    if not isinstance(text, str):
        raise ValueError(f"the text should be a string, but is a {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} of the text is half of a surrogate pair, which no text "
            "file may hold: read the file again as UTF-8"
        ) from error


def check_size(size: int, reserved: int) -> None:
    """Raise ValueError where the size leaves no room for a token beside the reserved ones."""
    if type(size) is not int or size <= reserved:
        raise ValueError(f"size is {size!r} but must be an integer of at least {reserved + 1}")


def check_specials(specials: Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple; raises ValueError for one not written like `<name>`."""
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


def list_of(fields: dict[str, Any], name: str, kind: type) -> list[Any]:
    """Return a field of a file; raises ValueError where it is not a list of that type."""
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
