"""A slider where there is someone to move it, the figures themselves where there is not."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

STATIC = 3  # figures drawn in place of a slider: the first choice, the middle one, the last


def interactive_or_static(
    function: Callable[..., Any], **choices: Sequence[Any]
) -> Any | list[Any]:
    """Call a function with sliders over its choices, or with a few of them where none can be.

    `interactive_or_static(attention_figure, step=range(7))` shows a slider in a notebook with
    ipywidgets. In a script, without ipywidgets, or with `MINIDISTILL_WIDGETS=off` (for a
    notebook that is to be kept or printed), it calls the function with the first, the middle
    and the last combination of choices, displays what it returns, and returns the list.

    An exception of the function is raised, not only printed in the widget.
    Raises ValueError: no choices, or nothing to choose from.
    """
    options = {name: list(values) for name, values in choices.items()}
    if not options or not all(options.values()):
        raise ValueError("give at least one choice, with at least one value: step=[0, 1, 2]")
    ipywidgets = _ipywidgets()
    if ipywidgets is None:
        return [_shown(function(**chosen)) for chosen in _few(options)]
    # A widget prints an exception and goes on; called here first, it stops the cell.
    function(**{name: values[0] for name, values in options.items()})
    sliders = {
        name: ipywidgets.SelectionSlider(
            options=[(str(value), value) for value in values],
            description=name,
            continuous_update=False,
        )
        for name, values in options.items()
    }
    return ipywidgets.interactive(function, **sliders)


def _few(options: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Return the first, the middle and the last combination, fewer where there are fewer."""
    combinations = [
        dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())
    ]
    last = len(combinations) - 1
    places = sorted({round(last * i / (STATIC - 1)) for i in range(STATIC)})
    return [combinations[place] for place in places]


def _ipywidgets() -> Any | None:
    """Return ipywidgets where a kernel runs that can serve it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if os.environ.get("MINIDISTILL_WIDGETS") == "off" or getattr(shell, "kernel", None) is None:
        return None
    try:
        import ipywidgets
    except ImportError:
        return None
    return ipywidgets


def _shown(result: Any) -> Any:
    """Display a result in a notebook; elsewhere there is nowhere to display it."""
    ipython = sys.modules.get("IPython")
    if result is not None and ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(result)
    return result
