"""Training a student on what a teacher says: `distill`, which is `fit` with a teacher beside it."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE, ContinuousBatches, PairBatches
from minidistill.distillation import distillation_loss, divergence_named, masked_mean
from minidistill.language_model import State, eval_mode
from minidistill.matching import Match, Pupil
from minidistill.pass_writing import weights_hash
from minidistill.teacher_forcing import token_loss
from minidistill.teacher_passes import Passes, Said
from minidistill.training import History, Recipe, evaluate, fit, to_device


class TeacherWarning(UserWarning):
    """The teacher is no better than its student: it would pull the student down."""


def distill(
    teacher: nn.Module | Passes,
    student: nn.Module,
    batches: Any,
    recipe: Recipe | None = None,
    *,
    alpha: float = 0.9,
    temperature: float = 1.0,
    divergence: str = "forward",
    matches: Sequence[Match] = (),
    validation: Any = None,
    alone: float | None = None,
    checkpoint: Path | str | None = None,
    progress: bool = True,
) -> History:
    """Train a student on its text and on what a teacher says of every token to come.

        L = alpha T^2 D(teacher, student) + (1 - alpha) cross-entropy + the matches' losses

    Both read the same batches, the student in train mode, the teacher in eval mode and without
    gradients; the teacher's weights do not change. Validation is the student's cross-entropy
    alone, so it can be compared with that of any other model.

    Args:
        teacher: any writer with the student's vocabulary, an `Ensemble`, or `Passes`.
        student: a language model, or a model with `encode`; trained in place.
        batches: as for `fit`: `ContinuousBatches`, `PairBatches`, or `passes.batches(...)`
            where the teacher is `Passes`.
        alpha: what the teacher's part weighs. With little text near 1: the text's own words,
            seen again and again, are what a student learns by heart. With much, 0.5 to 0.7.
        temperature: 1 for vocabularies of thousands: softer rows spread over words that do
            not matter.
        divergence: a name of `minidistill.distillation.DIVERGENCES`.
        matches: of hidden states or attention, see `minidistill.matching.Match`.
        validation, checkpoint, progress: as for `fit`.
        alone: the validation loss (nats a token) that such a student reached without a
            teacher; where the teacher's is no lower, there is a `TeacherWarning`.

    Raises:
        ValueError: vocabularies of two sizes, a divergence that is none, a pass in the place of
            a teacher for which something else than its rows is asked.
        TrainingError, CheckpointError: as `fit`.

    Source: Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    loss = _loss_of(teacher, student, batches, alpha, temperature, divergence, bool(matches))
    with ExitStack() as stack:
        if isinstance(teacher, nn.Module):
            stack.enter_context(eval_mode(teacher))
            _compare(teacher, student, batches if validation is None else validation, alone)
        pupil = student
        if matches:
            pupil = stack.enter_context(Pupil(student, teacher, matches))
            loss.pupil = pupil
        return fit(
            pupil,
            batches,
            recipe,
            validation=validation,
            loss=loss,
            checkpoint=checkpoint,
            progress=progress,
        )


class SoftTargets:
    """The loss of `distill` with a teacher at hand: a `LossFunction` of `fit` and `evaluate`.

    While the model is not being trained it is the cross-entropy alone.

    Args: see `distill`.

    Taught in solutions/09_knowledge_distillation.ipynb.
    """

    def __init__(
        self,
        teacher: nn.Module,
        alpha: float = 0.9,
        temperature: float = 1.0,
        divergence: str = "forward",
    ) -> None:
        divergence_named(divergence)  # refused now, not in the middle of a run
        self.teacher, self.alpha, self.temperature = teacher, alpha, temperature
        self.divergence = divergence
        self.pupil: Pupil | None = None

    def __call__(
        self, model: nn.Module, batch: Any, state: State = None
    ) -> tuple[Tensor, int, State]:
        """Loss, number of targets, and the states of student and teacher."""
        if not model.training:
            return read_with_loss(model, batch, state)
        mine, theirs = (None, None) if state is None else state
        logits, targets, mine = read(model, batch, mine)
        device = next(self.teacher.parameters()).device
        with torch.no_grad():
            said, _, theirs = read(self.teacher, to_device(batch, device), theirs)
        value = distillation_loss(
            logits,
            said.to(logits.device),
            targets,
            self.alpha,
            self.temperature,
            divergence_named(self.divergence),
        )
        states = None if mine is None and theirs is None else (mine, theirs)
        if self.pupil is not None:
            value = value + self.pupil.matched(targets != IGNORE)
        return value, int((targets != IGNORE).sum()), states

    def fingerprint(self) -> str:
        """What a checkpoint remembers of this loss."""
        matches = [] if self.pupil is None else [asdict(match) for match in self.pupil.matches]
        teacher = weights_hash(self.teacher)
        return json.dumps([self.alpha, self.temperature, self.divergence, teacher, matches])


class PassTargets:
    """The loss of `distill` with a teacher's pass in the place of the teacher.

        L = alpha T^2 soft + (1 - alpha) cross-entropy
        soft = -1/N sum over real tokens of [ sum_k s_k ln q_k + tail ln(1 - sum_k q_k) ]

    which is the forward KL divergence but for the teacher's entropy, a constant. Of a pass of
    draws, s_k is 1/K and the tail 0.

    Args:
        alpha: see `distill`. temperature: at which the pass was made.
        tail: "lump" the words that the pass does not name into one, or "renormalise" the named
            ones as if there were no others. The second is here to be seen to fail: the student
            learns that a word outside the K is impossible.

    Taught in solutions/09_knowledge_distillation.ipynb.
    """

    def __init__(self, alpha: float = 0.9, temperature: float = 1.0, tail: str = "lump") -> None:
        if tail not in ("lump", "renormalise"):
            raise ValueError(f"tail is 'lump' or 'renormalise', not {tail!r}")
        self.alpha, self.temperature, self.tail = alpha, temperature, tail

    def __call__(
        self, model: nn.Module, batch: Any, state: State = None
    ) -> tuple[Tensor, int, State]:
        """Loss, number of targets, and the student's state."""
        if not model.training:
            return read_with_loss(model, batch, state)
        logits, state = model(batch.inputs, state)
        hard, count = token_loss(logits, batch.targets)
        mask = batch.targets != IGNORE
        soft = sparse_target_loss(logits, batch.said, mask, self.temperature, self.tail)
        return self.alpha * soft + (1 - self.alpha) * hard, count, state

    def fingerprint(self) -> str:
        """What a checkpoint remembers of this loss."""
        return json.dumps([self.alpha, self.temperature, self.tail])


