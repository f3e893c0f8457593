"""Chapter 06: cases for the parameters of the class `AdditiveAttention`."""

from __future__ import annotations

import torch
from torch import Tensor

from minidistill.course.answer import Answer
from minidistill.course.exercise import Wrong

Q, K, A = 5, 3, 7


def names_and_shapes(answer: Answer, rng: torch.Generator) -> None:
    """parameters W.weight (A, Q), U.weight (A, K) and v (A,), and no others."""
    for sizes, hidden in (((Q, K, A), A), ((Q, K), Q), ((K, Q), K), ((Q, Q, A), A)):
        shapes = {"W.weight": (hidden, sizes[0]), "U.weight": (hidden, sizes[1]), "v": (hidden,)}
        got = answer.create(*sizes).parameters()
        if not got:
            raise Wrong(
                "the attention has no parameters, so nothing would be trained: self.W and self.U "
                "are nn.Linear, self.v an nn.Parameter"
            )
        lacks = ", ".join(name for name in shapes if name not in got)
        extra = ", ".join(name for name in got if name not in shapes)
        if extra and all(name.endswith(".bias") for name in extra.split(", ")) and not lacks:
            raise Wrong(f"it has {extra} too: nn.Linear(..., bias=False), the formula has no bias")
        if lacks == "U.weight" and not extra and sizes[0] == sizes[1]:
            raise Wrong(
                "where query and key are of one size, W and U are one and the same matrix: each "
                "has its own nn.Linear"
            )
        if lacks or extra:
            texts = [f"it lacks {lacks}" if lacks else "", f"it has {extra} too" if extra else ""]
            raise Wrong(
                f"the parameters are W.weight, U.weight and v: {' and '.join(filter(None, texts))}"
            )
        if len({values.dtype for values in got.values()}) > 1:
            types = ", ".join(f"{name} {values.dtype}" for name, values in got.items())
            raise Wrong(f"the parameters are of different types and cannot be multiplied: {types}")
        found = {name: tuple(got[name].shape) for name in shapes}
        for name, shape in shapes.items():
            if found[name] != shape:
                why = _misshapen(found, shapes, len(sizes))
                raise Wrong(f"{name} has shape {found[name]}, expected {shape}{why}")


Shapes = dict[str, tuple[int, ...]]


def _misshapen(found: Shapes, shapes: Shapes, given: int) -> str:
    """Why a parameter's shape may be wrong."""
    (hidden, query), key = shapes["W.weight"], shapes["U.weight"][1]
    if given == 2:
        return ": without a hidden size, A is the query's size"
    if found["W.weight"] == (hidden, key) and found["U.weight"] == (hidden, query):
        return ": W and U have changed places, W is for the queries and U for the keys"
    if (found["W.weight"][0], found["U.weight"][0]) == (query, query):
        return ": hidden_size is A, and it is not used"
    if any(found[name] == shapes[name][::-1] for name in ("W.weight", "U.weight")):
        return ": nn.Linear takes the size that goes in first, and then the size that comes out"
    if found["U.weight"] == (hidden, query):
        return ": U multiplies the keys, so key_size goes in"
    if found["W.weight"] == (hidden, key):
        return ": W multiplies the queries, so query_size goes in"
    return ""


LIMIT = 6.0
"""How many times 1/sqrt(A) a value of v may reach: other ways of drawing it will do as well."""


def first_weights(answer: Answer, rng: torch.Generator) -> None:
    """the first weights are small, and not all the same."""
    for name, values in answer.create(64, 32, 128).parameters().items():
        _drawn_at_random(name, values, 1.0, 128)
    hidden = 256  # far from the query's size, so that its root is another
    v = answer.create(4, 32, hidden).parameters()["v"]
    _drawn_at_random("v", v, LIMIT * hidden**-0.5, hidden)


def _drawn_at_random(name: str, values: Tensor, most: float, hidden: int) -> None:
    if float(values.std()) < 1e-3:
        raise Wrong(
            f"all entries of {name} are alike at first: with a v of zeros no gradient reaches "
            "W and U, and equal entries learn the same. Draw them at random"
        )
    if not bool(values.isfinite().all()) or float(values.abs().max()) > most:
        raise Wrong(
            f"{name} reaches {float(values.abs().max()):.3g} at first, for A = {hidden}: large "
            "scores make a softmax that does not learn (and torch.empty holds what was left in "
            "memory). Draw it between -1/sqrt(A) and 1/sqrt(A)"
        )
    if bool((values >= 0).all()) or bool((values <= 0).all()):
        raise Wrong(
            f"all entries of {name} have the same sign at first: draw them between "
            "-1/sqrt(A) and 1/sqrt(A), on both sides of 0"
        )
    if bool((values.flatten().diff() > 0).all()):
        raise Wrong(f"{name} rises evenly from entry to entry at first: draw it at random")
