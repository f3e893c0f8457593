"""One way to train an output layer of V classes, in a process of its own: a step when it is told.

    python benchmarks/sampled_softmax_steps.py ARM V N S SIZE PRECISION DEVICE

Started and spoken to by benchmarks/sampled_softmax.py: it writes "ready", and for every line that
it reads it takes so many steps and writes one line of JSON: seconds of each, and its peak memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minidistill.chunked_softmax import chunked_cross_entropy
from minidistill.sampled_softmax import (
    LazyAdam,
    LogUniformSampler,
    RowAdagrad,
    sampled_logits,
    sampled_softmax_loss,
)

RATE = 1e-3


class Task:
    """What all arms share: hidden states, a read-out, and targets drawn by Zipf's law."""

    def __init__(self, V: int, N: int, S: int, size: int, device: torch.device) -> None:
        self.V, self.N, self.S, self.size, self.device = V, N, S, size, device
        self.generator = torch.Generator(device).manual_seed(0)
        self.sampler = LogUniformSampler(V).to(device)
        self.hidden = torch.randn(N, size, generator=self.generator, device=device).requires_grad_()

    def readout(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Weight (V, size) and bias (V,)."""
        weight = torch.empty(self.V, self.size, device=self.device)
        weight.normal_(std=self.size**-0.5, generator=self.generator)
        return nn.Parameter(weight), nn.Parameter(torch.zeros(self.V, device=self.device))

    def targets(self) -> Tensor:
        """(N,), other ones every step."""
        return self.sampler.draw(self.N, self.generator)


Step = Callable[[Tensor], None]


def sampled(task: Task, optimizer: type) -> Step:
    """Ours: forward and backward by hand, rows by RowAdagrad or LazyAdam."""
    weight, bias = task.readout()
    rows = optimizer([weight, bias], RATE)

    def step(targets: Tensor) -> None:
        rows.zero_grad()
        negatives = task.sampler.sample(task.S, task.generator)
        sampled_softmax_loss(task.hidden, weight, bias, targets, negatives, task.sampler).backward()
        rows.step()

    return step


def plain(task: Task) -> Step:
    """The same loss by autograd, with PyTorch's own sparse embeddings and SparseAdam."""
    table = nn.Embedding(task.V, task.size, sparse=True, device=task.device)
    offset = nn.Embedding(task.V, 1, sparse=True, device=task.device)
    rows = torch.optim.SparseAdam([*table.parameters(), *offset.parameters()], RATE)

    def step(targets: Tensor) -> None:
        rows.zero_grad()
        ids, of_drawn, when = task.sampler.sample(task.S, task.generator)
        both = torch.cat([targets, ids])
        places = torch.arange(len(both), device=both.device)
        own, drawn = places[: task.N], places[task.N :]
        logits = sampled_logits(
            task.hidden,
            table(both),
            offset(both)[:, 0],
            own,
            drawn,
            task.sampler.log_expected_count(targets, when),
            of_drawn,
        )
        logits[:, 1:].masked_fill_(targets[:, None] == ids, -torch.inf)
        (logits.logsumexp(1) - logits[:, 0]).mean().backward()
        rows.step()

    return step


def full(task: Task, cost: Callable[..., Tensor]) -> Step:
    """The full softmax and PyTorch's fastest Adam."""
    weight, bias = task.readout()
    adam = torch.optim.Adam([weight, bias], RATE, fused=True)

    def step(targets: Tensor) -> None:
        adam.zero_grad()
        cost(task.hidden, weight, bias, targets).backward()
        adam.step()

    return step


def by_tokens(task: Task, tokens: int = 128) -> Step:
    """The full softmax as one writes it where memory is short: some tokens at a time."""
    weight, bias = task.readout()
    adam = torch.optim.Adam([weight, bias], RATE, fused=True)

    def step(targets: Tensor) -> None:
        adam.zero_grad()
        for h, t in zip(task.hidden.split(tokens), targets.split(tokens), strict=True):
            cost = F.cross_entropy(F.linear(h, weight, bias), t, reduction="sum") / task.N
            cost.backward()
        adam.step()

    return step


def adaptive(task: Task, parts: tuple[int, ...]) -> Step:
    """PyTorch's adaptive softmax, clusters that begin at these parts of V."""
    cutoffs = [task.V // part for part in parts]
    head = nn.AdaptiveLogSoftmaxWithLoss(task.size, task.V, cutoffs).to(task.device)
    adam = torch.optim.Adam(head.parameters(), RATE, fused=True)

    def step(targets: Tensor) -> None:
        adam.zero_grad()
        head(task.hidden, targets).loss.backward()
        adam.step()

    return step


def cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """As everyone writes it."""
    return F.cross_entropy(F.linear(hidden, weight, bias), targets)


def cut_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Apple's exact cross-entropy for GPUs, where it is installed; in its bfloat16."""
    from cut_cross_entropy import linear_cross_entropy

    half = (x.to(torch.bfloat16) for x in (hidden, weight))
    return linear_cross_entropy(*half, targets, bias=bias.to(torch.bfloat16))


ARMS: dict[str, Callable[[Task], Step]] = {
    "ours": lambda task: sampled(task, RowAdagrad),
    "ours, lazy Adam": lambda task: sampled(task, LazyAdam),
    "autograd, SparseAdam": plain,
    "full": lambda task: full(task, cross_entropy),
    "full, 128 tokens at a time": by_tokens,
    "full, in chunks": lambda task: full(task, chunked_cross_entropy),
    "adaptive": lambda task: adaptive(task, (15, 5)),
    "adaptive, small head": lambda task: adaptive(task, (20, 5, 2)),
    "cut cross-entropy": lambda task: full(task, cut_cross_entropy),
}


def peak_mb(device: torch.device) -> float:
    """The most memory held so far, in MB: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Build the arm, then step whenever a line comes in."""
    arm, precision, device = sys.argv[1], sys.argv[6], torch.device(sys.argv[7])
    torch.set_float32_matmul_precision(precision)
    # glibc gives a freed block back to the system while none as large was freed before, and every
    # step would fetch its pages anew. Any training has freed a tensor of 9 MB; so do all arms.
    torch.empty(2_300_000).fill_(0)
    small = Task(
        256, 8, 8, 8, device
    )  # the code is loaded now, and not counted as the tables' memory
    ARMS[arm](small)(small.targets())
    before = peak_mb(device)
    if device.type == "cpu":
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        before = peak_mb(device)
    task = Task(*map(int, sys.argv[2:6]), device)
    step = ARMS[arm](task)
    print("ready", flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            targets = task.targets()
            task.hidden.grad = None
            if device.type == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            step(targets)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, "mb": peak_mb(device) - before}), flush=True)


if __name__ == "__main__":
    main()
