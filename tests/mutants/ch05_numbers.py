"""More answers to 05.3 and 05.4: states, costs and their gradients, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from minidistill.tasks import PADDING
from tests.mutants import right, wrong

IGNORE = -100
_TOTALS = [0.0, 0]


def last(mask):
    return (torch.arange(mask.size(1)) * mask).amax(1)


def first(mask):
    return mask.long().argmax(1)


def at(states, place):
    return states[torch.arange(len(states)), place]


def empty(summary, mask):
    return summary.masked_fill(~mask.any(1)[:, None], 0.0)


def summary(states, mask, bidirectional, forwards_at=last, backwards_at=first, one_way_at=last):
    if not bidirectional:
        return empty(at(states, one_way_at(mask)), mask)
    forwards, backwards = states.chunk(2, dim=-1)
    both = [at(forwards, forwards_at(mask)), at(backwards, backwards_at(mask))]
    return empty(torch.cat(both, dim=-1), mask)


@wrong("05.3", "the places are exchanged")
def places_exchanged(states, mask, bidirectional):
    return summary(states, mask, bidirectional, first, last)


@wrong("05.3", "the mask is inverted")
def padding_is_read(states, mask, bidirectional):
    return summary(states, ~mask, bidirectional)


@wrong("05.3", "looked for in the states")
def real_by_value(states, mask, bidirectional):
    return summary(states, (states != 0).any(-1), bidirectional)


@wrong("05.3", "0 is a place")
def zero_is_false(states, mask, bidirectional):
    found = summary(states, mask, bidirectional)
    return torch.stack([h if place else h * 0 for h, place in zip(found, last(mask), strict=True)])


@wrong("05.3", "padding may stand between them")
def side_by_side(states, mask, bidirectional):
    def end(m):
        return (first(m) + m.sum(1) - 1).clamp(min=0, max=m.size(1) - 1)

    return summary(states, mask, bidirectional, end, one_way_at=end)


@wrong("05.3", "the same place is read in all rows")
def one_end_for_all(states, mask, bidirectional):
    def latest(m):
        return last(m).max().expand(len(m))

    def earliest(m):
        return first(m).min().expand(len(m))

    return summary(states, mask, bidirectional, latest, earliest, latest)


@wrong("05.3", "counted from the wrong end")
def turned_mask(states, mask, bidirectional):
    def end(m):
        return m.flip(1).long().argmax(1)

    return summary(states, mask, bidirectional, end, one_way_at=end)


@wrong("05.3", "(B, B, C)")
def every_row_at_all_places(states, mask, bidirectional):
    if not bidirectional:
        return states[:, last(mask)]
    forwards, backwards = states.chunk(2, dim=-1)
    return torch.cat([forwards[:, last(mask)], backwards[:, first(mask)]], dim=-1)


@wrong("05.3", "the backward states are turned round")
def turned_backwards(states, mask, bidirectional):
    if not bidirectional:
        return summary(states, mask, False)
    forwards, backwards = states.chunk(2, dim=-1)
    both = [at(forwards, last(mask)), at(backwards.flip(1), last(mask))]
    return empty(torch.cat(both, dim=-1), mask)


@wrong("05.3", "where bidirectional is False the first real token is read")
def one_way_at_the_first(states, mask, bidirectional):
    return summary(states, mask, bidirectional, one_way_at=first)


@wrong("05.3", "as soon as one row is empty all rows are zeros")
def all_or_nothing(states, mask, bidirectional):
    found = summary(states, mask, bidirectional)
    return found if mask.any(1).all() else found * 0


@wrong("05.3", "where nothing is real the summary must be zeros")
def the_row_before(states, mask, bidirectional):
    rows, kept = [], states[0, 0] * 0
    for row, m in zip(states, mask, strict=True):
        if m.any():
            kept = summary(row[None], m[None], bidirectional)[0]
        rows.append(kept)
    return torch.stack(rows)


@right("05.3")
def step_by_step(states, mask, bidirectional):
    def read(part, places):
        h = part.new_zeros(len(part), part.size(-1))
        for s in places:
            h = torch.where(mask[:, s, None], part[:, s], h)
        return h

    S = range(states.size(1))
    if not bidirectional:
        return read(states, S)
    forwards, backwards = states.chunk(2, dim=-1)
    return torch.cat([read(forwards, S), read(backwards, reversed(S))], dim=-1)


def real_costs(logits, targets):
    real = targets != IGNORE
    log_p = logits[real].log_softmax(-1)
    return -log_p.gather(1, targets[real][:, None])[:, 0], int(real.sum())


def mean(costs, count):
    return costs.sum() / max(1, count)


@wrong("05.4", "-inf times 0 is NaN")
def cost_times_mask(logits, targets):
    real = targets != IGNORE
    log_p = logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    count = int(real.sum())
    return -(log_p * real).sum() / max(1, count), count


@wrong("05.4", "the logarithm of 0 is infinite")
def log_of_softmax(logits, targets):
    real = targets != IGNORE
    log_p = logits[real].softmax(-1).log()
    return mean(-log_p.gather(1, targets[real][:, None]), int(real.sum())), int(real.sum())


@wrong("05.4", "a small number is added to the probability")
def with_a_small_number(logits, targets):
    real = targets != IGNORE
    log_p = (logits[real].softmax(-1) + 1e-9).log()
    return mean(-log_p.gather(1, targets[real][:, None]), int(real.sum())), int(real.sum())


@wrong("05.4", "a token is left out because of its id")
def padding_is_no_target(logits, targets):
    costs, _ = real_costs(logits, targets.masked_fill(targets == PADDING, IGNORE))
    return mean(costs, len(costs)), len(costs)


@wrong("05.4", "with no real target the loss is a float")
def zero_as_a_float(logits, targets):
    costs, count = real_costs(logits, targets)
    return (costs.mean(), count) if count else (0.0, 0)


@wrong("05.4", ".item(), float() and .tolist()")
def taken_out(logits, targets):
    costs, count = real_costs(logits, targets)
    return mean(costs, count).item(), count


@wrong("05.4", "keep the type of the input")
def in_single_precision(logits, targets):
    costs, count = real_costs(logits.float(), targets)
    return mean(costs, count), count


@wrong("05.4", "padding counts as target 0")
def counts_right_and_divides_wrong(logits, targets):
    log_p = logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])
    return -log_p.mean(), int((targets != IGNORE).sum())


@wrong("05.4", "the real targets are taken to stand in front")
def as_long_as_real(logits, targets):
    counts = (targets != IGNORE).sum(1).tolist()
    rows = zip(logits, targets, counts, strict=True)
    found = [F.one_hot(y[:n].clamp(min=0), z.size(-1)).bool() for z, y, n in rows]
    costs = [
        -z[:n].log_softmax(-1)[hot].sum() for z, n, hot in zip(logits, counts, found, strict=True)
    ]
    return torch.stack(costs).sum() / max(1, sum(counts)), sum(counts)


@wrong("05.4", "everything behind the first -100 is left out")
def up_to_the_first(logits, targets):
    places = (targets.flatten() == IGNORE).nonzero().flatten().tolist()
    n = places[0] if places else targets.numel()
    return (
        mean(real_costs(logits.flatten(0, 1)[None, :n], targets.flatten()[None, :n])[0], n),
        n,
    )


@wrong("05.4", "no gradient reaches the logits")
def a_new_leaf(logits, targets):
    costs, count = real_costs(logits, targets)
    return torch.tensor(mean(costs, count).item(), requires_grad=True), count


@wrong("05.4", "the gradient of the logits is")
def normaliser_detached(logits, targets):
    real = targets != IGNORE
    z, y = logits[real], targets[real]
    costs = z.logsumexp(-1).detach() - z.gather(1, y[:, None])[:, 0]
    return mean(costs, len(y)), len(y)


@wrong("05.4", "something is kept between calls")
def running_mean(logits, targets):
    costs, count = real_costs(logits, targets)
    _TOTALS[0], _TOTALS[1] = _TOTALS[0] + costs.sum().item(), _TOTALS[1] + count
    return _TOTALS[0] / max(1, _TOTALS[1]) + 0.0 * costs.sum(), count


@right("05.4")
def one_hot_of_the_real(logits, targets):
    real = targets != IGNORE
    hot = F.one_hot(targets[real], logits.size(-1)).to(logits.dtype)
    count = int(real.sum())
    return -(hot * logits[real].log_softmax(-1)).sum() / max(1, count), count


@right("05.4")
def safe_logits_first(logits, targets):
    real = targets != IGNORE
    log_p = logits.masked_fill(~real[..., None], 0.0).log_softmax(-1)
    chosen = log_p.gather(-1, targets.masked_fill(~real, 0)[..., None])[..., 0]
    count = real.sum()
    return -(chosen * real).sum() / count.clamp(min=1), count.item()
