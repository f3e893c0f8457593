"""Chapter 05: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.alignment import exact_match
from minidistill.batches import lengths_to_mask, shift_targets
from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch05_loss as loss
from minidistill.course.exercises import ch05_mask as mask
from minidistill.course.exercises import ch05_match as match
from minidistill.course.exercises import ch05_shift as shift
from minidistill.course.exercises import ch05_summary as summary
from minidistill.encoder import summarise
from minidistill.teacher_forcing import token_loss

EXERCISES = (
    Exercise(
        id="05.1",
        title="From lengths to a mask",
        name="lengths_to_mask",
        points=1,
        minutes=8,
        difficulty=1,
        purpose="everything after it asks this mask what is text and what is filling",
        reference=lengths_to_mask,
        hints=(
            "The places of a row are 0, 1, 2, ... A place is real if it is below the row's length.",
            "torch.arange(T) holds the places, (T,). lengths[:, None] has shape (B, 1). A "
            "comparison of the two goes through all pairs and gives (B, T).",
            "T is max_length; where that is None, int(lengths.max()). Then one line: "
            "torch.arange(T, device=lengths.device) < lengths[:, None].",
        ),
        cases=(
            mask.by_hand,
            mask.without_a_limit,
            mask.ragged,
            mask.wider,
            mask.empty,
            mask.alike,
        ),
        why_banned="the exercise is to write the mask yourself",
    ),
    Exercise(
        id="05.2",
        title="One place apart",
        name="shift_targets",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="lets a decoder learn from every token without seeing it first",
        reference=shift_targets,
        hints=(
            "Write the two rows for one target with a pencil: what is read begins with bos, what "
            "should be written ends with eos, and both have n + 1 places.",
            "pad takes lists of different lengths, a filling, and gives the tensor and its mask. "
            "Call it twice: the two tensors have different fillings.",
            "[[bos_id, *row] for row in targets] are the rows that are read. Fill them up with "
            "padding_id, and the rows that should be written with IGNORE.",
        ),
        cases=(
            shift.by_hand,
            shift.ragged,
            shift.other_ids,
            shift.same_ids,
            shift.special_inside,
            shift.empty,
            shift.alike,
        ),
        why_banned="the exercise is to shift the targets yourself (pad may be used)",
        allowed=(
            "minidistill.batches.pad",
            "minidistill.batches.lengths_to_mask",
            "minidistill.batches._as_ids",
        ),
    ),
    Exercise(
        id="05.3",
        title="The summary of a source",
        name="summarise",
        points=3,
        minutes=20,
        difficulty=3,
        purpose="all that a decoder without attention ever learns of its source",
        reference=summarise,
        hints=(
            "Where does the last real token of each row stand, and where the first? These are two "
            "vectors of B places each.",
            "The places 0 .. S - 1 multiplied by the mask are 0 at padding; the largest of a row "
            "is its last real place. The first: mask.long().argmax(1).",
            "states[torch.arange(B), places] picks one state in each row, (B, C). For two "
            "directions split first: forwards, backwards = states.chunk(2, dim=-1).",
            "At the end, rows without a real token: "
            "summary.masked_fill(~mask.any(1)[:, None], 0.0).",
        ),
        cases=(
            summary.by_hand,
            summary.forwards_only,
            summary.both_ways,
            summary.anywhere,
            summary.empty,
            summary.alike,
            summary.gradients,
        ),
        why_banned="the exercise is to find the states yourself",
    ),
    Exercise(
        id="05.4",
        title="The loss over real tokens",
        name="token_loss",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="padding must not be learnt, and no token may weigh more than another",
        reference=token_loss,
        hints=(
            "First the cost of every place, then only the real ones: where targets != IGNORE.",
            "log_p = logits.log_softmax(-1); log_p.gather(-1, ids[..., None])[..., 0] picks each "
            "target's entry. -100 is no id, so gather with targets.clamp(min=0).",
            "Set the cost at padding to 0 with masked_fill (not with a product: -inf times 0 is "
            "NaN), add up everything, and divide once, by max(1, count).",
        ),
        cases=(
            loss.by_hand,
            loss.uneven,
            loss.ragged,
            loss.anywhere,
            loss.any_id,
            loss.nothing,
            loss.extreme,
            loss.gradients,
            loss.at_padding,
            loss.precise,
        ),
        bans=(
            "cross_entropy",
            "cross_entropy_loss",
            "nll_loss",
            "torch.nn.modules.loss",
        ),
        why_banned="the exercise is to write the loss from log_softmax on",
    ),
    Exercise(
        id="05.5",
        title="Right from the first token to the last",
        name="exact_match",
        points=1,
        minutes=8,
        difficulty=1,
        purpose="the strictest measure, for tasks that have one right answer",
        reference=exact_match,
        hints=(
            "Two lists are equal if they have the same entries in the same order and the same "
            "length: one == other says all of that.",
            "A wanted target may be a tensor, and a list is never equal to a tensor: make lists "
            "of both first, with _ids.",
            "True counts as 1, so sum(...) of comparisons counts the right ones; divide by "
            "len(wanted).",
        ),
        cases=(
            match.by_hand,
            match.ends,
            match.order,
            match.every_id,
            match.tensors,
            match.many,
            match.long,
            match.all_or_none,
            match.empty_ones,
        ),
        why_banned="the exercise is to compare yourself",
    ),
)
