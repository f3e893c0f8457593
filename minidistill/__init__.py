"""minidistill: the parts of a text-writing system, built from scratch, a chapter each.

Importing it loads torch and the standard library, nothing else.
"""

from minidistill.batches import IGNORE, ContinuousBatches, PairBatches, lengths_to_mask, pad
from minidistill.checkpoints import CheckpointError, load_model, save_model
from minidistill.device import pick_device, seeded
from minidistill.generation import forbid, generate, temperature, write
from minidistill.language_model import LanguageModel, parameter_count
from minidistill.metrics import bits_per_character, perplexity
from minidistill.ngram import NGram
from minidistill.novels import Novel, NovelError, catalogue, load_novel
from minidistill.recurrent import RNN, rnn_backward, rnn_forward, rnn_step
from minidistill.training import (
    History,
    Recipe,
    TrainingError,
    clip_by_norm,
    clip_by_value,
    evaluate,
    fit,
)
from minidistill.vocabulary import (
    BytePairVocabulary,
    CharacterVocabulary,
    Vocabulary,
    WordVocabulary,
)

__version__ = "0.1.0"

__all__ = [
    "IGNORE",
    "RNN",
    "BytePairVocabulary",
    "CharacterVocabulary",
    "CheckpointError",
    "ContinuousBatches",
    "History",
    "LanguageModel",
    "NGram",
    "Novel",
    "NovelError",
    "PairBatches",
    "Recipe",
    "TrainingError",
    "Vocabulary",
    "WordVocabulary",
    "bits_per_character",
    "catalogue",
    "clip_by_norm",
    "clip_by_value",
    "evaluate",
    "fit",
    "forbid",
    "generate",
    "lengths_to_mask",
    "load_model",
    "load_novel",
    "pad",
    "parameter_count",
    "perplexity",
    "pick_device",
    "rnn_backward",
    "rnn_forward",
    "rnn_step",
    "save_model",
    "seeded",
    "temperature",
    "write",
]
