"""minidistill: the parts of a text-writing system, built from scratch, a chapter each.

Importing it loads nothing else; a name brings in its module, and with it torch, when it is first
used. So `minidistill --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # editors and type checkers read these; at run time see __getattr__
    from minidistill.batches import IGNORE, ContinuousBatches, PairBatches, lengths_to_mask, pad
    from minidistill.checkpoints import CheckpointError, load_model, save_model
    from minidistill.device import fast_matmul, pick_device, seeded
    from minidistill.generation import forbid, generate, temperature, write
    from minidistill.language_model import LanguageModel, parameter_count
    from minidistill.metrics import bits_per_character, perplexity
    from minidistill.ngram import NGram
    from minidistill.novels import Novel, NovelError, catalogue, load_novel
    from minidistill.parallel import Parallel, load_parallel
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
    "Parallel",
    "Recipe",
    "TrainingError",
    "Vocabulary",
    "WordVocabulary",
    "bits_per_character",
    "catalogue",
    "clip_by_norm",
    "clip_by_value",
    "evaluate",
    "fast_matmul",
    "fit",
    "forbid",
    "generate",
    "lengths_to_mask",
    "load_model",
    "load_novel",
    "load_parallel",
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

_HOMES = {
    "batches": "IGNORE ContinuousBatches PairBatches lengths_to_mask pad",
    "checkpoints": "CheckpointError load_model save_model",
    "device": "fast_matmul pick_device seeded",
    "generation": "forbid generate temperature write",
    "language_model": "LanguageModel parameter_count",
    "metrics": "bits_per_character perplexity",
    "ngram": "NGram",
    "novels": "Novel NovelError catalogue load_novel",
    "parallel": "Parallel load_parallel",
    "recurrent": "RNN rnn_backward rnn_forward rnn_step",
    "training": "History Recipe TrainingError clip_by_norm clip_by_value evaluate fit",
    "vocabulary": "BytePairVocabulary CharacterVocabulary Vocabulary WordVocabulary",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Find a public name in the module that holds it, the first time it is used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'minidistill' has no attribute {name!r}")
    value = getattr(import_module(f"minidistill.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
