"""Chapter 10: what known wrong versions of `open_vocabulary_bits` return."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from minidistill.course.exercises.ch04_pairs import Fault, Parts, pairs, singles
from minidistill.course.exercises.ch10_bits_more import MORE

_BIT = math.log(2)


def _pick(log_q: Tensor, targets: Tensor) -> Tensor:
    """ln q of the targets, where an id that is none counts as 0."""
    ids = torch.where((targets >= 0) & (targets < log_q.size(-1)), targets, 0)
    return log_q.gather(-1, ids[..., None])[..., 0]


def _without(logits: Tensor, targets: Tensor, unknown: int) -> Tensor:
    """Logits in which <unk> is ruled out wherever a known word stands."""
    words = torch.arange(logits.size(-1)) == unknown
    return logits.masked_fill(words & (targets != unknown)[..., None], -torch.inf)


_STEPS: Parts = {
    "real": lambda mask: (mask, mask),
    "unknown": lambda unknown: unknown,
    "before": lambda logits, targets, unknown: logits,
    "normalise": lambda logits: logits.log_softmax(-1),
    "cost": lambda log_q, targets, unknown: -_pick(log_q, targets),
    "where": lambda targets, unknown: targets == unknown,
    "spell": lambda nats, log_q, unknown: nats,
    "reduce": lambda words, spelling, is_real, is_unknown: words.sum() + spelling.sum(),
    "divide": lambda total, characters, is_real: total / characters,
    "unit": lambda bits: bits / _BIT,
}


def build(parts: Parts) -> Callable[..., Any]:
    """An `open_vocabulary_bits` in which some steps are exchanged."""
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(
        logits: Tensor,
        targets: Tensor,
        spelling_nats: Tensor,
        characters: int,
        unknown_id: int = 0,
        mask: Tensor | None = None,
    ) -> Any:
        mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
        for_words, for_spelling = s.real(mask)
        unknown = s.unknown(unknown_id)
        log_q = s.normalise(s.before(logits, targets, unknown))
        cost = s.cost(log_q, targets, unknown).masked_fill(~for_words, 0.0)
        spelled = s.where(targets, unknown) & for_spelling
        spelling = s.spell(spelling_nats, log_q, unknown).masked_fill(~spelled, 0.0)
        total = s.reduce(cost, spelling, for_words, spelled)
        return s.unit(s.divide(total, characters, for_words))

    return mistaken


_MEAN = (
    "this is a mean over the tokens: the whole text's cost, divided by the number of its characters"
)
_TOKENS = "the cost is divided by the number of tokens: by the number of characters"

FAULTS: tuple[Fault, ...] = (
    (
        "the spelling is forgotten: a word that is unknown costs -ln p(<unk>) and its spelling",
        {"reduce": lambda words, spelling, *rest: words.sum()},
    ),
    (
        "the words are forgotten, only spelling is counted: every real token pays -ln p as well",
        {"reduce": lambda words, spelling, *rest: spelling.sum()},
    ),
    (
        "an unknown word pays for its spelling only: the model has to say first that one comes, "
        "-ln p(<unk>)",
        {
            "cost": lambda log_q, targets, unknown: (
                -_pick(log_q, targets).masked_fill(targets == unknown, 0.0)
            )
        },
    ),
    (
        "known words are forgotten: every real token pays -ln p",
        {
            "cost": lambda log_q, targets, unknown: (
                -_pick(log_q, targets).masked_fill(targets != unknown, 0.0)
            )
        },
    ),
    (
        "every real token pays for spelling: only where the target is unknown",
        {"where": lambda targets, unknown: torch.ones_like(targets, dtype=torch.bool)},
    ),
    (
        "the known words pay for spelling and the unknown ones do not: the other way round",
        {"where": lambda targets, unknown: targets != unknown},
    ),
    (
        "0 is taken for the unknown word whatever unknown_id is",
        {"unknown": lambda unknown: 0},
    ),
    (
        "unknown words are those above unknown_id: those that are equal to it",
        {"where": lambda targets, unknown: targets > unknown},
    ),
    (
        "unknown words are those up to unknown_id: those that are equal to it",
        {"where": lambda targets, unknown: targets <= unknown},
    ),
    (
        "the spelling is multiplied by p(<unk>): the word is unknown, so all of it is paid",
        {"spell": lambda nats, log_q, unknown: nats * log_q[..., unknown].exp()},
    ),
    (
        "the spelling is multiplied by -ln p(<unk>): costs in nats are added",
        {"spell": lambda nats, log_q, unknown: -nats * log_q[..., unknown]},
    ),
    (
        "the spelling is subtracted: it is a cost like the others",
        {"spell": lambda nats, log_q, unknown: -nats},
    ),
    (
        "ln of the spelling's cost is taken: it is in nats already",
        {"spell": lambda nats, log_q, unknown: nats.abs().log()},
    ),
    (
        "the spelling's cost is taken for a log-probability: it is in nats, 0 or more, and is "
        "added as it is",
        {"spell": lambda nats, log_q, unknown: nats.neg().exp()},
    ),
    (
        "every unknown word pays the mean cost of spelling: each its own",
        {
            "reduce": lambda words, spelling, real, unknown: (
                words.sum() + spelling.sum() / unknown.sum().clamp(min=1)
            )
        },
    ),
    (
        "the words stay in nats while the spelling is in bits: divide both by ln 2",
        {"reduce": lambda words, spelling, *rest: words.sum() * _BIT + spelling.sum()},
    ),
    (
        "the spelling stays in nats while the words are in bits: divide both by ln 2",
        {"reduce": lambda words, spelling, *rest: words.sum() + spelling.sum() * _BIT},
    ),
    (_MEAN, {"reduce": lambda w, s, real, unknown: (w.sum() + s.sum()) / real.sum().clamp(min=1)}),
    (_MEAN, {"reduce": lambda w, s, real, unknown: (w + s).mean()}),
    (
        "the mean of the words and the sum of the spelling are added: sum both",
        {"reduce": lambda w, s, real, unknown: w.sum() / real.sum().clamp(min=1) + s.sum()},
    ),
    (
        "the means of words and spelling are added: sum both",
        {
            "reduce": lambda w, s, real, unknown: (
                w.sum() / real.sum().clamp(min=1) + s.sum() / unknown.sum().clamp(min=1)
            )
        },
    ),
    (_TOKENS, {"divide": lambda total, characters, real: total / real.sum().clamp(min=1)}),
    (_TOKENS, {"divide": lambda total, characters, real: total / real.numel()}),
    (
        "nothing is divided by the number of characters",
        {"divide": lambda total, characters, real: total},
    ),
    (
        "the cost is multiplied by the number of characters: divided",
        {"divide": lambda total, characters, real: total * characters},
    ),
    (
        "the number of characters is divided by the cost: the other way round",
        {"divide": lambda total, characters, real: characters / total, "unit": lambda x: x * _BIT},
    ),
    (
        "these are nats: a bit is ln 2 nats, 0.69",
        {"unit": lambda bits: bits},
    ),
    (
        "the cost is multiplied by ln 2: a bit is ln 2 nats, so there are more bits than nats",
        {"unit": lambda bits: bits * _BIT},
    ),
    (
        "the cost is divided by 2: a bit is ln 2 nats",
        {"unit": lambda bits: bits / 2},
    ),
    (
        "log2 is taken of the cost: it is a logarithm already, of another base",
        {"unit": lambda bits: bits.log2()},
    ),
    (
        "this is a perplexity, 2 to the power of the bits: the bits themselves",
        {"unit": lambda bits: 2 ** (bits / _BIT)},
    ),
    (
        "the sign is wrong: -ln p is the cost",
        {"cost": lambda log_q, targets, unknown: _pick(log_q, targets)},
    ),
    (
        "the sign of the whole is wrong: bits are 0 or more",
        {"unit": lambda bits: -bits / _BIT},
    ),
    (
        "the cost is 1 - p: -ln p",
        {"cost": lambda log_q, targets, unknown: 1 - _pick(log_q, targets).exp()},
    ),
    (
        "the logarithm is missing: the cost is -ln p, not -p",
        {"cost": lambda log_q, targets, unknown: -_pick(log_q, targets).exp()},
    ),
    (
        "the softmax is missing: these are logits, and p must be probabilities",
        {"normalise": lambda logits: logits},
    ),
    (
        "the softmax runs over the tokens of the text: words stand along the last dimension",
        {"normalise": lambda logits: logits.log_softmax(-2)},
    ),
    (
        "the softmax is taken twice: log_softmax does all of it",
        {"normalise": lambda logits: logits.softmax(-1).log_softmax(-1)},
    ),
    (
        "the cost is that of the likeliest word: of the target",
        {"cost": lambda log_q, targets, unknown: -log_q.amax(-1)},
    ),
    (
        "this is the model's own entropy: what the target costs is wanted",
        {"cost": lambda log_q, targets, unknown: -(log_q.exp() * log_q).sum(-1)},
    ),
    (
        "<unk> is taken out of the softmax for known words: the model held <unk> possible, and the "
        "known words have to pay for that",
        {"before": _without},
    ),
    (
        "padding is counted, as if the mask were not there: both the words and the spelling are "
        "those of real tokens",
        {"real": lambda mask: (torch.ones_like(mask), torch.ones_like(mask))},
    ),
    (
        "padding pays for words: the mask holds for them as well as for the spelling",
        {"real": lambda mask: (torch.ones_like(mask), mask)},
    ),
    (
        "padding pays for spelling: the mask holds for it as well as for the words",
        {"real": lambda mask: (mask, torch.ones_like(mask))},
    ),
    (
        "the mask is turned round: True is a real token",
        {"real": lambda mask: (~mask, ~mask)},
    ),
)
MISTAKES = (*singles(build, FAULTS), *MORE)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
