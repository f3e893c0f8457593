"""What the tests of training share: a tiny text, tiny models, and runs that break on purpose."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from minidistill.batches import ContinuousBatches
from minidistill.device import seeded
from minidistill.language_model import LanguageModel
from minidistill.recurrent import RNN
from minidistill.training import next_token_loss

torch.set_num_threads(1)  # small tensors on a busy machine: many times faster than with two

VOCAB = 7
SIZE = 23  # of the layer `Means`


def tiny_text(count: int = 101, seed: int = 0) -> Tensor:
    """Ids that mostly count upwards, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(VOCAB, (count,), generator=generator)
    keep = torch.rand(count, generator=generator) < 0.8
    return torch.where(keep, torch.arange(count) % VOCAB, noise)


def tiny_batches(seed: int = 0) -> ContinuousBatches:
    """Five batches an epoch, the last one short."""
    return ContinuousBatches(tiny_text(seed=seed), batch_size=3, length=7)


def tiny_model(seed: int = 0, hidden_size: int = 5, **options: float) -> LanguageModel:
    with seeded(seed):
        return LanguageModel(VOCAB, 3, RNN(3, hidden_size, num_layers=2, dropout=0.3), **options)


class Means(nn.Module):
    """A layer with a nested state: a running mean as a view, the last input, and nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size = self.hidden_size = SIZE
        self.mix = nn.Linear(SIZE, SIZE)

    def forward(self, x: Tensor, state: tuple | None, mask: Tensor | None) -> tuple[Tensor, tuple]:
        mean = x.new_zeros(len(x), SIZE) if state is None else state[0][0]
        outputs = []
        for step in x.unbind(1):
            mean = torch.tanh(0.7 * self.mix(mean) + 0.3 * step)
            outputs.append(mean)
        means = torch.stack(outputs, 1)
        return means, (means[None, :, -1], (x[None, :, -1], None))


class Broken(Exception):
    """A run that broke on purpose."""


def breaking_at(step: int) -> Callable:
    """The usual loss, which raises when it is called for the `step`-th time while training."""
    calls = 0

    def loss(model: nn.Module, batch: tuple, state: Tensor | None) -> tuple:
        nonlocal calls
        if model.training:
            calls += 1
            if calls > step:
                raise Broken
        return next_token_loss(model, batch, state)

    return loss


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    """Whether two models are equal to the bit."""
    theirs = two.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())
