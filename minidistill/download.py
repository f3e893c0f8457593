"""Downloads that can be trusted: resumed when cut, checked by sha256 before they take their name.

The file grows under `<name>.part`, and only a file with the right size and hash is renamed
to `<name>`. So whatever goes wrong, what is in the cache under its own name is whole, and
the next try goes on from what is there.
"""

import errno
import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from minidistill.library import Entry, NovelError
from minidistill.paths import cache_folder

TIMEOUT = 30.0  # seconds without a byte before a connection counts as dead
CHUNK = 1 << 16  # bytes


def cached(entry: Entry, cache: str | Path | None = None) -> Path | None:
    """Return the novel's raw file if the cache has it whole, else None."""
    path = _target(entry, cache)
    try:
        whole = path.stat().st_size == entry.bytes and _sha256(path) == entry.sha256
    except OSError:
        return None
    return path if whole else None


def download(entry: Entry, *, cache: str | Path | None = None, progress: bool = True) -> Path:
    """Return the raw file of a novel, from the cache or, the first time, over the network.

    `MINIDISTILL_MIRROR` replaces the scheme and host of the address and keeps its path. With
    progress, a terminal shows a bar and anything else two lines; without, nothing.
    Raises NovelError: no network, no such page, a cut connection (the next call resumes), a
    file that is not the one in the catalogue, a cache that cannot be written.
    """
    if found := cached(entry, cache):
        return found
    path = _target(entry, cache)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            # Another process may have finished it while this one waited for the lock.
            if not cached(entry, cache):
                _fetch_checked(entry, path, progress)
    except OSError as error:
        raise NovelError(_disk_trouble(entry, path, error)) from error
    return path


def address(entry: Entry) -> str:
    """Return the address of the raw file, on the mirror if `MINIDISTILL_MIRROR` names one."""
    mirror = os.environ.get("MINIDISTILL_MIRROR", "").strip()
    if not mirror:
        return entry.url
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise NovelError(
            f"MINIDISTILL_MIRROR is {mirror!r}, which is no address: "
            "it begins with http:// or https://, as in http://127.0.0.1:8000"
        )
    return mirror.rstrip("/") + urlsplit(entry.url).path


def _target(entry: Entry, cache: str | Path | None) -> Path:
    folder = Path(cache).expanduser() if cache is not None else cache_folder()
    return folder / "novels" / entry.file_name


def _fetch_checked(entry: Entry, path: Path, progress: bool) -> None:
    """Complete the .part, check it, and give it its name; a resumed one may be begun anew."""
    url = address(entry)
    part = path.with_name(path.name + ".part")
    resumed = part.exists() and 0 < part.stat().st_size <= entry.bytes
    if not resumed:
        part.unlink(missing_ok=True)
    if not resumed or part.stat().st_size < entry.bytes:
        _fetch(entry, url, part, progress)
    actual = _sha256(part)
    if actual != entry.sha256 and resumed:
        # The beginning may have come from another mirror, on another day: once more, whole.
        part.unlink()
        _fetch(entry, url, part, progress)
        actual = _sha256(part)
    if actual != entry.sha256:
        part.unlink()
        raise NovelError(
            f"{url} is not the file in the catalogue: its sha256 is {actual}, expected "
            f"{entry.sha256}; {_mirror_advice()}"
        )
    os.replace(part, path)


def _fetch(entry: Entry, url: str, part: Path, progress: bool) -> None:
    """Write the rest of the file at `url` behind what `part` has; raise if it is cut short."""
    have = part.stat().st_size if part.exists() else 0
    with _open(entry, url, have) as response:
        have = _continues_at(response, have)
        length = response.headers.get("Content-Length")
        if length is not None and have + int(length) != entry.bytes:
            part.unlink(missing_ok=True)
            raise NovelError(
                f"{url} has {have + int(length)} bytes, the catalogue's file {entry.bytes}; "
                + _mirror_advice()
            )
        with part.open("r+b" if have else "wb") as file, _bar(entry, have, progress) as advance:
            file.seek(have)
            reason = _copy(response, file, entry.bytes - have, advance)
            if file.tell() < entry.bytes:
                raise NovelError(
                    f"the connection to {urlsplit(url).netloc} was cut after {file.tell()} of "
                    f"{entry.bytes} bytes of {entry.slug}{reason}: call again, and the download "
                    "goes on from there"
                )


def _open(entry: Entry, url: str, have: int) -> Any:
    """Ask for the file from byte `have` on; whatever fails becomes a NovelError."""
    headers = {"User-Agent": "minidistill", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # the server has fewer bytes than we do: begin anew
            return _open(entry, url, 0)
        raise NovelError(
            f"{url} answered {error.code} ({error.reason}): {_mirror_advice()}"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        said = getattr(error, "reason", None) or error
        raise NovelError(
            f"no answer from {urlsplit(url).netloc} ({said}): check the network and call "
            f"again, set MINIDISTILL_MIRROR to a mirror, or use the house novel, which needs "
            "no network"
        ) from None


def _continues_at(response: Any, have: int) -> int:
    """Say at which byte the answer begins: at `have` if the server honoured the range, else 0."""
    honoured = (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
    if response.status == 206 and not honoured:
        raise NovelError(
            f"{response.url} sent another part of the file than the one asked for: "
            f"{_mirror_advice()}"
        )
    return have if response.status == 206 else 0


def _copy(response: Any, file: IO[bytes], limit: int, advance: Callable[[int], object]) -> str:
    """Copy at most `limit` bytes; return why it ended early, as the sentence says it."""
    while limit > 0:
        try:
            block = response.read1(min(CHUNK, limit))  # what is there, not what is hoped for
        except http.client.IncompleteRead as error:
            block = error.partial
        except (OSError, http.client.HTTPException) as error:
            return f" ({error})"
        if not block:
            break
        file.write(block)
        limit -= len(block)
        advance(len(block))
    file.truncate()
    return ""


def _mirror_advice() -> str:
    if mirror := os.environ.get("MINIDISTILL_MIRROR"):
        return f"the mirror {mirror} may be stale, unset MINIDISTILL_MIRROR or name another"
    return "the address may be blocked or gone, set MINIDISTILL_MIRROR to a mirror"


def _disk_trouble(entry: Entry, path: Path, error: OSError) -> str:
    """Write the sentence for a cache that cannot be written."""
    if error.errno == errno.ENOSPC:
        return (
            f"the disk with {path.parent} is full: free {entry.bytes} bytes for {entry.slug}, "
            "or set MINIDISTILL_CACHE to a folder elsewhere, and call again"
        )
    return (
        f"{entry.slug} cannot be written to {path.parent} ({error.strerror or error}): set "
        "MINIDISTILL_CACHE to a folder where you may write"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time fetch a file; the system frees the lock of one that dies."""
    with path.with_name(path.name + ".lock").open("ab") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            import msvcrt

            file.seek(0)
            with suppress(OSError):  # it gives up after ten seconds
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
        else:
            # Some network file systems have no locks; the hash still guards the result.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _bar(entry: Entry, have: int, progress: bool) -> Iterator[Callable[[int], object]]:
    """Show progress: a bar in a terminal, two lines elsewhere, nothing if not wanted."""
    if not progress:
        yield lambda count: None
        return
    if sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            with tqdm(
                desc=entry.slug, total=entry.bytes, initial=have, unit="B", unit_scale=True
            ) as bar:
                yield bar.update
            return
    print(f"downloading {entry.slug}: {entry.bytes / 1e6:.1f} MB", file=sys.stderr)
    yield lambda count: None
    print(f"downloaded {entry.slug}", file=sys.stderr)
