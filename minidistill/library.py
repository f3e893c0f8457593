"""The catalogue: the novels that minidistill knows by name, read from data/catalogue.toml."""

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from minidistill.cleaning import Recipe
from minidistill.paths import data_folder


class NovelError(RuntimeError):
    """A novel cannot be had or read; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Entry:
    """What the catalogue says of one novel.

    died and published are years; licence says why the text is free; bytes and sha256 are of
    the raw file at url; chapters is how many there are after cleaning by the recipe.
    """

    slug: str
    title: str
    author: str
    died: int
    published: int
    language: str
    licence: str
    url: str
    bytes: int
    sha256: str
    chapters: int
    recipe: Recipe

    @property
    def file_name(self) -> str:
        """The name of the raw file in the cache: the slug and the address's own ending."""
        return f"{self.slug}-{urlsplit(self.url).path.rsplit('/', 1)[-1]}"


def catalogue() -> dict[str, Entry]:
    """Return the entries by slug, in the catalogue's order."""
    return dict(_entries())


def get(slug: str) -> Entry:
    """Return the entry of one novel.

    Raises NovelError: no such slug; the message lists the slugs and the nearest one.
    """
    entries = _entries()
    if slug in entries:
        return entries[slug]
    near = get_close_matches(slug.lower().replace("-", "_"), entries, n=1, cutoff=0.5)
    hint = f", did you mean {near[0]!r}?" if near else ";"
    raise NovelError(
        f"no novel is called {slug!r}{hint} the catalogue has {', '.join(entries)}, "
        "and any UTF-8 text file can be given by its path"
    )


@cache
def _entries() -> MappingProxyType[str, Entry]:
    return MappingProxyType({slug: _entry(slug, t) for slug, t in _read()["novels"].items()})


def _entry(slug: str, table: dict[str, Any]) -> Entry:
    facts = dict(table)
    recipe = Recipe(
        tuple(facts.pop("rules")),
        MappingProxyType(facts.pop("replace", {})),
        MappingProxyType(facts.pop("glyphs", {})),
    )
    return Entry(slug=slug, recipe=recipe, **facts)


@cache
def house() -> MappingProxyType[str, Any]:
    """Return what the catalogue says of the house novel: name, titles, author, licence."""
    return MappingProxyType(_read()["house"])


def _read() -> dict[str, Any]:
    return tomllib.loads((data_folder() / "catalogue.toml").read_text(encoding="utf-8"))
