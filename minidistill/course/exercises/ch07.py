"""Chapter 07: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch07_analogy as analogies
from minidistill.course.exercises import ch07_formula as formula
from minidistill.course.exercises import ch07_loss as loss
from minidistill.course.exercises import ch07_places as places
from minidistill.course.exercises import ch07_windows as windows
from minidistill.course.exercises.ch07_answers import analogy, mean_query_attention
from minidistill.embeddings import PositionAttention
from minidistill.negative_sampling import negative_sampling_loss
from minidistill.windows import context_windows

_READY_MADE = (
    "scaled_dot_product_attention",
    "scaled_dot_product_attention_math",
    "scaled_dot_product_flash_attention_for_cpu",
    "multi_head_attention",
    "native_multi_head_attention",
    "torch.nn.modules.activation.MultiheadAttention",
)
_MASKED_SOFTMAX = ("minidistill.attention.masked_softmax", "minidistill.attention._check_mask")

EXERCISES = (
    Exercise(
        id="07.1",
        title="Windows",
        name="context_windows",
        points=2,
        minutes=20,
        difficulty=2,
        purpose="what every word embedding is trained on: the words around each word",
        reference=context_windows,
        hints=(
            "Think of places first and of ids later. The word at place i has its neighbours at "
            "i - window to i + window, without i itself; which of these places are in the text?",
            "A column of places and a row of offsets add up to a table: "
            "torch.arange(len(words))[:, None] + offsets is (N, 2 window). Where it is at least 0 "
            "and below N, the mask is True.",
            "The places outside have to be looked up somewhere, too: places.clamp(0, N - 1) moves "
            "them to the ends, and words[that] gives the ids. The mask is made before.",
        ),
        cases=(
            windows.by_hand,
            windows.ordinary,
            windows.narrow,
            windows.square,
            windows.repeated,
            windows.zero_is_a_word,
            windows.short,
            windows.single,
            windows.long,
        ),
    ),
    Exercise(
        id="07.2",
        title="Real or drawn",
        name="negative_sampling_loss",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="trains word embeddings with a few dot products instead of a softmax over all V",
        reference=negative_sampling_loss,
        hints=(
            "Two kinds of scores: each x with its own target, (N,), and each x with every word "
            "drawn, (N, S). Which operation gives the first, and which the second?",
            "(x * weight[targets]).sum(1) and x @ weight[drawn].T. The first should become high, "
            "the second low, and 1 - s(b) is s(-b).",
            "ln s(a) taken in two steps is ln 0 where a is -200. F.logsigmoid(a) does both in one "
            "step. The sum over the S words drawn is multiplied by negatives / S, then added; last "
            "come the mean over N and the minus.",
        ),
        cases=(
            loss.by_hand,
            loss.no_hits,
            loss.with_hits,
            loss.square,
            loss.other_negatives,
            loss.narrow,
            loss.drawn_alone,
            loss.large_scores,
            loss.gradients,
            loss.precise,
        ),
    ),
    Exercise(
        id="07.3",
        title="The formula",
        name="mean_query_attention",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="the weighted context as the formula has it, to be measured and then to be mended",
        reference=mean_query_attention,
        hints=(
            "Three steps: the mean V of the real keys, (B, A); a score for each word, (B, C), and "
            "their softmax over the real words; the weighted sum of the vectors, (B, H). The mask "
            "has a part in the first two.",
            "keys * mask[:, :, None] is 0 at padding, and mask.sum(1, keepdim=True) says how many "
            "words are real. That may be 0: clamp(min=1) divides 0 by 1.",
            "The scores are (keys * V[:, None]).sum(-1). masked_softmax of chapter 06 makes "
            "weights of them, 0 in a row without a real word. x is (weights[:, :, None] * "
            "vectors).sum(1).",
        ),
        cases=(
            formula.by_hand,
            formula.all_real,
            formula.ordinary,
            formula.same_size,
            formula.square,
            formula.narrow,
            formula.nothing_real,
            formula.large_scores,
            formula.at_padding,
            formula.gradients,
            formula.precise,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the formula yourself",
        allowed=_MASKED_SOFTMAX,
    ),
    Exercise(
        id="07.4",
        title="A query for each place",
        name="PositionAttention",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="a word's weight from what it is and where it stands, which can be learned",
        reference=PositionAttention,
        hints=(
            "In __init__ two nn.Parameter of zeros are made, after super().__init__(). In forward "
            "the word at place p meets row p of the query, and no other row.",
            "The keys are (B, 2 window, A), the query is (2 window, A): multiplied entry by entry "
            "they stand right, each place beside its own query. A dot product adds up the last "
            "dimension.",
            "The score is (keys * self.query).sum(-1) + self.bias, (B, 2 window); masked_softmax "
            "of chapter 06 does the rest.",
        ),
        cases=(
            places.names_and_shapes,
            places.at_the_start,
            places.ordinary,
            places.all_real,
            places.square,
            places.bias_alone,
            places.narrow,
            places.nothing_real,
            places.large_scores,
            places.at_padding,
            places.gradients,
            places.precise,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the attention yourself",
        allowed=_MASKED_SOFTMAX,
    ),
    Exercise(
        id="07.5",
        title="Analogies",
        name="analogy",
        points=2,
        minutes=20,
        difficulty=2,
        purpose="a is to b as c is to what: what word vectors became famous for",
        reference=analogy,
        hints=(
            "What has length 1 has its direction left and nothing else, and the dot product of two "
            "such vectors is their cosine. Bring all rows to length 1 once, and use these rows for "
            "the three and for the candidates.",
            "F.normalize(vectors, dim=1) does it, and leaves a row of zeros alone. With d for the "
            "result, d @ (d[b] - d[a] + d[c]) orders the words as their cosines do: the length of "
            "the sum is the same for all.",
            "Give the three words -math.inf before you look for the largest: then topk(count) "
            "never finds them, and finds `count` others. .indices.tolist() is the list of ids.",
        ),
        cases=(
            analogies.by_hand,
            analogies.ordinary,
            analogies.only_one,
            analogies.every_word,
            analogies.near_the_question,
            analogies.of_length_one,
            analogies.same_words,
            analogies.zero_rows,
            analogies.single_precision,
        ),
    ),
)
