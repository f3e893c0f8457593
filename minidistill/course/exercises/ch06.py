"""Chapter 06: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.alignment import alignment_accuracy
from minidistill.attention import AdditiveAttention, additive_score, dot_score, masked_softmax
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch06_additive as additive
from minidistill.course.exercises import ch06_alignment as alignment
from minidistill.course.exercises import ch06_class as whole
from minidistill.course.exercises import ch06_class_parameters as parameters
from minidistill.course.exercises import ch06_dot as dot
from minidistill.course.exercises import ch06_softmax as softmax

_READY_MADE = (
    "scaled_dot_product_attention",
    "scaled_dot_product_attention_math",
    "scaled_dot_product_flash_attention_for_cpu",
    "multi_head_attention",
    "native_multi_head_attention",
    "masked_softmax",
    "torch.masked",
    "torch.nn.modules.activation.MultiheadAttention",
)

EXERCISES = (
    Exercise(
        id="06.1",
        title="Weights without padding",
        name="masked_softmax",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="without it every attention looks at padding",
        reference=masked_softmax,
        hints=(
            "A token gets weight 0 from a softmax if its score is so low that exp of it is 0. So "
            "change the scores first, and take the softmax after that.",
            "scores.masked_fill(~mask, number) writes the number where the mask is False. Take "
            "the lowest number there is, torch.finfo(scores.dtype).min: minus infinity would give "
            "NaN in a row that is nothing but padding.",
            "In such a row all scores are now alike, and the softmax shares its 1 among the "
            "padding. One more masked_fill(~mask, 0.0) on the weights puts that right.",
        ),
        cases=(
            softmax.softmax_by_hand,
            softmax.softmax_unmasked,
            softmax.softmax_uneven,
            softmax.softmax_holes,
            softmax.softmax_extreme,
            softmax.softmax_nothing_real,
            softmax.softmax_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to mask the softmax yourself",
    ),
    Exercise(
        id="06.2",
        title="The additive score",
        name="additive_score",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="Bahdanau's answer to: how well does this key fit this query?",
        reference=additive_score,
        hints=(
            "Every query meets every key: T queries and S keys make T times S pairs, each a vector "
            "of A numbers. So there is a tensor (B, T, S, A) on the way.",
            "queries[:, :, None] is (B, T, 1, A), and keys[:, None] is (B, 1, S, A). When the two "
            "are added, the dimensions of size 1 are stretched to fit.",
            "torch.tanh of the sum, then a dot product of the last dimension with v: pairs @ v.",
        ),
        cases=(
            additive.additive_by_hand,
            additive.additive_square,
            additive.additive_uneven,
            additive.additive_small,
            additive.additive_large,
            additive.additive_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the score yourself",
    ),
    Exercise(
        id="06.3",
        title="The class",
        name="AdditiveAttention",
        points=4,
        minutes=30,
        difficulty=3,
        purpose="goes into the sequence-to-sequence model in place of the course's own",
        reference=AdditiveAttention,
        hints=(
            "On the base class Attention only three methods are left: __init__ makes W, U and v; "
            "prepare uses U, score uses W and v.",
            "W = nn.Linear(query_size, hidden_size, bias=False), and U likewise from key_size. v "
            "is nn.Parameter(torch.empty(hidden_size).uniform_(-bound, bound)) with the bound "
            "1 / math.sqrt(hidden_size). hidden_size=None means: as large as the query.",
            "prepare(keys) is self.U(keys). score(queries, keys) gets the prepared keys, so it is "
            "additive_score(self.W(queries), keys, self.v), and U does not occur in it.",
            "Without the base class: forward(queries, keys, values, mask=None) computes the "
            "scores, then masked_softmax(scores, mask[:, None]), then weights @ values, and "
            "returns context, weights. Fill keys and values at padding with 0 first.",
        ),
        cases=(
            parameters.names_and_shapes,
            parameters.first_weights,
            whole.prepared_keys,
            whole.prepared_anew,
            whole.square,
            whole.uneven,
            whole.ragged_sources,
            whole.nothing_real,
            whole.all_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to build the attention from the parts above",
        allowed=(
            "minidistill.attention.masked_softmax",
            "minidistill.attention.additive_score",
            "minidistill.attention._check_mask",
        ),
    ),
    Exercise(
        id="06.4",
        title="The dot product",
        name="dot_score",
        points=1,
        minutes=10,
        difficulty=1,
        purpose="the score of Luong and of every transformer, one product of matrices",
        reference=dot_score,
        hints=(
            "One product of matrices a row of the batch: (T, D) times (D, S) gives (T, S). The @ "
            "between tensors of three dimensions does that for all rows at once.",
            "The keys lie as (B, S, D): keys.transpose(1, 2) is (B, D, S). Write scale=1.0 in the "
            "first line.",
            "(queries * scale) @ keys.transpose(1, 2): it is cheaper to scale the queries than the "
            "scores, because there are fewer of them.",
        ),
        cases=(
            dot.dot_by_hand,
            dot.dot_square,
            dot.dot_uneven,
            dot.dot_plain,
            dot.dot_any_scale,
            dot.dot_gradients,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the score yourself",
    ),
    Exercise(
        id="06.5",
        title="Did it look at the right place?",
        name="alignment_accuracy",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="tells looking from knowing: a model may be right and look elsewhere",
        reference=alignment_accuracy,
        hints=(
            "weights.argmax(-1) is the place that each target token looked at most, (B, T): as "
            "many numbers as the alignment has.",
            "A target token counts only where alignment != IGNORE. Compare and count there; what "
            "is not known is neither right nor wrong.",
            "right = (weights.argmax(-1) == alignment) & known; return int(right.sum()) and "
            "int(known.sum()).",
        ),
        cases=(
            alignment.alignment_by_hand,
            alignment.alignment_ragged,
            alignment.alignment_first_place,
            alignment.alignment_flat,
            alignment.alignment_holes,
            alignment.alignment_none,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to count yourself",
    ),
)
