"""LSTM and GRU against torch's, in float64, by value and by gradient, with either engine."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from minidistill.batches import lengths_to_mask
from minidistill.recurrent import GRU, LSTM
from minidistill.stacked import Stacked
from minidistill.torch_engine import library_twin

B, T, E, H = 5, 7, 3, 11
LENGTHS = [4, 7, 1, 5, 2]
EXACT = {"rtol": 0, "atol": 1e-10}
every_layer = pytest.mark.parametrize("kind", [LSTM, GRU])
every_engine = pytest.mark.parametrize("engine", ["scratch", "torch"])
every_depth = pytest.mark.parametrize(
    ("layers", "both"), [(n, both) for n in (1, 2, 3) for both in (False, True)]
)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def twins(kind: type[Stacked], layers: int, both: bool, sizes: tuple[int, int] = (E, H), **more):
    """Return our network and torch's, with the same weights, in float64."""
    torch.manual_seed(layers)
    ours = kind(*sizes, num_layers=layers, bidirectional=both, **more).double()
    theirs = kind.kernel(*sizes, num_layers=layers, bidirectional=both, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def given_state(network: Stacked, batch: int = B) -> Tensor | tuple[Tensor, ...]:
    """A state by chance, in the form that the network keeps, that asks for its gradient."""
    rows = network.num_layers * len(network.directions)
    shape = rows, batch, network.hidden_size
    parts = tuple(random(*shape, seed=3 + n).requires_grad_() for n in range(network.parts))
    return parts if network.parts > 1 else parts[0]


def parts_of(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else tuple(state)


def packed(network: nn.RNNBase, inputs: Tensor, state, lengths: list[int]):
    sequence = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    outputs, last = network(sequence, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=inputs.size(1))[0], last


def gradients(outputs: Tensor, last, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """The gradients of a loss that gives every output and every last state a weight of its own."""
    loss = (outputs * random(*outputs.shape, seed=1)).sum()
    for n, part in enumerate(parts_of(last)):
        loss = loss + (part * random(*part.shape, seed=7 + n)).sum()
    return torch.autograd.grad(loss, leaves)


def close(found: object, expected: object, **tolerance: float) -> None:
    torch.testing.assert_close(found, expected, **(tolerance or EXACT))


# ---- against torch ------------------------------------------------------------------------


@every_layer
@every_depth
@every_engine
@pytest.mark.parametrize("ragged", [False, True])
def test_outputs_states_and_gradients_are_those_of_torch(kind, layers, both, engine, ragged):
    ours, theirs = twins(kind, layers, both, engine=engine)
    inputs, state = random(B, T, E).requires_grad_(), given_state(ours)
    if ragged:
        found = ours(inputs, state, lengths_to_mask(LENGTHS))
        expected = packed(theirs, inputs, state, LENGTHS)
    else:
        found, expected = ours(inputs, state), theirs(inputs, state)
    close(found, expected)
    names = [name for name, _ in theirs.named_parameters()]
    assert names == [name for name, _ in ours.named_parameters()]
    leaves = [inputs, *parts_of(state)]
    close(
        gradients(*found, [*leaves, *ours.parameters()]),
        gradients(*expected, [*leaves, *theirs.parameters()]),
    )


@every_layer
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_every_shape_agrees_with_torch(kind, data):
    batch, size, hidden = (data.draw(st.integers(1, 7)) for _ in range(3))
    layers, both = data.draw(st.integers(1, 3)), data.draw(st.booleans())
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=batch, max_size=batch))
    time = max(lengths) + data.draw(st.integers(0, 3))
    ours, theirs = twins(kind, layers, both, (size, hidden))
    inputs = random(batch, time, size).requires_grad_()
    found = ours(inputs, mask=lengths_to_mask(lengths, time))
    expected = packed(theirs, inputs, None, lengths)
    close(found, expected)
    close(
        gradients(*found, [inputs, *ours.parameters()]),
        gradients(*expected, [inputs, *theirs.parameters()]),
    )


@every_layer
@every_depth
def test_weights_go_both_ways_and_begin_alike(kind, layers, both):
    torch.manual_seed(17)
    theirs = kind.kernel(E, H, layers, batch_first=True, bidirectional=both)
    torch.manual_seed(17)
    ours = kind(E, H, layers, both)
    close(dict(ours.state_dict()), dict(theirs.state_dict()), rtol=0, atol=0)
    other = kind.kernel(E, H, layers, batch_first=True, bidirectional=both)
    ours.load_state_dict(other.state_dict())
    theirs.load_state_dict(ours.state_dict())
    inputs = random(B, T, E).float()
    close(theirs(inputs), other(inputs), rtol=0, atol=0)
    close(ours(inputs), other(inputs), rtol=0, atol=1e-5)


# ---- masks and the carried state ----------------------------------------------------------


def with_holes() -> Tensor:
    """A mask with padding on the left, on the right and in between, and a row of nothing else."""
    rows = ["0011111", "1011010", "0000000", "1111111", "0100110"]
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


@every_layer
@every_depth
@every_engine
def test_padding_anywhere_is_as_if_it_were_not_there(kind, layers, both, engine):
    network, _ = twins(kind, layers, both, engine=engine)
    inputs, state, mask = random(B, T, E).requires_grad_(), given_state(network), with_holes()
    outputs, last = network(inputs, state, mask)
    alone, ends = torch.zeros_like(outputs), []
    for row in range(B):
        mine = tuple(part[:, row : row + 1] for part in parts_of(state))
        if mask[row].any():
            kept = inputs[row : row + 1, mask[row]]
            one, end = network(kept, mine if network.parts > 1 else mine[0])
            alone[row, mask[row]], mine = one[0], parts_of(end)
        ends.append(mine)
    expected = tuple(torch.cat(part, dim=1) for part in zip(*ends, strict=True))
    close((outputs, parts_of(last)), (alone, expected))
    leaves = [inputs, *parts_of(state), *network.parameters()]
    found = gradients(outputs, last, leaves)
    close(found, gradients(alone, expected, leaves))
    assert bool((outputs[~mask] == 0).all()) and bool((found[0][~mask] == 0).all())


@every_layer
@every_engine
def test_what_stands_at_padding_does_not_matter(kind, engine):
    network, _ = twins(kind, 2, True, engine=engine)
    mask, inputs = with_holes(), random(B, T, E)
    for filling in (1e6, torch.inf, torch.nan):
        changed = torch.where(mask[:, :, None], inputs, torch.as_tensor(filling).double())
        found = network(changed.requires_grad_(), mask=mask)
        close(found, network(inputs, mask=mask), rtol=0, atol=0)
        weights = list(network.parameters())
        expected = gradients(*network(inputs, mask=mask), weights)
        close(gradients(*found, weights), expected, rtol=0, atol=0)


@every_layer
@every_engine
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_carried_state_goes_on_where_it_stopped(kind, engine, layers):
    network, _ = twins(kind, layers, False, engine=engine)
    inputs, mask = random(B, T, E), with_holes()
    whole, last = network(inputs, None, mask)
    state, parts = None, []
    for part in (slice(0, 2), slice(2, 3), slice(3, 7)):
        outputs, state = network(inputs[:, part], state, mask[:, part])
        parts.append(outputs)
    close(torch.cat(parts, dim=1), whole)
    close(state, last)


@every_layer
@pytest.mark.parametrize("layers", [1, 3])
def test_writing_token_by_token_is_reading_at_once(kind, layers):
    network, _ = twins(kind, layers, False)
    inputs = random(B, T, E)
    whole, last = network(inputs)
    state, parts = None, []
    network.eval()
    with torch.no_grad():
        for t in range(T):
            outputs, state = network(inputs[:, t : t + 1], state)
            parts.append(outputs)
    close(torch.cat(parts, dim=1), whole)
    close(state, last)


# ---- the engine ---------------------------------------------------------------------------


@every_layer
def test_the_engine_can_be_changed_and_is_one_set_of_weights(kind):
    network, _ = twins(kind, 2, True)
    inputs = random(B, T, E)
    before = network(inputs)
    network.engine = "torch"
    names = list(network.state_dict())
    close(network(inputs), before)
    assert list(network.state_dict()) == names, "the kernel is no part of the model"
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.7)
    changed = network(inputs)
    assert not torch.allclose(changed[0], before[0])
    network.engine = "scratch"
    close(network(inputs), changed)
    with pytest.raises(ValueError, match="engine is 'scratch' or 'torch', got 'cudnn'"):
        network.engine = "cudnn"


