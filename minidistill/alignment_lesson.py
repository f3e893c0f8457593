"""A small writer learns a task whose alignment is known: one recipe for chapters and tests.

Three choices make it learn in a minute what otherwise takes several. The source ends in EOS, so
that there is a place to look at when all is written. Half of the pairs are long, because the
last places of a long source are otherwise seldom seen. And batches are not sorted by length:
one batch of all lengths tells more than many batches of one length each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minidistill.alignment import alignment_accuracy, exact_match
from minidistill.attention import AdditiveAttention
from minidistill.batches import IGNORE, PairBatches, pad, shift_targets
from minidistill.device import seeded
from minidistill.language_model import eval_mode
from minidistill.recurrent import GRU
from minidistill.seq2seq import Seq2Seq
from minidistill.tasks import BOS, EOS, PADDING, SPACE, TASK_VOCABULARY_SIZE, Aligned
from minidistill.teacher_forcing import pair_loss
from minidistill.training import Recipe, fit
from minidistill.transduction import transduce

Task = Callable[[int, tuple[int, int], int], list[Aligned]]
"""`reversal` or `phrase_order` of `minidistill.tasks`, or a task of your own."""

SHORTEST, LONG, LONGEST = 2, 15, 20
"""Lengths of what is trained on; half of it is at least LONG."""

EMBEDDING_SIZE, HIDDEN_SIZE, BATCH_SIZE, PAIRS = 64, 96, 64, 25_600
_TEST_SEED = 1_000_000  # far from the seeds of training


class Score(NamedTuple):
    """How a model does on fresh inputs of one length.

    exact: share of targets that are right from first token to last, 0 to 1. alignment: share
    of target letters whose largest weight is on the place they come from; None without
    attention. Spaces do not count: one space is like another, and any will do.
    """

    exact: float
    alignment: float | None


def train_on(
    task: Task,
    attention: Callable[..., nn.Module] | None = AdditiveAttention,
    values: str = "embeddings",
    seed: int = 0,
    steps: int = 600,
    *,
    layer: Callable[..., nn.Module] = GRU,
    progress: bool = False,
) -> Seq2Seq:
    """Train a small encoder and decoder on a task, sources of 2 to 20 tokens; about a minute.

    Args:
        task: `reversal` or `phrase_order`.
        attention: makes the attention, `attention(query_size, key_size)`; None: fixed context.
        values: what attention averages, the tokens' "embeddings" or the encoder's "states".
        seed: of the weights, the pairs and their order.
        steps: updates, of 64 pairs each.
        layer: makes the recurrent layers, `layer(input_size, hidden_size)`.
        progress: show a bar.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    with seeded(seed):
        model = Seq2Seq(
            TASK_VOCABULARY_SIZE,
            TASK_VOCABULARY_SIZE,
            EMBEDDING_SIZE,
            HIDDEN_SIZE,
            layer,
            attention,
            values=values,
            tied=True,
            shared=True,
        )
    recipe = Recipe(steps=steps, learning_rate=5e-3, checkpoint_every=steps, seed=seed)
    batches = lesson_batches(task, seed, min(PAIRS, steps * BATCH_SIZE))
    fit(model, batches, recipe, loss=pair_loss, progress=progress)
    return model.eval()


def lesson_batches(task: Task, seed: int = 0, count: int = PAIRS) -> PairBatches:
    """What `train_on` trains on: half of the pairs of any length, half of 15 to 20 tokens.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    made = task(count // 2, (SHORTEST, LONGEST), 2 * seed)
    made += task(count // 2, (LONG, LONGEST), 2 * seed + 1)
    pairs = [(with_end(one.source), one.target) for one in made]
    special = {"padding_id": PADDING, "bos_id": BOS, "eos_id": EOS}
    return PairBatches(pairs, BATCH_SIZE, seed=seed, sort_within=1, **special)


def with_end(source: Tensor) -> Tensor:
    """The source as the models of this lesson read it: with EOS after it, (S,) -> (S + 1,).

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    return torch.cat([source, source.new_tensor([EOS])])


def score_on(model: nn.Module, task: Task, length: int, count: int = 500) -> Score:
    """How a model does on `count` fresh inputs of exactly this length, always the same ones.

    Targets are written greedily, token by token. Where the model looks is measured with the
    true target before it, so that one wrong letter does not count for all after it.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    made = task(count, (length, length), _TEST_SEED + length)
    sources, targets = [with_end(one.source) for one in made], [one.target for one in made]
    written = transduce(
        model, sources, length + 5, bos_id=BOS, eos_id=EOS, padding_id=PADDING, batch_size=count
    )
    exact = exact_match(written, targets)
    weights = look_at(model, made)
    if weights is None:
        return Score(exact, None)
    letters = torch.stack(targets) != SPACE
    origins = torch.stack([one.alignment for one in made]).masked_fill(~letters, IGNORE)
    right, known = alignment_accuracy(weights[:, :-1].cpu(), origins)
    return Score(exact, right / known)


@torch.no_grad()
def look_at(model: nn.Module, made: list[Aligned]) -> Tensor | None:
    """Where a model looks before each true target token, and before EOS: (B, T + 1, S + 1).

    Rows are the target and then EOS, columns the source and then EOS; None without attention.
    For targets or sources of several lengths, what is beyond the end of a row means nothing.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    device = next(model.parameters()).device
    source, mask = pad([with_end(one.source) for one in made], PADDING)
    target_in, _, target_mask = shift_targets([one.target for one in made], BOS, EOS, PADDING)
    with eval_mode(model):
        memory = model.encode(source.to(device), mask.to(device))
        return model.look(target_in.to(device), memory, target_mask.to(device))


__all__ = ["Score", "lesson_batches", "look_at", "score_on", "train_on", "with_end"]
