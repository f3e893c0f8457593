"""Asking a teacher once: what is kept of its rows, and how writing goes on after a break."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minidistill import pass_writing
from minidistill.checkpoints import CheckpointError, load_tensors, save_tensors
from minidistill.ensemble import Ensemble
from minidistill.language_model import LanguageModel
from minidistill.teacher_passes import Passes
from tests.pair_models import close
from tests.pass_parts import (
    FILE,
    SIZES,
    SMALL,
    V,
    ask,
    contents,
    every_form,
    small_files,
    teacher_of,
    text,
)
from tests.training_parts import Broken


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_files():
        yield


def dense(passes: Passes, start: int, stop: int) -> Tensor:
    """The shares as whole rows (T, V)."""
    said = passes.at(start, stop)
    rows = torch.zeros(stop - start, passes.about["vocab_size"])
    return rows.scatter_add(-1, said.ids, said.shares)


def rows_by_hand(teacher: nn.Module, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """What the teacher expects at each place, read anew for each from where its stretch began."""
    rows = []
    for place in range(len(ids) - 1):
        stretch = place // SMALL["LENGTH"] * SMALL["LENGTH"]
        begin = max(0, stretch - pass_writing.WARM_UP)
        logits = teacher.eval()(ids[None, begin : place + 1])[0][0, -1]
        rows.append((logits / temperature).softmax(-1).detach())
    return torch.stack(rows)


# ---- what is kept -------------------------------------------------------------------------


@pytest.mark.parametrize("targets", SIZES)
@every_form
def test_every_target_is_in_one_file_in_its_place(tmp_path: Path, targets: int, form: dict) -> None:
    passes = ask(tmp_path, text(targets), **form)
    counts = [min(FILE, targets - first) for first in range(0, targets, FILE)]
    names = [f"{number:05}.safetensors" for number in range(len(counts))]
    assert contents(tmp_path).keys() == {"about.json", *names} and passes.tokens == targets
    pieces, K = [], form.get("draws", 2)
    for name, count in zip(names, counts, strict=True):
        tensors, _ = load_tensors(tmp_path / name)
        assert tensors["ids"].shape == (count, K) and tensors["ids"].dtype == torch.uint16
        pieces.append(tensors["ids"].long())
    whole = passes.at(0, targets)
    assert torch.equal(whole.ids, torch.cat(pieces)) and whole.tail.shape == (targets,)
    close(whole.shares.sum(-1) + whole.tail, torch.ones(targets), 1e-6)
    for start in range(0, targets, 4):
        for stop in {start + 1, min(start + 7, targets), targets}:
            part = passes.at(start, stop)
            assert all(torch.equal(p, w[start:stop]) for p, w in zip(part, whole, strict=True))


@pytest.mark.parametrize("targets", SIZES)
def test_the_shares_are_those_of_the_teachers_rows(tmp_path: Path, targets: int) -> None:
    teacher, ids = teacher_of(), text(targets)
    for temperature in (1.0, 2.0):
        rows = rows_by_hand(teacher, ids, temperature)
        options = {"temperature": temperature}
        whole = ask(tmp_path / f"all {temperature}", ids, top_k=V, **options)
        close(dense(whole, 0, targets), rows, 1e-6)
        close(whole.at(0, targets).tail, torch.zeros(targets), 1e-6)
        some = ask(tmp_path / f"some {temperature}", ids, top_k=3, **options).at(0, targets)
        close(some.shares, rows.topk(3).values, 1e-6)
        close(some.shares, rows.gather(-1, some.ids), 1e-6)
        close(some.tail, 1 - rows.topk(3).values.sum(-1), 1e-6)


def test_with_the_whole_past_read_it_is_the_teachers_own_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, ids = teacher_of(), text(53)
    short = dense(ask(tmp_path / "short", ids, top_k=V), 0, 53)
    monkeypatch.setattr(pass_writing, "WARM_UP", 1000)
    whole = dense(ask(tmp_path / "whole", ids, top_k=V), 0, 53)
    expected = teacher.eval()(ids[None, :-1])[0][0].softmax(-1).detach()
    close(whole, expected, 1e-6)
    assert float((short - expected).abs().max()) > 1e-4  # otherwise the past did not matter


class Table(nn.Module):
    """A teacher that looks at one token only; its rows are known."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.rows, self.vocab_size = nn.Parameter(logits), logits.size(1)

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        return self.rows[tokens], None


