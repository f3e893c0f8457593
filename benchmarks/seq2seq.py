"""What looking back costs: decoders with attention beside the fixed-context one, A B A B.

    python benchmarks/seq2seq.py [--repeats 15] [--out benchmarks/results/seq2seq_cpu.json]

Every model reads the same sources and is trained on the same targets; a step is encoding,
decoding with teacher forcing, the loss and the way back. Medians of alternating runs, as ratios
to the fixed-context model of the same layers: for the whole step, and for the decoder alone with
the memory given. And writing: tokens a second for a batch, greedy, against one source at a time.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from recurrent import machine, timed  # the benchmark beside this one
from torch import Tensor, nn

from minidistill import pick_device, seeded
from minidistill.attention import ATTENTIONS
from minidistill.checkpoints import write_text
from minidistill.recurrent import GRU, LSTM
from minidistill.seq2seq import Memory, Seq2Seq
from minidistill.transduction import transduce

B, S, T, SIZE, VOCABULARY = 32, 40, 40, 256, 2000
LAYERS = {"GRU": GRU, "LSTM": LSTM, "LSTM, engine torch": partial(LSTM, engine="torch")}


def contestants(layer: Callable[..., nn.Module], device: torch.device) -> dict[str, Seq2Seq]:
    """The fixed-context model and one with each attention; the last in the paper's order."""
    make = partial(Seq2Seq, VOCABULARY, VOCABULARY, SIZE, SIZE, layer)
    with seeded(0):
        models = {"fixed context": make()}
        for name in ("additive", "general"):
            models[name] = make(ATTENTIONS[name])
        # A dot product needs queries and keys of one size: the encoder reads forwards only.
        models["scaled dot"] = make(ATTENTIONS["scaled dot"], bidirectional=False)
        models["additive, paper's order"] = make(ATTENTIONS["additive"], reader=False)
    return {name: model.to(device) for name, model in models.items()}


def batch(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Ragged sources with their mask, and targets."""
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(0, VOCABULARY, (B, S), generator=generator)
    lengths = torch.randint(S // 2, S + 1, (B, 1), generator=generator)
    target = torch.randint(0, VOCABULARY, (B, T), generator=generator)
    return source.to(device), (torch.arange(S) < lengths).to(device), target.to(device)


def loss(model: Seq2Seq, memory: Memory, target: Tensor) -> Tensor:
    """What is minimised, with the shift left out: it costs nothing."""
    logits, _ = model(target, None, memory=memory)
    return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())


def whole_step(model: Seq2Seq, source: Tensor, mask: Tensor, target: Tensor) -> None:
    """Forward and backward of everything."""
    loss(model, model.encode(source, mask), target).backward()
    model.zero_grad()


def decoder_step(model: Seq2Seq, memory: Memory, target: Tensor) -> None:
    """Forward and backward of the decoder, from a memory that is given."""
    parts = (part.detach() for part in memory)
    parts = (p.requires_grad_() if p.is_floating_point() else p for p in parts)
    loss(model, Memory(*parts), target).backward()
    model.zero_grad()


def alternate(
    runs: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of each, measured in turn after a warm-up."""
    for run in runs.values():
        for _ in range(3):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(timed(run, device))
    return {name: statistics.median(values) for name, values in times.items()}


def training(repeats: int, device: torch.device) -> list[dict[str, object]]:
    """Every attention over every kind of layer."""
    source, mask, target = batch(device)
    rows = []
    for kind, layer in LAYERS.items():
        models = contestants(layer, device)
        memories = {name: model.encode(source, mask) for name, model in models.items()}
        whole = alternate(
            {n: partial(whole_step, m, source, mask, target) for n, m in models.items()},
            repeats,
            device,
        )
        alone = alternate(
            {n: partial(decoder_step, m, memories[n], target) for n, m in models.items()},
            repeats,
            device,
        )
        for name in models:
            row = {
                "layer": kind,
                "model": name,
                "step_ms": round(whole[name] * 1e3, 1),
                "step_ratio": round(whole[name] / whole["fixed context"], 3),
                "decoder_ms": round(alone[name] * 1e3, 1),
                "decoder_ratio": round(alone[name] / alone["fixed context"], 3),
            }
            print(f"  {kind}, {name}: step {row['step_ratio']}, decoder {row['decoder_ratio']}")
            rows.append(row)
    return rows


def writing(repeats: int, device: torch.device, tokens: int = 40) -> dict[str, object]:
    """Greedy writing from a batch of sources, against one source at a time."""
    source, _, _ = batch(device)
    with seeded(0):
        model = Seq2Seq(VOCABULARY, VOCABULARY, SIZE, SIZE, LSTM, ATTENTIONS["additive"])
    model.to(device)
    special = {"bos_id": 0, "eos_id": VOCABULARY + 1, "padding_id": 0}  # no text ends early
    sources = list(source.cpu())
    runs = {
        f"{size} at a time": partial(transduce, model, sources, tokens, batch_size=size, **special)
        for size in (len(sources), 1)
    }
    found = alternate(runs, max(3, repeats // 3), device)
    speed = {name: round(len(sources) * tokens / value) for name, value in found.items()}
    print("  writing, tokens a second:", speed)
    return {"tokens_per_second": speed}


def main() -> None:
    """Measure everything, print it, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = pick_device()
    out = options.out or Path(f"benchmarks/results/seq2seq_{device.type}.json")
    result = {
        "machine": machine(device),
        "seed": 0,
        "repeats": options.repeats,
        "B, S, T, H, V": [B, S, T, SIZE, VOCABULARY],
        "training": training(options.repeats, device),
        "writing": writing(options.repeats, device),
    }
    write_text(out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
