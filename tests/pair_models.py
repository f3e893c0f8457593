"""What the tests of sequence to sequence share: small models, ragged batches, one's own parts."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minidistill.attention import ATTENTIONS
from minidistill.batches import IGNORE, Pairs, shift_targets
from minidistill.device import seeded
from minidistill.recurrent import GRU, LSTM, RNN
from minidistill.seq2seq import Memory, Seq2Seq

SOURCE_SIZE, TARGET_SIZE = 17, 13
E, H = 5, 7
PADDING, BOS, EOS = 0, 1, 2
SPECIAL = {"padding_id": PADDING, "bos_id": BOS, "eos_id": EOS}

LAYERS: dict[str, Callable[..., nn.Module]] = {
    "RNN": RNN,
    "GRU": GRU,
    "LSTM": LSTM,
    "GRU, torch": functools.partial(GRU, engine="torch"),
    "LSTM, torch": functools.partial(LSTM, engine="torch"),
}


class Kind(NamedTuple):
    """What is varied from model to model."""

    layer: str
    attention: str | None
    options: dict


KINDS = [
    Kind("RNN", None, {}),
    Kind("RNN", "additive", {}),
    Kind("RNN", "scaled dot", {"bidirectional": False, "reader": False}),
    Kind("GRU", None, {"reader": False}),
    Kind("GRU", "additive", {"values": "embeddings"}),
    Kind("GRU", "general", {"tied": True}),
    Kind("GRU", "additive", {"reader": False, "values": "embeddings"}),
    Kind("GRU, torch", "additive", {}),
    Kind("GRU, torch", None, {}),
    Kind("LSTM", None, {"bidirectional": False}),
    Kind("LSTM", "additive", {"tied": True}),
    Kind("LSTM", "dot", {"bidirectional": False}),
    Kind("LSTM", "additive", {"reader": False}),
    Kind("LSTM", "general", {"reader": False, "values": "embeddings"}),
    Kind("LSTM, torch", "additive", {"values": "embeddings"}),
    Kind("LSTM, torch", "general", {"reader": False}),
]


def name_of(kind: Kind) -> str:
    """For pytest's list of tests."""
    options = [f"{key}={value}" for key, value in kind.options.items()]
    return "-".join([kind.layer, kind.attention or "fixed context", *options])


def model_of(kind: Kind, seed: int = 5, dtype: torch.dtype = torch.float64) -> Seq2Seq:
    """A model with random weights, in eval mode."""
    attention = None if kind.attention is None else ATTENTIONS[kind.attention]
    with seeded(seed):
        model = Seq2Seq(
            SOURCE_SIZE, TARGET_SIZE, E, H, LAYERS[kind.layer], attention, **kind.options
        )
    return model.to(dtype).eval()


def lively(model: Seq2Seq) -> Seq2Seq:
    """The same with larger weights: what it writes differs from source to source, and ends."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def ragged(seed: int, empty: bool = True) -> Pairs:
    """A random batch; the source's padding stands anywhere, and some sources may be empty."""
    generator = torch.Generator().manual_seed(seed)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    B, S = number(1, 5), number(1, 9)
    source = torch.randint(SOURCE_SIZE, (B, S), generator=generator)
    mask = torch.rand(B, S, generator=generator) < 0.7
    if not empty:
        mask[:, number(0, S - 1)] = True
    targets = [torch.randint(TARGET_SIZE, (number(0, 6),), generator=generator) for _ in range(B)]
    return Pairs(source, mask, *shift_targets(targets, BOS, EOS, PADDING))


def rows(batch: Pairs) -> Iterator[Pairs]:
    """Each pair as a batch of its own without any padding; an empty source is one masked token."""
    for source, source_mask, target_in, target_out, mask in zip(*batch, strict=True):
        kept = source[source_mask] if source_mask.any() else source[:1]
        real = torch.full_like(kept, bool(source_mask.any()), dtype=torch.bool)
        parts = (kept, real, target_in[mask], target_out[mask], mask[mask])
        yield Pairs(*(part[None] for part in parts))


