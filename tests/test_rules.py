"""Rules: cases by hand, laws by chance, distributions by chi-square; and what draws from them."""

from collections.abc import Callable
from math import inf, log, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from minidistill.generation import draw, generate
from minidistill.rules import (
    block_repeats,
    forbid,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    min_p,
    no_repeats,
    penalise_repetition,
    repetition_penalty,
    temperature,
    top_k,
    top_p,
)

NONE = torch.zeros(2, 1, dtype=torch.long)
EVERY_RULE = [
    temperature(0.7),
    top_k(3),
    top_p(0.6),
    min_p(0.2),
    repetition_penalty(1.5),
    repetition_penalty(0.5, window=2),
    no_repeats(2),
    forbid([0, 3]),
]
values = st.integers(-40, 40).map(lambda i: i / 8) | st.just(-inf)  # so that ties are frequent
rows = st.lists(values, min_size=7, max_size=7).filter(lambda row: max(row) > -inf)
matrices = st.lists(rows, min_size=1, max_size=5).map(torch.tensor)


def kept(logits: Tensor) -> list[list[int]]:
    """The ids that are left in each row."""
    return [[i for i, value in enumerate(row) if value > -inf] for row in logits.tolist()]


def logs(*probabilities: float) -> list[float]:
    return [log(p) if p else -inf for p in probabilities]


