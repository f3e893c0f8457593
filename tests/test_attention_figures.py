import pytest
import torch

pytest.importorskip("matplotlib", reason="figures need matplotlib")

import matplotlib.pyplot as plt

from minidistill import figures
from minidistill.attention_figures import LARGEST, draw_attention, draw_step
from minidistill.attention_widgets import follow

pytestmark = pytest.mark.usefixtures("no_missing_glyphs")

ENGLISH = ["In", " Heron", " Bend", " there", " were", "\n"]
CHINESE = list("鹭湾人打发晚上，")


def weights(T, S):
    return torch.randn(T, S, generator=torch.Generator().manual_seed(0)).softmax(-1)


def ticks(axes, which):
    return [text.get_text() for text in getattr(axes, f"get_{which}ticklabels")()]


def test_the_map_has_a_row_for_each_target_token_and_all_words():
    figure = draw_attention(weights(3, 5), list("abcde"), ["x", "$y$", " z"], title="$1 and $2")
    axes = figure.axes[0]
    assert axes.images[0].get_array().shape == (3, 5)
    assert ticks(axes, "x") == list("abcde")
    assert ticks(axes, "y") == ["x", "$y$", "␣z"]
    assert axes.images[0].get_clim() == (0, 1)
    assert axes.get_xlabel() == "source" and axes.get_ylabel() == "target"


def test_weights_may_be_lists_or_on_the_way_to_a_gradient():
    draw_attention([[0.5, 0.5]], ["a", "b"], ["c"])
    draw_attention(weights(2, 2).requires_grad_(), ["a", "b"], ["c", "d"])


def test_rings_stand_at_the_true_places_alone():
    axes = draw_attention(weights(3, 3), "abc", "cba", alignment=[2, -100, 0]).axes[0]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines] == [(2, 0), (0, 2)]


@pytest.mark.parametrize("font", ["as installed", "none"])
def test_chinese_is_drawn_without_empty_boxes(font, monkeypatch):
    if font == "none":
        monkeypatch.setattr(figures, "chinese_font", lambda: None)
    T, S = len(CHINESE), len(ENGLISH)
    draw_attention(weights(T, S), ENGLISH, CHINESE).canvas.draw()
    draw_attention(weights(S, T), CHINESE, ENGLISH).canvas.draw()
    axes = draw_step(weights(T, S), ENGLISH, CHINESE, 2).axes[0]
    axes.figure.canvas.draw()
    if font == "none":
        assert axes.get_title("left") == "U+9E6DU+6E7E[U+4EBA]"
    elif figures.chinese_font() is not None:
        assert axes.get_title("left") == "鹭湾[人]"
    assert ticks(axes, "x")[-1] == "↵"


def test_a_long_text_keeps_to_the_size_and_all_its_words():
    figure = draw_attention(weights(83, 71), ["word"] * 71, ["字"] * 83)
    width, height = figure.get_size_inches()
    assert (width, height) == LARGEST
    axes = figure.axes[0]
    assert len(ticks(axes, "x")) == 71 and len(ticks(axes, "y")) == 83
    sizes = [text.get_fontsize() for text in axes.get_yticklabels()]
    assert 4.5 <= sizes[0] * 83 / 72 <= height and sizes[0] >= 4.5


def test_a_short_text_makes_a_small_picture():
    width, height = draw_attention([[1.0]], ["a"], ["b"]).get_size_inches()
    assert width < 3 and height < 2


def test_a_step_shows_its_row_and_the_text_so_far():
    table = weights(3, 5)
    axes = draw_step(table, "abcde", ["x", " y", " z"], 1).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx(table[1].tolist())
    assert axes.get_title("left") == "x[␣y]"
    colours = {bar.get_facecolor() for bar in axes.patches}
    assert len(colours) == 2  # the largest stands out


def test_the_title_keeps_the_end_of_a_long_text():
    axes = draw_step(weights(200, 2), "ab", ["w"] * 200, 199).axes[0]
    assert axes.get_title("left") == "…" + "w" * 60 + "[w]"


def test_both_draw_into_axes_that_are_given():
    figure, (left, right) = plt.subplots(1, 2)
    assert draw_attention(weights(2, 3), "abc", "de", axes=left) is figure
    assert draw_step(weights(2, 3), "abc", "de", 0, axes=right) is figure
    plt.close(figure)


def test_chinese_is_drawn_in_a_figure_of_the_callers_too():
    figure, (left, right) = plt.subplots(1, 2)
    T, S = len(CHINESE), len(ENGLISH)
    draw_attention(weights(S, T), CHINESE, ENGLISH, title="鹭湾", axes=left)
    draw_step(weights(T, S), ENGLISH, CHINESE, 2, axes=right)
    figure.canvas.draw()  # in the style of the caller, whose font has no Chinese
    plt.close(figure)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"weights are \(2, 3\) but there are 3 target and 2"):
        draw_attention(weights(2, 3), "ab", "abc")
    with pytest.raises(ValueError, match="one row for each target token"):
        draw_step([], [], [], 0)
    with pytest.raises(ValueError, match="the tokens 0 to 1"):
        draw_step(weights(2, 3), "abc", "de", 2)


def test_without_widgets_three_steps_are_shown():
    shown = follow(weights(5, 3), "abc", "vwxyz")
    titles = [figure.axes[0].get_title("left") for figure in shown]
    assert titles == ["[v]", "vw[x]", "vwxy[z]"]
    with pytest.raises(ValueError, match="no step to follow"):
        follow([], "abc", "")


def test_with_widgets_there_is_one_slider_over_the_steps(monkeypatch):
    widgets = pytest.importorskip("ipywidgets")
    monkeypatch.setattr("minidistill.widgets._ipywidgets", lambda: widgets)
    slider = follow(weights(5, 3), "abc", "vwxyz").children[0]
    assert [value for _, value in slider.options] == [0, 1, 2, 3, 4]
