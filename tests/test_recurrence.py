"""The steps of the recurrence and the way back through them: by hand, and against autograd."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minidistill.recurrent import RNN, Recurrence, rnn_backward, rnn_forward, rnn_step

T, B, H, E = 7, 5, 3, 2


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def close(found: object, expected: object) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_one_step_by_hand() -> None:
    x, h = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5]])
    W_ih, W_hh = torch.tensor([[0.3, -0.1]]), torch.tensor([[0.4]])
    found = rnn_step(x, h, W_ih, W_hh, torch.tensor([0.05]), torch.tensor([-0.02]))
    # 0.3 - 0.2 from the token, 0.2 from the state, 0.03 from the biases
    assert float(found) == pytest.approx(math.tanh(0.33))


def test_two_steps_and_back_by_hand() -> None:
    # One unit, h_1 = tanh(a_1), h_2 = tanh(a_2 + w h_1), and the loss is h_2.
    a, w = torch.tensor([[[0.3]], [[-0.2]]], dtype=torch.float64), 0.7
    W_hh, h0 = torch.tensor([[w]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    states = rnn_forward(a, h0, W_hh)
    h1 = math.tanh(0.3)
    h2 = math.tanh(-0.2 + w * h1)
    assert states.flatten().tolist() == pytest.approx([h1, h2])
    dh = torch.tensor([[[0.0]], [[1.0]]], dtype=torch.float64)
    da, dh0, dW_hh = rnn_backward(dh, states, h0, W_hh)
    da2 = 1 - h2**2
    da1 = da2 * w * (1 - h1**2)
    assert da.flatten().tolist() == pytest.approx([da1, da2])
    assert float(dh0) == pytest.approx(da1 * w)
    assert float(dW_hh) == pytest.approx(da2 * h1)  # h_0 is zero


def test_all_steps_are_one_step_after_another() -> None:
    x, h = random(T, B, E), random(B, H, seed=1)
    W_ih, W_hh, b_ih, b_hh = (
        random(*shape, seed=i) for i, shape in enumerate([(H, E), (H, H), (H,), (H,)], start=2)
    )
    expected, state = [], h
    for t in range(T):
        state = rnn_step(x[t], state, W_ih, W_hh, b_ih, b_hh)
        expected.append(state)
    close(rnn_forward(x @ W_ih.T + b_ih + b_hh, h, W_hh), torch.stack(expected))


def case(time: int, batch: int, hidden: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    a, h0 = random(time, batch, hidden), random(batch, hidden, seed=1)
    return a, h0, random(hidden, hidden, seed=2), random(time, batch, hidden, seed=3)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 7), st.integers(1, 5), st.integers(1, 5), st.booleans(), st.integers(0, 2**20)
)
def test_the_way_back_is_that_of_autograd(
    time: int, batch: int, hidden: int, masked: bool, seed: int
) -> None:
    a, h0, W_hh, dh = case(time, batch, hidden)
    mask = random(time, batch, seed=seed) > 0 if masked else None
    leaves = [tensor.requires_grad_() for tensor in (a, h0, W_hh)]
    states = rnn_forward(*leaves, mask)
    expected = torch.autograd.grad(states, leaves, dh)
    with torch.no_grad():
        found = rnn_backward(dh, states, h0, W_hh, mask)
    close(found, expected)


@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck(masked: bool) -> None:
    a, h0, W_hh, _ = case(5, 3, 2)
    mask = random(5, 3, seed=7) > 0 if masked else None
    leaves = [tensor.requires_grad_() for tensor in (a, h0, W_hh)]
    assert torch.autograd.gradcheck(lambda *given: Recurrence.apply(*given, mask), leaves)


def test_gradcheck_of_the_whole_network() -> None:
    torch.manual_seed(1)
    network = RNN(2, 3, num_layers=2, bidirectional=True).double()
    mask = torch.tensor([[False, True, True], [True, False, True]])
    inputs, state = random(2, 3, 2).requires_grad_(), random(4, 2, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, h: network(x, h, mask), [inputs, state])


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    network = RNN(E, H).double()
    inputs = random(B, T, E).requires_grad_()
    outputs, _ = network(inputs)
    # Whether the gradient from above is a constant or not.
    for loss in (outputs.sum(), outputs.square().sum()):
        with pytest.raises(RuntimeError, match="has no gradient of its own: leave out create_gr"):
            torch.autograd.grad(loss, [inputs], create_graph=True)


def test_rnn_forward_can_be_differentiated_twice() -> None:
    a, h0, W_hh, _ = case(3, 2, 2)
    leaves = [tensor.requires_grad_() for tensor in (a, h0, W_hh)]
    assert torch.autograd.gradgradcheck(rnn_forward, leaves)


def test_gradients_reach_only_what_asks_for_them() -> None:
    network = RNN(E, H).double()
    network.weight_hh_l0.requires_grad_(False)
    outputs, _ = network(random(B, T, E))
    outputs.sum().backward()
    assert network.weight_hh_l0.grad is None and network.weight_ih_l0.grad is not None
    with torch.no_grad():
        assert not network(random(B, T, E))[0].requires_grad


def test_writing_into_the_outputs_leaves_the_gradient_right() -> None:
    network, inputs = RNN(E, H).double(), random(B, T, E)
    expected = torch.autograd.grad(2 * network(inputs)[0].sum(), list(network.parameters()))
    outputs, _ = network(inputs)
    outputs.mul_(2)
    close(torch.autograd.grad(outputs.sum(), list(network.parameters())), expected)
