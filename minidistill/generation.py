"""Writing: from a model's probabilities to text, one token after another.

A *rule* is a function from logits to logits, `rule(logits (B, V), tokens (B, t)) -> (B, V)`;
rules are applied in order and then one token is drawn (or the best taken).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.language_model import eval_mode

Rule = Callable[[Tensor, Tensor], Tensor]


def temperature(value: float) -> Rule:
    """A rule that divides the logits by a temperature T > 0.

    p_i ~ exp(logit_i / T): below 1 the likely grows likelier, above 1 all grow more alike.

    Raises:
        ValueError: T is not above 0; for T = 0 use greedy=True.

    Source: Ackley, Hinton and Sejnowski, A learning algorithm for Boltzmann machines, 1985.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    if not value > 0:
        raise ValueError(f"a temperature is above 0, got {value}; for the likeliest use greedy")
    return lambda logits, tokens: logits / value


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt: Tensor,
    max_new_tokens: int,
    *,
    rules: Sequence[Rule] = (),
    greedy: bool = False,
    generator: torch.Generator | None = None,
    stop_id: int | None = None,
    memory: Any = None,
) -> Tensor:
    """Continue every row of a prompt, token by token, feeding back what was written.

    w_{t+1} ~ softmax(rules(logits_t)), or the arg max where greedy.

    Args:
        model: anything that keeps the protocol of `minidistill.language_model`.
        prompt: ids (B, T0), T0 >= 1; moved to the model's device.
        rules: applied to the logits in order.
        generator: the source of chance, on the CPU; the same seed writes the same text.
        stop_id: a row that wrote it goes on with nothing but it; all rows done ends early.
        memory: the encoded source text, for models that read one.

    Returns:
        ids (B, T0 + n) with n <= max_new_tokens, prompt included.

    Raises:
        ValueError: an empty prompt, or sampling with neither greedy nor a generator.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    if prompt.dim() != 2 or prompt.size(1) == 0:
        raise ValueError(
            f"the prompt has shape {tuple(prompt.shape)}: give (batch, time) with at least one "
            "token to start from"
        )
    if not greedy and generator is None:
        raise ValueError(
            "sampling needs a source of chance: generator=torch.Generator().manual_seed(0), "
            "or greedy=True"
        )
    weight = next(iter(model.parameters()), prompt)  # a model without weights stays where it is
    source = {} if memory is None else {"memory": memory}
    tokens = prompt.to(weight.device)
    ended = torch.zeros(len(tokens), dtype=torch.bool, device=weight.device)
    new, state = tokens, None
    with eval_mode(model):
        for _ in range(max_new_tokens):
            logits, state = model(new, state, **source)
            scores = logits[:, -1].float()  # (B, V)
            for rule in rules:
                scores = rule(scores, tokens)
            chosen = scores.argmax(-1) if greedy else draw(scores, generator)
            if stop_id is not None:
                chosen = torch.where(ended, stop_id, chosen)
                ended = ended | (chosen == stop_id)
            new = chosen[:, None]  # (B, 1)
            tokens = torch.cat([tokens, new], dim=1)
            if stop_id is not None and bool(ended.all()):
                break
    return tokens


def draw(scores: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one id a row with probability softmax(scores), (B, V) -> (B,).

    The noise comes from a CPU generator wherever the scores are, so a GPU draws what a CPU
    draws: arg max of score + Gumbel noise is a draw from the softmax (Gumbel, 1954).
    """
    uniform = torch.rand(scores.shape, generator=generator, dtype=torch.float64)
    gumbel = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
    # Added on the CPU, for not every GPU (Apple's) has numbers of this precision.
    return (scores.cpu().double() + gumbel).argmax(-1).to(scores.device)


def write(
    model: nn.Module,
    vocabulary: Any,
    prompt: str,
    length: int,
    *,
    rules: Sequence[Rule] = (),
    greedy: bool = False,
    seed: int = 0,
) -> str:
    """Continue a text by `length` tokens and give it back as text, prompt included.

    Unknown tokens are never written: the reader could not read them.

    Raises:
        ValueError: an empty prompt.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    ids = vocabulary.encode(prompt)
    if not ids:
        raise ValueError("the prompt is empty: give the writer a few characters to go on from")
    if vocabulary.unknown_id is not None:
        rules = [*rules, forbid([vocabulary.unknown_id])]
    generator = torch.Generator().manual_seed(seed)
    tokens = generate(
        model, torch.tensor([ids]), length, rules=rules, greedy=greedy, generator=generator
    )
    # Decoded after the prompt and cut from it, so that words are set apart from the prompt's.
    before = vocabulary.decode(ids)
    written = vocabulary.decode(tokens[0].tolist())[len(before) :]
    if prompt[-1].isspace() and not before[-1:].isspace():
        written = written.removeprefix(" ")  # the prompt ends in the space between words
    return prompt + written


def forbid(ids: Sequence[int]) -> Rule:
    """A rule that gives the named tokens probability zero."""

    def rule(logits: Tensor, tokens: Tensor) -> Tensor:
        blocked = logits.clone()
        blocked[:, list(ids)] = -torch.inf
        return blocked

    return rule
