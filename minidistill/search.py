"""Search: the likeliest text in place of one drawn token by token.

Greedy writing takes the best token now and cannot take it back. Beam search keeps the K best
beginnings; trying every text, or Viterbi's algorithm where a model looks back one token only,
finds the best for certain and so proves the beam right on small models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minidistill.language_model import State, eval_mode
from minidistill.rules import Rule

LOOK_EVERY = 32  # tokens, between two looks at whether every beam has ended
MOST_TEXTS = 1_000_000  # that exhaustive search will try


class Beams(NamedTuple):
    """What a search found, the best first.

    tokens: ids (B, K, T), the prompt included; after stop_id nothing but stop_id.
    scores: ln p of the tokens after the prompt, up to stop_id and with it, (B, K) in nats.
    normalised: score / length ** length_penalty, (B, K); by this the texts are ordered.
    """

    tokens: Tensor
    scores: Tensor
    normalised: Tensor


def beam_step(
    scores: Tensor, log_probs: Tensor, ended: Tensor, stop_id: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The K best continuations, by one token, of every row's K beams.

    score(beam + w) = score(beam) + ln p(w | beam);   for an ended beam w is stop_id, at no cost

    Args:
        scores: what each beam has cost so far, ln p, (B, K).
        log_probs: ln p of every next token after each beam, (B, K, V).
        ended: the beams that have written stop_id, (B, K) bool.
        stop_id: the token that ends a text; None where texts do not end.

    Returns:
        scores (B, K), the best first; parents (B, K), which beam each goes on from; tokens
        (B, K), with which token.

    Source: Lowerre, The Harpy speech recognition system, 1976.
    Taught in solutions/04_writing.ipynb.
    """
    vocab_size = log_probs.size(2)
    if stop_id is not None:
        only_stop = torch.full_like(log_probs[0, 0], -torch.inf)
        only_stop[stop_id] = 0.0
        log_probs = torch.where(ended[:, :, None], only_stop, log_probs)
    totals = scores[:, :, None] + log_probs  # (B, K, V)
    best, places = totals.flatten(1).topk(scores.size(1))
    return best, places // vocab_size, places % vocab_size


@torch.no_grad()
def beam_search(
    model: nn.Module,
    prompt: Tensor,
    max_new_tokens: int,
    width: int,
    *,
    length_penalty: float = 0.0,
    rules: Sequence[Rule] = (),
    stop_id: int | None = None,
    memory: Any = None,
) -> Beams:
    """Continue every row of a prompt by the K likeliest texts that a beam of this width finds.

    All rows and beams are read in one call of the model, B * K texts at a time. Rules act on
    ln p, and what they return is not normalised again: where a rule only removes tokens, a
    score is what the model itself gives the text, and a constraint's forced token costs what
    the model thinks of it.

    A wider beam never finds a worse score in texts of up to two tokens, nor where it covers all
    texts (K >= V ** (n - 1) for n tokens: every beginning is kept). In between it may: with
    more beams, the children of a beginning that a narrow beam did not keep can push out the
    one that would have become the best.

    Args:
        model, prompt, max_new_tokens, rules, stop_id: as for `generate`.
        width: K, how many texts are kept.
        length_penalty: the final order is by score / length ** length_penalty; above 0 it
            makes up for long texts' lower probabilities.
        memory: the encoded source text, a tensor or a tuple of tensors, batch first.

    Returns:
        `Beams`. Where fewer than K texts are possible, the rest are copies of the best with the
        score -inf.

    Raises:
        ValueError: an empty prompt, a width below 1, a negative length_penalty, or a row in
            which the rules left nothing to write.

    Source: Graves, Sequence transduction with recurrent neural networks, 2012; the length
    penalty: Wu et al., Google's neural machine translation system, 2016.
    Taught in solutions/04_writing.ipynb.
    """
    prompt = _checked(model, prompt, max_new_tokens, length_penalty)
    if width < 1:
        raise ValueError(f"the width is how many texts are kept, at least 1, got {width}")
    batch, device = len(prompt), prompt.device
    row_of = torch.arange(batch, device=device)[:, None].expand(batch, width)  # (B, K)
    # Of K copies of the prompt only the first counts, or all beams would write the same.
    scores = torch.full((batch, width), -torch.inf, device=device)
    scores[:, 0] = 0.0
    ended = torch.zeros(batch, width, dtype=torch.bool, device=device)
    rows = row_of.flatten()
    tokens, new, state = prompt[rows], prompt, None
    with eval_mode(model):
        for written in range(max_new_tokens):
            logits, state = model(new, state, **_source(memory))
            logits = logits[:, -1]
            if written == 0:  # the prompt is read once; from here on there are K of each row
                logits, state, memory = logits[rows], select(state, rows, 1), select(memory, rows)
            log_probs = _ruled(logits, tokens, rules).unflatten(0, (batch, width))  # (B, K, V)
            scores, parents, chosen = _fill_up(*beam_step(scores, log_probs, ended, stop_id))
            rows, new = (row_of * width + parents).flatten(), chosen.view(-1, 1)  # (B * K, 1)
            tokens, state = torch.cat([tokens[rows], new], dim=1), select(state, rows, 1)
            if stop_id is not None:
                ended = chosen == stop_id  # an ended beam writes nothing else
                if written % LOOK_EVERY == LOOK_EVERY - 1 and bool(ended.all()):
                    break
    _refuse_nothing(scores)
    tokens, start = tokens.unflatten(0, (batch, width)), prompt.size(1)
    tokens, *both = _ranked(tokens, scores, start, length_penalty, stop_id)
    return Beams(_cut(tokens, start, stop_id), *both)


