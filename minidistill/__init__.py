"""minidistill: the parts of a text-writing system, built from scratch, a chapter each.

Importing it loads nothing else; a name brings in its module, and with it torch, when it is first
used. So `minidistill --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # editors and type checkers read these; at run time see __getattr__
    from minidistill.adaptive_softmax import AdaptiveReadout, AdaptiveSoftmax
    from minidistill.alignment import alignment_accuracy, exact_match
    from minidistill.attention import (
        AdditiveAttention,
        DotAttention,
        GeneralAttention,
        ScaledDotAttention,
        masked_softmax,
    )
    from minidistill.batches import (
        IGNORE,
        ContinuousBatches,
        PairBatches,
        lengths_to_mask,
        pad,
        shift_targets,
    )
    from minidistill.checkpoints import CheckpointError, load_model, save_model
    from minidistill.chunked_softmax import chunked_cross_entropy, log_normaliser
    from minidistill.constraints import dialogue, ends_with, follows, must_contain, must_not_contain
    from minidistill.convolution import CausalConvolution
    from minidistill.device import fast_matmul, pick_device, seeded
    from minidistill.distillation import (
        distillation_loss,
        jensen_shannon_loss,
        logit_loss,
        reverse_kl_loss,
        soft_target_loss,
    )
    from minidistill.distilling import PassTargets, SoftTargets, TeacherWarning, distill
    from minidistill.embedding_plans import EmbeddingPlan, Embeddings, train_embeddings
    from minidistill.embedding_training import NegativeSampling
    from minidistill.embeddings import (
        CBOW,
        EqualWeights,
        MeanQueryAttention,
        PlaceWeights,
        PositionAttention,
        SkipGram,
    )
    from minidistill.ensemble import Ensemble, mean_log_probabilities
    from minidistill.generation import generate, show, stream, write
    from minidistill.language_model import LanguageModel, parameter_count
    from minidistill.large_vocabulary import ChunkedSoftmax, SampledSoftmax, start_from_counts
    from minidistill.matching import Match
    from minidistill.metrics import (
        bits_per_character,
        distinct,
        longest_copied,
        perplexity,
        repetition,
        self_bleu,
    )
    from minidistill.negative_sampling import negative_sampling_loss
    from minidistill.neighbours import NeighbourAttention
    from minidistill.ngram import NGram
    from minidistill.novels import Novel, NovelError, catalogue, load_novel
    from minidistill.open_vocabulary import OpenTeacher, Speller, open_vocabulary_bits
    from minidistill.parallel import Parallel, load_parallel
    from minidistill.pass_writing import write_passes
    from minidistill.paths import data_folder
    from minidistill.piece_map import PieceMap, next_piece
    from minidistill.pointer import ExtendedVocabulary, PointerSeq2Seq, copy_mixture
    from minidistill.quantisation import load_quantised, quantise, save_quantised
    from minidistill.recurrent import GRU, LSTM, RNN, rnn_backward, rnn_forward, rnn_step
    from minidistill.rules import (
        forbid,
        min_p,
        no_repeats,
        repetition_penalty,
        temperature,
        top_k,
        top_p,
    )
    from minidistill.sampled_softmax import sampled_backward, sampled_logits, sampled_softmax_loss
    from minidistill.samplers import (
        LogUniformSampler,
        Negatives,
        Sampler,
        UniformSampler,
        UnigramSampler,
        log_expected_count,
    )
    from minidistill.search import beam_search
    from minidistill.seq2seq import Decoder, Encoder, Memory, Seq2Seq
    from minidistill.sequence_distillation import OnPolicy, taught_pairs, taught_text
    from minidistill.several_teachers import JoinedPasses
    from minidistill.sparse_rows import LazyAdam, RowAdagrad, merged_rows, row_adagrad
    from minidistill.teacher_forcing import ScheduledSampling, pair_loss, token_loss
    from minidistill.teacher_passes import Passes
    from minidistill.training import (
        History,
        Recipe,
        TrainingError,
        clip_by_norm,
        clip_by_value,
        evaluate,
        fit,
    )
    from minidistill.transduction import transduce
    from minidistill.vocabulary import (
        BytePairVocabulary,
        CharacterVocabulary,
        ChineseWordVocabulary,
        PlainChineseVocabulary,
        PlainWordVocabulary,
        SpacedWordVocabulary,
        Vocabulary,
        WordVocabulary,
    )
    from minidistill.windows import (
        WindowBatch,
        Windows,
        WordStream,
        context_windows,
        keep_probability,
        word_stream,
    )
    from minidistill.word_likeness import Likeness, likeness, read_pairs, spearman
    from minidistill.word_vectors import WordVectors, principal_components
    from minidistill.writers import load_writer, train_writer

__version__ = "0.1.0"

__all__ = [
    "CBOW",
    "GRU",
    "IGNORE",
    "LSTM",
    "RNN",
    "AdaptiveReadout",
    "AdaptiveSoftmax",
    "AdditiveAttention",
    "BytePairVocabulary",
    "CausalConvolution",
    "CharacterVocabulary",
    "CheckpointError",
    "ChineseWordVocabulary",
    "ChunkedSoftmax",
    "ContinuousBatches",
    "Decoder",
    "DotAttention",
    "EmbeddingPlan",
    "Embeddings",
    "Encoder",
    "Ensemble",
    "EqualWeights",
    "ExtendedVocabulary",
    "GeneralAttention",
    "History",
    "JoinedPasses",
    "LanguageModel",
    "LazyAdam",
    "Likeness",
    "LogUniformSampler",
    "Match",
    "MeanQueryAttention",
    "Memory",
    "NGram",
    "NegativeSampling",
    "Negatives",
    "NeighbourAttention",
    "Novel",
    "NovelError",
    "OnPolicy",
    "OpenTeacher",
    "PairBatches",
    "Parallel",
    "PassTargets",
    "Passes",
    "PieceMap",
    "PlaceWeights",
    "PlainChineseVocabulary",
    "PlainWordVocabulary",
    "PointerSeq2Seq",
    "PositionAttention",
    "Recipe",
    "RowAdagrad",
    "SampledSoftmax",
    "Sampler",
    "ScaledDotAttention",
    "ScheduledSampling",
    "Seq2Seq",
    "SkipGram",
    "SoftTargets",
    "SpacedWordVocabulary",
    "Speller",
    "TeacherWarning",
    "TrainingError",
    "UniformSampler",
    "UnigramSampler",
    "Vocabulary",
    "WindowBatch",
    "Windows",
    "WordStream",
    "WordVectors",
    "WordVocabulary",
    "alignment_accuracy",
    "beam_search",
    "bits_per_character",
    "catalogue",
    "chunked_cross_entropy",
    "clip_by_norm",
    "clip_by_value",
    "context_windows",
    "copy_mixture",
    "data_folder",
    "dialogue",
    "distill",
    "distillation_loss",
    "distinct",
    "ends_with",
    "evaluate",
    "exact_match",
    "fast_matmul",
    "fit",
    "follows",
    "forbid",
    "generate",
    "jensen_shannon_loss",
    "keep_probability",
    "lengths_to_mask",
    "likeness",
    "load_model",
    "load_novel",
    "load_parallel",
    "load_quantised",
    "load_writer",
    "log_expected_count",
    "log_normaliser",
    "logit_loss",
    "longest_copied",
    "masked_softmax",
    "mean_log_probabilities",
    "merged_rows",
    "min_p",
    "must_contain",
    "must_not_contain",
    "negative_sampling_loss",
    "next_piece",
    "no_repeats",
    "open_vocabulary_bits",
    "pad",
    "pair_loss",
    "parameter_count",
    "perplexity",
    "pick_device",
    "principal_components",
    "quantise",
    "read_pairs",
    "repetition",
    "repetition_penalty",
    "reverse_kl_loss",
    "rnn_backward",
    "rnn_forward",
    "rnn_step",
    "row_adagrad",
    "sampled_backward",
    "sampled_logits",
    "sampled_softmax_loss",
    "save_model",
    "save_quantised",
    "seeded",
    "self_bleu",
    "shift_targets",
    "show",
    "soft_target_loss",
    "spearman",
    "start_from_counts",
    "stream",
    "taught_pairs",
    "taught_text",
    "temperature",
    "token_loss",
    "top_k",
    "top_p",
    "train_embeddings",
    "train_writer",
    "transduce",
    "word_stream",
    "write",
    "write_passes",
]

_HOMES = {
    "adaptive_softmax": "AdaptiveReadout AdaptiveSoftmax",
    "alignment": "alignment_accuracy exact_match",
    "attention": "AdditiveAttention DotAttention "
    "GeneralAttention ScaledDotAttention masked_softmax",
    "batches": "IGNORE ContinuousBatches PairBatches lengths_to_mask pad shift_targets",
    "checkpoints": "CheckpointError load_model save_model",
    "chunked_softmax": "chunked_cross_entropy log_normaliser",
    "constraints": "dialogue ends_with follows must_contain must_not_contain",
    "convolution": "CausalConvolution",
    "device": "fast_matmul pick_device seeded",
    "distillation": "distillation_loss jensen_shannon_loss "
    "logit_loss reverse_kl_loss soft_target_loss",
    "distilling": "PassTargets SoftTargets TeacherWarning distill",
    "embedding_plans": "EmbeddingPlan Embeddings train_embeddings",
    "embedding_training": "NegativeSampling",
    "embeddings": "CBOW EqualWeights MeanQueryAttention PlaceWeights PositionAttention SkipGram",
    "ensemble": "Ensemble mean_log_probabilities",
    "generation": "generate show stream write",
    "language_model": "LanguageModel parameter_count",
    "large_vocabulary": "ChunkedSoftmax SampledSoftmax start_from_counts",
    "matching": "Match",
    "metrics": "bits_per_character distinct longest_copied perplexity repetition self_bleu",
    "negative_sampling": "negative_sampling_loss",
    "neighbours": "NeighbourAttention",
    "ngram": "NGram",
    "novels": "Novel NovelError catalogue load_novel",
    "open_vocabulary": "OpenTeacher Speller open_vocabulary_bits",
    "parallel": "Parallel load_parallel",
    "pass_writing": "write_passes",
    "paths": "data_folder",
    "piece_map": "PieceMap next_piece",
    "pointer": "ExtendedVocabulary PointerSeq2Seq copy_mixture",
    "quantisation": "quantise save_quantised load_quantised",
    "recurrent": "GRU LSTM RNN rnn_backward rnn_forward rnn_step",
    "rules": "forbid min_p no_repeats repetition_penalty temperature top_k top_p",
    "sampled_softmax": "sampled_backward sampled_logits sampled_softmax_loss",
    "samplers": "LogUniformSampler Negatives Sampler "
    "UniformSampler UnigramSampler log_expected_count",
    "search": "beam_search",
    "seq2seq": "Decoder Encoder Memory Seq2Seq",
    "sequence_distillation": "OnPolicy taught_pairs taught_text",
    "several_teachers": "JoinedPasses",
    "sparse_rows": "LazyAdam RowAdagrad merged_rows row_adagrad",
    "teacher_forcing": "ScheduledSampling pair_loss token_loss",
    "teacher_passes": "Passes",
    "training": "History Recipe TrainingError clip_by_norm clip_by_value evaluate fit",
    "transduction": "transduce",
    "vocabulary": "BytePairVocabulary CharacterVocabulary ChineseWordVocabulary "
    "PlainChineseVocabulary PlainWordVocabulary SpacedWordVocabulary Vocabulary "
    "WordVocabulary",
    "windows": "WindowBatch WordStream Windows context_windows keep_probability word_stream",
    "word_likeness": "Likeness likeness read_pairs spearman",
    "word_vectors": "WordVectors principal_components",
    "writers": "load_writer train_writer",
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
