"""Where to compute, and chance that leaves the chance around it alone."""

import pytest
import torch

from minidistill.device import pick_device, seeded


def test_the_cpu_can_always_be_named() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device().type in ("cpu", "cuda", "mps")


def test_the_best_device_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device() == torch.device("cuda")
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="no 'cuda:2' on this machine; there is cuda"):
        pick_device("cuda:2")


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "cuda:0", "mps", "meta", "gpu", ""):
        with pytest.raises(ValueError, match=f"no '{name}' on this machine; there is cpu"):
            pick_device(name)


def test_seeded_repeats_itself_and_changes_nothing_outside() -> None:
    torch.manual_seed(11)
    expected = torch.rand(5)
    torch.manual_seed(11)
    with seeded(3):
        first = torch.rand(7)
    assert torch.equal(torch.rand(5), expected)
    with seeded(3):
        assert torch.equal(torch.rand(7), first)
    with seeded(4):
        assert not torch.equal(torch.rand(7), first)


def test_seeded_is_undone_after_an_error_too() -> None:
    before = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(3):
        torch.rand(7)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_seeded_blocks_can_stand_in_each_other() -> None:
    with seeded(3):
        alone = [torch.rand(2), torch.rand(2)]
    with seeded(3):
        first = torch.rand(2)
        with seeded(5):
            torch.rand(2)
        assert torch.equal(torch.stack([first, torch.rand(2)]), torch.stack(alone))
