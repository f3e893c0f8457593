"""The download, against a real HTTP server on this machine: whole, slow, cut, wrong and absent."""

import errno
import hashlib
import io
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minidistill import download as module
from minidistill.cleaning import Recipe
from minidistill.download import address, cached, download
from minidistill.library import Entry, NovelError, catalogue, get

BODY = "\n".join(f"line {random.Random(n).random()}" for n in range(9973)).encode()
PATH = "/someone/7/0123456789/7-0.txt"
ENTRY = Entry(
    slug="fake",
    title="A Fake",
    author="Nobody",
    died=1900,
    published=1890,
    language="en",
    licence="public domain",
    url="https://novels.invalid" + PATH,
    bytes=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
    chapters=1,
    recipe=Recipe(()),
)
HALF = len(BODY) // 2


@dataclass
class Site:
    """What the server does, and what it was asked."""

    mode: str = "whole"
    body: bytes = BODY
    asked: list[str] = field(default_factory=list)  # the Range header of each request, or ""


class Handler(BaseHTTPRequestHandler):
    """Serves one file at PATH, in the ways that `Site.mode` names."""

    def __init__(self, site: Site, *args) -> None:
        self.site = site
        super().__init__(*args)

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range", "")
        site.asked.append(wanted)
        if self.path != PATH or site.mode == "gone":
            return self.send_error(404)
        if wanted and site.mode == "refuses ranges":
            return self.send_error(416)
        start = int(re.search(r"\d+", wanted)[0]) if wanted and site.mode != "no ranges" else 0
        body = site.body[start:]
        self.send_response(206 if start else 200)
        if start:
            shown = start - 5 if site.mode == "other range" else start
            self.send_header("Content-Range", f"bytes {shown}-{len(site.body) - 1}/*")
        if site.mode != "no length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        stops = {"cut": HALF - start, "no length": HALF - start, "stall": HALF - start}
        self.wfile.write(body[: stops.get(site.mode)])
        if site.mode == "stall":
            self.wfile.flush()
            time.sleep(1)