class Fixed(nn.Module):
    """The same logits whatever stands before, for a batch of any size."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        return self.logits.expand(*tokens.shape, -1), None


# ---- by hand ------------------------------------------------------------------------------


def test_top_k_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, 3.0, -inf], [5.0, 0.0, 4.0, -1.0, 4.0]])
    assert kept(keep_top_k(logits, 1)) == [[1, 3], [0]]  # a tie: both are as likely as the first
    assert kept(keep_top_k(logits, 2)) == [[1, 3], [0, 2, 4]]
    assert kept(keep_top_k(logits, 3)) == [[1, 2, 3], [0, 2, 4]]
    for k in (5, 6, 1000):
        assert torch.equal(keep_top_k(logits, k), logits)
    assert keep_top_k(logits, 3)[1].tolist() == [5.0, -inf, 4.0, -inf, 4.0]  # the rest unchanged


def test_top_p_by_hand() -> None:
    logits = torch.tensor([logs(0.125, 0.5, 0.25, 0.125, 0), logs(0.1, 0.1, 0.6, 0.1, 0.1)])
    assert kept(keep_top_p(logits, 0.3)) == [[1], [2]]
    assert kept(keep_top_p(logits, 0.65)) == [[1, 2], [0, 2]]  # of equals the smaller id first
    assert kept(keep_top_p(logits, 0.8)) == [[0, 1, 2], [0, 1, 2]]
    assert kept(keep_top_p(logits, 1e-12)) == [[1], [2]]
    assert torch.equal(keep_top_p(logits, 1), logits) and torch.equal(
        keep_top_p(logits, 1.0), logits
    )
    # At 1 even what rounding makes invisible stays.
    far = torch.tensor([[0.0, -30.0, 40.0, -200.0]])
    assert torch.equal(keep_top_p(far, 1.0), far)
    even = torch.zeros(1, 4)  # sums 0.25, 0.5, ... are exact: what reaches p is the last to stay
    found = [len(kept(keep_top_p(even, p))[0]) for p in (0.25, 0.2500001, 0.5, 0.75, 0.99)]
    assert found == [1, 2, 2, 3, 4]


def test_min_p_by_hand() -> None:
    logits = torch.tensor([logs(0.5, 0.25, 0.125, 0.125, 0), logs(0.0625, 0.0625, 0.75, 0.125, 0)])
    assert kept(keep_min_p(logits, 0.5)) == [[0, 1], [2]]
    assert kept(keep_min_p(logits, 0.25)) == [[0, 1, 2, 3], [2]]
    assert kept(keep_min_p(logits, 0.16)) == [[0, 1, 2, 3], [2, 3]]
    assert kept(keep_min_p(torch.tensor([[2.0, 1.0, 2.0]]), 1)) == [[0, 2]]
    assert torch.equal(keep_min_p(logits, 1e-9), logits)


def test_repetition_penalty_by_hand() -> None:
    logits = torch.tensor([[4.0, -1.0, 2.0, 0.0, -inf], [1.0, 1.0, 1.0, 1.0, 1.0]])
    tokens = torch.tensor([[0, 1, 0, 4], [2, 2, 2, 2]])
    found = penalise_repetition(logits, tokens, 2.0)
    assert found.tolist() == [[2.0, -2.0, 2.0, 0.0, -inf], [1.0, 1.0, 0.5, 1.0, 1.0]]
    assert torch.equal(penalise_repetition(logits, tokens, 1.0), logits)
    short = repetition_penalty(2.0, window=2)(logits, tokens)
    assert short.tolist() == [[2.0, -1.0, 2.0, 0.0, -inf], [1.0, 1.0, 0.5, 1.0, 1.0]]
    assert torch.equal(repetition_penalty(2.0, window=99)(logits, tokens), found)


def test_block_repeats_by_hand() -> None:
    tokens = torch.tensor([[1, 2, 3, 1, 2, 4, 1, 2], [0, 0, 0, 0, 0, 0, 0, 0]])
    logits = torch.zeros(2, 5)
    assert kept(block_repeats(logits, tokens, 3)) == [[0, 1, 2], [1, 2, 3, 4]]
    assert kept(block_repeats(logits, tokens, 2)) == [[0, 1, 2], [1, 2, 3, 4]]
    assert kept(block_repeats(logits, tokens, 1)) == [[0], [1, 2, 3, 4]]
    assert kept(block_repeats(logits, tokens, 8)) == [[0, 1, 2, 3, 4], [1, 2, 3, 4]]
    assert torch.equal(block_repeats(logits, tokens, 9), logits)  # no run is so long
    one_left = torch.tensor([[-inf, -inf, -inf, 1.0, 2.0], [7.0, -inf, -inf, -inf, -inf]])
    assert torch.equal(block_repeats(one_left, tokens, 3), one_left)  # nothing else could follow


def test_temperature_and_forbidding_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0], [0.0, -2.0, 6.0]])
    assert temperature(2.0)(logits, NONE).tolist() == [[0.5, 1.0, 2.0], [0.0, -1.0, 3.0]]
    assert forbid([2, 0, 2])(logits, NONE).tolist() == [[-inf, 2.0, -inf], [-inf, -2.0, -inf]]
    assert torch.equal(forbid([])(logits, NONE), logits)


def test_numbers_out_of_range_are_refused_when_the_rule_is_made() -> None:
    for k in (0, -3, 2.5, nan, inf):
        with pytest.raises(ValueError, match="k is how many tokens to keep, a whole number from 1"):
            top_k(k)
        with pytest.raises(ValueError, match="n is the length of the repeats to block, from 1"):
            no_repeats(k)
    for p in (0, -0.1, 1.01, nan):
        with pytest.raises(ValueError, match="p is the probability to keep, above 0 and at most 1"):
            top_p(p)
        with pytest.raises(ValueError, match="p is a share of the likeliest token's probability"):
            min_p(p)
    for value in (0, -1.0, nan, inf):
        with pytest.raises(ValueError, match=r"a repetition penalty is above 0 .*1.2 is usual"):
            repetition_penalty(value)
        with pytest.raises(ValueError, match=r"a temperature is above 0, got .*likeliest use gree"):
            temperature(value)
    with pytest.raises(ValueError, match="a window is how many of the last tokens count"):
        repetition_penalty(1.2, window=0)
    with pytest.raises(ValueError, match="token ids start at 0, so -2 cannot be forbidden"):
        forbid([3, -2])
    with pytest.raises(ValueError, match=r"token 5 cannot be forbidden: the model knows .* 0 to 4"):
        forbid([1, 5])(torch.zeros(1, 5), NONE)


# ---- laws ---------------------------------------------------------------------------------

some_tokens = st.lists(st.integers(0, 6), min_size=1, max_size=23)


@settings(deadline=None, max_examples=60)
@given(matrices, some_tokens)
def test_every_rule_leaves_a_token_its_input_and_other_rows_alone(
    logits: Tensor, text: list[int]
) -> None:
    given_, tokens = logits.clone(), torch.tensor([text]).expand(len(logits), -1)
    for rule in EVERY_RULE:
        found = rule(logits, tokens)
        assert torch.equal(logits, given_)
        assert found.shape == logits.shape and found.dtype == logits.dtype
        assert not found.isnan().any() and found[logits == -inf].eq(-inf).all()
        for row in range(len(logits)):
            assert torch.equal(found[row], rule(logits[row : row + 1], tokens[:1])[0])
        if not rule.__name__.startswith("forbid"):
            assert (found.amax(-1) > -inf).all()


@settings(deadline=None, max_examples=100)
@given(rows, st.integers(1, 8), st.floats(0.01, 1))
def test_what_the_cutting_rules_keep(row: list[float], k: int, p: float) -> None:
    logits = torch.tensor([row], dtype=torch.float64)
    [probable] = logits.softmax(-1).tolist()
    [by_k], [by_p] = kept(keep_top_k(logits, k)), kept(keep_top_p(logits, p))
    assert by_k == [i for i in kept(logits)[0] if sum(other > row[i] for other in row) < k]
    order = sorted(range(7), key=lambda i: (-probable[i], i))
    assert by_p == sorted(order[: len(by_p)])  # the likeliest, and of equals the first
    if p < 1:
        assert sum(probable[i] for i in by_p) >= p - 1e-12
        assert sum(probable[i] for i in order[: len(by_p) - 1]) < p + 1e-12
    [by_min] = kept(keep_min_p(logits, p))
    assert {i for i in range(7) if probable[i] > p * max(probable) + 1e-12} <= set(by_min)
    assert set(by_min) <= {i for i in range(7) if probable[i] > p * max(probable) - 1e-12}


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=23), st.integers(1, 5))
def test_what_is_blocked_is_what_would_repeat(text: list[int], n: int) -> None:
    runs = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
    begin = tuple(text[len(text) - n + 1 :]) if len(text) >= n else ()
    free = [w for w in range(3) if (*begin, w) not in runs or len(text) < n]
    assert kept(block_repeats(torch.zeros(1, 3), torch.tensor([text]), n)) == [free or [0, 1, 2]]


def test_no_run_of_three_stands_twice_in_what_is_written() -> None:
    model, chance = Fixed([1.0] * 5 + [4.0]), torch.Generator().manual_seed(3)
    written = generate(model, NONE, 100, rules=[no_repeats(3)], generator=chance)
    for text in written.tolist():
        runs = [tuple(text[i : i + 3]) for i in range(len(text) - 2)]
        assert len(set(runs)) == len(runs) == 99


# ---- distributions ------------------------------------------------------------------------

LOGITS = [2.0, 1.0, 0.0, 0.5, -1.0, 1.5, 0.25, -0.5, 1.0, -2.0, 0.75]
DRAWS = 100_000


def p_value(counts: Tensor, exact: Tensor) -> float:
    """The chance that counts are at least as far from what is expected: Pearson's chi-square."""
    seen = exact > 0
    assert counts[~seen].sum() == 0  # what has no probability is never drawn
    expected = exact[seen] * counts.sum()
    distance = ((counts[seen] - expected) ** 2 / expected).sum()
    return float(torch.special.gammaincc((seen.sum().double() - 1) / 2, distance / 2))


