"""Asking a teacher once: its pass over a text, written to disk file by file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.checkpoints import CheckpointError, load_tensors, save_tensors, write_text
from minidistill.language_model import State, eval_mode
from minidistill.progress import Progress
from minidistill.teacher_passes import ABOUT, Passes, files_of, read_about, text_hash

ROWS, LENGTH, WARM_UP = 32, 256, 64  # a file: 32 stretches of 256 tokens, each read from 64 before


def write_passes(
    folder: Path | str,
    teacher: nn.Module,
    ids: Tensor | Sequence[int],
    *,
    draws: int | None = None,
    top_k: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    progress: bool = True,
) -> Passes:
    """Let a teacher read a text and keep what it says of each token to come.

    Killed at any moment, it goes on with the next call; every file is the old one or the new
    one, whole, and the same as without the kill. The text is read in stretches of 256 tokens,
    each with the 64 before it, so that the files do not depend on each other.

    Args:
        folder: is made; one file for each 8,192 tokens.
        teacher: a language model; asked in eval mode, where it lies.
        ids: the text.
        draws: K tokens drawn for each place, evenly (32 where neither is given); or
        top_k: the K likeliest and the tail.
        temperature: of the teacher's row before drawing or choosing.
        seed: of the draws.

    Raises:
        ValueError: both draws and top_k, a number under 1, a temperature not above 0, a text
            of fewer than two tokens.
        CheckpointError: the folder holds the pass of another text, teacher or setting.

    Source: draws: Anshumann et al., Sparse logit sampling: accelerating knowledge distillation
    in LLMs, 2025.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    ids, folder = torch.as_tensor(ids).long().cpu(), Path(folder)
    count = _check(ids, draws, top_k, temperature, teacher.vocab_size)
    about = {
        "form": "draws" if top_k is None else "top_k",
        "count": count,
        "chance": "systematic" if top_k is None else None,
        "temperature": float(temperature),
        "seed": seed if top_k is None else None,
        "vocab_size": teacher.vocab_size,
        "tokens": len(ids) - 1,
        "file_tokens": ROWS * LENGTH,
        "text": text_hash(ids),
        "teacher": weights_hash(teacher),
    }
    _refuse_another(folder, about)
    write_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")
    files = files_of(folder, about)
    with eval_mode(teacher), torch.no_grad(), Progress(len(files), enabled=progress) as bar:
        for number, path in enumerate(files):
            if not _is_whole(path, {**about, "file": number}):
                tensors = _one_file(teacher, ids, number, about)
                save_tensors(path, tensors, {**about, "file": number})
            bar.update(number + 1)
    return Passes(folder)


def weights_hash(model: nn.Module) -> str:
    """Return a few letters that change with any weight of a model."""
    import safetensors.torch

    # Copies: safetensors refuses tensors that share memory, as tied tables do.
    weights = {
        name: t.detach().cpu().clone().contiguous() for name, t in model.state_dict().items()
    }
    # An ensemble's weights and form are settings, not tensors; other models add nothing here.
    content = safetensors.torch.save(weights) + model.extra_repr().encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _one_file(teacher: nn.Module, ids: Tensor, number: int, about: dict) -> dict[str, Tensor]:
    """The tensors of one file: the targets from number * file_tokens on."""
    first = number * about["file_tokens"]
    last = min(first + about["file_tokens"], about["tokens"])
    generator = torch.Generator().manual_seed((about["seed"] or 0) * 1_000_003 + number)
    starts = list(range(first, last, LENGTH))
    # Drawn beforehand and for whole files, so that chance does not depend on how it is read.
    uniform = evenly(torch.rand(len(starts) * LENGTH, 1, generator=generator), about["count"])
    found: list[tuple[Tensor, ...]] = []
    for group in _alike(starts, last):
        logits = _read(teacher, ids, group, min(LENGTH, last - group[0]))  # (rows, T, V)
        for row, start in enumerate(group):
            place = (start - first) // LENGTH * LENGTH
            numbers = uniform[place : place + logits.size(1)]
            found.append(_keep(logits[row], about, numbers.to(logits.device)))
    kept = [torch.cat(part).cpu() for part in zip(*found, strict=True)]
    names = ("ids",) if about["form"] == "draws" else ("ids", "shares")
    return dict(zip(names, kept, strict=True))


