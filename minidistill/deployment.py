"""What a writer costs where it is used: megabytes, tokens a second, the wait, the memory.

figures = measure(model, vocabulary, text, "The rain ")
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.checkpoints import CheckpointError, load_model, save_model
from minidistill.generation import generate
from minidistill.language_model import parameter_count
from minidistill.metrics import perplexity
from minidistill.training import evaluate
from minidistill.writers import ids_of, measured_rows

MB = 1e6  # bytes
BATCH = 32


def measure(
    model: nn.Module,
    vocabulary: Any,
    text: str,
    prompt: str = "\n",
    *,
    tokens: int = 128,
    repeats: int = 3,
    folder: Path | str | None = None,
    memory: bool = True,
) -> dict[str, float]:
    """Return what a writer costs and what it is worth, as plain numbers.

    All is measured as the model stands: its engine, its device, torch's number of threads. Text
    is written greedily, which costs what drawing costs but for one random number a token.

        parameters              numbers that training found; the scales of int8 rows do not count
        stored_mb               the file that holds the weights, in MB of 1,000,000 bytes
        weights_mb              the weights in memory, in the types that the model holds, in MB;
                                of an exported model, its file. The float32 copy that a quantised
                                model may compute with is seen in `peak_writer_mb` only
        tokens_per_second       new tokens a second of one text. Reading the prompt is part of the
                                time, so give a short one
        tokens_per_second_32    of 32 texts side by side, the tokens of all of them
        first_token_ms          milliseconds from the prompt to the first new token of one text
        peak_mb                 the most memory held by a process of its own that loads this
                                writer and writes one text on the CPU, see `peak_memory`
        peak_writer_mb          what of this the writer brought: the rest is Python and torch
        perplexity              a token of `text`, which a line's end is read before; rows of about
                                2000 tokens begin without a state

    Times are medians of `repeats` runs, after one that is not counted.

    Args:
        model: keeps the protocol of `minidistill.language_model`.
        text: what perplexity is measured on, such as the validation chapters.
        tokens: how many are written in a run; a quarter of them where 32 texts are written.
        folder: where the model is stored, by `save_model` or `save_quantised`. None: it is stored
            in a temporary folder, in the types it has. An exported model knows its own file.
        memory: False leaves out the process for memory, which takes some seconds: both figures
            are then nan. So they are for a model with a layer of your own.

    Raises:
        ValueError: an empty text or prompt; tokens or repeats below 1.
        CheckpointError: `folder` holds no model.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    if tokens < 1 or repeats < 1:
        raise ValueError(f"tokens and repeats are at least 1, got {tokens} and {repeats}")
    start = vocabulary.encode(prompt)
    ids = ids_of(vocabulary, text)
    if not start or len(ids) < 2:
        raise ValueError(f"the {'text' if start else 'prompt'} is empty: give at least one token")
    few = max(1, tokens // 4)
    one, many = torch.tensor([start]), torch.tensor([start] * BATCH)
    counted = getattr(model, "parameter_count", None)  # frozen ones would not be counted
    with tempfile.TemporaryDirectory() as temporary:
        place = _stored(model, vocabulary, folder, Path(temporary))
        stored = (place / "model.safetensors" if place.is_dir() else place).stat().st_size
        peak = peak_memory(place, start, tokens, _engine(model)) if memory and _known(model) else {}
    exported = place.is_file()
    return {
        "parameters": counted() if counted else parameter_count(model),
        "stored_mb": stored / MB,
        "weights_mb": stored / MB if exported else weights_bytes(model) / MB,
        "tokens_per_second": tokens / _seconds(model, one, tokens, repeats),
        "tokens_per_second_32": BATCH * few / _seconds(model, many, few, repeats),
        "first_token_ms": 1000 * _seconds(model, one, 1, repeats),
        "peak_mb": peak.get("peak", math.nan) / MB,
        "peak_writer_mb": peak.get("writer", math.nan) / MB,
        "perplexity": perplexity(evaluate(model, measured_rows(ids))),
    }


def weights_bytes(model: nn.Module) -> int:
    """Bytes of all weights and buffers that a model holds, a table used twice counted once."""
    tensors = {t.data_ptr(): t for t in chain(model.parameters(), model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())


def peak_memory(
    place: Path | str, prompt: list[int], tokens: int = 128, engine: str | None = None
) -> dict[str, int]:
    """Return the most memory, in bytes, that writing one text with a stored model takes.

    A process of its own loads the model and writes, and asks the system for the most that it held:
    on Linux the high-water mark in /proc/self/status, set back before the model is loaded;
    elsewhere `getrusage`, which cannot be set back, so that what loading torch took may hide a
    small writer. A process that has done other things before would answer for these too.

    Args:
        place: a folder of `save_model` or `save_quantised`, or a file of `export_onnx` (.onnx) or
            `export_torch`.
        prompt: ids. tokens: how many are written. engine: of a quantised model.

    Returns:
        "peak", all of the process; "writer", how far this is above what it held before it loaded
        the model, Python, torch and this package being loaded.

    Raises:
        RuntimeError: the process failed, with its last line; a system that cannot be asked.

    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    job = {"place": str(place), "prompt": prompt, "tokens": tokens, "engine": engine}
    job["threads"] = torch.get_num_threads()
    code = "import sys; from minidistill.deployment import _child; _child(sys.argv[1])"
    here = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(job)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"the process that measures memory failed: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def _child(job: str) -> None:
    """What the other process does: load, write, and print the two figures."""
    told = json.loads(job)
    torch.set_num_threads(told["threads"])
    place = Path(told["place"])
    if place.is_file():
        from minidistill.export import OnnxWriter, TorchWriter

        load = OnnxWriter if place.suffix == ".onnx" else TorchWriter
    else:
        load = _load_folder
    before = _held("VmRSS")
    _set_back()
    model = load(place)
    if told["engine"]:
        model.engine = told["engine"]
    generate(model, torch.tensor([told["prompt"]]), told["tokens"], greedy=True)
    peak = _held("VmHWM")
    print(json.dumps({"peak": peak, "writer": max(0, peak - before)}))


def _load_folder(folder: Path) -> nn.Module:
    return load_model(folder)[0]


def _held(field: str) -> int:
    """Bytes this process holds (VmRSS) or has held at most (VmHWM); elsewhere always the most."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        raise RuntimeError("this system does not say how much memory a process held") from None
    # Not on Linux, where it starts from what the parent held.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def _set_back() -> None:
    """Let the high-water mark begin from here, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _seconds(model: nn.Module, prompt: Tensor, tokens: int, repeats: int) -> float:
    """Median seconds of writing; `generate` ends when the device has."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        generate(model, prompt, tokens, greedy=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _stored(model: nn.Module, vocabulary: Any, folder: Path | str | None, spare: Path) -> Path:
    """The folder or file in which a model is stored, stored now if it is not yet."""
    if hasattr(model, "path"):
        return Path(model.path)
    if folder is None:
        return save_model(spare, model, vocabulary, {})
    if not (Path(folder) / "model.safetensors").is_file():
        raise CheckpointError(f"there is no model in {folder}: give a folder of save_model")
    return Path(folder)


def _engine(model: nn.Module) -> str | None:
    """The engine that a folder's model must be told; other models keep theirs in the file."""
    return model.engine if hasattr(model, "quantised_config") else None


def _known(model: nn.Module) -> bool:
    """Whether another process can load it: one with a layer of this package, or from a file."""
    layer = getattr(model, "recurrent", model)
    return type(layer).__module__.startswith("minidistill.") or hasattr(model, "quantised_config")
