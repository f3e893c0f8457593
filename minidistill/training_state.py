"""Everything a training run must remember to go on as if it had never been broken."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.checkpoints import CheckpointError, load_tensors, save_tensors


class RunState:
    """Where a run stands: weights, optimiser, position in the text, carried state, best weights.

    One safetensors file holds it all, so a kill leaves the old state or the new one. Nothing of
    torch's random state is in it: `fit` draws each step's chance from (seed, step).

    Args:
        model, optimizer: changed in place by `resume`.
        recipe: as a dictionary, compared on resuming.
        batches, loss: compared by their `fingerprint()` where they have one.
        path: the checkpoint file, or None to keep nothing.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: dict[str, Any],
        batches: Any,
        path: Path | str | None,
        loss: Any = None,
    ) -> None:
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self.path = None if path is None else Path(path)
        self.step = self.epoch = self.batch = 0
        self.carried: Any = None
        self.best: dict[str, Tensor] = {}
        self.identity = {"recipe": recipe, "model": _shape_of(model), "batches": _words_of(batches)}
        if _words_of(loss):
            self.identity["loss"] = _words_of(loss)

    def keep_best_weights(self) -> None:
        """Remember the weights of now as the best so far."""
        self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def load_best_weights(self) -> None:
        """Put the best weights back into the model, where there were validations."""
        if self.best:
            self.model.load_state_dict(self.best)

    def carry(self, state: Any) -> None:
        """Keep a state for the next batch, cut from the graph."""
        # A copy, as a checkpoint gives it back: read through a view of a larger tensor, the same
        # numbers can add up to another last bit, and a resumed run would leave the unbroken one.
        copies = (t.detach().clone(memory_format=torch.contiguous_format) for t in _flatten(state))
        self.carried = _rebuild(_outline(state), copies)

    def save(self, history: dict[str, Any]) -> None:
        """Write the checkpoint, atomically; does nothing where no path was given."""
        if self.path is None:
            return
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        optimizer = self.optimizer.state_dict()
        for number, values in optimizer["state"].items():
            tensors |= {f"optimizer/{number}/{k}": torch.as_tensor(v) for k, v in values.items()}
        carried = _flatten(self.carried)
        tensors |= {f"carried/{i}": tensor for i, tensor in enumerate(carried)}
        about = {
            "identity": self.identity,
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "carried": _outline(self.carried),
            "history": history,
        }
        save_tensors(self.path, tensors, about)

    def resume(self, empty: dict[str, Any]) -> dict[str, Any]:
        """Take the checkpoint's place in the run and return its history, or `empty` without one.

        Raises:
            CheckpointError: it is damaged, or belongs to another recipe, model or text.
        """
        if self.path is None or not self.path.exists():
            return empty
        tensors, about = load_tensors(self.path)
        try:
            self._refuse_another_run(about["identity"])
            history = about["history"]
            if history.keys() != empty.keys():
                raise ValueError("its history has other parts")
            history["validation"] = [tuple(pair) for pair in history["validation"]]
            self._take(tensors, about)
        except CheckpointError:
            raise
        except (AttributeError, KeyError, RuntimeError, StopIteration, TypeError, ValueError) as e:
            raise CheckpointError(
                f"{self.path} is damaged or no checkpoint of a training run ({e!r}): delete it to "
                "start afresh, or give this run a file of its own"
            ) from e
        return history

    def _take(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Read the whole checkpoint, and only then change model and optimiser."""
        groups: dict[str, dict[str, Tensor]] = {
            kind: {} for kind in ("model", "best", "optimizer", "carried")
        }
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            groups[kind][rest] = tensor
        names = self.model.state_dict().keys()
        if groups["model"].keys() != names or groups["best"].keys() not in (names, set()):
            raise ValueError("its weights are not those of the model")
        device = next(self.model.parameters()).device
        parts = [groups["carried"][str(i)].to(device) for i in range(len(groups["carried"]))]
        self.carried = _rebuild(about["carried"], iter(parts))
        self.step, self.epoch, self.batch = (int(about[k]) for k in ("step", "epoch", "batch"))
        self.best = {k: v.to(device) for k, v in groups["best"].items()}
        self._load_optimizer(groups["optimizer"])
        self.model.load_state_dict(groups["model"])

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            number, _, key = name.partition("/")
            state.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})

    def _refuse_another_run(self, theirs: dict[str, Any]) -> None:
        """Name the first thing that differs, rather than mix two runs."""
        ours = json.loads(json.dumps(self.identity))
        for part in {**ours, **theirs}:
            wanted = ours.get(part)
            if theirs.get(part) == wanted:
                continue
            what = part
            if part == "recipe":
                keys = [k for k in wanted if wanted[k] != theirs[part].get(k)]
                changes = [f"{k}={theirs[part].get(k)!r}, now {wanted[k]!r}" for k in keys]
                what = ", ".join(changes) or part
            raise CheckpointError(
                f"{self.path} is the checkpoint of another run (it differs in: {what}): give this "
                "run a file of its own, or delete that one to start afresh"
            )


def _shape_of(model: nn.Module) -> str:
    outline = [(name, list(p.shape), str(p.dtype)) for name, p in model.named_parameters()]
    return hashlib.sha256(json.dumps(outline).encode()).hexdigest()[:16]


def _words_of(thing: Any) -> str:
    fingerprint = getattr(thing, "fingerprint", None)
    return fingerprint() if callable(fingerprint) else ""


def _flatten(state: Any) -> list[Tensor]:
    if state is None:
        return []
    if isinstance(state, Tensor):
        return [state]
    return [tensor for part in state for tensor in _flatten(part)]


def _outline(state: Any) -> Any:
    """The shape of a nested state without its tensors: None, "tensor" or a list of these."""
    if state is None or isinstance(state, Tensor):
        return None if state is None else "tensor"
    return [_outline(part) for part in state]


def _rebuild(outline: Any, tensors: Any) -> Any:
    if outline is None or outline == "tensor":
        return None if outline is None else next(tensors)
    return tuple(_rebuild(part, tensors) for part in outline)
