"""What a writer costs where it is used: a teacher and its student, in nine forms.

    python benchmarks/deployment.py [--student student_en] [--rounds 5]
        [--out benchmarks/results/deployment_cpu.json]

All forms take turns in each round (A B C A B C), on one thread; the figures are the medians over
the rounds. Perplexity is of the house novel's test chapters.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from recurrent import machine
from torch import nn

from minidistill import load_novel, load_writer, quantise
from minidistill.checkpoints import write_text
from minidistill.deployment import measure
from minidistill.export import OnnxWriter, TorchWriter, export_onnx, export_torch
from minidistill.quantisation import load_quantised, save_quantised

TIMED = ("tokens_per_second", "tokens_per_second_32", "first_token_ms")


def forms(teacher: str, student: str, folder: Path) -> dict[str, tuple[nn.Module, Any]]:
    """Every form by name: the model and its vocabulary."""
    found: dict[str, tuple[nn.Module, Any]] = {}
    for role, name in (("teacher", teacher), ("student", student)):
        for engine, suffix in (("torch", ", PyTorch's LSTM"), ("scratch", "")):
            model, vocabulary = load_writer(name)
            model.recurrent.engine = engine
            found[role + suffix] = model, vocabulary
    half, _ = load_writer(student)
    half.recurrent.engine = "scratch"
    found["student, bfloat16"] = half.to(torch.bfloat16), vocabulary
    stored = folder / "int8"
    save_quantised(stored, quantise(model), vocabulary, {})
    for engine in ("float", "int8"):
        small, _ = load_quantised(stored, engine=engine)
        found[f"student, int8, engine {engine}"] = small, vocabulary
    program = export_torch(model, folder / "student.pt2")
    found["student, torch.export"] = TorchWriter(program), vocabulary
    try:
        path = export_onnx(quantise(model), folder / "student.onnx")
        found["student, int8, ONNX Runtime"] = OnnxWriter(path), vocabulary
    except ImportError as error:
        print(error)
    return found


def main() -> None:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", default="teacher_en")
    parser.add_argument("--student", default="student_en")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/deployment_cpu.json"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    text = load_novel().split().test.text
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        every = forms(chosen.teacher, chosen.student, Path(folder))
        for number in range(chosen.rounds):
            for name, (model, vocabulary) in every.items():
                figures = measure(
                    model,
                    vocabulary,
                    text if number == 0 else text[:2000],
                    "The rain",
                    repeats=1,
                    memory=number == 0,
                )
                rows.setdefault(name, []).append(figures)
    result: dict[str, Any] = {
        "machine": machine(torch.device("cpu")),
        "command": f"python benchmarks/deployment.py --student {chosen.student}",
        "writers": {name: summary(found) for name, found in rows.items()},
    }
    teacher = result["writers"]["teacher"]
    for name, row in result["writers"].items():
        # Where the student runs in PyTorch's LSTM, so does the teacher it is compared with.
        peer = "teacher, PyTorch's LSTM" if "PyTorch's" in name else "teacher"
        row[f"times as fast as {peer}"] = {
            key: round(row[key] / result["writers"][peer][key], 2) for key in TIMED[:2]
        }
        row["times as small as the teacher in float32"] = round(
            4e-6 * teacher["parameters"] / row["stored_mb"], 1
        )
        print(name, row)
    write_text(chosen.out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def summary(found: list[dict[str, float]]) -> dict[str, Any]:
    """The first round's figures, and of the timed ones the medians of all."""
    timed = {key: statistics.median(row[key] for row in found) for key in TIMED}
    return {key: round(value, 4) for key, value in (found[0] | timed).items()}


if __name__ == "__main__":
    main()
