"""Chapter 04: what known wrong versions of `block_repeats` return."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from minidistill.rules import block_repeats

_Finds = Callable[[list[int], int], Iterator[int]]


def _by_row(finds: _Finds) -> Callable[[Tensor, Tensor, int], Tensor]:
    """A wrong answer from a wrong list of what a row must not write next."""

    def mistaken(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
        blocked = logits.clone()
        for row, text in enumerate(tokens.tolist()):
            for token in finds(text, n):
                blocked[row, token] = -torch.inf
        return _restored(blocked, logits)

    return mistaken


def _restored(blocked: Tensor, logits: Tensor) -> Tensor:
    """A row that may write nothing stays as it was."""
    return torch.where((blocked == -torch.inf).all(-1, keepdim=True), logits, blocked)


def _context(text: list[int], size: int) -> list[int]:
    return text[len(text) - size :]


def _followers(text: list[int], size: int, ahead: int = 0) -> Iterator[int]:
    """What stood after earlier copies of the last `size` tokens, `ahead` places further on."""
    for start in range(len(text) - size - ahead):
        if text[start : start + size] == _context(text, size):
            yield text[start + size + ahead]


def _longer(text: list[int], n: int) -> Iterator[int]:
    yield from _followers(text, n)


def _shorter(text: list[int], n: int) -> Iterator[int]:
    yield from _followers(text, max(n - 2, 0))


def _last_only(text: list[int], n: int) -> Iterator[int]:
    yield from _followers(text, min(n - 1, 1))


def _latest(text: list[int], n: int) -> Iterator[int]:
    yield from list(_followers(text, n - 1))[-1:]


def _earliest(text: list[int], n: int) -> Iterator[int]:
    yield from list(_followers(text, n - 1))[:1]


def _all_used(text: list[int], n: int) -> Iterator[int]:
    yield from text


def _the_context(text: list[int], n: int) -> Iterator[int]:
    if list(_followers(text, n - 1)):
        yield from _context(text, n - 1)


def _first_of_gram(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if text[start : start + n - 1] == _context(text, n - 1):
            yield text[start]


def _in_any_order(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if sorted(text[start : start + n - 1]) == sorted(_context(text, n - 1)):
            yield text[start + n - 1]


def _side_by_side(text: list[int], n: int) -> Iterator[int]:
    for start in range(0, len(text) - n + 1, n):
        if text[start : start + n - 1] == _context(text, n - 1):
            yield text[start + n - 1]


def _not_the_last(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n):
        if text[start : start + n - 1] == _context(text, n - 1):
            yield text[start + n - 1]


def _not_the_first(text: list[int], n: int) -> Iterator[int]:
    for start in range(1, len(text) - n + 1):
        if text[start : start + n - 1] == _context(text, n - 1):
            yield text[start + n - 1]


def _whole_text(text: list[int], n: int) -> Iterator[int]:
    """text[-0:] is the whole text: n = 1 then blocks nothing."""
    if n > 1:
        yield from _followers(text, n - 1)


def _context_at_start(text: list[int], n: int) -> Iterator[int]:
    for start in range(len(text) - n + 1):
        if text[start : start + n - 1] == text[: n - 1]:
            yield text[start + n - 1]


def _once_is_allowed(text: list[int], n: int) -> Iterator[int]:
    found = list(_followers(text, n - 1))
    yield from (token for token in found if found.count(token) > 1)


def _one_too_far(text: list[int], n: int) -> Iterator[int]:
    yield from _followers(text, n - 1, ahead=1)


def _across_rows(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    """What one row must not write, none may."""
    gone = (block_repeats(logits, tokens, n) == -torch.inf) & (logits > -torch.inf)
    return _restored(logits.masked_fill(gone.any(0, keepdim=True), -torch.inf), logits)


def _joined(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    """Each row's end is sought in the texts of all rows."""
    blocked = logits.clone()
    for row, text in enumerate(tokens.tolist()):
        for other in tokens.tolist():
            for start in range(len(other) - n + 1):
                if other[start : start + n - 1] == _context(text, n - 1):
                    blocked[row, other[start + n - 1]] = -torch.inf
    return _restored(blocked, logits)


