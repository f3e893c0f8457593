"""Writing: from a model's probabilities to text, one token after another.

At each step the model gives logits, rules (see `minidistill.rules`) change them in order, and
then one token is drawn, or the likeliest taken. Everything happens where the model is: the
numbers of chance are made beforehand and moved there once, and only every few tokens is it
looked at whether all texts have ended or something went wrong. A GPU that had to answer at
each token would spend its time waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minidistill.language_model import eval_mode
from minidistill.rules import Rule, forbid, temperature
from minidistill.streaming import readable, show, text_pieces

__all__ = ["Rule", "draw", "forbid", "generate", "show", "stream", "temperature", "write"]

LOOK_EVERY = 16  # tokens between two looks at what happens on the device


def generate(
    model: nn.Module,
    prompt: Tensor,
    max_new_tokens: int,
    *,
    rules: Sequence[Rule] = (),
    greedy: bool = False,
    generator: torch.Generator | Tensor | None = None,
    stop_id: int | None = None,
    memory: Any = None,
) -> Tensor:
    """Continue every row of a prompt, token by token, feeding back what was written.

    w_{t+1} ~ softmax(rules(logits_t)), or the arg max where greedy.

    Args:
        model: anything that keeps the protocol of `minidistill.language_model`.
        prompt: ids (B, T0), T0 >= 1; moved to the model's device.
        rules: applied to the logits in order.
        generator: the source of chance, on the CPU; the same seed writes the same text, and
            a shorter text is the beginning of a longer one. Or the uniform numbers themselves,
            (max_new_tokens, B): a row's text then does not depend on the rows beside it.
        stop_id: a row that wrote it goes on with nothing but it; all rows done ends early.
            The model and the rules may be asked for a few tokens after the end, which are
            thrown away.
        memory: the encoded source text, for models that read one.

    Returns:
        ids (B, T0 + n) with n <= max_new_tokens, prompt included.

    Raises:
        ValueError: an empty prompt; sampling with neither greedy nor a generator; logits that
            are no numbers; a rule that leaves no token, with its name.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    numbers = _check(prompt, max_new_tokens, greedy, generator)
    text = _Text(model, prompt, max_new_tokens, rules, numbers, stop_id, memory)
    while not text.done:
        text.continue_by(LOOK_EVERY)
    return text.tokens[:, : text.length].contiguous()


def draw(scores: Tensor, uniform: Tensor) -> Tensor:
    """Draw one id a row with probability softmax(scores): (B, V), (B,) -> (B,).

    w = the smallest i with p_1 + ... + p_i > u (p_1 + ... + p_V), for u uniform between 0 and 1

    A token of probability 0 is never drawn. Where rounding leaves no sum above the number, it
    is the last token that has any probability. Added up in the precision of `uniform`.

    Taught in solutions/04_writing.ipynb.
    """
    p = scores.float().softmax(-1)  # (B, V)
    sums = p.cumsum(-1, dtype=uniform.dtype)  # (B, V)
    ids = torch.arange(p.size(-1), device=p.device)
    possible = p > 0  # on a GPU, sums are rounded in such an order that even adding 0 may show
    passed = possible & (sums > uniform[:, None] * sums[:, -1:])
    first = torch.where(passed, ids, len(ids)).amin(-1)
    last = torch.where(possible, ids, 0).amax(-1)
    return torch.minimum(first, last)


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
        ValueError: an empty prompt, and what `generate` raises.

    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    ids, rules = readable(vocabulary, prompt, rules)
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


def stream(
    model: nn.Module,
    vocabulary: Any,
    prompt: str,
    length: int,
    *,
    rules: Sequence[Rule] = (),
    greedy: bool = False,
    seed: int = 0,
    every: int = LOOK_EVERY,
) -> Iterator[str]:
    """Give the text of `write` piece by piece while it is written: the prompt, then each token.

    A piece holds whole characters only; the joined pieces are what `write` returns for the
    same arguments. `show(stream(...))` prints them.

    Args:
        every: how many tokens are fetched from the device at a time. The pieces are the same;
            for a large model on a slow machine, 1 shows each token at once.

    Raises:
        ValueError: an empty prompt, `every` below 1; while it writes, what `generate` raises.

    Taught in solutions/04_writing.ipynb.
    """
    ids, rules = readable(vocabulary, prompt, rules)
    if every < 1:
        raise ValueError(f"every is how many tokens to fetch at a time, from 1, got {every}")
    start = torch.tensor([ids])
    numbers = _check(start, length, greedy, torch.Generator().manual_seed(seed))
    text = _Text(model, start, length, rules, numbers)

    def new_tokens() -> Iterator[int]:
        while not text.done:
            yield from text.continue_by(every)

    return text_pieces(vocabulary, prompt, ids, new_tokens())


