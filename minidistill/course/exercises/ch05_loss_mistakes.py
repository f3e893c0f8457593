"""Chapter 05: what known wrong versions of `token_loss` return."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts
from minidistill.tasks import BOS, EOS, PADDING

IGNORE = -100


def _mean(total: Tensor, cost: Tensor, real: Tensor) -> Tensor:
    return total / max(1, int(real.sum()))


_STEPS: Parts = {
    "inputs": lambda logits, targets: (logits, targets),
    "real": lambda targets: targets != IGNORE,
    "log_p": lambda logits: logits.log_softmax(-1),
    "ids": lambda targets, V: targets.clamp(min=0),
    "sign": lambda chosen: -chosen,
    "cost": lambda cost, real: cost.masked_fill(~real, 0.0),
    "mean": _mean,
    "count": lambda real, targets: int(real.sum()),
    "result": lambda loss, count: (loss, count),
}
"""The right steps: where a target is real, its cost, the mean over these, how many."""


def build(parts: Parts) -> Callable[[Tensor, Tensor], Any]:
    """A `token_loss` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(logits: Tensor, targets: Tensor) -> Any:
        logits, targets = s.inputs(logits, targets)
        real, log_p = s.real(targets), s.log_p(logits)
        chosen = log_p.gather(-1, s.ids(targets, logits.size(-1))[..., None])[..., 0]
        cost = s.cost(s.sign(chosen), real)  # (B, T)
        return s.result(s.mean(cost.sum(), cost, real), s.count(real, targets))

    return mistaken


def _but_the_last(real: Tensor) -> Tensor:
    """Without the last True of each row."""
    count = real.long().cumsum(1)
    return real & (count != count[:, -1:])


