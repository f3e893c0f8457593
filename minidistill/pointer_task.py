"""A task in which names have to be copied: names of the test never stood in training.

    "the guest who came to the inn was Orlan ."  ->  "Orlan came to the inn ."

Whoever can only write words of its vocabulary gets not one of them right. Some sentences hold two
names, and the target asks for them in another order: it is not enough to copy what is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from minidistill.attention import AdditiveAttention
from minidistill.batches import PairBatches
from minidistill.device import seeded
from minidistill.extended_vocabulary import ExtendedVocabulary
from minidistill.pairs import SPECIALS, special_ids
from minidistill.pointer import PointerSeq2Seq
from minidistill.recurrent import GRU
from minidistill.rules import forbid
from minidistill.seq2seq import Seq2Seq
from minidistill.teacher_forcing import pair_loss
from minidistill.training import Recipe, fit
from minidistill.transduction import transduce
from minidistill.vocabulary import WordVocabulary, join_words, split_words

TEMPLATES = (
    ("the guest who came to the {place} was {a} .", "{a} came to the {place} ."),
    ("at the {place} they spoke of {a} all night .", "they spoke of {a} at the {place} ."),
    ("{a} , said the {trade} , had left the {place} .", "the {trade} said that {a} had left ."),
    ("in those days the {trade} of the {place} was {a} .", "{a} was a {trade} in those days ."),
    ("{a} met {b} at the {place} .", "{b} was met by {a} at the {place} ."),
    ("the {trade} {a} wrote to {b} from the {place} .", "{b} had a letter from the {trade} {a} ."),
)
PLACE_WORDS = ("inn", "mill", "harbour", "castle", "market", "bridge", "chapel", "garden")
TRADE_WORDS = ("miller", "captain", "doctor", "servant", "painter", "widow", "lawyer")
_STARTS = ("Or", "Bri", "Ta", "Mel", "Du", "Ke", "Sar", "Vi", "Lo", "Hes", "Gro", "Ani", "Fe", "Jo")
_MIDDLES = ("la", "ri", "mo", "de", "thu", "ve", "sa", "no", "ki", "bra", "go", "le")
_ENDS = ("n", "s", "ra", "dor", "lia", "th", "k", "ssa", "m", "rin")

FEW_NAMES, TEST_NAMES = 6, 200
EMBEDDING_SIZE, HIDDEN_SIZE, BATCH_SIZE = 32, 48, 64
_PLACES = 4  # two names at most, and room to see that an empty place is never written


class NameSentence(NamedTuple):
    """A sentence, the sentence that is asked for, and the names in both."""

    source: str
    target: str
    names: tuple[str, ...]


def made_names(seed: int = 0, training: int = FEW_NAMES) -> tuple[list[str], list[str]]:
    """Return made-up names for training and 200 others for the test, all different.

    Args:
        seed: of the choice; the names of the test are the same however many are trained on.
        training: how many to train on, at least 2.

    Raises ValueError: more names than there are, or fewer than two.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    every = [start + middle + end for start in _STARTS for middle in _MIDDLES for end in _ENDS]
    most = len(every) - TEST_NAMES
    if not 2 <= training <= most:
        raise ValueError(f"there are 2 to {most} names to train on, not {training}")
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = [every[i] for i in order]
    return chosen[TEST_NAMES : TEST_NAMES + training], chosen[:TEST_NAMES]


