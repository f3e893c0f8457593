"""Read a text file of one's own, and say plainly why when it cannot be read."""

import re
from pathlib import Path
from shlex import quote

from minidistill.cleaning_chinese import HAN
from minidistill.library import NovelError, catalogue


def read_text(path: Path) -> str:
    """Read a file as UTF-8 text, with or without a byte order mark.

    Raises NovelError: no such file, a folder, an e-book, a PDF or a web page, nothing but
    white space, or another encoding (the message names the first bad byte and how to convert).
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NovelError(
            f"there is no file {path} (looked in {Path.cwd()}); "
            f"the catalogue's novels are {', '.join(catalogue())}"
        ) from None
    except IsADirectoryError:
        raise NovelError(f"{path} is a folder: give one text file") from None
    except OSError as error:
        if path.is_dir():  # Windows says "permission denied" of a folder
            raise NovelError(f"{path} is a folder: give one text file") from None
        raise NovelError(f"{path} cannot be read: {error.strerror or error}") from None
    if data.startswith((b"PK\x03\x04", b"%PDF")):
        raise NovelError(f"{path} is an e-book or a PDF, not plain text: save it as .txt first")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NovelError(_not_utf8(path, data, error)) from None
    if not text.strip():
        raise NovelError(f"{path} is empty" + (": it has only white space" if text else ""))
    if "\0" in text:
        raise NovelError(f"{path} is not a text file: it has a zero byte at {data.index(0)}")
    if re.match(r"\s*<(!doctype html|html|\?xml)", text[:200], re.IGNORECASE):
        raise NovelError(f"{path} is a web page, not plain text: save it as text first")
    return text


def _not_utf8(path: Path, data: bytes, error: UnicodeDecodeError) -> str:
    """Write the sentence for a file in another encoding, with the likely one."""
    at = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
    likely = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else _likely_encoding(data)
    return (
        f"{path} is not UTF-8: byte {at} is 0x{data[at]:02x}; if it is {likely}, convert it by "
        f"`iconv -f {likely} -t UTF-8 {quote(path.name)} > {quote(path.stem + '-utf8.txt')}`"
    )


def _likely_encoding(data: bytes) -> str:
    """Guess an older encoding: Chinese ones give common characters, else Western text."""
    common = "的一是不了在人有我他这個个来們们說说"
    best, most = "CP1252", 0
    for name in ("GB18030", "BIG5"):
        text = data[:200_000].decode(name, errors="replace")
        score = sum(map(text.count, common))
        if score > max(most, len(text) / 100):
            best, most = name, score
    return best


def guess_language(text: str) -> str:
    """Say "zh" where at least a third of the letters are Han characters, else "en"."""
    han = len(re.findall(HAN, text))
    letters = sum(map(str.isalpha, text))
    return "zh" if letters and han >= letters / 3 else "en"
