"""The novel as sequence to sequence: is a source of use, and is attention better than one vector?

    python benchmarks/novel_seq2seq.py [--plans next_en next_zh] [--seeds 0 1 2] [--out FILE]

For each novel and seed four writers of the next sentence are trained with one budget: with
attention; with the source in one fixed vector; the same with that vector always zero, so that
it sees no source; and an ordinary language model of the sentence alone. Perplexities a token
are of held-out chapters, also with the sources shuffled among the pairs. Then the writer with
attention goes on from held-out beginnings, and its texts are compared with what people wrote.

Every result is written at once and whole: started again, only what is missing is done.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from novel_seq2seq_texts import compare_texts
from torch import Tensor, nn

from minidistill import GRU, LanguageModel, evaluate, fast_matmul, fit, parameter_count, seeded
from minidistill.checkpoints import load_tensors, save_tensors, write_text
from minidistill.encoder import Memory
from minidistill.pair_training import HiddenSources, batches, shuffled_sources
from minidistill.seq2seq_checkpoints import Trained
from minidistill.seq2seq_writers import PLANS, PairPlan, build, prepare
from minidistill.teacher_forcing import pair_loss, token_loss

KINDS = ("attention", "no source", "fixed context", "language model")
NOVELS = {
    "next_en": PLANS["next_en"],
    "next_zh": PLANS["next_zh"],
    "pride_and_prejudice": replace(
        PLANS["next_en"], novel="pride_and_prejudice", dropout=0.3, source_dropout=0.2
    ),
    # A long novel: 1,000 batches see hardly a pair twice, so no source is known by heart.
    "xiyouji": replace(
        PLANS["next_zh"],
        novel="xiyouji",
        dropout=0.3,
        recipe=replace(PLANS["next_zh"].recipe, steps=1000),
    ),
}
SEES = ("attention", "fixed context")
PAIRS = (
    ("attention", "fixed context"),
    ("attention", "no source"),
    ("attention", "language model"),
    ("fixed context", "no source"),
    ("fixed context", "language model"),
)


class NoSource(nn.Module):
    """A `Seq2Seq` whose memory is always zeros: the same parts, and nothing to look at."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def encode(self, source: Tensor, mask: Tensor | None = None) -> Memory:
        """The memory of a source that was not read."""
        size = self.model.encoder.output_size
        nothing = torch.zeros(len(source), size, device=source.device)
        return Memory(nothing, nothing[:, None], nothing[:, None], source[:, :1] >= 0)

    def forward(self, tokens: Tensor, state: Any = None, mask: Any = None, memory: Any = None):
        """Logits and state, as of the model inside."""
        return self.model(tokens, state, mask, memory=memory)


def target_loss(model: nn.Module, batch: Any, state: Any = None) -> tuple[Tensor, int, None]:
    """The loss of a language model that reads only the target, token by token."""
    logits, _ = model(batch.target_in, None, batch.target_mask)
    return *token_loss(logits, batch.target_out), None


def make(kind: str, plan: PairPlan, sizes: tuple[int, int]) -> tuple[nn.Module, Callable]:
    """An untrained model of one kind, and the loss that trains it."""
    if kind == "attention":
        return build(plan, *sizes), pair_loss
    if kind == "language model":
        with seeded(plan.recipe.seed):
            layer = GRU(plan.size, plan.size, num_layers=2, dropout=plan.dropout)
            model = LanguageModel(sizes[1], plan.size, layer, plan.dropout, tied=True)
        return model, target_loss
    model = build(replace(plan, attention=None), *sizes)
    return (model if kind == "fixed context" else NoSource(model)), pair_loss


def run(kind: str, plan: PairPlan, prepared: tuple, folder: Path) -> dict[str, Any]:
    """Train one model, keep its weights, and measure it on the held-out chapters."""
    _, (train, validation, _), vocabularies = prepared
    model, loss = make(kind, plan, tuple(map(len, vocabularies)))
    trained = Trained(model, *vocabularies)
    start, work = time.perf_counter(), time.process_time()
    training = batches(trained, train, plan.batch_size, seed=plan.recipe.seed)
    history = fit(
        model,
        training,
        plan.recipe,
        validation=batches(trained, validation, 64, shuffle=False),
        loss=HiddenSources(plan.source_dropout, training, loss),
        checkpoint=folder / "checkpoint.safetensors",
    )
    seconds = round(time.perf_counter() - start), round(time.process_time() - work)
    found = measure(kind, trained, loss, prepared[1])
    save_tensors(folder / "weights.safetensors", model.state_dict(), {"kind": kind})
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    return {
        "kind": kind,
        "seed": plan.recipe.seed,
        "parameters": parameter_count(model),
        "perplexity": found,
        "best_step": history.best[0],
        "validation_by_step": [[step, round(math.exp(x), 2)] for step, x in history.validation],
        "seconds": seconds[0],
        "cpu_seconds": seconds[1],
    }


