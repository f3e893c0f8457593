"""Sequence-to-sequence models that are trained already: a novel's next sentence, a translation.

    trained = load_seq2seq("next_en")
    print(write_on(trained, ["It was raining in Heron Bend."], 3)[0])  # minidistill.continuation

Their weights lie in data/models beside the language models of `minidistill.writers`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minidistill.attention import ATTENTIONS
from minidistill.checkpoints import CheckpointError
from minidistill.device import fast_matmul, pick_device, seeded
from minidistill.language_model import parameter_count
from minidistill.novels import Novel, load_novel
from minidistill.pair_training import (
    HiddenSources,
    PairList,
    batches,
    perplexity_of,
    shuffled_sources,
)
from minidistill.pairs import (
    SPECIALS,
    next_sentence_pairs,
    parallel_pairs,
)
from minidistill.parallel import load_parallel
from minidistill.paths import data_folder
from minidistill.recurrent import GRU
from minidistill.seq2seq import Seq2Seq
from minidistill.seq2seq_checkpoints import Trained, load_seq2seq_model, save_seq2seq_model
from minidistill.training import Recipe, fit
from minidistill.vocabulary import (
    BytePairVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)
from minidistill.writers import CHECKPOINT, DTYPE, device_name

UNITS = {
    "byte pairs": BytePairVocabulary.train,
    "characters": CharacterVocabulary.build,
    "words": WordVocabulary.build,
}


@dataclass(frozen=True)
class PairPlan:
    """How a sequence-to-sequence model is made: GRU, attention, tied tables.

    Args:
        novel: what `load_novel` takes.
        languages: of source and target; twice the same: the next sentence of the novel.
        units, vocab_sizes: of source and target, see `UNITS`; None keeps all tokens.
        attention: a name of `minidistill.attention.ATTENTIONS`; None: the fixed context.
        attention_size: the size in which query and key meet, for "additive".
        values: what is averaged, "states" or "embeddings".
        size: of a token's vector and of a state.
        dropout: of embeddings and read-out.
        source_dropout: share of a source's tokens that are hidden while training.
        before, max_source, max_target: see `next_sentence_pairs`; in tokens.
        batch_size: pairs in a batch.
        recipe: how it is trained; its seed is the only chance there is.
        prompt: a text to go on from, where no one gives another.
    """

    novel: str
    languages: tuple[str, str]
    units: tuple[str, str]
    vocab_sizes: tuple[int | None, int | None]
    attention: str | None
    attention_size: int | None
    values: str
    size: int
    dropout: float
    source_dropout: float
    before: int
    max_source: int
    max_target: int
    batch_size: int
    recipe: Recipe
    prompt: str

    @property
    def shared(self) -> bool:
        """Whether source and target are of one language, with one vocabulary and one table."""
        return self.languages[0] == self.languages[1]


NEXT = PairPlan(
    novel="house",
    languages=("en", "en"),
    units=("byte pairs", "byte pairs"),
    vocab_sizes=(1500, 1500),
    attention="additive",
    attention_size=64,
    values="embeddings",
    size=128,
    dropout=0.4,
    source_dropout=0.2,
    before=3,
    max_source=40,
    max_target=60,
    batch_size=32,
    recipe=Recipe(steps=1000, learning_rate=0.01, weight_decay=0.05, validate_every=50),
    prompt="“Tell it,” said Old Wen. Dou looked at the river.",
)
PLANS = {
    "next_en": NEXT,
    "next_zh": dataclasses.replace(
        NEXT,
        languages=("zh", "zh"),
        units=("characters", "characters"),
        vocab_sizes=(None, None),
        dropout=0.5,
        recipe=dataclasses.replace(NEXT.recipe, steps=700),
        prompt="“讲吧，”老温说。小豆看着河。",
    ),
    "en_to_zh": dataclasses.replace(
        NEXT,
        languages=("en", "zh"),
        units=("words", "characters"),
        vocab_sizes=(2500, None),
        dropout=0.5,
        max_source=45,
        recipe=dataclasses.replace(NEXT.recipe, steps=600),
        prompt="Old Wen looked at the river.",
    ),
}


def seq2seq_writers() -> list[str]:
    """Return the names of the models of `PLANS` that lie in data/models."""
    folder = data_folder() / "models"
    return [name for name in PLANS if (folder / name / "model.safetensors").is_file()]


def load_seq2seq(name: str, device: torch.device | str | None = None) -> Trained:
    """Return `(model, source_vocabulary, vocabulary)` of a trained model in data/models.

    device: None for the CPU. The weights are float32, whatever they were stored as.

    Raises:
        CheckpointError: no such model; the sentence lists those there are.
        ImportError: reading with it needs the `tokenizers` library.

    Taught in solutions/05_seq2seq.ipynb.
    """
    there = seq2seq_writers()
    if name in there:
        return load_seq2seq_model(data_folder() / "models" / name, device)
    raise CheckpointError(
        f"no sequence-to-sequence model is called {name!r}: there are {', '.join(there)}"
    )


def train_seq2seq(
    name: str,
    folder: Path | str,
    *,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Make a model of `PLANS` again, save it in a folder and return its card.

    The model has the weights of its best validation. Called again with the same folder, a
    broken run goes on from its checkpoint, which is removed once the model is saved.

    Args:
        folder: gets model.safetensors, vocabulary.json, card.json and, where source and target
            are of two languages, source_vocabulary.json.
        device: None for a GPU where there is one.
        progress: print what happens, and show a bar.

    Raises:
        ValueError: no plan of that name. NovelError: its novel cannot be had.
        CheckpointError: the folder holds another run, is damaged or cannot be written.

    Taught in solutions/05_seq2seq.ipynb.
    """
    if name not in PLANS:
        raise ValueError(f"no sequence-to-sequence model is called {name!r}: {', '.join(PLANS)}")
    plan, folder, start = PLANS[name], Path(folder).expanduser(), time.perf_counter()
    device = pick_device() if device is None else torch.device(device)
    novels, parts, vocabularies = prepare(plan)
    model = build(plan, *map(len, vocabularies)).to(device)
    trained = Trained(model, *vocabularies)
    train, validation, test = parts
    training = batches(trained, train, plan.batch_size, seed=plan.recipe.seed)
    if progress:
        print(
            f"{novels[1].title}: {parameter_count(model):,} parameters, {len(train):,} pairs, "
            f"{plan.recipe.steps:,} steps"
        )
    with fast_matmul():
        history = fit(
            model,
            training,
            plan.recipe,
            validation=batches(trained, validation, 64, shuffle=False),
            loss=HiddenSources(plan.source_dropout, training),
            checkpoint=folder / CHECKPOINT,
            progress=progress,
        )
        with torch.no_grad():  # as it will be loaded: the figures are those of the stored weights
            for weight in model.parameters():
                weight.copy_(weight.to(DTYPE))
        figures = {
            "perplexity": [perplexity_of(trained, pairs) for pairs in (validation, test)],
            "perplexity_with_shuffled_sources": [
                perplexity_of(trained, shuffled_sources(pairs)) for pairs in (validation, test)
            ],
        }
    card = {
        "name": name,
        "command": f"minidistill train {name} --out {name}",
        **{
            figure: dict(zip(("validation", "test"), (round(x, 3) for x in values), strict=True))
            for figure, values in figures.items()
        },
        "novel": _about(plan, novels),
        "pairs": [len(pairs) for pairs in parts],
        "prompt": plan.prompt,
        "plan": dataclasses.asdict(plan),
        "seed": plan.recipe.seed,
        "vocabularies": [{"kind": v.kind, "size": len(v)} for v in vocabularies],
        "parameters": parameter_count(model),
        "stored_as": str(DTYPE).removeprefix("torch."),
        "steps": plan.recipe.steps,
        "best_step": history.best[0],
        "seconds": round(time.perf_counter() - start),
        "device": device_name(device),
        "torch": torch.__version__,
    }
    save_seq2seq_model(folder, trained, card, DTYPE)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return card


