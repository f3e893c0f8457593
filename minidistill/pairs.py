"""Pairs for sequence to sequence: what came before and the next sentence; two languages.

vocabulary = BytePairVocabulary.train(train.text, 2000, specials=SPECIALS)
pairs = next_sentence_pairs(train, vocabulary)
bos, eos, padding = special_ids(vocabulary)
batches = PairBatches(pairs, 32, bos_id=bos, eos_id=eos, padding_id=padding)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from minidistill.cleaning import Chapter
from minidistill.novels import Novel
from minidistill.parallel import Pair, Parallel
from minidistill.sentences import sentences
from minidistill.textfile import guess_language
from minidistill.vocabulary import BOS, EOS, PAD, Vocabulary

SPECIALS = (PAD, BOS, EOS)
"""What a vocabulary for sequence to sequence needs besides the text's own tokens."""

Ids = list[int]


class Special(NamedTuple):
    """The ids that stand for no text: a target's begin, its end, and what fills a batch up."""

    bos: int
    eos: int
    padding: int


def special_ids(vocabulary: Vocabulary) -> Special:
    """Return the ids of `<bos>`, `<eos>` and `<pad>` in a vocabulary.

    Raises ValueError: the vocabulary was built without them.
    Taught in solutions/05_seq2seq.ipynb.
    """
    missing = [name for name in SPECIALS if name not in vocabulary.specials]
    if missing:
        raise ValueError(
            f"this vocabulary has no {' and no '.join(missing)}: make it with "
            "specials=SPECIALS, as in CharacterVocabulary.build(text, specials=SPECIALS)"
        )
    return Special(*(vocabulary.token_to_id[name] for name in (BOS, EOS, PAD)))


def chapter_sentences(chapter: Chapter, language: str) -> list[str]:
    """Return a chapter's sentences, which joined are `chapter.text`.

    The first sentence of every paragraph but the first begins with a line feed, the others with
    the space that stands before them: so a writer of sentences also decides where a paragraph
    ends, and what it writes is put together by joining.
    Taught in solutions/05_seq2seq.ipynb.
    """
    found: list[str] = []
    for number, paragraph in enumerate(chapter.paragraphs):
        parts = sentences(paragraph, language) or [""]
        found += ["\n" * (number > 0) + parts[0], *parts[1:]]
    return [part for part in found if part]


def next_sentence_pairs(
    text: Novel | Iterable[Chapter],
    vocabulary: Vocabulary,
    before: int = 3,
    max_source: int = 60,
    max_target: int = 60,
    language: str | None = None,
) -> list[tuple[Ids, Ids]]:
    """Return (source ids, target ids) for every sentence that has one before it in its chapter.

    The target is a sentence as `chapter_sentences` gives it. The source is the sentences before
    it: as many whole ones as fit into `max_source` tokens, `before` at most, and at least the
    last one, which loses tokens at its front if it alone is too long. Nothing reaches across
    chapters. A sentence of more than `max_target` tokens is left out as a target, for a cut one
    would teach a false end; as a source it stays. Neither side has special tokens: `PairBatches`
    adds them to the targets.

    Args:
        text: a novel, or a part that its `split()` gives.
        before: the most sentences in a source.
        max_source, max_target: in tokens.
        language: "en" or "zh"; None: the novel's own, or what the letters of a part look like.

    Raises:
        ValueError: a limit below 1; a text in which no sentence follows another.

    Taught in solutions/05_seq2seq.ipynb.
    """
    _check_limits(before=before, max_source=max_source, max_target=max_target)
    chapters = text.chapters if isinstance(text, Novel) else tuple(text)
    if language is None:
        known = getattr(text, "language", None)
        language = known or guess_language("\n".join(chapter.text for chapter in chapters))
    pairs = []
    for chapter in chapters:
        ids = [vocabulary.encode(part) for part in chapter_sentences(chapter, language)]
        ids = [part for part in ids if part]  # a sentence of spaces is no tokens in words
        for place, target in enumerate(ids):
            if place and len(target) <= max_target:
                pairs.append(
                    (last_that_fit(ids[max(0, place - before) : place], max_source), target)
                )
    if not pairs:
        raise ValueError(
            f"no sentence of at most {max_target} tokens follows another one here, so there are "
            "no pairs: give a longer text or a larger max_target"
        )
    return pairs


def parallel_pairs(
    parallel: Parallel,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    max_source: int = 60,
    max_target: int = 60,
) -> list[tuple[Ids, Ids]]:
    """Return (source ids, target ids) of a text in two languages, sentence beside sentence.

    Where a paragraph and its translation have equally many sentences, these are paired in their
    order; else the whole paragraphs are one pair. White space at the ends is left off. A pair
    of which one side has more tokens than its limit, or none, is left out.

    It is a guess: a translator may cut two sentences in other places and come out even.

    Args:
        parallel: what `load_parallel()` gives, or a part of its split.
        source_vocabulary, target_vocabulary: of the two languages.
        max_source, max_target: in tokens.

    Raises:
        ValueError: a limit below 1; nothing within the limits.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    _check_limits(max_source=max_source, max_target=max_target)
    pairs = []
    for source, target in sentence_beside_sentence(parallel):
        one, other = source_vocabulary.encode(source), target_vocabulary.encode(target)
        if 1 <= len(one) <= max_source and 1 <= len(other) <= max_target:
            pairs.append((one, other))
    if not pairs:
        raise ValueError(
            f"no pair has at most {max_source} tokens beside {max_target}: raise the limits"
        )
    return pairs


def sentence_beside_sentence(parallel: Parallel) -> list[Pair]:
    """Return a parallel text's sentences in pairs, or whole paragraphs; see `parallel_pairs`."""
    languages = parallel.source.language, parallel.target.language
    found = []
    for pair in parallel:
        parts = [sentences(text, code) for text, code in zip(pair, languages, strict=True)]
        if len(parts[0]) != len(parts[1]):
            parts = [[text] for text in pair]
        found += [Pair(one.strip(), other.strip()) for one, other in zip(*parts, strict=True)]
    return found


def last_that_fit(parts: Sequence[Ids], limit: int) -> Ids:
    """Join as many parts from the end as fit; the last one, cut at its front, in any case.

    Raises ValueError: no parts.
    """
    if not parts:
        raise ValueError("there is no sentence to go on from: give at least one")
    chosen = parts[-1][-limit:]
    for part in reversed(parts[:-1]):
        if len(part) + len(chosen) > limit:
            break
        chosen = part + chosen
    return chosen


def _check_limits(**limits: int) -> None:
    for name, limit in limits.items():
        if type(limit) is not int or limit < 1:
            raise ValueError(f"{name} is {limit!r} but must be an integer of at least 1")


__all__ = [
    "SPECIALS",
    "Special",
    "chapter_sentences",
    "last_that_fit",
    "next_sentence_pairs",
    "parallel_pairs",
    "sentence_beside_sentence",
    "special_ids",
]
