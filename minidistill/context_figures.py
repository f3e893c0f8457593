"""Weighted contexts, drawn: bars over the words, coloured text, and what each place weighs.

All return the figure and show nothing, as everything in `minidistill.figures` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from torch import Tensor

from minidistill.attention_figures import TRUE, _labels
from minidistill.embedding_figures import MARKERS, _size
from minidistill.figures import COLOURS, _canvas, _families, label

try:
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
except ImportError as error:  # figures.py says the same, and is imported first
    raise ImportError('figures need matplotlib: pip install "matplotlib>=3.8"') from error

TYPE = 9.0  # points, of a context's words
WIDEST = 11.0  # inches; a longer context gets smaller words, not a wider picture


class Context(NamedTuple):
    """The words around a middle and what each weighs; a plain tuple will do in its place.

    words: left to right, the middle left out; "" is a place where no word stands.
    weights: one a place, which add up to 1.
    before: how many of the places are before the middle; None: half of them.
    """

    words: Sequence[str]
    weights: Sequence[float] | Tensor
    middle: str = "?"
    before: int | None = None


def draw_context(
    words: Sequence[str],
    weights: Sequence[float] | Tensor,
    middle: str = "?",
    before: int | None = None,
    largest: float | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw a context word by word, a bar as high as its weight over each, the middle marked.

    The dashed line is where all bars would end if all words weighed the same.

    Args:
        words, weights, middle, before: see `Context`.
        largest: where the axis of the weights ends; None: a little above the largest.

    Raises:
        ValueError: not one weight a word, weights that do not add up to 1, an odd number of
            places without `before`.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    names, values, before = checked(Context(words, weights, middle, before))
    new = axes is None
    with _canvas(axes) as axes:
        spans = _in_a_row(axes, names, before)
        if new:
            wide = 0.8 + spans[-1][1] - spans[0][0]
            axes.figure.set_size_inches(min(max(3.0, wide), WIDEST), 2.2)
        centres = [(left + right) / 2 for left, right in spans]
        outer = [c for i, c in enumerate(centres) if i != before]
        axes.bar(outer, [v for i, v in enumerate(values) if i != before], 0.22, color=COLOURS[0])
        axes.axvspan(*spans[before], color=TRUE, alpha=0.15, linewidth=0)
        equal = 1 / max(1, sum(bool(word) for word in words))
        axes.axhline(equal, color="#555555", linewidth=0.8, linestyle="--")
        axes.set_ylim(0, largest or 1.08 * max(*values, equal))
        axes.set(xlim=(spans[0][0], spans[-1][1]), ylabel="weight")
        axes.grid(axis="x", visible=False)
        axes.set_xticks(centres, names, parse_math=False)
        axes.tick_params(axis="x", bottom=False, labelfontfamily=_families())
        axes.get_xticklabels()[before].set_color(TRUE)
        axes.tick_params(axis="x", labelsize=_type_size(axes, spans[-1][1] - spans[0][0]))
    return axes.figure


def draw_contexts(
    rows: Sequence[Context | tuple[Any, ...]],
    largest: float | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw contexts under each other, the middles aligned; the darker a word, the more it weighs.

    Args:
        rows: (words, weights, middle) or (words, weights, middle, before) each, see `Context`.
            They may differ in their number of words, as near the beginning of a paragraph.
        largest: the weight that is drawn darkest; None: the largest of all.
        axes: draw here; None: on a new figure whose size fits the rows.

    Raises:
        ValueError: no rows; a row as in `draw_context`.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    table = [checked(Context(*row)) for row in rows]
    if not table:
        raise ValueError("there are no contexts to draw: give at least one row")
    largest = largest or max(max(values) for _, values, _ in table)
    new = axes is None
    with _canvas(axes) as axes:
        lines = [_in_a_row(axes, names, before) for names, _, before in table]
        ends = min(line[0][0] for line in lines), max(line[-1][1] for line in lines)
        if new:
            high = 0.5 + 0.27 * len(table)
            axes.figure.set_size_inches(min(max(3.0, ends[1] - ends[0]), WIDEST), high)
        axes.set(xlim=ends, ylim=(len(table) - 0.5, -0.5), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_xlabel(f"white: 0, darkest: {largest:.2g}", fontsize=8, color="#555555")
        size = _type_size(axes, ends[1] - ends[0])
        words = {"fontsize": size, "fontfamily": _families(), "parse_math": False}
        words |= {"ha": "center", "va": "center"}
        for y, ((names, values, before), spans) in enumerate(zip(table, lines, strict=True)):
            for i, (left, right) in enumerate(spans):
                if not names[i]:
                    continue
                share = min(1.0, values[i] / largest)
                look = {"facecolor": plt.get_cmap("Blues")(share), "edgecolor": "white"}
                if i == before:
                    look = {"facecolor": "white", "edgecolor": TRUE, "zorder": 2}
                axes.add_patch(Rectangle((left, y - 0.46), right - left, 0.92, **look))
                colour = TRUE if i == before else "white" if share > 0.55 else "#222222"
                axes.text((left + right) / 2, y, names[i], color=colour, zorder=3, **words)
    return axes.figure


def place_weights(
    curves: Mapping[str, Sequence[float] | Tensor],
    window: int,
    ylabel: str = "weight",
    axes: Axes | None = None,
) -> Figure:
    """Draw a weight, or a bias, by place around the middle, which itself has none.

    Args:
        curves: name -> 2 window numbers, for the places -window .. -1, 1 .. window.
        window: how many places there are on either side.
        ylabel: what the numbers are.

    Raises:
        ValueError: no curves, or another number of numbers.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    if not curves:
        raise ValueError("there are no curves to draw: give at least one, by name")
    places = range(-window, window + 1)
    with _canvas(axes) as axes:
        axes.axvspan(-0.5, 0.5, color=TRUE, alpha=0.15, linewidth=0)
        for marker, (name, curve) in zip(cycle(MARKERS), curves.items(), strict=False):
            values = _numbers(curve)
            if len(values) != 2 * window:
                raise ValueError(
                    f"{name} has {len(values)} numbers but a window of {window} has {2 * window} "
                    "places: one number for each, the middle left out"
                )
            values.insert(window, math.nan)  # which ends the line and begins it again
            axes.plot(places, values, marker=marker, markersize=4, label=label(name))
        step = 1 if window <= 10 else 5
        axes.set_xticks([place for place in places if place % step == 0])
        axes.set(xlabel="place, counted from the middle word", ylabel=ylabel)
        for text in axes.legend(prop={"family": _families(), "size": 8}).get_texts():
            text.set_parse_math(False)
    return axes.figure


