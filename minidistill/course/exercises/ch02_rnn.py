"""Chapter 02: cases for the class `RNN`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from minidistill.course.answer import Answer, pattern
from minidistill.course.exercise import Wrong, expect
from minidistill.course.exercises import ch02_rnn_faults as faults
from minidistill.course.exercises import ch02_rnn_masks as masks
from minidistill.course.exercises.ch02_rnn_wrong import Faults, Parts, run, wrong
from minidistill.course.exercises.ch02_shared import (
    expect_gradients,
    keeps_type,
    numbers,
    ragged_lengths,
)

_ALL = faults.STEPS + faults.RESULTS + faults.LAYERS + faults.WAYS


def _torch_rnn(rng: torch.Generator, layers: int, both: bool) -> nn.RNN:
    """torch.nn's RNN, 3 numbers in and 5 in the state, random weights in float64: the judge."""
    rnn = nn.RNN(3, 5, num_layers=layers, bidirectional=both, batch_first=True).double()
    rnn.load_state_dict(
        {name: numbers(rng, *p.shape, scale=0.5) for name, p in rnn.named_parameters()}
    )
    return rnn


def _made(answer: Answer, rnn: nn.RNN, **options: Any) -> Answer:
    """The student's layer with the judge's weights."""
    mine = answer.create(
        3, 5, num_layers=rnn.num_layers, bidirectional=rnn.bidirectional, **options
    )
    mine.load({name: p.detach() for name, p in rnn.named_parameters()})
    return mine


def _weights(rnn: nn.RNN) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in rnn.named_parameters()}


def _compare(
    got: Any,
    want: tuple[Tensor, Tensor],
    rnn: nn.RNN,
    kinds: Faults,
    *inputs: Any,
    what: str = "(the outputs, the last state)",
) -> None:
    """Compare outputs and last state, naming the known mistakes among `kinds`."""
    outputs, last = (w.detach() for w in want)
    if isinstance(got, Tensor) and got.shape == outputs.shape:
        raise Wrong("forward returns two things: the outputs (B, T, D*H) and the last state")
    known = wrong(kinds, _weights(rnn), *inputs)
    expect(got, (outputs, last), what, known)
    for value, right, name in zip(got, want, ("the outputs", "the last state"), strict=True):
        keeps_type(value, right, f"the type of {name}")


def _packed(rnn: nn.RNN, x: Tensor, h0: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """What torch makes of ragged rows: packed sequences."""
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, last = rnn(packed, h0)
    padded, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=x.size(1))
    return padded, last


def names_and_shapes(answer: Answer, rng: torch.Generator) -> None:
    """parameters have the names and shapes of torch.nn.RNN."""
    for layers, both in ((1, False), (2, True)):
        wanted = dict(nn.RNN(3, 5, num_layers=layers, bidirectional=both).named_parameters())
        got = answer.create(3, 5, num_layers=layers, bidirectional=both).parameters()
        if not got:
            raise Wrong(
                "the layer has no parameters, so nothing would be trained: wrap each weight in "
                "nn.Parameter and register it under its name; plain tensors, and parameters in a "
                "Python list or dict, are not seen"
            )
        lacks = ", ".join(name for name in wanted if name not in got)
        extra = ", ".join(name for name in got if name not in wanted)
        if lacks or extra:
            texts = [f"it lacks {lacks}" if lacks else "", f"it has {extra} too" if extra else ""]
            raise Wrong(
                f"with {layers} layer(s) and bidirectional={both} the parameters' names are not "
                f"torch.nn.RNN's: {' and '.join(filter(None, texts))}"
            )
        for name, right in wanted.items():
            if got[name].shape != right.shape:
                raise Wrong(
                    f"{name} has shape {tuple(got[name].shape)}, expected {tuple(right.shape)}: "
                    "(out, in), and a layer above the first reads D*H numbers"
                )


def first_weights(answer: Answer, rng: torch.Generator) -> None:
    """weights start uniformly between -1/sqrt(H) and 1/sqrt(H)."""
    found = answer.create(7, 64, num_layers=2).parameters()
    for name, weights in found.items():
        reach = float(weights.abs().max())
        if not reach <= 1 / 8 + 1e-6:
            raise Wrong(f"{name} reaches {reach:.3g} at first: the bound is 1/sqrt(H) = 0.125 here")
        even = abs(float(weights.std()) - 0.125 / 3**0.5) < 0.01
        if weights.dim() == 2 and not (even and abs(float(weights.mean())) < 0.01):
            raise Wrong(
                f"the first values of {name} are not spread evenly between -1/sqrt(H) and 1/sqrt(H)"
            )
    one, other = found.get("weight_hh_l0"), found.get("weight_hh_l1")
    if one is not None and other is not None and torch.equal(one, other):
        raise Wrong("all layers start from the same weights: seed once, not for every weight")


def one_layer(answer: Answer, rng: torch.Generator) -> None:
    """one layer equals torch.nn.RNN with the same weights."""
    rnn = _torch_rnn(rng, 1, False)
    x, h0 = numbers(rng, 2, 7, 3), numbers(rng, 1, 2, 5)
    try:
        got = _made(answer, rnn)(x, h0)
    except Wrong as trouble:
        if "NoneType" not in str(trouble):
            raise
        raise Wrong(
            "the mask is None here, which means that every token is real: ask `if mask is None` "
            f"before you use it ({trouble})"
        ) from None
    _compare(got, rnn(x, h0), rnn, _ALL, x, h0)


def starts_at_zero(answer: Answer, rng: torch.Generator) -> None:
    """without a state it starts from zeros, of the inputs' type."""
    rnn = _torch_rnn(rng, 1, False)
    x, mine = numbers(rng, 2, 7, 3), _made(answer, rnn)
    first = _from_zeros(mine, x)
    _compare(first, rnn(x), rnn, _ALL, x)
    _no_memory(mine(x), first, rnn, x)


