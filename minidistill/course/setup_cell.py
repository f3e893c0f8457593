"""The Colab badge and the first code cell of every notebook, from one setting."""

from __future__ import annotations

_LOCAL = """import sys

if "google.colab" in sys.modules:
    {install}
import minidistill
from minidistill.course import check, hint, status, use

print("minidistill is ready")"""

_FROM_REPOSITORY = (
    "%pip install --quiet --no-deps git+https://github.com/{repository}  # torch stays as it is"
)
_FROM_WHEEL = (
    'print("Colab: upload the course\'s wheel, then run: %pip install --no-deps minidistill-*.whl")'
)


def setup_code(repository: str) -> str:
    """The first code cell: on Colab it installs the package alone, so that torch stays as it is."""
    install = _FROM_REPOSITORY.format(repository=repository) if repository else _FROM_WHEEL
    return _LOCAL.format(install=install)


def badge(repository: str, path: str) -> str:
    """The markdown of a Colab badge for one notebook, "" while there is no public home."""
    if not repository:
        return ""
    address = f"https://colab.research.google.com/github/{repository}/blob/main/{path}"
    return f"[Open in Colab]({address})"
