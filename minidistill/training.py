"""One training loop for every model: clipping, schedule, validation, early stop, resuming.

The loop knows nothing of what it trains. Batches come from an object with `epoch(number)`,
the loss from a function, so language models, sequence to sequence and distillation share it.
Whatever happens at step s depends on (seed, s) only, never on how often the run was broken.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE
from minidistill.device import seeded
from minidistill.language_model import State, eval_mode
from minidistill.progress import Progress
from minidistill.sparse_rows import gradient_values
from minidistill.training_state import RunState

LossFunction = Callable[[nn.Module, Any, State], tuple[Tensor, int, State]]


class TrainingError(RuntimeError):
    """Training cannot go on; the sentence says why and what to change."""


@dataclass(frozen=True)
class Recipe:
    """How to train; every number that changes the result is here.

    Args:
        steps: number of updates.
        learning_rate: the highest rate the schedule reaches.
        schedule: "one_cycle" (up for `warmup` of the steps, then down a cosine to a
            hundredth), "cosine" (no warm-up) or "constant".
        weight_decay: AdamW's (Loshchilov and Hutter, 2019).
        clip_norm, clip_value: see `clip_by_norm` and `clip_by_value`; None is off.
        validate_every, patience: validate every so many steps; stop after `patience`
            validations without a better one (None: never). The best weights are kept.
        checkpoint_every: steps between checkpoints, where one is asked for.
        precision: "float32", or "bfloat16" for mixed precision.
        seed: of everything random while training.
    """

    steps: int = 1000
    learning_rate: float = 3e-3
    schedule: str = "one_cycle"
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    validate_every: int = 100
    patience: int | None = None
    checkpoint_every: int = 100
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.validate_every < 1 or self.checkpoint_every < 1:
            raise ValueError("steps, validate_every and checkpoint_every must be at least 1")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.schedule not in ("one_cycle", "cosine", "constant"):
            raise ValueError(f"schedule is one_cycle, cosine or constant, not {self.schedule!r}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is float32 or bfloat16, not {self.precision!r}")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0: a pure function, so nothing is stored."""
        warm = round(self.steps * self.warmup) if self.schedule == "one_cycle" else 0
        if self.schedule == "constant":
            return self.learning_rate
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        done = (step - warm) / max(1, self.steps - warm)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass
class History:
    """What happened: one entry a step in the first four lists, one a validation in the last.

    Losses are in nats a token; `validation` holds (step, loss) pairs.
    """

    losses: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    stopped: str = ""

    @property
    def best(self) -> tuple[int, float]:
        """(step, loss) of the best validation."""
        if not self.validation:
            raise ValueError("this run had no validation text, so it has no best step")
        return min(self.validation, key=lambda pair: pair[1])


def next_token_loss(model: nn.Module, batch: Any, state: State) -> tuple[Tensor, int, State]:
    """Mean cross-entropy (nats) of the next token, over real targets only.

    L = -1/N sum over (b, t) with a real target of ln softmax(logits[b, t])[target[b, t]]

    Args:
        batch: (inputs (B, T), targets (B, T)), targets IGNORE (-100) where nothing stands.

    Returns:
        The loss, the number N of real targets, and the state to carry on with.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    inputs, targets = batch
    logits, state = model(inputs, state)
    loss = nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    count = int((targets != IGNORE).sum())
    return loss / max(1, count), count, state


def clip_by_norm(gradients: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients, in place and together, so that their joint norm is at most `max_norm`.

    g <- g min(1, max_norm / ||g||),   ||g|| over all tensors as one long vector

    The direction stays. Returns the norm before clipping.
    Source: Pascanu et al., On the difficulty of training recurrent neural networks, 2013.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    gradients = list(gradients)
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
    # No `if norm > max_norm`: that would make a GPU wait for the number at every step.
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale)
    return norm


def clip_by_value(gradients: Iterable[Tensor], max_value: float) -> None:
    """Cut every single entry, in place, to between -max_value and max_value.

    The direction changes: large entries are cut, small ones are not.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    for g in gradients:
        g.clamp_(-max_value, max_value)


