"""Passes of several teachers as one: each one's rows at its own places, and the borders."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from minidistill.batches import IGNORE, ContinuousBatches
from minidistill.checkpoints import CheckpointError
from minidistill.device import seeded
from minidistill.distilling import PassTargets, distill
from minidistill.language_model import LanguageModel
from minidistill.recurrent import GRU
from minidistill.several_teachers import JoinedPasses
from minidistill.teacher_passes import Passes
from minidistill.training import Recipe, evaluate
from tests.pass_parts import V, ask, every_form, small_files, teacher_of, text
from tests.training_parts import Broken, same_weights

TARGETS = (17, 1, 31)  # several files, the shortest text there is, and whole files with a rest
SHORT = Recipe(steps=11, learning_rate=0.02, validate_every=5, checkpoint_every=3)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_files():
        yield


def made(folder: Path, **form: Any) -> tuple[JoinedPasses, list[Passes], list[Tensor]]:
    texts = [text(targets) for targets in TARGETS]
    parts = [
        ask(folder / str(n), ids, teacher_of(n), seed=n, **form) for n, ids in enumerate(texts)
    ]
    return JoinedPasses(parts, texts), parts, texts


def dense(said: Any) -> Tensor:
    """What was said as whole rows, the tail left out."""
    rows = torch.zeros(*said.ids.shape[:-1], V)
    return rows.scatter_add(-1, said.ids, said.shares)


def student_of(seed: int = 0, vocab_size: int = V) -> LanguageModel:
    with seeded(seed):
        return LanguageModel(vocab_size, 5, GRU(5, 7), dropout=0.3)


def by_place(parts: list[Passes], texts: list[Tensor]) -> list[tuple]:
    """The row of each target, found by walking over the texts token by token."""
    found: list[tuple] = []
    for number, (part, ids) in enumerate(zip(parts, texts, strict=True)):
        for place in range(len(ids)):
            if place > 0:
                found.append(tuple(row[0] for row in part.at(place - 1, place)))
            elif number > 0:
                found.append((int(ids[0]),))  # nobody said it: the token itself
    return found


# ---- every row -----------------------------------------------------------------------------


@every_form
def test_every_target_has_the_row_of_its_own_teacher(tmp_path: Path, form: dict) -> None:
    joined, parts, texts = made(tmp_path, **form)
    expected = by_place(parts, texts)
    assert joined.tokens == len(expected) == sum(map(len, texts)) - 1
    assert joined.ids.tolist() == [i for ids in texts for i in ids.tolist()]
    borders = 0
    for place, right in enumerate(expected):
        said = joined.at(place, place + 1)
        if len(right) == 1:
            borders += 1
            assert right[0] == int(joined.ids[place + 1])
            assert dense(said)[0].tolist() == [float(v == right[0]) for v in range(V)]
            assert int(said.ids[0, 0]) == right[0] and float(said.tail[0]) == 0
        else:
            assert all(torch.equal(a[0], b) for a, b in zip(said, right, strict=True))
    assert borders == len(TARGETS) - 1


@every_form
def test_slices_of_every_length(tmp_path: Path, form: dict) -> None:
    joined, _, _ = made(tmp_path, **form)
    whole = joined.at(0, joined.tokens)
    for start in range(joined.tokens):
        for stop in range(start + 1, joined.tokens + 1):
            said = joined.at(start, stop)
            assert all(torch.equal(a, b[start:stop]) for a, b in zip(said, whole, strict=True))
            assert [a.dtype for a in said] == [torch.long, torch.float, torch.float]
    assert torch.allclose(whole.shares.sum(-1) + whole.tail, torch.ones(joined.tokens))


@pytest.mark.parametrize("form", [{"draws": 20}, {"draws": 1}, {"top_k": V}, {"top_k": 1}])
def test_at_a_border_stands_the_text_s_own_token(tmp_path: Path, form: dict) -> None:
    """Draws may be more than there are tokens; the likeliest are each named once."""
    joined, _, _ = made(tmp_path, **form)
    for place in (TARGETS[0], TARGETS[0] + TARGETS[1] + 1):
        said = joined.at(place, place + 1)
        token = int(joined.ids[place + 1])
        assert dense(said)[0].nonzero().flatten().tolist() == [token]
        assert said.ids.min() >= 0 and said.ids.max() < V
        if "top_k" in form:
            assert len(set(said.ids[0].tolist())) == form["top_k"]


def test_one_pass_is_itself_and_joined_ones_can_be_joined(tmp_path: Path) -> None:
    _, parts, texts = made(tmp_path, draws=3)
    one = JoinedPasses(parts[:1], texts[:1])
    assert all(map(torch.equal, one.at(0, one.tokens), parts[0].at(0, parts[0].tokens)))
    flat = JoinedPasses(parts, texts)
    inner = JoinedPasses(parts[:2], texts[:2])
    nested = JoinedPasses([inner, parts[2]], [inner.ids, texts[2]])
    assert all(map(torch.equal, nested.at(0, nested.tokens), flat.at(0, flat.tokens)))


def test_texts_may_be_lists(tmp_path: Path) -> None:
    joined, parts, texts = made(tmp_path, draws=3)
    again = JoinedPasses(tuple(parts), [ids.tolist() for ids in texts])
    assert again.about == joined.about and torch.equal(again.ids, joined.ids)
    assert again.ids.dtype == torch.long


# ---- batches -------------------------------------------------------------------------------


@every_form
@pytest.mark.parametrize(("rows", "length"), [(1, 100), (2, 7), (3, 5), (7, 3), (50, 1)])
def test_batches_of_the_joined_text(tmp_path: Path, form: dict, rows: int, length: int) -> None:
    joined, _, _ = made(tmp_path, **form)
    batches, plain = (
        joined.batches(joined.ids, rows, length),
        ContinuousBatches(joined.ids, rows, length),
    )
    width, done = -(-joined.tokens // rows), 0
    for taught, (inputs, targets) in zip(batches, plain, strict=True):
        assert torch.equal(taught.inputs, inputs) and torch.equal(taught.targets, targets)
        for b in range(rows):
            for t in range(inputs.size(1)):
                if targets[b, t] == IGNORE:
                    continue
                place = b * width + done + t
                right = joined.at(place, place + 1)
                found = [part[b, t] for part in taught.said]
                assert all(torch.equal(x, y[0]) for x, y in zip(found, right, strict=True))
        done += inputs.size(1)


def test_a_fingerprint_for_every_set_of_parts(tmp_path: Path) -> None:
    _, parts, texts = made(tmp_path, draws=3)
    drawn_anew = ask(tmp_path / "anew", texts[1], teacher_of(1), seed=9, draws=3)
    other = ask(tmp_path / "other", texts[2], teacher_of(9), seed=2, draws=3)
    sets = [
        (parts, texts),
        ([parts[0], drawn_anew, parts[2]], texts),
        ([*parts[:2], other], texts),
        (parts[::-1], texts[::-1]),
        (parts[:2], texts[:2]),
    ]
    joined = [JoinedPasses(*one) for one in sets]
    found = [one.batches(one.ids, 3, 5).fingerprint() for one in joined]
    found += [joined[0].batches(joined[0].ids, 3, 4).fingerprint()]
    assert len(set(found)) == len(found)
    again = JoinedPasses([Passes(part.folder) for part in parts], texts)
    assert again.batches(again.ids, 3, 5).fingerprint() == found[0]


# ---- learning ------------------------------------------------------------------------------


@every_form
def test_the_loss_is_that_of_each_text_with_its_own_teacher(tmp_path: Path, form: dict) -> None:
    joined, parts, texts = made(tmp_path, **form)
    student, temperature = student_of().eval(), form.get("temperature", 1.0)
    [batch] = joined.batches(joined.ids, 1, 100)
    student.train(), student.dropout.eval()
    loss = PassTargets(1.0, temperature)(student, batch)[0]
    loss.backward()
    with torch.no_grad():
        log_q = (student(joined.ids[None, :-1])[0][0] / temperature).log_softmax(-1)
    costs = []
    for place, right in enumerate(by_place(parts, texts)):
        if len(right) == 1:
            cost = -log_q[place, right[0]]
        else:
            ids, shares, tail = right
            cost = -sum(s * log_q[place, i] for i, s in zip(ids, shares, strict=True))
            named = log_q[place, sorted(set(ids.tolist()))].exp().sum()
            cost = cost - (tail * torch.log(1 - named) if tail else 0)
        costs.append(float(cost))
    assert float(loss.detach()) == pytest.approx(temperature**2 * sum(costs) / len(costs), rel=1e-5)
    assert all(bool(weight.grad.isfinite().all()) for weight in student.parameters())


class Breaking:
    """Batches that break on purpose after some steps."""

    def __init__(self, batches: Any, steps: int) -> None:
        self.batches, self.left, self.carries_state = batches, steps, batches.carries_state
        self.passes = batches.passes

    def epoch(self, number: int) -> Iterator[Any]:
        for batch in self.batches.epoch(number):
            self.left -= 1
            if self.left < 0:
                raise Broken
            yield batch

    def fingerprint(self) -> str:
        return self.batches.fingerprint()


@every_form
def test_a_student_of_all_and_a_broken_run(tmp_path: Path, form: dict) -> None:
    joined, parts, texts = made(tmp_path, **form)
    batches, path = joined.batches(joined.ids, 3, 6), tmp_path / "run.safetensors"
    options = {
        "temperature": form.get("temperature", 1.0),
        "validation": ContinuousBatches(joined.ids, 3, 6),
        "progress": False,
    }
    whole, again = student_of(0), student_of(1)
    expected = distill(joined, whole, batches, SHORT, **options)
    for steps in (4, 8):
        with pytest.raises(Broken):
            breaking = Breaking(batches, steps)
            distill(joined, student_of(0), breaking, SHORT, checkpoint=path, **options)
        reopened = JoinedPasses([Passes(part.folder) for part in parts], texts)
        laid = reopened.batches(reopened.ids, 3, 6)
        history = distill(reopened, again, laid, SHORT, checkpoint=path, **options)
        assert history == expected and same_weights(again, whole)
        path.unlink()


def test_the_checkpoint_of_other_parts_is_refused(tmp_path: Path) -> None:
    joined, parts, texts = made(tmp_path, draws=3)
    path = tmp_path / "run.safetensors"
    options = {"checkpoint": path, "progress": False}
    distill(joined, student_of(), joined.batches(joined.ids, 3, 6), SHORT, **options)
    parts[1] = ask(tmp_path / "anew", texts[1], teacher_of(1), seed=9, draws=3)
    other = JoinedPasses(parts, texts)
    with pytest.raises(CheckpointError, match=r"differs in: batches\)"):
        distill(other, student_of(), other.batches(other.ids, 3, 6), SHORT, **options)


class Says(nn.Module):
    """A teacher who always says the same next token, almost."""

    def __init__(self, token: int) -> None:
        super().__init__()
        self.row, self.vocab_size = nn.Parameter(torch.zeros(V)), V
        with torch.no_grad():
            self.row[token] = 9.0

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.row.expand(*tokens.shape, V), None


def test_one_student_learns_from_two_teachers(tmp_path: Path) -> None:
    """Over tokens 0 to 5 the first always says 6, over tokens 7 to 12 the second always says 12."""
    texts = [text(150, 6), text(150, 6) + 7]
    parts = [ask(tmp_path / str(n), texts[n], Says(t), draws=4) for n, t in enumerate((6, 12))]
    joined = JoinedPasses(parts, texts)
    student = student_of()
    recipe = dataclasses.replace(SHORT, steps=150, learning_rate=0.05)
    laid = joined.batches(joined.ids, 6, 10)
    distill(joined, student, laid, recipe, alpha=1.0, progress=False)
    with torch.no_grad():
        said = [student.eval()(ids[None, :60])[0].argmax(-1)[0, 5:].unique() for ids in texts]
    assert [row.tolist() for row in said] == [[6], [12]]
    assert evaluate(student, ContinuousBatches(joined.ids, 6, 10)) > 2  # the text says otherwise


# ---- errors --------------------------------------------------------------------------------


def test_another_text_and_another_student_are_refused(tmp_path: Path) -> None:
    joined, _, texts = made(tmp_path, draws=3)
    joined.check(joined.ids), joined.check(joined.ids.tolist(), V)
    for other in (joined.ids[:-1], joined.ids.flip(0), texts[0], torch.cat(texts[::-1])):
        with pytest.raises(CheckpointError, match="was made for another text"):
            joined.batches(other, 3, 5)
    with pytest.raises(CheckpointError, match="vocabulary of 13 tokens, and the student has 17"):
        joined.check(joined.ids, 17)
    laid = joined.batches(joined.ids, 3, 5)
    with pytest.raises(ValueError, match="vocabulary of 13 tokens and the student 17"):
        distill(joined, student_of(0, 17), laid, SHORT, progress=False)
    with pytest.raises(ValueError, match="the batches are its own"):
        plain = ContinuousBatches(joined.ids, 3, 5)
        distill(joined, student_of(), plain, SHORT, progress=False)
    with pytest.raises(ValueError, match="at temperature 1, not 2"):
        distill(joined, student_of(), laid, SHORT, temperature=2.0, progress=False)


def test_the_batches_of_one_part_are_refused(tmp_path: Path) -> None:
    joined, parts, texts = made(tmp_path, draws=3)
    with pytest.raises(ValueError, match="the batches are its own"):
        laid = parts[0].batches(texts[0], 3, 5)
        distill(joined, student_of(), laid, SHORT, progress=False)


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    _, parts, texts = made(tmp_path, draws=3)
    for passes, ids in (([], []), (parts, texts[:2]), (parts[:2], texts)):
        message = f"{len(passes)} passes and {len(ids)} texts: give each pass its own text"
        with pytest.raises(ValueError, match=message):
            JoinedPasses(passes, ids)
    with pytest.raises(CheckpointError, match="was made for another text"):
        JoinedPasses(parts, [texts[0], texts[2], texts[1]])
    with pytest.raises(CheckpointError, match="was made for another text"):
        JoinedPasses(parts, [*texts[:2], texts[2][:-1]])
    ids = text(16)
    for n, (form, message) in enumerate(
        (
            ({"top_k": 3}, r"differ in their form \(draws and top_k\): make them alike"),
            ({"draws": 4}, r"differ in their number of tokens kept \(3 and 4\)"),
            ({"draws": 3, "temperature": 2.0}, r"differ in their temperature \(1.0 and 2.0\)"),
        )
    ):
        other = ask(tmp_path / f"other {n}", ids, **form)
        with pytest.raises(CheckpointError, match=message):
            JoinedPasses([*parts, other], [*texts, ids])
    wider = ask(tmp_path / "wider", ids, teacher_of(0, V + 4), draws=3)
    with pytest.raises(CheckpointError, match="vocabulary of 17 tokens, and the student has 13"):
        JoinedPasses([*parts, wider], [*texts, ids])


def test_past_the_end_is_an_error(tmp_path: Path) -> None:
    joined, _, _ = made(tmp_path, draws=3)
    with pytest.raises(IndexError):
        joined.at(joined.tokens - 1, joined.tokens + 1)
