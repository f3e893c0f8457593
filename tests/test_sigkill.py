"""Runs killed at any moment end as the unbroken run does, to the bit."""

import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from minidistill.checkpoints import load_tensors

ROOT = Path(__file__).parents[1]
KILLS = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork a process"),
]


class Runs:
    """Processes that train, started one after another by `tests.killed_run`."""

    def __init__(self) -> None:
        self.starter = subprocess.Popen(
            [sys.executable, "-m", "tests.killed_run"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def train(self, folder: Path, kill_after: float = math.inf) -> tuple[bool, float]:
        """Train in a folder; return whether it was killed, and how many seconds it lived."""
        self.starter.stdin.write(f"{kill_after} {folder}\n")
        self.starter.stdin.flush()
        ended, seconds = self.starter.stdout.readline().split()
        assert int(ended) in (0, signal.SIGKILL)
        return int(ended) == signal.SIGKILL, float(seconds)

    def close(self) -> None:
        self.starter.stdin.close()
        self.starter.wait()
        self.starter.stdout.close()


@pytest.fixture
def runs() -> Iterator[Runs]:
    started = Runs()
    yield started
    started.close()


def same_end(folder: Path, whole: Path) -> bool:
    (weights, about), (expected, wanted) = (
        load_tensors(where / "end.safetensors") for where in (folder, whole)
    )
    return about == wanted and all(torch.equal(expected[name], weights[name]) for name in weights)


def test_runs_killed_at_any_moment_end_as_the_unbroken_one(runs: Runs, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    killed, life = runs.train(whole)
    assert not killed
    kills, finished, found, chance = 0, 0, [], random.Random(17)
    while kills < KILLS or finished == 0:
        folder = tmp_path / f"run {finished}"
        checkpoint = folder / "run.safetensors"
        if runs.train(folder, chance.uniform(0, life / 4) if kills < KILLS else math.inf)[0]:
            kills += 1
            if checkpoint.exists():
                found.append(load_tensors(checkpoint)[1]["step"])
            continue
        assert same_end(folder, whole)
        names = sorted(file.name for file in folder.iterdir())
        assert names == ["end.safetensors", "run.safetensors"]
        finished += 1
    assert len(set(found)) > KILLS / 4  # the kills came at many places of the run
