"""Chapter 08: further known mistakes, most of which need more than one step exchanged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from minidistill.course.answer import reference_answer
from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises import ch08_adagrad_mistakes as adagrad
from minidistill.course.exercises import ch08_back_mistakes as back
from minidistill.course.exercises import ch08_logits_mistakes as logits
from minidistill.course.exercises import ch08_normaliser_mistakes as normaliser
from minidistill.course.exercises.ch08_adagrad_more import Rows, summed

ALL_TARGETS = (
    "every token gets the logits of all tokens' targets, (N, N + S): of its own target alone, "
    "(hidden * weight[targets]).sum(-1)"
)


def _sorted(*args: Any) -> Any:
    """The columns in the order of the ids."""
    hidden, weight, bias, targets, drawn, q_t, q_d = args
    drawn, order = drawn.sort()
    return logits.build({})(hidden, weight, bias, targets, drawn, q_t, q_d[order])


LOGITS: tuple[Mistake, ...] = (
    (
        "the classes drawn come back sorted by their ids: their columns stand in the order of "
        "`drawn`",
        _sorted,
    ),
    (
        ALL_TARGETS,
        logits.build(
            {
                "own": lambda hidden, w_t: hidden @ w_t.T,
                "give": lambda own, others: torch.cat([own, others], 1),
            }
        ),
    ),
)

_CUT = "the right logits, but no gradient flows through {}: it is detached there"


def _detached(
    hidden: Tensor, weight: Tensor, bias: Tensor, cut: str, *rest: Tensor
) -> tuple[Tensor, Tensor]:
    """The right logits, with one of their sources cut off."""
    targets, drawn, q_t, q_d = rest
    sources = {"h_t": hidden, "h_d": hidden, "w_t": weight[targets], "w_d": weight[drawn]}
    sources |= {"b_t": bias[targets], "b_d": bias[drawn]}
    s = {name: x.detach() if name == cut else x for name, x in sources.items()}
    own = (s["h_t"] * s["w_t"]).sum(-1) + s["b_t"] - q_t
    others = s["h_d"] @ s["w_d"].T + s["b_d"] - q_d
    gone = targets[:, None] == drawn
    return torch.cat([own[:, None], others.masked_fill(gone, -math.inf)], 1)


def detached(args: tuple[Any, ...]) -> Iterator[tuple[str, list[Tensor]]]:
    """The gradients of logits of which one source is cut off, with what to say."""
    for cut, name in {
        "w_d": "weight[drawn]",
        "w_t": "weight[targets]",
        "b_d": "bias[drawn]",
        "b_t": "bias[targets]",
        "h_d": "hidden, where it meets the classes drawn",
        "h_t": "hidden, where it meets the target",
    }.items():

        def function(h: Tensor, w: Tensor, b: Tensor, *rest: Any, cut: str = cut) -> Tensor:
            return _detached(h, w, b, cut, *rest)

        found = reference_answer(function).gradients(*args, wrt=(0, 1, 2))["inputs"]
        yield _CUT.format(name), found


def _table_by_index(
    hidden: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, z: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """table[targets] += ..., then table[drawn] += ...: a repeated target counts once."""
    to_hidden, rows, values = back.build({})(hidden, weight, targets, drawn, z)
    kept = {int(t): n for n, t in enumerate(targets)}
    some = torch.tensor([*kept.values(), *range(len(targets), len(rows))])
    return to_hidden, rows[some], values[some]


def _anew(keep_hits: bool) -> Callable[..., Any]:
    """From logits worked out once more, h . w alone."""

    def mistaken(
        hidden: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, z: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        own, others = (hidden * weight[targets]).sum(1), hidden @ weight[drawn].T
        if not keep_hits:
            others = others.masked_fill(targets[:, None] == drawn, -math.inf)
        new = torch.cat([own[:, None], others], 1)
        return back.build({})(hidden, weight, targets, drawn, new)

    return mistaken


def _different_targets(*args: Tensor) -> Any:
    """Divided by how many different targets there are."""
    N, n = len(args[2]), len(args[2].unique())
    to_hidden, rows, values = back.build({})(*args)
    return to_hidden * N / n, rows, values * N / n


def _targets_not_negatives(
    hidden: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, z: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """A class that is some token's target gets nothing as a class drawn."""
    to_hidden, rows, values = back.build({})(hidden, weight, targets, drawn, z)
    keep = torch.cat([torch.ones_like(targets, dtype=torch.bool), ~torch.isin(drawn, targets)])
    return to_hidden, rows[keep], values[keep]