def more_padding(batch: Pairs, seed: int) -> Pairs:
    """The same pairs with padding put in anywhere among the sources, and after the targets."""
    generator = torch.Generator().manual_seed(seed)
    B, S = batch.source.shape
    places = (torch.rand(B, S + 5, generator=generator)).argsort(1)[:, :S].sort(1).values
    source = torch.randint(SOURCE_SIZE, (B, S + 5), generator=generator)
    mask = torch.zeros(B, S + 5, dtype=torch.bool)
    source, mask = (
        source.scatter(1, places, batch.source),
        mask.scatter(1, places, batch.source_mask),
    )
    after = nn.functional.pad
    return Pairs(
        source,
        mask,
        after(batch.target_in, (0, 3), value=PADDING),
        after(batch.target_out, (0, 3), value=IGNORE),
        after(batch.target_mask, (0, 3), value=False),
    )


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """The gradient of a loss by each parameter's name; zeros where it has none."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    pairs = zip(parameters, found, strict=True)
    return dict(
        zip(names, [torch.zeros_like(p) if g is None else g for p, g in pairs], strict=True)
    )


def close(found: object, expected: object, atol: float = 1e-10) -> None:
    """Equal but for rounding, and no NaN anywhere."""
    torch.testing.assert_close(found, expected, rtol=0, atol=atol, equal_nan=False)


def finite(*tensors: Tensor | None) -> bool:
    """Whether there is neither NaN nor infinity in any of them."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors if tensor is not None)


# ---- parts of one's own: written plainly, with the package's names so that weights can be copied


class OwnLSTM(nn.Module):
    """One layer of LSTM, one row and one token at a time."""

    def __init__(self, input_size: int, hidden_size: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.bidirectional = bidirectional
        for end in ["", "_reverse"][: 1 + bidirectional]:
            for name, size in [("ih", input_size), ("hh", hidden_size)]:
                weight = nn.Parameter(torch.randn(4 * hidden_size, size) * 0.3)
                self.register_parameter(f"weight_{name}_l0{end}", weight)
                bias = nn.Parameter(torch.randn(4 * hidden_size) * 0.3)
                self.register_parameter(f"bias_{name}_l0{end}", bias)

    def read(self, x: Tensor, h: Tensor, c: Tensor, real: list[bool], end: str) -> tuple:
        """One row (T, I): outputs (T, H), zero at padding, and the last h and c."""
        W, U = getattr(self, f"weight_ih_l0{end}"), getattr(self, f"weight_hh_l0{end}")
        b = getattr(self, f"bias_ih_l0{end}") + getattr(self, f"bias_hh_l0{end}")
        outputs = [torch.zeros_like(h)] * len(x)
        for t in reversed(range(len(x))) if end else range(len(x)):
            if real[t]:
                i, f, g, o = (W @ x[t] + U @ h + b).chunk(4)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs[t] = h
        return torch.stack(outputs), h, c

    def forward(self, x: Tensor, state: tuple | None = None, mask: Tensor | None = None) -> tuple:
        ends = ["", "_reverse"][: 1 + self.bidirectional]
        if state is None:
            zeros = x.new_zeros(len(ends), len(x), self.hidden_size)
            state = zeros, zeros
        real = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        every = [
            [
                self.read(x[b], state[0][d, b], state[1][d, b], real[b].tolist(), end)
                for b in range(len(x))
            ]
            for d, end in enumerate(ends)
        ]
        outputs = torch.cat([torch.stack([row[0] for row in way]) for way in every], dim=-1)
        h, c = (
            torch.stack([torch.stack([row[k] for row in way]) for way in every]) for k in (1, 2)
        )
        return outputs, (h, c)


class OwnAttention(nn.Module):
    """Additive attention, one query and one key at a time, projecting the key every time."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.W = nn.Linear(query_size, query_size, bias=False)
        self.U = nn.Linear(key_size, query_size, bias=False)
        self.v = nn.Parameter(torch.randn(query_size))

    def prepare(self, keys: Tensor) -> Tensor:
        return keys

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        contexts, weights = [], []
        for b in range(len(queries)):
            for query in queries[b]:
                real = range(keys.size(1)) if mask is None else mask[b].nonzero()[:, 0].tolist()
                context, row = torch.zeros_like(values[b, 0]), [keys.new_zeros(())] * keys.size(1)
                scores = [
                    torch.exp(self.v @ torch.tanh(self.W(query) + self.U(keys[b, s]))) for s in real
                ]
                for s, score in zip(real, scores, strict=True):
                    row[s] = score / sum(scores)
                    context = context + row[s] * values[b, s]
                contexts.append(context)
                weights.append(torch.stack(row))
        shape = queries.shape[:2]
        return torch.stack(contexts).unflatten(0, shape), torch.stack(weights).unflatten(0, shape)


def remembered(model: Seq2Seq, batch: Pairs) -> Memory:
    """The memory of a batch's sources."""
    return model.encode(batch.source, batch.source_mask)
