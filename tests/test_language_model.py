"""The language model: its protocol, its state, and that it never sees what it should predict."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minidistill.device import seeded
from minidistill.language_model import LanguageModel, detach, parameter_count
from minidistill.recurrent import RNN

V, E, H = 13, 5, 7
B, T = 3, 11


class MeansSoFar(nn.Module):
    """A layer of one's own: the mean of the vectors so far; its state is two tensors."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.input_size = self.hidden_size = input_size

    def forward(
        self, inputs: Tensor, state: tuple[Tensor, Tensor] | None, mask: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        batch = inputs.size(0)
        total, count = state or (inputs.new_zeros(1, batch, E), inputs.new_zeros(1, batch, 1))
        real = torch.ones_like(inputs[..., :1]) if mask is None else mask[..., None].to(inputs)
        totals = total[0][:, None] + (inputs * real).cumsum(1)  # (B, T, E)
        counts = count[0][:, None] + real.cumsum(1)  # (B, T, 1)
        return totals / counts.clamp(min=1), (totals[None, :, -1], counts[None, :, -1])


def model_of(kind: str, **options: float) -> LanguageModel:
    with seeded(5):
        layers = {
            "one layer": RNN(E, H),
            "three layers": RNN(E, H, num_layers=3),
            "one's own": MeansSoFar(E),
        }
        return LanguageModel(V, E, layers[kind], **options).double()


def some_tokens(seed: int = 0) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def parts(state: object) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else state


def close(found: object, expected: object) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


every_kind = pytest.mark.parametrize("kind", ["one layer", "three layers", "one's own"])


# ---- the protocol -------------------------------------------------------------------------


@every_kind
def test_the_protocol(kind: str) -> None:
    model, tokens = model_of(kind), some_tokens()
    logits, state = model(tokens)
    assert logits.shape == (B, T, V) and model.vocab_size == V
    assert all(part.size(1) == B for part in parts(state))
    again, _ = model(tokens, None, torch.ones(B, T, dtype=torch.bool))
    close(again, logits)


def test_logits_by_hand() -> None:
    model = model_of("one layer")
    tokens = torch.tensor([[3, 11]])
    layer, h, expected = model.recurrent, torch.zeros(H).double(), []
    for token in tokens[0]:
        x = model.embedding.weight[token]
        h = torch.tanh(
            layer.weight_ih_l0 @ x + layer.bias_ih_l0 + layer.weight_hh_l0 @ h + layer.bias_hh_l0
        )
        expected.append(model.readout.weight @ h + model.readout.bias)
    close(model(tokens)[0][0], torch.stack(expected))


@every_kind
def test_a_carried_state_goes_on_where_it_stopped(kind: str) -> None:
    model, tokens = model_of(kind), some_tokens()
    whole, last = model(tokens)
    state, pieces = None, []
    for piece in tokens.split([4, 1, 6], dim=1):
        logits, state = model(piece, detach(state))
        pieces.append(logits)
    close(torch.cat(pieces, dim=1), whole)
    close(parts(state), parts(last))


@every_kind
@settings(deadline=None, max_examples=30)
@given(st.integers(0, T - 1), st.integers(1, V - 1))
def test_nothing_leaks_from_the_future(kind: str, place: int, shift: int) -> None:
    model, tokens = model_of(kind), some_tokens()
    changed = tokens.clone()
    changed[1, place] = (changed[1, place] + shift) % V
    before, after = model(tokens)[0], model(changed)[0]
    assert torch.equal(before[:, :place], after[:, :place])
    assert torch.equal(before[0], after[0]) and torch.equal(before[2], after[2])  # nor from rows
    assert not torch.equal(before[1, place], after[1, place])


@every_kind
def test_no_gradient_comes_from_the_future(kind: str) -> None:
    model, place = model_of(kind), 6
    reached = torch.zeros(B, T, E, dtype=torch.float64)
    model.embedding.register_forward_hook(lambda _, __, x: x.register_hook(reached.copy_) and None)
    model(some_tokens())[0][1, place].sum().backward()
    assert bool(reached[1, : place + 1].any(-1).all()) and not reached[1, place + 1 :].any()
    assert not reached[0].any() and not reached[2].any()


@every_kind
def test_padding_on_the_left_changes_nothing(kind: str) -> None:
    model, tokens = model_of(kind), some_tokens()
    mask = torch.arange(T).expand(B, T) >= torch.tensor([[0], [3], [7]])
    logits, _ = model(tokens, None, mask)
    for row, start in enumerate((0, 3, 7)):
        close(logits[row, start:], model(tokens[row : row + 1, start:])[0][0])


# ---- tied weights, dropout, size ----------------------------------------------------------


def test_tied_weights_are_one_table() -> None:
    with seeded(3):
        model = LanguageModel(V, E, RNN(E, E), tied=True)
        free = LanguageModel(V, E, RNN(E, E))
    assert model.readout.weight is model.embedding.weight
    assert parameter_count(free) - parameter_count(model) == V * E
    model(some_tokens())[0].sum().backward()
    with torch.no_grad():
        model.embedding.weight.add_(1)
    assert torch.equal(model.readout.weight, model.embedding.weight)


def test_the_gradient_of_a_tied_table_is_the_sum_of_both_uses() -> None:
    with seeded(3):
        tied = LanguageModel(V, E, RNN(E, E), tied=True).double()
        free = LanguageModel(V, E, RNN(E, E)).double()
    free.load_state_dict(tied.state_dict())
    for model in (tied, free):
        model(some_tokens())[0].square().sum().backward()
    close(tied.embedding.weight.grad, free.embedding.weight.grad + free.readout.weight.grad)


def test_a_tied_table_starts_with_logits_of_size_one() -> None:
    with seeded(3):
        model = LanguageModel(997, 61, RNN(61, 61), tied=True)
    assert 0.9 < float(model.embedding.weight.detach().std()) * 61**0.5 < 1.1
    assert float(model(some_tokens())[0].detach().std()) < 1.5


def test_dropout_acts_while_training_only() -> None:
    model, plain = model_of("one layer", dropout=0.5), model_of("one layer")
    tokens = some_tokens()
    close(model.eval()(tokens)[0], plain(tokens)[0])
    with seeded(1):
        first = model.train()(tokens)[0]
    with seeded(2):
        assert not torch.equal(model(tokens)[0], first)
    with seeded(1):
        assert torch.equal(model(tokens)[0], first)


def test_dropout_acts_on_the_vectors_and_before_the_readout() -> None:
    model, dropped = model_of("one layer", dropout=0.5), []
    model.dropout.register_forward_hook(lambda _, __, found: dropped.append(found))
    logits, _ = model(some_tokens())
    assert [found.shape for found in dropped] == [(B, T, E), (B, T, H)]
    assert all(0.3 < float((found == 0).double().mean()) < 0.7 for found in dropped)
    close(logits, model.readout(dropped[1]))


def test_parameters_are_counted() -> None:
    model = model_of("one layer")
    assert parameter_count(model) == V * E + (E * H + H * H + 2 * H) + (H * V + V)
    model.embedding.requires_grad_(False)
    assert parameter_count(model) == (E * H + H * H + 2 * H) + (H * V + V)


def test_detach_cuts_every_part() -> None:
    tensor = torch.ones(1, 2, requires_grad=True) * 2
    assert detach(None) is None
    assert not detach(tensor).requires_grad and tensor.requires_grad
    nested = detach((tensor, (tensor, None)))
    assert isinstance(nested, tuple) and nested[1][1] is None
    assert not nested[0].requires_grad and not nested[1][0].requires_grad
    assert torch.equal(nested[1][0], tensor)


# ---- errors -------------------------------------------------------------------------------


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="reads vectors of size 7 but the embedding gives 5"):
        LanguageModel(V, 5, RNN(7, H))
    with pytest.raises(ValueError, match=r"hidden_size \(7\) and embedding_size \(5\) must be eq"):
        LanguageModel(V, E, RNN(E, H), tied=True)
    with pytest.raises(ValueError, match="needs bidirectional=False"):
        LanguageModel(V, E, RNN(E, H, bidirectional=True))


def test_tokens_that_do_not_fit() -> None:
    model = model_of("one layer")
    with pytest.raises(ValueError, match=r"token ids reach 13 \(lowest 2\) .* knows 13 tokens"):
        model(torch.tensor([[2, 13]]))
    with pytest.raises(ValueError, match=r"lowest -1\)"):
        model(torch.tensor([[-1, 2]]))
    with pytest.raises(ValueError, match=r"tokens have shape \(3,\), expected \(batch, time\)"):
        model(torch.tensor([1, 2, 3]))
    with pytest.raises(ValueError, match="at least one step"):
        model(torch.zeros(2, 0, dtype=torch.long))


def test_an_index_error_of_ones_own_layer_is_not_blamed_on_the_tokens() -> None:
    model = model_of("one's own")
    model.recurrent.forward = lambda *_: [][0]
    with pytest.raises(IndexError):
        model(some_tokens())
