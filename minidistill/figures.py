"""Every figure of the course, small enough for a phone and drawn without empty boxes.

Each function returns the figure and shows nothing: as the last line of a notebook's cell it
appears once. Given `axes`, it draws there and returns the figure that the axes belong to.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import cycle
from typing import Any

from minidistill.training import History

try:
    import matplotlib.pyplot as plt
    from matplotlib import font_manager
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError('figures need matplotlib: pip install "matplotlib>=3.8"') from error

Numbers = Sequence[float]

# Okabe and Ito (2008): told apart by colour-blind readers, the pale yellow left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ((0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (3, 1)))

# Simplified before Japanese shapes of the same characters; sans before serif.
CHINESE_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN"),
    *("Microsoft YaHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti", "SimHei"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Noto Sans CJK TC", "Noto Sans CJK JP"),
    *("Noto Serif CJK SC", "Noto Serif SC", "Source Han Serif SC", "Noto Serif CJK JP"),
    *("Songti SC", "STSong", "SimSun", "KaiTi", "AR PL UMing CN", "AR PL UKai CN"),
    *("Droid Sans Fallback", "Arial Unicode MS"),
)
# Parts of the names, and of the names of the files, of these and their relatives.
CHINESE_HINTS = (
    *("cjk", "sourcehan", "notosanssc", "notoserifsc", "wqy", "wenquanyi", "yahei", "msyh"),
    *("simhei", "simsun", "kai", "pingfang", "heiti", "song", "hiragino", "uming", "fallback"),
    "unicode",
)
INVISIBLE = {" ": "␣", "\n": "↵", "\t": "⇥"}


@cache
def chinese_font() -> str | None:
    """Return the name of an installed font that can draw 水, or None.

    The answer is kept: after installing a font, start Python again.
    """
    _notice_new_fonts()
    families = {entry.name for entry in font_manager.fontManager.ttflist}
    likely = sorted(name for name in families if _sounds_chinese(name))
    for name in (*CHINESE_FONTS, *likely):
        if name in families and _has(name, "水"):
            return name
    return None


def _notice_new_fonts() -> None:
    """Add fonts that were installed after matplotlib made its list, as on Colab."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known and _sounds_chinese(os.path.basename(path)):
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError):  # a damaged file is no font to use
                continue


def _sounds_chinese(name: str) -> bool:
    squeezed = name.lower().replace(" ", "").replace("-", "")
    return any(hint in squeezed for hint in CHINESE_HINTS)


@cache
def _has(family: str, character: str) -> bool:
    properties = font_manager.FontProperties(family=[family])
    try:
        path = font_manager.findfont(properties, fallback_to_default=False)
        return font_manager.get_font(path).get_char_index(ord(character)) != 0
    except (ValueError, OSError, RuntimeError):
        return False


def _families() -> list[str]:
    chinese = chinese_font()
    return ["DejaVu Sans"] + ([chinese] if chinese else [])


def _can_draw(character: str) -> bool:
    # Wide and zero-width spaces are in the fonts too, but cannot be seen.
    return character.isprintable() and any(_has(family, character) for family in _families())


def label(text: str, translation: str | None = None) -> str:
    """Return text that can be drawn here: itself, else its translation, else its codes.

    A font without a character draws an empty box; `label("水", "water")` is then "water", and
    `label("水")` is "U+6C34". White space becomes a visible sign.
    Taught in solutions/01_text_as_data.ipynb.
    """
    shown = INVISIBLE.get(text, text)
    if all(character == " " or _can_draw(character) for character in shown):
        return shown
    if translation is not None:
        return translation
    return " ".join(f"U+{ord(character):04X}" for character in text)


@contextmanager
def course_style() -> Iterator[None]:
    """Draw what is made inside the block in the course's style: small, plain, colour-blind safe."""
    style = {
        "figure.dpi": 90,
        "figure.figsize": (6, 3.2),
        "figure.constrained_layout.use": True,
        # Names, not "sans-serif": a generic name would be looked up anew after the block.
        "font.family": _families(),
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.prop_cycle": plt.cycler(color=COLOURS),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e4e4e4",
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "image.cmap": "cividis",
    }
    with plt.rc_context(style):
        yield


@contextmanager
def _canvas(axes: Axes | None) -> Iterator[Axes]:
    """Give the axes to draw on in the course's style: the caller's, or those of a new figure."""
    with course_style():
        if axes is not None:
            yield axes
            return
        figure = plt.figure()
        try:
            yield figure.add_subplot()
            # Ticks are made when first drawn, which must be while the style holds.
            figure.draw_without_rendering()
        finally:
            plt.close(figure)  # a notebook would show an open figure a second time