def _check(
    prompt: Tensor, length: int, greedy: bool, generator: torch.Generator | Tensor | None
) -> Tensor | None:
    """Refuse what cannot be written; then the uniform numbers, (length, B), or None if greedy."""
    if prompt.dim() != 2 or prompt.numel() == 0:
        raise ValueError(
            f"the prompt has shape {tuple(prompt.shape)}: give (batch, time) with at least one "
            "token to start from"
        )
    if prompt.is_floating_point():
        raise ValueError(f"the prompt holds {prompt.dtype}, but token ids are whole numbers")
    if length < 0:
        raise ValueError(f"{length} new tokens cannot be written: give 0 or more")
    if greedy:
        return None
    if generator is None:
        raise ValueError(
            "sampling needs a source of chance: generator=torch.Generator().manual_seed(0), "
            "or greedy=True"
        )
    if isinstance(generator, Tensor):
        if generator.shape != (length, len(prompt)):
            raise ValueError(
                f"the uniform numbers have shape {tuple(generator.shape)}, needed are "
                f"({length}, {len(prompt)}): one for each new token of each row"
            )
        return generator
    if generator.device.type != "cpu":
        raise ValueError(
            "the generator must be on the CPU, so that a seed writes the same text everywhere: "
            "torch.Generator().manual_seed(0)"
        )
    return torch.rand(length, len(prompt), generator=generator, dtype=torch.float64)


class _Text:
    """The texts of a batch while they are written.

    tokens: (B, T0 + max_new_tokens), of which the first `length` are written. done: whether
    all is written, or all rows have ended.
    """

    def __init__(
        self,
        model: nn.Module,
        prompt: Tensor,
        max_new_tokens: int,
        rules: Sequence[Rule],
        numbers: Tensor | None,
        stop_id: int | None = None,
        memory: Any = None,
    ) -> None:
        # A model without weights works where the prompt is.
        device = next(iter(model.parameters()), prompt).device
        prompt = prompt.to(device, torch.long)
        self.tokens = torch.cat([prompt, prompt.new_zeros(len(prompt), max_new_tokens)], dim=1)
        self.start = self.length = prompt.size(1)
        self.done = max_new_tokens == 0
        self.numbers = None if numbers is None else numbers.to(device, _precise(device))
        self.ended = torch.zeros(len(prompt), dtype=torch.bool, device=device)
        self.stop_id = -1 if stop_id is None else stop_id  # no token has the id -1
        self.model, self.rules = model, list(rules)
        self.source = {} if memory is None else {"memory": memory}
        self.new, self.state = prompt, None

    @torch.no_grad()
    def continue_by(self, count: int) -> list[int]:
        """Write up to `count` tokens more; return those of the first row, for a stream."""
        first, end = self.length, min(self.length + count, self.tokens.size(1))
        largest: list[Tensor] = []
        with eval_mode(self.model):
            for place in range(first, end):
                try:
                    largest += self._write_one(place)
                except Exception:
                    if not self.ended.all():
                        raise
                    end = place  # it was asked for something after the end of all rows
                    break
        found = torch.stack(largest)  # (n (1 + rules), B)
        wrong = ~found.isfinite().all()
        # After the last row has ended there is nothing but the stop token.
        unended = (self.tokens[:, self.start : end] != self.stop_id).any(0).sum()
        facts = torch.stack([wrong, unended])
        # The one look at the device.
        failed, before_end, *row = torch.cat([facts, self.tokens[0, first:end]]).tolist()
        if failed:
            raise ValueError(self._what_went_wrong(found, first))
        self.length = min(end, self.start + before_end + 1)
        self.done = end == self.tokens.size(1) or before_end < end - self.start
        return row[: self.length - first]

    def _write_one(self, place: int) -> list[Tensor]:
        """Write one token a row; return each row's largest logit from the model and each rule.

        The largest is -inf where no token is left, and nan where there is a nan.
        """
        logits, self.state = self.model(self.new, self.state, **self.source)
        scores = logits[:, -1].float()  # (B, V)
        largest = [scores.amax(-1)]
        for rule in self.rules:
            given, scores = scores, rule(scores, self.tokens[:, :place])
            if scores.shape != given.shape:
                raise ValueError(
                    f"the rule {_name(rule)} was given logits {tuple(given.shape)} and returned "
                    f"{tuple(scores.shape)}: a rule keeps the shape"
                )
            largest.append(scores.amax(-1))
        if self.numbers is None:
            chosen = scores.argmax(-1)  # (B,)
        else:
            chosen = draw(scores, self.numbers[place - self.start])
        if self.stop_id >= 0:
            # What is said about a row that has ended does not count, not even a nan.
            largest = [torch.where(self.ended, 0.0, values) for values in largest]
            chosen = torch.where(self.ended, self.stop_id, chosen)
            self.ended = self.ended | (chosen == self.stop_id)
        self.tokens[:, place] = chosen
        self.new = self.tokens[:, place : place + 1]
        return largest

    def _what_went_wrong(self, largest: Tensor, first: int) -> str:
        """A sentence on the first place where a largest logit is not a finite number."""
        largest = largest.view(-1, 1 + len(self.rules), largest.size(-1)).cpu()
        step, number, row = (~largest.isfinite()).nonzero()[0].tolist()
        value = largest[step, number, row].item()
        place = f"new token {first - self.start + step + 1}, row {row} of the batch"
        what = "no token to write" if value == -torch.inf else f"the logit {value}"
        if number == 0:
            return f"the model gives {what} ({place}): its training may have gone wrong"
        name = f"rule {number} of {len(self.rules)}, {_name(self.rules[number - 1])},"
        return f"{name} leaves {what} ({place}): loosen it, or a rule before it"


def _name(rule: Rule) -> str:
    return getattr(rule, "__name__", type(rule).__name__)


def _precise(device: torch.device) -> torch.dtype:
    """float64 where the device has it (Apple's has not), else float32."""
    try:
        return torch.zeros(1, dtype=torch.float64, device=device).dtype
    except (TypeError, RuntimeError):
        return torch.float32
