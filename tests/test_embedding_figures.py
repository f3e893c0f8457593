import math
from itertools import pairwise

import pytest
import torch

pytest.importorskip("matplotlib", reason="figures need matplotlib")

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex, to_rgba

from minidistill import figures
from minidistill.attention_figures import TRUE
from minidistill.context_figures import (
    WIDEST,
    Context,
    draw_context,
    draw_contexts,
    place_weights,
)
from minidistill.embedding_figures import OTHERS, draw_neighbours, grouped, place_names, word_map
from minidistill.figures import COLOURS
from minidistill.word_vectors import WordVectors

pytestmark = pytest.mark.usefixtures("no_missing_glyphs")

ENGLISH = {"people": ["king", "aunt", "wife"], "cost $1": ["house", "road"], "none here": ["x"]}
CHINESE = {"人": ["宝玉", "黛玉", "凤姐"], "处": ["园", "大观园"]}


def random_vectors(words, seed=0):
    g = torch.Generator().manual_seed(seed)
    return WordVectors(words, torch.randn(len(words), 7, generator=g))


def of(groups):
    return [word for members in groups.values() for word in members if word != "x"]


def named(axes):
    """The names in the picture, and where the dot of each is."""
    return {text.get_text(): text.xy for text in axes.texts}


def boxes(axes):
    return [text.get_window_extent() for text in axes.texts]


def ticks(axes, which="x"):
    return [text.get_text() for text in getattr(axes, f"get_{which}ticklabels")()]


# --- the map ---------------------------------------------------------------------------------


def test_the_map_has_every_word_at_its_place():
    words = of(ENGLISH)
    vectors = random_vectors([*words, "other", "words"])
    axes = word_map(vectors, words).axes[0]
    places = vectors.map(words)
    assert list(named(axes)) == words
    assert torch.tensor([named(axes)[word] for word in words]) == pytest.approx(places)
    (dots,) = axes.collections
    assert torch.tensor(dots.get_offsets()).float() == pytest.approx(places)
    assert axes.get_legend() is None


def test_one_unit_is_as_long_across_as_up():
    axes = word_map(random_vectors(of(ENGLISH)), of(ENGLISH)).axes[0]
    axes.figure.canvas.draw()
    (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0, rel=0.01)


def test_the_axes_names_say_what_share_of_the_variance_they_keep():
    # Directions (1, 0), (-1, 0), (0, 1), (0, -1) and twice the third axis, up and down: the
    # mean is 0, the squared distances are 2 on each axis, a third each.
    vectors = WordVectors(list("abcdef"), torch.cat([torch.eye(3), -torch.eye(3) * 5]))
    axes = word_map(vectors, "abcdef").axes[0]
    assert axes.get_xlabel() == "first direction (33% of the variance)"
    # a, b, d, e alone lie in a plane: nothing is lost.
    axes = word_map(vectors, "abde").axes[0]
    assert axes.get_ylabel() == "second direction (50% of the variance)"


def test_words_that_point_the_same_way_make_a_map_without_variance():
    axes = word_map(WordVectors(["a", "b"], torch.tensor([[1.0, 0], [2.0, 0]])), "ab").axes[0]
    assert axes.get_xlabel() == "first direction (0% of the variance)"


def test_groups_have_colours_shapes_and_a_legend():
    words = [*of(ENGLISH), "alone"]
    vectors = random_vectors(words)
    axes = word_map(vectors, words, ENGLISH).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["people", "cost $1"]
    places = vectors.map(words)
    colours, shapes = {}, set()
    for dots in axes.collections:
        for offset in torch.tensor(dots.get_offsets()).float():
            word = words[int((places - offset).square().sum(1).argmin())]
            colours[word] = to_hex(dots.get_facecolor()[0])
        shapes.add(dots.get_paths()[0].vertices.tobytes())
    want = dict.fromkeys(ENGLISH["people"], COLOURS[0])
    want |= dict.fromkeys(ENGLISH["cost $1"], COLOURS[1])
    assert colours == {word: c.lower() for word, c in {**want, "alone": OTHERS}.items()}
    assert len(shapes) == 2  # a circle twice, people and the word alone, and a square


def test_a_word_in_two_groups_belongs_to_the_first():
    groups = {"one": ["a", "b", "a"], "two": ["b", "c"], "three": ["b"]}
    found = [(name, members) for name, members, *_ in grouped(["c", "b", "a"], groups)]
    assert found == [("one", ["a", "b"]), ("two", ["c"])]
    assert grouped(["a"], None) == [(None, ["a"], COLOURS[0], "o")]
    assert grouped(["a"], {"one": ["b"]}) == [(None, ["a"], OTHERS, "o")]