@torch.no_grad()
def exhaustive_search(
    model: nn.Module,
    prompt: Tensor,
    max_new_tokens: int,
    *,
    length_penalty: float = 0.0,
    rules: Sequence[Rule] = (),
    stop_id: int | None = None,
    memory: Any = None,
) -> Beams:
    """The best continuation of every row, found by trying all V ** n of them.

    The texts are read from their first token on, with no state carried, so nothing is shared
    with `beam_search` but the model and the score. For small V and n, as a proof.

    Returns:
        `Beams` of width 1.

    Raises:
        ValueError: as `beam_search`, and where there are more than a million texts to try.

    Taught in solutions/04_writing.ipynb.
    """
    prompt = _checked(model, prompt, max_new_tokens, length_penalty)
    best = []
    with eval_mode(model):
        for row in range(len(prompt)):
            tokens, scores = prompt[row : row + 1], torch.zeros(1, device=prompt.device)
            for written in range(max_new_tokens):  # tokens: all beginnings so far, (N, t)
                source = _source(select(memory, torch.full_like(tokens[:, 0], row)))
                logits = model(tokens, None, **source)[0][:, -1]
                log_probs = _ruled(logits, tokens, rules)  # (N, V)
                if stop_id is not None and written > 0:
                    ended = tokens[:, -1] == stop_id
                    log_probs[ended] = -torch.inf
                    log_probs[ended, stop_id] = 0.0
                tokens, scores = _all_continuations(tokens, scores, log_probs)
            _refuse_nothing(scores[None], row)
            ranked = _ranked(tokens[None], scores[None], prompt.size(1), length_penalty, stop_id)
            best.append([part[:, :1] for part in ranked])
    tokens, scores, normalised = (torch.cat(parts) for parts in zip(*best, strict=True))
    return Beams(_cut(tokens, prompt.size(1), stop_id), scores, normalised)


