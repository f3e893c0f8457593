"""Training runs that are killed: `python -m tests.killed_run`, for `test_sigkill.py`.

Every line of its input is a number of seconds and a folder. It starts a process that trains in
that folder, kills it after so many seconds, and prints how it ended and after how long. Torch
is loaded only once, so that the kills fall into the training.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from minidistill.batches import ContinuousBatches
from minidistill.checkpoints import save_tensors
from minidistill.device import seeded
from minidistill.language_model import LanguageModel
from minidistill.recurrent import RNN
from minidistill.training import Recipe, fit

# Checkpoints are much closer than anyone would want, so that many kills fall into one.
RECIPE = Recipe(steps=160, learning_rate=0.01, validate_every=11, checkpoint_every=1, seed=5)


def train(folder: Path) -> None:
    """Train in a folder, from the checkpoint there if there is one, and write how it ended."""
    with seeded(3):
        model = LanguageModel(31, 64, RNN(64, 64, num_layers=2, dropout=0.3), 0.2, tied=True)
        text = torch.randint(31, (3001,))
    history = fit(
        model,
        ContinuousBatches(text[:2500], batch_size=7, length=13),
        RECIPE,
        validation=ContinuousBatches(text[2500:], batch_size=3, length=29),
        checkpoint=folder / "run.safetensors",
        progress=False,
    )
    about = {"losses": history.losses, "validation": history.validation}
    save_tensors(folder / "end.safetensors", model.state_dict(), about)


def start(folder: Path) -> int:
    """Train in a process of its own, and return its number."""
    process = os.fork()
    if process == 0:
        try:
            train(folder)
        finally:
            os._exit(0)
    return process


def main() -> None:
    """Do what the lines of the input say, one after another."""
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1)])  # the first optimiser of a process loads much more
    for line in sys.stdin:
        seconds, folder = line.rstrip("\n").split(" ", 1)
        begin = time.monotonic()
        process, ended = start(Path(folder)), (0, 0)
        while ended[0] == 0 and time.monotonic() < begin + float(seconds):
            time.sleep(0.001)
            ended = os.waitpid(process, os.WNOHANG)
        if ended[0] == 0:
            os.kill(process, signal.SIGKILL)
            ended = os.waitpid(process, 0)
        print(ended[1], time.monotonic() - begin, flush=True)


if __name__ == "__main__":
    main()
