"""Chapter 08: what known wrong versions of `log_normaliser` return."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles

Places = list[tuple[int, int]]
Chunks = list[Tensor]


def _places(V: int, chunk: int, step: int = 0, width: int = 0) -> Places:
    """Where chunks begin and end; step and width are added to `chunk`."""
    return [(i, min(i + chunk + width, V)) for i in range(0, V, max(1, chunk + step))]


def _sizes(chunks: Chunks) -> Tensor:
    """ln sum exp of each chunk: (number of chunks, N)."""
    return torch.stack([z.logsumexp(1) for z in chunks])


def _tops(chunks: Chunks) -> Tensor:
    return torch.stack([z.amax(1) for z in chunks])


def _right(chunks: Chunks) -> Tensor:
    return _sizes(chunks).logsumexp(0)


def _unscaled(which: Callable[[Tensor], Tensor]) -> Callable[[Chunks], Tensor]:
    """Sums from which each chunk's own largest logit was taken, added up as they are."""

    def join(chunks: Chunks) -> Tensor:
        sums = (_sizes(chunks) - _tops(chunks)).exp().sum(0)
        return sums.log() + which(_tops(chunks))

    return join


def _running(old: float, new: float) -> Callable[[Chunks], Tensor]:
    """The running sum, scaled with these signs: 1, 1 would be right."""

    def join(chunks: Chunks) -> Tensor:
        top, total = chunks[0].amax(1), (_sizes(chunks[:1]) - _tops(chunks[:1]))[0].exp()
        for z in chunks[1:]:
            higher, own = torch.maximum(top, z.amax(1)), z.amax(1)
            share = (z - own[:, None]).exp().sum(1)
            total = total * (old * (top - higher)).exp() + share * (new * (own - higher)).exp()
            top = higher
        return top + total.log()

    return join


def _with(value: float) -> Callable[[Chunks], Tensor]:
    """One more term, e to the value."""
    return lambda chunks: torch.logaddexp(_right(chunks), torch.tensor(value).double())


def _again(which: int) -> Callable[[Chunks], Tensor]:
    return lambda chunks: _right([*chunks, chunks[which]])


