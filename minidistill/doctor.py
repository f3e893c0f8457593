"""`minidistill doctor`: is everything here that the course needs, and where does it lie?

Nothing is imported at the top that may be missing: to say so is what a doctor is for.
"""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

OLDEST_PYTHON = (3, 11)
OLDEST_TORCH = (2, 4)
# module: (distribution, what it is for, how to install it)
NEEDED = {
    "torch": ("torch", "everything", 'pip install "torch>=2.4"'),
    "numpy": ("numpy", "torch's arrays", "pip install numpy"),
    "safetensors": ("safetensors", "saved models", "pip install safetensors"),
}
OPTIONAL = {
    "matplotlib": ("matplotlib", "figures", "pip install matplotlib"),
    "tqdm": ("tqdm", "progress bars", "pip install tqdm"),
    "platformdirs": ("platformdirs", "the system's own folders", "pip install platformdirs"),
    "tokenizers": ("tokenizers", "byte-pair encoding", 'pip install "minidistill[bpe]"'),
    "opencc": ("OpenCC", "novels in traditional Chinese", 'pip install "minidistill[chinese]"'),
    "seaborn": ("seaborn", "the chapters", 'pip install "minidistill[course]"'),
    "ipywidgets": ("ipywidgets", "sliders", 'pip install "minidistill[course]"'),
    "jupyterlab": ("jupyterlab", "the chapters", 'pip install "minidistill[course]"'),
    "transformers": ("transformers", "chapter 11", 'pip install "minidistill[course]"'),
}


def examine() -> list[str]:
    """Print what is found, a line each, and return the problems, each a sentence."""
    problems: list[str] = []
    _print("Python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    if sys.version_info < OLDEST_PYTHON:
        problems.append("minidistill needs Python 3.11 or newer")
    _print("minidistill", f"{_version('minidistill') or 'not installed'}, {Path(__file__).parent}")
    problems += _packages()
    if find_spec("torch"):
        problems += _torch()
    problems += _folders()
    _print("Chinese font", _font())
    return problems


def _packages() -> Iterator[str]:
    for module, (name, purpose, install) in {**NEEDED, **OPTIONAL}.items():
        missing = find_spec(module) is None
        _print(name, f"missing, for {purpose}: {install}" if missing else _version(name) or "?")
        if missing and module in NEEDED:
            yield f"{name} is missing: {install}"


def _torch() -> Iterator[str]:
    import torch

    from minidistill.device import pick_device

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < OLDEST_TORCH:
        yield f'torch {torch.__version__} is too old: pip install --upgrade "torch>=2.4"'
    device = pick_device()
    name = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    _print("device", f"{device}{name}, {torch.get_num_threads()} CPU threads")
    _print("speed", f"{_speed(device):,.0f} GFLOP/s, products of 512 x 512 float32 matrices")


def _speed(device: object) -> float:
    """Return billions of multiplications and additions a second, over about one second."""
    import torch

    matrix = torch.randn(512, 512, device=device, generator=None)
    products, start = 0, 0.0
    while products < 10 or time.perf_counter() - start < 1:
        if products == 5:  # the first ones load libraries
            start = time.perf_counter()
        result = matrix @ matrix
        products += 1
        if products % 5 == 0:
            float(result[0, 0])  # a GPU works on its own: wait until it is done
    return (products - 5) * 2 * 512**3 / (time.perf_counter() - start) / 1e9


def _folders() -> Iterator[str]:
    from minidistill.paths import cache_folder, data_folder, home_folder

    try:
        _print("data folder", f"{data_folder()}")
    except FileNotFoundError as error:
        _print("data folder", "missing")
        yield str(error)
    for name, folder, variable in [
        ("cache folder", cache_folder(), "MINIDISTILL_CACHE"),
        ("home folder", home_folder(), "MINIDISTILL_HOME"),
    ]:
        there = _nearest(folder)
        free = shutil.disk_usage(there).free / 1e9
        if _can_write(there):
            _print(name, f"{folder}, {free:,.1f} GB free")
        else:
            _print(name, f"{folder}, not writable")
            yield f"the {name} {folder} cannot be written to: set {variable} to one that can"


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _can_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):  # rights alone do not tell of full disks
            return True
    except OSError:
        return False


def _font() -> str:
    if find_spec("matplotlib") is None:
        return "unknown without matplotlib"
    from minidistill.figures import chinese_font

    return chinese_font() or (
        "none: figures will show translations or codes; on Debian, Ubuntu and Colab "
        "`apt-get install fonts-noto-cjk` gives one"
    )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _print(name: str, finding: str) -> None:
    print(f"{name:<14}{finding}", flush=True)