def test_a_word_given_twice_is_drawn_once():
    axes = word_map(random_vectors(["a", "b"]), ["a", "b", "a"]).axes[0]
    assert list(named(axes)) == ["a", "b"]


def test_all_unknown_words_are_named():
    vectors = random_vectors(["a", "b"])
    with pytest.raises(ValueError, match=r"no vector for 'x', 'Y': leave out .* the 2 words"):
        word_map(vectors, ["a", "x", "b", "Y", "x"])
    with pytest.raises(ValueError, match="two points or more"):
        word_map(vectors, ["a"])
    with pytest.raises(ValueError, match="two points or more"):
        word_map(vectors, [])


@pytest.mark.parametrize("count", [5, 31, 61])
def test_names_stay_in_the_picture_and_apart(count):
    words = [f"word-{i}" for i in range(count)]
    figure = word_map(random_vectors(words), words)
    figure.canvas.draw()
    axes = figure.axes[0]
    frame, names = axes.get_window_extent(), boxes(axes)
    for i, box in enumerate(names):
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1
        # Boxes of text have some air around them, so they may touch.
        assert not any(box.shrunk(0.9, 0.7).overlaps(other.shrunk(0.9, 0.7)) for other in names[:i])


def test_names_move_out_of_the_way():
    free, crowded = (30.0, 30.0), (31.0, 30.0)
    alone = place_names([free], [(20, 8)], (100, 100), 3)[0]
    assert (alone.x, alone.y, alone.covered, alone.far) == (33, 26, 0, False)  # right of the dot
    both = place_names([free, crowded], [(20, 8)] * 2, (100, 100), 3)
    assert [spot.covered for spot in both] == [0, 0]
    edge = place_names([(99.0, 99.0)], [(20, 8)], (100, 100), 3)[0]
    assert edge.x + 20 <= 100 and edge.y + 8 <= 100


@pytest.mark.parametrize("font", ["as installed", "none"])
def test_chinese_words_are_drawn_without_empty_boxes(font, monkeypatch):
    if font == "none":
        monkeypatch.setattr(figures, "chinese_font", lambda: None)
    words = of(CHINESE)
    vectors = random_vectors(words)
    figure = word_map(vectors, words, CHINESE, {"园": "garden"})
    figure.canvas.draw()
    names = set(named(figure.axes[0]))
    if font == "none":
        assert {"garden", "U+5B9D U+7389"} < names
    elif figures.chinese_font() is not None:
        assert names == set(words)
    draw_neighbours(vectors, "宝玉").canvas.draw()
    draw_context(["老太太", "笑"], [0.5, 0.5], "说").canvas.draw()
    draw_contexts([(["老太太", "笑"], [0.5, 0.5], "说")]).canvas.draw()
    place_weights({"窗": [0.5, 0.5]}, 1).canvas.draw()


def test_hostile_words_are_texts_like_others():
    words = ["$x", "$", "<b>", "\n", " ", "\\frac{", "\u200b"]
    figure = word_map(random_vectors(words), words, {"$^": ["$"]})
    figure.canvas.draw()
    assert list(named(figure.axes[0])) == ["$x", "$", "<b>", "↵", "␣", "\\frac{", "U+200B"]
    draw_neighbours(random_vectors(words), "$x").canvas.draw()
    draw_context(["$", "$x"], [0.5, 0.5], "$").canvas.draw()
    draw_contexts([(["$", "$x^"], [0.5, 0.5], "$")]).canvas.draw()
    place_weights({"$": [0.5, 0.5]}, 1).canvas.draw()


def test_all_draw_into_axes_that_are_given():
    words = of(CHINESE)
    vectors = random_vectors(words)
    figure, panels = plt.subplots(2, 3)
    panels = panels.flatten()
    assert word_map(vectors, words, CHINESE, axes=panels[0]) is figure
    assert draw_neighbours(vectors, "园", axes=panels[1]) is figure
    assert draw_context(["头", "口"], [0.5, 0.5], axes=panels[2]) is figure
    assert draw_contexts([(["头", "口"], [0.5, 0.5], "说")], axes=panels[3]) is figure
    assert place_weights({"窗": [0.5, 0.5]}, 1, axes=panels[4]) is figure
    assert tuple(figure.get_size_inches()) == tuple(plt.rcParams["figure.figsize"])
    figure.canvas.draw()  # in the style of the caller, whose font has no Chinese
    plt.close(figure)


