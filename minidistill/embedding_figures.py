"""Word vectors, drawn: maps of the plane, and bars for the nearest words.

All return the figure and show nothing, as everything in `minidistill.figures` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minidistill.figures import COLOURS, _canvas, _families, _name_ticks, label
from minidistill.word_vectors import WordVectors

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:  # figures.py says the same, and is imported first
    raise ImportError('figures need matplotlib: pip install "matplotlib>=3.8"') from error

MARKERS = "os^Dv"
OTHERS = "#8a8a8a"
DOT = 3.0  # points from the middle of a dot to its edge
# Where a name may stand beside its dot, right and up, the best liked first.
AROUND = (
    *((1, 0), (-1, 0), (0, 1), (0, -1), (1, 0.5), (1, -0.5), (-1, 0.5), (-1, -0.5)),
    *((1, 1), (1, -1), (-1, 1), (-1, -1)),
)


def word_map(
    vectors: WordVectors,
    words: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
    translations: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw words as dots on the plane in which their vectors differ most, each with its name.

    One unit is as long across as up. The axes' names say how much of the variance (the squared
    distances from the mean) each direction keeps: where it is little, words that are far from
    each other may lie side by side in the picture.

    Args:
        vectors: the vectors, of which the directions are mapped by `WordVectors.map`.
        words: which to draw, at least two; a word given twice is drawn once.
        groups: name -> words, each with a colour and a shape; words in none are grey.
        translations: word -> what to write where no font can draw the word.
        axes: draw here; None: on a new figure.

    Raises:
        ValueError: words that have no vector (all are named); fewer than two words.

    Source: Pearson, On lines and planes of closest fit, 1901.
    Taught in solutions/07_word_embeddings.ipynb.
    """
    words = known_words(vectors, words)
    places, shares = vectors.map(words), _shares(vectors, words)
    new = axes is None
    with _canvas(axes) as axes:
        if new:
            axes.figure.set_size_inches((6, 4.4) if len(words) <= 30 else (7.5, 6.2))
        for name, members, colour, marker in grouped(words, groups):
            x, y = places[[words.index(word) for word in members]].T.tolist()
            dots = {"s": 4 * DOT**2, "color": colour, "marker": marker, "linewidths": 0}
            axes.scatter(x, y, **dots, label=None if name is None else label(name))
        axes.margins(0.1)
        axes.set_aspect("equal", adjustable="datalim")
        names = ("first", "second")
        for which, order, share in zip("xy", names, shares, strict=True):
            axes.set(**{f"{which}label": f"{order} direction ({share:.0%} of the variance)"})
        _name_groups(axes)
        texts = [label(word, (translations or {}).get(word)) for word in words]
        _write_names(axes, places.tolist(), texts)
    return axes.figure


def _name_groups(axes: Axes) -> None:
    """A legend above the axes, in as many columns as there is room for; none without groups."""
    names = axes.get_legend_handles_labels()[1]
    if not names:
        return
    style = {"fontsize": 8, "fontfamily": _families(), "parse_math": False}
    # Besides its name a column has its mark and a gap, of about 35 points together.
    wide = [_size(axes, name, style)[0] + 35 * axes.figure.dpi / 72 for name in names]
    room = axes.get_window_extent().width
    columns = len(names) if sum(wide) <= room else max(1, int(room / max(wide)))
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    font = {"family": _families(), "size": 8}
    legend = axes.legend(**where, ncols=columns, prop=font, columnspacing=1, handletextpad=0.2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def known_words(vectors: WordVectors, words: Sequence[str]) -> list[str]:
    """Each word once, in order. Raises ValueError: some have no vector, and all are named."""
    missing = [word for word in dict.fromkeys(words) if word not in vectors]
    if missing:
        raise ValueError(
            f"no vector for {', '.join(map(repr, missing))}: leave out what is not among the "
            f"{len(vectors)} words"
        )
    return list(dict.fromkeys(words))


def grouped(
    words: Sequence[str], groups: Mapping[str, Sequence[str]] | None
) -> list[tuple[str | None, list[str], str, str]]:
    """Name, words, colour and marker of each group that has words here; None: those in none.

    A word in two groups belongs to the first. Without groups all words are one, without a name.
    """
    if not groups:
        return [(None, list(words), COLOURS[0], MARKERS[0])]
    left, found = dict.fromkeys(words), []
    looks = zip(cycle(COLOURS), cycle(MARKERS), strict=False)
    for (name, wanted), (colour, marker) in zip(groups.items(), looks, strict=False):
        members = [word for word in dict.fromkeys(wanted) if word in left]
        for word in members:
            del left[word]
        if members:
            found.append((name, members, colour, marker))
    return ([(None, list(left), OTHERS, "o")] if left else []) + found


def _shares(vectors: WordVectors, words: Sequence[str]) -> list[float]:
    """How much of the words' squared distances from their mean each of the two directions keeps."""
    rows = vectors.vectors[[vectors.id(word) for word in words]]
    directions = nn.functional.normalize(rows, dim=1)
    whole = float((directions - directions.mean(0)).square().sum())
    kept = vectors.map(words).square().sum(0).tolist()
    return [share / whole if whole > 0 else 0.0 for share in kept]


def _write_names(axes: Axes, places: list[list[float]], texts: list[str]) -> None:
    """A name beside each dot, where it covers the least; a thin line to a name further off."""
    axes.figure.draw_without_rendering()  # only then is it known where the dots are
    style = {"fontsize": 8 if len(texts) <= 30 else 7, "color": "#222222"}
    style |= {"fontfamily": _families(), "parse_math": False}
    sizes = [_size(axes, text, style) for text in texts]
    frame, unit = axes.get_window_extent(), axes.figure.dpi / 72
    dots = [(x - frame.x0, y - frame.y0) for x, y in axes.transData.transform(places)]
    placed = place_names(dots, sizes, (frame.width, frame.height), (DOT + 1.2) * unit)
    for place, (x, y), text, spot in zip(places, dots, texts, placed, strict=True):
        offset = {"xytext": ((spot.x - x) / unit, (spot.y - y) / unit)}
        offset |= {"textcoords": "offset points", "ha": "left", "va": "bottom"}
        if spot.far:
            offset["arrowprops"] = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5}
            offset["arrowprops"] |= {"shrinkA": 0, "shrinkB": DOT}
        written = axes.annotate(text, place, **offset, **style)
        written.set_in_layout(False)  # room for it would move the dots, and the names with them


