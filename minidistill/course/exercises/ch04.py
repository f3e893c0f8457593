"""Chapter 04: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch04_beam as beam
from minidistill.course.exercises import ch04_distinct as measure
from minidistill.course.exercises import ch04_repeats as repeats
from minidistill.course.exercises import ch04_top_k as top_k
from minidistill.course.exercises import ch04_top_p as top_p
from minidistill.metrics import distinct
from minidistill.rules import block_repeats, keep_top_k, keep_top_p
from minidistill.search import beam_step

_READY_MADE = ("transformers.generation", "nltk.util", "nltk.lm")

EXERCISES = (
    Exercise(
        id="04.1",
        title="The k likeliest",
        name="keep_top_k",
        points=2,
        minutes=10,
        difficulty=2,
        purpose="cuts off the tail in which a writer's nonsense lies",
        reference=keep_top_k,
        hints=(
            "Find the k-th largest logit of each row. Everything below it goes.",
            "logits.topk(k).values has shape (..., k), the largest first; its last column, "
            "[..., -1:], is the k-th and still has a dimension to compare a whole row with.",
            "logits.masked_fill(logits < least, -torch.inf) gives a new tensor. k may be larger "
            "than V: topk(min(k, V)).",
        ),
        cases=(
            top_k.by_hand,
            top_k.rows,
            top_k.one_and_all,
            top_k.ties,
            top_k.already_removed,
            top_k.more_than_there_are,
            top_k.single_precision,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the rule yourself",
    ),
    Exercise(
        id="04.2",
        title="The nucleus",
        name="keep_top_p",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="keeps few tokens where the model is sure and many where it is not",
        reference=keep_top_p,
        hints=(
            "Sort the logits of each row, the likeliest first; take the softmax; add up along the "
            "row with cumsum.",
            "A token is removed if p was reached *before* it: shift the comparison one to the "
            "right, or compare cumsum - probability with p. The first token is never removed.",
            "ranked, order = logits.sort(dim=-1, descending=True, stable=True). The mask is now "
            "in sorted order; mask.scatter(-1, order, mask) brings each entry back to its token.",
            "At the end, logits.masked_fill(mask, -torch.inf): the logits that stay are untouched.",
        ),
        cases=(
            top_p.by_hand,
            top_p.one_is_enough,
            top_p.flat_and_peaked,
            top_p.exactly_reached,
            top_p.all_of_them,
            top_p.single_precision,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the rule yourself",
    ),
    Exercise(
        id="04.3",
        title="Nothing twice",
        name="block_repeats",
        points=3,
        minutes=30,
        difficulty=3,
        purpose="ends the loops of greedy and of beam search",
        reference=block_repeats,
        hints=(
            "Take one row. Its last n - 1 tokens are the beginning of the next n-gram. Wherever "
            "these n - 1 tokens stood before, look at the token that followed: it must not come.",
            "A loop over the rows and a loop over the places 0 to t - n is fine. The end of the "
            "row is tokens[b, t - n + 1:], which is right for n = 1 too (tokens[b, -0:] is not).",
            "Write into logits.clone(), never into logits. At the end, a row that is -inf "
            "everywhere gets its old logits back.",
            "Without loops: tokens.unfold(1, n, 1) is all n-grams, (B, t - n + 1, n); compare "
            "their first n - 1 entries with the end of the row, and block the last entry of those "
            "that agree.",
        ),
        cases=(
            repeats.by_hand,
            repeats.several_places,
            repeats.rows,
            repeats.lengths,
            repeats.short_texts,
            repeats.edges,
            repeats.nothing_left,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the rule yourself",
    ),
    Exercise(
        id="04.4",
        title="One step of a beam",
        name="beam_step",
        points=4,
        minutes=30,
        difficulty=4,
        purpose="searches for the likeliest text; chapter 06 translates with it",
        reference=beam_step,
        hints=(
            "Every beam can go on with every token: that makes K * V candidates a row. A "
            "candidate's score is its beam's score plus the log-probability of the token.",
            "scores[:, :, None] + log_probs has shape (B, K, V). flatten(1) lays the candidates of "
            "a row side by side, and topk(K) finds the best of them and their places.",
            "In a row laid out like that, place = parent * V + token: so the parent is place // V "
            "and the token is place % V.",
            "First, where a beam has ended, replace its log-probabilities: 0 for stop_id and "
            "-torch.inf for all others. torch.where(ended[:, :, None], only_stop, log_probs).",
        ),
        cases=(
            beam.by_hand,
            beam.late_winner,
            beam.rows,
            beam.one_beam,
            beam.at_the_start,
            beam.ended_beams,
            beam.nothing_or_all_ended,
            beam.long_text,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to write the step yourself",
    ),
    Exercise(
        id="04.5",
        title="How much is new",
        name="distinct",
        points=1,
        minutes=10,
        difficulty=2,
        purpose="one of the five numbers by which writing is compared with an author's",
        reference=distinct,
        hints=(
            "Collect all n-grams of all texts, then compare how many there are with how many "
            "different ones there are. A set keeps each thing once.",
            "A text of T tokens has T - n + 1 n-grams: tuple(text[i : i + n]) for i in "
            "range(len(text) - n + 1). A shorter text has none, and range gives none.",
            "Take the n-grams from each text by itself, but put them into one collection: what "
            "two texts have in common is not new twice.",
        ),
        cases=(
            measure.by_hand,
            measure.shared,
            measure.sizes,
            measure.large_ids,
            measure.short,
            measure.all_different,
        ),
        bans=_READY_MADE,
        why_banned="the exercise is to count yourself",
        allowed=("minidistill.metrics.n_grams", "minidistill.metrics.as_list"),
    ),
)
