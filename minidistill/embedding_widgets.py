"""Word vectors to be explored in a notebook; still pictures where nobody can hover or choose."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from minidistill.context_figures import Context, checked, draw_context
from minidistill.embedding_figures import (
    Spot,
    draw_neighbours,
    grouped,
    known_words,
    place_names,
    word_map,
)
from minidistill.figures import INVISIBLE
from minidistill.widgets import _ipywidgets, _shown, interactive_or_static
from minidistill.word_vectors import WordVectors

FRAME = (720.0, 520.0)
EDGE = 48.0  # pixels that stay free around the dots, for names
TYPE = 11.0
RADIUS = 4.0
SHOWN = 5  # neighbours that are told of each word
STYLE = """
.md-map { background: #fff; width: 100%; max-width: 860px; height: auto; }
.md-map text { font: 11px sans-serif; fill: #222; pointer-events: none;
  paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.md-map line { stroke: #999; stroke-width: 0.6; }
.md-map g { outline: none; cursor: default; }
.md-map g circle { fill-opacity: 0; transform-box: fill-box; transform-origin: center; }
.md-map g .hidden { opacity: 0; }
.md-map g:hover circle, .md-map g:focus circle { fill-opacity: 1; transform: scale(1.9); }
.md-map g:hover text, .md-map g:focus text { opacity: 1; font-weight: bold; }
"""


def explore_map(
    vectors: WordVectors,
    words: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
    translations: Mapping[str, str] | None = None,
    least: int = 1,
) -> Any:
    """Show the map of some words; pointing at a dot tells its word, count and nearest words.

    In a notebook with ipywidgets it returns an `ipywidgets.HTML` that holds the picture as SVG
    and needs nothing from the net. Elsewhere, or with `MINIDISTILL_WIDGETS=off`, it displays
    `word_map` and returns it in a list of one, as `interactive_or_static` returns lists.

    Args:
        words, groups, translations: as `word_map` takes them.
        least: leave out, among the nearest words, those that stand less often in the text.

    Raises:
        ValueError: words that have no vector (all are named); fewer than two words.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    ipywidgets = _ipywidgets()
    if ipywidgets is None:
        return [_shown(word_map(vectors, words, groups, translations))]
    return ipywidgets.HTML(value=hover_map(vectors, words, groups, translations, least))


def hover_map(
    vectors: WordVectors,
    words: Sequence[str],
    groups: Mapping[str, Sequence[str]] | None = None,
    translations: Mapping[str, str] | None = None,
    least: int = 1,
) -> str:
    """Return the SVG that `explore_map` shows: names beside the dots where there is room for them.

    Raises:
        ValueError: as `explore_map`.
    """
    words = known_words(vectors, words)
    places = dict(zip(words, _pixels(vectors.map(words).tolist()), strict=True))
    sizes = [(_width(_plain(word)), TYPE * 1.2) for word in words]
    placed = place_names(list(places.values()), sizes, FRAME, RADIUS + 1)
    spots = dict(zip(words, placed, strict=True))
    dots, named, legend = [], [], []
    for name, members, colour, _ in grouped(words, groups):
        if name is not None:
            legend.append((name, colour))
        for word in members:
            dots.append(_circle(*places[word], colour))
            story = _story(vectors, word, name, (translations or {}).get(word), least)
            written = _name(_plain(word), places[word], spots[word])
            # This circle is seen under the pointer alone; if all dots were in these groups,
            # those that are drawn later would cover the names of the earlier ones.
            shown = f"<title>{_safe(story)}</title>{dots[-1]}{written}"
            named.append(f'<g tabindex="0">{shown}</g>')
    names, top = _legend(legend)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="md-map" role="img" '
        f'aria-label="map of {len(words)} words" '
        f'viewBox="0 {-top:g} {FRAME[0]:g} {FRAME[1] + top:g}"><style>{STYLE}</style>'
        f"{names}{''.join(dots)}{''.join(named)}</svg>"
    )


def _circle(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS:g}" fill="{colour}"/>'


def _name(text: str, dot: tuple[float, float], spot: Spot) -> str:
    """A name in its place, with a line if that is far off; hidden where it would cover others."""
    x, y = dot
    wide, high = _width(text), TYPE * 1.2
    kind, line = "", ""
    if spot.covered > 0.2 * high * high:
        kind, spot = ' class="hidden"', Spot(x + RADIUS + 2, y - high / 2, 0, False)
    # Held by the end that is next to the dot, as the browser's font may be narrower or wider.
    anchor = "start" if spot.x >= x else "end" if spot.x + wide <= x else "middle"
    held = spot.x + wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
    if spot.far:
        end_y = min(max(y, spot.y), spot.y + high)
        line = f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{held:.1f}" y2="{end_y:.1f}"/>'
    place = f'x="{held:.1f}" y="{spot.y + 0.8 * high:.1f}" text-anchor="{anchor}"'
    return f"{line}<text {place}{kind}>{_safe(text)}</text>"


def _pixels(places: list[list[float]]) -> list[tuple[float, float]]:
    """Places in the frame, one unit as long across as down, from the top left corner."""
    xs, ys = zip(*places, strict=True)
    spans = max(xs) - min(xs), max(ys) - min(ys)
    room = FRAME[0] - 2 * EDGE, FRAME[1] - 2 * EDGE
    scale = min((r / s for r, s in zip(room, spans, strict=True) if s > 0), default=1.0)
    x0, y0 = (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2
    return [(FRAME[0] / 2 + scale * (x - x0), FRAME[1] / 2 - scale * (y - y0)) for x, y in places]


def _story(
    vectors: WordVectors, word: str, group: str | None, translation: str | None, least: int
) -> str:
    """What the browser writes beside the pointer, some lines."""
    lines = [_plain(word) + (f" ({_plain(translation)})" if translation else "")]
    if group is not None:
        lines[0] += f", {_plain(group)}"
    if vectors.counts is not None:
        lines.append(f"count: {vectors.counts[vectors.id(word)]}")
    near = vectors.nearest(word, SHOWN, least)
    return "\n".join([*lines, *(f"{found.cosine:.2f}  {_plain(found.word)}" for found in near)])


def _legend(names: Sequence[tuple[str, str]]) -> tuple[str, float]:
    """Dots with the groups' names in rows above the map, and the rows' height."""
    parts, x, row = [], 10.0, 0
    for name, colour in names:
        wide = _width(_plain(name)) + 28
        if x + wide > FRAME[0] and x > 10:
            x, row = 10.0, row + 1
        y = 12 + 18 * row
        parts.append((x, y, colour, name))
        x += wide
    top = 18.0 * (row + 1) + 6 if parts else 0.0
    drawn = [
        _circle(x, y - top, colour)
        + f'<text x="{x + 9:.1f}" y="{y + 4 - top:.1f}">{_safe(_plain(name))}</text>'
        for x, y, colour, name in parts
    ]
    return "".join(drawn), top


def _width(text: str) -> float:
    """About how many pixels the browser will take for a text: a Chinese character is square."""
    return sum(TYPE if ord(character) > 0x2E80 else 0.56 * TYPE for character in text)


def _plain(text: str) -> str:
    """A text in signs that can be seen, and that XML allows; others become their codes."""
    text = INVISIBLE.get(text, text)
    return "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)


def _safe(text: str) -> str:
    """A text that the browser reads as text: a word may be "<b>"."""
    return html.escape(text, quote=True)


def explore_neighbours(
    vectors: WordVectors,
    words: Sequence[str],
    count: int = 10,
    translations: Mapping[str, str] | None = None,
    least: int = 1,
) -> Any:
    """Choose a word and see the cosines of its nearest words as bars.

    In a notebook with ipywidgets it gives a slider over the words. Elsewhere it displays and
    returns pictures of the first, the middle and the last; see
    `minidistill.widgets.interactive_or_static`.

    Args:
        words: among which to choose. count, translations, least: as `draw_neighbours` takes them.

    Raises:
        ValueError: words that have no vector (all are named), or no words.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    words = known_words(vectors, words)

    def draw(word: str) -> Any:
        return draw_neighbours(vectors, word, count, translations, least)

    return interactive_or_static(draw, word=words)


def follow_contexts(rows: Sequence[Context | tuple[Any, ...]]) -> Any:
    """Step through contexts with a slider, each drawn by `draw_context` on the same scale.

    In a notebook with ipywidgets it gives a slider over the contexts, counted from 0. Elsewhere
    it displays and returns pictures of the first, the middle and the last; see
    `minidistill.widgets.interactive_or_static`.

    Args:
        rows: (words, weights, middle) or (words, weights, middle, before) each, see `Context`.

    Raises:
        ValueError: no rows; a row as in `draw_context`, before anything is drawn.

    Taught in solutions/07_word_embeddings.ipynb.
    """
    contexts = [Context(*row) for row in rows]
    if not contexts:
        raise ValueError("there are no contexts to follow: give at least one row")
    largest = min(1.0, 1.08 * max(max(checked(context)[1]) for context in contexts))

    def draw(context: int) -> Any:
        return draw_context(*contexts[context], largest=largest)

    return interactive_or_static(draw, context=range(len(contexts)))


__all__ = ["explore_map", "explore_neighbours", "follow_contexts", "hover_map"]