@pytest.mark.parametrize("temperature", [1.0, 1.7])
@pytest.mark.parametrize("K", [7, 300])
def test_draws_follow_the_teachers_row(tmp_path: Path, temperature: float, K: int) -> None:
    """A token of probability p is drawn K p times, rounded up or down, and K p on average."""
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits[:, 2] = logits[4, 0] = -torch.inf
    ids = torch.arange(4001) % 5
    passes = ask(tmp_path, ids, Table(logits), draws=K, temperature=temperature)
    counts = (dense(passes, 0, 4000).double() * K).round()
    expected = K * (logits / temperature).softmax(-1).detach()[ids[:-1]]
    assert bool((counts[expected == 0] == 0).all())  # what is impossible is never drawn
    assert float((counts - expected).abs().max()) < 1 + 1e-6
    for row in range(5):
        mine = ids[:-1] == row
        spread = float(mine.sum()) ** -0.5  # a count between two whole numbers: at most 1/2
        mean = counts[mine].mean(0)
        assert torch.allclose(mean, expected[row], rtol=0, atol=4 * 0.5 * spread)
    same_row = [passes.at(place, place + 1).ids for place in range(0, 4000, 5)]
    assert len({tuple(found.flatten().tolist()) for found in same_row}) > 1


def test_numbers_spread_evenly_are_each_uniform() -> None:
    u = pass_writing.evenly(torch.rand(20_000, 1, generator=torch.Generator().manual_seed(2)), 7)
    assert u.shape == (20_000, 7) and float(u.min()) >= 0 and float(u.max()) < 1
    assert torch.allclose(u.diff(dim=1), torch.full((20_000, 6), 1 / 7), atol=1e-6)
    assert torch.allclose(u.mean(0), (torch.arange(7) + 0.5) / 7, atol=5e-3)


def test_the_smallest_number_of_chance_draws_nothing_impossible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "rand", lambda *shape, generator: torch.zeros(*shape))
    row = torch.tensor([[-torch.inf, -torch.inf, 0.0, 0.0]])
    assert set(ask(tmp_path, [0, 0, 0], Table(row), draws=5).at(0, 2).ids.flatten().tolist()) == {
        2,
        3,
    }