# --- neighbours ------------------------------------------------------------------------------


def test_neighbours_are_bars_as_long_as_their_cosines():
    rows = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
    vectors = WordVectors(["a", "b", "c", "d"], rows, [9, 8, 7, 6])
    axes = draw_neighbours(vectors, "a", 3).axes[0]
    assert ticks(axes, "y") == ["b", "c", "d"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.6, 0, -1])
    assert [text.get_text() for text in axes.texts] == ["0.60", "0.00", "-1.00"]
    assert axes.get_xlim()[0] == -1
    assert axes.yaxis_inverted()  # the nearest on top
    assert axes.get_title("left") == "nearest to a"
    assert ticks(draw_neighbours(vectors, "a", least=8).axes[0], "y") == ["b"]


def test_neighbours_that_cannot_be_drawn():
    vectors = WordVectors(["a", "b"], torch.eye(2), [5, 5])
    with pytest.raises(KeyError, match="'z' is not among the 2 words"):
        draw_neighbours(vectors, "z")
    with pytest.raises(ValueError, match="no neighbour of 'a'"):
        draw_neighbours(vectors, "a", least=6)


# --- contexts --------------------------------------------------------------------------------


def test_a_context_has_a_bar_over_each_word_and_none_over_the_middle():
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True)
    figure = draw_context(["she", "was", "the", "first"], weights, "glad")
    figure.canvas.draw()
    axes = figure.axes[0]
    assert ticks(axes) == ["she", "was", "glad", "the", "first"]
    (bars,) = axes.containers
    assert [bar.get_height() for bar in bars] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    places = axes.get_xticks()
    assert list(places) == sorted(places) and places[2] == pytest.approx(0)
    over = [bar.get_x() + bar.get_width() / 2 for bar in bars]
    assert over == pytest.approx([places[0], places[1], places[3], places[4]])
    colours = [to_hex(text.get_color()) for text in axes.get_xticklabels()]
    assert [colour == TRUE.lower() for colour in colours] == [False, False, True, False, False]
    assert axes.lines[0].get_ydata()[0] == 0.25  # what each weighs in the plain mean
    assert axes.get_ylim()[1] > 0.4


def test_the_axis_of_the_weights_ends_where_one_says():
    axes = draw_context(["a", "b"], [0.5, 0.5], largest=1.0).axes[0]
    assert axes.get_ylim() == (0, 1)
    assert ticks(axes) == ["a", "?", "b"]


@pytest.mark.parametrize(("before", "drawn"), [(0, "?abc"), (1, "a?bc"), (3, "abc?")])
def test_the_middle_stands_where_it_did_in_the_text(before, drawn):
    axes = draw_context("abc", [0.2, 0.3, 0.5], before=before).axes[0]
    assert "".join(ticks(axes)) == drawn
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == pytest.approx([0.2, 0.3, 0.5])


def test_empty_places_are_blank_unless_they_weigh_something():
    axes = draw_context(["", "", "b", "c"], [0, 0.4, 0.3, 0.3]).axes[0]
    assert ticks(axes) == ["", "∅", "?", "b", "c"]
    assert axes.lines[0].get_ydata()[0] == 0.5


@pytest.mark.parametrize("words", [["word"] * 20, ["acknowledged"] * 20, ["字"] * 4])
def test_words_below_the_bars_do_not_run_into_each_other(words):
    figure = draw_context(words, [1 / len(words)] * len(words))
    figure.canvas.draw()
    assert figure.get_size_inches()[0] <= WIDEST
    names = [text.get_window_extent() for text in figure.axes[0].get_xticklabels()]
    assert all(left.x1 <= right.x0 for left, right in pairwise(names))


def cells(axes):
    """Text, middle, and colour of what is behind each word, row by row from the top."""
    found = {}
    for text in axes.texts:
        x, y = text.get_position()
        behind = [box for box in axes.patches if box.get_x() < x < box.get_x() + box.get_width()]
        (box,) = [box for box in behind if box.get_y() < y < box.get_y() + box.get_height()]
        found.setdefault(y, []).append((text.get_text(), x, box.get_facecolor()))
    return [sorted(row, key=lambda cell: cell[1]) for _, row in sorted(found.items())]


