"""Computing with whole numbers of eight bits: the engine of a quantised model on a CPU."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn import functional

from minidistill.language_model import State
from minidistill.recurrent_state import first_states

PARTS = {"RNN": 1, "LSTM": 2, "GRU": 1}  # tensors in the state, for layers with an int8 engine
LARGEST = 127  # -128 is left out, so that every number has its negative
SCALE = "_scale"  # what a matrix's scales are called, after its own name
Matrix = tuple[Tensor, Tensor, Tensor]  # Q^T (K, M) int8, the scales S (M,), the bias (M,)


@functools.cache
def int8_available() -> bool:
    """Whether this machine multiplies whole numbers of eight bits without errors.

    Processors without instructions for it (VNNI, from about 2019 to 2022 on) may add two products
    in 16 bits, where large ones do not fit. So it is tried out, once.
    Taught in solutions/10_vocabulary_distillation.ipynb.
    """
    worst = torch.full((2, 64), LARGEST, dtype=torch.int8)
    mixed = (torch.arange(64 * 60) * 37 % 255 - LARGEST).to(torch.int8).view(60, 64)
    rows = torch.cat([worst, -worst, mixed])  # (64, 64)
    exact = rows.long() @ rows.long().t()
    try:
        return all(
            torch.equal(torch._int_mm(part, rows.t()), exact[: len(part)].int())
            for part in (rows, rows[:1])
        )
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


def to_int8(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round vectors (..., K) to int8, each by its own largest number: q, and the scales (..., 1).

    Not by the largest of the batch: what is written would depend on the texts beside it.
    """
    scale = x.abs().amax(-1, keepdim=True).clamp_(min=1e-30) / LARGEST
    return (x / scale).round_().to(torch.int8), scale


def int8_linear(q: Tensor, scale: Tensor, matrix: Matrix) -> Tensor:
    """Return W x + b for x = s q and W = S Q: the sum over whole numbers is exact.

    y_m = b_m + s S_m (sum over k of q_k Q_mk)

    Args:
        q, scale: (..., K) int8 and (..., 1). matrix: Q^T (K, M), S (M,), b (M,).

    Returns:
        (..., M), float32.
    """
    Q, S, b = matrix
    # Below 2^24 for K up to 1040, so float32 holds each sum exactly.
    sums = torch._int_mm(q.reshape(-1, q.size(-1)), Q) * scale.reshape(-1, 1)  # (N, M)
    return torch.addcmul(b, sums, S).view(*q.shape[:-1], -1)


class Int8Engine:
    """Reads with a quantised model's whole numbers; it holds views of them, no copies.

    Between the matrices it computes in float32. All by `torch._int_mm`, which every torch since
    2.4 has for a CPU; the dynamic quantisation of `torch.ao` is on its way out.
    """

    def __init__(self, model: nn.Module) -> None:
        if model.embedding.weight.device.type != "cpu":
            raise ValueError("the int8 engine computes on a CPU: model.to('cpu') or engine='float'")
        layer = dict(model.quantised_config["recurrent"])
        self.layer = SimpleNamespace(**layer, directions=("",), parts=PARTS[layer["kind"]])
        self.vocab_size = model.vocab_size
        self.table, self.scales = model.embedding.weight, model.embedding.weight_scale.float()
        self.matrices = [
            [_matrix(model.recurrent, f"_{of}_l{number}") for of in ("ih", "hh")]
            for number in range(self.layer.num_layers)
        ]
        self.readout = _matrix(model.embedding if model.tied else model.readout, "", model.readout)

    def __call__(
        self, tokens: Tensor, state: State = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits (B, T, V) and the state, as the protocol has it."""
        if tokens.dim() != 2:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, expected (batch, time)")
        like = self.scales.new_zeros(1).expand(*tokens.shape, self.layer.input_size)
        parts = first_states(self.layer, like, state, mask)  # each (L, B, H)
        try:  # rows of the table are whole numbers already, so the first product rounds nothing
            q = functional.embedding(tokens.t(), self.table)  # (T, B, E)
        except IndexError:
            raise ValueError(
                f"token ids reach {int(tokens.max())} (lowest {int(tokens.min())}) but this model "
                f"knows {self.vocab_size} tokens: encode the text with the model's own vocabulary"
            ) from None
        scale = self.scales[tokens.t()].unsqueeze(-1)  # (T, B, 1)
        time_mask = None if mask is None else mask.t().unsqueeze(-1)  # (T, B, 1)
        ends = []
        for number, (W_ih, W_hh) in enumerate(self.matrices):
            start = tuple(part[number] for part in parts)
            outputs, end = self._read(int8_linear(q, scale, W_ih), W_hh, start, time_mask)
            q, scale = to_int8(outputs)
            ends.append(end)
        state = tuple(torch.stack(part) for part in zip(*ends, strict=True))
        logits = int8_linear(q, scale, self.readout).transpose(0, 1)  # (B, T, V)
        return logits, (state if len(state) > 1 else state[0])

    def _read(
        self, a: Tensor, W_hh: Matrix, parts: tuple[Tensor, ...], mask: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer: a (T, B, gates H) of its inputs to outputs (T, B, H) and the last state."""
        outputs = []
        for t, a_t in enumerate(a):
            new = _cell(self.layer.kind, a_t, int8_linear(*to_int8(parts[0]), W_hh), parts)
            if mask is not None:
                pairs = zip(new, parts, strict=True)
                new = tuple(torch.where(mask[t], later, before) for later, before in pairs)
            parts = new
            outputs.append(parts[0])
        outputs = torch.stack(outputs)
        return (outputs if mask is None else outputs * mask), parts


def _cell(kind: str, a: Tensor, u: Tensor, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """One step of a layer from a = x W_ih^T + b_ih and u = h W_hh^T + b_hh, (B, gates H) each."""
    if kind == "LSTM":
        i, f, g, o = (a + u).chunk(4, dim=-1)
        c = torch.sigmoid(f) * parts[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
    if kind == "GRU":
        (a_r, a_z, a_n), (u_r, u_z, u_n) = a.chunk(3, dim=-1), u.chunk(3, dim=-1)
        n = torch.tanh(a_n + torch.sigmoid(a_r + u_r) * u_n)
        return (torch.lerp(n, parts[0], torch.sigmoid(a_z + u_z)),)
    return (torch.tanh(a + u),)


def _matrix(module: nn.Module, at: str, other: nn.Module | None = None) -> Matrix:
    """The matrix of a module with a name, and its bias or that of another module."""
    weight, bias = getattr(module, "weight" + at), getattr(other or module, "bias" + at)
    return weight.t(), getattr(module, "weight" + at + SCALE).float(), bias.detach().float()