def test_the_seed_and_nothing_else_decides_on_draws(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before, ids = torch.get_rng_state(), text(33)
    ask(tmp_path / "one", ids, draws=5, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    ask(tmp_path / "two", ids.tolist(), draws=5, seed=4)
    ask(tmp_path / "three", ids, draws=5, seed=5)
    one, two, three = (contents(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two and one["00000.safetensors"][2] != three["00000.safetensors"][2]
    assert ask(tmp_path / "four", ids).at(0, 33).ids.shape == (33, 32)  # as many as it says


@pytest.mark.parametrize("mode", [True, False])
def test_the_teacher_is_asked_in_eval_mode_and_left_as_it_was(tmp_path: Path, mode: bool) -> None:
    teacher = teacher_of().train(mode)
    asked = []
    teacher.register_forward_hook(
        lambda m, _, out: asked.append((m.training, out[0].requires_grad))
    )
    ask(tmp_path, text(33), teacher)
    assert set(asked) == {(False, False)} and teacher.training is mode
    assert teacher.recurrent.training is mode and all(p.requires_grad for p in teacher.parameters())


class Far(nn.Module):
    """A teacher of a large vocabulary that expects the token `step` further on, almost surely."""

    def __init__(self, vocab_size: int, step: int) -> None:
        super().__init__()
        self.vocab_size, self.step, self.sure = vocab_size, step, nn.Parameter(torch.tensor(30.0))

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        logits = torch.zeros(*tokens.shape, self.vocab_size)
        return logits.scatter(-1, (tokens + self.step)[..., None], float(self.sure)), None


@pytest.mark.parametrize("size", [40_000, 2**16, 2**16 + 1])
def test_ids_that_fill_two_bytes_come_back(tmp_path: Path, size: int) -> None:
    ids, teacher = torch.tensor([0, 1, 2, 3, 4, 5, 0]), Far(size, size - 6)
    for form in ({"draws": 2}, {"top_k": 1}):
        found = ask(tmp_path / str(form), ids, teacher, **form).at(0, 6).ids
        assert found[:, 0].tolist() == found[:, -1].tolist() == (ids[:-1] + size - 6).tolist()


# ---- broken while it is written -----------------------------------------------------------


def breaking(call: int) -> LanguageModel:
    """The usual teacher, which raises when it is asked for the `call`-th time."""
    teacher, calls = teacher_of(), itertools.count(1)

    def count(*_: object) -> None:
        if next(calls) == call:
            raise Broken

    teacher.register_forward_pre_hook(count)
    return teacher


@every_form
def test_broken_anywhere_it_ends_as_the_unbroken_one(tmp_path: Path, form: dict) -> None:
    ids, folder = text(53), tmp_path / "broken"
    ask(tmp_path / "whole", ids, **form)
    whole = contents(tmp_path / "whole")
    for call in itertools.count(1):
        try:
            ask(folder := tmp_path / str(call), ids, breaking(call), **form)
        except Broken:
            kept = contents(folder)
            assert all(whole[name] == content for name, content in kept.items())
            with pytest.raises(CheckpointError, match=rf"not finished \({5 - len(kept)} files"):
                Passes(folder)
            ask(folder, ids, **form)
            assert contents(folder) == whole
        else:
            break
    assert call > 8 and contents(folder) == whole
    assert ask(folder, ids, breaking(1), **form).tokens == 53  # what is whole is not made again


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_any_moment_it_ends_as_the_unbroken_one(tmp_path: Path) -> None:
    folder, chance = tmp_path / "killed", random.Random(7)
    for wanted in (2, 11):
        command = [sys.executable, "-m", "tests.pass_parts", str(folder)]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
        while len(list(folder.glob("0*"))) < wanted and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert wanted <= len(list(folder.glob("0*"))) < 40
    ask(folder, text(600))
    ask(tmp_path / "whole", text(600))
    assert contents(folder) == contents(tmp_path / "whole")


def test_the_same_is_written_to_the_byte(tmp_path: Path) -> None:
    for number in range(16):
        save_tensors(tmp_path / str(number), {"ids": torch.arange(3)}, {"file": 0})
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1


# ---- passes of something else -------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"ids": text(33).flip(0)}, "text"),
        ({"ids": text(33)[:-1]}, "tokens, text"),
        ({"teacher": teacher_of(seed=1)}, "teacher"),
        ({"teacher": teacher_of(vocab_size=17)}, "vocabulary, teacher"),
        ({"draws": 4}, "count"),
        ({"draws": None, "top_k": 3}, "form, chance, seed"),
        ({"temperature": 1.5}, "temperature"),
        ({"seed": 1}, "seed"),
    ],
)
def test_another_pass_is_refused(tmp_path: Path, changed: dict, what: str) -> None:
    usual = {"ids": text(33), "draws": 3}
    ask(tmp_path, **usual)
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match=rf"differs in: {what}\): give this one a folder of"):
        ask(tmp_path, **{**usual, **changed})
    assert contents(tmp_path) == before


@pytest.mark.parametrize("options", [{"weights": [1, 5]}, {"of": "logits"}])
def test_another_ensemble_is_another_teacher(tmp_path: Path, options: dict) -> None:
    teachers = [teacher_of(seed) for seed in (0, 1)]
    ask(tmp_path, text(33), Ensemble(teachers))
    with pytest.raises(CheckpointError, match="differs in: teacher"):
        ask(tmp_path, text(33), Ensemble(teachers, **options))


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    for options, message in (
        ({"draws": 3, "top_k": 3}, "either draws or top_k"),
        ({"draws": 0}, "0 tokens for each place: at least 1"),
        ({"top_k": 0}, "0 tokens for each place: at least 1"),
        ({"top_k": V + 1}, f"{V + 1} tokens for each place: at least 1, and top_k at most V"),
        ({"temperature": 0.0}, "temperature is 0.0, but must be above 0"),
        ({"ids": [3]}, "at least two tokens in one row"),
        ({"ids": torch.zeros(2, 3, dtype=torch.long)}, "at least two tokens in one row"),
    ):
        with pytest.raises(ValueError, match=message):
            ask(tmp_path, **{"ids": text(33), **options})
    assert not list(tmp_path.iterdir())
