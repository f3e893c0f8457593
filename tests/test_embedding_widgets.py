import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import torch

pytest.importorskip("matplotlib", reason="figures need matplotlib")


from minidistill.embedding_widgets import (
    explore_map,
    explore_neighbours,
    follow_contexts,
    hover_map,
)
from minidistill.figures import COLOURS
from minidistill.word_vectors import WordVectors

pytestmark = pytest.mark.usefixtures("no_missing_glyphs")

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ["<b>", '"', "'", "&amp;", "</svg>", "]]>", "<script>alert(1)</script>", "\x00", "\u2028"]


@pytest.fixture
def with_widgets(monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets", reason="sliders need ipywidgets")
    monkeypatch.setattr("minidistill.widgets._ipywidgets", lambda: ipywidgets)
    monkeypatch.setattr("minidistill.embedding_widgets._ipywidgets", lambda: ipywidgets)
    return ipywidgets


def random_vectors(words, counts=None):
    g = torch.Generator().manual_seed(0)
    return WordVectors(words, torch.randn(len(words), 7, generator=g), counts)


def parts(svg, words):
    """The groups of an SVG that must be XML, by the word that each is of."""
    root = ElementTree.fromstring(svg)
    assert root.tag == SVG + "svg"
    found = root.findall(SVG + "g")
    assert len(found) == len(words)
    return {group.find(SVG + "text").text: group for group in found}


def test_a_dot_tells_its_word_count_and_five_nearest():
    rows = torch.tensor([[1.0, 0], [3, 4], [0, 2], [-1, 0], [-3, 4], [4, 3], [7, -24]])
    vectors = WordVectors(list("abcdefg"), rows, [7, 6, 5, 4, 3, 2, 1])
    groups = parts(hover_map(vectors, "abc", {"first": ["a"]}, {"a": "one"}), "abc")
    told = groups["a"].find(SVG + "title").text.split("\n")
    assert told[:3] == ["a (one), first", "count: 7", "0.80  f"]
    assert told[3:] == ["0.60  b", "0.28  g", "0.00  c", "-0.60  e"]
    told = parts(hover_map(vectors, "abc", least=6), "abc")["c"].find(SVG + "title").text
    assert told.split("\n") == ["c", "count: 5", "0.80  b", "0.00  a"]


def test_without_counts_none_is_told():
    title = parts(hover_map(random_vectors(["a", "b"]), "ab"), "ab")["a"].find(SVG + "title")
    assert title.text.startswith("a\n") and "count" not in title.text


def test_the_dots_lie_as_on_the_map_in_the_colours_of_their_groups():
    words = [f"w{i}" for i in range(11)]
    vectors = random_vectors(words)
    svg = hover_map(vectors, words, {"low": words[:3], "high": words[3:7]})
    places, dots = vectors.map(words), []
    groups = parts(svg, words)
    for word in words:
        circle = groups[word].find(SVG + "circle")
        dots.append([float(circle.get("cx")), -float(circle.get("cy"))])
        i = words.index(word)
        grey = circle.get("fill") not in COLOURS
        assert grey if i >= 7 else circle.get("fill") == COLOURS[int(i >= 3)]
    dots = torch.tensor(dots)
    _, _, wide, high = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    assert (dots.abs() > 0).all() and (dots[:, 0] < wide).all() and (-dots[:, 1] < high).all()
    ours, theirs = dots - dots.mean(0), places - places.mean(0)
    scale = float(ours.norm() / theirs.norm())
    assert ours == pytest.approx(scale * theirs, abs=0.2)  # one scale across and up
    names = {text.text for text in ElementTree.fromstring(svg).findall(SVG + "text")}
    assert names == {"low", "high"}


def test_hostile_words_are_text_and_nothing_else():
    vectors = random_vectors(HOSTILE)
    groups = {word: [word] for word in HOSTILE}
    svg = hover_map(vectors, HOSTILE, groups, dict(zip(HOSTILE, HOSTILE[::-1], strict=True)))
    shown = parts(svg, HOSTILE)
    assert list(shown) == [*HOSTILE[:-2], "U+0000", "U+2028"]
    title = shown["<b>"].find(SVG + "title").text
    assert title.startswith("<b> (U+2028), <b>\n") and title.count("\n") == 5
    tags = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()}
    assert tags <= {"svg", "style", "circle", "text", "g", "title", "line"}


def test_nothing_is_fetched_from_the_net_and_nothing_runs():
    svg = hover_map(random_vectors(["a", "b"]), "ab")
    assert svg.count("http") == svg.count('xmlns="http://www.w3.org/2000/svg"') == 1
    assert "script" not in svg and "url(" not in svg and "@import" not in svg


