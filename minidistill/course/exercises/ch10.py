"""Chapter 10: the cards, hints and bans of its four exercises."""

from __future__ import annotations

from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch10_bits as bits
from minidistill.course.exercises import ch10_copy as copying
from minidistill.course.exercises import ch10_piece as piece
from minidistill.course.exercises import ch10_rows as rows
from minidistill.open_vocabulary import open_vocabulary_bits
from minidistill.piece_map import next_piece
from minidistill.pointer import copy_mixture
from minidistill.quantisation import quantise_rows

EXERCISES = (
    Exercise(
        id="10.1",
        title="From tokens to pieces",
        name="next_piece",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="what a teacher says of its tokens, said in the pieces of its student",
        reference=next_piece,
        hints=(
            "Which tokens can still come, once `begun` is written? Those that begin with it and go "
            "on. Each votes, with its probability, for one piece: the one that stands right "
            "after `begun`.",
            "With k = len(begun), a token is among them if len(pieces) > k and pieces[:k] == "
            "begun, and its vote goes to column pieces[k]. Collect the votes in "
            "p.new_zeros(len(p), piece_count).",
            "The tokens are the columns of p: q[:, pieces[k]] += p[:, v], or all at once with "
            "index_add(1, columns, p[:, tokens]). Then divide by q.sum(1, keepdim=True).",
            "Where that sum is 0, divide by 1: torch.where(total > 0, total, 1.0).",
        ),
        cases=(
            piece.by_hand,
            piece.square,
            piece.at_the_start,
            piece.inside,
            piece.two_digits,
            piece.unlikely,
            piece.impossible,
            piece.gradients,
            piece.calm,
            piece.precise,
        ),
    ),
    Exercise(
        id="10.2",
        title="What a whole text costs",
        name="open_vocabulary_bits",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="compares vocabularies of any size on the same text, unknown words and all",
        reference=open_vocabulary_bits,
        hints=(
            "Two sums: what every real token costs, -ln p, and what spelling costs where the "
            "target is unknown. An unknown word is in both.",
            "-logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0] is the cost of each "
            "token. -100 is no id: keep the real ones first, logits[mask] and targets[mask].",
            "spelling_nats[mask][targets[mask] == unknown_id].sum() is the second sum. An index "
            "leaves out what stands elsewhere; 0 times NaN would not.",
            "Both sums are in nats. A bit is ln 2 nats: divide by math.log(2) * characters.",
        ),
        cases=(
            bits.by_hand,
            bits.unmasked,
            bits.other_unknown,
            bits.masked,
            bits.known_only,
            bits.alike,
            bits.spelling_anywhere,
            bits.at_padding,
            bits.extreme,
            bits.gradients,
            bits.calm,
            bits.precise,
        ),
        bans=("torch.distributions",),
        why_banned="the exercise is to add up the cost yourself",
    ),
    Exercise(
        id="10.3",
        title="Written or copied",
        name="copy_mixture",
        points=3,
        minutes=25,
        difficulty=3,
        purpose="lets a model write a word that no vocabulary holds, because the source has it",
        reference=copy_mixture,
        hints=(
            "Two rows of probabilities over the same extended_size words: one is softmax(logits) "
            "with zeros after it, one is made of the weights. Each gets its share, then one "
            "logarithm.",
            "The second starts as zeros (B, T, extended_size), and scatter_add(2, places, weights) "
            "puts every weight into the column of its word; places is source[:, None] expanded to "
            "(B, T, S).",
            "First set the weights at padding to 0 and the ids there to any that is valid "
            "(masked_fill), and the gate to 1 where mask.any(1) is False.",
            "p = gate[..., None] * written + (1 - gate[..., None]) * copied, then "
            "p.clamp(min=torch.finfo(p.dtype).tiny).log().",
        ),
        cases=(
            copying.by_hand,
            copying.unmasked,
            copying.square,
            copying.repeated,
            copying.masked,
            copying.at_padding,
            copying.nothing_real,
            copying.impossible,
            copying.rare,
            copying.gradients,
            copying.precise,
        ),
        bans=("torch.distributions",),
        why_banned="the exercise is to write the mixture yourself",
    ),
    Exercise(
        id="10.4",
        title="A row in whole numbers",
        name="quantise_rows",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="stores the student in a quarter of its bytes",
        reference=quantise_rows,
        hints=(
            "The largest number of a row, without its sign, becomes 127. What do the others "
            "become?",
            "scale = weight.abs().amax(1) / 127, one number a row. The rows are divided by "
            "scale[:, None], rounded, and only then made int8.",
            "torch.round, then .to(torch.int8): by itself .to cuts the fraction off. A row of "
            "zeros is divided by 1: torch.where(scale > 0, scale, 1.0).",
        ),
        cases=(
            rows.by_hand,
            rows.square,
            rows.uneven,
            rows.signs,
            rows.narrow,
            rows.zeros,
            rows.small_and_large,
            rows.close,
        ),
        bans=("quantize_per_channel", "quantize_per_tensor", "torch.ao"),
        why_banned="the exercise is to write the rounding yourself",
    ),
)
