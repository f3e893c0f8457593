"""A model of the words of a whole novel, trained with the full softmax and with a sampled one.

    python benchmarks/word_model.py [--novel xiyouji] [--seeds 0 1 2] [--arms ...] [--steps 400]
        [--out data/measured/word_model.json] [--time-only]

The vocabulary holds every word of the training chapters. All arms see the same batches for the
same number of steps; each takes the learning rate that was best for it in short runs (RATES), and
its best checkpoint. Perplexities, of the validation and the test chapters, are by the full
softmax; an unknown word is one token. Times are of training steps taken in turns by all arms
(A B C A B C, medians), since long runs one after the other meet other loads of the machine.

Every result is written at once and whole: started again, only what is missing is done.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from recurrent import machine
from torch import Tensor

from minidistill import evaluate, fit, load_novel, parameter_count, seeded
from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import write_text
from minidistill.language_model import LanguageModel
from minidistill.large_vocabulary import ChunkedSoftmax, SampledSoftmax, start_from_counts
from minidistill.recurrent import LSTM
from minidistill.training import Recipe
from minidistill.vocabulary import ChineseWordVocabulary, Vocabulary, WordVocabulary

SIZE, BATCH, LENGTH = 128, 32, 32
TITLES = {"xiyouji": ChineseWordVocabulary, "moby_dick": WordVocabulary}
RATES = {
    "full, Adam": 1.6e-2,
    "full, Adagrad": 8e-3,
    "sampled, Adagrad": 8e-3,
    "sampled, Adam": 1.6e-2,
    "sampled, Adagrad, log-uniform": 8e-3,
}


def losses(vocabulary: Vocabulary, samples: int) -> dict[str, Any]:
    """Every arm's loss by name: the full softmax also with the sampled one's optimiser."""
    made = SampledSoftmax.for_vocabulary
    return {
        "full, Adam": ChunkedSoftmax(),
        "full, Adagrad": ChunkedSoftmax(optimizer="adagrad"),
        "sampled, Adagrad": made(vocabulary, samples),
        "sampled, Adam": made(vocabulary, samples, optimizer="adam"),
        "sampled, Adagrad, log-uniform": made(vocabulary, samples, "log-uniform"),
    }


def writer(vocabulary: Vocabulary, seed: int) -> LanguageModel:
    """A model that has learned nothing yet but how often each word stands in the text."""
    with seeded(seed):
        layer = LSTM(SIZE, SIZE, engine="torch")
        model = LanguageModel(len(vocabulary), SIZE, layer, 0.3, tied=True)
    start_from_counts(model, vocabulary.counts)
    return model


def texts(novel: str) -> tuple[Vocabulary, dict[str, Tensor]]:
    """The vocabulary of the training chapters, and the ids of all parts."""
    split = load_novel(novel).split()
    parts = {name: getattr(split, name).text for name in ("train", "validation", "test")}
    vocabulary = TITLES[novel].build(parts["train"])
    return vocabulary, {name: torch.tensor(vocabulary.encode(t)) for name, t in parts.items()}


def train(
    loss: Any, ids: dict[str, Tensor], vocabulary: Vocabulary, seed: int, steps: int, rate: float
) -> dict:
    """One run of one arm."""
    model = writer(vocabulary, seed)
    batches = ContinuousBatches(ids["train"], BATCH, LENGTH)
    held = {k: ContinuousBatches(ids[k], BATCH, LENGTH) for k in ("validation", "test")}
    recipe = Recipe(steps, rate, validate_every=max(1, steps // 4), seed=seed)
    start = time.process_time()
    history = fit(model, batches, recipe, validation=held["validation"], loss=loss, progress=False)
    return {
        "seed": seed,
        "steps": steps,
        "learning_rate": rate,
        "best_step": history.best[0],
        "cpu_seconds": round(time.process_time() - start, 1),
        "parameters": parameter_count(model),
        **{k: round(math.exp(evaluate(model, b, loss)), 2) for k, b in held.items()},
    }


def step_times(
    made: dict[str, Any], ids: dict[str, Tensor], vocabulary: Vocabulary, rounds: int
) -> dict:
    """Seconds of one training step of each arm, the arms taking turns."""
    batch = next(iter(ContinuousBatches(ids["train"], BATCH, LENGTH).epoch(0)))

    class One:
        carries_state = False

        def epoch(self, number: int) -> list:
            return [batch]

    models = {name: writer(vocabulary, 0) for name in made}
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for number in range(rounds + 1):
        for name, loss in made.items():
            start = time.perf_counter()
            fit(models[name], One(), Recipe(3, 1e-4), loss=loss, progress=False)
            if number:  # the first round warms up
                seconds[name].append((time.perf_counter() - start) / 3)
    return {name: round(statistics.median(values), 4) for name, values in seconds.items()}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and deviations over the seeds, and each arm's perplexity over that of the full one."""
    table: dict[str, Any] = {}
    for arm in dict.fromkeys(run["arm"] for run in runs):
        mine = [run for run in runs if run["arm"] == arm]
        table[arm] = {"seeds": len(mine)}
        for part in ("validation", "test"):
            values = [run[part] for run in mine]
            table[arm][part] = round(statistics.mean(values), 2)
            table[arm][f"{part} deviation"] = round(statistics.pstdev(values), 2)
    full = [row["validation"] for arm, row in table.items() if arm.startswith("full")]
    for row in table.values():
        if full:
            row["over the best full softmax"] = round(row["validation"] / min(full), 4)
    return table


def main() -> None:
    """Train what is missing, measure the steps, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--novel", default="xiyouji", choices=TITLES)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="*", default=list(RATES))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--time-only", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("data/measured/word_model.json"))
    options = parser.parse_args()
    vocabulary, ids = texts(options.novel)
    made, V = losses(vocabulary, options.samples), len(vocabulary)
    result = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {"runs": []}
    result |= {
        "novel": options.novel,
        "vocabulary": V,
        "samples": options.samples,
        "tokens": {name: len(part) for name, part in ids.items()},
        "machine": machine(torch.device("cpu")),
    }
    for seed in [] if options.time_only else options.seeds:
        for arm in options.arms:
            rate = options.rate or RATES[arm]
            done = [(r["arm"], r["seed"], r["steps"], r["learning_rate"]) for r in result["runs"]]
            if (arm, seed, options.steps, rate) in done:
                continue
            run = {"arm": arm, **train(made[arm], ids, vocabulary, seed, options.steps, rate)}
            print(run, flush=True)
            result["runs"].append(run)
            result["summary"] = summary(result["runs"])
            write_text(options.out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    if options.time_only:
        result["step_seconds"] = step_times(made, ids, vocabulary, options.rounds)
        print(result["step_seconds"])
        write_text(options.out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
