"""Samplers: which few classes stand in for a whole vocabulary, and how likely each was to come.

A sampler draws classes again and again, with replacement, until it has S different ones. One set
of S serves every token of a batch. What the loss needs to know of a class is not how likely one
draw is to give it but how likely it is to be among the S: `log_expected_count`.

The draws come in at random times, one in a unit of time on average, as calls come in at a
telephone exchange. Then the classes do not know of each other: class k has come by time t with
probability 1 - e^(-p(k) t), whatever else came, and the formula stays exact although we stop when
we have enough. 1 - (1 - p(k))^n, for a number of draws n settled beforehand, is nearly the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minidistill.alias_table import alias_table, draw_by_alias
from minidistill.sparse_rows import starts

DRAWS_A_SAMPLE = 64
"""How many draws there are at most for each class that is wanted."""


class Negatives(NamedTuple):
    """Classes drawn for one batch.

    ids: (S,), each class once, in rising order. log_expected_count: (S,), the logarithm of the
    chance that the class was among them; +inf marks a slot that stayed empty, because the draws
    gave fewer than S classes. time: (), how long it took, in expected draws.
    """

    ids: Tensor
    log_expected_count: Tensor
    time: Tensor


def log_expected_count(p: Tensor, time: Tensor | float) -> Tensor:
    """ln Q, Q = 1 - e^(-p t): the chance that what comes p times in a unit of time came by t.

    Args:
        p: probabilities of one draw, any shape. time: t, in expected draws; inf gives ln 1 = 0.

    Exact for rare classes as well: at p t = 1e-9 the plain formula has lost all its digits.
    Taught in solutions/08_sampled_softmax.ipynb.
    """
    return (-torch.expm1(-p * time)).log()


class Sampler(nn.Module):
    """What samplers share; a sampler of your own needs `log_prob` and `draw`.

    Q(k) = 1 - e^(-p(k) t),   p(k) the probability that one draw gives class k

    t is the time when class S + 1 came, which is left out: whoever came before it is in. Q is also
    the expected count of k where a class that came twice is counted once.

    It has no parameters. `sampler.to(device)` moves it; it draws where it lies.

    Source: that the time of the first one left out makes Q exact is shown in Duffield, Lund and
    Thorup, Priority sampling for estimation of arbitrary subset sums, 2007.
    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        if not isinstance(vocab_size, int) or vocab_size < 1:
            raise ValueError(f"vocab_size is {vocab_size!r} but must be an integer of at least 1")
        self.vocab_size = vocab_size
        self.register_buffer("_here", torch.empty(0), persistent=False)
        self._draws: dict[int, int] = {}

    def log_prob(self, ids: Tensor) -> Tensor:
        """Logarithm of the probability p that one draw gives these classes; shape of `ids`."""
        raise NotImplementedError("a sampler has log_prob(ids)")

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """`count` classes, drawn one by one with replacement: (count,)."""
        raise NotImplementedError("a sampler has draw(count, generator)")

    def log_expected_count(self, ids: Tensor, time: Tensor | float) -> Tensor:
        """Logarithm of the chance Q that these classes have come by `time`; shape of `ids`."""
        return log_expected_count(self.log_prob(ids).to(_exact(ids.device)).exp(), time).float()

    def sample(self, samples: int, generator: torch.Generator | None = None) -> Negatives:
        """S different classes for one batch, with nothing that makes a GPU wait.

        At S = V they are all classes and every Q is 1. Where the draws (at most 64 S) give
        fewer than S classes, as a few very frequent ones can make it, the rest stays empty.

        Raises:
            ValueError: S below 1, or larger than the vocabulary.
        """
        V, device = self.vocab_size, self._here.device
        if type(samples) is not int or not 1 <= samples <= V:
            raise ValueError(
                f"samples is {samples!r}: it must be a whole number from 1 to the vocabulary's "
                f"{V} classes, for no class is drawn twice"
            )
        if samples == V:
            every = torch.arange(V, device=device)
            forever = torch.full((), math.inf, device=device)
            return Negatives(every, torch.zeros(V, device=device), forever)
        drawn = self.draw(self._draws_for(samples), generator)
        waits = torch.empty(len(drawn), device=device, dtype=_exact(device))
        arrivals = waits.exponential_(generator=generator).cumsum(0)
        ids, filled, end = first_different(drawn, samples)
        # arrivals[end] would fetch `end` as a Python number, and a GPU has to wait for that.
        time = arrivals.gather(0, end.clamp(max=len(drawn) - 1)[None])[0]
        expected = self.log_expected_count(ids, time)
        return Negatives(ids, expected.masked_fill(~filled, math.inf), time)

    def _draws_for(self, samples: int) -> int:
        """How many draws give S + 1 classes, all but surely (5 standard deviations)."""
        if samples not in self._draws:
            every = torch.arange(self.vocab_size, device=self._here.device)
            p = self.log_prob(every).to(_exact(every.device)).exp()
            low, high = samples + 1, samples * DRAWS_A_SAMPLE
            while low < high:
                middle = (low + high) // 2
                missed = (-p * middle).exp()
                spread = float((missed * (1 - missed)).sum()) ** 0.5
                if len(every) - float(missed.sum()) - 5 * spread > samples:
                    high = middle
                else:
                    low = middle + 1
            self._draws[samples] = low
        return self._draws[samples]