@pytest.mark.parametrize(
    ("make", "exponent", "keeps"),
    [
        (temperature(0.5), 2.0, range(11)),
        (temperature(3.0), 1 / 3, range(11)),
        (top_k(4), 1.0, [0, 1, 5, 8]),
        (top_p(0.75), 1.0, [0, 1, 5, 8, 10]),
        (min_p(0.2), 1.0, [0, 1, 3, 5, 8, 10]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_written_follows_the_rule(
    make: Callable, exponent: float, keeps: list[int]
) -> None:
    weights = torch.tensor(LOGITS, dtype=torch.float64).mul(exponent).exp()
    exact = torch.zeros(11, dtype=torch.float64)
    exact[list(keeps)] = weights[list(keeps)] / weights[list(keeps)].sum()
    prompt, chance = torch.zeros(DRAWS // 4, 1).long(), torch.Generator().manual_seed(11)
    found = generate(Fixed(LOGITS), prompt, 4, rules=[make], generator=chance)[:, 1:]
    counts = torch.bincount(found.flatten(), minlength=11)
    assert counts.sum() == DRAWS and p_value(counts, exact) > 1e-4
    assert p_value(counts, torch.full((11,), 1 / 11).double().where(exact > 0, 0)) < 1e-4


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_draw_by_hand(kind: torch.dtype) -> None:
    uniform = torch.tensor([0.0, 0.24, 0.26, 0.74, 0.76, 0.999], dtype=kind)
    scores = torch.tensor([logs(0, 0.25, 0, 0.5, 0.25, 0)]).expand(6, 6)
    assert draw(scores, uniform).tolist() == [1, 1, 3, 3, 4, 4]
    assert draw(torch.zeros(5, 4), torch.arange(5, dtype=kind) / 4).tolist() == [0, 1, 2, 3, 3]
    one = torch.ones(2, dtype=kind)  # above all sums: the last that has any probability
    assert draw(torch.tensor([logs(0.5, 0.5, 0), logs(1, 0, 0)]), one).tolist() == [1, 0]
    sure = torch.tensor([[-1e4, 1e4, 0.0]], dtype=torch.bfloat16)
    assert draw(sure.expand(3, 3), one[:1].expand(3)).tolist() == [1, 1, 1]


@settings(deadline=None, max_examples=100)
@given(matrices, st.floats(0, 1), st.sampled_from([torch.float32, torch.float64]))
def test_a_draw_has_probability_and_stands_where_the_number_falls(
    logits: Tensor, u: float, kind: torch.dtype
) -> None:
    for row, i in enumerate(draw(logits, torch.full((len(logits),), u, dtype=kind)).tolist()):
        p = logits[row].double().softmax(0)
        assert p[i] > 0
        assert p[:i].sum() <= u + 1e-6 and u <= p[: i + 1].sum() + 1e-6


# ---- rules that go wrong, while it writes -------------------------------------------------


def test_an_error_names_the_rule_the_row_and_the_place() -> None:
    def never(logits: Tensor, tokens: Tensor) -> Tensor:
        return logits.masked_fill(tokens[:, -1:] == 2, -inf)

    def upside(logits: Tensor, tokens: Tensor) -> Tensor:
        return logits / 0.0

    model, prompt = Fixed([0.0, 0.0, 9.0]), torch.tensor([[2, 0], [1, 1]])
    for greedy, chance in ((True, None), (False, torch.Generator().manual_seed(0))):
        options = {"greedy": greedy, "generator": chance}
        with pytest.raises(ValueError, match=r"rule 2 of 3, never, leaves no token .*token 2, row"):
            generate(model, prompt, 40, rules=[top_k(1), never, top_p(0.5)], **options)
        with pytest.raises(ValueError, match=r"rule 1 of 1, forbid\(\[0, 1, 2\]\), leaves no toke"):
            generate(model, prompt, 40, rules=[forbid(range(3))], **options)
        with pytest.raises(ValueError, match=r"rule 1 of 1, upside, leaves the logit nan"):
            generate(model, prompt, 40, rules=[upside], **options)
        with pytest.raises(
            ValueError, match=r"<lambda> was given logits \(2, 3\) and returned \(2"
        ):
            generate(model, prompt, 40, rules=[lambda logits, tokens: logits[:, :2]], **options)
        for wrong, what in ((nan, "the logit nan"), (inf, "the logit inf"), (-inf, "no token")):
            with pytest.raises(ValueError, match=f"the model gives {what}.*new token 1, row 0"):
                generate(Fixed([wrong] * 3), prompt, 40, **options)


# ---- nothing moves between devices a token at a time --------------------------------------


class Moves:
    """Counts calls that move data from device to device, or make the CPU wait for a number.

    On a CPU they cost nothing and still can be counted: those of Python, those inside of
    torch, and an index made of a Python list, which is sent to the device each time.
    """

    CALLS = (
        *("cpu", "cuda", "to", "item", "tolist", "numpy", "nonzero", "masked_select", "unique"),
        *("tensor", "as_tensor", "__bool__", "__int__", "__float__", "__index__", "__contains__"),
    )
    INSIDE = ("_local_scalar_dense", "nonzero", "masked_select", "_unique", "lift_fresh")

    def __enter__(self) -> "Moves":
        self.calls, self.inside = [], []
        outer = self

        class Calls(TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                name = getattr(function, "__name__", "")
                at = args[1] if name in ("__getitem__", "__setitem__") else None
                at = at if isinstance(at, tuple) else (at,)
                listed = any(
                    isinstance(i, list) or getattr(i, "dtype", 0) is torch.bool for i in at
                )
                if name in Moves.CALLS or listed:
                    outer.calls.append(name)
                return function(*args, **(kwargs or {}))

        class Inside(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                name = function.__name__
                device = (kwargs or {}).get("device")
                moved = name.startswith("_to_copy") and device not in (None, args[0].device)
                if name.startswith(Moves.INSIDE) or moved:
                    outer.inside.append(name)
                return function(*args, **(kwargs or {}))

        self.modes = [Calls(), Inside()]
        for mode in self.modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for mode in reversed(self.modes):
            mode.__exit__(*error)

    @property
    def most(self) -> int:
        return max(len(self.calls), len(self.inside))


def test_the_count_sees_what_moves() -> None:
    x, yes = torch.arange(3.0), torch.tensor([True, False, True])
    for moves in (
        lambda: x[0].item(),
        lambda: bool(x[0]),
        lambda: float(x[0]),
        lambda: x.tolist(),
        lambda: x.cpu(),
        lambda: x[yes],
        lambda: x[[0, 2]],
        lambda: torch.tensor([1]),
        lambda: x.masked_select(yes),
        lambda: 1.0 in x,
    ):
        with Moves() as seen:
            moves()
        assert seen.most >= 1
    with Moves() as seen:
        torch.where(yes, x, -inf).cumsum(-1).amax() + x[1:].sum()
    assert seen.most == 0


def test_no_rule_and_no_draw_moves_anything() -> None:
    logits, tokens = torch.randn(3, 11), torch.randint(11, (3, 17))
    for rule in EVERY_RULE:
        with Moves() as seen:
            rule(logits, tokens)
        assert seen.most == 0, rule.__name__
    with Moves() as seen:
        draw(logits, torch.full((3,), 0.5, dtype=torch.float64))
    assert seen.most == 0