def evenly(u: Tensor, count: int) -> Tensor:
    """Spread `count` numbers between 0 and 1 at equal distances, from a place that chance gives.

        u_k = (k + u) / K,   k = 0 .. K - 1

    Each is uniform, so draws by them are as right on average as independent ones. But a token of
    probability p is drawn K p times rounded up or down, instead of by luck, so K of them say
    more of the row than K independent draws would: systematic sampling (Madow and Madow, 1944).

    Args:
        u: (..., 1), uniform between 0 and 1.

    Returns:
        (..., K).
    """
    return (torch.arange(count, device=u.device) + u) / count


def _alike(starts: list[int], last: int) -> list[list[int]]:
    """Stretches that can be read side by side: as long, and with as much before them."""
    groups: dict[tuple[int, int], list[int]] = {}
    for start in starts:
        groups.setdefault((min(WARM_UP, start), min(LENGTH, last - start)), []).append(start)
    return sorted(groups.values())


def _read(teacher: nn.Module, ids: Tensor, starts: list[int], length: int) -> Tensor:
    """Logits (rows, T, V) of the stretches, each read with what stands before it."""
    device = next(teacher.parameters()).device
    before = min(WARM_UP, starts[0])
    rows = torch.stack([ids[s - before : s + length] for s in starts]).to(device)
    state: State = None
    if before:
        _, state = teacher(rows[:, :before], state)
    return teacher(rows[:, before:], state)[0]


def _keep(logits: Tensor, about: dict[str, Any], uniform: Tensor) -> tuple[Tensor, ...]:
    """What is stored of one stretch's rows, (T, V)."""
    kind = torch.uint16 if about["vocab_size"] <= 2**16 else torch.int32
    p = (logits.double() / about["temperature"]).softmax(-1)
    if about["form"] == "top_k":
        shares, ids = p.topk(about["count"], dim=-1)
        return ids.to(kind), shares.float()
    sums = p.cumsum(-1)
    drawn = torch.searchsorted(sums, uniform.double() * sums[:, -1:], right=True)
    return (drawn.clamp(max=about["vocab_size"] - 1).to(kind),)


def _is_whole(path: Path, about: dict[str, Any]) -> bool:
    """Whether a file is there, can be read and belongs to this pass."""
    try:
        return path.is_file() and load_tensors(path)[1] == about
    except CheckpointError:
        return False


def _refuse_another(folder: Path, about: dict[str, Any]) -> None:
    kept = read_about(folder)
    if kept is None or kept == about:
        return
    names = {"text": "text", "teacher": "teacher", "vocab_size": "vocabulary"}
    changed = [names.get(k, k) for k in about if kept.get(k) != about[k]]
    raise CheckpointError(
        f"{folder} holds another pass (it differs in: {', '.join(changed)}): give this one a "
        "folder of its own, or delete that one"
    )


def _check(
    ids: Tensor, draws: int | None, top_k: int | None, temperature: float, vocab_size: int
) -> int:
    if draws is not None and top_k is not None:
        raise ValueError("give either draws or top_k: a pass is kept in one form")
    count = top_k if top_k is not None else 32 if draws is None else draws
    if count < 1 or (top_k is not None and count > vocab_size):
        raise ValueError(f"{count} tokens for each place: at least 1, and top_k at most V")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, but must be above 0")
    if ids.dim() != 1 or len(ids) < 2:
        raise ValueError("the text needs at least two tokens in one row")
    return count


__all__ = ["evenly", "weights_hash", "write_passes"]
