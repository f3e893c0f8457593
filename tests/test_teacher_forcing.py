"""The loss of pairs, by hand and against a plain loop, and scheduled sampling."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE, PairBatches, Pairs
from minidistill.seq2seq import Seq2Seq
from minidistill.teacher_forcing import (
    ScheduledSampling,
    inverse_sigmoid,
    linear,
    pair_loss,
    token_loss,
)
from minidistill.training import Recipe, evaluate, fit
from tests.pair_models import (
    BOS,
    EOS,
    KINDS,
    SPECIAL,
    Kind,
    close,
    gradients,
    model_of,
    name_of,
    ragged,
    remembered,
)
from tests.training_parts import Broken, same_weights

ADDITIVE = Kind("GRU", "additive", {})
every_kind = pytest.mark.parametrize("kind", KINDS, ids=name_of)


# ---- the loss of tokens -------------------------------------------------------------------


def test_token_loss_by_hand() -> None:
    # Probabilities 1/4 and 3/4, then 1/2 and 1/2; the third place is padding.
    logits = torch.tensor([[[0.0, math.log(3)], [1.0, 1.0], [5.0, -5.0]]])
    loss, count = token_loss(logits, torch.tensor([[0, 1, IGNORE]]))
    assert (float(loss), count) == (pytest.approx((math.log(4) + math.log(2)) / 2), 2)


def test_every_real_token_counts_the_same() -> None:
    logits = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1)).double()
    targets = torch.full((3, 5), IGNORE)
    targets[0, :1], targets[1] = 3, torch.tensor([0, 1, 2, 6, 5])
    loss, count = token_loss(logits, targets)
    real = [(b, t) for b in range(3) for t in range(5) if targets[b, t] != IGNORE]
    parts = [-logits[b, t].log_softmax(-1)[targets[b, t]] for b, t in real]
    assert count == len(parts) == 6
    close(loss, sum(parts) / 6)


def test_a_batch_without_targets_has_no_loss_and_no_gradient() -> None:
    logits = torch.randn(2, 3, 5, requires_grad=True)
    loss, count = token_loss(logits, torch.full((2, 3), IGNORE))
    loss.backward()
    assert (float(loss.detach()), count) == (0.0, 0) and bool((logits.grad == 0).all())


@pytest.mark.parametrize(
    ("dtype", "found"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_the_loss_is_added_up_in_no_less_than_float32(
    dtype: torch.dtype, found: torch.dtype
) -> None:
    loss, _ = token_loss(torch.zeros(1, 2, 3, dtype=dtype), torch.tensor([[0, 1]]))
    assert loss.dtype == found
    close(loss, torch.tensor(math.log(3), dtype=found), 1e-7)


@every_kind
def test_pair_loss_is_what_a_plain_loop_finds(kind: Kind) -> None:
    model, batch = model_of(kind), ragged(11, empty=False)
    loss, count, state = pair_loss(model, batch)
    total = 0.0
    for b in range(len(batch.source)):
        memory = model.encode(batch.source[b][batch.source_mask[b]][None])
        carried, read = None, torch.tensor([[BOS]])
        wanted = batch.target_out[b][batch.target_mask[b]].tolist()
        assert wanted[-1] == EOS
        for target in wanted:  # the decoder reads the true token, whatever it would write
            logits, carried = model(read, carried, memory=memory)
            total = total - logits[0, 0].log_softmax(-1)[target]
            read = torch.tensor([[target]])
    assert state is None and count == int(batch.target_mask.sum())
    close(loss, total / count)


# ---- the schedules ------------------------------------------------------------------------


def test_schedules_by_hand() -> None:
    down = linear(1.0, 0.25, 10)
    assert [down(step) for step in (0, 4, 10, 99)] == pytest.approx([1.0, 0.7, 0.25, 0.25])
    assert linear(0.5, 0.0, 0)(0) == 0.5
    share = inverse_sigmoid(20)
    for step in (0, 7, 60, 200):
        assert share(step) == pytest.approx(20 / (20 + math.exp(step / 20)))
    assert share(10**7) == pytest.approx(0, abs=1e-300)
    with pytest.raises(ValueError, match=r"at least 1, got 0\.5"):
        inverse_sigmoid(0.5)


@pytest.mark.parametrize("share", [1.1, -0.1, math.nan])
def test_a_schedule_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match=f"gives {share} at step 3: a share is 0 to 1"):
        ScheduledSampling(lambda step: share).at(3)


# ---- scheduled sampling -------------------------------------------------------------------


@every_kind
def test_with_true_tokens_only_it_is_teacher_forcing(kind: Kind) -> None:
    model, batch = model_of(kind), ragged(11)
    # Two shares above what is ever drawn: the road with the loop gives what the other one does.
    almost = ScheduledSampling(lambda step: 1 - 1e-12).at(0)
    for loss in (ScheduledSampling(linear(1, 1, 1)).at(0), almost):
        model.train()
        found, count, state = loss(model, batch)
        expected = pair_loss(model, batch)
        assert (count, state) == expected[1:]
        close(found, expected[0])
        close(gradients(model, found), gradients(model, expected[0]))


def own_words(model: Seq2Seq, batch: Pairs, true: Tensor) -> Tensor:
    """The loss, row by row and token by token, where `true` says which tokens are given."""
    total = 0.0
    for b in range(len(batch.source)):
        memory = model.encode(batch.source[b : b + 1], batch.source_mask[b : b + 1])
        read, carried = batch.target_in[b, :1], None
        for t in range(int(batch.target_mask[b].sum())):
            logits, carried = model(read[None], carried, memory=memory)
            total = total - logits[0, 0].log_softmax(-1)[batch.target_out[b, t]]
            if t + 1 < batch.target_in.size(1):
                own = logits[0, 0].argmax(-1, keepdim=True)
                read = batch.target_in[b, t + 1 : t + 2] if true[b, t + 1] else own
    return total / int(batch.target_mask.sum())


@every_kind
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_it_reads_its_own_words(kind: Kind, share: float) -> None:
    model, batch = model_of(kind).train(), ragged(11)
    torch.manual_seed(5)
    found, _, _ = ScheduledSampling(lambda step: share).at(0)(model, batch)
    torch.manual_seed(5)
    true = torch.rand(batch.target_in.shape) < share
    assert bool(true.any()) == (share > 0)
    expected = own_words(model, batch, true)
    close(found, expected)
    close(gradients(model, found), gradients(model, expected))  # none through the choice
    if share == 0:
        forced = pair_loss(model, batch)[0]
        assert abs(float(found - forced)) > 1e-6


def test_what_is_not_trained_is_measured_with_teacher_forcing() -> None:
    model, batch = model_of(ADDITIVE), ragged(11)
    loss = ScheduledSampling(linear(0, 0, 1))
    close(loss.at(0)(model, batch)[0], pair_loss(model, batch)[0])
    pairs = [([3, 4, 5], [4, 3]), ([7], [5, 6, 7])]
    batches = PairBatches(pairs, 2, **SPECIAL)
    assert evaluate(model.train(), batches, loss.at(0)) == evaluate(model, batches, pair_loss)


def test_fit_asks_for_the_share_of_each_step() -> None:
    asked = []

    def schedule(step: int) -> float:
        asked.append(step)
        return 0.5

    fit_a_little(model_of(ADDITIVE, dtype=torch.float32), ScheduledSampling(schedule), None, 5)
    assert asked == list(range(5))


# ---- broken runs --------------------------------------------------------------------------


def fit_a_little(model: nn.Module, loss: object, path: Path | None, steps: int = 11) -> list[float]:
    generator = torch.Generator().manual_seed(2)
    texts = [torch.randint(3, 13, (n,), generator=generator) for n in (3, 5, 2, 7, 4, 1, 6, 3)]
    batches = PairBatches([(text, text.flip(0)) for text in texts], 3, **SPECIAL)
    recipe = Recipe(steps=steps, learning_rate=0.02, validate_every=5, checkpoint_every=4, seed=3)
    return fit(
        model, batches, recipe, validation=batches, loss=loss, checkpoint=path, progress=False
    ).losses


class Breaking(ScheduledSampling):
    """A loss that breaks at a step."""

    def __init__(self, schedule: object, step: int) -> None:
        super().__init__(schedule)
        self.step = step

    def at(self, step: int) -> ScheduledSampling:
        if step == self.step:
            raise Broken
        return super().at(step)


@pytest.mark.parametrize("step", [5, 8])
def test_a_broken_run_ends_as_the_unbroken_one(tmp_path: Path, step: int) -> None:
    kind = Kind("GRU", "additive", {"dropout": 0.3})
    schedule = linear(1, 0, 8)
    unbroken, resumed = (model_of(kind, dtype=torch.float32) for _ in range(2))
    expected = fit_a_little(unbroken, ScheduledSampling(schedule), None)
    with pytest.raises(Broken):
        fit_a_little(resumed, Breaking(schedule, step), tmp_path / "run")
    other = model_of(kind, seed=1, dtype=torch.float32)
    assert fit_a_little(other, ScheduledSampling(schedule), tmp_path / "run") == expected
    assert same_weights(other, unbroken)


def test_training_with_its_own_words_learns() -> None:
    model = model_of(ADDITIVE, dtype=torch.float32)
    memory_before = remembered(model, ragged(3)).summary.clone()
    losses = fit_a_little(model, ScheduledSampling(linear(0.5, 0.5, 1)), None, 60)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert not torch.allclose(remembered(model, ragged(3)).summary, memory_before)