def test_contexts_are_aligned_at_their_middles_and_darker_where_they_weigh_more():
    rows = [
        (["a", "tremendously"], [0.25, 0.75], "one"),
        Context(["ran", "far", "away"], torch.tensor([0.2, 0.3, 0.5]), "beginning", 0),
        (["", "", "b", "c"], [0, 0, 0.6, 0.4], "two"),
        (["the", "end"], [0.1, 0.9], "last", 2),
    ]
    figure = draw_contexts(rows)
    figure.canvas.draw()
    table = cells(figure.axes[0])
    assert [[text for text, *_ in row if text] for row in table] == [
        ["a", "one", "tremendously"],
        ["beginning", "ran", "far", "away"],
        ["two", "b", "c"],
        ["the", "end", "last"],
    ]
    for row, middle in zip(table, ["one", "beginning", "two", "last"], strict=True):
        x, colour = next((x, colour) for text, x, colour in row if text == middle)
        assert x == pytest.approx(0) and colour == to_rgba("white")
    light = {text: sum(colour[:3]) for row in table for text, _, colour in row}
    order = sorted(
        ["end", "tremendously", "b", "away", "c", "far", "a", "ran", "the"], key=light.get
    )
    assert order == ["end", "tremendously", "b", "away", "c", "far", "a", "ran", "the"]
    assert light["end"] == pytest.approx(sum(plt.get_cmap("Blues")(1.0)[:3]))


def test_the_darkest_weight_may_be_chosen():
    axes = draw_contexts([(["a", "b"], [0.5, 0.5], "?")], largest=1.0).axes[0]
    (row,) = cells(axes)
    assert row[0][2] == pytest.approx(plt.get_cmap("Blues")(0.5))
    assert axes.get_xlabel() == "white: 0, darkest: 1"


def test_words_of_a_row_keep_to_their_cells():
    rows = [(["acknowledged"] * 20, [0.05] * 20, "universally"), (["i", "m"], [0.5, 0.5], "o")]
    figure = draw_contexts(rows)
    figure.canvas.draw()
    assert figure.get_size_inches()[0] <= WIDEST
    names = boxes(figure.axes[0])[:21]
    assert all(left.x1 <= right.x0 for left, right in pairwise(names))


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ((["a", "b"], [1.0]), "2 words but 1 weights"),
        (([], []), "0 words but 0 weights"),
        ((["a", "b"], [0.5, 0.6]), "add up to 1, but these to 1.1"),
        ((["a", "b"], [-0.5, 1.5]), "from 0 and add up to 1"),
        ((["a", "b"], [math.nan, 0.5]), "add up to 1, but these to nan"),
        ((["a", "b", "c"], [0.2, 0.3, 0.5]), "say how many are before it"),
        ((["a", "b"], [0.5, 0.5], "?", 3), "before is 3 but there are 2 words"),
        ((["a", "b"], [0.5, 0.5], "?", -1), "before is -1"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(context, said):
    with pytest.raises(ValueError, match=said):
        draw_context(*context)
    with pytest.raises(ValueError, match=said):
        draw_contexts([(["a", "b"], [0.5, 0.5], "?"), context])


def test_no_contexts_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        draw_contexts([])


# --- places ----------------------------------------------------------------------------------


def test_weights_by_place_have_a_gap_at_the_middle():
    curves = {"learned": torch.tensor([0.1, 0.4, 0.3, 0.2]), "plain $": [0.25] * 4}
    axes = place_weights(curves, 2, "bias").axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 5]
    assert [list(line.get_xdata()) for line in lines] == [[-2, -1, 0, 1, 2]] * 2
    drawn = lines[0].get_ydata()
    assert math.isnan(drawn[2])
    assert [drawn[i] for i in (0, 1, 3, 4)] == pytest.approx([0.1, 0.4, 0.3, 0.2])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["learned", "plain $"]
    assert list(axes.get_xticks()) == [-2, -1, 0, 1, 2]
    assert axes.get_ylabel() == "bias"
    wide = place_weights({"a": [0.0] * 26}, 13).axes[0]
    assert list(wide.get_xticks()) == [-10, -5, 0, 5, 10]


def test_curves_of_another_size_are_refused():
    with pytest.raises(ValueError, match="a has 5 numbers but a window of 2 has 4 places"):
        place_weights({"a": [0.2] * 5}, 2)
    with pytest.raises(ValueError, match="no curves"):
        place_weights({}, 2)


def test_without_a_chinese_font_contexts_have_codes(no_chinese):
    assert ticks(draw_context(["山", "b"], [0.5, 0.5], "水").axes[0]) == ["U+5C71", "U+6C34", "b"]
