"""Word embeddings beside gensim's Word2Vec: words a second, likeness to people, the middle word.

    pip install -c constraints.txt -e ".[bench]"
    python benchmarks/embeddings.py [--epochs 30] [--seeds 0 1 2] [--rounds 4]
        [--out data/measured/embeddings.json] [--device cpu] [--save FILE]

The corpus is the training chapters of the four English novels of the catalogue, in small letters
and without marks; every model gets the same paragraphs, words that stand at least 5 times, vectors
of 100, a window of 5 and as many epochs. gensim has its default settings. Likeness is Spearman's
correlation with the pairs of WordSim-353 and SimLex-999 whose words stand at least 5 times; the
cost of the middle word is that of the validation chapters, nothing thinned out.

Speed is processor seconds of training alone, all arms in turns (A B C A B C, medians), one thread;
on a GPU, where processor seconds say nothing, seconds of the clock. Every result is written at
once and whole: started again, only what is missing is done.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import gensim
import torch
from gensim.models import Word2Vec
from recurrent import machine

from minidistill import fit, load_novel
from minidistill.checkpoints import write_text
from minidistill.embedding_plans import (
    EmbeddingPlan,
    Embeddings,
    prepare_embeddings,
    train_embeddings,
)
from minidistill.vocabulary import PlainWordVocabulary
from minidistill.word_likeness import likeness, read_pairs
from minidistill.word_vectors import WordVectors
from minidistill.words import split_plain

NOVELS = ("alice", "pride_and_prejudice", "sherlock_holmes", "moby_dick")
OURS = ("cbow", "places", "attention", "formula", "skip-gram")
GENSIM = {"gensim skip-gram": 1, "gensim CBOW": 0}
SIZE, WINDOW, LEAST = 100, 5, 5
TESTS = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}


class Corpus:
    """The texts, and the paragraphs as gensim wants them."""

    def __init__(self) -> None:
        splits = [load_novel(name).split() for name in NOVELS]
        self.train = "\n".join(split.train.text for split in splits)
        self.validation = "\n".join(split.validation.text for split in splits)
        self.vocabulary = PlainWordVocabulary.build(self.train).without_rare(LEAST)
        paragraphs = map(split_plain, self.train.split("\n"))
        self.paragraphs = [words for words in paragraphs if words]
        self.words = sum(map(len, self.paragraphs))
        folder = Path(gensim.__file__).parent / "test" / "test_data"
        self.pairs = {name: read_pairs(folder / file) for name, file in TESTS.items()}

    def judge(self, vectors: WordVectors) -> dict[str, list[float]]:
        """Correlation, its standard error and number of pairs, of each test."""
        found = {name: likeness(vectors, pairs, LEAST) for name, pairs in self.pairs.items()}
        return {name: [round(x, 4) for x in row] for name, row in found.items()}


def gensim_model(corpus: Corpus, arm: str, epochs: int, seed: int) -> tuple[Word2Vec, float]:
    """A trained Word2Vec, and the processor seconds of its training."""
    model = Word2Vec(
        vector_size=SIZE,
        window=WINDOW,
        min_count=LEAST,
        sg=GENSIM[arm],
        negative=5,
        seed=seed,
        workers=1,
        epochs=epochs,
    )
    model.build_vocab(corpus.paragraphs)
    start = time.process_time()
    model.train(corpus.paragraphs, total_examples=len(corpus.paragraphs), epochs=epochs)
    return model, time.process_time() - start


def plan_of(kind: str, epochs: int, seed: int, device: str) -> EmbeddingPlan:
    """Our model of one kind; a GPU gets larger batches, or it would only wait."""
    return EmbeddingPlan(
        kind,
        size=SIZE,
        window=WINDOW,
        least=LEAST,
        epochs=epochs,
        learning_rate=rate(epochs),
        seed=seed,
        batch_size=2048 if device == "cpu" else 16384,
    )


def ours(corpus: Corpus, kind: str, epochs: int, seed: int, device: str) -> Embeddings:
    """Trained embeddings."""
    return train_embeddings(
        corpus.train,
        plan_of(kind, epochs, seed, device),
        vocabulary=corpus.vocabulary,
        device=device,
        progress=False,
    )


def training_seconds(corpus: Corpus, kind: str, epochs: int, device: str) -> float:
    """Of training alone, as for gensim: processor seconds, or on a GPU those of the clock."""
    run = prepare_embeddings(
        corpus.train, plan_of(kind, epochs, 0, device), vocabulary=corpus.vocabulary
    )
    model = run.model.to(device)
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    fit(model, run.windows, run.recipe, loss=run.loss, progress=False)
    return clock() - start


def rate(epochs: int) -> float:
    """0.01 for a few epochs; who reads the text often must take smaller steps."""
    return 0.01 if epochs <= 5 else 0.005


def speed(corpus: Corpus, epochs: int, rounds: int, device: str) -> dict[str, Any]:
    """Thousand words a second of every arm, in turns; the first round warms up."""
    seconds: dict[str, list[float]] = {arm: [] for arm in (*GENSIM, *OURS)}
    for _ in range(rounds + 1):
        for arm, values in seconds.items():
            if arm in GENSIM:
                values.append(gensim_model(corpus, arm, epochs, 0)[1])
            else:
                values.append(training_seconds(corpus, arm, epochs, device))
    words = corpus.words * epochs / 1e3
    per = {arm: round(words / statistics.median(v[1:]), 1) for arm, v in seconds.items()}
    plain = per["cbow"]
    return {
        "thousand words a second": per,
        "all rounds": {arm: [round(words / x, 1) for x in v[1:]] for arm, v in seconds.items()},
        "plain over gensim skip-gram": round(plain / per["gensim skip-gram"], 3),
        "plain over gensim CBOW": round(plain / per["gensim CBOW"], 3),
    }


def quality(corpus: Corpus, arm: str, epochs: int, seed: int, device: str) -> dict[str, Any]:
    """One model of one seed: how it agrees with people, and what the middle word costs it."""
    row: dict[str, Any] = {"arm": arm, "seed": seed, "epochs": epochs}
    if arm in GENSIM:
        model, _ = gensim_model(corpus, arm, epochs, seed)
        words = [word for word in corpus.vocabulary.tokens if word in model.wv]
        inputs = torch.stack([torch.tensor(model.wv[word].copy()) for word in words])
        places = [model.wv.key_to_index[word] for word in words]
        counts = [corpus.vocabulary.counts[corpus.vocabulary.token_to_id[w]] for w in words]
        outputs = torch.tensor(model.syn1neg[places])
        row["input"] = corpus.judge(WordVectors(words, inputs, counts))
        row["sum"] = corpus.judge(WordVectors(words, inputs + outputs, counts))
        return row
    made = ours(corpus, arm, epochs, seed, device)
    for table in ("input", "sum"):
        row[table] = corpus.judge(made.vectors(table))
    if arm != "skip-gram":  # it guesses neighbours, not the middle
        row["middle word"] = round(made.cost(corpus.validation), 4)
    context = getattr(made.model, "context", None)
    if arm in ("places", "attention"):
        row["place bias"] = [round(b, 3) for b in context.bias.tolist()]
    return row


def summary(rows: list[dict]) -> dict[str, Any]:
    """Means and deviations over seeds for each arm and number of epochs."""
    result: dict[str, Any] = {}
    for row in rows:
        result.setdefault(f"{row['arm']}, {row['epochs']} epochs", []).append(row)
    return {name: _spread(group) for name, group in result.items()}


def _spread(group: list[dict]) -> dict[str, Any]:
    columns: dict[str, list[float]] = {}
    for row in group:
        for table in ("input", "sum"):
            for test in TESTS:
                columns.setdefault(f"{test}, {table}", []).append(row[table][test][0])
        if "middle word" in row:
            columns.setdefault("middle word", []).append(row["middle word"])
    return {"seeds": len(group)} | {
        name: [round(statistics.mean(v), 4), round(statistics.stdev(v), 4) if len(v) > 1 else None]
        for name, v in columns.items()
    }


def main() -> None:
    """Do what is missing, print it, write the JSON after each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", nargs="+", type=int, default=[30])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=[*GENSIM, *OURS])
    parser.add_argument("--rounds", type=int, default=4, help="of the timing; 0 leaves it out")
    parser.add_argument("--out", type=Path, default=Path("data/measured/embeddings.json"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--save", type=Path, help="a file for the vectors of the plain model")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    corpus, result = Corpus(), {}
    if chosen.out.is_file():
        result = json.loads(chosen.out.read_text(encoding="utf-8"))
    result["machine"] = machine(torch.device(chosen.device)) | {"gensim": gensim.__version__}
    result["corpus"] = {
        "novels": NOVELS,
        "words": corpus.words,
        "vocabulary": len(corpus.vocabulary),
        "paragraphs": len(corpus.paragraphs),
    }
    rows = result.setdefault("runs", [])
    done = {(row["arm"], row["epochs"], row["seed"]) for row in rows}
    if chosen.rounds:
        result["speed"] = speed(corpus, 3, chosen.rounds, chosen.device)
        print(result["speed"], flush=True)
    for epochs in chosen.epochs:
        for seed in chosen.seeds:
            for arm in [arm for arm in chosen.arms if (arm, epochs, seed) not in done]:
                rows.append(quality(corpus, arm, epochs, seed, chosen.device))
                result["summary"] = summary(rows)
                print(rows[-1], flush=True)
                write_text(chosen.out, json.dumps(result, indent=1) + "\n")
    write_text(chosen.out, json.dumps(result, indent=1) + "\n")
    if chosen.save:
        made = ours(corpus, "cbow", chosen.epochs[-1], 0, chosen.device)
        made.vectors().save(chosen.save, torch.float16)


if __name__ == "__main__":
    main()