_STEPS: Parts = {
    "places": _places,
    "logits": lambda hidden, w: hidden @ w.T,
    "bias": lambda z, bias, i, j: z + bias[i:j],
    "join": _right,
    "give": lambda total, V: total,
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `log_normaliser` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(hidden: Tensor, weight: Tensor, bias: Tensor | None, chunk: int) -> Any:
        chunks = []
        for i, j in s.places(len(weight), chunk):
            z = s.logits(hidden, weight[i:j])
            chunks.append(z if bias is None else s.bias(z, bias, i, j))
        return s.give(s.join(chunks), len(weight))

    return mistaken


def _only_full(V: int, chunk: int) -> Places:
    return [(i, i + chunk) for i in range(0, V - chunk + 1, chunk)]


def _first_biases(z: Tensor, bias: Tensor, i: int, j: int) -> Tensor:
    return z + bias[: j - i]


def _last_biases(z: Tensor, bias: Tensor, i: int, j: int) -> Tensor:
    return z + bias[len(bias) - (j - i) :]


LOG_OF_SUM = (
    "what stands in the chunks is added up as logarithms: ln a + ln b is ln (a b). What is to be "
    "added up is e to them: torch.logaddexp(total, part)"
)
LARGEST = (
    "the sums of the chunks do not fit together: from each its own largest logit was taken, and "
    "they are added up as they are. When a larger one comes, the sum so far shrinks by "
    "e^(old largest - new largest)"
)
NEW_UNSCALED = (
    "the sum so far is scaled, the new chunk's is not: where its largest logit is below the "
    "largest so far, it shrinks as well; take the largest so far out of both"
)
UPSIDE_DOWN = (
    "the sum so far grows by e^(new largest - old largest): it is to shrink by it, as e to the new "
    "largest is taken out of it"
)
START_0 = (
    "the running total begins with a 0, which is a term like others, e^0 = 1: begin with the first "
    "chunk, or with -inf"
)
RAGGED = (
    "the last classes are left out where V is no multiple of chunk: the last chunk is shorter, "
    "range(0, V, chunk) begins it, too"
)
FIRST_AGAIN = (
    "the first chunk is counted twice: a total that begins with it goes on with the second"
)
SKIPPED = "a class is left out after each chunk: the next one begins where the last one ended"
OVERLAP = (
    "a class is counted twice between two chunks: weight[start : start + chunk] ends before "
    "start + chunk"
)
WRONG_BIAS = "every chunk gets the bias of {}: bias[start : start + chunk]"

FAULTS: tuple[Fault, ...] = (
    (LOG_OF_SUM, {"join": lambda chunks: _sizes(chunks).sum(0)}),
    (
        "this is the mean of the chunks: all of them go into one sum, torch.logaddexp(total, part)",
        {"join": lambda chunks: _sizes(chunks).mean(0)},
    ),
    (
        "only the largest chunk counts: all of them go into one sum",
        {"join": lambda chunks: _sizes(chunks).amax(0)},
    ),
    (
        "only the last chunk counts: the total is replaced, not added to",
        {"join": lambda chunks: _sizes(chunks)[-1]},
    ),
    (
        "only the first chunk counts: does `return` stand inside the loop?",
        {"join": lambda chunks: _sizes(chunks)[0]},
    ),
    (
        "each chunk is divided by the number of chunks: the sum runs over all classes",
        {"join": lambda chunks: _right(chunks) - math.log(len(chunks))},
    ),
    (
        "the largest logit of all is returned: the sum of all terms is wanted, of which it is one",
        {"join": lambda chunks: _tops(chunks).amax(0)},
    ),
    (
        "of every chunk only the largest logit counts: all its classes do",
        {"join": lambda chunks: _tops(chunks).logsumexp(0)},
    ),
    (
        "the largest logit is not added again at the end: what was taken out of all of them comes "
        "back",
        {"join": lambda chunks: _right(chunks) - _tops(chunks).amax(0)},
    ),
    (LARGEST, {"join": _unscaled(lambda tops: tops[-1])}),
    (LARGEST, {"join": _unscaled(lambda tops: tops[0])}),
    (LARGEST, {"join": _unscaled(lambda tops: tops.amax(0))}),
    (LARGEST, {"join": _unscaled(lambda tops: tops.sum(0))}),
    (NEW_UNSCALED, {"join": _running(1, 0)}),
    (UPSIDE_DOWN, {"join": _running(-1, 1)}),
    (START_0, {"join": _with(0.0)}),
    (
        "e to the total is taken once more in each step: the total is a logarithm, so "
        "torch.logaddexp(total, part)",
        {"join": lambda chunks: _sizes(chunks).exp().logsumexp(0)},
    ),
    (
        "the logits are added up, not e to them",
        {"join": lambda chunks: sum(z.sum(1) for z in chunks)},
    ),
    (
        "the logarithm of the sum of logarithms is taken: ln of the sum of e to them",
        {"join": lambda chunks: _sizes(chunks).sum(0).log()},
    ),
    (
        "these are means over the classes of a chunk: sums",
        {"join": lambda c: _right([z - math.log(z.size(1)) for z in c])},
    ),
    (FIRST_AGAIN, {"join": _again(0)}),
    ("the last chunk is counted twice", {"join": _again(-1)}),
    (RAGGED, {"places": _only_full}),
    (
        "the last chunk is left out",
        {"places": lambda V, chunk: _places(V, chunk)[:-1]},
    ),
    (
        "the first chunk is left out",
        {"places": lambda V, chunk: _places(V, chunk)[1:]},
    ),
    (
        "the last class is left out: slices end before their second number",
        {"places": lambda V, chunk: _places(V - 1, chunk)},
    ),
    (
        "the first class is left out: classes are counted from 0",
        {"places": lambda V, chunk: [(max(i, 1), j) for i, j in _places(V, chunk) if j > 1]},
    ),
    (SKIPPED, {"places": lambda V, chunk: _places(V, chunk, step=1)}),
    (OVERLAP, {"places": lambda V, chunk: _places(V, chunk, width=1)}),
    (
        "the chunks move on by one class, so that most classes are counted several times: "
        "range(0, V, chunk)",
        {"places": lambda V, chunk: _places(V, chunk, step=1 - chunk)},
    ),
    (
        "the last chunk is filled up with classes that were counted before: it may be shorter",
        {"places": lambda V, c: [(max(0, min(i, V - c)), j) for i, j in _places(V, c)]},
    ),
    (
        "the bias is forgotten: a class has the logit h . w + c",
        {"bias": lambda z, bias, i, j: z},
    ),
    (
        "the bias is subtracted: it is added",
        {"bias": lambda z, bias, i, j: z - bias[i:j]},
    ),
    (
        "the bias is multiplied: it is added",
        {"bias": lambda z, bias, i, j: z * bias[i:j]},
    ),
    (WRONG_BIAS.format("the first classes"), {"bias": _first_biases}),
    (WRONG_BIAS.format("the last classes"), {"bias": _last_biases}),
    (
        "all classes of a chunk get the bias of its first one: bias[start : start + chunk]",
        {"bias": lambda z, bias, i, j: z + bias[i]},
    ),
    (
        "the sum of a chunk's biases is added to each logit: each class its own",
        {"bias": lambda z, bias, i, j: z + bias[i:j].sum()},
    ),
    (
        "the logits are divided by the root of H, as in attention: h . w + c",
        {"logits": lambda hidden, w: hidden @ w.T / hidden.size(1) ** 0.5},
    ),
    (
        "the products are averaged over the hidden numbers: h . w is their sum",
        {"logits": lambda hidden, w: hidden @ w.T / hidden.size(1)},
    ),
    ("the sign is wrong: ln of the sum, not -ln", {"give": lambda total, V: -total}),
    ("this is the normaliser: its logarithm is wanted", {"give": lambda total, V: total.exp()}),
    ("this is 1 over the normaliser: ln of it", {"give": lambda total, V: (-total).exp()}),
    (
        "this is a mean over the classes: ln of the sum",
        {"give": lambda total, V: total - math.log(V)},
    ),
    (
        "these are bits, the base of the logarithm is 2: the natural one",
        {"give": lambda total, V: total / math.log(2)},
    ),
    (
        "the result has the shape (N, 1): (N,), so no keepdim",
        {"give": lambda total, V: total[:, None]},
    ),
    (
        "this is the mean over the rows of hidden: one number for each",
        {"give": lambda t, V: t.mean()},
    ),
    (
        "this is the sum over the rows of hidden: one number for each",
        {"give": lambda t, V: t.sum()},
    ),
    (
        "one number for all rows of hidden: each has its own, so sum over the classes alone, "
        "logsumexp(1)",
        {"give": lambda total, V: total.logsumexp(0)},
    ),
)
MISTAKES = tuple(singles(build, FAULTS))
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
