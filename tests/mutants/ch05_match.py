"""Answers to 05.5 exact_match as students write them, wrong and right."""

from __future__ import annotations

import torch

from tests.mutants import right, wrong


def ids(row):
    return [int(i) for i in row]


def both(written, wanted):
    return [(ids(a), ids(b)) for a, b in zip(written, wanted, strict=True)]


@wrong("05.5", "the share of right tokens")
def share_of_tokens(written, wanted):
    pairs = both(written, wanted)
    hits = sum(x == y for a, b in pairs for x, y in zip(a, b, strict=False))
    return hits / sum(len(b) for _, b in pairs)


@wrong("05.5", "the mean of each target's share")
def mean_of_shares(written, wanted):
    shares = [
        sum(x == y for x, y in zip(a, b, strict=False)) / max(1, len(b))
        for a, b in both(written, wanted)
    ]
    return sum(shares) / len(shares)


@wrong("05.5", "as far as the shorter one goes")
def zipped(written, wanted):
    right_ones = [all(x == y for x, y in zip(a, b, strict=False)) for a, b in both(written, wanted)]
    return sum(right_ones) / len(right_ones)


@wrong("05.5", "beyond the wanted end is not looked at")
def cut_to_the_wanted(written, wanted):
    return sum(a[: len(b)] == b for a, b in both(written, wanted)) / len(wanted)


@wrong("05.5", "the order of the tokens is lost")
def as_sets(written, wanted):
    return sum(set(a) == set(b) for a, b in both(written, wanted)) / len(wanted)


@wrong("05.5", "the number of right targets")
def not_divided(written, wanted):
    return sum(a == b for a, b in both(written, wanted))


@wrong("05.5", "whether all are right")
def all_of_them(written, wanted):
    return 1.0 if all(a == b for a, b in both(written, wanted)) else 0.0


@wrong("05.5", "whether all are right (so does //")
def whole_number(written, wanted):
    return sum(a == b for a, b in both(written, wanted)) // len(wanted)


@wrong("05.5", "a percentage")
def per_cent(written, wanted):
    return 100 * sum(a == b for a, b in both(written, wanted)) / len(wanted)


@wrong("05.5", "the share of wrong targets")
def error_rate(written, wanted):
    return sum(a != b for a, b in both(written, wanted)) / len(wanted)


@wrong("05.5", "only the first pair is compared")
def returns_in_the_loop(written, wanted):
    for a, b in both(written, wanted):
        return float(a == b)


@wrong("05.5", "stands anywhere among the wanted")
def anywhere(written, wanted):
    return sum(ids(a) in [ids(b) for b in wanted] for a in written) / len(wanted)


@wrong("05.5", "divided by the number of tokens")
def by_tokens(written, wanted):
    return sum(a == b for a, b in both(written, wanted)) / sum(map(len, wanted))


@wrong("05.5", "only the lengths are compared")
def lengths(written, wanted):
    return sum(len(a) == len(b) for a, b in both(written, wanted)) / len(wanted)


@wrong("05.5", "a list is never equal to a tensor")
def tensors_forgotten(written, wanted):
    return sum(a == b for a, b in zip(written, wanted, strict=True)) / len(wanted)


@wrong("05.5", "minidistill.alignment.exact_match may not be used here")
def the_packages_own(written, wanted):
    from minidistill.alignment import exact_match

    return exact_match(written, wanted)


@right("05.5")
def as_in_the_chapter(written, wanted):
    pairs = zip(written, wanted, strict=True)
    return sum(ids(a) == ids(b) for a, b in pairs) / len(wanted)


@right("05.5")
def by_torch_equal(written, wanted):
    same = [
        torch.equal(torch.tensor(a, dtype=torch.long), torch.as_tensor(b, dtype=torch.long))
        for a, b in zip(written, wanted, strict=True)
    ]
    return torch.tensor(same).float().mean()


@right("05.5")
def counted(written, wanted):
    count = 0
    for i in range(len(wanted)):
        one, other = written[i], wanted[i]
        if len(one) == len(other) and all(
            int(x) == int(y) for x, y in zip(one, other, strict=True)
        ):
            count += 1
    return count / len(written)