@contextmanager
def serving(handler) -> Iterator[str]:
    """Run a server on a free port of this machine; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuietFiles(SimpleHTTPRequestHandler):
    """Serves a folder, without the log."""

    def log_message(self, *args) -> None:
        pass


def serving_folder(folder: Path):
    return serving(partial(QuietFiles, directory=str(folder)))


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    """A server that holds the fake novel, set as the mirror."""
    site = Site()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(partial(Handler, site)) as host:
        monkeypatch.setenv("MINIDISTILL_MIRROR", host)
        yield site


@pytest.fixture
def get_it(tmp_path):
    return partial(download, ENTRY, cache=tmp_path, progress=False)


def target(cache: Path) -> Path:
    return cache / "novels" / "fake-7-0.txt"


def part(cache: Path) -> Path:
    return target(cache).with_name("fake-7-0.txt.part")


def refused(get_it, cache: Path) -> str:
    """Call the download, which must fail in one sentence and leave nothing under the name."""
    with pytest.raises(NovelError) as caught:
        get_it()
    assert not target(cache).exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def works(get_it, cache: Path) -> None:
    assert get_it() == target(cache)
    assert target(cache).read_bytes() == BODY
    assert not part(cache).exists()


def test_a_download_is_whole_and_the_next_call_asks_nobody(site, get_it, tmp_path):
    assert cached(ENTRY, tmp_path) is None
    works(get_it, tmp_path)
    works(get_it, tmp_path)
    assert site.asked == [""]
    assert cached(ENTRY, tmp_path) == target(tmp_path)


def test_a_cut_connection_keeps_what_came_and_the_next_call_asks_for_the_rest(
    site, get_it, tmp_path
):
    site.mode = "cut"
    said = refused(get_it, tmp_path)
    assert f"was cut after {HALF} of {len(BODY)} bytes" in said and "call again" in said
    assert part(tmp_path).read_bytes() == BODY[:HALF]
    site.mode = "whole"
    works(get_it, tmp_path)
    assert site.asked == ["", f"bytes={HALF}-"]


@pytest.mark.parametrize("mode", ["no ranges", "refuses ranges"])
def test_a_server_that_cannot_resume_is_asked_for_the_whole(site, get_it, tmp_path, mode):
    site.mode = "cut"
    refused(get_it, tmp_path)
    site.mode = mode
    works(get_it, tmp_path)


def test_a_connection_that_ends_early_without_a_length_is_cut_too(site, get_it, tmp_path):
    site.mode = "no length"
    assert f"cut after {HALF} of" in refused(get_it, tmp_path)
    site.mode = "whole"
    works(get_it, tmp_path)


def test_silence_in_mid_file_is_a_cut_connection(site, get_it, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    site.mode = "stall"
    assert f"cut after {HALF} of {len(BODY)} bytes of fake (timed out)" in refused(get_it, tmp_path)
    site.mode = "whole"
    works(get_it, tmp_path)


def test_another_part_than_the_one_asked_for_is_refused(site, get_it, tmp_path):
    site.mode = "cut"
    refused(get_it, tmp_path)
    site.mode = "other range"
    assert "another part of the file" in refused(get_it, tmp_path)
    site.mode = "whole"
    works(get_it, tmp_path)


def test_a_wrong_hash_says_both_hashes_and_leaves_nothing(site, get_it, tmp_path):
    site.body = BODY[:-1] + b"!"
    said = refused(get_it, tmp_path)
    assert ENTRY.sha256 in said and hashlib.sha256(site.body).hexdigest() in said
    assert "may be stale" in said and "MINIDISTILL_MIRROR" in said
    assert not part(tmp_path).exists()
    site.body = BODY
    works(get_it, tmp_path)


@pytest.mark.parametrize("body", [BODY + b"more", BODY[:-3], b"<html>Please log in</html>"])
def test_a_file_of_another_length_is_refused_before_it_is_read(site, get_it, tmp_path, body):
    site.body = body
    assert f"has {len(body)} bytes, the catalogue's file {len(BODY)}" in refused(get_it, tmp_path)
    assert not part(tmp_path).exists()
    site.body = BODY
    works(get_it, tmp_path)


@pytest.mark.parametrize("left", [b"?" * HALF, BODY + b"and more", b"?" * len(BODY), BODY, b""])
def test_whatever_an_earlier_try_left_the_download_comes_right(site, get_it, tmp_path, left):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(left)
    works(get_it, tmp_path)
    assert len(site.asked) == {HALF: 2, len(BODY): int(left != BODY)}.get(len(left), 1)


@pytest.mark.parametrize("damage", [BODY[:-7], BODY[:-1] + b"!", b""])
def test_a_damaged_file_in_the_cache_is_downloaded_again(site, get_it, tmp_path, damage):
    works(get_it, tmp_path)
    target(tmp_path).write_bytes(damage)
    assert cached(ENTRY, tmp_path) is None
    works(get_it, tmp_path)
    assert len(site.asked) == 2


def test_a_missing_page_is_a_sentence_with_its_number(site, get_it, tmp_path):
    site.mode = "gone"
    said = refused(get_it, tmp_path)
    assert "answered 404" in said and PATH in said
    site.mode = "whole"
    works(get_it, tmp_path)


def test_nobody_listening_is_a_sentence_about_the_network(site, get_it, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    with monkeypatch.context() as patched:
        patched.setenv("MINIDISTILL_MIRROR", f"http://{nobody}")
        said = refused(get_it, tmp_path)
    assert f"no answer from {nobody}" in said and "house novel" in said
    works(get_it, tmp_path)


def test_a_cache_that_cannot_be_written_names_the_variable(site, get_it, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with pytest.raises(NovelError, match=r"cannot be written to .* MINIDISTILL_CACHE"):
        download(ENTRY, cache=in_the_way, progress=False)
    assert in_the_way.read_text() == "not a folder"
    works(get_it, tmp_path)


def test_a_whole_file_in_a_read_only_cache_is_enough(site, get_it, tmp_path, monkeypatch):
    works(get_it, tmp_path)
    monkeypatch.setattr(Path, "mkdir", lambda *args, **kw: pytest.fail("must not write"))
    monkeypatch.setattr(module, "_locked", lambda path: pytest.fail("must not write"))
    assert get_it() == target(tmp_path)


def test_a_full_disk_says_how_much_is_needed(site, get_it, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_copy", full)
        said = refused(get_it, tmp_path)
    assert "is full" in said and str(len(BODY)) in said and "MINIDISTILL_CACHE" in said
    works(get_it, tmp_path)


def test_many_at_once_make_one_download(site, tmp_path):
    with ThreadPoolExecutor(5) as pool:
        tries = [pool.submit(download, ENTRY, cache=tmp_path, progress=False) for _ in range(5)]
    assert {t.result() for t in tries} == {target(tmp_path)}
    assert target(tmp_path).read_bytes() == BODY
    assert site.asked == [""]


def test_the_environment_names_the_cache(site, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDISTILL_CACHE", str(tmp_path / "mine"))
    assert download(ENTRY, progress=False) == target(tmp_path / "mine")


def test_a_mirror_replaces_the_host_and_keeps_the_path(monkeypatch):
    monkeypatch.delenv("MINIDISTILL_MIRROR", raising=False)
    assert address(ENTRY) == ENTRY.url
    monkeypatch.setenv("MINIDISTILL_MIRROR", "http://127.0.0.1:8000/")
    assert address(ENTRY) == "http://127.0.0.1:8000" + PATH
    for bad in ("127.0.0.1:8000", "localhost", "ftp://host", "http://"):
        monkeypatch.setenv("MINIDISTILL_MIRROR", bad)
        with pytest.raises(NovelError, match="is no address"):
            address(ENTRY)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_lines_or_nothing(site, tmp_path, monkeypatch, capsys):
    quiet, plain, bar, lines = (tmp_path / name for name in ("quiet", "plain", "bar", "lines"))
    download(ENTRY, cache=quiet, progress=False)
    assert capsys.readouterr() == ("", "")
    download(ENTRY, cache=plain)
    out, said = capsys.readouterr()
    assert out == "" and said == "downloading fake: 0.2 MB\ndownloaded fake\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    download(ENTRY, cache=bar)
    assert "fake: 100%" in terminal.getvalue()
    terminal.truncate(0)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # as if it were not installed
    download(ENTRY, cache=lines)
    assert "downloaded fake" in terminal.getvalue()


def test_a_cut_download_does_not_claim_to_be_done(site, tmp_path, capsys):
    site.mode = "cut"
    with pytest.raises(NovelError):
        download(ENTRY, cache=tmp_path)
    assert "downloaded" not in capsys.readouterr().err


def test_the_catalogue_is_complete():
    entries = catalogue()
    assert [e.language for e in entries.values()] == ["en"] * 4 + ["zh"] * 3
    for slug, entry in entries.items():
        assert entry.slug == slug and get(slug) == entry
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256) and entry.bytes > 100_000
        assert re.fullmatch(r"https://[^/]+/[^/]+/\d+/[0-9a-f]{40}/\d+-0\.txt", entry.url)
        assert entry.died < 1931 and entry.published < 1931  # free in Europe and in the US
        assert entry.licence.startswith("public domain")
        assert replace(entry, slug="x").file_name.startswith("x-")


@pytest.mark.parametrize(
    ("wrong", "near"), [("alise", "alice"), ("Moby-Dick", "moby_dick"), ("sango", "sanguo")]
)
def test_an_unknown_slug_gets_the_list_and_the_nearest(wrong, near):
    with pytest.raises(NovelError, match=f"did you mean '{near}'") as caught:
        get(wrong)
    assert all(slug in str(caught.value) for slug in catalogue())
    with pytest.raises(NovelError, match="no novel is called 'qqq'; the catalogue has"):
        get("qqq")
