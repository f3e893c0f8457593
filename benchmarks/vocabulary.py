"""Vocabulary distillation, measured: two teachers, one student, vocabularies of many sizes.

    python benchmarks/vocabulary.py [--teachers pieces words] [--students ...] [--seeds 0 1 2]
        [--out data/measured/vocabulary.json] [--keep FOLDER]

An English teacher and a Chinese one with 2,606 characters teach students of one layer over the
house novel in both languages. The English one reads 4,096 byte pairs and four novels ("pieces"),
or the 2,056 words that the house novel has twice or more, and <unk>, and that novel only
("words"). The students called "all" have every token of both teachers; the others have byte pairs
that the tokens are made of. All take the same number of updates, and the same text in each.
Figures are bits per character of held-out chapters, of all characters and of those of rare words
alone (seen fewer than three times); an unknown word costs its <unk> and its spelling.

Every result is written at once and whole: started again, only what is missing is done. `--keep`
saves the last student of pieces, in int8, for data/models.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from keeping import keep_student
from recurrent import machine
from torch import Tensor

from minidistill import (
    LanguageModel,
    fast_matmul,
    fit,
    generate,
    load_novel,
    load_writer,
    parameter_count,
    seeded,
)
from minidistill.batches import ContinuousBatches
from minidistill.byte_pairs import BytePairVocabulary, to_bytes
from minidistill.checkpoints import write_text
from minidistill.common_pieces import common_pieces
from minidistill.distilling import PassTargets
from minidistill.metrics import bits_per_character
from minidistill.novels import Split
from minidistill.open_vocabulary import OpenTeacher, Speller
from minidistill.pass_writing import write_passes
from minidistill.piece_map import PieceMap
from minidistill.recurrent import LSTM
from minidistill.several_teachers import JoinedPasses
from minidistill.training import Recipe
from minidistill.vocabulary import SpacedWordVocabulary, Vocabulary, split_spaced
from minidistill.whole_characters import whole_characters
from minidistill.writers import SPELLINGS

STEPS, RATE, ALPHA, BATCH, LENGTH = 1000, 2e-2, 0.7, 24, 32
RARE = 3  # a word seen fewer times in training is rare
DROPOUT = 0.1  # better than 0.3 for the students with all tokens; one value for everyone
# Name: how many pieces (0: all tokens of both teachers), width.
STUDENTS = {
    "words": {"460 pieces": (460, 352), "all": (0, 256)},
    "pieces": {
        "640 pieces": (640, 256),
        "all": (0, 256),
        "640 pieces, wide": (640, 448),
        **{f"{n} pieces": (n, 256) for n in (2400, 1200, 400, 300)},
    },
}


class Language(NamedTuple):
    """What one teacher brings. spell: nats of unknown tokens' spellings; known: how many known."""

    name: str
    teacher: torch.nn.Module
    vocabulary: Vocabulary
    train: str
    held_out: dict[str, str]
    known: int
    spell: Callable[[list[str]], Tensor]


def byte_pairs_teacher(parts: Split) -> tuple[torch.nn.Module, Vocabulary, int, Any]:
    """The English teacher that comes with the course; nothing is unknown to it."""
    model, vocabulary = load_writer("teacher_en")
    model.recurrent.engine = "torch"
    return model, vocabulary, len(vocabulary), None


def words_teacher(parts: Split) -> tuple[torch.nn.Module, Vocabulary, int, Any]:
    """A teacher of words, trained here; words seen once are unknown to it, and spelled."""
    whole = SpacedWordVocabulary.build(parts.train.text)
    known = whole.cut(sum(count >= 2 for count in whole.counts) + 1)
    ids = torch.tensor(known.encode("\n" + parts.train.text))
    held = torch.tensor(known.encode("\n" + parts.validation.text))
    with seeded(0):
        model = LanguageModel(len(known), 256, LSTM(256, 256, engine="torch"), 0.5, tied=True)
    how = Recipe(500, 4e-3, weight_decay=0.05, validate_every=50)
    laid, validation = ContinuousBatches(ids, 16, 48), ContinuousBatches(held, 4, 64)
    fit(model, laid, how, validation=validation, progress=False)
    rare = whole.tokens[len(known) :]
    letters = {c: i for i, c in enumerate(sorted(set("".join(rare))))}
    other = len(letters)  # a letter that no rare word has
    ids_of = lambda words: [[letters.get(c, other) for c in word] for word in words]  # noqa: E731
    speller = Speller(ids_of(rare), len(letters) + 1, order=5)
    return OpenTeacher(model, known, whole), whole, len(known), lambda w: speller.nats(ids_of(w))


