"""Where to compute, and how to make chance repeatable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def pick_device(name: str | None = None) -> torch.device:
    """The device to work on: the one named, else a GPU (cuda, then mps), else the CPU.

    Raises:
        ValueError: the named device is not on this machine.

    Taught in solutions/00_start_here.ipynb.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    try:
        device = torch.device(name)
    except RuntimeError:  # no kind of device has this name
        device = None
    if device is None or (device.index or 0) >= present.get(device.type, 0):
        raise ValueError(f"no {name!r} on this machine; there is {pick_device()}")
    return device


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside the block torch's chance starts from `seed`; outside nothing has changed.

    `with seeded(0): model = RNN(3, 5)` gives the same weights on every run and, moved there
    afterwards, on every device, without resetting the chance of the code around it.
    Taught in solutions/00_start_here.ipynb.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@contextmanager
def fast_matmul(threads: int | None = None) -> Iterator[None]:
    """Inside the block, float32 products may take the processor's fastest road.

    torch.set_float32_matmul_precision("medium"): on a CPU without bfloat16 units it changes the
    library, not the numbers (relative error 4e-7 against 2e-7), and made products twice as fast
    on an AMD processor; on a GPU, or on a CPU with such units, products really are rounded to
    fewer digits. So it is a choice, reported where it is made, and undone at the end.

    Args:
        threads: how many threads torch uses inside the block; None leaves them.
    """
    precision, before = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_float32_matmul_precision("medium")
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.set_num_threads(before)
