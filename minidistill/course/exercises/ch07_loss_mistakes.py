"""Chapter 07: what known wrong versions of `negative_sampling_loss` return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minidistill.course.answer import reference_answer
from minidistill.course.diagnosis import Mistake
from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch07_loss_more import MORE_FAULTS, MORE_MISTAKES

_STEPS: Parts = {
    "x": lambda x: x,
    "real_rows": lambda weight, targets: weight[targets],
    "noise_rows": lambda weight, drawn, k: weight[drawn],
    "own": lambda x, w: (x * w).sum(1),  # (N,)
    "others": lambda x, w: x @ w.T,  # (N, S)
    "real": F.logsigmoid,
    "noise": lambda b: F.logsigmoid(-b),
    "keep": lambda b, noise, targets, drawn, k: noise.sum(1) * (k / len(drawn)),
    "both": lambda real, noise, k, S: real + noise,
    "give": lambda each, k, S: -each.mean(),
}


def build(parts: Parts) -> Callable[..., Any]:
    """A `negative_sampling_loss` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(x: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, k: float) -> Any:
        given = s.x(x)
        a = s.own(given, s.real_rows(weight, targets))
        b = s.others(given, s.noise_rows(weight, drawn, k))
        noise = s.keep(b, s.noise(b), targets, drawn, k)
        return s.give(s.both(s.real(a), noise, k, len(drawn)), k, len(drawn))

    return mistaken


def _scaled(by: Callable[[float, int], float]) -> Parts:
    """The sum over the draws, times another number."""
    return {"keep": lambda b, noise, targets, drawn, k: noise.sum(1) * by(k, len(drawn))}


def _without_hits(
    b: Tensor, noise: Tensor, targets: Tensor, drawn: Tensor, k: float, rescale: bool = False
) -> Tensor:
    kept = targets[:, None] != drawn
    left = kept.sum(1).clamp(min=1) if rescale else len(drawn)
    return (noise * kept).sum(1) * k / left


def _nobodys_target(b: Tensor, noise: Tensor, targets: Tensor, drawn: Tensor, k: float) -> Tensor:
    kept = ~torch.isin(drawn, targets)
    return (noise * kept).sum(1) * k / len(drawn)


def _first_ones(b: Tensor, noise: Tensor, targets: Tensor, drawn: Tensor, k: float) -> Tensor:
    return noise[:, : int(k)].sum(1)


def _softmax(x: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, k: float) -> Tensor:
    """The target against the words drawn, in one softmax."""
    scores = torch.cat([(x * weight[targets]).sum(1)[:, None], x @ weight[drawn].T], 1)
    return -scores.log_softmax(1)[:, 0].mean()


def _full_softmax(x: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, k: float) -> Tensor:
    return F.cross_entropy(x @ weight.T, targets)


def _others_targets(x: Tensor, weight: Tensor, targets: Tensor, drawn: Tensor, k: float) -> Tensor:
    """The other targets of the batch in the place of the words drawn."""
    own = build({"keep": lambda b, noise, targets, drawn, k: 0 * noise.sum(1)})
    a = x @ weight[targets].T
    noise = F.logsigmoid(-a).fill_diagonal_(0).sum(1) * k / max(1, len(x) - 1)
    return own(x, weight, targets, drawn, k) - noise.mean()


_HITS = (
    "words drawn that are a target are left out: here they stay. The draw stands for noise, and "
    "noise may be any word"
)
_OWN = "every x meets all targets of the batch: x_n belongs to the n-th target alone"
SUMMED = (
    "every draw counts whole: S words are drawn for the whole batch, and all of them together are "
    "to count as `negatives` words would"
)
AVERAGED = (
    "this is the mean over the words drawn: it weighs as one word, and `negatives` of them are "
    "meant"
)
AS_REAL = (
    "the words drawn are taken for real ones: their scores should become low, so which sign has "
    "the score inside ln s?"
)
NOT_LOG = "these are probabilities: the logarithm of s is missing"
MEAN_H = "the products are averaged over the H numbers: a dot product is their sum"

