"""A pass in a student's pieces: the teacher's rows, carried over, at the right places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from minidistill import pass_writing
from minidistill.checkpoints import CheckpointError
from minidistill.device import seeded
from minidistill.distilling import distill
from minidistill.language_model import LanguageModel
from minidistill.pass_writing import write_passes
from minidistill.piece_map import PieceMap
from minidistill.recurrent import GRU
from minidistill.teacher_passes import Passes
from minidistill.training import Recipe
from tests.pass_parts import contents, small_files

SPELLED = [(0,), (0, 1), (1, 2, 3), (2,), (3, 3), (), (1, 4), (4, 0, 2, 1)]
V, P = len(SPELLED), 5


class Sized:
    """As much of a vocabulary as a map with spellings of its own asks for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


SPELLING = PieceMap(Sized(V), Sized(P), SPELLED)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_files():
        yield


def text(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    texts = torch.tensor([i for i, pieces in enumerate(SPELLED) if pieces])
    return texts[torch.randint(len(texts), (count,), generator=generator)]


def teacher() -> LanguageModel:
    with seeded(3):
        model = LanguageModel(V, 7, GRU(7, 7))
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.7)
    return model.eval()


def whole(ids: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """The rows of all pieces but the first, from one reading of the whole text."""
    with torch.no_grad():
        logits = teacher()(ids[None, :-1])[0][0].double() / temperature
    first = torch.zeros(1, V, dtype=torch.float64)
    first[0, ids[0]] = 1.0
    return SPELLING.rows(torch.cat([first, logits.softmax(-1)]), ids)[1:]


def dense(passes: Passes) -> torch.Tensor:
    said = passes.at(0, passes.tokens)
    return torch.zeros(passes.tokens, P).scatter_add(1, said.ids, said.shares)


@pytest.mark.parametrize("count", [2, 3, 5, 17, 24, 25, 26, 49, 74, 101])
def test_all_rows_at_all_places(tmp_path: Path, monkeypatch, count: int) -> None:
    monkeypatch.setattr(pass_writing, "WARM_UP", 1000)  # every stretch knows all that went before
    ids = text(count)
    passes = write_passes(tmp_path, teacher(), ids, top_k=P, spelling=SPELLING, progress=False)
    assert passes.tokens == len(SPELLING.encode(ids)) - 1
    assert torch.allclose(dense(passes).double(), whole(ids), atol=1e-5)


def test_with_a_temperature(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pass_writing, "WARM_UP", 1000)
    ids, options = text(60), {"temperature": 1.7, "spelling": SPELLING, "progress": False}
    passes = write_passes(tmp_path, teacher(), ids, top_k=P, **options)
    assert torch.allclose(dense(passes).double(), whole(ids, 1.7), atol=1e-5)


def test_draws_are_rounded_up_or_down(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pass_writing, "WARM_UP", 1000)
    ids, K = text(90), 50
    passes = write_passes(tmp_path, teacher(), ids, draws=K, spelling=SPELLING, progress=False)
    assert float((dense(passes).double() - whole(ids)).abs().max()) * K < 1 + 1e-4


def test_it_teaches_a_student_of_another_vocabulary(tmp_path: Path) -> None:
    ids = text(300)
    passes = write_passes(tmp_path, teacher(), ids, spelling=SPELLING, progress=False)
    pieces = SPELLING.encode(ids)
    with seeded(0):
        student = LanguageModel(P, 8, GRU(8, 8))
    laid = passes.batches(pieces, 4, 13)
    inputs, targets = zip(*[(b.inputs, b.targets) for b in laid], strict=True)
    assert torch.cat(targets, 1)[0, :-1].equal(torch.cat(inputs, 1)[0, 1:])
    history = distill(passes, student, laid, Recipe(40, 1e-2), progress=False)
    assert history.losses[-1] < history.losses[0]
    with pytest.raises(CheckpointError, match="another text"):
        passes.batches(ids, 4, 13)  # the teacher's tokens are not the student's pieces


def test_broken_and_called_again_it_is_the_same(tmp_path: Path) -> None:
    class Breaks(Exception):
        pass

    class Breaking(LanguageModel):
        calls = 0

        def forward(self, *arguments):
            self.calls += 1
            if self.calls > 5:
                raise Breaks
            return super().forward(*arguments)

    ids, options = text(120), {"draws": 3, "spelling": SPELLING, "progress": False}
    write_passes(tmp_path / "one", teacher(), ids, **options)
    breaking = teacher()
    breaking.__class__ = Breaking
    with pytest.raises(Breaks):
        write_passes(tmp_path / "two", breaking, ids, **options)
    with pytest.raises(CheckpointError, match="is not finished"):
        Passes(tmp_path / "two")
    write_passes(tmp_path / "two", teacher(), ids, **options)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_pass_of_pieces_is_no_pass_of_tokens(tmp_path: Path) -> None:
    ids = text(40)
    write_passes(tmp_path, teacher(), ids, progress=False)
    with pytest.raises(CheckpointError, match="holds another pass"):
        write_passes(tmp_path, teacher(), ids, spelling=SPELLING, progress=False)
