"""Distillation by sequences: the student reads what the teacher writes, or is marked as it writes.

Soft targets correct each word beside a true beginning. Two other ways give the student whole
texts: the teacher's own (Kim and Rush, 2016), or the student's, each word of which the teacher
then judges (on-policy distillation; Agarwal et al., 2023).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE
from minidistill.distillation import divergence_named
from minidistill.distilling import read_with_loss
from minidistill.generation import generate
from minidistill.language_model import State, eval_mode
from minidistill.rules import Rule
from minidistill.transduction import transduce

Ids = list[int]


def taught_text(
    teacher: nn.Module,
    ids: Tensor | Sequence[int],
    tokens: int,
    *,
    prompt: int = 16,
    length: int = 256,
    batch_size: int = 64,
    rules: Sequence[Rule] = (),
    seed: int = 0,
) -> Tensor:
    """Return a text of so many tokens that a teacher wrote, for a student to read.

    Drawn, not the likeliest: the mean of what is drawn is the teacher's probability, while its
    likeliest text is the same few sentences again and again.

    Args:
        teacher: a language model.
        ids: a text; each passage begins with `prompt` tokens from anywhere in it, which are not
            part of the result.
        tokens: how many to write.
        length: of a passage. batch_size: passages written at once.
        rules: see `generate`. seed: of the places and the draws.

    Raises:
        ValueError: a text shorter than a prompt, sizes under 1.

    Source: Kim and Rush, Sequence-level knowledge distillation, 2016.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    ids = torch.as_tensor(ids).long()
    if min(tokens, prompt, length, batch_size) < 1 or len(ids) < prompt:
        raise ValueError(
            f"{len(ids)} tokens of text, prompts of {prompt}, passages of {length}, "
            f"{batch_size} at once, {tokens} in all: give a longer text and sizes of at least 1"
        )
    chance = torch.Generator().manual_seed(seed)
    written, done = [], 0
    with eval_mode(teacher):
        while done < tokens:
            rows = min(batch_size, -(-(tokens - done) // length))
            starts = torch.randint(0, len(ids) - prompt + 1, (rows, 1), generator=chance)
            prompts = ids[starts + torch.arange(prompt)]
            text = generate(teacher, prompts, length, rules=rules, generator=chance)
            written.append(text[:, prompt:].flatten().cpu())
            done += written[-1].numel()
    return torch.cat(written)[:tokens]


def taught_pairs(
    teacher: nn.Module,
    sources: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    bos_id: int,
    eos_id: int,
    padding_id: int,
    width: int = 4,
    **options: Any,
) -> list[tuple[Ids, Ids]]:
    """Return (source, what the teacher makes of it) for each source, by beam search.

    The student learns one good answer in the place of many possible ones, which is easier for a
    small model; it then needs no beam of its own.

    Args:
        teacher: a model with `encode`. sources: ids. width: of the beam; for draws give width=1
            and a generator. Others as for `transduce`.

    Source: Kim and Rush, Sequence-level knowledge distillation, 2016.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """
    ends = {"bos_id": bos_id, "eos_id": eos_id, "padding_id": padding_id}
    with eval_mode(teacher):
        written = transduce(teacher, sources, max_new_tokens, width=width, **ends, **options)
    return [(list(map(int, s)), list(w)) for s, w in zip(sources, written, strict=True)]


class OnPolicy:
    """The student writes, the teacher judges each word: a `LossFunction` of `fit`.

        y ~ student from the first tokens of each row,   L = D(teacher, student) along y

    With soft targets a student only ever stands behind a true beginning; here it stands where
    its own words have brought it, and learns what to do there. With probability 1 - `share` a
    batch is the text itself. No gradient flows through the choice of the words. Where the model
    is not being trained it is the cross-entropy with the text.

    Args:
        teacher: a language model with the student's vocabulary.
        share: of batches that the student writes.
        prompt: true tokens at the start of each row.
        divergence: a name of DIVERGENCES. temperature: of teacher and student in it.

    Source: Agarwal et al., On-policy distillation of language models: learning from
    self-generated mistakes, 2023.
    Taught in solutions/09_knowledge_distillation.ipynb.
    """

    def __init__(
        self,
        teacher: nn.Module,
        share: float = 0.5,
        prompt: int = 8,
        divergence: str = "jensen-shannon",
        temperature: float = 1.0,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, but is a share between 0 and 1")
        if prompt < 1:
            raise ValueError("prompt must be at least 1: a text begins with something")
        divergence_named(divergence)  # refused now, not in the middle of a run
        self.teacher, self.share, self.prompt = teacher, share, prompt
        self.divergence, self.temperature = divergence, temperature

    def __call__(
        self, model: nn.Module, batch: Any, state: State = None
    ) -> tuple[Tensor, int, State]:
        """The divergence along the text or the student's words, their number, and no state."""
        if not model.training:
            return read_with_loss(model, batch, state)
        inputs, targets = batch[:2]
        tokens, mask = inputs, targets != IGNORE
        # Drawn where torch's global chance is, which `fit` ties to the step.
        if float(torch.rand(())) < self.share and inputs.size(1) > self.prompt:
            tokens, mask = self._written(model, inputs), self._judged(inputs)
        device = next(self.teacher.parameters()).device
        with eval_mode(self.teacher), torch.no_grad():
            said, _ = self.teacher(tokens.to(device))
        logits, _ = model(tokens)
        value = divergence_named(self.divergence)(
            logits, said.to(logits.device), mask=mask, temperature=self.temperature
        )
        return value, int(mask.sum()), None

    def fingerprint(self) -> str:
        """What a checkpoint remembers of this loss."""
        return json.dumps([self.share, self.prompt, self.divergence, self.temperature])

    def _written(self, model: nn.Module, inputs: Tensor) -> Tensor:
        chance = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        count = inputs.size(1) - self.prompt
        with eval_mode(model), torch.no_grad():
            return generate(model, inputs[:, : self.prompt], count, generator=chance)

    def _judged(self, inputs: Tensor) -> Tensor:
        """From the last true token on: what is predicted there is the student's first word."""
        places = torch.arange(inputs.size(1), device=inputs.device)
        return (places >= self.prompt - 1).expand(inputs.shape)


__all__ = ["OnPolicy", "taught_pairs", "taught_text"]