def test_a_name_that_has_no_room_is_seen_under_the_pointer_alone():
    words = [f"word number {i}" for i in range(61)]
    crowd = torch.randn(61, 7, generator=torch.Generator().manual_seed(1)) * 1e-3
    crowd[:, 0] += 1
    crowd[0, 0] = -1  # far from the others, which are all in one place
    shown = parts(hover_map(WordVectors(words, crowd), words), words)
    hidden = [w for w in words if shown[w].find(SVG + "text").get("class") == "hidden"]
    assert words[0] not in hidden and 5 < len(hidden) < 61


def test_words_that_point_the_same_way_are_drawn():
    svg = hover_map(WordVectors(["a", "b"], torch.ones(2, 3)), "ab")
    assert len(parts(svg, "ab")) == 2


def test_chinese_stays_chinese_whatever_the_fonts(monkeypatch):
    monkeypatch.setattr("minidistill.figures.chinese_font", lambda: None)
    assert set(parts(hover_map(random_vectors(["园", "门"]), "园门"), "园门")) == {"园", "门"}


def test_with_widgets_the_map_is_one_piece_of_html(with_widgets):
    vectors = random_vectors(["a", "b", "c"])
    widget = explore_map(vectors, "abc", {"one": ["a"]})
    assert isinstance(widget, with_widgets.HTML)
    assert widget.value == hover_map(vectors, "abc", {"one": ["a"]})


def test_without_widgets_the_map_is_a_still_picture(monkeypatch):
    vectors = random_vectors(["a", "b", "c"])
    (figure,) = explore_map(vectors, "abc", {"one": ["a"]})
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "c"]


def test_widgets_can_be_switched_off_in_a_kernel(monkeypatch):
    displayed = []
    ipython = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=object()),
        display=SimpleNamespace(display=displayed.append),
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setenv("MINIDISTILL_WIDGETS", "off")
    assert explore_map(random_vectors(["a", "b"]), "ab") == displayed
    assert len(displayed) == 1


@pytest.mark.parametrize("explore", [explore_map, explore_neighbours, hover_map])
def test_unknown_words_are_named_with_and_without_widgets(explore):
    with pytest.raises(ValueError, match="no vector for 'x', 'y'"):
        explore(random_vectors(["a", "b"]), ["a", "x", "b", "y"])


def test_unknown_words_are_named_in_the_widget_too(with_widgets):
    with pytest.raises(ValueError, match="no vector for 'x', 'y'"):
        explore_map(random_vectors(["a", "b"]), ["a", "x", "b", "y"])


def titles(shown):
    return [figure.axes[0].get_title("left") for figure in shown]


def test_neighbours_of_three_words_are_shown_without_widgets():
    vectors = random_vectors(list("abcdefg"), range(7))
    shown = explore_neighbours(vectors, "abcdea", 2)
    assert titles(shown) == ["nearest to a", "nearest to c", "nearest to e"]
    assert {len(figure.axes[0].patches) for figure in shown} == {2}
    with pytest.raises(ValueError, match="at least one"):
        explore_neighbours(vectors, [])


def test_with_widgets_one_chooses_the_word(with_widgets):
    chooser = explore_neighbours(random_vectors(list("abcd")), ["d", "b", "d", "a"]).children[0]
    assert [value for _, value in chooser.options] == ["d", "b", "a"]


ROWS = [
    (["a", "b"], [0.5, 0.5], "one"),
    (["a", "b", "c"], torch.tensor([0.2, 0.3, 0.5]), "two", 0),
    (["a", "b"], [0.75, 0.25], "three"),
]


def test_contexts_are_followed_on_one_scale():
    shown = follow_contexts(ROWS)
    drawn = [[text.get_text() for text in figure.axes[0].get_xticklabels()] for figure in shown]
    assert drawn == [["a", "one", "b"], ["two", "a", "b", "c"], ["a", "three", "b"]]
    assert [figure.axes[0].get_ylim()[1] for figure in shown] == pytest.approx([0.81] * 3)


def test_with_widgets_there_is_one_slider_over_the_contexts(with_widgets):
    slider = follow_contexts(ROWS).children[0]
    assert [value for _, value in slider.options] == [0, 1, 2]


def test_a_context_that_does_not_fit_is_refused_before_the_slider(with_widgets):
    with pytest.raises(ValueError, match="2 words but 1 weights"):
        follow_contexts([*ROWS, (["a", "b"], [1.0], "?")])
    with pytest.raises(ValueError, match="at least one row"):
        follow_contexts([])
