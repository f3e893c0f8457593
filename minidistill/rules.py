"""Rules: what may be written next, and how likely, before one token is chosen.

A *rule* is a function from logits to logits, `rule(logits (B, V), tokens (B, t)) -> (B, V)`.
It looks at the model's logits and at all tokens so far, and gives new logits; a token that it
removes has the logit -inf, which is probability 0. Rules are applied in the order of a list:

    generate(model, prompt, 100, rules=[temperature(0.8), top_p(0.9)], generator=chance)

Every rule here gives back new logits and leaves alone what it was given, treats each row by
itself, moves nothing between devices, and leaves at least one token where there was one
(all but `forbid`, which can forbid everything). A name (`rule.__name__`) tells an error which
rule it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, log

import torch
from torch import Tensor

Rule = Callable[[Tensor, Tensor], Tensor]


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k likeliest tokens, and every token as likely as the k-th; the others get -inf.

    keep i where logit_i >= the k-th largest logit

    Args:
        logits: (..., V).
        k: at least 1; from V on, all tokens stay.

    Raises:
        ValueError: k is not a whole number from 1.

    Source: Fan, Lewis and Dauphin, Hierarchical neural story generation, 2018.
    Taught in solutions/04_writing.ipynb.
    """
    if not (k >= 1 and k % 1 == 0):
        raise ValueError(f"k is how many tokens to keep, a whole number from 1, got {k}")
    least = logits.topk(min(int(k), logits.size(-1))).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < least, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the likeliest tokens that together reach the probability p; the others get -inf.

    keep the first n in order of likelihood, n the smallest with p_1 + ... + p_n >= p

    The token that reaches p stays; of equally likely tokens the one with the smaller id comes
    first.

    Args:
        logits: (..., V).
        p: above 0 and at most 1; at 1 all tokens stay.

    Raises:
        ValueError: p out of range.

    Source: Holtzman et al., The curious case of neural text degeneration, 2020.
    Taught in solutions/04_writing.ipynb.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p is the probability to keep, above 0 and at most 1, got {p}")
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    # Rounding may let the sum reach 1 too early; where p is 1 nothing is to go.
    reached = (ranked.softmax(-1).cumsum(-1) >= p) & (p < 1)  # (..., V), likeliest first
    removed = torch.zeros_like(reached)
    removed[..., 1:] = reached[..., :-1]  # what comes after p was reached
    return logits.masked_fill(removed.scatter(-1, order, removed), -torch.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens at least p times as likely as the likeliest; the others get -inf.

    keep i where p_i >= p max_j p_j, that is logit_i - max_j logit_j >= ln p

    Args:
        logits: (..., V).
        p: above 0 and at most 1; at 1 only the likeliest stays, and its equals.

    Raises:
        ValueError: p out of range.

    Source: Nguyen et al., Turning up the heat: min-p sampling, 2024.
    Taught in solutions/04_writing.ipynb.
    """
    if not 0 < p <= 1:
        raise ValueError(
            f"p is a share of the likeliest token's probability, above 0 and at most 1, got {p}"
        )
    below = logits - logits.amax(-1, keepdim=True)  # (..., V), 0 for the likeliest
    return logits.masked_fill(below < log(p), -torch.inf)


def penalise_repetition(logits: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    """Make the tokens that were already written less likely, each once however often it stood.

    logit_i / penalty where logit_i > 0, else logit_i * penalty, for all i among the tokens

    The penalty depends on where 0 lies among the logits: adding a constant to all of them
    changes no probability before, but does after.

    Args:
        logits: (B, V). tokens: ids (B, t).
        penalty: above 1 repeats are rarer, below 1 more frequent, 1 changes nothing.

    Raises:
        ValueError: a penalty that is not above 0, or is infinite.

    Source: Keskar et al., CTRL: a conditional transformer language model, 2019.
    Taught in solutions/04_writing.ipynb.
    """
    if not 0 < penalty < inf:
        raise ValueError(
            f"a repetition penalty is above 0 (1 changes nothing, 1.2 is usual), got {penalty}"
        )
    seen = logits.gather(-1, tokens)  # (B, t)
    lowered = torch.where(seen > 0, seen / penalty, seen * penalty)
    return logits.scatter(-1, tokens, lowered)  # a token that stood twice gets one value twice


def block_repeats(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    """Remove every token that would end a run of n tokens that already stands in its row.

    remove w where (w_{t-n+2}, ..., w_t, w) is one of the n-grams of w_1 ... w_t

    Where that would leave no token, the row stays as it was: a repeat is better than no text.

    Args:
        logits: (B, V). tokens: ids (B, t), the prompt included.
        n: at least 1; 1 blocks every token that stood before.

    Raises:
        ValueError: n is not a whole number from 1.

    Source: Paulus, Xiong and Socher, A deep reinforced model for abstractive summarization, 2018.
    Taught in solutions/04_writing.ipynb.
    """
    if not (n >= 1 and n % 1 == 0):
        raise ValueError(f"n is the length of the repeats to block, from 1, got {n}")
    (B, V), t, n = logits.shape, tokens.size(1), int(n)
    if t < n:
        return logits  # too short to hold a run of n
    grams = tokens.unfold(1, n, 1)  # (B, t-n+1, n): all runs of n
    last = tokens[:, t - n + 1 :]  # (B, n-1): how the next run begins
    repeats = (grams[..., :-1] == last[:, None]).all(-1)  # (B, t-n+1)
    # What ends no repeat goes to a column V beside the vocabulary, so that all writes agree.
    ends = torch.where(repeats, grams[..., -1], V)
    blocked = torch.zeros(B, V + 1, dtype=torch.bool, device=logits.device)
    kept = logits.masked_fill(blocked.scatter(1, ends, True)[:, :V], -torch.inf)
    return torch.where((kept == -torch.inf).all(-1, keepdim=True), logits, kept)


# ---- the rules made of them ---------------------------------------------------------------
# Each tries its function once, so that a number out of range is refused here and not later.


def top_k(k: int) -> Rule:
    """A rule that keeps the k likeliest tokens; see `keep_top_k`, also for what it raises."""
    keep_top_k(torch.zeros(1), k)
    return _named(f"top_k({k})", lambda logits, tokens: keep_top_k(logits, k))


def top_p(p: float) -> Rule:
    """A rule that keeps the likeliest tokens up to probability p; see `keep_top_p`."""
    keep_top_p(torch.zeros(1), p)
    return _named(f"top_p({p})", lambda logits, tokens: keep_top_p(logits, p))


def min_p(p: float) -> Rule:
    """A rule that keeps what is at least p times as likely as the best; see `keep_min_p`."""
    keep_min_p(torch.zeros(1), p)
    return _named(f"min_p({p})", lambda logits, tokens: keep_min_p(logits, p))


def repetition_penalty(penalty: float, window: int | None = None) -> Rule:
    """A rule that makes tokens rarer that were written; see `penalise_repetition`.

    Args:
        penalty: above 1 repeats are rarer.
        window: how many of the last tokens count, None for all with the prompt.

    Raises:
        ValueError: a penalty not above 0, a window below 1.
    """
    penalise_repetition(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.long), penalty)
    if window is not None and not window >= 1:
        raise ValueError(f"a window is how many of the last tokens count, from 1, got {window}")
    first = None if window is None else -window

    def rule(logits: Tensor, tokens: Tensor) -> Tensor:
        return penalise_repetition(logits, tokens[:, first:], penalty)

    return _named(f"repetition_penalty({penalty}, window={window})", rule)


def no_repeats(n: int) -> Rule:
    """A rule that lets no run of n tokens stand twice; see `block_repeats`."""
    block_repeats(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.long), n)
    return _named(f"no_repeats({n})", lambda logits, tokens: block_repeats(logits, tokens, n))


def temperature(value: float) -> Rule:
    """A rule that divides the logits by a temperature T > 0.

    p_i ~ exp(logit_i / T): below 1 the likely grows likelier, above 1 all grow more alike.

    Raises:
        ValueError: T is not above 0, or infinite; for T = 0 use greedy=True.

    Source: Ackley, Hinton and Sejnowski, A learning algorithm for Boltzmann machines, 1985.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """
    if not 0 < value < inf:
        raise ValueError(f"a temperature is above 0, got {value}; for the likeliest use greedy")
    return _named(f"temperature({value})", lambda logits, tokens: logits / value)


def forbid(ids: Sequence[int]) -> Rule:
    """A rule that gives the named tokens probability zero.

    Raises:
        ValueError: a negative id; when it is used, an id that the model does not know.

    Taught in solutions/04_writing.ipynb.
    """
    names = sorted({int(i) for i in ids})
    if names and names[0] < 0:
        raise ValueError(f"token ids start at 0, so {names[0]} cannot be forbidden")
    at = torch.tensor(names, dtype=torch.long)

    def rule(logits: Tensor, tokens: Tensor) -> Tensor:
        nonlocal at
        if names and names[-1] >= logits.size(-1):
            raise ValueError(
                f"token {names[-1]} cannot be forbidden: the model knows the ids from 0 to "
                f"{logits.size(-1) - 1}"
            )
        if at.device != logits.device:
            at = at.to(logits.device)  # once, not at every token
        return logits.index_fill(-1, at, -torch.inf)

    return _named(f"forbid({names if len(names) < 7 else f'{len(names)} tokens'})", rule)


def _named(name: str, rule: Rule) -> Rule:
    rule.__name__ = rule.__qualname__ = name
    return rule
