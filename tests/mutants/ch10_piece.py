"""Answers to 10.1 next_piece as students write them, wrong and right."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def kin(spelled, begun):
    k = len(begun)
    return [v for v, s in enumerate(spelled) if len(s) > k and s[:k] == begun]


def votes(p, spelled, begun, piece_count):
    q = p.new_zeros(len(p), piece_count)
    for v in kin(spelled, begun):
        q[:, spelled[v][len(begun)]] += p[:, v]
    return q


def shared(q):
    total = q.sum(1, keepdim=True)
    return q / torch.where(total > 0, total, 1.0)


@wrong("10.1", "each row must add up to 1")
def not_normalised(p, spelled, begun, piece_count):
    return votes(p, spelled, begun, piece_count)


@wrong("10.1", "each row must add up to 1")
def over_all_tokens(p, spelled, begun, piece_count):
    return votes(p, spelled, begun, piece_count) / p.sum(1, keepdim=True)


@wrong("10.1", "tokens that end where `begun` ends")
def startswith_in_the_sum(p, spelled, begun, piece_count):
    some = [v for v, s in enumerate(spelled) if s[: len(begun)] == begun]
    total = p[:, some].sum(1, keepdim=True)
    return votes(p, spelled, begun, piece_count) / torch.where(total > 0, total, 1.0)


@wrong("10.1", "tokens that are no text are in the sum")
def special_tokens_counted(p, spelled, begun, piece_count):
    some = kin(spelled, begun)
    if not begun:
        some = some + [v for v, s in enumerate(spelled) if not s]
    total = p[:, some].sum(1, keepdim=True)
    return votes(p, spelled, begun, piece_count) / torch.where(total > 0, total, 1.0)


@wrong("10.1", "zip stops at the shorter")
def zipped(p, spelled, begun, piece_count):
    q, total = p.new_zeros(len(p), piece_count), p.new_zeros(len(p), 1)
    for v, s in enumerate(spelled):
        if s and all(a == b for a, b in zip(s, begun, strict=False)):
            total[:, 0] += p[:, v]
            if len(s) > len(begun):
                q[:, s[len(begun)]] += p[:, v]
    return q / torch.where(total > 0, total, 1.0)


@wrong("10.1", "anywhere in a token")
def contained(p, spelled, begun, piece_count):
    q, k = p.new_zeros(len(p), piece_count), len(begun)
    for v, s in enumerate(spelled):
        for i in range(len(s) - k):
            if s[i : i + k] == begun:
                q[:, s[i + k]] += p[:, v]
                break
    return shared(q)


@wrong("10.1", "compared as text")
def as_strings(p, spelled, begun, piece_count):
    q, start = p.new_zeros(len(p), piece_count), "".join(map(str, begun))
    for v, s in enumerate(spelled):
        if len(s) > len(begun) and "".join(map(str, s)).startswith(start):
            q[:, s[len(begun)]] += p[:, v]
    return shared(q)


@wrong("10.1", "for its first piece")
def first_piece(p, spelled, begun, piece_count):
    q = p.new_zeros(len(p), piece_count)
    for v in kin(spelled, begun):
        q[:, spelled[v][0]] += p[:, v]
    return shared(q)


@wrong("10.1", "p is not used")
def counted(p, spelled, begun, piece_count):
    return shared(votes(torch.ones_like(p), spelled, begun, piece_count))


@wrong("10.1", "overwritten")
def assigned(p, spelled, begun, piece_count):
    q = p.new_zeros(len(p), piece_count)
    for v in kin(spelled, begun):
        q[:, spelled[v][len(begun)]] = p[:, v]
    return shared(q)


@wrong("10.1", "only one counts")
def in_a_dictionary(p, spelled, begun, piece_count):
    q = p.new_zeros(len(p), piece_count)
    for s, v in {s: v for v, s in enumerate(spelled)}.items():
        if len(s) > len(begun) and s[: len(begun)] == begun:
            q[:, s[len(begun)]] += p[:, v]
    return shared(q)


@wrong("10.1", "0 / 0, which is NaN")
def divided_by_nothing(p, spelled, begun, piece_count):
    q = votes(p, spelled, begun, piece_count)
    return q / q.sum(1, keepdim=True)


@wrong("10.1", "the row has probabilities")
def uniform_where_impossible(p, spelled, begun, piece_count):
    q = votes(p, spelled, begun, piece_count)
    return torch.nan_to_num(q / q.sum(1, keepdim=True), nan=1 / piece_count)


@wrong("10.1", "does not add up to 1")
def a_small_number_added(p, spelled, begun, piece_count):
    q = votes(p, spelled, begun, piece_count)
    return q / (q.sum(1, keepdim=True) + 1e-9)


@wrong("10.1", "does not add up to 1")
def a_lowest_sum(p, spelled, begun, piece_count):
    return F.normalize(votes(p, spelled, begun, piece_count), p=1, dim=1)


@wrong("10.1", "by those of other rows")
def no_keepdim(p, spelled, begun, piece_count):
    q = votes(p, spelled, begun, piece_count)
    total = q.sum(1)
    return q / torch.where(total > 0, total, 1.0)


@wrong("10.1", "cuts the graph")
def plain_numbers(p, spelled, begun, piece_count):
    q = torch.zeros(len(p), piece_count, dtype=p.dtype)
    for n, row in enumerate(p.tolist()):
        for v in kin(spelled, begun):
            q[n, spelled[v][len(begun)]] += row[v]
    return shared(q)


@wrong("10.1", "the sum that divides is detached")
def detached_sum(p, spelled, begun, piece_count):
    q = votes(p, spelled, begun, piece_count)
    total = q.sum(1, keepdim=True).detach()
    return q / torch.where(total > 0, total, 1.0)


@wrong("10.1", "keep their type")
def single_precision(p, spelled, begun, piece_count):
    return shared(votes(p.float(), spelled, begun, piece_count))


@wrong("10.1", "two mistakes at once")
def begins_counted_by_number(p, spelled, begun, piece_count):
    q = p.new_zeros(len(p), piece_count)
    for v in kin(spelled, begun):
        q[:, spelled[v][-1]] += 1
    return shared(q)


@wrong("10.1", "expected (")
def only_the_first_row(p, spelled, begun, piece_count):
    return shared(votes(p[:1], spelled, begun, piece_count))


@right("10.1")
def matrix_product(p, spelled, begun, piece_count):
    k, table = len(begun), torch.zeros(len(spelled), piece_count, dtype=p.dtype)
    for v in kin(spelled, begun):
        table[v, spelled[v][k]] = 1
    q = p @ table
    return q / q.sum(1, keepdim=True).clamp(min=torch.finfo(p.dtype).tiny)


@right("10.1")
def piece_by_piece(p, spelled, begun, piece_count):
    """For each piece the tokens that begin with `begun` and it."""

    def mass(start):
        some = [v for v, s in enumerate(spelled) if s[: len(start)] == start]
        return p[:, some].sum(1)

    columns = [mass((*begun, c)) for c in range(piece_count)]
    q = torch.stack(columns, dim=1)
    total = q.sum(1, keepdim=True)
    return torch.where(total > 0, q / torch.where(total > 0, total, 1.0), torch.zeros_like(q))


@right("10.1")
def by_index_add(p, spelled, begun, piece_count):
    some = kin(spelled, begun)
    columns = torch.tensor([spelled[v][len(begun)] for v in some], dtype=torch.long)
    q = torch.zeros(len(p), piece_count, dtype=p.dtype).index_add(1, columns, p[:, some])
    total = q.sum(1, keepdim=True)
    return q / total.masked_fill(total == 0, 1.0)


@right("10.1")
def row_by_row_in_logarithms(p, spelled, begun, piece_count):
    some = kin(spelled, begun)
    rows = []
    for row in p:
        kept = row[some]
        if not kept.any():
            rows.append(p.new_zeros(piece_count))
            continue
        shares = (kept.log() - kept.log().logsumexp(0)).exp()
        places = F.one_hot(torch.tensor([spelled[v][len(begun)] for v in some]), piece_count)
        rows.append(shares @ places.to(p))
    return torch.stack(rows)
