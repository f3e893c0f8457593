"""The recurrent network against torch's, in float64, and against itself one row at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from minidistill.batches import lengths_to_mask
from minidistill.recurrent import RNN

B, T, E, H = 5, 7, 3, 11
LENGTHS = [4, 7, 1, 5, 2]
EXACT = {"rtol": 0, "atol": 1e-10}
every_kind = pytest.mark.parametrize(
    ("layers", "both"), [(n, both) for n in (1, 2, 3) for both in (False, True)]
)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def twins(layers: int, both: bool, sizes: tuple[int, int] = (E, H)) -> tuple[RNN, nn.RNN]:
    """Return our network and torch's, with the same weights, in float64."""
    torch.manual_seed(layers)
    ours = RNN(*sizes, num_layers=layers, bidirectional=both).double()
    theirs = nn.RNN(*sizes, num_layers=layers, bidirectional=both, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def packed(
    network: nn.RNN, inputs: Tensor, state: Tensor | None, lengths: list[int]
) -> tuple[Tensor, Tensor]:
    sequence = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    outputs, last = network(sequence, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=inputs.size(1))[0], last


def gradients(outputs: Tensor, last: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """The gradients of a loss that gives every output and every last state a weight of its own."""
    loss = (outputs * random(*outputs.shape, seed=1)).sum()
    return torch.autograd.grad(loss + (last * random(*last.shape, seed=2)).sum(), leaves)


def close(found: object, expected: object, **tolerance: float) -> None:
    torch.testing.assert_close(found, expected, **(tolerance or EXACT))


# ---- against torch ------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("ragged", [False, True])
def test_outputs_states_and_gradients_are_those_of_torch(
    layers: int, both: bool, ragged: bool
) -> None:
    ours, theirs = twins(layers, both)
    inputs = random(B, T, E).requires_grad_()  # what stands at padding is random too
    state = random(layers * (1 + both), B, H, seed=3).requires_grad_()
    if ragged:
        found = ours(inputs, state, lengths_to_mask(LENGTHS))
        expected = packed(theirs, inputs, state, LENGTHS)
    else:
        found, expected = ours(inputs, state), theirs(inputs, state)
    close(found, expected)
    names = [name for name, _ in theirs.named_parameters()]
    assert names == [name for name, _ in ours.named_parameters()]
    close(
        gradients(*found, [inputs, state, *ours.parameters()]),
        gradients(*expected, [inputs, state, *theirs.parameters()]),
    )


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_every_shape_agrees_with_torch(data: st.DataObject) -> None:
    batch, size, hidden = (data.draw(st.integers(1, 7)) for _ in range(3))
    layers, both = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=batch, max_size=batch))
    padding = data.draw(st.integers(0, 3))
    time = max(lengths) + padding
    ours, theirs = twins(layers, both, (size, hidden))
    inputs = random(batch, time, size).requires_grad_()
    found = ours(inputs, mask=lengths_to_mask(lengths, time))
    expected = packed(theirs, inputs, None, lengths)
    close(found, expected)
    close(
        gradients(*found, [inputs, *ours.parameters()]),
        gradients(*expected, [inputs, *theirs.parameters()]),
    )


@every_kind
def test_weights_go_both_ways_and_begin_alike(layers: int, both: bool) -> None:
    torch.manual_seed(17)
    theirs = nn.RNN(E, H, layers, batch_first=True, bidirectional=both)
    torch.manual_seed(17)
    ours = RNN(E, H, layers, both)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=0)
    other = nn.RNN(E, H, layers, batch_first=True, bidirectional=both)
    ours.load_state_dict(other.state_dict())
    theirs.load_state_dict(ours.state_dict())
    inputs = random(B, T, E).float()
    close(theirs(inputs), other(inputs), rtol=0, atol=0)
    close(ours(inputs), other(inputs), rtol=0, atol=1e-5)


# ---- masks --------------------------------------------------------------------------------


def with_holes() -> Tensor:
    """A mask with padding on the left, on the right and in between, and a row of nothing else."""
    rows = ["0011111", "1011010", "0000000", "1111111", "0100110"]
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


@every_kind
def test_padding_anywhere_is_as_if_it_were_not_there(layers: int, both: bool) -> None:
    network, _ = twins(layers, both)
    inputs = random(B, T, E).requires_grad_()
    state = random(layers * (1 + both), B, H, seed=3).requires_grad_()
    mask = with_holes()
    outputs, last = network(inputs, state, mask)
    alone, states = torch.zeros_like(outputs), []
    for row in range(B):
        mine, kept = state[:, row : row + 1], mask[row]
        if kept.any():
            one, mine = network(inputs[row : row + 1, kept], mine)
            alone[row, kept] = one[0]
        states.append(mine)
    close((outputs, last), (alone, torch.cat(states, dim=1)))
    leaves = [inputs, state, *network.parameters()]
    found = gradients(outputs, last, leaves)
    close(found, gradients(alone, torch.cat(states, dim=1), leaves))
    assert bool((outputs[~mask] == 0).all()) and bool((found[0][~mask] == 0).all())


@every_kind
def test_a_row_of_padding_alone_keeps_its_state(layers: int, both: bool) -> None:
    network, _ = twins(layers, both)
    inputs = random(B, T, E).requires_grad_()
    nothing = torch.zeros(B, T, dtype=torch.bool)
    state = random(layers * (1 + both), B, H, seed=3)
    outputs, last = network(inputs, state, nothing)
    assert not outputs.any() and torch.equal(last, state)
    assert not network(inputs, mask=nothing)[1].any()
    for gradient in gradients(outputs, last, [inputs, *network.parameters()]):
        assert not gradient.any() and not gradient.isnan().any()