ANEW = (
    "the logits that are handed in are not used, but worked out anew: the bias and the correction "
    "are in those handed in, and in these they are not"
)
BACK: tuple[Mistake, ...] = (
    (
        "of a target that several tokens have only one value is left: table[targets] += ... keeps "
        "the last one alone. Its row gets what all of them add",
        _table_by_index,
    ),
    (ANEW, _anew(False)),
    (ANEW, _anew(True)),
    (
        "a token whose target was drawn moves its target no more: only the hit's own column is "
        "out, and p - 1 stays in the target's",
        back.build(
            {
                "less": lambda p, hits: torch.cat(
                    [(p[:, :1] - 1) * ~hits.any(1, keepdim=True), p[:, 1:]], 1
                )
            }
        ),
    ),
    (
        "a token whose target was drawn is left out altogether: only the hit's own column is out",
        back.build({"less": lambda p, hits: back._less(p, 0) * ~hits.any(1, keepdim=True)}),
    ),
    (
        "a class drawn that is the target of one token gets nothing from the others, either: for "
        "them it is a class like all others",
        _targets_not_negatives,
    ),
    (
        "the gradient is divided by the number of different targets: the mean is over all N tokens",
        _different_targets,
    ),
    (
        "what the classes drawn get is divided by their number S: each has its own p",
        back.build({"split": lambda d: (d[:, :1], d[:, 1:] / (d.size(1) - 1))}),
    ),
)


def _own_roots(
    weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
) -> Rows:
    """One sum a row, but a root for each number."""
    once, g = summed(rows, values)
    size = (sums[once][:, None] + g.square()).sqrt() + eps
    moved = weight.index_add(0, once, -lr * g / size)
    return moved, sums.index_add(0, once, g.square().mean(1))


def _added_again(
    weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
) -> Rows:
    """A right step, but the sums that come back grow once for every time a row is named."""
    _, g = summed(rows, values)
    _, group = rows.unique(return_inverse=True)
    moved, _ = adagrad.build({})(weight, sums, rows, values, lr, eps)
    return moved, sums.index_add(0, rows, g.square().mean(1)[group])


def _eps_kept(all_rows: bool) -> Callable[..., Any]:
    """eps goes into the sums that are returned."""

    def mistaken(
        weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
    ) -> Rows:
        once, g = summed(rows, values)
        new = sums.index_add(0, once, g.square().mean(1) + (0 if all_rows else eps))
        new = new + eps if all_rows else new
        return weight.index_add(0, once, -lr * g / new[once].sqrt()[:, None]), new

    return mistaken


def _divided(by: Callable[[Tensor, Tensor], int]) -> Callable[..., Any]:
    """The squares of a row are divided by something else than d."""

    def mistaken(
        weight: Tensor, sums: Tensor, rows: Tensor, values: Tensor, lr: float, eps: float = 1e-10
    ) -> Rows:
        d = weight.size(1)
        parts = {"square": lambda g: g.square().mean(1) * d / by(weight, rows)}
        return adagrad.build(parts)(weight, sums, rows, values, lr, eps)

    return mistaken


EPS_KEPT = "eps is added to the sums, and stays there: to their root alone, when the step is taken"
ADAGRAD: tuple[Mistake, ...] = (
    (
        "the step is divided by a root for each number, of the row's old sum and that number's own "
        "square: one root for the whole row, of its new sum",
        _own_roots,
    ),
    (
        "the weight is right, but to the sums the square of a row is added as often as the row is "
        "named: once",
        _added_again,
    ),
    (EPS_KEPT, _eps_kept(True)),
    (EPS_KEPT, _eps_kept(False)),
    (
        "one root for the whole table, of the mean of all sums: each row has its own",
        adagrad.build({"which": lambda old, new: new.mean().expand_as(new)}),
    ),
    (
        "the squares of a row are divided by V, the number of rows of the weight: by d, how many "
        "numbers a row has",
        _divided(lambda weight, rows: len(weight)),
    ),
    (
        "the squares of a row are divided by how many rows are named: by d, how many numbers a row "
        "has",
        _divided(lambda weight, rows: len(rows)),
    ),
)


def _filled_up(hidden: Tensor, weight: Tensor, bias: Tensor | None, chunk: int) -> Any:
    """V is made a multiple of chunk, with rows of zeros."""
    more = -len(weight) % chunk
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    weight = torch.cat([weight, weight.new_zeros(more, weight.size(1))])
    return normaliser.build({})(hidden, weight, torch.cat([bias, bias.new_zeros(more)]), chunk)


NORMALISER: tuple[Mistake, ...] = (
    (
        "the last chunk is filled up with rows of zeros, and each counts as a class with e^0 = 1: "
        "let it be shorter",
        _filled_up,
    ),
    (
        "only the first chunk gets its biases: every chunk, bias[start : start + chunk]",
        normaliser.build({"bias": lambda z, bias, i, j: z + bias[i:j] if i == 0 else z}),
    ),
)
