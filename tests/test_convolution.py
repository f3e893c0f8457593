"""Causal convolution against torch's conv1d, and what a network of them promises."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.convolution import CausalConvolution, causal_convolution
from minidistill.generation import generate
from minidistill.language_model import LanguageModel
from minidistill.training import Recipe, evaluate, fit
from tests.training_parts import VOCAB, same_weights, tiny_batches

B, T, E, H = 5, 7, 3, 11
EXACT = {"rtol": 0, "atol": 1e-12}
every_network = pytest.mark.parametrize(
    ("layers", "kernel"), [(1, 2), (2, 2), (3, 2), (2, 3), (1, 5), (2, 1)]
)


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def network_of(layers: int = 3, kernel: int = 2, **more: float) -> CausalConvolution:
    torch.manual_seed(layers)
    network = CausalConvolution(E, H, layers, kernel, **more).double()
    with torch.no_grad():
        for name, bias in network.named_parameters():
            if name.startswith("bias"):  # they start at zero, where a mistake would not show
                bias.normal_()
    return network


def state_of(network: CausalConvolution, batch: int = B) -> tuple[Tensor, ...]:
    reach = [(network.kernel_size - 1) * dilation for dilation in network.dilations]
    return tuple(
        random(steps, batch, H, seed=3 + n).requires_grad_() for n, steps in enumerate(reach)
    )


def with_holes() -> Tensor:
    """A mask with padding on the left, on the right and in between, and a row of nothing else."""
    rows = ["0011111", "1011010", "0000000", "1111111", "0100110"]
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


def gradients(outputs: Tensor, last: tuple[Tensor, ...], leaves: list[Tensor]):
    """The gradients of a loss that gives every output and every last state a weight of its own."""
    loss = (outputs * random(*outputs.shape, seed=1)).sum()
    for n, part in enumerate(last):
        loss = loss + (part * random(*part.shape, seed=7 + n)).sum()
    return torch.autograd.grad(loss, leaves, materialize_grads=True)


def close(found: object, expected: object, **tolerance: float) -> None:
    torch.testing.assert_close(found, expected, **(tolerance or EXACT))


# ---- one convolution ----------------------------------------------------------------------


def test_a_convolution_worked_by_hand():
    x = torch.tensor([[[1.0], [2.0], [3.0], [5.0]]])
    weight, bias = torch.tensor([[[10.0, 1.0]]]), torch.tensor([0.5])
    near, far = causal_convolution(x, weight, bias, 1), causal_convolution(x, weight, bias, 2)
    assert near.flatten().tolist() == [1.5, 12.5, 23.5, 35.5]  # x_t + 10 x_{t-1} + 0.5
    assert far.flatten().tolist() == [1.5, 2.5, 13.5, 25.5]  # x_t + 10 x_{t-2} + 0.5
    past = torch.tensor([[[7.0], [8.0]]])
    assert causal_convolution(x, weight, bias, 2, past).flatten().tolist() == [
        71.5,
        82.5,
        13.5,
        25.5,
    ]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_values_and_gradients_are_those_of_conv1d(data):
    batch, time, size, out = (data.draw(st.integers(1, 7)) for _ in range(4))
    kernel, dilation = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    before = (kernel - 1) * dilation
    leaves = [
        random(batch, time, size),
        random(out, size, kernel, seed=1),
        random(out, seed=2),
        random(batch, before, size, seed=3),
    ]
    given_past = data.draw(st.booleans())
    x, weight, bias, past = (leaf.requires_grad_() for leaf in leaves)
    first = past if given_past else torch.zeros_like(past)
    padded = torch.cat([first, x], dim=1).transpose(1, 2)
    expected = nn.functional.conv1d(padded, weight, bias, dilation=dilation).transpose(1, 2)
    found = causal_convolution(x, weight, bias, dilation, past if given_past else None)
    close(found, expected)
    if found.numel():
        leaves = [x, weight, bias, past] if given_past else [x, weight, bias]
        close(gradients(found, (), leaves), gradients(expected, (), leaves))


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_a_step_sees_its_places_and_no_other(dilation):
    x, kernel = random(1, 13, 2).requires_grad_(), 3
    y = causal_convolution(x, random(5, 2, kernel), random(5), dilation)
    for t in range(13):
        (g,) = torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)
        seen = set(g[0].abs().sum(1).nonzero().flatten().tolist())
        assert seen == {t - k * dilation for k in range(kernel) if t >= k * dilation}


def test_shapes_of_one_convolution_that_do_not_fit():
    x, weight, bias = random(B, T, E), random(H, E, 2), random(H)
    for wrong in [
        (x[0], weight, bias),
        (x, weight[0], bias),
        (x, weight[:, :2], bias),
        (x, weight, bias[:-1]),
        (x, weight.transpose(0, 1), bias),
    ]:
        with pytest.raises(ValueError, match=r"do not fit: they are \(batch, time, I\)"):
            causal_convolution(*wrong, 1)
    for dilation in (0, -1):
        with pytest.raises(ValueError, match=f"1 or more, got {dilation}"):
            causal_convolution(x, weight, bias, dilation)
    for past in (random(B, 1, E), random(1, 2, E), random(B, 2, 2), random(B, 3, E)):
        with pytest.raises(ValueError, match=r"what is looked at is \(5, 2, 3\)"):
            causal_convolution(x, weight, bias, 2, past)


# ---- the network --------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("batch", [1, B])
def test_the_network_is_the_equation_written_with_conv1d(layers, kernel, batch):
    network, inputs = network_of(layers, kernel), random(batch, T, E).requires_grad_()
    x = nn.functional.linear(inputs, network.projection.weight, network.projection.bias)
    x, read = x.transpose(1, 2), []
    for layer in range(layers):
        before = (kernel - 1) * 2**layer
        padded = nn.functional.pad(x, (before, 0))
        read.append(padded[:, :, T:].permute(2, 0, 1))
        weight, bias = (
            network.get_parameter(f"weight_l{layer}"),
            network.get_parameter(f"bias_l{layer}"),
        )
        a = nn.functional.conv1d(padded, weight, bias, dilation=2**layer)
        x = x + torch.tanh(a[:, :H]) * torch.sigmoid(a[:, H:])
    expected, found = x.transpose(1, 2), network(inputs)
    close(found, (expected, tuple(read)))
    leaves = [inputs, *network.parameters()]
    close(gradients(*found, leaves), gradients(expected, tuple(read), leaves))


@every_network
def test_nothing_leaks_from_the_future_and_the_reach_is_exact(layers, kernel):
    network = network_of(layers, kernel)
    reach = network.receptive_field
    assert reach == 1 + (kernel - 1) * (2**layers - 1)
    time = reach + 4
    inputs = random(1, time, E).requires_grad_()
    outputs, _ = network(inputs)
    for t in range(time):
        (g,) = torch.autograd.grad(outputs[0, t].sum(), inputs, retain_graph=True)
        touched = g[0].abs().sum(1) > 0
        expected = [t - reach < place <= t for place in range(time)]
        assert touched.tolist() == expected


@every_network
def test_a_change_in_the_future_changes_no_output(layers, kernel):
    network, inputs = network_of(layers, kernel), random(B, T, E)
    before, _ = network(inputs)
    for t in range(1, T):
        changed = inputs.clone()
        changed[:, t:] = torch.nan
        after, _ = network(changed)
        close(after[:, :t], before[:, :t])


@every_network
def test_padding_anywhere_is_as_if_it_were_not_there(layers, kernel):
    network, mask = network_of(layers, kernel), with_holes()
    inputs, state = random(B, T, E).requires_grad_(), state_of(network)
    outputs, last = network(inputs, state, mask)
    alone, ends = torch.zeros_like(outputs), []
    for row in range(B):
        mine = tuple(part[:, row : row + 1] for part in state)
        if mask[row].any():
            one, mine = network(inputs[row : row + 1, mask[row]], mine)
            alone[row, mask[row]] = one[0]
        ends.append(mine)
    expected = tuple(torch.cat(part, dim=1) for part in zip(*ends, strict=True))
    close((outputs, last), (alone, expected))
    leaves = [inputs, *state, *network.parameters()]
    found = gradients(outputs, last, leaves)
    close(found, gradients(alone, expected, leaves))
    assert bool((outputs[~mask] == 0).all()) and bool((found[0][~mask] == 0).all())


def test_tokens_keep_their_order_in_a_long_text_with_holes():
    network, inputs = network_of(), random(1, 1009, E)
    mask = random(1, 1009, seed=5) > 0
    outputs, last = network(inputs, None, mask)
    close((outputs[:, mask[0]], last), network(inputs[:, mask[0]]))


def test_a_mask_of_real_tokens_only_changes_nothing():
    network, inputs = network_of(), random(B, T, E)
    close(network(inputs, None, torch.ones(B, T, dtype=torch.bool)), network(inputs))


@pytest.mark.parametrize("filling", [1e6, torch.inf, torch.nan])
def test_what_stands_at_padding_does_not_matter(filling):
    network, mask, inputs = network_of(), with_holes(), random(B, T, E)
    changed = torch.where(mask[:, :, None], inputs, torch.as_tensor(filling).double())
    found, expected = network(changed.requires_grad_(), None, mask), network(inputs, None, mask)
    close(found, expected, rtol=0, atol=0)
    weights = list(network.parameters())
    close(gradients(*found, weights), gradients(*expected, weights), rtol=0, atol=0)


@every_network
@settings(deadline=None, max_examples=10)
@given(cuts=st.sets(st.integers(1, T - 1)), ragged=st.booleans())
def test_a_carried_state_goes_on_where_it_stopped(layers, kernel, cuts, ragged):
    network, inputs = network_of(layers, kernel), random(B, T, E)
    mask = with_holes() if ragged else torch.ones(B, T, dtype=torch.bool)
    state, parts = state_of(network), []
    whole, last = network(inputs, state, mask)
    edges = [0, *sorted(cuts), T]
    for start, stop in itertools.pairwise(edges):
        part = slice(start, stop)
        outputs, state = network(inputs[:, part], state, mask[:, part] if ragged else None)
        parts.append(outputs)
    close(torch.cat(parts, dim=1), whole)
    close(state, last)


@every_network
@pytest.mark.parametrize("batch", [1, 3])
def test_writing_token_by_token_is_reading_at_once(layers, kernel, batch):
    network = network_of(layers, kernel)
    inputs = random(batch, 2 * network.receptive_field + 1, E)
    whole, last = network(inputs)
    state, parts = None, []
    with torch.no_grad():
        for t in range(inputs.size(1)):
            outputs, state = network(inputs[:, t : t + 1], state)
            parts.append(outputs)
    close(torch.cat(parts, dim=1), whole)
    close(state, last)


def test_the_state_is_time_first_and_keeps_only_what_is_needed():
    _, state = network_of(3, 3)(random(B, 2, E))
    assert [tuple(part.shape) for part in state] == [(2, B, H), (4, B, H), (8, B, H)]
    assert all(part.is_contiguous() for part in state)
    _, state = CausalConvolution(E, H, 1)(torch.zeros(2, 1000, E))
    assert state[0].untyped_storage().nbytes() == 2 * H * 4, "not a window on the whole text"


def test_a_single_layer_takes_its_state_with_or_without_the_tuple():
    network, inputs = network_of(1, 3), random(B, T, E)
    (part,) = state_of(network)
    close(network(inputs, part), network(inputs, (part,)))


def test_dropout_acts_on_what_a_layer_adds_and_while_training_only():
    dropped, plain = network_of(1, 2, dropout=0.5), network_of(1, 2)
    inputs = random(B, T, E)
    close(dropped.eval()(inputs), plain(inputs), rtol=0, atol=0)
    start = plain.projection(inputs)
    added, kept = plain(inputs)[0] - start, dropped.train()(inputs)[0] - start
    zero = kept.abs() < 1e-12
    assert 0.3 < zero.double().mean() < 0.7
    close(kept[~zero], 2 * added[~zero])


def test_layers_start_with_signals_of_one_size():
    torch.manual_seed(3)
    network = CausalConvolution(E, 101, 5)
    inputs = torch.randn(7, 31, 101)
    for layer in range(5):
        weight, bias = (network.get_parameter(f"{kind}_l{layer}") for kind in ("weight", "bias"))
        a = causal_convolution(inputs, weight, bias, 1)[:, 1:]
        assert 0.9 < a.std().item() < 1.1
        assert not bias.any()


# ---- in a language model ------------------------------------------------------------------


def writer(dropout: float = 0.0) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(VOCAB, 13, CausalConvolution(13, 17, 3, dropout=dropout))


def test_it_learns_in_a_language_model_and_writes_what_it_read():
    model, batches = writer(0.1), tiny_batches()
    before = evaluate(model, batches)
    fit(model, batches, Recipe(steps=60, learning_rate=1e-2))
    assert evaluate(model, batches) < before - 0.5
    prompt = torch.tensor([[0, 1, 2, 3], [3, 4, 5, 6]])
    written = generate(model, prompt, 9, greedy=True)
    tokens = prompt
    with torch.no_grad():
        for _ in range(9):  # reading all anew for each token gives the same text
            tokens = torch.cat([tokens, model.eval()(tokens)[0][:, -1:].argmax(-1)], dim=1)
    assert written.tolist() == tokens.tolist()


def test_a_broken_run_goes_on_to_the_same_weights(tmp_path):
    recipe = Recipe(steps=12, checkpoint_every=5)
    whole, broken = writer(0.3), writer(0.3)
    fit(whole, tiny_batches(), recipe)
    path = tmp_path / "run"

    class Stop(Exception):
        pass

    class Half:
        carries_state = True

        def epoch(self, number: int):
            if number == 1:
                raise Stop
            return tiny_batches().epoch(number)

        fingerprint = staticmethod(lambda: tiny_batches().fingerprint())

    with pytest.raises(Stop):
        fit(broken, Half(), recipe, checkpoint=path)
    fresh = writer(0.3)
    fit(fresh, tiny_batches(), recipe, checkpoint=path)
    assert same_weights(fresh, whole)


def test_mixed_precision_runs_and_stays_near():
    torch.manual_seed(5)
    network, inputs, mask = CausalConvolution(E, H, 3), random(B, T, E).float(), with_holes()
    exact, _ = network(inputs, None, mask)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = network(inputs, None, mask)
        network(inputs, state, mask)  # a state of half precision can be carried on
    outputs.float().sum().backward()
    close(outputs.float(), exact, rtol=0, atol=0.1)
    assert all(p.grad.dtype == torch.float32 for p in network.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_a_gpu_gives_what_the_cpu_gives():
    network, inputs, mask = network_of(), random(B, T, E), with_holes()
    expected = network(inputs, None, mask)
    outputs, state = network.cuda()(inputs.cuda(), None, mask.cuda())
    close((outputs.cpu(), tuple(part.cpu() for part in state)), expected)


# ---- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "the input size must be at least 1, got 0"),
        ((3, -1), "the hidden size must be at least 1, got -1"),
        ((3, 5, 0), "the layer size must be at least 1, got 0"),
        ((3, 5, 2, 0), "the kernel size must be at least 1, got 0"),
        ((3, 5, 2, 2, 1.0), "dropout is a share between 0 and 1, got 1.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CausalConvolution(*arguments)


def test_shapes_that_do_not_fit():
    network, inputs = network_of(2, 3), random(B, T, E)
    for wrong in (inputs[0], random(B, T, 2), random(B, 0, E)):
        with pytest.raises(ValueError, match=r"this layer reads \(batch, time, 3\) with at least"):
            network(wrong)
    for mask in (torch.ones(B, 5, dtype=torch.bool), torch.ones(B, T)):
        with pytest.raises(ValueError, match="one True or False per token"):
            network(inputs, mask=mask)
    near, far = random(2, B, H), random(4, B, H)
    for state in ((near,), (far, near), (near, far, far), near, (near[:, :1], far[:, :1])):
        with pytest.raises(ValueError, match=r"keeps \[\(2, 5, 11\), \(4, 5, 11\)\]: for each"):
            network(inputs, state)


def test_what_print_shows():
    shown = "CausalConvolution(\n  3, 11, num_layers=4, kernel_size=2, receptive_field=16\n"
    assert repr(CausalConvolution(E, H)).startswith(shown)