def learning_curves(
    history: History | Mapping[str, History],
    baselines: Mapping[str, float] | None = None,
    unit: str = "bits per character",
    axes: Axes | None = None,
) -> Figure:
    """Draw training (thin) and validation (dots) against steps; `baselines`, in bits, are lines.

    history: what `training.fit` returned, whose nats are drawn as bits, or several by name.
    """
    runs = {"": history} if isinstance(history, History) else history
    with _canvas(axes) as axes:
        for colour, (name, run) in zip(cycle(COLOURS), runs.items(), strict=False):
            bits = [nats / math.log(2) for nats in run.losses]
            smooth = _running_mean(bits, len(bits) // 50)
            name = f"{label(name)} " if name else ""
            thin = {"color": colour, "linewidth": 1, "alpha": 0.6}
            axes.plot(range(1, len(smooth) + 1), smooth, **thin, label=f"{name}training")
            if run.validation:
                steps, nats = zip(*run.validation, strict=True)
                bits = [value / math.log(2) for value in nats]
                dots = {"color": colour, "marker": "o", "markersize": 3}
                axes.plot(steps, bits, **dots, label=f"{name}validation")
        for dashes, (name, bits) in zip(cycle(DASHES), (baselines or {}).items(), strict=False):
            line = {"color": "#555555", "linewidth": 1, "linestyle": dashes}
            axes.axhline(bits, **line, label=f"{label(name)}: {bits:.2f}")
        axes.set(xlabel="step", ylabel=unit)
        _legend(axes)
    return axes.figure


def zipf(
    counts_by_name: Mapping[str, Mapping[Any, int] | Sequence[int]], axes: Axes | None = None
) -> Figure:
    """Draw how often a token occurs against its rank, both axes logarithmic.

    Zipf's law, count = c / rank, is the dashed line of slope -1. counts_by_name: for each name
    the counts, or a Counter. Raises ValueError: a name without counts above 0.
    Taught in solutions/01_text_as_data.ipynb.
    """
    highest, most = 1, 1
    with _canvas(axes) as axes:
        for marker, (name, counts) in zip(cycle("osv^D"), counts_by_name.items(), strict=False):
            values = counts.values() if isinstance(counts, Mapping) else counts
            ranked = sorted((count for count in values if count > 0), reverse=True)
            if not ranked:
                raise ValueError(f"{name} has no counts above 0: there is nothing to rank")
            ranks = range(1, len(ranked) + 1)
            axes.plot(ranks, ranked, marker, markersize=2.5, label=label(name))
            highest, most = max(highest, len(ranked)), max(most, ranked[0])
        last = min(highest, most)
        axes.plot([1, last], [most, most / last], "--", color="#555555", label="slope −1 (Zipf)")
        axes.set(xscale="log", yscale="log", xlabel="rank", ylabel="occurrences")
        _legend(axes)
    return axes.figure


def frequency_bars(
    tokens: Sequence[str],
    counts: Sequence[int],
    translations: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw one bar a token, as high as its count.

    Without a Chinese font, `translations` says what to write under a Chinese token's bar.
    Raises ValueError: not one count for each token.
    """
    _same_length(tokens, counts)
    with _canvas(axes) as axes:
        axes.bar(range(len(tokens)), counts, color=COLOURS[0])
        names = [label(token, (translations or {}).get(token)) for token in tokens]
        _name_ticks(axes, "x", names)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("occurrences")
    return axes.figure


def gradient_norms(
    series: Numbers | Mapping[str, Numbers],
    clip_norm: float | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Draw the gradient's norm at every step, on a logarithmic axis, and where it is clipped.

    series: the norms of one run, as `History.gradient_norms` has them, or several by name.
    """
    named = series if isinstance(series, Mapping) else {"gradient norm": series}
    with _canvas(axes) as axes:
        for name, norms in named.items():
            axes.plot(range(1, len(norms) + 1), norms, linewidth=0.8, label=label(name))
        if clip_norm is not None:
            line = {"color": "#555555", "linestyle": "--"}
            axes.axhline(clip_norm, **line, label=f"clipped at {clip_norm:g}")
        axes.set(yscale="log", xlabel="step", ylabel="gradient norm")
        _legend(axes)
    return axes.figure


def heat_map(
    matrix: Any,
    x_labels: Sequence[str],
    y_labels: Sequence[str],
    x_name: str = "",
    y_name: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Draw a matrix as colours: attention weights, similarities.

    matrix: (len(y_labels), len(x_labels)), a tensor, an array or lists.
    Raises ValueError: not one label for each row and column.
    """
    if hasattr(matrix, "detach"):
        matrix = matrix.detach().cpu().tolist()
    rows = [[float(value) for value in row] for row in matrix]
    _same_length(y_labels, rows)
    for row in rows:
        _same_length(x_labels, row)
    with _canvas(axes) as axes:
        image = axes.imshow(rows, aspect="auto", interpolation="nearest")
        axes.grid(visible=False)
        _name_ticks(axes, "x", [label(text) for text in x_labels])
        _name_ticks(axes, "y", [label(text) for text in y_labels])
        axes.set(xlabel=x_name, ylabel=y_name)
        axes.figure.colorbar(image, ax=axes)
    return axes.figure


def _name_ticks(axes: Axes, which: str, names: Sequence[str]) -> None:
    """Write names along an axis, upright if they are long; "$" is a character like others."""
    long = which == "x" and max(map(len, names), default=0) * len(names) > 70
    options = {"rotation": 90} if long else {}
    getattr(axes, f"set_{which}ticks")(range(len(names)), names, parse_math=False, **options)


def _legend(axes: Axes) -> None:
    for text in axes.legend().get_texts():
        text.set_parse_math(False)


def _running_mean(values: Numbers, width: int) -> list[float]:
    """Average over the last `width` values, fewer at the beginning."""
    width, total, means = max(1, width), 0.0, []
    for i, value in enumerate(values):
        total += value - (values[i - width] if i >= width else 0.0)
        means.append(total / min(i + 1, width))
    return means


def _same_length(names: Sequence[Any], values: Sequence[Any]) -> None:
    if len(names) != len(values):
        raise ValueError(f"{len(names)} labels but {len(values)} values: one label for each")
