"""Matching what is inside: a student's hidden states or attention beside the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.device import seeded
from minidistill.distillation import masked_mean
from minidistill.language_model import State


def hidden_loss(student: Tensor, teacher: Tensor, project: nn.Module, mask: Tensor) -> Tensor:
    """Squared distance between the student's projected states and the teacher's.

        L = 1/N sum over real tokens of 1/H_T ||W h_S - h_T||^2

    Args:
        student: (B, T, H_S). teacher: (B, T, H_T), no gradient flows there.
        project: W, from H_S to H_T, learned with the student: sizes differ, and so do the
            directions that two networks happen to have chosen.
        mask: (B, T), True where a token is real.

    Source: Romero et al., FitNets: hints for thin deep nets, 2015.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    # What stands at padding may be NaN, and 0 times that would reach the gradient.
    student, teacher = (h.masked_fill(~mask[..., None], 0.0) for h in (student, teacher.detach()))
    return masked_mean((project(student) - teacher).square().mean(-1), mask)


def attention_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """KL divergence between where the teacher looks and where the student does, in nats.

        L = 1/N sum over real target tokens of sum_s a_T,s (ln a_T,s - ln a_S,s)

    Args:
        student, teacher: weights (B, T, S) over one source. mask: (B, T), real target tokens.

    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    tiny = torch.finfo(student.dtype).tiny
    wanted = teacher.detach()
    cost = wanted * (wanted.clamp(min=tiny).log() - student.clamp(min=tiny).log())
    return masked_mean(cost.sum(-1), mask)


@dataclass(frozen=True)
class Match:
    """Which part of a student should be like which part of its teacher.

    Args:
        student, teacher: names of submodules, as in `model.get_submodule`: "recurrent" of a
            `LanguageModel`, "decoder.writer" or "decoder.attention" of a `Seq2Seq`.
        weight: of this loss beside the others.
        of: "states", what a layer returns first, (B, T, H); or "weights", what an attention
            returns second, (B, T, S).
    """

    student: str = "recurrent"
    teacher: str = "recurrent"
    weight: float = 1.0
    of: str = "states"


class Pupil(nn.Module):
    """A student with the projections that match it to a teacher; used as a context manager.

    Inside the block it listens to the named parts of both models; it answers as the student
    does. The projections are trained with the student and thrown away with the pupil.

    Raises:
        ValueError: no such part, or one that does not return what is matched.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, matches: Sequence[Match]) -> None:
        super().__init__()
        self.student, self.matches = student, tuple(matches)
        self.vocab_size = student.vocab_size
        self._teacher = [teacher]  # in a list: its weights are none of the pupil's
        self._heard: dict[tuple[str, int], Tensor] = {}
        self._hooks: list[Any] = []
        weight = next(student.parameters())
        self._listened = [
            (("student", n), _part(student, match.student)) for n, match in enumerate(matches)
        ] + [(("teacher", n), _part(teacher, match.teacher)) for n, match in enumerate(matches)]
        with seeded(0):
            self.projections = nn.ModuleList(
                _projection(student, teacher, match).to(weight) for match in matches
            )
        self.train(student.training)

    def __enter__(self) -> Pupil:
        for key, part in self._listened:
            self._hooks.append(part.register_forward_hook(self._listener(key)))
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._heard = [], {}

    def encode(self, source: Tensor, mask: Tensor | None = None) -> Any:
        """The student's memory of the sources."""
        return self.student.encode(source, mask)

    def forward(
        self, tokens: Tensor, state: State = None, mask: Tensor | None = None, **memory: Any
    ) -> tuple[Tensor, State]:
        """The student's logits and state."""
        return self.student(tokens, state, mask, **memory)

    def matched(self, mask: Tensor) -> Tensor:
        """The matches' losses for the batch that both models have just read."""
        total = torch.zeros((), device=mask.device)
        for number, match in enumerate(self.matches):
            mine = self._heard.pop(("student", number))
            theirs = self._heard.pop(("teacher", number)).to(mine.device)
            if any(heard.shape[:2] != mask.shape for heard in (mine, theirs)):
                raise ValueError(
                    f"{match.student!r} and {match.teacher!r} returned {tuple(mine.shape)} and "
                    f"{tuple(theirs.shape)} for tokens {tuple(mask.shape)}: name parts that are "
                    "called once for all tokens (a decoder with a reader)"
                )
            if match.of == "weights":
                value = attention_loss(mine, theirs, mask)
            else:
                value = hidden_loss(mine, theirs, self.projections[number], mask)
            total = total + match.weight * value
        return total

    def _listener(self, key: tuple[str, int]) -> Any:
        place = 1 if self.matches[key[1]].of == "weights" else 0

        def listen(module: nn.Module, given: Any, returned: Any) -> None:
            heard = returned[place] if isinstance(returned, tuple) else None
            if not isinstance(heard, Tensor) or heard.dim() != 3:
                raise ValueError(
                    f"{type(module).__name__} returns no {self.matches[key[1]].of} to match"
                )
            self._heard[key] = heard

        return listen


def _part(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:
        names = ", ".join(n for n, _ in model.named_children())
        raise ValueError(f"the model has no part {name!r}; it has {names}") from None


def _projection(student: nn.Module, teacher: nn.Module, match: Match) -> nn.Module:
    if match.of == "weights":
        return nn.Identity()
    if match.of != "states":
        raise ValueError(f"of is 'states' or 'weights', not {match.of!r}")
    sizes = []
    for model, name in ((student, match.student), (teacher, match.teacher)):
        size = getattr(_part(model, name), "hidden_size", None)
        if not isinstance(size, int):
            raise ValueError(f"{name!r} has no hidden_size: name a recurrent layer")
        sizes.append(size)
    return nn.Linear(*sizes)


__all__ = ["Match", "Pupil", "attention_loss", "hidden_loss"]
