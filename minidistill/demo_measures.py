"""The demo's text and its measures: a novel as ids, and what each model pays for every token."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from minidistill.batches import ContinuousBatches
from minidistill.device import pick_device
from minidistill.language_model import LanguageModel
from minidistill.metrics import bits_per_character
from minidistill.ngram import NGram
from minidistill.novels import Novel, NovelError
from minidistill.report import PARTS
from minidistill.vocabulary import CharacterVocabulary

BASELINES = {"unigram": 1, "5-gram": 5}
Bits = dict[str, float]


class Data(NamedTuple):
    """A novel as ids; vocabulary and counts are of the training part alone."""

    vocabulary: CharacterVocabulary
    counts: Counter[str]
    train: Tensor
    validation: Tensor
    test: Tensor
    prompt: str


def prepare(novel: Novel) -> Data:
    """Split a novel by chapters and number its characters by the training part alone.

    Characters that training has only once are cut, so that the model learns what `<unk>` is.
    Raises NovelError: a part too short to learn from or to measure on.
    """
    split = novel.split()
    counts = Counter(split.train.text)
    twice = sum(count >= 2 for count in counts.values())
    if twice == 0 or min(len(part.text) for part in split) < 2:
        raise NovelError(f"{novel.title} has too little text to train and measure on: give more")
    vocabulary = CharacterVocabulary.build(split.train.text, size=1 + twice)
    ids = (torch.tensor(vocabulary.encode(part.text)) for part in split)
    return Data(vocabulary, counts, *ids, first_words(split.validation.text))


def first_words(text: str) -> str:
    """Return the first sentence of a text; if that is long, the words in 20 characters."""
    sentence = re.match(r".{1,60}?[.!?。！？…]+[”’\"']*", text)
    return sentence[0] if sentence else text[:20].rsplit(" ", 1)[0]


def counted(data: Data) -> dict[str, dict[str, Tensor]]:
    """Measure what counting reaches: nats of every token, by model and part.

    All tokens of a part but its first are measured, as for the RNN, which has nothing to
    predict the first one from.
    """
    nats: dict[str, dict[str, Tensor]] = {}
    for name, order in BASELINES.items():
        model = NGram(order, len(data.vocabulary)).fit(data.train)
        nats[name] = {part: model.nats(getattr(data, part))[1:] for part in PARTS}
    return nats


def in_bits(nats: dict[str, Tensor]) -> Bits:
    """Return bits per character by part, from the nats of every token."""
    return {part: bits_per_character(float(v.sum()), len(v)) for part, v in nats.items()}


def averaged(one: Tensor, other: Tensor) -> Tensor:
    """Return the nats of the mean of two models' probabilities.

    -ln (p_1 + p_2) / 2. A network generalises, counting remembers; the two fail at different
    places, and their mean is usually better than either.
    Source: Mikolov et al., Recurrent neural network based language model, 2010.
    """
    return math.log(2) - torch.logaddexp(-one.double(), -other.double())


def in_rows(ids: Tensor) -> ContinuousBatches:
    """Lay out a text to be measured: in one row, or in up to 16 where it is long, to save time.

    Each row begins without a state. With 2,000 tokens or more in a row, that changes the bits
    per character by less than 0.001.
    """
    return ContinuousBatches(ids, max(1, min(16, len(ids) // 2000)), 64)


@torch.no_grad()
def model_nats(model: LanguageModel, ids: Tensor) -> Tensor:
    """Measure the model: nats of every token but the first, in the order of the text."""
    device, rows, costs, state = pick_device(), in_rows(ids), [], None
    model.eval()
    for inputs, targets in rows:
        logits, state = model(inputs.to(device), state)
        logits = logits.transpose(1, 2).float()  # (B, V, T)
        cost = functional.cross_entropy(logits, targets.to(device), reduction="none")
        costs.append(cost.cpu())  # (B, T)
    return torch.cat(costs, dim=1).flatten()[: rows.targets]


def unknown_share(ids: Tensor) -> float:
    """Return the share of a text's tokens that are `<unk>`."""
    return float((ids == CharacterVocabulary.unknown_id).double().mean())