def first_different(drawn: Tensor, samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first S different numbers of a row of draws, in rising order.

    All shapes depend on the shapes given, never on the numbers: so a GPU need not wait.

    Returns:
        ids (S,), which slots are filled (S,), and the place () of the draw that gave number
        S + 1, or len(drawn) where none did.
    """
    order, place = drawn.sort(stable=True)
    when = place.masked_fill(~starts(order), len(drawn))  # where a number came the first time
    end = when.kthvalue(samples + 1).values
    kept = when < end
    slot = (kept.cumsum(0) - 1).masked_fill(~kept, samples)  # one slot more, for what is left out
    ids = torch.zeros(samples + 1, dtype=drawn.dtype, device=drawn.device)
    ids = ids.scatter(0, slot, order)[:samples]
    filled = torch.arange(samples, device=drawn.device) < kept.sum()
    # Empty slots, at the end, repeat the largest number, so that the row still rises.
    return torch.where(filled, ids, order[-1]), filled, end


class UniformSampler(Sampler):
    """Every class alike: p(k) = 1 / V.

    It needs no counts and no order, and it wastes most draws on classes that no token wants.
    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def log_prob(self, ids: Tensor) -> Tensor:
        """See `Sampler`."""
        return torch.full(ids.shape, -math.log(self.vocab_size), device=ids.device)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """See `Sampler`."""
        device = self._here.device
        return torch.randint(self.vocab_size, (count,), generator=generator, device=device)


class LogUniformSampler(Sampler):
    """Classes by Zipf's law, for ids in the order of frequency: 0 stands most often.

    p(k) = ln(1 + 1 / (k + 1)) / ln(V + 1),   drawn as k = floor(exp(u ln(V + 1))) - 1

    Args:
        vocab_size: V.
        counts: how often each class stands in the text; looked at only to refuse ids that are
            not in that order, for which this p is wrong.
        reserved: how many special tokens stand first, whatever their counts.

    Raises:
        ValueError: counts that rise, or that are not one a class.

    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(
        self, vocab_size: int, counts: Sequence[int] | None = None, reserved: int = 0
    ) -> None:
        super().__init__(vocab_size)
        if counts is not None:
            check_counts(counts, vocab_size)
            for k in range(reserved + 1, vocab_size):
                if counts[k] > counts[k - 1]:
                    raise ValueError(
                        f"class {k} stands {counts[k]} times and class {k - 1} before it only "
                        f"{counts[k - 1]}: the log-uniform sampler takes ids for the order of "
                        "frequency. Sort the vocabulary, or use UnigramSampler(counts)"
                    )

    def log_prob(self, ids: Tensor) -> Tensor:
        """See `Sampler`."""
        k = ids.to(_exact(ids.device))
        return (torch.log1p(1 / (k + 1)).log() - math.log(math.log(self.vocab_size + 1))).float()

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """See `Sampler`."""
        device = self._here.device
        u = torch.rand(count, generator=generator, device=device, dtype=_exact(device))
        k = (u * math.log(self.vocab_size + 1)).exp().long() - 1
        return k.clamp(0, self.vocab_size - 1)  # exp may round up to V + 1


class UnigramSampler(Sampler):
    """Classes as often as they stand in the text, to a power: p(k) ~ count(k)^power.

    A power of 1 follows the text, 0 is uniform, 0.75 is word2vec's (Mikolov et al., 2013). Drawn
    by Walker's alias table in the same time whatever V is. A class that never stands in the
    text is counted once: as a target of other text it needs a probability.

    Args:
        counts: one number a class, in any order.
        power: from 0 to 1, as a rule.

    Raises:
        ValueError: counts that are negative or not finite, or all zero.

    Taught in solutions/08_sampled_softmax.ipynb.
    """

    def __init__(self, counts: Sequence[float], power: float = 0.75) -> None:
        counts = torch.as_tensor(counts, dtype=torch.float64)
        super().__init__(counts.numel())
        check_counts(counts.tolist(), self.vocab_size)
        self.power = power
        p = counts.clamp(min=1.0) ** power
        p = p / p.sum()
        keep, other = alias_table(p)
        self.register_buffer("_log_p", p.log().float(), persistent=False)
        self.register_buffer("_keep", keep, persistent=False)
        self.register_buffer("_other", other, persistent=False)

    def log_prob(self, ids: Tensor) -> Tensor:
        """See `Sampler`."""
        return self._log_p[ids]

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """See `Sampler`."""
        return draw_by_alias(self._keep, self._other, count, generator)


def check_counts(counts: Sequence[float], vocab_size: int) -> None:
    """Raise ValueError where counts are not one a class, finite, not negative and not all 0."""
    if len(counts) != vocab_size:
        raise ValueError(f"{len(counts)} counts for {vocab_size} classes: one count a class")
    for k, count in enumerate(counts):
        if not (math.isfinite(count) and count >= 0):
            raise ValueError(f"class {k} has the count {count}: counts are numbers from 0")
    if not any(counts):
        raise ValueError("all counts are 0: count the tokens of a text first")


def _exact(device: torch.device) -> torch.dtype:
    """64 bits where the device has them: 24 bits cannot tell a million classes apart."""
    return torch.float32 if device.type == "mps" else torch.float64