def viterbi(log_start: Tensor, log_transition: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The likeliest text of a model that looks back one token only, and its score in nats.

    best_1(w) = ln p(w);   best_t(w) = max over v of best_{t-1}(v) + ln p(w | v)

    Of all beginnings that end in v only the best can be part of the best text, so V beginnings
    are enough at every step, one for each v: V * V * length sums in place of V ** length.

    Args:
        log_start: ln p of the first token, (V,).
        log_transition: ln p(w | v) in row v and column w, (V, V).
        length: how many tokens, at least 1.

    Returns:
        the text (length,) and its score ().

    Raises:
        ValueError: shapes that do not fit, a length below 1.

    Source: Viterbi, Error bounds for convolutional codes, 1967.
    Taught in solutions/04_writing.ipynb.
    """
    size = len(log_start)
    if log_start.dim() != 1 or log_transition.shape != (size, size) or length < 1:
        raise ValueError(
            f"log_start has shape {tuple(log_start.shape)}, log_transition "
            f"{tuple(log_transition.shape)}, length is {length}: give (V,), (V, V) and at least 1"
        )
    best, came_from = log_start, []
    for _ in range(length - 1):
        best, before = (best[:, None] + log_transition).max(dim=0)  # (V,), the best v for each w
        came_from.append(before)
    path = [best.argmax()]
    for before in reversed(came_from):
        path.append(before[path[-1]])
    return torch.stack(path[::-1]), best.max()


def select(state: State, rows: Tensor, dim: int = 0) -> State:
    """The rows of a batch, in a tensor or a tuple of tensors, along the batch's dimension.

    A recurrent state has its batch at dimension 1; a beam that goes on from another beam takes
    over that beam's state. Taught in solutions/04_writing.ipynb.
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return state.index_select(dim, rows)
    return tuple(select(part, rows, dim) for part in state)


def _checked(
    model: nn.Module, prompt: Tensor, max_new_tokens: int, length_penalty: float
) -> Tensor:
    """The prompt on the model's device; ValueError where there is nothing to search."""
    if prompt.dim() != 2 or prompt.numel() == 0:
        raise ValueError(
            f"the prompt has shape {tuple(prompt.shape)}: give (batch, time) with at least one "
            "token to start from"
        )
    if max_new_tokens < 0 or not length_penalty >= 0:
        raise ValueError(
            f"max_new_tokens and length_penalty are at least 0, got {max_new_tokens} and "
            f"{length_penalty}"
        )
    weight = next(iter(model.parameters()), prompt)  # a model without weights stays where it is
    return prompt.to(weight.device, torch.long)


def _source(memory: Any) -> dict[str, Any]:
    return {} if memory is None else {"memory": memory}


def _ruled(logits: Tensor, tokens: Tensor, rules: Sequence[Rule]) -> Tensor:
    """ln p of the next token, as the rules leave it, (N, V)."""
    exact = torch.promote_types(logits.dtype, torch.float32)  # half precision is too coarse to add
    log_probs = logits.log_softmax(-1, dtype=exact)
    for rule in rules:
        log_probs = rule(log_probs, tokens)
    return log_probs


def _fill_up(scores: Tensor, parents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where fewer than K texts are possible, an impossible beam writes what the best one does.

    It keeps its score, -inf, but no rule has to read a text that the rules forbid.
    """
    impossible = scores.isneginf()
    parents = torch.where(impossible, parents[:, :1], parents)
    return scores, parents, torch.where(impossible, tokens[:, :1], tokens)


def _all_continuations(tokens: Tensor, scores: Tensor, log_probs: Tensor) -> tuple[Tensor, Tensor]:
    """Every text by every possible next token: (N, t), (N,), (N, V) -> (M, t + 1), (M,)."""
    totals = scores[:, None] + log_probs
    if totals.numel() > MOST_TEXTS:
        raise ValueError(
            f"there are more than {MOST_TEXTS:,} texts to try: ask for fewer tokens, or use "
            "beam_search"
        )
    which, token = totals.isneginf().logical_not().nonzero(as_tuple=True)
    return torch.cat([tokens[which], token[:, None]], dim=1), totals[which, token]


def _refuse_nothing(scores: Tensor, first_row: int = 0) -> None:
    """ValueError where a row has no text; the one look at the scores, (B, K)."""
    nothing = scores.isnan().any(dim=1) | scores.isneginf().all(dim=1)
    if bool(nothing.any()):
        raise ValueError(
            f"row {first_row + int(nothing.long().argmax())} of the batch has no text to choose: "
            "the rules leave nothing to write there, or the model gives logits that are no numbers"
        )


def _ranked(
    tokens: Tensor, scores: Tensor, start: int, length_penalty: float, stop_id: int | None
) -> Beams:
    """The texts (B, K, T) of each row by their normalised scores, the best first."""
    lengths = _lengths(tokens, start, stop_id).clamp(min=1).to(scores)
    normalised = scores / lengths**length_penalty
    order = normalised.argsort(dim=1, descending=True, stable=True)
    tokens = tokens.gather(1, order[:, :, None].expand_as(tokens))
    return Beams(tokens, scores.gather(1, order), normalised.gather(1, order))


def _lengths(tokens: Tensor, start: int, stop_id: int | None) -> Tensor:
    """How many tokens each text has from `start` on, stop_id counted once, (B, K, T) -> (B, K)."""
    new = tokens[:, :, start:]
    if stop_id is None:
        return torch.full_like(tokens[:, :, 0], new.size(2))
    stops = new == stop_id
    return (~stops).sum(2) + stops.any(2)


def _cut(tokens: Tensor, start: int, stop_id: int | None) -> Tensor:
    """The texts up to where the longest ends."""
    return tokens[:, :, : start + int(_lengths(tokens, start, stop_id).max())]