def test_what_stands_at_padding_does_not_matter() -> None:
    network, _ = twins(2, True)
    mask, inputs = with_holes(), random(B, T, E)
    changed = torch.where(mask[:, :, None], inputs, 1e6 * random(B, T, E, seed=5))
    close(network(changed, mask=mask), network(inputs, mask=mask), rtol=0, atol=0)


@every_kind
def test_batched_is_the_same_as_one_by_one(layers: int, both: bool) -> None:
    network, _ = twins(layers, both)
    inputs, mask = random(B, T, E), lengths_to_mask(LENGTHS)
    outputs, last = network(inputs, mask=mask)
    for row, length in enumerate(LENGTHS):
        alone, mine = network(inputs[row : row + 1, :length])
        close(outputs[row, :length], alone[0])
        close(last[:, row : row + 1], mine)


# ---- the carried state --------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("ragged", [False, True])
def test_a_carried_state_goes_on_where_it_stopped(layers: int, ragged: bool) -> None:
    network, _ = twins(layers, False)
    inputs = random(B, T, E)
    mask = with_holes() if ragged else torch.ones(B, T, dtype=torch.bool)
    whole, last = network(inputs, None, mask)
    state, parts = None, []
    for part in (slice(0, 2), slice(2, 3), slice(3, 7)):
        outputs, state = network(inputs[:, part], state, mask[:, part])
        parts.append(outputs)
    close(torch.cat(parts, dim=1), whole)
    close(state, last)


# ---- dropout and mixed precision ----------------------------------------------------------


def test_dropout_acts_between_layers_and_while_training_only() -> None:
    dropped, plain = RNN(E, H, 2, dropout=0.3).double(), RNN(E, H, 2).double()
    plain.load_state_dict(dropped.state_dict())
    inputs = random(B, T, E)
    close(dropped.eval()(inputs), plain(inputs), rtol=0, atol=0)
    outputs, last = dropped.train()(inputs)
    assert not torch.allclose(outputs, plain(inputs)[0])
    close(last[0], plain(inputs)[1][0], rtol=0, atol=0)  # below the first dropout
    close(last[1], outputs[:, -1], rtol=0, atol=0)  # nothing is dropped after the last layer
    single = RNN(E, H, dropout=0.9).double()
    close(single.train()(inputs), single.eval()(inputs), rtol=0, atol=0)


def test_dropout_drops_its_share_and_scales_the_rest() -> None:
    network = RNN(E, H, 2, dropout=0.3).double()
    with torch.no_grad():  # the second layer passes on what it reads, through a tanh
        for name in ("weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
            getattr(network, name).zero_()
        network.weight_ih_l1.copy_(torch.eye(H))
    torch.manual_seed(3)
    inputs = random(31, 37, E)
    below = network.eval()(inputs)[0].atanh()
    found = network.train()(inputs)[0].atanh()
    zero = found == 0
    assert 0.28 < float(zero.double().mean()) < 0.32
    close(found[~zero], below[~zero] / 0.7)


@pytest.mark.parametrize("backward_inside", [False, True])
def test_mixed_precision_runs_and_stays_near(backward_inside: bool) -> None:
    torch.manual_seed(5)
    network = RNN(E, H, 2, bidirectional=True)
    inputs, mask = random(B, T, E).float(), lengths_to_mask(LENGTHS)
    exact, _ = network(inputs, mask=mask)
    expected = torch.autograd.grad(exact.sum(), list(network.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = network(inputs, mask=mask)
        again, _ = network(inputs, state, mask)  # a state of half precision can be carried on
        if backward_inside:
            outputs.float().sum().backward()
    if not backward_inside:
        outputs.float().sum().backward()
    assert outputs.dtype == state.dtype == again.dtype == torch.bfloat16
    close(outputs.float(), exact, rtol=0, atol=0.03)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        assert parameter.grad.dtype == torch.float32
        assert float((parameter.grad - gradient).norm() / gradient.norm()) < 0.05


# ---- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "the input size must be at least 1, got 0"),
        ((3, -1), "the hidden size must be at least 1, got -1"),
        ((3, 5, 0), "the layer size must be at least 1, got 0"),
        ((3, 5, 2, False, 1.0), "dropout is a share between 0 and 1, got 1.0"),
        ((3, 5, 2, False, -0.1), "dropout is a share between 0 and 1, got -0.1"),
    ],
)
def test_bad_sizes(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RNN(*arguments)


def test_shapes_that_do_not_fit() -> None:
    network = RNN(E, H, 2, bidirectional=True)
    inputs = torch.zeros(B, T, E)
    for wrong in (inputs[0], torch.zeros(B, T, 2), torch.zeros(B, 0, E), inputs[None]):
        with pytest.raises(ValueError, match=r"this layer reads \(batch, time, 3\) with at least"):
            network(wrong)
    with pytest.raises(ValueError, match=r"mask has shape \(5, 5\) and type torch.bool but inpu"):
        network(inputs, mask=torch.ones(B, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"type torch.int64 .* one True or False per token"):
        network(inputs, mask=torch.ones(B, T, dtype=torch.long))
    for wrong in ((2, B, H), (4, 1, H), (4, B, 2)):
        with pytest.raises(ValueError, match=r"this layer keeps \(4, 5, 11\): \(layers x direct"):
            network(inputs, torch.zeros(wrong))


def test_what_print_shows() -> None:
    assert repr(RNN(E, H)) == "RNN(3, 11, num_layers=1)"
    assert repr(RNN(E, H, 2, bidirectional=True)) == "RNN(3, 11, num_layers=2, bidirectional=True)"
