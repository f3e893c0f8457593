import math
import sys

import pytest
import torch

pytest.importorskip("matplotlib", reason="figures need matplotlib")

import matplotlib.pyplot as plt

from minidistill import figures
from minidistill.training import History
from minidistill.widgets import interactive_or_static

pytestmark = pytest.mark.usefixtures("no_missing_glyphs")


def draw(figure):
    figure.canvas.draw()
    return figure.axes[0]


def ticks(axes, which="x"):
    return [text.get_text() for text in getattr(axes, f"get_{which}ticklabels")()]


def test_a_label_that_can_be_drawn_stays():
    assert figures.label("water") == "water"
    assert figures.label("a b") == "a b"
    assert figures.label("") == ""


def test_white_space_becomes_visible():
    assert [figures.label(c) for c in " \n\t"] == ["␣", "↵", "⇥"]
    assert figures.label("\u3000") == "U+3000"
    assert figures.label("\u200b") == "U+200B"


def test_without_a_chinese_font_the_translation_or_the_code_is_written(no_chinese):
    assert figures.label("水", "shuǐ") == "shuǐ"
    assert figures.label("水") == "U+6C34"
    assert figures.label("山水") == "U+5C71 U+6C34"
    assert figures.label("\U0010fffd") == "U+10FFFD"


def test_a_chinese_font_that_is_found_has_the_glyph():
    name = figures.chinese_font()
    if name is None:
        pytest.skip("no Chinese font is installed here")
    assert figures._has(name, "水")
    assert figures.label("水") == "水"


def test_fonts_are_asked_for_the_glyph_not_only_for_their_name(monkeypatch):
    monkeypatch.setattr(figures, "CHINESE_FONTS", ("DejaVu Sans",))
    monkeypatch.setattr(figures, "CHINESE_HINTS", ("dejavu",))
    assert figures.chinese_font.__wrapped__() is None


@pytest.mark.parametrize("font", ["as installed", "none"])
def test_chinese_figures_have_no_empty_boxes(font, monkeypatch):
    if font == "none":
        monkeypatch.setattr(figures, "chinese_font", lambda: None)
    draw(figures.frequency_bars(["的", "，", "水", " "], [7, 5, 3, 2]))
    draw(figures.heat_map([[0.1, 0.9]], ["山", "水"], ["hill"]))
    draw(figures.zipf({"西游记": [3, 2, 1]}))
    draw(figures.gradient_norms({"循环": [1.0, 2.0]}))
    history = History(losses=[2.0, 1.0], validation=[(2, 1.5)])
    draw(figures.learning_curves({"循环": history}, {"一元": 4.0}))


def test_frequency_bars_have_the_counts_and_the_names(no_chinese):
    figure = figures.frequency_bars(["a", "水", "$x$"], [7, 5, 3], {"水": "water"})
    axes = draw(figure)
    assert [bar.get_height() for bar in axes.patches] == [7, 5, 3]
    assert ticks(axes) == ["a", "water", "$x$"]


def test_learning_curves_are_in_bits():
    history = History(losses=[2 * math.log(2)] * 5, validation=[(5, 3 * math.log(2))])
    axes = draw(figures.learning_curves(history, {"unigram": 4.25}))
    training, validation, baseline = axes.lines
    assert training.get_ydata() == pytest.approx([2.0] * 5)
    assert (list(validation.get_xdata()), validation.get_ydata()) == ([5], pytest.approx([3.0]))
    assert list(baseline.get_ydata()) == [4.25, 4.25]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["training", "validation", "unigram: 4.25"]


def test_the_running_mean_is_over_the_last_values():
    assert figures._running_mean([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]
    assert figures._running_mean([1.0, 3.0], 0) == [1.0, 3.0]
    assert figures._running_mean([], 3) == []


def test_zipf_ranks_counts_and_draws_the_law():
    axes = draw(figures.zipf({"words": {"b": 2, "a": 8, "c": 0}}))
    points, law = axes.lines
    assert (list(points.get_xdata()), list(points.get_ydata())) == ([1, 2], [8, 2])
    assert law.get_ydata()[0] / law.get_ydata()[1] == law.get_xdata()[1] / law.get_xdata()[0]
    with pytest.raises(ValueError, match="nothing to rank"):
        figures.zipf({"words": [0]})


def test_a_heat_map_takes_tensors_that_are_being_trained():
    matrix = torch.rand(3, 5, requires_grad=True)
    axes = draw(figures.heat_map(matrix, list("abcde"), list("xyz"), "source", "target"))
    assert axes.images[0].get_array().shape == (3, 5)
    assert (ticks(axes), ticks(axes, "y")) == (list("abcde"), list("xyz"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("source", "target")


def test_labels_and_values_must_match():
    with pytest.raises(ValueError, match="2 labels but 3 values"):
        figures.frequency_bars(["a", "b"], [1, 2, 3])
    with pytest.raises(ValueError, match="one label for each"):
        figures.heat_map([[1.0, 2.0]], ["a"], ["x"])


def test_gradient_norms_show_where_clipping_begins():
    axes = draw(figures.gradient_norms([0.5, 20.0], clip_norm=1.0))
    assert list(axes.lines[1].get_ydata()) == [1.0, 1.0]
    assert axes.get_yscale() == "log"


def test_a_figure_can_be_drawn_into_axes():
    figure, (left, right) = plt.subplots(1, 2)
    assert figures.gradient_norms([1.0, 2.0], axes=left) is figure
    assert figures.zipf({"a": [2, 1]}, axes=right) is figure
    assert left.lines and right.lines
    plt.close(figure)


def test_the_style_ends_with_its_block():
    before = plt.rcParams["figure.dpi"]
    with figures.course_style():
        assert plt.rcParams["figure.dpi"] == 90
        assert tuple(plt.rcParams["figure.figsize"]) == (6, 3.2)
    assert plt.rcParams["figure.dpi"] == before


def test_without_matplotlib_the_import_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "minidistill.figures")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install"):
        __import__("minidistill.figures")


def test_without_a_kernel_the_first_middle_and_last_choices_are_drawn():
    seen = []
    function = lambda step, name="x": seen.append((step, name)) or step  # noqa: E731
    assert interactive_or_static(function, step=range(7)) == [0, 3, 6]
    assert interactive_or_static(function, step=[4]) == [4]
    assert interactive_or_static(function, step=[1, 2]) == [1, 2]
    assert interactive_or_static(function, step=[1, 2], name=["a"]) == [1, 2]
    assert seen[-1] == (2, "a")


def test_widgets_swallow_no_exception():
    with pytest.raises(ZeroDivisionError):
        interactive_or_static(lambda step: 1 / step, step=[1, 0])
    with pytest.raises(ValueError, match="at least one choice"):
        interactive_or_static(lambda: None)
    with pytest.raises(ValueError, match="at least one value"):
        interactive_or_static(lambda step: None, step=[])


def test_with_a_kernel_there_is_a_slider(monkeypatch):
    ipywidgets = pytest.importorskip("ipywidgets", reason="sliders need ipywidgets")
    monkeypatch.setattr("minidistill.widgets._ipywidgets", lambda: ipywidgets)
    widget = interactive_or_static(lambda step: None, step=["a", "b", "c"])
    slider = widget.children[0]
    assert (slider.description, slider.value) == ("step", "a")
    assert slider.options == (("a", "a"), ("b", "b"), ("c", "c"))
    with pytest.raises(ZeroDivisionError):
        interactive_or_static(lambda step: 1 / step, step=[0, 1])
