"""Where a decoder looked, drawn: a whole text as a heat map, one target token at a time as bars.

Both return the figure and show nothing, as everything in `minidistill.figures` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidistill.figures import COLOURS, _canvas, _families, _name_ticks, label

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:  # figures.py says the same, and is imported first
    raise ImportError('figures need matplotlib: pip install "matplotlib>=3.8"') from error

CELL = (0.26, 0.2)
"""Inches a source token takes across and a target token down."""
LARGEST = (11.0, 9.0)
"""Inches; a longer text gets smaller cells, not a larger picture."""
TRUE = "#D55E00"


def draw_attention(
    weights: Any,
    source: Sequence[str],
    target: Sequence[str],
    alignment: Sequence[int] | None = None,
    title: str = "",
    largest: float = 1.0,
    axes: Axes | None = None,
) -> Figure:
    """Draw attention weights as a heat map, the source along the top, the target down the side.

    A dark cell in row t says where the decoder looked before it wrote target token t. White is
    0 and the darkest blue 1, unless you say otherwise, so that two figures may be compared.

    Args:
        weights: (T, S), each row of which adds up to 1: a tensor, an array or lists.
        source, target: the tokens' texts, S and T of them; Chinese is drawn where a font is
            found for it, white space as a visible sign.
        alignment: the true place in the source of each target token, marked by a ring; numbers
            below 0 for none.
        largest: the weight that is drawn darkest; less than 1 for weights that are spread.
        axes: draw here; None: on a new figure whose size fits the texts.

    Raises:
        ValueError: not one row for each target token and one column for each source token.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    rows = _rows(weights)
    _check_sizes(rows, source, target)
    across, down = _labels(source), _labels(target)
    new = axes is None
    with _canvas(axes) as axes:
        size = _fit(across, down)
        if new:
            axes.figure.set_size_inches(size)
        axes.imshow(
            rows, cmap="Blues", vmin=0, vmax=largest, aspect="auto", interpolation="nearest"
        )
        _lines_between(axes, len(rows), len(rows[0]))
        _write_across(axes, across, size[0])
        _write_down(axes, down, size[1])
        for t, place in enumerate(() if alignment is None else alignment):
            if int(place) >= 0:
                axes.plot(int(place), t, "o", mfc="none", mec=TRUE, ms=7, mew=1.2)
        axes.set_xlabel("source", fontsize=8)
        axes.set_ylabel("target", fontsize=8)
        axes.xaxis.set_label_position("top")
        if title:
            axes.set_title(title, parse_math=False, fontfamily=_families())
    return axes.figure


def draw_step(
    weights: Any,
    source: Sequence[str],
    target: Sequence[str],
    step: int,
    largest: float = 1.0,
    axes: Axes | None = None,
) -> Figure:
    """Draw where the decoder looked before it wrote target token `step`, as bars over the source.

    The title holds the target so far, with the token that is about to be written in brackets.

    Args:
        weights: (T, S), as `draw_attention` takes it.
        source, target: the tokens' texts, S and T of them.
        step: which target token, from 0.
        largest: where the axis of the weights ends.

    Raises:
        ValueError: sizes that do not fit; a step that the target does not have.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """
    rows = _rows(weights)
    _check_sizes(rows, source, target)
    if not 0 <= step < len(target):
        raise ValueError(f"step {step}: this target has the tokens 0 to {len(target) - 1}")
    across, written = _labels(source), _labels(target)
    new = axes is None
    with _canvas(axes) as axes:
        width = _fit(across, written)[0]
        if new:
            axes.figure.set_size_inches(max(width, 5.0), 2.4)
        best = max(range(len(across)), key=lambda s: rows[step][s])
        colours = [COLOURS[1] if s == best else COLOURS[0] for s in range(len(across))]
        axes.bar(range(len(across)), rows[step], color=colours)
        axes.set(ylim=(0, largest), ylabel="weight", xlim=(-0.6, len(across) - 0.4))
        axes.grid(axis="x", visible=False)
        _write_across(axes, across, width, top=False)
        before = _so_far(written[:step])
        words = {"fontfamily": _families(), "parse_math": False}
        axes.set_title(f"{before}[{written[step]}]", loc="left", fontsize=9, **words)
    return axes.figure


