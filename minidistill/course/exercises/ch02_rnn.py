"""Chapter 02, the class: a stacked, bidirectional RNN that honours the mask."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minidistill.course.answer import Answer
from minidistill.course.exercise import Wrong, expect


def _torch_rnn(
    rng: torch.Generator, sizes: tuple[int, int], layers: int, both: bool
) -> tuple[nn.RNN, dict[str, Tensor]]:
    """torch.nn's RNN with random weights in float64, as the reference."""
    rnn = nn.RNN(*sizes, num_layers=layers, bidirectional=both, batch_first=True).double()
    weights = {
        name: torch.randn(p.shape, generator=rng, dtype=torch.float64) * 0.5
        for name, p in rnn.named_parameters()
    }
    rnn.load_state_dict(weights)
    return rnn, weights


def _made(answer: Answer, sizes: tuple[int, int], layers: int, both: bool, weights: dict) -> Answer:
    rnn = answer.create(*sizes, num_layers=layers, bidirectional=both)
    rnn.load(weights)
    return rnn


def _numbers(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


def _pair(got: object) -> tuple[Tensor, Tensor]:
    if not isinstance(got, tuple) or len(got) != 2:
        raise Wrong("forward returns two things: the outputs (B, T, D*H) and the last state")
    return got[0], got[1]


def _ragged(rng: torch.Generator, B: int, T: int) -> tuple[Tensor, Tensor]:
    lengths = torch.randint(1, T, (B,), generator=rng)
    lengths[-1] = T
    return lengths, torch.arange(T) < lengths[:, None]


def _packed(rnn: nn.RNN, x: Tensor, h0: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The reference for ragged rows: torch's packed sequences."""
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, last = rnn(packed, h0)
    return nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=x.size(1))[
        0
    ], last


def names_and_shapes(answer: Answer, rng: torch.Generator) -> None:
    """parameters have the names and shapes of torch.nn.RNN."""
    for layers, both in ((1, False), (2, True)):
        wanted = dict(nn.RNN(3, 5, num_layers=layers, bidirectional=both).named_parameters())
        got = answer.create(3, 5, num_layers=layers, bidirectional=both).parameters()
        shapes = {k: list(v.shape) for k, v in wanted.items()}
        expect({k: list(v.shape) for k, v in got.items()}, shapes, "the parameters' shapes")


def first_weights(answer: Answer, rng: torch.Generator) -> None:
    """weights start uniformly between -1/sqrt(H) and 1/sqrt(H)."""
    got = answer.create(7, 64).parameters()["weight_hh_l0"]
    bound = 1 / 8
    if float(got.abs().max()) > bound + 1e-6:
        raise Wrong(f"weights reach {float(got.abs().max()):.3f}: the bound is 1/sqrt(H) = 0.125")
    if abs(float(got.std()) - bound / 3**0.5) > 0.01 or abs(float(got.mean())) > 0.01:
        raise Wrong("the first weights are not spread evenly between -1/sqrt(H) and 1/sqrt(H)")


def one_layer(answer: Answer, rng: torch.Generator) -> None:
    """one layer equals torch.nn.RNN with the same weights."""
    rnn, weights = _torch_rnn(rng, (3, 5), 1, False)
    mine = _made(answer, (3, 5), 1, False, weights)
    x, h0 = _numbers(rng, 2, 7, 3), _numbers(rng, 1, 2, 5)
    outputs, last = _pair(mine(x, h0))
    want, want_last = rnn(x, h0)
    zero_start, _ = rnn(x)
    off = rnn(x, h0)[0]
    expect(
        outputs,
        want,
        "the outputs",
        {
            "the state that is handed in is not used: start from it": zero_start,
            "outputs come out time first: (B, T, H)": off.transpose(0, 1),
            "the outputs hold the last state only: one for every step": want_last[-1],
        },
    )
    expect(
        last,
        want_last,
        "the last state",
        {
            "the last state lacks its first dimension: (L*D, B, H)": want_last[0],
            "the last state is the first step's": want[:, 0][None],
            "all states are returned in place of the last": want.transpose(0, 1),
        },
    )


def starts_at_zero(answer: Answer, rng: torch.Generator) -> None:
    """without a state it starts from zeros, on the inputs' type."""
    rnn, weights = _torch_rnn(rng, (2, 3), 1, False)
    x = _numbers(rng, 3, 5, 2)
    expect(_pair(_made(answer, (2, 3), 1, False, weights)(x))[0], rnn(x)[0], "the outputs")


def carried_state(answer: Answer, rng: torch.Generator) -> None:
    """a text read in two halves gives what it gives in one."""
    rnn, weights = _torch_rnn(rng, (3, 5), 2, False)
    mine = _made(answer, (3, 5), 2, False, weights)
    x = _numbers(rng, 2, 11, 3)
    first, state = _pair(mine(x[:, :4]))
    second, last = _pair(mine(x[:, 4:], state))
    want, want_last = rnn(x)
    expect(
        torch.cat([first, second], 1),
        want,
        "the outputs of the two halves",
        {
            "the second half starts anew: the carried state is not used": torch.cat(
                [rnn(x[:, :4])[0], rnn(x[:, 4:])[0]], 1
            )
        },
    )
    expect(last, want_last, "the last state")


def stacked(answer: Answer, rng: torch.Generator) -> None:
    """three layers, each reading the one below."""
    rnn, weights = _torch_rnn(rng, (3, 5), 3, False)
    mine = _made(answer, (3, 5), 3, False, weights)
    x, h0 = _numbers(rng, 2, 7, 3), _numbers(rng, 3, 2, 5)
    outputs, last = _pair(mine(x, h0))
    want, want_last = rnn(x, h0)
    swapped = rnn(x, h0.flip(0))
    expect(
        outputs,
        want,
        "the outputs",
        {
            "the states of the layers are in the wrong order: state[0] is the lowest layer's": (
                swapped[0]
            ),
            "every layer starts from the lowest layer's state: state[layer]": rnn(
                x, h0[:1].expand_as(h0).contiguous()
            )[0],
        },
    )
    expect(
        last,
        want_last,
        "the last states",
        {
            "the last states are in the wrong order: the lowest layer first": want_last.flip(0),
            "only the top layer's last state is returned: one for every layer": want_last[-1:],
            "every layer returns the top layer's last state": want_last[-1:].expand_as(want_last),
        },
    )


def both_directions(answer: Answer, rng: torch.Generator) -> None:
    """two layers in both directions."""
    rnn, weights = _torch_rnn(rng, (3, 5), 2, True)
    mine = _made(answer, (3, 5), 2, True, weights)
    x, h0 = _numbers(rng, 2, 7, 3), _numbers(rng, 4, 2, 5)
    outputs, last = _pair(mine(x, h0))
    want, want_last = rnn(x, h0)
    flipped = torch.cat([want[..., :5], want[..., 5:].flip(1)], -1)
    expect(
        outputs,
        want,
        "the outputs",
        {
            "the backward outputs are not turned round again: output t of both directions belongs to "
            "token t": flipped,
            "the directions are in the wrong order: forward first": want.roll(5, -1),
            "the directions are added: set them side by side (torch.cat)": want[..., :5]
            + want[..., 5:],
        },
    )
    order = want_last.view(2, 2, 2, 5).transpose(0, 1).reshape(4, 2, 5)
    expect(
        last,
        want_last,
        "the last states",
        {
            "the last states are in the wrong order: layer 0 forward, layer 0 backward, layer 1 ...": (
                order
            )
        },
    )


def ragged_rows(answer: Answer, rng: torch.Generator) -> None:
    """padding changes nothing: ragged rows equal torch's packed sequences."""
    for layers, both in ((1, False), (2, True)):
        rnn, weights = _torch_rnn(rng, (3, 5), layers, both)
        mine = _made(answer, (3, 5), layers, both, weights)
        x, h0 = _numbers(rng, 4, 7, 3), _numbers(rng, layers * (1 + both), 4, 5)
        lengths, mask = _ragged(rng, 4, 7)
        outputs, last = _pair(mine(x, h0, mask))
        want, want_last = _packed(rnn, x, h0, lengths)
        blind, blind_last = rnn(x, h0)
        expect(
            outputs,
            want,
            "the outputs",
            {
                "the mask is ignored": blind,
                "outputs at padding must be zero": blind
                if both
                else _held(want, want_last[-1], mask),
                "the outputs are masked, but the steps are not: at padding the state must stay": blind
                * mask[..., None],
            },
        )
        expect(
            last,
            want_last,
            "the last state",
            {
                "the last state is the one after the padding: it is the one after the row's last real "
                "token": blind_last,
                "the last state is zero where a row is padded: keep the state over padding": (
                    want_last * mask[:, -1, None]
                ),
            },
        )


def _held(outputs: Tensor, last: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask[..., None], outputs, last[:, None])


def all_gradients(answer: Answer, rng: torch.Generator) -> None:
    """every gradient equals torch's: inputs, first state, all weights."""
    rnn, weights = _torch_rnn(rng, (3, 5), 2, True)
    mine = _made(answer, (3, 5), 2, True, weights)
    x, h0 = _numbers(rng, 3, 5, 3), _numbers(rng, 4, 3, 5)
    lengths, mask = _ragged(rng, 3, 5)
    got = mine.gradients(x, h0, mask, wrt=(0, 1))
    want = _Packed(rnn).gradients(x, h0, lengths)
    for name, a, b in zip(("the inputs", "the first state"), got["inputs"], want[0], strict=True):
        cut = {f"no gradient reaches {name}: it is detached somewhere": torch.zeros_like(b)}
        expect(a, b, f"the gradient of {name}", cut)
    for name, b in want[1].items():
        cut = {f"no gradient reaches {name}: it is detached somewhere": torch.zeros_like(b)}
        expect(got["parameters"].get(name), b, f"the gradient of {name}", cut)


class _Packed:
    """Gradients of the packed reference, weighted as the desk weights them."""

    def __init__(self, rnn: nn.RNN) -> None:
        self.rnn = rnn

    def gradients(
        self, x: Tensor, h0: Tensor, lengths: Tensor
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Gradients of the inputs and the first state, and of every parameter by name."""
        from minidistill.course.answer import pattern

        x, h0 = x.clone().requires_grad_(), h0.clone().requires_grad_()
        total = sum((o * pattern(o)).sum() for o in _packed(self.rnn, x, h0, lengths))
        named = dict(self.rnn.named_parameters())
        found = torch.autograd.grad(total, [x, h0, *named.values()])
        return list(found[:2]), dict(zip(named, found[2:], strict=True))
