"""Answers to 07.5 analogy as students write them, wrong and right."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from tests.mutants import right, wrong


def finish(cosines, a, b, c, count):
    cosines = cosines.clone()
    cosines[[a, b, c]] = -math.inf
    return cosines.topk(count).indices.tolist()


@wrong("07.5", "with the lengths that they have")
def three_as_they_are(vectors, a, b, c, count):
    wanted = vectors[b] - vectors[a] + vectors[c]
    return finish(F.cosine_similarity(vectors, wanted[None]), a, b, c, count)


@wrong("07.5", "with the lengths that they have")
def only_the_sum_normalised(vectors, a, b, c, count):
    wanted = F.normalize(vectors[b] - vectors[a] + vectors[c], dim=0)
    return finish(F.normalize(vectors, dim=1) @ wanted, a, b, c, count)


@wrong("07.5", "compared by dot products")
def dot_products(vectors, a, b, c, count):
    x, y, z = F.normalize(vectors[[a, b, c]], dim=1)
    return finish(vectors @ (y - x + z), a, b, c, count)


@wrong("07.5", "nothing is brought to length 1")
def no_lengths_at_all(vectors, a, b, c, count):
    return finish(vectors @ (vectors[b] - vectors[a] + vectors[c]), a, b, c, count)


@wrong("07.5", "a, b and c may be among the answers")
def nothing_left_out(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return (d @ (d[b] - d[a] + d[c])).topk(count).indices.tolist()


@wrong("07.5", "may be among the answers")
def only_c_left_out(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return finish(d @ (d[b] - d[a] + d[c]), c, c, c, count)


@wrong("07.5", "c may be among the answers")
def c_kept(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return finish(d @ (d[b] - d[a] + d[c]), a, b, b, count)


@wrong("07.5", "this is a - b + c")
def signs_mixed_up(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return finish(d @ (d[a] - d[b] + d[c]), a, b, c, count)


@wrong("07.5", "compared by their distances")
def euclid(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return finish(-torch.cdist((d[b] - d[a] + d[c])[None], vectors)[0], a, b, c, count)


@wrong("07.5", "compared by their distances")
def euclid_throughout(vectors, a, b, c, count):
    wanted = vectors[b] - vectors[a] + vectors[c]
    return finish(-(vectors - wanted).norm(dim=1), a, b, c, count)


@wrong("07.5", "come in a Tensor")
def a_tensor(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return torch.tensor(finish(d @ (d[b] - d[a] + d[c]), a, b, c, count))


@wrong("07.5", "of the type Tensor")
def a_list_of_tensors(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return list(torch.tensor(finish(d @ (d[b] - d[a] + d[c]), a, b, c, count)))


@wrong("07.5", "these are the cosines")
def cosines_returned(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    cosines = d @ (d[b] - d[a] + d[c])
    cosines[[a, b, c]] = -math.inf
    return cosines.topk(count).values.tolist()


@wrong("07.5", "these are the cosines")
def true_cosines_returned(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    cosines = F.cosine_similarity(d, (d[b] - d[a] + d[c])[None])
    cosines[[a, b, c]] = -math.inf
    return cosines.topk(count).values.tolist()


@wrong("07.5", "left out of the best `count`")
def left_out_afterwards(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    best = (d @ (d[b] - d[a] + d[c])).topk(count).indices.tolist()
    return [i for i in best if i not in {a, b, c}]


@wrong("07.5", "have new numbers")
def rows_deleted(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    kept = torch.ones(len(d), dtype=torch.bool)
    kept[[a, b, c]] = False
    return (d[kept] @ (d[b] - d[a] + d[c])).topk(count).indices.tolist()


@wrong("07.5", "from the bottom of the order")
def worst_first(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    order = (d @ (d[b] - d[a] + d[c])).argsort().tolist()
    return [i for i in order if i not in (a, b, c)][:count]


@wrong("07.5", "the best stands last")
def rising(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return finish(d @ (d[b] - d[a] + d[c]), a, b, c, count)[::-1]


@wrong("07.5", "a row of zeros stands first")
def divided_by_the_length(vectors, a, b, c, count):
    d = vectors / vectors.norm(dim=1, keepdim=True)
    return finish(d @ (d[b] - d[a] + d[c]), a, b, c, count)


@wrong("07.5", "rows of zeros are left out")
def zero_rows_last(vectors, a, b, c, count):
    d = vectors / vectors.norm(dim=1, keepdim=True)
    cosines = (d @ (d[b] - d[a] + d[c])).nan_to_num(-math.inf)
    return finish(cosines, a, b, c, count)


@wrong("07.5", "in place")
def normalised_in_place(vectors, a, b, c, count):
    vectors /= vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return finish(vectors @ (vectors[b] - vectors[a] + vectors[c]), a, b, c, count)


@wrong("07.5", "which is another rule")
def products_of_cosines(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    near = (1 + d @ d[[a, b, c]].T) / 2
    return finish(near[:, 1] * near[:, 2] / (near[:, 0] + 0.001), a, b, c, count)


@wrong("07.5", "which dimension is it")
def along_the_columns(vectors, a, b, c, count):
    x, y, z = F.normalize(vectors[[a, b, c]], dim=0)
    return finish(F.cosine_similarity(vectors, (y - x + z)[None]), a, b, c, count)


@wrong("07.5", "only the best word comes back")
def one_id(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return finish(d @ (d[b] - d[a] + d[c]), a, b, c, 1)[0]


@wrong("07.5", "two mistakes at once")
def raw_and_all_kept(vectors, a, b, c, count):
    wanted = vectors[b] - vectors[a] + vectors[c]
    return F.cosine_similarity(vectors, wanted[None]).topk(count).indices.tolist()


@wrong("07.5", "may not be used here")
def packages_own(vectors, a, b, c, count):
    from minidistill.word_vectors import WordVectors

    words = WordVectors([str(i) for i in range(len(vectors))], vectors)
    return [int(near.word) for near in words.analogy(str(a), str(b), str(c), count)]


@right("07.5")
def by_topk(vectors, a, b, c, count):
    d = F.normalize(vectors, dim=1)
    return finish(d @ (d[b] - d[a] + d[c]), a, b, c, count)


@right("07.5")
def by_sorting(vectors, a, b, c, count):
    lengths = vectors.norm(dim=1, keepdim=True)
    d = vectors / torch.where(lengths == 0, torch.ones_like(lengths), lengths)
    wanted = d[b] - d[a] + d[c]
    order = torch.argsort(d @ wanted / wanted.norm(), descending=True)
    return [int(i) for i in order if int(i) not in (a, b, c)][:count]


@right("07.5")
def by_python(vectors, a, b, c, count):
    def unit(row):
        length = math.sqrt(sum(v * v for v in row))
        return [v / length for v in row] if length else row

    rows = [unit(row) for row in vectors.tolist()]
    wanted = [y - x + z for x, y, z in zip(rows[a], rows[b], rows[c], strict=True)]
    cosines = [sum(v * w for v, w in zip(row, wanted, strict=True)) for row in rows]
    others = set(range(len(rows))) - {a, b, c}
    return sorted(others, key=lambda i: -cosines[i])[:count]


@right("07.5")
def by_cosine_similarity(vectors, a, b, c, count):
    x, y, z = (v / v.norm() for v in (vectors[a], vectors[b], vectors[c]))
    cosines = F.cosine_similarity(vectors, (y - x + z).unsqueeze(0), dim=1, eps=1e-30)
    cosines = cosines.index_fill(0, torch.tensor([a, b, c]), -2.0)
    return cosines.sort(descending=True).indices[:count].tolist()
