"""Texts of a sequence-to-sequence writer beside people's: five figures, and the distance.

No figure is right alone: the likeliest text is the best for the judge and the worst to read.
What counts is how near a writer comes to held-out human text on all of them at once.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from minidistill import distinct, load_writer, longest_copied, repetition, self_bleu
from minidistill.cleaning import Chapters
from minidistill.continuation import write_on
from minidistill.novels import Novel
from minidistill.pairs import chapter_sentences
from minidistill.rules import top_p
from minidistill.seq2seq_checkpoints import Trained
from minidistill.seq2seq_writers import PairPlan
from minidistill.training import next_token_loss

TEXTS = 24  # of each writer
TOKENS = 80  # in each text, in the writer's own units; what is longer is cut
SENTENCES = 10  # that are written, to have so many tokens
START = 3  # sentences in a beginning
JUDGES = {("house", "en"): "house_en", ("house", "zh"): "house_zh"}


def compare_texts(trained: Trained, novel: Novel, plan: PairPlan) -> dict[str, Any]:
    """Figures of people's texts and of those that the model writes in four ways."""
    split, language = novel.split(), novel.language
    starts, human = passages(split.test, language, trained)
    _, read = passages(split.train, language, trained)
    ways: dict[str, dict[str, Any]] = {
        "greedy": {},
        "beam 4": {"width": 4, "length_penalty": 1.0},
        "temperature 1": {"generator": torch.Generator().manual_seed(0)},
        "top-p 0.9": {"generator": torch.Generator().manual_seed(0), "rules": [top_p(0.9)]},
    }
    limits = {name: getattr(plan, name) for name in ("before", "max_source", "max_target")}
    texts = {"human, held out": human, "human, training text": read}
    for way, options in ways.items():
        texts[way] = write_on(trained, starts, SENTENCES, **limits, **options)
    name = JUDGES.get((plan.novel, language), plan.novel)
    judge, training = load_writer(name), trained.vocabulary.encode(split.train.text)
    rows = {way: figures(written, trained, judge, training) for way, written in texts.items()}
    for row in rows.values():
        row["distance"] = round(distance(row, rows["human, held out"]), 3)
    return {
        "texts": TEXTS,
        "tokens_in_each": TOKENS,
        "judge": name,
        "distance": "|ln ratio| of judge_perplexity and longest_copy, plus |difference| of the "
        "other three, to held-out human text; smaller is nearer",
        "figures": rows,
        "examples": {way: [starts[0], written[0]] for way, written in texts.items()},
    }


def passages(part: Chapters, language: str, trained: Trained) -> tuple[list[str], list[str]]:
    """Beginnings of three sentences spread over some chapters, and how they really went on."""
    places = [
        (parts, k)
        for parts in (chapter_sentences(chapter, language) for chapter in part)
        for k in range(START, len(parts) - SENTENCES)
    ]
    chosen = [places[round(i * (len(places) - 1) / (TEXTS - 1))] for i in range(TEXTS)]
    starts = ["".join(parts[k - START : k]).strip() for parts, k in chosen]
    return starts, ["".join(parts[k : k + SENTENCES]) for parts, k in chosen]


def figures(
    texts: list[str], trained: Trained, judge: tuple[Any, Any], training: list[int]
) -> dict[str, float]:
    """Five figures of some texts, each cut to the same number of tokens."""
    vocabulary = trained.vocabulary
    ids = [vocabulary.encode(text)[:TOKENS] for text in texts]
    ids = [row for row in ids if len(row) >= 4]
    cut = [vocabulary.decode(row) for row in ids]
    return {
        "judge_perplexity": round(judged(cut, *judge), 2),
        "distinct_2": round(distinct(ids, 2), 4),
        "repeated_4_grams": round(sum(repetition(row, 4) for row in ids) / len(ids), 4),
        "self_bleu": round(self_bleu(ids), 4),
        "longest_copy": round(sum(longest_copied(r, training)[0] for r in ids) / len(ids), 2),
        "mean_tokens": round(sum(map(len, ids)) / len(ids), 1),
        "texts": len(ids),
    }


@torch.no_grad()
def judged(texts: list[str], model: torch.nn.Module, vocabulary: Any) -> float:
    """What a token costs another writer of the novel, as a perplexity in its own units."""
    nats, count = 0.0, 0
    for text in texts:
        ids = torch.tensor([[*vocabulary.encode("\n"), *vocabulary.encode(text)]])
        mean, number, _ = next_token_loss(model, (ids[:, :-1], ids[:, 1:]), None)
        nats, count = nats + float(mean) * number, count + number
    return math.exp(nats / count)


def distance(row: dict[str, float], human: dict[str, float]) -> float:
    """How far some texts are from people's, on five figures at once."""
    far = 0.0
    for name in ("judge_perplexity", "longest_copy"):
        far += abs(math.log(max(row[name], 0.5) / max(human[name], 0.5)))
    for name in ("distinct_2", "repeated_4_grams", "self_bleu"):
        far += abs(row[name] - human[name])
    return far