ENGLISH = {"pieces": byte_pairs_teacher, "words": words_teacher}


def free_choice(characters: list[str]) -> Tensor:
    """An unknown character is a free choice among those of Unicode's main Chinese block."""
    return torch.full((len(characters),), math.log(SPELLINGS), dtype=torch.float64)


@cache
def languages(teachers: str) -> tuple[Language, ...]:
    """The teachers and the house novel in their languages."""
    found = []
    for name in ("en", "zh"):
        parts = load_novel(language=name).split()
        held = {"validation": parts.validation.text, "test": parts.test.text}
        if name == "en":
            model, vocabulary, known, spell = ENGLISH[teachers](parts)
        else:
            model, vocabulary = load_writer("house_zh")
            model.recurrent.engine = "torch"
            known, spell = len(vocabulary), free_choice
        found.append(Language(name, model, vocabulary, parts.train.text, held, known, spell))
    return tuple(found)


class Pieces:
    """A student's vocabulary: how each language's teacher tokens are spelled in it."""

    def __init__(self, size: int, languages: Sequence[Language]) -> None:
        self.small: BytePairVocabulary | None = None
        self.languages = languages
        vocabularies = [language.vocabulary for language in languages]
        if size:
            self.small = common_pieces(vocabularies, [one.train for one in languages], size)
            self.size = len(self.small)
            self.maps = [PieceMap(vocabulary, self.small) for vocabulary in vocabularies]
            return
        tokens = dict.fromkeys(t for one in languages for t in one.vocabulary.tokens[: one.known])
        place = {token: i for i, token in enumerate(tokens)}
        self.size, self.unknown_id = len(place), place["<unk>"]
        self.maps = [PieceMap(v, range(self.size), self._whole(v, place)) for v in vocabularies]

    def _whole(self, vocabulary: Vocabulary, place: dict[str, int]) -> list[tuple[int, ...]]:
        """Each token as it is; one that is not known as <unk>, whose own spelling is none."""
        return [
            () if i == vocabulary.unknown_id else (place.get(token, self.unknown_id),)
            for i, token in enumerate(vocabulary.tokens)
        ]

    def encode(self, number: int, text: str) -> tuple[Tensor, list[str | bytes]]:
        """A text's ids, a line's end before it, and what each of them stands for."""
        vocabulary = self.small or self.languages[number].vocabulary
        ids, text = vocabulary.encode("\n" + text), "\n" + text
        if isinstance(vocabulary, BytePairVocabulary):
            parts: list[Any] = [to_bytes(vocabulary.tokens[i]) for i in ids]
        elif isinstance(vocabulary, SpacedWordVocabulary):
            parts = split_spaced(text)
        else:
            parts = list(text)
        if self.small is None:
            spelled = self.maps[number].spelled
            ids = [spelled[i][0] if spelled[i] else self.unknown_id for i in ids]
        return torch.tensor(ids), parts


@torch.no_grad()
def costs(model: LanguageModel, pieces: Pieces, number: int, text: str) -> Tensor:
    """What each byte of a text costs in nats: a token's cost shared out evenly among its bytes."""
    ids, parts = pieces.encode(number, text)
    model.eval()
    logits, _ = model(ids[None, :-1])
    nats = torch.nn.functional.cross_entropy(logits[0], ids[1:], reduction="none").double()
    if pieces.small is None:
        unknown = ids[1:] == pieces.unknown_id
        words = [part for part, lost in zip(parts[1:], unknown.tolist(), strict=True) if lost]
        if words:
            nats[unknown] += pieces.languages[number].spell(words)
    shares = torch.tensor([len(p if isinstance(p, bytes) else p.encode()) for p in parts[1:]])
    return torch.repeat_interleave(nats / shares, shares)


