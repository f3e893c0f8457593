"""A progress bar that suits where it is shown: terminal, notebook or log file.

Not tqdm's notebook bar: that is a widget, whose state would be stored in the notebook, and
whose last frame (with a time in it) would differ on every run. Here a notebook's
first and last frame hold only the number of steps, so that verified outputs stay the same.
"""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """Shows how far a loop has come.

    In a terminal: tqdm's bar where tqdm is installed, else lines. In a notebook: one line that
    is rewritten, at most four times a second. Elsewhere: one line every ten seconds.

    Args:
        total: number of steps.
        done: steps done before, when a run is resumed.
        enabled: False shows nothing.
        unit: what is counted.
    """

    def __init__(self, total: int, done: int = 0, enabled: bool = True, unit: str = "step") -> None:
        self.total, self.first, self.enabled, self.unit = total, done, enabled, unit
        self.done, self.start, self.shown = done, time.monotonic(), 0.0
        self.where = _where() if enabled else "nowhere"
        self.handle: Any = None

    def __enter__(self) -> Progress:
        """Open the bar."""
        if self.where == "terminal":
            from tqdm import tqdm

            self.handle = tqdm(total=self.total, initial=self.first, unit=self.unit, leave=False)
        elif self.where == "notebook":
            from IPython.display import display

            self.handle = display(self._quiet(), display_id=True)
        self.shown = time.monotonic()
        return self

    def update(self, done: int, figures: str = "") -> None:
        """Say that `done` steps are behind us, with a few words of figures to show."""
        step, self.done = done - self.done, done
        now, wait = time.monotonic(), {"notebook": 0.25, "log": 10.0}.get(self.where, 0.0)
        if self.where == "terminal":
            self.handle.set_postfix_str(figures, refresh=False)
            self.handle.update(step)
        elif self.where != "nowhere" and now - self.shown >= wait:
            self.shown = now
            text = ", ".join(filter(None, (self._line(), figures, self._remaining())))
            if self.where == "notebook":
                self.handle.update(_Line(text))
            else:
                print(text, file=sys.stderr, flush=True)

    def __exit__(self, *error: object) -> None:
        """Close the bar."""
        if self.where == "terminal":
            self.handle.close()
        elif self.where == "notebook":
            self.handle.update(self._quiet())

    def _quiet(self) -> _Line:
        """The first and the last frame in a notebook: equal, so that nbval can compare it."""
        return _Line(f"{self.total} {self.unit}s")

    def _line(self) -> str:
        return f"{self.done} of {self.total} {self.unit}s"

    def _remaining(self) -> str:
        rate = (self.done - self.first) / max(1e-9, time.monotonic() - self.start)
        seconds = round((self.total - self.done) / max(rate, 1e-9))
        return f"{seconds // 60}:{seconds % 60:02d} left"


class _Line:
    """Plain text for `display`, without the quotes that a string would have."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _where() -> str:
    """Where output goes: "notebook", "terminal" or "log"."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and getattr(shell, "kernel", None) is not None:
        return "notebook"
    if sys.stderr.isatty():
        try:
            import tqdm  # noqa: F401
        except ImportError:
            return "log"
        return "terminal"
    return "log"