@every_layer
def test_the_kernel_follows_weights_that_are_replaced_moved_or_copied(kind):
    network, theirs = twins(kind, 1, False, engine="torch")
    inputs = random(B, T, E)
    network(inputs)
    network.load_state_dict({k: v * 0.5 for k, v in theirs.state_dict().items()}, assign=True)
    theirs.load_state_dict(network.state_dict())
    close(network(inputs), theirs(inputs))
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.weight_hh_l0.zero_()
    close(network(inputs), theirs(inputs))
    assert not torch.allclose(other(inputs)[0], theirs(inputs)[0])
    close(network.float()(inputs.float())[0].double(), theirs(inputs)[0], rtol=0, atol=1e-5)
    assert library_twin(network) is library_twin(network)


@every_layer
@every_engine
def test_dropout_acts_between_layers_and_while_training_only(kind, engine):
    dropped = kind(E, H, 2, dropout=0.3, engine=engine).double()
    plain = kind(E, H, 2, engine=engine).double()
    plain.load_state_dict(dropped.state_dict())
    inputs = random(B, T, E)
    close(dropped.eval()(inputs), plain(inputs), rtol=0, atol=0)
    outputs, last = dropped.train()(inputs)
    hidden = parts_of(last)[0]
    assert not torch.allclose(outputs, plain(inputs)[0])
    close(hidden[0], parts_of(plain(inputs)[1])[0][0], rtol=0, atol=1e-12)
    close(hidden[1], outputs[:, -1], rtol=0, atol=0)
    single = kind(E, H, dropout=0.9, engine=engine).double()
    close(single.train()(inputs), single.eval()(inputs), rtol=0, atol=0)