def _first_row(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    return torch.cat([block_repeats(logits[:1], tokens[:1], n), logits[1:]])


def _all_but(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    blocked = block_repeats(logits, tokens, n)
    return torch.where(blocked == -torch.inf, logits, -torch.inf)


def _all_or_none(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    blocked = _never_restored(logits, tokens, n)
    return logits if bool((blocked == -torch.inf).all(-1).any()) else blocked


def _never_restored(logits: Tensor, tokens: Tensor, n: int) -> Tensor:
    blocked = logits.clone()
    for row, text in enumerate(tokens.tolist()):
        for token in _followers(text, n - 1):
            blocked[row, token] = -torch.inf
    return blocked


MISTAKES = (
    (
        "nothing is blocked: a token goes that would complete n tokens already in the text",
        lambda x, t, n: x,
    ),
    (
        "for n = 1 nothing is blocked: text[-0:] is the whole text, not its empty end; count from "
        "the front, text[len(text) - (n - 1):]",
        _by_row(_whole_text),
    ),
    (
        "the last n tokens are compared: the n-gram is n - 1 tokens that are written and one that "
        "is about to be",
        _by_row(_longer),
    ),
    ("too few tokens are compared: the last n - 1 must agree", _by_row(_shorter)),
    ("only the last token is compared: the last n - 1 must agree", _by_row(_last_only)),
    (
        "only the latest place where these n - 1 tokens stood is used: block what followed at all "
        "of them",
        _by_row(_latest),
    ),
    (
        "only the first place where these n - 1 tokens stood is used: block what followed at all "
        "of them",
        _by_row(_earliest),
    ),
    (
        "every token of the text is blocked: only those that would complete an n-gram again",
        _by_row(_all_used),
    ),
    (
        "the n - 1 tokens themselves are blocked: block the one that followed them",
        _by_row(_the_context),
    ),
    (
        "the first token of the n-gram is blocked: block its last, the one that followed",
        _by_row(_first_of_gram),
    ),
    (
        "the n - 1 tokens are compared in any order: a sequence is repeated in its order",
        _by_row(_in_any_order),
    ),
    (
        "only every n-th place is looked at: n-grams overlap, so begin at every place",
        _by_row(_side_by_side),
    ),
    (
        "the last n-gram of the text is not looked at: the loop ends one too early",
        _by_row(_not_the_last),
    ),
    (
        "the first n-gram of the text is not looked at: the loop begins at 0",
        _by_row(_not_the_first),
    ),
    (
        "the first n - 1 tokens of the text are compared: it is the last n - 1 that go on now",
        _by_row(_context_at_start),
    ),
    (
        "an n-gram is blocked only after it stood twice: once is enough",
        _by_row(_once_is_allowed),
    ),
    (
        "the token after the next one is blocked: block what followed the n - 1 tokens at once",
        _by_row(_one_too_far),
    ),
    (
        "what one row must not write is blocked in all rows: rows are different texts",
        _across_rows,
    ),
    ("n-grams of other rows are blocked: rows are different texts", _joined),
    ("only the first row is looked at: every row has its own text", _first_row),
    ("the blocked tokens stay and all others go: it is the other way round", _all_but),
    (
        "a row that may write nothing is left with -inf everywhere, and its softmax is NaN: where "
        "all tokens would go, the row stays as it was",
        _never_restored,
    ),
    (
        "as soon as one row may write nothing, no row is blocked: decide row by row",
        _all_or_none,
    ),
    (
        "these are probabilities: a rule gives logits, so that the next rule can go on with them",
        lambda x, t, n: block_repeats(x, t, n).softmax(-1),
    ),
    (
        "these are log-probabilities: leave the logits that stay as they are",
        lambda x, t, n: block_repeats(x, t, n).log_softmax(-1),
    ),
    (
        "this is the mask: return the logits, with -torch.inf where it blocks",
        lambda x, t, n: block_repeats(x, t, n) == -torch.inf,
    ),
)
