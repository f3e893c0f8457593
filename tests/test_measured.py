"""What was measured for the chapters says what its runs say."""

from __future__ import annotations

import json
import math
import statistics

import pytest

from minidistill.paths import data_folder

MEASURED = json.loads((data_folder() / "measured" / "distillation.json").read_text("utf-8"))
SETTINGS = [name for name in ("plenty", "little") if name in MEASURED]


def perplexities(setting: str, arm: str, part: str) -> dict[int, float]:
    runs = MEASURED[setting]["runs"]
    return {run["seed"]: run[part] for run in runs if run["arm"] == arm}


def test_there_is_something() -> None:
    assert "little" in SETTINGS
    assert {"torch", "python", "threads"} <= set(MEASURED["machine"])


@pytest.mark.parametrize("setting", SETTINGS)
def test_students_have_about_a_tenth_of_their_teacher_s_parameters(setting: str) -> None:
    whole = MEASURED[setting]["teacher"]["parameters"]
    for run in MEASURED[setting]["runs"]:
        assert 9 < whole / run["parameters"] < 11


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("part", ["validation", "test"])
def test_means_are_those_of_the_runs(setting: str, part: str) -> None:
    table = MEASURED[setting]["summary"][part]
    for arm in {run["arm"] for run in MEASURED[setting]["runs"]}:
        values = list(perplexities(setting, arm, part).values())
        assert table[arm]["seeds"] == len(values)
        assert table[arm]["mean"] == pytest.approx(statistics.mean(values), abs=0.006)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_gap_is_measured_against_the_best_student_alone(setting: str) -> None:
    teacher = math.log(MEASURED[setting]["teacher"]["test"])
    alone = {}
    for run in sorted(MEASURED[setting]["runs"], key=lambda run: run["validation"]):
        if run["arm"].startswith("alone"):
            alone.setdefault(run["seed"], math.log(run["test"]))
    taught = perplexities(setting, "soft targets", "test")
    gaps = [
        (alone[seed] - math.log(value)) / (alone[seed] - teacher) for seed, value in taught.items()
    ]
    found = MEASURED[setting]["summary"]["test"]["soft targets"]["gap closed"]
    assert found["mean"] == pytest.approx(statistics.mean(gaps), abs=0.002)


def test_with_little_text_most_of_the_gap_is_closed() -> None:
    found = MEASURED["little"]["summary"]
    assert all(found[part]["soft targets"]["gap closed"]["mean"] > 0.65 for part in found)
