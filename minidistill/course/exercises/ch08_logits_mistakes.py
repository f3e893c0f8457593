"""Chapter 08: what known wrong versions of `sampled_logits` return."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles

NOTHING = -1e8
"""A logit as low as this, or lower, counts as -inf: exp of it is 0 beside any that are looked at.

`masked_fill(hits, -1e9)` and `torch.finfo(x.dtype).min` are right answers, -100 and -1e4 are not:
all other logits may be lower than those.
"""


def left_out(targets: Tensor, drawn: Tensor, log_q_drawn: Tensor) -> Tensor:
    """The places among the drawn that must add nothing, (N, S): hits, and empty slots."""
    return (targets[:, None] == drawn) | (log_q_drawn == math.inf)


def seen(given: Any, args: tuple[Any, ...]) -> Any:
    """What is compared of the logits: what adds nothing to the softmax counts as -inf."""
    targets, drawn, log_q_drawn = args[3], args[4], args[6]
    gone = left_out(targets, drawn, log_q_drawn)
    if not isinstance(given, Tensor) or given.shape != (len(targets), len(drawn) + 1):
        return given
    low = torch.cat([torch.zeros_like(gone[:, :1]), gone & (given[:, 1:] <= NOTHING)], 1)
    return given.masked_fill(low, -math.inf) if given.is_floating_point() else given


def _own_and_bias(own: Tensor, others: Tensor, b_t: Tensor, b_d: Tensor) -> tuple[Tensor, Tensor]:
    return own + b_t, others + b_d


def _filled(value: float) -> Callable[..., Any]:
    return lambda own, others, hits: (own, others.masked_fill(hits, value))


_STEPS: Parts = {
    "rows": lambda weight, targets, drawn: (weight[targets], weight[drawn]),
    "own": lambda hidden, w_t: (hidden * w_t).sum(-1),
    "others": lambda hidden, w_d: hidden @ w_d.T,
    "biases": lambda bias, targets, drawn: (bias[targets], bias[drawn]),
    "bias": _own_and_bias,
    "correct": lambda own, others, q_t, q_d: (own - q_t, others - q_d),
    "hits": lambda targets, drawn: targets[:, None] == drawn,
    "remove": _filled(-math.inf),
    "give": lambda own, others: torch.cat([own[:, None], others], 1),
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `sampled_logits` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(*args: Any) -> Any:
        hidden, weight, bias, targets, drawn, q_t, q_d = args
        w_t, w_d = s.rows(weight, targets, drawn)
        own, others = s.own(hidden, w_t), s.others(hidden, w_d)
        if bias is not None:
            own, others = s.bias(own, others, *s.biases(bias, targets, drawn))
        own, others = s.correct(own, others, q_t, q_d)
        own, others = s.remove(own, others, s.hits(targets, drawn))
        return seen(s.give(own, others), args)

    return mistaken


def _all_one(own: Tensor, others: Tensor) -> Tensor:
    return torch.cat([own[:, None], others], 1)


def _shifted(own: Tensor, others: Tensor, q_t: Tensor, q_d: Tensor) -> tuple[Tensor, Tensor]:
    more = math.log(len(q_d))
    return own - q_t - more, others - q_d - more


NOT_NEGATIVES = (
    "only the target is corrected: ln Q is to be subtracted from the logits of the classes drawn, "
    "too"
)
KEPT = (
    "accidental hits are kept: where a class drawn is the token's own target, the target would "
    "stand against itself. Put -inf there"
)
ALL_TOKENS = (
    "a class that is the target of one token is removed for all tokens: only for those whose "
    "target it is, targets[:, None] == drawn"
)
POSITION = (
    "hits are sought by place, not by class: compare the ids, targets[:, None] == drawn, as it is "
    "the number of the class that tells, not the number of its column or row"
)
OWN_TOO = (
    "the target's own column is removed where the target was drawn: the hit among the classes "
    "drawn goes, the target stays"
)
LOWEST = (
    "a hit gets the lowest logit that there is, which still has a share in the softmax: -inf, so "
    "that e to it is 0"
)
TO_Q = "Q itself is subtracted: what is handed in is ln Q, and ln Q is what a logit is corrected by"
WRONG_BIAS = "the classes drawn get the bias of the token's target: each class its own, bias[drawn]"
ONE = "this is one half of it: the target in column 0 and the drawn classes after it, in one tensor"
AFTER = "these are {}: the logits are asked for, the softmax comes afterwards"

FAULTS: tuple[Fault, ...] = (
    (
        "no correction at all: ln Q is to be subtracted from every logit, or frequent classes, "
        "which are drawn more often, are pushed down",
        {"correct": lambda own, others, q_t, q_d: (own, others)},
    ),
    (
        "only the classes drawn are corrected: the target's logit loses its own ln Q, too",
        {"correct": lambda own, others, q_t, q_d: (own, others - q_d)},
    ),
    (NOT_NEGATIVES, {"correct": lambda own, others, q_t, q_d: (own - q_t, others)}),
    (
        "ln Q is added: e to the logit is divided by Q, so that ln Q is subtracted",
        {"correct": lambda own, others, q_t, q_d: (own + q_t, others + q_d)},
    ),
    (
        "the target's ln Q is added: it is subtracted, as for the classes drawn",
        {"correct": lambda own, others, q_t, q_d: (own + q_t, others - q_d)},
    ),
    (
        "the ln Q of the classes drawn is added: it is subtracted, as for the target",
        {"correct": lambda own, others, q_t, q_d: (own - q_t, others + q_d)},
    ),
    (TO_Q, {"correct": lambda own, others, q_t, q_d: (own - q_t.exp(), others - q_d.exp())}),
    (
        "ln is taken of ln Q: it is a logarithm already",
        {"correct": lambda own, others, q_t, q_d: (own - q_t.log(), others - q_d.log())},
    ),
    (
        "the logits are divided by Q: it is e to the logit that is divided, so subtract ln Q",
        {"correct": lambda own, others, q_t, q_d: (own / q_t.exp(), others / q_d.exp())},
    ),
    (
        "the logits are divided by ln Q: subtract it",
        {"correct": lambda own, others, q_t, q_d: (own / q_t, others / q_d)},
    ),
    (
        "the logits are multiplied by ln Q: subtract it",
        {"correct": lambda own, others, q_t, q_d: (own * q_t, others * q_d)},
    ),
    (
        "the classes drawn are corrected by the ln Q of the token's target: each by its own",
        {"correct": lambda own, others, q_t, q_d: (own - q_t, others - q_t[:, None])},
    ),
    (
        "ln S is subtracted as well: Q is the chance to be among all S, so S is in it",
        {"correct": _shifted},
    ),
    (
        "ln S is subtracted from the classes drawn: Q is the chance to be among all S, so S is in "
        "it",
        {"correct": lambda o, x, q_t, q_d: (o - q_t, x - q_d - math.log(len(q_d)))},
    ),
    (KEPT, {"remove": lambda own, others, hits: (own, others)}),
    (LOWEST, {"remove": lambda o, x, hits: (o, torch.where(hits, x.min(), x))}),
    (LOWEST, {"remove": lambda o, x, hits: (o, torch.where(hits, x.amin(1, keepdim=True), x))}),
    (
        "a hit gets +inf, and with it all of the softmax: -inf",
        {"remove": _filled(math.inf)},
    ),
    (
        "the hits are multiplied by infinity, and where there is none infinity times 0 is NaN: "
        "choose (masked_fill, torch.where)",
        {"remove": lambda own, others, hits: (own, others - hits * math.inf)},
    ),
    (
        OWN_TOO,
        {"remove": lambda o, x, h: (o.masked_fill(h.any(1), -math.inf), x)},
    ),
    (
        OWN_TOO,
        {
            "remove": lambda o, x, h: (
                o.masked_fill(h.any(1), -math.inf),
                x.masked_fill(h, -math.inf),
            )
        },
    ),
    (ALL_TOKENS, {"hits": lambda targets, drawn: (targets[:, None] == drawn).any(0)[None]}),
    (POSITION, {"hits": lambda t, drawn: t[:, None] == torch.arange(len(drawn))}),
    (POSITION, {"hits": lambda t, drawn: torch.arange(len(t))[:, None] == drawn}),
    (
        POSITION,
        {"hits": lambda t, drawn: torch.arange(len(t))[:, None] == torch.arange(len(drawn))},
    ),
    (
        "a token whose target was drawn loses all classes drawn: only the target itself",
        {"hits": lambda t, drawn: (t[:, None] == drawn).any(1, keepdim=True)},
    ),
    (
        "everything but the hits is removed: the comparison is turned round",
        {"hits": lambda t, drawn: t[:, None] != drawn},
    ),
    (
        "classes up to the target are removed: those that are equal to it",
        {"hits": lambda t, drawn: drawn <= t[:, None]},
    ),
    (
        "the bias is forgotten: a class has the logit h . w + c",
        {"bias": lambda own, others, b_t, b_d: (own, others)},
    ),
    (
        "the target's bias is forgotten: bias[targets]",
        {"bias": lambda own, others, b_t, b_d: (own, others + b_d)},
    ),
    (
        "the bias of the classes drawn is forgotten: bias[drawn]",
        {"bias": lambda own, others, b_t, b_d: (own + b_t, others)},
    ),
    (
        "the bias is subtracted: it is added, and ln Q subtracted",
        {"bias": lambda own, others, b_t, b_d: (own - b_t, others - b_d)},
    ),
    (WRONG_BIAS, {"bias": lambda own, others, b_t, b_d: (own + b_t, others + b_t[:, None])}),
    (
        "the biases are the first ones of the table: those of the classes, bias[drawn]",
        {"biases": lambda bias, targets, drawn: (bias[targets], bias[: len(drawn)])},
    ),
    (
        "the first S rows of the weight are taken for the classes drawn: weight[drawn]",
        {"rows": lambda weight, targets, drawn: (weight[targets], weight[: len(drawn)])},
    ),
    (
        "the first N rows of the weight are taken for the targets: weight[targets]",
        {"rows": lambda weight, targets, drawn: (weight[: len(targets)], weight[drawn])},
    ),
    (
        "the target's logit is a mean over the hidden numbers: h . w is their sum",
        {"own": lambda hidden, w_t: (hidden * w_t).mean(-1)},
    ),
    (
        "every token gets the sum over all tokens' targets: for each its own target, "
        "(hidden * weight[targets]).sum(-1)",
        {"own": lambda hidden, w_t: (hidden @ w_t.T).sum(1)},
    ),
    (
        "every token gets the sum of all tokens' logits: sum over the hidden numbers alone, "
        "(hidden * weight[targets]).sum(-1)",
        {"own": lambda hidden, w_t: (hidden * w_t).sum().expand(len(hidden))},
    ),
    (
        "the target stands in the last column: in the first",
        {"give": lambda own, others: torch.cat([others, own[:, None]], 1)},
    ),
    ("the target is missing: it stands in column 0", {"give": lambda own, others: others}),
    (ONE, {"give": lambda own, others: own}),
    (ONE, {"give": lambda own, others: (own, others)}),
    (
        "classes stand along the rows: tokens do, (N, 1 + S)",
        {"give": lambda own, others: _all_one(own, others).T},
    ),
    (
        AFTER.format("probabilities"),
        {"give": lambda own, others: _all_one(own, others).softmax(1)},
    ),
    (
        AFTER.format("log-probabilities"),
        {"give": lambda own, others: _all_one(own, others).log_softmax(1)},
    ),
    (AFTER.format("exp of the logits"), {"give": lambda o, x: _all_one(o, x).exp()}),
    (AFTER.format("the costs"), {"give": lambda o, x: _all_one(o, x).logsumexp(1) - o}),
    ("the sign of the logits is wrong", {"give": lambda own, others: -_all_one(own, others)}),
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
