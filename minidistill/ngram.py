"""The n-gram baseline: what counting alone reaches, as a measure for every network.

Interpolated Kneser-Ney (Kneser and Ney, 1995; Chen and Goodman, 1998), counted with sorted
integer keys, so that a novel of a million characters takes a second or two.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class _Order:
    """The counts of one order n: which n-grams exist, and what is known of their contexts."""

    keys: Tensor  # sorted distinct (context id * V + last token)
    counts: Tensor  # occurrences (highest order) or distinct left neighbours (lower orders)
    context_total: Tensor  # sum of counts after each context
    context_types: Tensor  # distinct tokens after each context
    discount: float


class NGram:
    """A Kneser-Ney n-gram model over token ids.

    p_n(w | h) = max(c(h w) - D, 0) / c(h) + D N(h) / c(h) p_{n-1}(w | h')

    where h' is h without its first token, N(h) the number of distinct tokens seen after h,
    D = n_1 / (n_1 + 2 n_2) from the numbers of n-grams seen once and twice. Lower orders count
    distinct left neighbours in place of occurrences. Below order 1 stands 1 / V.

    Args:
        order: n; 1 is the unigram model, 5 looks back over four tokens.
        vocab_size: V.

    Raises:
        ValueError: an order below 1, a text shorter than the order, ids outside the vocabulary.

    Source: Kneser and Ney, Improved backing-off for m-gram language modeling, 1995.
    Taught in solutions/02_rnn_from_scratch.ipynb.
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        if order < 1:
            raise ValueError(f"the order must be at least 1, got {order}")
        self.order, self.vocab_size = order, vocab_size
        self.orders: list[_Order] = []

    def fit(self, ids: Tensor) -> NGram:
        """Count a text (1-D ids); returns the model itself."""
        ids = self._checked(ids)
        if len(ids) <= self.order:
            raise ValueError(f"{len(ids)} tokens are too few to count {self.order}-grams")
        grams, keys = self._grams_of(ids)
        self.orders = []
        for n in range(1, self.order + 1):
            if n == self.order:
                counts = torch.bincount(grams[n], minlength=len(keys[n]))
            else:
                counts = _left_neighbours(grams[n + 1], grams[n], len(keys[n]))
            contexts = keys[n] // self.vocab_size
            size = len(keys[n - 1]) if n > 1 else 1
            total = torch.zeros(size, dtype=torch.long).index_add_(0, contexts, counts)
            types = torch.bincount(contexts[counts > 0], minlength=size)
            once, twice = int((counts == 1).sum()), int((counts == 2).sum())
            discount = once / (once + 2 * twice) if once else 0.5
            self.orders.append(_Order(keys[n], counts, total, types, discount))
        return self

    def nats(self, ids: Tensor) -> Tensor:
        """The cost -ln p of every token of a held-out text, given those before it, (N,)."""
        if not self.orders:
            raise ValueError("this n-gram model has counted nothing yet: call fit first")
        ids = self._checked(ids)
        p = torch.full((len(ids),), 1 / self.vocab_size, dtype=torch.float64)
        found = torch.zeros(len(ids), dtype=torch.long)  # ids of the contexts, by start
        for n, order in enumerate(self.orders, start=1):
            if len(ids) < n:
                break
            starts = found[: len(ids) - n + 1]  # context of length n - 1, -1 if never seen
            grams = _look_up(order.keys, starts * self.vocab_size + ids[n - 1 :], starts >= 0)
            p[n - 1 :] = _interpolate(order, starts, grams, p[n - 1 :])
            found = grams
        return -p.log()

    def _checked(self, ids: Tensor) -> Tensor:
        given = torch.as_tensor(ids, device="cpu")
        ids = given.long()
        fits = (ids == given) & (ids >= 0) & (ids < self.vocab_size)
        if ids.dim() != 1 or not bool(fits.all()):
            raise ValueError(
                f"expected one row of token ids from 0 to {self.vocab_size - 1}: encode the text "
                "with the vocabulary that this model was made for"
            )
        return ids

    def _grams_of(self, ids: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """For each n: the n-gram's number at every start, and the sorted distinct keys."""
        grams = [torch.zeros(len(ids), dtype=torch.long)]
        keys = [torch.zeros(1, dtype=torch.long)]
        for n in range(1, self.order + 1):
            starts = grams[n - 1][: len(ids) - n + 1]
            distinct, inverse = torch.unique(
                starts * self.vocab_size + ids[n - 1 :], return_inverse=True
            )
            grams.append(inverse)
            keys.append(distinct)
        return grams, keys


def _left_neighbours(longer: Tensor, shorter: Tensor, size: int) -> Tensor:
    """For each n-gram, how many distinct (n+1)-grams end in it."""
    distinct, inverse = torch.unique(longer, return_inverse=True)
    first = torch.zeros(len(distinct), dtype=torch.long)
    first[inverse] = torch.arange(len(longer))  # any one place where the longer gram stands
    return torch.bincount(shorter[first + 1], minlength=size)


def _look_up(keys: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """Where each wanted key stands among the sorted keys, -1 where it does not."""
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(valid & (keys[place] == wanted), place, -1)


def _interpolate(order: _Order, contexts: Tensor, grams: Tensor, lower: Tensor) -> Tensor:
    """One order's formula; a context that was never seen leaves the lower order's answer."""
    context = contexts.clamp(min=0)
    total = order.context_total[context].double()
    seen = (contexts >= 0) & (total > 0)
    count = torch.where(grams >= 0, order.counts[grams.clamp(min=0)], 0).double()
    kept = (count - order.discount).clamp(min=0)
    share = order.discount * order.context_types[context].double()
    return torch.where(seen, (kept + share * lower) / total.clamp(min=1), lower)
