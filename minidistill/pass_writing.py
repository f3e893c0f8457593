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
from minidistill.language_model import eval_mode
from minidistill.piece_map import PieceMap
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
    spelling: PieceMap | None = None,
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
        spelling: of the teacher's tokens in the pieces of a student with another vocabulary;
            the pass is then one of the pieces, for the text `spelling.encode(ids)`.

    Raises:
        ValueError: both draws and top_k, a number under 1, a temperature not above 0, a text
            of fewer than two tokens.
        CheckpointError: the folder holds the pass of another text, teacher or setting.

    Source: draws: Anshumann et al., Sparse logit sampling: accelerating knowledge distillation
    in LLMs, 2025.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    ids, folder = torch.as_tensor(ids).long().cpu(), Path(folder)
    size = teacher.vocab_size if spelling is None else spelling.piece_count
    count = _check(ids, draws, top_k, temperature, size)
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
    if spelling is not None:
        about |= _about_pieces(ids, spelling)
    _refuse_another(folder, about)
    write_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")
    files = files_of(folder, about)
    with eval_mode(teacher), torch.no_grad(), Progress(len(files), enabled=progress) as bar:
        for number, path in enumerate(files):
            if not _is_whole(path, {**about, "file": number}):
                tensors = _one_file(teacher, ids, number, about, spelling)
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


def _about_pieces(ids: Tensor, spelling: PieceMap) -> dict[str, Any]:
    """What a pass of pieces says of itself: its text, and at which piece each file begins."""
    pieces = spelling.encode(ids)
    lengths = torch.tensor([len(spelling.spelled[i]) for i in ids.tolist()])
    # Target n is piece n + 1, so what comes with token t begins at target (pieces before t) - 1.
    before = lengths.cumsum(0) - lengths
    later = before[ROWS * LENGTH + 1 :: ROWS * LENGTH] - 1
    starts = [0, *later.tolist()]
    return {
        "vocab_size": spelling.piece_count,
        "tokens": len(pieces) - 1,
        "text": text_hash(pieces),
        "teacher_tokens": len(ids) - 1,
        "starts": starts,
    }


def _one_file(
    teacher: nn.Module, ids: Tensor, number: int, about: dict, spelling: PieceMap | None
) -> dict[str, Tensor]:
    """The tensors of one file: of the teacher's targets from number * file_tokens on."""
    first = number * about["file_tokens"]
    last = min(first + about["file_tokens"], about.get("teacher_tokens", about["tokens"]))
    generator = torch.Generator().manual_seed((about["seed"] or 0) * 1_000_003 + number)
    starts = list(range(first, last, LENGTH))
    longest = 1 if spelling is None else max(map(len, spelling.spelled))
    # Drawn beforehand and for whole files, so that chance does not depend on how it is read.
    chance = torch.rand((len(starts) + 1) * LENGTH * longest, 1, generator=generator)
    found: list[tuple[Tensor, ...]] = []
    done = 0
    for group in _alike(starts, last):
        before, logits = _read(teacher, ids, group, min(LENGTH, last - group[0]))
        for row, start in enumerate(group):
            p = (logits[row].double() / about["temperature"]).softmax(-1)  # (T, V)
            if spelling is not None:
                last_row = None if before is None else before[row] / about["temperature"]
                p = _respelled(p, last_row, ids[start : start + len(p) + 1], spelling)
            numbers = evenly(chance[done : done + len(p)], about["count"])
            found.append(_keep(p, about, numbers.to(p.device)))
            done += len(p)
    kept = [torch.cat(part).cpu() for part in zip(*found, strict=True)]
    names = ("ids",) if about["form"] == "draws" else ("ids", "shares")
    return dict(zip(names, kept, strict=True))


def _respelled(p: Tensor, before: Tensor | None, ids: Tensor, spelling: PieceMap) -> Tensor:
    """A stretch's rows over pieces: of all pieces of ids[1:], and at a text's start of ids[0] too.

    The row before the stretch says how the last token might have gone on.
    """
    if before is None:  # the text's first token was not predicted: it is what it is
        last_row = torch.zeros_like(p[:1])
        last_row[0, ids[0]] = 1.0
    else:
        last_row = before.double().softmax(-1)[None]
    rows = spelling.rows(torch.cat([last_row, p]), ids)
    return rows[1 if before is None else len(spelling.spelled[int(ids[0])]) :]


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


def _read(
    teacher: nn.Module, ids: Tensor, starts: list[int], length: int
) -> tuple[Tensor | None, Tensor]:
    """Logits (rows, T, V) of the stretches, and those (rows, V) before them, None at the start."""
    device = next(teacher.parameters()).device
    before = min(WARM_UP, starts[0])
    rows = torch.stack([ids[s - before : s + length] for s in starts]).to(device)
    if not before:
        return None, teacher(rows, None)[0]
    warm, state = teacher(rows[:, :before], None)
    return warm[:, -1], teacher(rows[:, before:], state)[0]


def _keep(p: Tensor, about: dict[str, Any], uniform: Tensor) -> tuple[Tensor, ...]:
    """What is stored of one stretch's rows of probabilities, (T, V)."""
    kind = torch.uint16 if about["vocab_size"] <= 2**16 else torch.int32
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
