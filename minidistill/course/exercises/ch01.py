"""Chapter 01: the cards, hints and bans of its five exercises."""

from __future__ import annotations

from minidistill.course.exercise import Exercise
from minidistill.course.exercises import ch01_answers as answers
from minidistill.course.exercises import ch01_batches as batches
from minidistill.course.exercises import ch01_encode as encoding
from minidistill.course.exercises import ch01_merge as merging
from minidistill.course.exercises import ch01_padding as padding
from minidistill.course.exercises import ch01_vocabulary as words

EXERCISES = (
    Exercise(
        id="01.1",
        title="A vocabulary from counts",
        name="build_vocabulary",
        points=2,
        minutes=10,
        difficulty=1,
        purpose="decides which words a model can ever read or write",
        reference=answers.build_vocabulary,
        hints=(
            "Count first, then sort by count. collections.Counter does the counting.",
            "Counter(tokens).most_common(n) sorts by falling counts and keeps the order of first "
            "appearance for ties, just as wanted.",
            "['<unk>'] takes one of the `size` places: [\"<unk>\"] followed by the size - 1 most "
            "common tokens, without their counts.",
        ),
        cases=(
            words.vocabulary_by_hand,
            words.vocabulary_ties,
            words.vocabulary_as_it_is,
            words.vocabulary_long_tail,
            words.vocabulary_all,
        ),
    ),
    Exercise(
        id="01.2",
        title="Words to numbers",
        name="encode",
        points=1,
        minutes=5,
        difficulty=1,
        purpose="a model reads ids; a word it does not know must not stop it",
        reference=answers.encode,
        hints=(
            "Make a dictionary from token to place first, then look every token up.",
            "{token: i for i, token in enumerate(vocabulary)} is the dictionary. Its method "
            ".get(token, ...) has a value for tokens that are not there.",
        ),
        cases=(
            encoding.encode_by_hand,
            encoding.encode_whole_tokens,
            encoding.encode_many,
            encoding.encode_edges,
        ),
    ),
    Exercise(
        id="01.3",
        title="One merge of byte-pair encoding",
        name="merge_pair",
        points=3,
        minutes=15,
        difficulty=2,
        purpose="repeated a few thousand times it gives the vocabulary of every modern model",
        reference=answers.merge_pair,
        hints=(
            "Walk through the list with an index i. At each place, either the pair stands here, "
            "or it does not.",
            "Where it stands, append the two strings joined and move i by 2. Else append one "
            "token and move by 1. A `while` loop lets i move by different amounts.",
            "Beware of the end: tokens[i + 1] does not exist for the last i, but the slice "
            "tokens[i : i + 2] is simply shorter there and equals no pair.",
        ),
        cases=(
            merging.merge_by_hand,
            merging.merge_order,
            merging.merge_overlap,
            merging.merge_borders,
            merging.merge_random,
        ),
    ),
    Exercise(
        id="01.4",
        title="A long text as a batch of rows",
        name="continuous_batches",
        points=3,
        minutes=20,
        difficulty=3,
        purpose="lets a recurrent model carry its memory from one batch to the next",
        reference=answers.continuous_batches,
        hints=(
            "Think of the text as one long strip. Cut it into batch_size strips of equal length "
            "and lay them under each other; then cut this sheet into columns.",
            "A row has width = (len(ids) - 1) // batch_size tokens; the 1 is there because the "
            "last token has no successor. What is left over at the end is dropped.",
            "inputs = ids[: B * width].view(B, width), and targets are the same cut of the text "
            "that starts one token later. A batch is a slice [:, s : s + length] of both.",
        ),
        cases=(
            batches.batches_by_hand,
            batches.batches_uneven,
            batches.batches_exact,
            batches.batches_one_row,
        ),
    ),
    Exercise(
        id="01.5",
        title="Padding and its mask",
        name="pad_batch",
        points=2,
        minutes=15,
        difficulty=2,
        purpose="sentences differ in length; the mask keeps the filling from being read as text",
        reference=answers.pad_batch,
        hints=(
            "Find the longest row, fill the others up at the end with padding_id.",
            "The mask must come from the lengths, not from the ids: a real token may happen to "
            "have the padding's id.",
            "torch.arange(longest) < lengths[:, None] compares every column number with every "
            "row's length at once.",
        ),
        cases=(padding.pad_by_hand, padding.pad_same_id, padding.pad_random, padding.pad_edges),
        bans=("torch.nn.utils.rnn", "torch.nested", "pad_sequence"),
        why_banned="the exercise is to build the padding and the mask yourself",
    ),
)