def _rows(weights: Any) -> list[list[float]]:
    if hasattr(weights, "detach"):
        weights = weights.detach().cpu().tolist()
    return [[float(value) for value in row] for row in weights]


def _check_sizes(rows: list[list[float]], source: Sequence[str], target: Sequence[str]) -> None:
    wide = len(rows[0]) if rows else 0
    if len(rows) != len(target) or not rows or any(len(row) != len(source) for row in rows):
        raise ValueError(
            f"weights are ({len(rows)}, {wide}) but there are {len(target)} target and "
            f"{len(source)} source tokens: one row for each target token, one column for each "
            "source token"
        )


def _labels(tokens: Sequence[str]) -> list[str]:
    """What is written for each token: a space inside a token stays, one at its edge is a sign."""
    return [_label(token) for token in tokens]


def _label(token: str) -> str:
    inner = token.strip(" \n\t")
    if not inner:
        return "".join(label(character) for character in token) or "∅"
    start = token[: len(token) - len(token.lstrip(" \n\t"))]
    end = token[len(token.rstrip(" \n\t")) :]
    return "".join(map(label, start)) + label(inner) + "".join(map(label, end))


def _width(text: str) -> int:
    """Characters, a Chinese one counted twice."""
    return sum(2 if ord(character) > 0x2E80 else 1 for character in text)


def _upright(across: Sequence[str]) -> bool:
    return max(map(_width, across), default=0) > 3


def _fit(across: Sequence[str], down: Sequence[str]) -> tuple[float, float]:
    """Inches for so many tokens and the room that their texts take beside the map."""
    side = 0.5 + 0.075 * max(map(_width, down), default=1)
    top = 0.5 + (0.075 * max(map(_width, across), default=1) if _upright(across) else 0.15)
    wide = side + CELL[0] * len(across)
    high = top + CELL[1] * len(down)
    return min(max(wide, 2.4), LARGEST[0]), min(max(high, 1.6), LARGEST[1])


def _type_size(inches: float, tokens: int) -> float:
    """Points for one token's text where so many share so many inches: between 4.5 and 9."""
    return min(9.0, max(4.5, 72 * inches / max(1, tokens) * 0.8))


def _write_across(axes: Axes, names: Sequence[str], inches: float, top: bool = True) -> None:
    """The source's tokens, along the top or below."""
    _name_ticks(axes, "x", names)
    where = {"labeltop": top, "labelbottom": not top, "top": False, "bottom": False}
    axes.tick_params(axis="x", rotation=90 if _upright(names) else 0, **where)
    _dress(axes, "x", inches, len(names))


def _write_down(axes: Axes, names: Sequence[str], inches: float) -> None:
    """The target's tokens, down the side."""
    _name_ticks(axes, "y", names)
    axes.tick_params(axis="y", left=False)
    _dress(axes, "y", inches, len(names))


def _dress(axes: Axes, which: str, inches: float, tokens: int) -> None:
    """Size and font of the tokens, which hold also where the caller's figure has another style."""
    size = _type_size(inches - 0.8, tokens)
    axes.tick_params(axis=which, labelsize=size, labelfontfamily=_families())


def _lines_between(axes: Axes, rows: int, columns: int) -> None:
    """Fine lines between the cells, so that the eye finds its row."""
    axes.grid(visible=False)
    axes.set_xticks([s - 0.5 for s in range(1, columns)], minor=True)
    axes.set_yticks([t - 0.5 for t in range(1, rows)], minor=True)
    axes.grid(which="minor", color="#e4e4e4", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")


def _so_far(written: Sequence[str], most: int = 60) -> str:
    """The end of what is written, as one line."""
    text = "".join(written)
    return text if len(text) <= most else "…" + text[-most:]


__all__ = ["draw_attention", "draw_step"]