def prepare(
    plan: PairPlan,
) -> tuple[tuple[Novel, Novel], list[PairList], tuple[Vocabulary, Vocabulary]]:
    """Return both novels, the pairs of train, validation and test, and both vocabularies.

    The vocabularies are learned from the training chapters alone.
    """
    limits = plan.max_source, plan.max_target
    if plan.shared:
        novel = load_novel(plan.novel, plan.languages[0], progress=False)
        split = novel.split()
        vocabulary = _learn(plan, 0, split.train.text)
        parts = [
            next_sentence_pairs(part, vocabulary, plan.before, *limits, novel.language)
            for part in split
        ]
        return (novel, novel), parts, (vocabulary, vocabulary)
    both = load_parallel(*plan.languages)
    halves = both.split()
    texts = halves.train.source.text, halves.train.target.text
    vocabularies = _learn(plan, 0, texts[0]), _learn(plan, 1, texts[1])
    parts = [parallel_pairs(part, *vocabularies, *limits) for part in halves]
    return (both.source, both.target), parts, vocabularies


def build(
    plan: PairPlan,
    source_size: int,
    target_size: int,
    context: Callable[..., nn.Module] | None = None,
) -> Seq2Seq:
    """Make the untrained model of a plan, always the same one for the same seed.

    context: see `Seq2Seq`; with one, the weights of all other parts are the same as without.
    """
    attention = None if plan.attention is None else ATTENTIONS[plan.attention]
    if attention is not None and plan.attention_size is not None:
        attention = partial(attention, hidden_size=plan.attention_size)
    with seeded(plan.recipe.seed):
        model = Seq2Seq(
            source_size,
            target_size,
            plan.size,
            plan.size,
            GRU,
            attention,
            values=plan.values,
            dropout=plan.dropout,
            tied=True,
            shared=plan.shared,
        )
        if context is not None:  # made last: it takes no chance from the others
            model.encoder.context = context(plan.size)
    # At first what the source says is not listened to: a vector of chance beside every step
    # would be noise to a language model that has yet to be learned.
    with torch.no_grad():
        for weight in (model.decoder.writer.weight_ih_l0, model.decoder.project.weight):
            weight[:, plan.size :] = 0.0
    return model


def _learn(plan: PairPlan, side: int, text: str) -> Vocabulary:
    return UNITS[plan.units[side]](text, plan.vocab_sizes[side], specials=SPECIALS)


def _about(plan: PairPlan, novels: tuple[Novel, Novel]) -> dict[str, Any]:
    """Return which texts these were, so that figures of other editions are not taken for these."""
    return {
        "name": novels[1].name,
        "titles": [novel.title for novel in novels],
        "author": novels[1].author,
        "languages": list(plan.languages),
        "licence": novels[1].licence,
        "sha256": [hashlib.sha256(novel.text.encode("utf-8")).hexdigest() for novel in novels],
    }
