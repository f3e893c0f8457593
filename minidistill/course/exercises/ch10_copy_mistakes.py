"""Chapter 10: what known wrong versions of `copy_mixture` return."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from minidistill.course.exercises.ch04_pairs import Fault, pairs, singles
from minidistill.course.exercises.ch10_copy_more import MORE, SOFTMAX_AGAIN, softmax_of_masked
from minidistill.course.exercises.ch10_copy_steps import (
    added,
    build,
    hard,
    ln,
    overwritten,
    reduced,
    whole_gate,
    widened,
)

_OVERWRITTEN = (
    "a word that stands twice in the source gets only one of its weights, the other is "
    "overwritten: they add up"
)
_LOGITS = (
    "logits and weights are added, and the softmax taken of the sum: mix probabilities, the "
    "softmax of the logits alone with the weights"
)
_LOGARITHMS = (
    "logarithms are mixed, which multiplies probabilities: mix the probabilities, then take one "
    "logarithm"
)
_FLOOR = (
    "a word that nobody can say is far too likely: only what is below the smallest number of the "
    "type may be raised, and only up to that"
)
_NORMALISED = "a softmax is taken of probabilities: the mixture adds up to 1 already"


FAULTS: tuple[Fault, ...] = (
    (_OVERWRITTEN, {"scatter": overwritten}),
    (
        _OVERWRITTEN,
        {"scatter": lambda w, places, size: overwritten(w.flip(2), places.flip(2), size)},
    ),
    *((_OVERWRITTEN, {"scatter": reduced(how)}) for how in ("amax", "mean")),
    (
        "the gate is turned round: g is the share that is written, 1 - g is copied",
        {"mix": lambda g, written, copied: (1 - g) * written + g * copied},
    ),
    (
        "what is copied is not weighed: it gets the share 1 - g",
        {"mix": lambda g, written, copied: g * written + copied},
    ),
    (
        "what is written is not weighed: it gets the share g",
        {"mix": lambda g, written, copied: written + (1 - g) * copied},
    ),
    (
        "the gate is not used: g times what is written and 1 - g times what is copied",
        {"mix": lambda g, written, copied: written + copied},
    ),
    (
        "the mean of both is taken, whatever the gate says",
        {"mix": lambda g, written, copied: (written + copied) / 2},
    ),
    (
        "both are weighed with g: what is copied gets 1 - g",
        {"mix": lambda g, written, copied: g * (written + copied)},
    ),
    ("nothing is copied", {"mix": lambda g, written, copied: written}),
    (
        "nothing is copied, and the share 1 - g is lost",
        {"mix": lambda g, written, copied: g * written},
    ),
    ("nothing is written, all is copied", {"mix": lambda g, written, copied: copied}),
    (
        "nothing is written, and the share g is lost",
        {"mix": lambda g, written, copied: (1 - g) * copied},
    ),
    (
        "the gate decides for one of the two: it mixes them, g and 1 - g",
        {"mix": lambda g, written, copied: torch.where(g > 0.5, written, copied)},
    ),
    (
        "the larger of the two is taken: their sum, each with its share",
        {"mix": lambda g, written, copied: torch.maximum(g * written, (1 - g) * copied)},
    ),
    (
        "what is copied is subtracted",
        {"mix": lambda g, written, copied: g * written - (1 - g) * copied},
    ),
    (
        _LOGARITHMS,
        {
            "mix": lambda g, written, copied: g * ln(written) + (1 - g) * ln(copied),
            "finish": lambda p: p,
        },
    ),
    *(
        (
            _LOGITS,
            {
                "write": lambda logits, size: widened(logits, size),
                "mix": mix,
                "finish": lambda x: x.log_softmax(-1),
            },
        )
        for mix in (
            lambda g, written, copied: g * written + (1 - g) * copied,
            lambda g, written, copied: written + copied,
        )
    ),
    (
        "the gate goes through a sigmoid: it is a share between 0 and 1 already",
        {"gate": lambda gate, mask: whole_gate(gate.sigmoid(), mask)},
    ),
    (
        "one gate serves for all steps, their mean: each step has its own",
        {"gate": lambda gate, mask: whole_gate(gate.mean(1, keepdim=True).expand_as(gate), mask)},
    ),
    (
        "the gate of the first step serves for all: each step has its own",
        {"gate": lambda gate, mask: whole_gate(gate[:, :1].expand_as(gate), mask)},
    ),
    (
        "the softmax is missing: logits are no probabilities",
        {"write": lambda logits, size: widened(logits, size)},
    ),
    (
        "the logits are raised to e but not divided by their sum: softmax",
        {"write": lambda logits, size: widened(logits.exp(), size)},
    ),
    (
        "the softmax runs over the steps of the target: words stand along the last dimension",
        {"write": lambda logits, size: widened(logits.softmax(1), size)},
    ),
    (
        "the logits are made longer with zeros before the softmax, so that words of the source "
        "alone are written too: the vocabulary gives them nothing",
        {"write": lambda logits, size: widened(logits, size).softmax(-1)},
    ),
    (
        "the zeros stand before the known words: after them, from V on",
        {
            "write": lambda logits, size: functional.pad(
                logits.softmax(-1), (size - logits.size(-1), 0)
            )
        },
    ),
    (
        "log-probabilities are taken for probabilities: softmax",
        {"write": lambda logits, size: widened(logits.log_softmax(-1), size)},
    ),
    (
        SOFTMAX_AGAIN,
        {"weights": lambda weights: weights.softmax(-1)},
    ),
    (
        "the weights are not used, every place counts the same",
        {"weights": lambda weights: torch.ones_like(weights) / weights.size(-1)},
    ),
    (
        "the weights are not used, every place counts as 1",
        {"weights": torch.ones_like},
    ),
    (
        "only the place that is looked at most is copied: every place, with its weight",
        {"weights": hard},
    ),
    (
        "the weights of the first step serve for all: each step looks where it will",
        {"weights": lambda weights: weights[:, :1].expand_as(weights)},
    ),
    (
        "the weights are averaged over the steps: each step looks where it will",
        {"weights": lambda weights: weights.mean(1, keepdim=True).expand_as(weights)},
    ),
    (
        "steps and places of the weights are exchanged: (B, T, S), each row over the source",
        {"weights": lambda weights: weights.mT.contiguous()},
    ),
    (
        "the weights of a word go to the number of its place in the source: to its id",
        {"places": lambda source, V: torch.arange(source.size(1)).expand_as(source)},
    ),
    (
        "every place of the source counts as a new word after the known ones: source has the ids, "
        "of known words too",
        {"places": lambda source, V: V + torch.arange(source.size(1)).expand_as(source)},
    ),
    (
        "all texts are copied from the first one's source: each has its own",
        {"places": lambda source, V: source[:1].expand_as(source)},
    ),
    (
        "only words that the vocabulary lacks are copied: known ones too, if they stand in the "
        "source",
        {
            "kept": lambda copied, V: copied.masked_fill(torch.arange(copied.size(2)) < V, 0.0),
        },
    ),
    (
        "only known words are copied: the others, from V on, are what copying is for",
        {
            "kept": lambda copied, V: copied.masked_fill(torch.arange(copied.size(2)) >= V, 0.0),
        },
    ),
    (
        "the row has only the known words: extended_size columns",
        {
            "write": lambda logits, size: logits.softmax(-1),
            "kept": lambda copied, V: copied[..., :V],
        },
    ),
    (
        "padding is copied, as if the mask were not there",
        {"mask": lambda mask: None},
    ),
    (
        "the mask is turned round: True is a real token",
        {"mask": lambda mask: None if mask is None else ~mask},
    ),
    ("these are probabilities: return their logarithms", {"finish": lambda p: p}),
    (
        "the sign is wrong: ln p, not -ln p",
        {"finish": lambda p: -ln(p)},
    ),
    (
        "log2 is taken: the natural logarithm",
        {"finish": lambda p: p.clamp(min=torch.finfo(p.dtype).tiny).log2()},
    ),
    *MORE,
    (_NORMALISED, {"finish": lambda p: p.log_softmax(-1)}),
    (_NORMALISED, {"finish": lambda p: p.softmax(-1)}),
    *((_FLOOR, {"finish": lambda p, e=e: p.clamp(min=e).log()}) for e in (1e-4, 1e-5, 1e-6, 1e-7)),
    *((_FLOOR, {"finish": lambda p, e=e: (p + e).log()}) for e in (1e-4, 1e-5, 1e-6, 1e-7)),
    (
        "a word that nobody can say has ln p = 0, which would make it certain",
        {"finish": lambda p: torch.where(p > 0, ln(p), 0.0)},
    ),
)


def _over_what_is_written(
    logits: Tensor,
    weights: Tensor,
    gate: Tensor,
    source: Tensor,
    extended_size: int,
    mask: Tensor | None = None,
) -> Tensor:
    """Copied words replace what the vocabulary gave them."""
    if mask is not None:
        weights, source = weights.masked_fill(~mask[:, None], 0.0), source.masked_fill(~mask, 0)
    g = whole_gate(gate, mask)[..., None]
    p = widened(g * logits.softmax(-1), extended_size)
    for s in range(source.size(1)):
        place = source[:, None, s : s + 1].expand(-1, p.size(1), 1)
        p = p.scatter(2, place, (1 - g) * weights[..., s : s + 1])
    return ln(p)


def _padding_as_word_0(
    logits: Tensor,
    weights: Tensor,
    gate: Tensor,
    source: Tensor,
    extended_size: int,
    mask: Tensor | None = None,
) -> Tensor:
    """The ids at padding are replaced, the weights there are not."""
    source = source if mask is None else source.masked_fill(~mask, 0)
    return build({"gate": lambda g, _: whole_gate(g, mask)})(
        logits, weights, gate, source, extended_size
    )


def _gate_along_the_words(
    logits: Tensor,
    weights: Tensor,
    gate: Tensor,
    source: Tensor,
    extended_size: int,
    mask: Tensor | None = None,
) -> Tensor:
    if mask is not None:
        weights, source = weights.masked_fill(~mask[:, None], 0.0), source.masked_fill(~mask, 0)
    g = whole_gate(gate, mask)[:, None]
    written = functional.pad(g * logits.softmax(-1), (0, extended_size - logits.size(-1)))
    places = source[:, None].expand_as(weights)
    return ln(written + added((1 - g) * weights, places, extended_size))


MISTAKES = (
    *singles(build, FAULTS),
    (
        "the gates lie along the words and the places: the gate of a step belongs to its whole row",
        _gate_along_the_words,
    ),
    (
        "what is copied replaces what is written, where a known word stands in the source (and a "
        "word that stands there twice has only one of its weights): both parts add up",
        _over_what_is_written,
    ),
    (
        "padding is copied as word 0: its ids are replaced, but its weights are not",
        _padding_as_word_0,
    ),
    (SOFTMAX_AGAIN, softmax_of_masked),
)
PAIRS = tuple(pairs(build, FAULTS))
"""Two mistakes at once."""