@torch.no_grad()
def evaluate(model: nn.Module, batches: Any, loss: LossFunction = next_token_loss) -> float:
    """Mean loss in nats a token over all of `batches`, in eval mode; the mode is put back."""
    device, carries = _device_of(model), getattr(batches, "carries_state", False)
    total, count, state = 0.0, 0, None
    with eval_mode(model):
        for batch in batches.epoch(0):
            mean, n, state = loss(model, to_device(batch, device), state)
            total, count = total + float(mean) * n, count + n
            state = state if carries else None
    return total / max(1, count)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch (tensor, or tuple or named tuple of tensors) on the model's device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, tuple):
        moved = [to_device(part, device) for part in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else tuple(moved)
    return batch


def fit(
    model: nn.Module,
    batches: Any,
    recipe: Recipe | None = None,
    *,
    validation: Any = None,
    loss: LossFunction = next_token_loss,
    checkpoint: Path | str | None = None,
    progress: bool = True,
) -> History:
    """Train a model; with `checkpoint`, go on where a broken run of the same recipe stopped.

    Args:
        model: trained in place; at the end it has the weights of the best validation, or
            the last ones where there is no validation.
        batches: an object with `epoch(number)` giving batches and `carries_state`.
        validation: such an object too, or None.
        loss: (model, batch, state) -> (mean loss, number of targets, state). Where it has a
            method `at(step)`, that gives the loss of each training step; where it has one
            `fingerprint()`, a checkpoint of another such loss is refused; where it has one
            `optimizer(model, lr, weight_decay)`, that takes the place of AdamW, and its groups
            learn at their `factor` times the recipe's rate.
        checkpoint: a file, written atomically every `checkpoint_every` steps.
        progress: show a bar (terminal, notebook) or a line now and then (log file).

    Raises:
        TrainingError: the loss became NaN or infinite.
        CheckpointError: the checkpoint belongs to another run, or is damaged.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    recipe = recipe or Recipe()
    make = getattr(loss, "optimizer", adamw)
    optimizer = make(model, recipe.learning_rate, recipe.weight_decay)
    run = RunState(model, optimizer, dataclasses.asdict(recipe), batches, checkpoint, loss)
    history = History(**run.resume(dataclasses.asdict(History())))
    was_training = model.training
    with seeded(recipe.seed), Progress(recipe.steps, run.step, enabled=progress) as bar:
        for batch in _endless(batches, run):
            if run.step >= recipe.steps or history.stopped:
                break
            model.train()
            _update(model, optimizer, batch, run, recipe, loss, history)
            if validation is not None and _is_due(run.step, recipe.validate_every, recipe.steps):
                _validate(model, validation, loss, run, recipe, history)
            bar.update(run.step, _figures(history))
            if history.stopped or _is_due(run.step, recipe.checkpoint_every, recipe.steps):
                run.save(dataclasses.asdict(history))
    run.load_best_weights()
    model.train(was_training)
    return history


def adamw(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """The optimiser of all of a model, where the loss does not bring one of its own."""
    return torch.optim.AdamW(model.parameters(), lr, weight_decay=weight_decay)


def _endless(batches: Any, run: RunState) -> Iterable[Any]:
    """Batches epoch after epoch, starting where the run stands."""
    while True:
        empty = run.batch == 0
        for batch in itertools.islice(batches.epoch(run.epoch), run.batch, None):
            empty = False
            run.batch += 1
            yield batch
        if empty:
            raise TrainingError("there are no batches to train on: give a longer text")
        run.epoch, run.batch, run.carried = run.epoch + 1, 0, None


def _update(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Any,
    run: RunState,
    recipe: Recipe,
    loss: LossFunction,
    history: History,
) -> None:
    """One step: forward, backward, clip, update."""
    # Dropout draws from torch's global chance: tied to the step, a resumed run draws the same.
    device = _device_of(model)
    # `torch.manual_seed` also seeds every GPU that torch has not woken yet, and notes the call's
    # whole stack for each: half a millisecond, where the model lies on the CPU for nothing.
    start = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
    start(recipe.seed * 1_000_003 + run.step)
    half = recipe.precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        step_loss = loss.at(run.step) if hasattr(loss, "at") else loss
        value, _, state = step_loss(model, to_device(batch, device), run.carried)
    rate = recipe.rate(run.step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    gradients = [gradient_values(p) for p in model.parameters() if p.grad is not None]
    if recipe.clip_value is not None:
        clip_by_value(gradients, recipe.clip_value)
    norm = clip_by_norm(gradients, math.inf if recipe.clip_norm is None else recipe.clip_norm)
    loss_value, norm_value = float(value.detach()), float(norm)
    _refuse_nonsense(loss_value, norm_value, run.step, recipe)
    optimizer.step()
    run.step += 1
    run.carry(state if getattr(run.batches, "carries_state", False) else None)
    history.losses.append(loss_value)
    history.learning_rates.append(rate)
    history.gradient_norms.append(norm_value)


def _refuse_nonsense(value: float, norm: float, step: int, recipe: Recipe) -> None:
    """Stop before NaN reaches the weights."""
    if math.isfinite(value) and math.isfinite(norm):
        return
    what, cause = ("loss", value) if not math.isfinite(value) else ("gradient's norm", norm)
    clip = "" if recipe.clip_norm else " or set clip_norm=1.0"
    raise TrainingError(
        f"the {what} became {cause} at step {step}: lower the learning rate "
        f"({recipe.learning_rate:g}){clip}; the weights are those of the step before"
    )


def _validate(
    model: nn.Module,
    validation: Any,
    loss: LossFunction,
    run: RunState,
    recipe: Recipe,
    history: History,
) -> None:
    """Measure, keep the best weights, and stop when patience is out."""
    value = evaluate(model, validation, loss)
    if not history.validation or value < history.best[1]:
        run.keep_best_weights()
    history.validation.append((run.step, value))
    since = sum(step > history.best[0] for step, _ in history.validation)
    if recipe.patience is not None and since >= recipe.patience:
        history.stopped = f"no better validation in {recipe.patience} tries"


def _is_due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last


def _figures(history: History) -> str:
    recent: Sequence[float] = history.losses[-50:]
    text = f"loss {sum(recent) / len(recent):.3f}"
    return text + (f", validation {history.validation[-1][1]:.3f}" if history.validation else "")


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
