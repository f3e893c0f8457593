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
    yield from _mean_mistakes(cost, targets, log_p)
    yield from _cost_mistakes(cost, real, log_p, logits, targets)
    yield from _softmax_mistakes(logits, targets)


def _mean_mistakes(cost: Tensor, targets: Tensor, log_p: Tensor) -> Iterator:
    real, (B, T, V) = targets != IGNORE, log_p.shape
    total, count = (cost * real).sum(), real.sum()
    by_number = ": divide by the number of real targets"
    yield (
        "padding counts as target 0: leave out the positions where the target is -100",
        (cost.mean()),
    )
    yield (
        "padding counts as some other target: leave out the positions where it is -100",
        (_picked(log_p, targets % V).mean()),
    )
    yield (
        "padding counts as some other target: leave out the positions where it is -100",
        (_picked(log_p, targets.where(real, torch.tensor(V - 1))).mean()),
    )
    yield (
        "the padding's loss is left out, but it is divided by all B x T positions" + by_number,
        total / (B * T),
    )
    yield "the sum is divided by the batch size" + by_number, total / B
    yield "the sum is divided by the number of steps" + by_number, total / T
    yield "this is the sum" + by_number, total
    yield (
        "the sum is divided by the vocabulary size too: a mean over the targets only",
        (total / count / V),
    )
    rows, steps = real.sum(1), real.sum(0)
    for least in (1, 0):  # with and without a guard against an empty row
        row_means = (cost * real).sum(1) / rows.clamp(min=least)
        yield (
            "each row is averaged first: a short row would then weigh as much as a long one",
            (row_means.mean()),
        )
        yield "the loss of each row is returned: average over all real targets", row_means
        yield (
            "each step is averaged first: a step with few real targets would weigh too much",
            (((cost * real).sum(0) / steps.clamp(min=least)).mean()),
        )
    yield "this is a loss for each position: average over the real ones", cost * real
    yield "this is a loss for each position: average over the real ones", cost[real]
    yield (
        "the mean over all positions is multiplied by the share of real ones: leave the cost of "
        "padding out of the sum",
        cost.mean() * real.to(cost.dtype).mean(),
    )
    yield "one too many is counted: divide by the number of real targets", total / (count + 1)
    even = (total + (~real).sum() * math.log(V)) / (B * T)
    yield "the logits are set to zero at padding, but still counted: leave the positions out", even
    shortest, full = int(rows.min()), real.all(1)
    yield (
        "all rows are cut to the shortest: every real target counts",
        _mean(cost[:, :shortest], real[:, :shortest]),
    )
    yield (
        "rows with padding are left out: their real targets count, too",
        cost[full].sum() / max(1, int(full.sum()) * T),
    )
    positive = targets > 0
    yield (
        "target 0 is left out: it is a token like any other, only -100 means nothing",
        (cost * positive).sum() / positive.sum(),
    )
    present = targets != 0
    yield (
        "target 0 is left out: it is a token like any other, only -100 means nothing",
        (cost * present).sum() / present.sum(),
    )
    yield "the last position is left out", _mean(cost[:, :-1], real[:, :-1])
    yield "only the last position counts: average over all", _mean(cost[:, -1:], real[:, -1:])
    yield "only the first row counts: average over all", _mean(cost[:1], real[:1])
    yield "two things come back: return the loss alone", (total / count, count)
    yield "the median is taken: the mean is asked for", cost[real].median()


def _mean(cost: Tensor, real: Tensor) -> Tensor:
    return (cost * real).sum() / real.sum()


def _cost_mistakes(
    cost: Tensor, real: Tensor, log_p: Tensor, logits: Tensor, targets: Tensor
) -> Iterator:
    loss, p, ids = _mean(cost, real), (-cost).exp(), targets.clamp(min=0)
    yield "the sign is wrong: the loss is minus the log-probability", -loss
    yield "this is in bits (log2): the loss is in nats (ln)", loss / math.log(2)
    yield "this is log10: the loss is in nats (ln)", loss / math.log(10)
    yield "this is the perplexity: the loss is its logarithm", loss.exp()
    yield "the probability itself is averaged: take minus its logarithm", _mean(p, real)
    yield "the probability itself is averaged: take minus its logarithm", -_mean(p, real)
    yield "one minus the probability is not the cross-entropy: take -ln of it", _mean(1 - p, real)
    yield (
        "all probabilities are averaged before the logarithm: first -ln, then the mean",
        (-_mean(p, real).log()),
    )
    yield (
        "the logits are used as log-probabilities: subtract their logsumexp",
        (_mean(_picked(logits, ids), real)),
    )
    yield (
        "exp is missing: the logarithm is taken of the logits themselves",
        (_mean(_picked(logits.log(), ids), real)),
    )
    norm = logits.logsumexp(-1)
    yield "only ln(sum of exp) is averaged: subtract the target's logit", _mean(norm, real)
    top = logits.amax(-1)
    yield (
        "the largest logit is subtracted only inside exp: subtract it from the target's logit too",
        _mean(cost - top, real),
    )
    yield (
        "the largest logit is subtracted only from the target's logit, or added back once too "
        "often",
        _mean(cost + top, real),
    )
    yield "the largest logit counts, not the target's", _mean(-log_p.amax(-1), real)
    spread = -(log_p.exp() * log_p).sum(-1)
    yield (
        "this is the entropy of the prediction: take -ln p of the target alone",
        (_mean(spread, real)),
    )
    yield (
        "the log-probabilities of all tokens are added: take the target's alone",
        (_mean(-log_p.sum(-1), real)),
    )
    yield (
        "the log-probabilities of all tokens are averaged: take the target's alone",
        (_mean(-log_p.mean(-1), real)),
    )
    yield (
        "the logarithm is taken after the sum, without exp: ln(sum of exp(z))",
        (_mean(_picked(logits, ids) + logits.sum(-1).log(), real)),
    )
    yield (
        "this is the share of right guesses (accuracy), not the loss",
        ((logits.argmax(-1) == targets).sum() / real.sum()),
    )
    hot = torch.zeros_like(logits).scatter(-1, ids[..., None], 1.0)
    square = (log_p.exp() - hot) ** 2
    yield "this is the squared error: the cost is -ln p of the target", square.mean()
    yield "this is the squared error: the cost is -ln p of the target", _mean(square.sum(-1), real)
    other = -(1 - log_p.exp() + hot).log().sum(-1)
    yield (
        "ln(1 - p) of the other tokens is added: the cost is -ln p of the target alone",
        (_mean(cost + other, real)),
    )


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
