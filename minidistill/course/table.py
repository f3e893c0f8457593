"""A small table that reads well as text and as HTML; no library, no style sheet."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of strings under headings, with a closing line."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    footer: str = ""

    def __repr__(self) -> str:
        """Columns padded with spaces; a Chinese character counts as two."""
        lines = [list(self.headings), *map(list, self.rows)]
        widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(_pad(c, w) for c, w in zip(r, widths, strict=True)).rstrip() for r in lines
        ]
        return "\n".join(
            [text[0], "-" * (sum(widths) + 2 * len(widths) - 2), *text[1:], self.footer]
        )

    def _repr_html_(self) -> str:
        """What Jupyter shows."""
        head = "".join(f"<th>{html.escape(h)}</th>" for h in self.headings)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>"
            for row in self.rows
        )
        foot = f"<p>{html.escape(self.footer)}</p>" if self.footer else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