def _size(axes: Axes, text: str, style: Mapping[str, Any]) -> tuple[float, float]:
    """Width and height of a text as it would be drawn here, in pixels."""
    written = axes.text(0, 0, text, **style)
    box = written.get_window_extent()
    written.remove()
    return box.width, box.height


class Spot(NamedTuple):
    """Where a name is written: its lower left corner, what it covers, whether it is far off."""

    x: float
    y: float
    covered: float
    far: bool


def place_names(
    dots: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: tuple[float, float],
    radius: float,
) -> list[Spot]:
    """Find a place for each name around its dot, so that names cover little of the others.

    A dozen places at each of four distances are tried for each name, one name after the other,
    and that a few times over: greedy, not the best of all. All lengths are in pixels.

    Args:
        dots: the middles. sizes: width and height of each name. radius: of the dots.
        frame: width and height of the picture, in which names should stay.
    """
    middles, boxes = torch.tensor(dots), torch.tensor(sizes)
    near = 1.25 * radius  # a name that all but touches a dot seems to be its name
    round_dots = torch.cat([middles - near, middles + near], 1)  # left, bottom, right, top
    picture = torch.tensor([[0.0, 0.0, *frame]])
    taken = torch.full((len(dots), 4), math.nan)
    spots: list[Spot] = [Spot(0, 0, 0, False)] * len(dots)
    for i in [*range(len(dots))] * 4:
        corners, detour = _around(middles[i], boxes[i], radius)
        tried = torch.cat([corners, corners + boxes[i]], 1)
        others = torch.cat([taken[:i], taken[i + 1 :], round_dots[:i], round_dots[i + 1 :]])
        covered = _overlap(tried, others).nan_to_num().sum(1)
        covered += boxes[i].prod() - _overlap(tried, picture).sum(1)
        best = int((2 * covered + detour * boxes[i, 1] ** 2).argmin())
        taken[i] = tried[best]
        spots[i] = Spot(*corners[best].tolist(), float(covered[best]), bool(detour[best] > 0.15))
    return spots


def _around(middle: Tensor, box: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Lower left corners of a box around a dot, (n, 2), and how little each is liked, (n,)."""
    corners, detour = [], []
    for ring in range(4):
        off = radius + ring * 0.7 * float(box[1])
        for liked, (right, up) in enumerate(AROUND):
            slant = 0.7 if abs(right) == abs(up) else 1.0
            shift = torch.tensor([right, up]) * (box / 2 + off * slant)
            corners.append(middle + shift - box / 2)
            detour.append(0.012 * liked + 0.2 * ring)
    return torch.stack(corners), torch.tensor(detour)


def _overlap(ours: Tensor, others: Tensor) -> Tensor:
    """The areas that boxes (n, 4) share with boxes (m, 4): (n, m); NaN where one is NaN."""
    low = torch.maximum(ours[:, None, :2], others[:, :2])
    high = torch.minimum(ours[:, None, 2:], others[:, 2:])
    return (high - low).clamp(min=0).prod(-1)


def draw_neighbours(
    vectors: WordVectors,
    word: str,
    count: int = 10,
    translations: Mapping[str, str] | None = None,
    least: int = 1,
    axes: Axes | None = None,
) -> Figure:
    """Draw the nearest words of a word as bars as long as their cosines, the nearest on top.

    Args:
        count: how many. least: leave out words that stand less often in the text.
        translations: word -> what to write where no font can draw the word.

    Raises:
        KeyError: the word has no vector.
        ValueError: no other word is left.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    near = vectors.nearest(word, count, least)
    if not near:
        raise ValueError(f"there is no neighbour of {word!r} to draw: count {count}, least {least}")
    meanings = translations or {}
    new = axes is None
    with _canvas(axes) as axes:
        if new:
            axes.figure.set_size_inches(5, 0.8 + 0.24 * len(near))
        cosines = [found.cosine for found in near]
        axes.barh(range(len(near)), cosines, color=COLOURS[0])
        for place, cosine in enumerate(cosines):
            axes.text(max(cosine, 0.0) + 0.01, place, f"{cosine:.2f}", va="center", fontsize=8)
        _name_ticks(axes, "y", [label(found.word, meanings.get(found.word)) for found in near])
        axes.tick_params(axis="y", left=False, labelfontfamily=_families())
        axes.grid(axis="y", visible=False)
        axes.set(xlim=(min(0.0, *cosines), 1.08), xlabel="cosine")
        axes.set_ylim(len(near) - 0.4, -0.6)
        words = {"fontfamily": _families(), "parse_math": False, "fontsize": 10}
        axes.set_title(f"nearest to {label(word, meanings.get(word))}", loc="left", **words)
    return axes.figure


__all__ = ["draw_neighbours", "word_map"]