def name_sentences(names: Sequence[str], count: int, seed: int = 0) -> list[NameSentence]:
    """Draw sentences with one or two of these names, each template equally often.

    Raises ValueError: fewer than two different names, a count below 1.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    if not 2 <= len(names) == len(set(names)) or count < 1:
        raise ValueError(
            f"give at least two names, all different, and a count from 1: got {len(names)} names, "
            f"{len(set(names))} different ones, and count = {count}"
        )
    generator = torch.Generator().manual_seed(seed)

    def number(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    sentences = []
    for i in range(count):
        source, target = TEMPLATES[i % len(TEMPLATES)]
        first = number(len(names))
        second = (first + 1 + number(len(names) - 1)) % len(names)  # never the first again
        words = {
            "a": names[first],
            "b": names[second],
            "place": PLACE_WORDS[number(len(PLACE_WORDS))],
            "trade": TRADE_WORDS[number(len(TRADE_WORDS))],
        }
        there = tuple(words[key] for key in ("a", "b") if f"{{{key}}}" in target)
        sentences.append(NameSentence(source.format(**words), target.format(**words), there))
    return sentences


def learn_names(
    copying: bool = True,
    masked: float = 0.3,
    seed: int = 0,
    steps: int = 300,
    *,
    names: int = FEW_NAMES,
    progress: bool = False,
) -> tuple[nn.Module, ExtendedVocabulary]:
    """Train a small model on the task, in about ten seconds; return it and its vocabulary.

    All names of training are in the vocabulary, so without masking `<unk>` would never be read:
    its vector would stay as chance made it, and the model would not know what it stands for. Few
    names are the hard case, for with many the model learns by itself where a name has to stand.

    Args:
        copying: a `PointerSeq2Seq`; False: a `Seq2Seq`, which reads and writes `<unk>`.
        masked: share of the training sentences whose names are taken for unknown words.
        seed: of names, sentences, weights and order.
        steps: updates, of 64 pairs each.
        names: how many different ones are in the sentences of training.

    Raises:
        ValueError: a share that is none, a number of names that there is not.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    if not 0 <= masked <= 1:
        raise ValueError(f"masked is {masked}, but is a share between 0 and 1")
    sentences = name_sentences(made_names(seed, names)[0], steps * BATCH_SIZE // 4, seed)
    text = " ".join(f"{one.source} {one.target}" for one in sentences)
    extended = ExtendedVocabulary(WordVocabulary.build(text, specials=SPECIALS), _PLACES)
    chance = torch.rand(len(sentences), generator=torch.Generator().manual_seed(seed))
    pairs = [
        _pair(extended, one, copying, one.names if hide else ())
        for one, hide in zip(sentences, (chance < masked).tolist(), strict=True)
    ]
    V, sizes = len(extended.vocabulary), (EMBEDDING_SIZE, HIDDEN_SIZE)
    with seeded(seed):
        if copying:
            model = PointerSeq2Seq(V, *sizes, GRU, places=_PLACES, tied=True)
        else:
            model = Seq2Seq(V, V, *sizes, GRU, AdditiveAttention, tied=True, shared=True)
    bos, eos, padding = special_ids(extended.vocabulary)
    special = {"bos_id": bos, "eos_id": eos, "padding_id": padding}
    batches = PairBatches(pairs, BATCH_SIZE, seed=seed, sort_within=1, **special)
    recipe = Recipe(steps=steps, learning_rate=1e-2, checkpoint_every=steps, seed=seed)
    fit(model, batches, recipe, loss=pair_loss, progress=progress)
    return model.eval(), extended


def write_sentences(
    model: nn.Module, extended: ExtendedVocabulary, sources: Sequence[str], width: int = 1
) -> list[str]:
    """Write the target of each source text, as text; `<unk>` is never written.

    width: of the beam; 1 takes the likeliest word each time.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    copying = isinstance(model, PointerSeq2Seq)
    read = [extended.encode_source(source) for source in sources]
    bos, eos, padding = special_ids(extended.vocabulary)
    written = transduce(
        model,
        [one.extended if copying else one.ids for one in read],
        20,
        bos_id=bos,
        eos_id=eos,
        padding_id=padding,
        rules=[forbid([extended.vocabulary.unknown_id])],
        width=width,
        batch_size=256,
    )
    return [extended.decode(ids, one.unknown) for ids, one in zip(written, read, strict=True)]


def share_right(
    model: nn.Module, extended: ExtendedVocabulary, sentences: Sequence[NameSentence]
) -> float:
    """Return the share of sentences, 0 to 1, that are written right from first word to last.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    written = write_sentences(model, extended, [one.source for one in sentences])
    wanted = [join_words(split_words(one.target)) for one in sentences]
    return sum(map(str.__eq__, written, wanted)) / len(sentences)


def _pair(
    extended: ExtendedVocabulary, one: NameSentence, copying: bool, hidden: Sequence[str]
) -> tuple[list[int], list[int]]:
    read = extended.encode_source(one.source, hidden)
    if copying:
        return read.extended, extended.encode_target(one.target, read.unknown, hidden)
    return read.ids, extended.encode_target(one.target, (), hidden)


__all__ = [
    "NameSentence",
    "learn_names",
    "made_names",
    "name_sentences",
    "share_right",
    "write_sentences",
]