FAULTS: tuple[Fault, ...] = (
    (SUMMED, _scaled(lambda k, S: 1.0)),
    (AVERAGED, _scaled(lambda k, S: 1 / S)),
    (
        "the sum over all draws is multiplied by `negatives`: it has S terms, and should weigh as "
        "`negatives` terms do",
        _scaled(lambda k, S: k),
    ),
    (
        "the factor of the words drawn is upside down: more draws make each of them count less",
        _scaled(lambda k, S: S / k),
    ),
    (
        "`negatives` is an argument: here it counts as 5 whatever is handed in",
        _scaled(lambda k, S: 5 / S),
    ),
    (
        "the words drawn play no part: without them the best answer is to call every word real",
        _scaled(lambda k, S: 0.0),
    ),
    (
        "the words drawn are subtracted: both parts are logarithms of chances, and both are to "
        "become large",
        _scaled(lambda k, S: -k / S),
    ),
    (
        "only the first `negatives` words drawn are used: all S are, each counting less",
        {"keep": _first_ones},
    ),
    (_HITS, {"keep": _without_hits}),
    (
        _HITS,
        {"keep": lambda b, n, t, d, k: _without_hits(b, n, t, d, k, rescale=True)},
    ),
    (_HITS, {"keep": _nobodys_target}),
    (
        "of the words drawn only the one with the largest score counts: all of them",
        {"keep": lambda b, noise, t, drawn, k: noise.amin(1) * k},
    ),
    (AS_REAL, {"noise": F.logsigmoid}),
    (
        "1 - ln s is not ln(1 - s): the chance that a word is not real is 1 - s(score), and the "
        "logarithm is taken of that",
        {"noise": lambda b: 1 - F.logsigmoid(b)},
    ),
    (
        "-ln s(score) is not ln s(-score): the minus belongs to the score of a word drawn",
        {"noise": lambda b: -F.logsigmoid(b)},
    ),
    (
        "the logarithm of s is missing for the words drawn",
        {"noise": lambda b: torch.sigmoid(-b)},
    ),
    (
        "the scores of the words drawn are taken as they are: ln s of them is wanted",
        {"noise": lambda b: -b},
    ),
    (
        "the target is taken for a word drawn: its score should become high, so which sign has it "
        "inside ln s?",
        {"real": lambda a: F.logsigmoid(-a)},
    ),
    ("the logarithm of s is missing for the targets", {"real": torch.sigmoid}),
    ("the score of the target is taken as it is: ln s of it is wanted", {"real": lambda a: a}),
    (
        "the targets play no part: without them the best answer is to call no word real",
        {"real": lambda a: 0 * a},
    ),
    (NOT_LOG, {"real": torch.sigmoid, "noise": lambda b: torch.sigmoid(-b)}),
    (
        "target and words drawn have changed roles: which scores should become high?",
        {"real": lambda a: F.logsigmoid(-a), "noise": F.logsigmoid},
    ),
    (
        "the target's scores are averaged over the H numbers: a dot product is their sum",
        {"own": lambda x, w: (x * w).mean(1)},
    ),
    (
        "the scores of the words drawn are averaged over the H numbers: a dot product is their sum",
        {"others": lambda x, w: x @ w.T / x.size(1)},
    ),
    (
        MEAN_H,
        {"own": lambda x, w: (x * w).mean(1), "others": lambda x, w: x @ w.T / x.size(1)},
    ),
    (
        "the scores are divided by the root of H: that belongs to attention",
        {
            "own": lambda x, w: (x * w).sum(1) / x.size(1) ** 0.5,
            "others": lambda x, w: x @ w.T / x.size(1) ** 0.5,
        },
    ),
    (
        "the scores are cosines: the lengths of x and of the rows count, nothing is normalised",
        {
            "own": lambda x, w: F.cosine_similarity(x, w),
            "others": lambda x, w: F.normalize(x) @ F.normalize(w).T,
        },
    ),
    ("x is brought to length 1: it is taken as it comes", {"x": F.normalize}),
    (_OWN, {"own": lambda x, w: x @ w.T, "real": lambda a: F.logsigmoid(a).mean(1)}),
    (_OWN, {"own": lambda x, w: x @ w.T, "real": lambda a: F.logsigmoid(a).sum(1)}),
    (
        "each x meets only the word drawn in its own place: all of them are for every x",
        {"others": lambda x, w: (x * w).sum(1)[:, None]},
    ),
    (
        "the words drawn get the first rows of the weight: `drawn` says which rows are theirs",
        {"noise_rows": lambda weight, drawn, k: weight[: len(drawn)]},
    ),
    (
        "the targets get the first rows of the weight: `targets` says which rows are theirs",
        {"real_rows": lambda weight, targets: weight[: len(targets)]},
    ),
    (
        "all rows of the weight count as drawn: those alone that `drawn` names",
        {
            "noise_rows": lambda weight, drawn, k: weight,
            "keep": lambda b, noise, t, drawn, k: noise.mean(1) * k,
        },
    ),
    (
        "all rows of the weight count as drawn: those alone that `drawn` names",
        {"noise_rows": lambda weight, drawn, k: weight},
    ),
    (
        "the target's part is multiplied by negatives / S too: there is one target, and it counts "
        "whole",
        {
            "both": lambda real, noise, k, S: real * k / S + noise,
        },
    ),
    (
        "the target's part is multiplied by `negatives` too: there is one target, and it counts "
        "once",
        {"both": lambda real, noise, k, S: real * k + noise},
    ),
    (
        "the sum is divided by N (1 + S): by N alone, the draws have their factor already",
        {"give": lambda each, k, S: -each.mean() / (1 + S)},
    ),
    (
        "the sum is divided by N (1 + negatives): by N alone",
        {"give": lambda each, k, S: -each.mean() / (1 + k)},
    ),
    (
        "the sum is divided by N twice over, or by N S: by N alone",
        {"give": lambda each, k, S: -each.mean() / S},
    ),
    ("this is the sum over the batch: its mean", {"give": lambda each, k, S: -each.sum()}),
    (
        "this is one number for each x: their mean",
        {"give": lambda each, k, S: -each},
    ),
    (
        "the sign is wrong: a loss becomes small where the chances become large",
        {"give": lambda each, k, S: each.mean()},
    ),
    (
        "this is e to the loss: the mean of the logarithms itself, with its sign turned",
        {"give": lambda each, k, S: (-each.mean()).exp()},
    ),
    *MORE_FAULTS,
)

