"""Constraints: what a text must be, whatever the model would rather write.

Two steps. A *form* says what the finished text must be: it is an automaton over tokens
(`minidistill.automaton`), and `a & b` is the form that asks for both. `follows` makes a rule of a
form: it counts the tokens that are left and lets through only those after which the form can
still be kept in time. So a word that must come may come anywhere, and comes at the latest when
there is room for nothing else.

    form = must_contain("tea", vocabulary) & ends_with(["night", "light"], vocabulary)
    rule = follows(form, start=prompt.size(1), length=60)
    generate(model, prompt, 60, rules=[rule, top_k(5)], generator=generator)

Put `follows` before rules that cut tokens off, so that these choose among what the form allows.
Join forms with `&` rather than follow each by a rule of its own: two rules that look ahead each
for itself can drive a text into a corner, which ends in an error, while `&` looks ahead for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from minidistill.automaton import BYTES, OTHER, Automaton, over_tokens, seek, spell
from minidistill.rules import Rule
from minidistill.vocabulary import Vocabulary, WordVocabulary

Piece = str | Sequence[int] | int
"""A text, a sequence of ids, or one id."""


class ConstraintError(ValueError):
    """A form that cannot be kept; nothing is written rather than something that breaks it."""


def follows(form: Automaton, *, start: int, length: int, stop_id: int | None = None) -> Rule:
    """The rule that makes the tokens start .. start + length - 1 of every row keep a form.

    keep token w where F_n[step[s, w]]: s the state after what is written of these tokens,
    n how many are left after w, and F_n the states that n more tokens can still bring to a
    good end (`Automaton.can_finish`).

    Args:
        form: what must hold; several at once are joined with `&`.
        start: how many tokens stand before the text that the form speaks of. The prompt's
            length leaves the prompt out; 0 counts it in, so that a quote open there must close.
        length: how many tokens the form speaks of, in the second case with the prompt's. Before
            and after these tokens nothing is asked, so a word that must come within 20
            tokens has length=20, and every line of a verse can have a form of its own.
        stop_id: the token that ends a text early, as given to `generate` or `beam_search`: it
            is let through where the form is kept by what is written.

    Returns:
        A rule that keeps the shape, moves nothing between devices but its tables, once, and
        leaves a token in every row that has kept the form so far. A row gets -inf everywhere
        only where the prompt counts in and has broken the form, or another rule let a text
        into a corner; `generate` and `beam_search` then raise ValueError.

    Raises:
        ConstraintError: no text of this length keeps the form.
        ValueError: a start, length or stop_id out of range; while writing, a form made for
            another number of tokens than the model's.

    Source: Hokamp and Liu, Lexically constrained decoding, 2017, for the task; the countdown
    makes it exact.
    Taught in solutions/04_writing.ipynb.
    """
    if start < 0 or length < 1:
        raise ValueError(f"start is at least 0 and length at least 1, got {start} and {length}")
    if stop_id is not None:
        form = _with_stop(form, stop_id)
    can_finish = form.can_finish(length)  # (length + 1, S)
    if not bool(can_finish[length, form.start]):
        raise ConstraintError(_why_not(form, length))
    tables = {can_finish.device: (form, can_finish)}

    def rule(logits: Tensor, tokens: Tensor) -> Tensor:
        written = tokens.size(1) - start
        if not 0 <= written < length:
            return logits
        if logits.size(1) != form.vocab_size:
            raise ValueError(
                f"the form was made for {form.vocab_size} tokens but the model writes "
                f"{logits.size(1)}: make it with the model's vocabulary"
            )
        if logits.device not in tables:  # moved once, not for every token
            tables[logits.device] = form.to(logits.device), can_finish.to(logits.device)
        machine, good = tables[logits.device]
        state = machine.read(tokens[:, start:])  # (B,)
        good_after = good[length - written - 1]  # (S,), for the tokens left after the next
        return logits.masked_fill(~good_after[machine.step[state]], -torch.inf)  # (B, V)

    rule.__name__ = rule.__qualname__ = f"follows(start={start}, length={length})"
    return rule


def _with_stop(form: Automaton, stop_id: int) -> Automaton:
    """The form over texts that may stop early: the stop token is good where the text may end."""
    states, size = form.step.shape
    if not 0 <= stop_id < size:
        raise ValueError(f"stop_id is {stop_id} but the form knows the ids 0 to {size - 1}")
    stopped, broken = states, states + 1
    step = torch.cat([form.step, torch.tensor([[stopped], [broken]]).expand(2, size)])
    step[:states, stop_id] = torch.where(form.accepting, stopped, broken)
    accepting = torch.cat([form.accepting, torch.tensor([True, False])])
    return Automaton(step, accepting, form.start)


def _why_not(form: Automaton, length: int) -> str:
    """A sentence on why no text of this length keeps the form."""
    reachable = form.can_finish(len(form.accepting))[:, form.start].nonzero().flatten().tolist()
    if not reachable:
        return (
            "no text keeps this form: what it asks for contradicts itself, or needs tokens that "
            "the vocabulary does not have"
        )
    return (
        f"no text of {length} tokens keeps this form, the shortest that does has "
        f"{reachable[0]}: give it another length, or ask for less"
    )


# ---- forms --------------------------------------------------------------------------------


def must_not_contain(pieces: Iterable[Piece], vocabulary: Vocabulary | int) -> Automaton:
    """The form of texts in which none of the pieces stands.

    A piece is a text, found however the tokens cut it up, or a sequence of ids, or one id.

    Args:
        vocabulary: where pieces are ids, its size will do.

    Raises:
        ValueError: no piece, an empty one, texts and ids together, ids outside the vocabulary,
            a text where the tokens are words (their spaces are set by rule: give ids).

    Taught in solutions/04_writing.ipynb.
    """
    return _from_pieces(pieces, vocabulary, _never)


def must_contain(piece: Piece, vocabulary: Vocabulary | int) -> Automaton:
    """The form of texts in which a piece stands; for several, join forms with `&`.

    Raises:
        ValueError: as `must_not_contain`.

    Taught in solutions/04_writing.ipynb.
    """
    return _from_pieces([piece], vocabulary, _for_good)


def ends_with(pieces: Iterable[Piece], vocabulary: Vocabulary | int) -> Automaton:
    """The form of texts that end in one of the pieces: a rhyme, a full stop, a name.

    Raises:
        ValueError: as `must_not_contain`.

    Taught in solutions/04_writing.ipynb.
    """
    return _from_pieces(pieces, vocabulary, _as_found)


def dialogue(vocabulary: Vocabulary, quotes: str = "“”", narration: bool = False) -> Automaton:
    """The form of dialogue: every paragraph is speech in quotes that closes.

    paragraph --“--> opened --any--> speech --”--> closed --line break--> paragraph

    A text may end where a quote has just closed. So a prompt should end in a line break, or be
    counted in (`follows(..., start=0)`) where it is dialogue itself.

    Args:
        quotes: the opening and the closing mark.
        narration: after a quote the paragraph may go on ("said Dou") and speak again.

    Raises:
        ValueError: not two marks, or marks that the vocabulary cannot write.

    Taught in solutions/04_writing.ipynb.
    """
    if len(quotes) != 2:
        raise ValueError(f"quotes are two characters, the opening and the closing, got {quotes!r}")
    opening, closing = quotes
    moves = {
        "paragraph": {opening: "opened"},
        "opened": {OTHER: "speech"},
        "speech": {OTHER: "speech", closing: "closed"},
        "closed": {"\n": "paragraph"},
    }
    may_end = {"closed"}
    if narration:
        moves["closed"][OTHER] = "narration"
        moves["narration"] = {OTHER: "narration", opening: "opened", "\n": "paragraph"}
        may_end.add("narration")
    form = spell(moves, may_end, vocabulary)
    if not bool(form.can_finish(len(form.accepting))[:, form.start].any()):
        raise ValueError(f"this vocabulary cannot write speech in {quotes}: name its own quotes")
    return form


def _from_pieces(
    pieces: Iterable[Piece], vocabulary: Vocabulary | int, form: Callable[[Automaton], Automaton]
) -> Automaton:
    """Look for the pieces, over bytes where they are texts, and make a form of what is found."""
    if isinstance(pieces, str):
        raise ValueError(f"give a list of pieces: [{pieces!r}]")
    pieces = [[piece] if isinstance(piece, int) else piece for piece in pieces]
    texts = [isinstance(piece, str) for piece in pieces]
    if not any(texts):
        size = vocabulary if isinstance(vocabulary, int) else len(vocabulary)
        return form(seek(pieces, size)).smallest()
    if not all(texts):
        raise ValueError("give texts or ids, not both; join two forms with & where you need both")
    if isinstance(vocabulary, int | WordVocabulary):
        raise ValueError(
            "texts are looked for in a vocabulary of characters or byte pairs; where tokens are "
            "words, or only their number is given, name the pieces by their ids"
        )
    found = seek([list(piece.encode()) for piece in pieces], BYTES)
    return over_tokens(form(found).smallest(), vocabulary)


def _as_found(found: Automaton) -> Automaton:
    return found


def _for_good(found: Automaton) -> Automaton:
    """What was found once stays found, whatever comes after it."""
    states = torch.arange(len(found.accepting))[:, None]
    step = torch.where(found.accepting[:, None], states, found.step)
    return Automaton(step, found.accepting, found.start)


def _never(found: Automaton) -> Automaton:
    """What was not found, not even once."""
    once = _for_good(found)
    return Automaton(once.step, ~once.accepting, once.start)
