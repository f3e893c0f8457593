"""Chapter 04: what known wrong versions of `distinct` return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from types import SimpleNamespace

from minidistill.course.exercises import ch04_pairs as two
from minidistill.course.exercises.ch04_pairs import Fault, Parts

_Text = Sequence[int]
_Texts = Sequence[_Text]
_Grams = list[list]  # of every text


def _grams(text: _Text, n: int) -> list:
    return [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]


def _all(grams: _Grams) -> list:
    return list(chain.from_iterable(grams))


def _different(grams: _Grams) -> int:
    return len(set(_all(grams)))


def _each(grams: _Grams) -> list[float]:
    return [len(set(found)) / len(found) for found in grams if found]


_STEPS: Parts = {
    "texts": lambda texts: texts,
    "grams": _grams,
    "seen": lambda gram: gram,
    "different": _different,
    "number": lambda g, texts, n: len(_all(g)),
    "share": lambda g, different, number: different / number,
    "result": lambda share: share,
}
"""The right steps: the n-grams of every text, what is compared of them, two numbers, a share."""


def _build(parts: Parts) -> Callable[[_Texts, int], float]:
    s = SimpleNamespace(**_STEPS | parts)

    def mistaken(texts: _Texts, n: int) -> float:
        used = s.texts(texts)
        grams = [[s.seen(gram) for gram in s.grams(text, n)] for text in used]
        different, number = s.different(grams), s.number(grams, used, n)
        return s.result(s.share(grams, different, number))

    return mistaken


def _side_by_side(text: _Text, n: int) -> list:
    return [tuple(text[i : i + n]) for i in range(0, len(text) - n + 1, n)]


def _with_tails(text: _Text, n: int) -> list:
    return [tuple(text[i : i + n]) for i in range(len(text))]


def _sliced(text: _Text, n: int, size: int) -> list:
    """As many pieces as there should be, but of another size."""
    return [tuple(text[i : i + size]) for i in range(len(text) - n + 1)]


def _up_to(text: _Text, n: int) -> list:
    return [gram for size in range(1, n + 1) for gram in _grams(text, size)]


def _once(grams: _Grams) -> int:
    return sum(count == 1 for count in Counter(_all(grams)).values())


def _changes(grams: _Grams) -> int:
    """Only the neighbour is compared."""
    return sum(1 for g in grams for i in range(len(g)) if i == 0 or g[i] != g[i - 1])


_MEAN = (
    "this is the mean of each text's own share: what two texts have in common counts once, so put "
    "the n-grams of all texts together"
)
_ORDER_LOST = (
    "the order inside an n-gram is lost: a tuple keeps it, a set or a sorted list does not"
)
_TOO_LONG = "the pieces are one token too long: text[i : i + n]"
_TOO_SHORT = "the pieces are one token too short: text[i : i + n]"
_NEGATIVE = "a text shorter than n counts as a negative number of n-grams: max(0, T - n + 1)"

_FAULTS: tuple[Fault, ...] = (
    (
        "n-grams run over the border between two texts: take them from each text alone",
        {"texts": lambda texts: [list(chain.from_iterable(texts))]},
    ),
    (
        "only the first text is counted: a `return` inside the loop ends it at once",
        {"texts": lambda texts: texts[:1]},
    ),
    (
        "only the last text is counted: begin the collection before the loop",
        {"texts": lambda texts: texts[-1:]},
    ),
    (
        "equal texts are counted as one: all texts are counted, also those that stand there twice",
        {"texts": lambda texts: list(dict.fromkeys(map(tuple, texts)))},
    ),
    (
        "the last n-gram of every text is missing: there are T - n + 1 (range(len(text) - n + 1))",
        {"grams": lambda text, n: _grams(text, n)[:-1]},
    ),
    (
        "the first n-gram of every text is missing: begin at 0",
        {"grams": lambda text, n: _grams(text, n)[1:]},
    ),
    (
        "shorter pieces at the end of a text are counted: an n-gram has n tokens",
        {"grams": _with_tails},
    ),
    (
        "a text shorter than n is counted as an n-gram: it has none",
        {"grams": lambda text, n: _grams(text, n) or [tuple(text)]},
    ),
    (
        "single tokens are counted: n-grams are n tokens in a row",
        {"grams": lambda text, n: _grams(text, 1)},
    ),
    (_TOO_LONG, {"grams": lambda text, n: _grams(text, n + 1)}),
    (_TOO_LONG, {"grams": lambda text, n: _sliced(text, n, n + 1)}),
    (_TOO_SHORT, {"grams": lambda text, n: _grams(text, n - 1)}),
    (_TOO_SHORT, {"grams": lambda text, n: _grams(text, max(n - 1, 1))}),
    (_TOO_SHORT, {"grams": lambda text, n: _sliced(text, n, n - 1)}),
    ("pairs are counted whatever n is", {"grams": lambda text, n: _grams(text, 2)}),
    ("all sizes from 1 to n are counted: only n", {"grams": _up_to}),
    (
        "only every n-th place is looked at: n-grams overlap, so begin at every place",
        {"grams": _side_by_side},
    ),
    (_ORDER_LOST, {"seen": lambda gram: tuple(sorted(gram))}),
    (_ORDER_LOST, {"seen": frozenset}),
    (
        "the ids of an n-gram are added up: different n-grams have the same sum, so keep tuples",
        {"seen": sum},
    ),
    (
        "the ids are written one after the other: 1, 12 and 11, 2 look alike then, so keep tuples",
        {"seen": lambda gram: "".join(map(str, gram))},
    ),
    (
        "the n-gram's first and last token alone are compared: all n count",
        {"seen": lambda gram: (gram[0], gram[-1])},
    ),
    (
        "every n-gram counts as different: things such as tensors are equal in a set only to "
        "themselves, so make tuples of numbers",
        {"seen": lambda gram: object()},
    ),
    (
        "this is how many different n-grams there are: divide by how many there are in all",
        {"number": lambda g, texts, n: 1},
    ),
    (
        "this is how many n-grams there are in all: the different ones are divided by it",
        {"share": lambda g, different, number: number},
    ),
    (
        "this is the share of n-grams that occur only once: an n-gram that occurs three times "
        "counts as one different n-gram",
        {"different": _once},
    ),
    (_MEAN, {"share": lambda g, different, number: sum(_each(g)) / len(_each(g))}),
    (_MEAN, {"share": lambda g, different, number: sum(_each(g)) / len(g)}),
    (
        "an n-gram that stands in two texts is counted twice as different: one set for all texts",
        {"different": lambda g: sum(len(set(found)) for found in g)},
    ),
    (
        "it is divided by the number of tokens: divide by the number of n-grams, of which a text "
        "of T tokens has T - n + 1",
        {"number": lambda g, texts, n: sum(map(len, texts))},
    ),
    (_NEGATIVE, {"number": lambda g, texts, n: sum(len(t) - n + 1 for t in texts)}),
    (
        "a text shorter than n counts as one n-gram in the number of all: max(0, T - n + 1)",
        {"number": lambda g, texts, n: sum(max(len(t) - n + 1, 1) for t in texts)},
    ),
    (
        "it is divided by T - n instead of T - n + 1 n-grams a text",
        {"number": lambda g, texts, n: sum(max(len(t) - n, 0) for t in texts)},
    ),
    (
        "it is divided by the number of texts: divide by the number of n-grams",
        {"number": lambda g, texts, n: len(texts)},
    ),
    (
        "only an n-gram equal to the one just before counts as a repetition: compare with all",
        {"different": _changes},
    ),
    (
        "this is the share of the vocabulary: divide by the number of n-grams",
        {"number": lambda g, texts, n: len(set(chain.from_iterable(texts)))},
    ),
    ("this is the share of repetitions, 1 - distinct", {"result": lambda share: 1 - share}),
    ("the fraction is upside down", {"result": lambda share: 1 / share}),
    ("this is a percentage: a share lies between 0 and 1", {"result": lambda share: 100 * share}),
    (
        "this is rounded to a whole number: divide with /, not with //",
        {"result": lambda share: int(share)},
    ),
    (
        "this is rounded: return the share as it is",
        {"result": lambda share: round(share, 2)},
    ),
)

MISTAKES = tuple(two.singles(_build, _FAULTS))
PAIRS = tuple(two.pairs(_build, _FAULTS))
"""Two mistakes at once."""
