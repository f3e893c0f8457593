"""A slider that follows a target token by token; a still picture where no slider can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidistill.attention_figures import draw_step
from minidistill.widgets import interactive_or_static


def follow(weights: Any, source: Sequence[str], target: Sequence[str], largest: float = 1.0) -> Any:
    """Step through a target with a slider: what is written so far, and where it looks next.

    In a notebook with ipywidgets it gives a slider over the target's tokens. Elsewhere, or with
    `MINIDISTILL_WIDGETS=off`, it displays the first, the middle and the last step and returns
    the three figures; see `minidistill.widgets.interactive_or_static`.

    Args:
        weights: (T, S), each row of which adds up to 1.
        source, target: the tokens' texts, S and T of them.
        largest: where the axis of the weights ends.

    Raises:
        ValueError: not one row for each target token and one column for each source token.

    Taught in solutions/06_bahdanau_attention.ipynb.
    """

    if not len(target):
        raise ValueError("the target is empty: there is no step to follow")

    def draw(step: int) -> Any:
        return draw_step(weights, source, target, step, largest)

    return interactive_or_static(draw, step=range(len(target)))


__all__ = ["follow"]
