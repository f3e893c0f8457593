"""A right answer to exercise 02.1, and a way to make others by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    return torch.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)


RIGHT = rnn_step


def answer(body: Callable[..., Any]) -> Callable[..., Any]:
    """A function by the name that exercise 02.1 asks for."""

    def rnn_step(*inputs):
        return body(*inputs)

    return rnn_step