def _over_rows(dim: int, least: int) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The mean of the means along one dimension, over all of them or over those with a target."""

    def mean(total: Tensor, cost: Tensor, real: Tensor) -> Tensor:
        counts = real.sum(dim)
        means = cost.sum(dim) / counts.clamp(min=1)
        return means.mean() if least == 0 else means[counts > 0].mean()

    return mean


_ROWS = (
    "each row is averaged first, and then the rows: a token of a short row would weigh more than "
    "one of a long row. Add up all tokens, then divide once"
)
_STEPS_FIRST = (
    "each place is averaged first, and then the places: where few rows are long enough, a token "
    "would weigh more. Add up all tokens, then divide once"
)
_ZERO = "padding counts as target 0: leave out the places where the target is -100"
AN_ID = (
    "a token is left out because of its id, as if it were padding: only -100 means nothing, every "
    "id from 0 on is a token"
)
SMALL = (
    "a small number is added to the probability, or is the least that it can be: what is very "
    "unlikely costs too little then, and gets no gradient. Take the logarithm and the softmax in "
    "one step (log_softmax)"
)
_NO_ZERO = "target 0 is left out: it is a token like any other, only -100 means nothing"
_ALL_PLACES = (
    "the sum over real targets is divided by all B x T places: divide by the number of real ones, "
    "or padding makes the loss look small"
)
_COUNT_ALL = "the count is that of all places, B x T: count the real targets"

FAULTS: tuple[Fault, ...] = (
    (_ZERO, {"real": lambda y: torch.ones_like(y, dtype=torch.bool)}),
    (
        "padding counts as the last token: leave out the places where the target is -100",
        {
            "real": lambda y: torch.ones_like(y, dtype=torch.bool),
            "ids": lambda y, V: y.where(y != IGNORE, torch.tensor(V - 1)),
        },
    ),
    (
        "padding is in the sum, as target 0, though it is divided by the number of real targets: "
        "set its cost to 0 first",
        {"cost": lambda cost, real: cost},
    ),
    (
        _ZERO,
        {
            "real": lambda y: torch.ones_like(y, dtype=torch.bool),
            "count": lambda real, y: int((y != IGNORE).sum()),
        },
    ),
    (_NO_ZERO, {"real": lambda y: y > 0}),
    (AN_ID, {"real": lambda y: (y != IGNORE) & (y != PADDING)}),
    (AN_ID, {"real": lambda y: (y != IGNORE) & (y != EOS)}),
    (AN_ID, {"real": lambda y: (y != IGNORE) & (y < BOS) & (y < EOS) & (y < PADDING)}),
    (
        "the real targets are taken to stand in front: padding may stand anywhere, so ask each "
        "place for itself (targets != IGNORE)",
        {"real": lambda y: torch.arange(y.size(1)) < (y != IGNORE).sum(1, keepdim=True)},
    ),
    (
        "the places are mixed up: those with -100 are left out, the others count",
        {"real": lambda y: y == IGNORE},
    ),
    (
        "the softmax runs over time: tokens stand along the last dimension (dim=-1)",
        {"log_p": lambda z: z.log_softmax(1)},
    ),
    (
        "the softmax runs over the batch: tokens stand along the last dimension (dim=-1)",
        {"log_p": lambda z: z.log_softmax(0)},
    ),
    (
        "the logits are used as log-probabilities: take log_softmax first",
        {"log_p": lambda z: z},
    ),
    (
        "the probabilities are added up, without a logarithm: the cost is minus its logarithm",
        {"log_p": lambda z: z.softmax(-1)},
    ),
    *(
        (SMALL, {"log_p": lambda z, e=e: (z.softmax(-1) + e).log()})
        for e in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-20)
    ),
    *(
        (SMALL, {"log_p": lambda z, e=e: z.softmax(-1).clamp(min=e).log()})
        for e in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-20)
    ),
    (
        "the softmax is taken twice: log_softmax wants logits, not probabilities",
        {"log_p": lambda z: z.softmax(-1).log_softmax(-1)},
    ),
    (
        "this is in bits (log2): the loss is in nats (ln)",
        {"log_p": lambda z: z.log_softmax(-1) / math.log(2)},
    ),
    (
        "this is the logarithm to base 10: the loss is in nats (ln)",
        {"log_p": lambda z: z.log_softmax(-1) / math.log(10)},
    ),
    (
        "-100 is used as an id, counted from the end: leave such places out",
        {
            "real": lambda y: torch.ones_like(y, dtype=torch.bool),
            "ids": lambda y, V: y % V,
            "count": lambda real, y: int((y != IGNORE).sum()),
        },
    ),
    (
        "the last real target of every row is left out: eos is to be learnt too",
        {"real": lambda y: _but_the_last(y != IGNORE)},
    ),
    (
        "the first target of every row is left out: target_out begins with a real token",
        {"real": lambda y: (y != IGNORE) & (torch.arange(y.size(1)) > 0)},
    ),
    (
        "everything behind the first -100 is left out: padding stands at the end of every row, and "
        "anywhere else",
        {"real": lambda y: (y == IGNORE).flatten().cumsum(0).view(y.shape) == 0},
    ),
    (
        "the sign is wrong: the loss is minus the log-probability",
        {"sign": lambda chosen: chosen},
    ),
    (
        "one minus the probability is not the cross-entropy: take -ln of it",
        {"sign": lambda chosen: 1 - chosen.exp()},
    ),
    (_ALL_PLACES, {"mean": lambda total, cost, real: total / real.numel()}),
    (
        "the sum is divided by the number of real targets of one row: divide by that of all rows",
        {"mean": lambda total, cost, real: total / real.sum(1).max()},
    ),
    (
        "the sum is divided by the number of real targets of one row: divide by that of all rows",
        {"mean": lambda total, cost, real: total / real[0].sum()},
    ),
    (
        "the costs are multiplied: probabilities multiply, their logarithms add up",
        {"mean": lambda total, cost, real: cost[real].prod()},
    ),
    (_ROWS, {"mean": _over_rows(1, 1)}),
    (_ROWS, {"mean": _over_rows(1, 0)}),
    (_STEPS_FIRST, {"mean": _over_rows(0, 1)}),
    (_STEPS_FIRST, {"mean": _over_rows(0, 0)}),
    (
        "this is the sum: divide by the number of real targets",
        {"mean": lambda total, cost, real: total},
    ),
    (
        "the sum is divided by the number of rows: divide by the number of real targets",
        {"mean": lambda total, cost, real: total / len(real)},
    ),
    (
        "the sum is divided by the number of places in a row: divide by the number of real targets",
        {"mean": lambda total, cost, real: total / real.size(1)},
    ),
    (
        "one too many is counted: divide by the number of real targets (max(1, count) is only for "
        "none)",
        {"mean": lambda total, cost, real: total / (real.sum() + 1)},
    ),
    (
        "this is a loss for each place: average over the real ones",
        {"mean": lambda total, cost, real: cost},
    ),
    (
        "this is a loss for each real token: average over them",
        {"mean": lambda total, cost, real: cost[real]},
    ),
    (
        "this is a loss for each row: average over all real targets",
        {"mean": lambda total, cost, real: cost.sum(1) / real.sum(1).clamp(min=1)},
    ),
    (
        "the rows' means are added up: add up all tokens, then divide once, by their number",
        {"mean": lambda total, cost, real: (cost.sum(1) / real.sum(1).clamp(min=1)).sum()},
    ),
    (
        "this is the perplexity: the loss is its logarithm",
        {"mean": lambda total, cost, real: _mean(total, cost, real).exp()},
    ),
    (_COUNT_ALL, {"count": lambda real, y: real.numel()}),
    (
        "the count is the number of rows: count the real targets",
        {"count": lambda real, y: len(real)},
    ),
    (
        "the count is the number of places in a row: count the real targets",
        {"count": lambda real, y: real.size(1)},
    ),
    (
        "the count is taken from one row: rows have different numbers of real targets",
        {"count": lambda real, y: int(real[0].sum()) * len(real)},
    ),
    (
        "the count is taken from one row: rows have different numbers of real targets",
        {"count": lambda real, y: int(real[0].sum())},
    ),
    (
        "the count is one for each row: count the real targets of the whole batch",
        {"count": lambda real, y: real.sum(1)},
    ),
    (
        "the count is that of the padding: count the real targets",
        {"count": lambda real, y: int((~real).sum())},
    ),
    (
        "where nothing is real the count is 0: max(1, count) is only what the sum is divided by",
        {"count": lambda real, y: max(1, int(real.sum()))},
    ),
    ("this returns (count, loss): the loss comes first", {"result": lambda loss, n: (n, loss)}),
    (
        "the count is missing: return the loss and the number of real targets",
        {"result": lambda loss, n: loss},
    ),
    (
        "the targets are shifted once more: target_out already stands one place ahead",
        {"inputs": lambda z, y: (z[:, :-1], y[:, 1:])},
    ),
    (
        "the last place of every row is left out: the longest target ends there",
        {"inputs": lambda z, y: (z[:, :-1], y[:, :-1])},
    ),
    (
        "the logits' dimensions are mixed up (permute and reshape): a row of V logits must stay "
        "together",
        {"inputs": lambda z, y: (z.transpose(1, 2).reshape(z.shape), y)},
    ),
    (
        "logits and targets are flattened in different orders: the batch comes first in both",
        {
            "inputs": lambda z, y: (
                z.transpose(0, 1).reshape(z.shape) if z.dim() == 3 else z,
                y,
            )
        },
    ),
)