def rare_bytes(train: str, text: str) -> tuple[Tensor, int, int]:
    """Which bytes of a text belong to rare words; how many characters and words these are."""
    seen = Counter(word.strip() for word in split_spaced(train))
    words = split_spaced(text)
    ends = list(accumulate((len(word.encode()) for word in words), initial=0))
    kept = torch.zeros(ends[-1], dtype=torch.bool)
    rare = [seen[w.strip()] < RARE and any(c.isalpha() for c in w) for w in words]
    for is_rare, (start, stop) in zip(rare, pairwise(ends), strict=True):
        kept[start:stop] = is_rare
    chosen = [word for word, is_rare in zip(words, rare, strict=True) if is_rare]
    return kept, sum(map(len, chosen)), len(chosen)


def measured(model: LanguageModel, pieces: Pieces) -> dict[str, Any]:
    """Bits per character of each language's held-out chapters, and of their rare words."""
    found: dict[str, Any] = {}
    for number, language in enumerate(pieces.languages):
        rare_nats, rare_characters = 0.0, 0
        for part, text in language.held_out.items():
            nats = costs(model, pieces, number, text)
            found[f"{language.name} {part}"] = _bits(float(nats.sum()), len(text))
            kept, characters, _ = rare_bytes(language.train, text)
            rare_nats += float(nats[kept].sum())
            rare_characters += characters
        found[f"{language.name} rare"] = _bits(rare_nats, rare_characters)
    return found


def _bits(nats: float, characters: int) -> float:
    return round(bits_per_character(nats, characters), 4)


def train(pieces: Pieces, width: int, seed: int, taught: bool, work: Path) -> LanguageModel:
    """One student, which ends with the weights of its best validation."""
    passes, texts, tokens = [], [], 0
    for language, spelling in zip(pieces.languages, pieces.maps, strict=True):
        ids = torch.tensor(language.vocabulary.encode(language.train))
        folder = work / f"{language.name}-{language.known}-{pieces.size}"
        passes.append(
            write_passes(folder, language.teacher, ids, draws=32, spelling=spelling, progress=False)
        )
        texts.append(spelling.encode(ids))
        tokens += len(ids)
    joined = JoinedPasses(passes, texts)
    length = round(LENGTH * len(joined.ids) / tokens)  # as much text in each update
    with seeded(seed):
        model = LanguageModel(
            pieces.size, width, LSTM(width, width, engine="torch"), DROPOUT, tied=True
        )
    held = [
        pieces.encode(n, one.held_out["validation"])[0] for n, one in enumerate(pieces.languages)
    ]
    how = Recipe(STEPS, RATE, weight_decay=0.01, validate_every=100, seed=seed)
    validation = ContinuousBatches(torch.cat(held), 8, 64)
    if taught:
        laid: Any = joined.batches(joined.ids, BATCH, length)
        fit(model, laid, how, validation=validation, loss=PassTargets(ALPHA), progress=False)
    else:
        laid = ContinuousBatches(joined.ids, BATCH, length)
        fit(model, laid, how, validation=validation, progress=False)
    return model


def unknown_written(model: LanguageModel, pieces: Pieces) -> int:
    """How many unknown tokens and broken characters a student writes in 2,000 tokens."""
    chance = torch.Generator().manual_seed(0)
    prompt = torch.stack([pieces.encode(n, "")[0] for n in (0, 1)] * 4)
    rules = [] if pieces.small is None else [whole_characters(pieces.small)]
    with fast_matmul():
        written = generate(model, prompt, 250, rules=rules, generator=chance)
    if pieces.small is None:
        return int((written == pieces.unknown_id).sum())
    return sum(pieces.small.decode(row).rstrip("\ufffd").count("\ufffd") for row in written)