def measure(kind: str, trained: Trained, loss: Callable, parts: list) -> dict[str, float]:
    """Perplexities of the held-out chapters and of as many pairs that it was trained on.

    What a source is worth on the training text and not on the held-out one is known by heart.
    """
    train, validation, test = parts
    sets = {"training": train[:: len(train) // 400], "validation": validation, "test": test}
    if kind in SEES:
        sets |= {f"{name}, shuffled": shuffled_sources(pairs) for name, pairs in sets.items()}
    found = {}
    for name, pairs in sets.items():
        laid = batches(trained, pairs, 64, shuffle=False)
        found[name] = round(math.exp(evaluate(trained.model, laid, loss)), 3)
    return found


def summary(runs: list[dict]) -> dict[str, Any]:
    """Means and deviations over seeds, in how many seeds who was better, what a source is worth."""
    of = {(row["kind"], row["seed"]): row["perplexity"] for row in runs}
    seeds = [s for s in sorted({s for _, s in of}) if all((kind, s) in of for kind in KINDS)]
    table, worth, better = {}, {}, {}
    for kind in KINDS:
        rows = [of[kind, seed] for seed in seeds]
        table[kind] = {name: _spread([row[name] for row in rows]) for name in dict(*rows[:1])}
    for kind in SEES:
        worth[kind] = {
            part: [
                round(of[kind, s][f"{part}, shuffled"] / of[kind, s][part] - 1, 4) for s in seeds
            ]
            for part in ("training", "validation", "test")
        }
    for one, other in PAIRS:
        better[f"{one} below {other}"] = {
            part: sum(of[one, s][part] < of[other, s][part] for s in seeds)
            for part in ("validation", "test")
        }
    return {
        "seeds": seeds,
        "perplexity": table,
        "in how many seeds": better,
        "perplexity rises where sources are shuffled, by": worth,
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    deviation = round(statistics.stdev(values), 2) if len(values) > 1 else None
    return {"mean": round(statistics.mean(values), 2), "deviation": deviation}


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    return {
        "device": "cpu",
        "name": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "matmul": "medium",
    }


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file, the old one or the new one, never half of it."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Do what is missing, print it, write the JSON after each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plans", nargs="+", default=["next_en", "next_zh"], choices=list(NOVELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/novel_seq2seq.json"))
    parser.add_argument("--work", type=Path, default=Path("build/novel_seq2seq"))
    parser.add_argument("--no-texts", action="store_true", help="leave out the written texts")
    chosen = parser.parse_args()
    result: dict[str, Any] = {}
    if chosen.out.is_file():
        result = json.loads(chosen.out.read_text(encoding="utf-8"))
    result["machine"] = machine()
    torch.set_num_threads(1)
    with fast_matmul():
        for seed in chosen.seeds:
            for name in chosen.plans:
                for kind in KINDS:
                    _one(result, name, kind, seed, chosen)
        for name in chosen.plans:
            result[name]["summary"] = summary(result[name]["runs"])
        write_json(chosen.out, result)
        for name in chosen.plans if not chosen.no_texts else ():
            _texts(result, name, chosen)


def _one(result: dict, name: str, kind: str, seed: int, chosen: argparse.Namespace) -> None:
    """Train and measure one model, unless the results have it."""
    plan = replace(NOVELS[name], recipe=replace(NOVELS[name].recipe, seed=seed))
    about = json.loads(json.dumps({**asdict(NOVELS[name]), "prompt": None}))
    entry = result.get(name)
    if entry is None or entry["plan"] != about:
        entry = result[name] = {"plan": about, "runs": []}
    if any(row["kind"] == kind and row["seed"] == seed for row in entry["runs"]):
        return
    prepared = prepare(plan)
    entry["pairs"] = [len(pairs) for pairs in prepared[1]]
    entry["vocabulary"] = [len(vocabulary) for vocabulary in prepared[2]]
    row = run(kind, plan, prepared, chosen.work / f"{name}-{kind.replace(' ', '_')}-{seed}")
    entry["runs"].append(row)
    entry["summary"] = summary(entry["runs"])
    print(name, kind, seed, row["perplexity"], f"{row['cpu_seconds']} CPU s", flush=True)
    write_json(chosen.out, result)


def _texts(result: dict, name: str, chosen: argparse.Namespace) -> None:
    """Compare written texts with people's, unless the results have it."""
    if "texts" in result[name]:
        return
    plan = NOVELS[name]
    novels, _, vocabularies = prepare(plan)
    model = build(plan, *map(len, vocabularies))
    folder = chosen.work / f"{name}-attention-{chosen.seeds[0]}"
    model.load_state_dict(load_tensors(folder / "weights.safetensors")[0])
    result[name]["texts"] = compare_texts(Trained(model.eval(), *vocabularies), novels[1], plan)
    write_json(chosen.out, result)


if __name__ == "__main__":
    main()
