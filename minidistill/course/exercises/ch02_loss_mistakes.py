"""Chapter 02: what known wrong versions of `mean_cross_entropy` return."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

IGNORE = -100


def _picked(log_p: Tensor, ids: Tensor) -> Tensor:
    """-log_p of the ids, (B, T)."""
    return -log_p.gather(-1, ids[..., None])[..., 0]


def mistakes(logits: Tensor, targets: Tensor) -> Iterator:
    """Sentences, and what an answer with that mistake would return."""
    log_p, real = logits.log_softmax(-1), targets != IGNORE
    cost = _picked(log_p, targets.clamp(min=0))
    yield from _padding_mistakes(cost, targets, log_p)
    yield from _mean_mistakes(cost, real, log_p.size(-1))
    yield from _choice_mistakes(cost, targets)
    yield from _unit_mistakes(cost, real)
    yield from _norm_mistakes(cost, real, logits, targets.clamp(min=0))
    yield from _other_costs(cost, real, log_p, targets)
    yield from _softmax_mistakes(logits, targets)


def _mean(cost: Tensor, real: Tensor) -> Tensor:
    return (cost * real).sum() / real.sum()


def _padding_mistakes(cost: Tensor, targets: Tensor, log_p: Tensor) -> Iterator:
    real, (B, T, V) = targets != IGNORE, log_p.shape
    total = (cost * real).sum()
    last = _picked(log_p, targets.where(real, torch.tensor(V - 1)))
    some = "padding counts as some other target: leave out the positions where it is -100"
    yield from [
        (
            "padding counts as target 0: leave out the positions where the target is -100",
            cost.mean(),
        ),
        (some, _picked(log_p, targets % V).mean()),
        (some, last.mean()),
        (
            "the padding's loss is left out, but it is divided by all B x T positions: divide by "
            "the number of real targets",
            total / (B * T),
        ),
        (
            "the mean over all positions is multiplied by the share of real ones: leave the cost "
            "of padding out of the sum",
            cost.mean() * real.to(cost.dtype).mean(),
        ),
        (
            "the logits are set to zero at padding, but still counted: leave the positions out",
            (total + (~real).sum() * math.log(V)) / (B * T),
        ),
    ]


def _mean_mistakes(cost: Tensor, real: Tensor, V: int) -> Iterator:
    (B, T), total, count = cost.shape, (cost * real).sum(), real.sum()
    by_number = ": divide by the number of real targets"
    yield from [
        ("the sum is divided by the batch size" + by_number, total / B),
        ("the sum is divided by the number of steps" + by_number, total / T),
        ("this is the sum" + by_number, total),
        ("one too many is counted" + by_number, total / (count + 1)),
        (
            "the sum is divided by the vocabulary size too: a mean over the targets only",
            total / count / V,
        ),
        ("this is a loss for each position: average over the real ones", cost * real),
        ("this is a loss for each position: average over the real ones", cost[real]),
        ("two things come back: return the loss alone", (total / count, count)),
        ("the median is taken: the mean is asked for", cost[real].median()),
    ]
    for least in (1, 0):  # with and without a guard against an empty row
        rows = (cost * real).sum(1) / real.sum(1).clamp(min=least)
        steps = (cost * real).sum(0) / real.sum(0).clamp(min=least)
        yield from [
            (
                "each row is averaged first: a short row would then weigh as much as a long one",
                rows.mean(),
            ),
            ("the loss of each row is returned: average over all real targets", rows),
            (
                "each step is averaged first: a step with few real targets would weigh too much",
                steps.mean(),
            ),
        ]


def _choice_mistakes(cost: Tensor, targets: Tensor) -> Iterator:
    real = targets != IGNORE
    n, full = int(real.sum(1).min()), real.all(1)
    no_zero = "target 0 is left out: it is a token like any other, only -100 means nothing"
    yield from [
        (no_zero, _mean(cost, targets > 0)),
        (no_zero, _mean(cost, targets != 0)),
        (
            "all rows are cut to the shortest: every real target counts",
            _mean(cost[:, :n], real[:, :n]),
        ),
        (
            "rows with padding are left out: their real targets count, too",
            cost[full].sum() / max(1, cost[full].numel()),
        ),
        ("the last position is left out", _mean(cost[:, :-1], real[:, :-1])),
        ("only the last position counts: average over all", _mean(cost[:, -1:], real[:, -1:])),
        ("only the first row counts: average over all", _mean(cost[:1], real[:1])),
    ]


def _unit_mistakes(cost: Tensor, real: Tensor) -> Iterator:
    loss, p = _mean(cost, real), (-cost).exp()
    yield from [
        ("the sign is wrong: the loss is minus the log-probability", -loss),
        ("this is in bits (log2): the loss is in nats (ln)", loss / math.log(2)),
        ("this is log10: the loss is in nats (ln)", loss / math.log(10)),
        ("this is the perplexity: the loss is its logarithm", loss.exp()),
        ("the probability itself is averaged: take minus its logarithm", _mean(p, real)),
        ("the probability itself is averaged: take minus its logarithm", -_mean(p, real)),
        ("one minus the probability is not the cross-entropy: take -ln of it", _mean(1 - p, real)),
        (
            "all probabilities are averaged before the logarithm: first -ln, then the mean",
            -_mean(p, real).log(),
        ),
    ]


def _norm_mistakes(cost: Tensor, real: Tensor, logits: Tensor, ids: Tensor) -> Iterator:
    norm, top = logits.logsumexp(-1), logits.amax(-1)
    minus_z = _picked(logits, ids)
    for sentence, wrong in [
        ("the logits are used as log-probabilities: subtract their logsumexp", minus_z),
        (
            "exp is missing: the logarithm is taken of the logits themselves",
            _picked(logits.log(), ids),
        ),
        ("only ln(sum of exp) is averaged: subtract the target's logit", norm),
        (
            "the largest logit is subtracted only inside exp: subtract it from the target's logit "
            "too",
            cost - top,
        ),
        (
            "the largest logit is subtracted only from the target's logit, or added back once too "
            "often",
            cost + top,
        ),
        (
            "the logarithm is taken after the sum, without exp: ln(sum of exp(z))",
            minus_z + logits.sum(-1).log(),
        ),
    ]:
        yield sentence, _mean(wrong, real)


def _other_costs(cost: Tensor, real: Tensor, log_p: Tensor, targets: Tensor) -> Iterator:
    p, hot = log_p.exp(), torch.zeros_like(log_p)
    hot = hot.scatter(-1, targets.clamp(min=0)[..., None], 1.0)
    square, alone = (p - hot) ** 2, ": take the target's alone"
    yield "this is the squared error: the cost is -ln p of the target", square.mean()
    for sentence, wrong in [
        ("the largest logit counts, not the target's", -log_p.amax(-1)),
        (
            "this is the entropy of the prediction: take -ln p of the target alone",
            -(p * log_p).sum(-1),
        ),
        ("the log-probabilities of all tokens are added" + alone, -log_p.sum(-1)),
        ("the log-probabilities of all tokens are averaged" + alone, -log_p.mean(-1)),
        (
            "this is the share of right guesses (accuracy), not the loss",
            (log_p.argmax(-1) == targets).to(p.dtype),
        ),
        ("this is the squared error: the cost is -ln p of the target", square.sum(-1)),
        (
            "ln(1 - p) of the other tokens is added: the cost is -ln p of the target alone",
            cost - (1 - p + hot).log().sum(-1),
        ),
    ]:
        yield sentence, _mean(wrong, real)


def _softmax_mistakes(logits: Tensor, targets: Tensor) -> Iterator:
    real, ids, V = targets != IGNORE, targets.clamp(min=0), logits.size(-1)
    mixed = "logits and targets are flattened in different orders: view(-1, V) and view(-1)"
    for sentence, log_p in [
        ("the softmax runs over time: it belongs over the vocabulary", logits.log_softmax(1)),
        ("the softmax runs over the batch: it belongs over the vocabulary", logits.log_softmax(0)),
        (
            "the softmax runs over everything: it belongs over the vocabulary, dim=-1",
            logits.flatten().log_softmax(0).view_as(logits),
        ),
        (
            "the softmax runs over all positions: it belongs over the vocabulary, dim=-1",
            logits.flatten(0, 1).log_softmax(0).view_as(logits),
        ),
        (
            "the exponentials are averaged: add them, ln(sum of exp)",
            logits - logits.logsumexp(-1, keepdim=True) + math.log(V),
        ),
        ("the softmax is taken twice", logits.softmax(-1).log_softmax(-1)),
        ("the logits have the wrong sign", (-logits).log_softmax(-1)),
        (
            "the logits are divided by the root of V: take them as they are",
            (logits / V**0.5).log_softmax(-1),
        ),
        (
            "the largest logit is taken over time: one number for a whole row, amax(-1)",
            (logits - logits.amax(1, keepdim=True)).log_softmax(-1),
        ),
        (
            "the largest logit is taken over the batch: one number for a whole row, amax(-1)",
            (logits - logits.amax(0, keepdim=True)).log_softmax(-1),
        ),
        (mixed, logits.transpose(1, 2).reshape(-1, V).log_softmax(-1).view_as(logits)),
        (mixed, logits.log_softmax(-1).transpose(1, 2).reshape(-1, V).view_as(logits)),
        (mixed, logits.transpose(0, 1).reshape(-1, V).log_softmax(-1).view_as(logits)),
        ("the logits are not used: this is ln V whatever they are", 0 * logits - math.log(V)),
        (
            "exp is missing: the logarithm is taken of the logits themselves",
            (logits / logits.sum(-1, keepdim=True)).log(),
        ),
    ]:
        yield sentence, _mean(_picked(log_p, ids), real)
    log_p = logits.log_softmax(-1)
    for sentence, p, t in [
        (
            "the targets are shifted once more: they are the next tokens already",
            log_p[:, :-1],
            targets[:, 1:],
        ),
        ("the targets are shifted by one", log_p[:, 1:], targets[:, :-1]),
    ]:
        yield sentence, _mean(_picked(p, t.clamp(min=0)), t != IGNORE)
