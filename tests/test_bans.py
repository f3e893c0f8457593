"""Forbidden shortcuts are refused whatever they are called; honest work is left in peace."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import operator
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import _get_current_function_mode_stack

from minidistill.course.bans import Banned, Guard, bare
from minidistill.recurrent import RNN, Recurrence, rnn_step

X = torch.tensor([[0.5, -1.0, 2.0]])
CELL = nn.RNNCell(3, 2)
LAYER = nn.RNN(3, 2, batch_first=True)


def _without_torch_function() -> Any:
    with torch._C.DisableTorchFunction():
        return torch.softmax(X, -1)


SOFTMAX: dict[str, Callable[[], Any]] = {
    "torch.softmax": lambda: torch.softmax(X, -1),
    "a method": lambda: X.softmax(-1),
    "functional": lambda: F.softmax(X, -1),
    "an alias": lambda: (lambda f: f(X, -1))(F.softmax),
    "getattr": lambda: getattr(torch, "soft" + "max")(X, -1),
    "a string": lambda: eval("torch.softmax(X, -1)"),
    "partial": lambda: functools.partial(torch.softmax, dim=-1)(X),
    "map": lambda: list(map(F.softmax, [X], [-1])),
    "methodcaller": lambda: operator.methodcaller("softmax", -1)(X),
    "the unbound method": lambda: torch.Tensor.softmax(X, -1),
    "special": lambda: torch.special.softmax(X, -1),
    "with an underscore": lambda: torch._softmax(X, -1, False),
    "ops": lambda: torch.ops.aten.softmax(X, -1),
    "an overload": lambda: torch.ops.aten.softmax.int(X, -1),
    "an overload with an underscore": lambda: torch.ops.aten._softmax.default(X, -1, False),
    "_C": lambda: torch._C._VariableFunctions.softmax(X, -1),
    "a module": lambda: nn.Softmax(-1)(X),
    "another module": lambda: nn.Softmax2d()(X[..., None, None]),
    "softmin": lambda: F.softmin(-X, -1),
    "under vmap": lambda: torch.vmap(lambda row: row.softmax(-1))(X),
    "watched by nothing": _without_torch_function,
}


@pytest.mark.parametrize("way", SOFTMAX)
def test_every_way_to_an_operation_is_refused(way: str) -> None:
    with pytest.raises(Banned, match="softmax may not be used here: write it"), guard("softmax"):
        SOFTMAX[way]()


def guard(*bans: str, allowed: tuple[str, ...] = ()) -> Guard:
    return Guard(bans, allowed, "write it yourself")


CELL_STATE = torch.zeros(1, 2)

LAYERS: dict[str, Callable[[], Any]] = {
    "made": lambda: nn.RNN(3, 2),
    "made under another name": lambda: types.SimpleNamespace(Mine=nn.RNN).Mine(3, 2),
    "derived": lambda: type("Mine", (nn.RNN,), {})(3, 2),
    "made before": lambda: LAYER(X),
    "its forward alone": lambda: nn.RNNCell.forward(CELL, X, CELL_STATE),
    "with other weights": lambda: torch.func.functional_call(CELL, {}, (X, CELL_STATE)),
    "found by its path": lambda: importlib.import_module("torch.nn.modules.rnn").GRUCell(3, 2),
}


@pytest.mark.parametrize("way", LAYERS)
def test_every_way_to_a_module_is_refused(way: str) -> None:
    with (
        pytest.raises(Banned, match=r"torch\.nn\.modules\.rnn\.\w+"),
        guard("torch.nn.modules.rnn"),
    ):
        LAYERS[way]()


def _leaf() -> torch.Tensor:
    return torch.ones(3, requires_grad=True)


def _in_a_thread() -> None:
    x = _leaf()
    thread = threading.Thread(target=lambda: torch.autograd.grad(x.sum(), x))
    thread.start()
    thread.join()


def _by_the_engine() -> Any:
    x = _leaf()
    engine = torch.autograd.Variable._execution_engine
    return engine.run_backward((x.sum(),), (None,), False, False, (x,), False, False)


def _forward_mode() -> Any:
    with torch.autograd.forward_ad.dual_level():
        return torch.autograd.forward_ad.make_dual(X, X)


GRADIENTS: dict[str, Callable[[], Any]] = {
    "backward": lambda: _leaf().sum().backward(),
    "the unbound method": lambda: torch.Tensor.backward(_leaf().sum()),
    "autograd.backward": lambda: torch.autograd.backward([_leaf().sum()]),
    "autograd.grad": lambda: (lambda x: torch.autograd.grad(x.sum(), x))(_leaf()),
    "functional": lambda: torch.autograd.functional.jacobian(torch.sum, X),
    "func": lambda: torch.func.grad(torch.sum)(X),
    "vjp": lambda: torch.func.vjp(torch.sum, X),
    "forward mode": _forward_mode,
    "the engine": _by_the_engine,
    "a thread": _in_a_thread,
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("way", GRADIENTS)
def test_every_way_to_a_gradient_is_refused(way: str) -> None:
    from minidistill.course.exercises import by_id

    with pytest.raises(Banned, match="may not be used here"), guard(*by_id()["02.3"].bans):
        GRADIENTS[way]()


def _packages_step() -> tuple:
    return X, CELL_STATE, CELL.weight_ih, CELL.weight_hh, CELL.bias_ih, CELL.bias_hh


PACKAGE: dict[str, Callable[[], Any]] = {
    "called": lambda: rnn_step(*_packages_step()),
    "partial": lambda: functools.partial(rnn_step, X)(*_packages_step()[1:]),
    "map": lambda: list(map(rnn_step, *([value] for value in _packages_step()))),
    "a class": lambda: RNN(3, 2),
    "a class derived": lambda: type("Mine", (RNN,), {})(3, 2),
    "a method borrowed": lambda: RNN.extra_repr(types.SimpleNamespace()),
    "an autograd function": lambda: Recurrence.apply(X[None], X, torch.eye(3), None),
    "an exercise's reference": lambda: _reference()(X[None], torch.tensor([[0]])),
}


def _reference() -> Callable[..., Any]:
    from minidistill.course.exercises import by_id

    return by_id()["02.5"].reference


@pytest.mark.parametrize("way", PACKAGE)
def test_the_package_itself_is_refused(way: str) -> None:
    with pytest.raises(Banned, match=r"minidistill\.\S+ may not be used here"), guard():
        PACKAGE[way]()


def test_what_is_allowed_of_the_package_may_be_used() -> None:
    watch = guard(allowed=("minidistill.recurrent.rnn_step",))
    with watch:
        assert rnn_step(*_packages_step()).shape == (1, 2)
    with pytest.raises(Banned), watch:
        RNN(3, 2)


class Softmax:
    """A student's own class, with methods of famous names."""

    def softmax(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp() / x.exp().sum(-1, keepdim=True)

    log_softmax = logsumexp = softmax


def softmax(x: torch.Tensor) -> torch.Tensor:
    return Softmax().softmax(x)


HONEST: dict[str, Callable[[], Any]] = {
    "own function": lambda: softmax(X),
    "own method": lambda: Softmax().log_softmax(X),
    "own lambda": lambda: (lambda logsumexp: logsumexp(X))(lambda x: x.exp().sum().log()),
    "own class called RNN": lambda: type("RNN", (nn.Module,), {})(),
    "another module": lambda: nn.Linear(3, 2)(X),
    "another operation": lambda: torch.tanh(X) + F.relu(X).sum(),
    "looked at, not used": lambda: (torch.softmax, nn.RNN, F.log_softmax),
    "the same name elsewhere": lambda: math.log(2.0),
    "a word in a string": lambda: "softmax".upper(),
}


@pytest.mark.parametrize("way", HONEST)
def test_honest_work_is_left_in_peace(way: str) -> None:
    ready_made = ("torch.nn.utils.rnn", "torch.nn.modules.rnn")
    bans = ("log",) if "elsewhere" in way else ("softmax", "log_softmax", "logsumexp")
    with guard(*bans, *ready_made):
        HONEST[way]()


def test_importing_is_not_using(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = "from dataclasses import dataclass\ndef f():\n    return 1\nf()\n"
    source += "@dataclass(frozen=True)\nclass A:\n    x: int = f()\n"
    (tmp_path / "ready_made_for_a_test.py").write_text(source)
    with guard("ready_made_for_a_test.f"):
        module = importlib.import_module("ready_made_for_a_test")
    with pytest.raises(Banned), guard("ready_made_for_a_test.f"):
        module.f()


def test_the_package_is_loaded_while_an_answer_runs() -> None:
    code = """
from minidistill.course.bans import Banned, Guard
with Guard(allowed=("minidistill.recurrent.rnn_step",)):
    import minidistill
    from minidistill.recurrent import rnn_step
    minidistill.fit
try:
    with Guard(allowed=("minidistill.recurrent.rnn_step",)):
        minidistill.RNN(3, 2)
except Banned:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "refused\n", done.stderr


def test_vmap_differentiates_nothing() -> None:
    from minidistill.course.exercises import by_id

    with guard(*by_id()["02.3"].bans):
        torch.vmap(torch.outer)(X, X)


def test_a_refusal_that_is_swallowed_is_raised_at_the_end() -> None:
    with pytest.raises(Banned, match="softmax"), guard("softmax"):
        try:
            torch.softmax(X, -1)
        except Exception:
            softmax(X)


def test_a_refusal_stays_in_force_after_it_was_swallowed() -> None:
    reached = []
    with pytest.raises(Banned), guard("torch.nn.modules.rnn", "softmax"):
        with contextlib.suppress(Banned):
            nn.RNN(3, 2)
        torch.softmax(X, -1)
        reached.append(True)
    assert not reached


def test_a_guard_forgets_the_refusal_of_the_call_before() -> None:
    watch = guard("softmax")
    with pytest.raises(Banned), watch:
        torch.softmax(X, -1)
    with watch:
        assert softmax(X).shape == X.shape


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit, Banned])
def test_everything_is_as_before_afterwards(error: type[BaseException] | None) -> None:
    def spy(frame: Any, event: str, argument: Any) -> None:
        return None

    watched = (torch.softmax, F.softmax, torch.Tensor.softmax, nn.RNN.__init__, torch.autograd.grad)
    modes = _get_current_function_mode_stack()
    before = sys.getprofile()
    sys.setprofile(spy)
    try:
        try:
            with guard("softmax", "torch.nn.modules.rnn"):
                if error is Banned:
                    torch.softmax(X, -1)
                elif error is not None:
                    raise error
        except BaseException as caught:
            assert error is not None
            assert isinstance(caught, error)
        assert sys.getprofile() is spy
    finally:
        sys.setprofile(before)
    assert threading.getprofile() is None
    assert _get_current_function_mode_stack() == modes
    now = (torch.softmax, F.softmax, torch.Tensor.softmax, nn.RNN.__init__, torch.autograd.grad)
    assert all(a is b for a, b in zip(watched, now, strict=True))
    assert F.softmax(X, -1).sum().item() == pytest.approx(1.0)
    assert nn.RNN(3, 2)(X)[0].shape == (1, 2)


def test_an_interrupt_is_not_hidden_by_a_refusal() -> None:
    with pytest.raises(KeyboardInterrupt), guard("softmax"):
        try:
            torch.softmax(X, -1)
        except Banned:
            raise KeyboardInterrupt from None


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("softmax", "softmax"),
        ("_softmax.out", "softmax"),
        ("special_log_softmax", "log_softmax"),
        ("nll_loss2d_forward", "nll_loss"),
        ("nll_loss_nd", "nll_loss"),
        ("__and__", "and"),
        ("forward", "forward"),
        ("conv2d", "conv"),
    ],
)
def test_spellings_of_one_operation(name: str, plain: str) -> None:
    assert bare(name) == plain