def run(
    teachers: str, student: str, taught: bool, seed: int, work: Path, keep: Path | None = None
) -> dict[str, Any]:
    """Train one student and measure it; keep it where there is a folder for it."""
    size, width = STUDENTS[teachers][student]
    pieces = Pieces(size, languages(teachers))
    start = time.process_time()
    model = train(pieces, width, seed, taught, work)
    seconds = round(time.process_time() - start)
    if keep is not None:
        command = f"--teachers {teachers} --students '{student}' --seeds {seed} --ways taught"
        made = {
            "command": f"python benchmarks/vocabulary.py {command} --keep {keep.name}",
            "teachers": ["teacher_en", "house_zh"],
        }
        keep_student(
            keep, model, pieces.small, made, lambda m: {"bits_per_character": measured(m, pieces)}
        )
    return {
        "teachers": teachers,
        "student": student,
        "taught": taught,
        "seed": seed,
        "vocabulary": pieces.size,
        "width": width,
        "parameters": parameter_count(model),
        "pieces_per_character": {
            one.name: round((len(pieces.encode(n, one.train)[0]) - 1) / len(one.train), 4)
            for n, one in enumerate(pieces.languages)
        },
        "bits": measured(model, pieces),
        "unknown_written": unknown_written(model, pieces),
        "cpu_seconds": seconds,
    }


def main() -> None:
    """Do what is missing, print it, write the JSON after each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teachers", nargs="+", default=list(STUDENTS), choices=list(STUDENTS))
    parser.add_argument("--students", nargs="+", help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", default=["taught", "alone"])
    parser.add_argument("--out", type=Path, default=Path("data/measured/vocabulary.json"))
    parser.add_argument("--work", type=Path, default=Path("build/vocabulary"))
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    result: dict[str, Any] = {"runs": []}
    if chosen.out.is_file():
        result = json.loads(chosen.out.read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    with fast_matmul():
        result |= {"machine": machine(torch.device("cpu")), "steps": STEPS}
        for teachers in chosen.teachers:
            result[teachers] = about(languages(teachers))
            for seed in chosen.seeds:
                for way in chosen.ways:
                    for student in chosen.students or STUDENTS[teachers]:
                        if student in STUDENTS[teachers]:
                            _one(result, (teachers, student, way == "taught", seed), chosen)


def about(languages: Sequence[Language]) -> dict[str, Any]:
    """What all students share: the teachers, and the rare words."""
    found: dict[str, Any] = {}
    for one in languages:
        words = [rare_bytes(one.train, text)[1:] for text in one.held_out.values()]
        characters, count = map(sum, zip(*words, strict=True))
        found[one.name] = {
            "tokens": one.known,
            "parameters": parameter_count(one.teacher),
            "rare words": count,
            "their characters": characters,
        }
    return found


def _one(result: dict, key: tuple[str, str, bool, int], chosen: argparse.Namespace) -> None:
    names = ("teachers", "student", "taught", "seed")
    before = [row for row in result["runs"] if tuple(row[name] for name in names) == key]
    if before and chosen.keep is None:
        return
    row = run(*key, chosen.work, chosen.keep)
    result["runs"] = [other for other in result["runs"] if other not in before] + [row]
    result["summary"] = summary(result["runs"])
    print(*key, row["bits"], row["unknown_written"], row["cpu_seconds"], flush=True)
    write_text(chosen.out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def summary(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and deviation over the seeds."""
    found = []
    spread: Callable[[list[float]], float | None] = lambda values: (  # noqa: E731
        round(statistics.stdev(values), 4) if len(values) > 1 else None
    )
    names = ("teachers", "student", "taught")
    for key in dict.fromkeys(tuple(run[name] for name in names) for run in runs):
        rows = [run for run in runs if tuple(run[name] for name in names) == key]
        bits = {part: [row["bits"][part] for row in rows] for part in rows[0]["bits"]}
        found.append(
            {
                **dict(zip(names, key, strict=True)),
                "seeds": len(rows),
                "mean": {part: round(statistics.mean(v), 4) for part, v in bits.items()},
                "deviation": {part: spread(v) for part, v in bits.items()},
            }
        )
    return found


if __name__ == "__main__":
    main()