def sparse_target_loss(
    logits: Tensor,
    said: Said,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    tail: str = "lump",
) -> Tensor:
    """Cross-entropy (nats, times T^2) of a student with what a pass kept of the teacher's rows.

    Args:
        logits: (..., V). said: ids and shares (..., K), tail (...). mask: (...), real tokens.
        temperature: at which the pass was made. tail: see `PassTargets`.

    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    exact = torch.promote_types(logits.dtype, torch.float32)
    logits = logits.to(exact)
    if mask is not None:  # what stands at padding would reach the gradient
        logits = logits.masked_fill(~mask[..., None], 0.0)
    log_q = (logits / temperature).log_softmax(-1)
    named = log_q.gather(-1, said.ids)  # (..., K)
    shares = said.shares.to(exact)
    if tail == "renormalise":
        cost = -(shares * named).sum(-1) / shares.sum(-1).clamp(min=1e-9)
    else:
        # What the student leaves for the words that are not named. Draws may name a word twice,
        # so that the sum passes 1, but their tail is 0.
        rest = torch.log1p(-named.logsumexp(-1).exp().clamp(max=1 - 1e-6))
        cost = -(shares * named).sum(-1) - said.tail.to(exact) * rest
    return temperature**2 * masked_mean(cost, mask)


def read(model: nn.Module, batch: Any, state: State = None) -> tuple[Tensor, Tensor, State]:
    """Logits, targets and state for a batch of text or of pairs."""
    if hasattr(batch, "target_in"):
        memory = model.encode(batch.source, batch.source_mask)
        logits, _ = model(batch.target_in, None, batch.target_mask, memory=memory)
        return logits, batch.target_out, None
    inputs, targets = batch[:2]
    logits, state = model(inputs, state)
    return logits, targets, state


def read_with_loss(model: nn.Module, batch: Any, state: State = None) -> tuple[Tensor, int, State]:
    """Cross-entropy of a batch of text or of pairs: a `LossFunction` for both."""
    logits, targets, state = read(model, batch, state)
    return *token_loss(logits, targets), state


def _loss_of(
    teacher: Any,
    student: nn.Module,
    batches: Any,
    alpha: float,
    temperature: float,
    divergence: str,
    matched: bool,
) -> SoftTargets | PassTargets:
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, but is a share between 0 and 1")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, but must be above 0")
    if not isinstance(teacher, Passes):
        if teacher.vocab_size != student.vocab_size:
            raise ValueError(
                f"the teacher has {teacher.vocab_size:,} tokens and the student "
                f"{student.vocab_size:,}: they need one vocabulary (or see chapter 10)"
            )
        return SoftTargets(teacher, alpha, temperature, divergence)
    kept = teacher.about
    if kept["vocab_size"] != student.vocab_size:
        raise ValueError(
            f"the pass has a vocabulary of {kept['vocab_size']:,} tokens and the student "
            f"{student.vocab_size:,}: they need one vocabulary (or see chapter 10)"
        )
    plain = type(batches) in (ContinuousBatches, PairBatches)
    if plain or getattr(batches, "passes", teacher).about != kept:
        raise ValueError(
            "with a pass in the place of a teacher, the batches are its own: "
            "distill(passes, student, passes.batches(ids, batch_size, length))"
        )
    if temperature != kept["temperature"]:
        raise ValueError(
            f"this pass was made at temperature {kept['temperature']:g}, not {temperature:g}: a "
            "pass serves one temperature"
        )
    if divergence != "forward" or matched:
        raise ValueError(
            "a pass keeps the teacher's rows in short, which is enough for divergence='forward' "
            "and nothing else: give the teacher itself"
        )
    return PassTargets(alpha, temperature)


class _Few:
    """The first batches of many: enough to see who is better."""

    def __init__(self, batches: Any, count: int = 40) -> None:
        self.batches, self.count = batches, count
        self.carries_state = getattr(batches, "carries_state", False)

    def epoch(self, number: int) -> Iterator[Any]:
        """So many batches of an epoch."""
        return itertools.islice(self.batches.epoch(number), self.count)


def _compare(teacher: nn.Module, student: nn.Module, held_out: Any, alone: float | None) -> None:
    """TeacherWarning where the teacher is no better than its student on the same text."""
    held_out = _Few(held_out)
    theirs = evaluate(teacher, held_out, read_with_loss)
    mine = evaluate(student, held_out, read_with_loss) if alone is None else alone
    if theirs < mine:
        return
    warnings.warn(
        f"the teacher's perplexity is {math.exp(theirs):.1f}, the student's without it "
        f"{math.exp(mine):.1f}: this teacher would pull the student down. Take a better teacher, "
        "or train the student alone.",
        TeacherWarning,
        stacklevel=3,
    )


__all__ = [
    "PassTargets",
    "SoftTargets",
    "TeacherWarning",
    "distill",
    "read",
    "read_with_loss",
    "sparse_target_loss",
]