def _numbers(values: Sequence[float] | Tensor) -> list[float]:
    if isinstance(values, Tensor):
        values = values.detach().cpu().tolist()
    return [float(value) for value in values]


def checked(context: Context) -> tuple[list[str], list[float], int]:
    """What is written, and what it weighs, with the middle among them and 0 for it; its place."""
    words, values, before = list(context.words), _numbers(context.weights), context.before
    if len(words) != len(values) or not words:
        raise ValueError(f"{len(words)} words but {len(values)} weights: one weight for each word")
    if before is None and len(words) % 2:
        raise ValueError(
            f"{len(words)} words cannot be as many before the middle as after it: say how many "
            'are before it (before=1), or give "" for a place where no word stands'
        )
    before = len(words) // 2 if before is None else before
    if not 0 <= before <= len(words):
        raise ValueError(f"before is {before} but there are {len(words)} words")
    if not abs(sum(values) - 1) < 0.02 or min(values) < 0:  # a NaN is not less either
        raise ValueError(f"weights are from 0 and add up to 1, but these to {sum(values):.3g}")
    # An empty place is left blank; that it has a weight all the same, as it has without a mask,
    # is to be seen.
    blank = [not word and value < 0.005 for word, value in zip(words, values, strict=True)]
    names = ["" if b else name for b, name in zip(blank, _labels(words), strict=True)]
    names.insert(before, _labels([context.middle])[0])
    values.insert(before, 0.0)
    return names, values, before


def _in_a_row(axes: Axes, names: Sequence[str], before: int) -> list[tuple[float, float]]:
    """Left and right end of each word's cell in inches, in a row, the middle's middle at 0."""
    style = {"fontsize": TYPE, "fontfamily": _families(), "parse_math": False}
    widths = [max(0.28, _size(axes, name, style)[0] / axes.figure.dpi + 0.1) for name in names]
    left = -sum(widths[:before]) - widths[before] / 2
    ends = [left := left + width for width in widths]
    return [(end - width, end) for end, width in zip(ends, widths, strict=True)]


def _type_size(axes: Axes, inches: float) -> float:
    """Points of words that are `inches` wide together, so that they fit between the axes' ends."""
    axes.figure.draw_without_rendering()  # only then is it known how wide the axes are
    wide = axes.get_window_extent().width / axes.figure.dpi
    return max(4.5, TYPE * min(1.0, wide / inches))


__all__ = ["Context", "draw_context", "draw_contexts", "place_weights"]