def _from_zeros(mine: Answer, x: Tensor) -> Any:
    """Call without a state; explain what usually goes wrong there."""
    try:
        return mine(x)
    except Wrong as trouble:
        symptoms = ("NoneType", "missing", "out of bounds", "dtype")
        if not any(symptom in str(trouble) for symptom in symptoms):
            raise
        raise Wrong(
            f"no state is handed in here: start from zeros, inputs.new_zeros(L*D, B, H) ({trouble})"
        ) from None


def _no_memory(again: Any, first: Any, rnn: nn.RNN, x: Tensor) -> None:
    went_on = tuple(w.detach() for w in rnn(x, rnn(x)[1]))
    expect(
        again,
        first,
        "(the outputs of a second call, the last state of a second call)",
        {
            "a second call starts from the last state of the first: keep no state in self, the "
            "caller hands it in": went_on,
            "a second call returns the last states of the first, too: begin with an empty list in "
            "every call": (first[0], torch.cat([first[1], first[1]])),
        },
    )


def carried_state(answer: Answer, rng: torch.Generator) -> None:
    """a text read in two halves gives what it gives in one."""
    rnn = _torch_rnn(rng, 2, False)
    mine, x = _made(answer, rnn), numbers(rng, 2, 11, 3)
    first = _from_zeros(mine, x[:, :4])
    try:
        _compare(first, rnn(x[:, :4]), rnn, _ALL, x[:, :4])
    except Wrong:
        mine.train(False)
        _compare(mine(x[:, :4]), rnn(x[:, :4]), rnn, _ALL, x[:, :4])
        raise Wrong(
            "outputs are dropped though no dropout was asked for: its default is 0"
        ) from None
    whole, end = (w.detach() for w in rnn(x))
    second = mine(x[:, 4:], first[1])
    known = wrong(_ALL, _weights(rnn), x[:, 4:], first[1])
    what = "(the outputs of the second half, the last state)"
    expect(second, (whole[:, 4:], end), what, known)


def stacked(answer: Answer, rng: torch.Generator) -> None:
    """three layers, each reading the one below."""
    rnn = _torch_rnn(rng, 3, False)
    x, h0 = numbers(rng, 2, 7, 3), numbers(rng, 3, 2, 5)
    _compare(_made(answer, rnn)(x, h0), rnn(x, h0), rnn, _ALL, x, h0)


def both_directions(answer: Answer, rng: torch.Generator) -> None:
    """both directions, in one layer and in two."""
    for layers in (1, 2):
        rnn = _torch_rnn(rng, layers, True)
        x, h0 = numbers(rng, 2, 7, 3), numbers(rng, 2 * layers, 2, 5)
        _compare(_made(answer, rnn)(x, h0), rnn(x, h0), rnn, _ALL, x, h0)


def ragged_rows(answer: Answer, rng: torch.Generator) -> None:
    """padding changes nothing: ragged rows equal torch's packed sequences."""
    for layers, both in ((1, False), (1, True), (2, True)):
        rnn = _torch_rnn(rng, layers, both)
        x, h0 = numbers(rng, 4, 7, 3), numbers(rng, layers * (1 + both), 4, 5)
        lengths = ragged_lengths(rng, 7, 4)
        mask = torch.arange(7) < lengths[:, None]
        got = _made(answer, rnn)(x, h0, mask=mask)
        _compare(got, _packed(rnn, x, h0, lengths), rnn, masks.MASKS + _ALL, x, h0, mask)


def padding_first(answer: Answer, rng: torch.Generator) -> None:
    """padding may stand before the text."""
    rnn = _torch_rnn(rng, 2, True)
    x, h0 = numbers(rng, 3, 7, 3), numbers(rng, 4, 3, 5)
    mask = torch.arange(7) >= torch.tensor([[0], [3], [5]])
    want, got = run(_weights(rnn), x, h0, mask), _made(answer, rnn)(x, h0, mask)
    what = "(the outputs where padding stands first, the last state where padding stands first)"
    _compare(got, want, rnn, masks.MASKS + _ALL, x, h0, mask, what=what)


def all_gradients(answer: Answer, rng: torch.Generator) -> None:
    """every gradient equals torch's: inputs, first state, all weights."""
    rnn = _torch_rnn(rng, 2, True)
    x, h0, lengths = numbers(rng, 3, 5, 3), numbers(rng, 4, 3, 5), ragged_lengths(rng, 5, 3)
    mask = torch.arange(5) < lengths[:, None]
    got = _made(answer, rnn).gradients(x, h0, mask, wrt=(0, 1))
    names = list(_weights(rnn))
    mine = [*got["inputs"], *(got["parameters"].get(name) for name in names)]
    want = _gradients(rnn, x, h0, mask, None)
    known = [(sentence, _gradients(rnn, x, h0, mask, parts)) for sentence, parts in masks.CUTS]
    expect_gradients(mine, want, ["the inputs", "the first state", *names], known)


def _gradients(
    rnn: nn.RNN, x: Tensor, h0: Tensor, mask: Tensor, parts: Parts | None
) -> list[Tensor]:
    """Gradients of inputs, first state and weights, the outputs weighed as the desk does it."""
    weights = {name: w.clone().requires_grad_() for name, w in _weights(rnn).items()}
    sources = [x.clone().requires_grad_(), h0.clone().requires_grad_(), *weights.values()]
    results = run(weights, sources[0], sources[1], mask, parts)
    total = sum((o * pattern(o)).sum() for o in results)
    found = torch.autograd.grad(total, sources, allow_unused=True)
    return [torch.zeros_like(s) if g is None else g for s, g in zip(sources, found, strict=True)]
