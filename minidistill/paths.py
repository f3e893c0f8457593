"""Where things lie: the data that ships with the package, the cache, the student's own files."""

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the folder with `catalogue.toml`, the house novel and the small trained models.

    An installed wheel carries it as `minidistill/data`; in a checkout it lies beside the package.
    Raises FileNotFoundError when neither is there.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "data", here.parent / "data"):
        if (folder / "catalogue.toml").is_file():
            return folder
    raise FileNotFoundError(
        f"minidistill's data folder is missing: neither {here / 'data'} nor "
        f"{here.parent / 'data'} has a catalogue.toml; install the package again"
    )


def cache_folder() -> Path:
    """Return the folder for downloads: `MINIDISTILL_CACHE`, else the system's cache folder."""
    chosen = os.environ.get("MINIDISTILL_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    try:
        import platformdirs
    except ImportError:
        return Path.home() / ".cache" / "minidistill"
    return Path(platformdirs.user_cache_dir("minidistill", appauthor=False))


def home_folder() -> Path:
    """Return the folder for a student's progress: `MINIDISTILL_HOME`, else the system's own."""
    chosen = os.environ.get("MINIDISTILL_HOME")
    if chosen:
        return Path(chosen).expanduser()
    try:
        import platformdirs
    except ImportError:
        return Path.home() / ".local" / "share" / "minidistill"
    return Path(platformdirs.user_data_dir("minidistill", appauthor=False))