@every_layer
def test_mixed_precision_runs_and_stays_near(kind):
    torch.manual_seed(5)
    network = kind(E, H, 2, bidirectional=True)
    inputs, mask = random(B, T, E).float(), lengths_to_mask(LENGTHS)
    exact, _ = network(inputs, mask=mask)
    expected = torch.autograd.grad(exact.sum(), list(network.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = network(inputs, mask=mask)
        network(inputs, state, mask)  # a state of half precision can be carried on
    outputs.float().sum().backward()
    close(outputs.float(), exact, rtol=0, atol=0.03)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        assert parameter.grad.dtype == torch.float32
        assert float((parameter.grad - gradient).norm() / gradient.norm()) < 0.05


# ---- errors -------------------------------------------------------------------------------


@every_layer
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "the input size must be at least 1, got 0"),
        ((3, -1), "the hidden size must be at least 1, got -1"),
        ((3, 5, 2, False, 1.0), "dropout is a share between 0 and 1, got 1.0"),
        ((3, 5, 1, False, 0.0, "fast"), "engine is 'scratch' or 'torch', got 'fast'"),
    ],
)
def test_bad_arguments(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(*arguments)


@every_engine
def test_shapes_that_do_not_fit(engine):
    lstm, gru = LSTM(E, H, 2, True, engine=engine), GRU(E, H, 2, True, engine=engine)
    inputs, part = torch.zeros(B, T, E), torch.zeros(4, B, H)
    for network in (lstm, gru):
        for wrong in (inputs[0], torch.zeros(B, T, 2), torch.zeros(B, 0, E)):
            with pytest.raises(ValueError, match=r"this layer reads \(batch, time, 3\) with at"):
                network(wrong)
        with pytest.raises(ValueError, match=r"mask has shape \(5, 5\)"):
            network(inputs, mask=torch.ones(B, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"is a pair \(h, c\), got 1 tensors"):
        lstm(inputs, part)
    with pytest.raises(ValueError, match="is one tensor, got 2 tensors"):
        gru(inputs, (part, part))
    with pytest.raises(ValueError, match=r"this layer keeps \(4, 5, 11\)"):
        lstm(inputs, (part, torch.zeros(4, 1, H)))


@every_layer
def test_a_gradient_of_a_gradient_is_refused_in_a_sentence(kind):
    network = kind(E, H)
    outputs, _ = network(random(B, T, E).float())
    (first,) = torch.autograd.grad(outputs.sum(), network.weight_hh_l0, create_graph=False)
    assert first.abs().sum() > 0
    outputs, _ = network(random(B, T, E).float())
    with pytest.raises(RuntimeError, match="written by hand"):
        torch.autograd.grad(outputs.sum(), network.weight_hh_l0, create_graph=True)


def test_what_print_shows():
    assert repr(LSTM(E, H)) == "LSTM(3, 11, num_layers=1)"
    assert repr(GRU(E, H, 2, engine="torch")) == 'GRU(3, 11, num_layers=2, engine="torch")'