MISTAKES: tuple[Mistake, ...] = (
    *singles(build, FAULTS),
    (
        "this is a softmax over the target and the words drawn: here every word is asked by itself "
        "whether it is real",
        _softmax,
    ),
    (
        "this is the softmax over the whole vocabulary: the words drawn stand in its place",
        _full_softmax,
    ),
    (
        "the other targets of the batch are taken for noise: the noise is in `drawn`",
        _others_targets,
    ),
    *MORE_MISTAKES,
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""


def detached(args: tuple[Any, ...]) -> Iterator[tuple[str, list[Tensor]]]:
    """The gradients by x and the weight where one source is cut off, with what to say."""
    cut = "the right loss, but no gradient flows through {}: it is detached there"
    names: dict[str, Parts] = {
        "weight[drawn]": {"noise_rows": lambda w, drawn, k: w[drawn].detach()},
        "weight[targets]": {"real_rows": lambda w, targets: w[targets].detach()},
        "x, where it meets the words drawn": {"others": lambda x, w: x.detach() @ w.T},
        "x, where it meets the target": {"own": lambda x, w: (x.detach() * w).sum(1)},
        "x": {"x": lambda x: x.detach()},
        "the scores of the words drawn": {"noise": lambda b: F.logsigmoid(-b.detach())},
        "the score of the target": {"real": lambda a: F.logsigmoid(a.detach())},
    }
    for name, parts in names.items():
        handle = reference_answer(build(parts))
        yield cut.format(name), handle.gradients(*args, wrt=(0, 1))["inputs"]
