"""What was measured of sampled softmax for chapter 08 says what its runs say."""

from __future__ import annotations

import json
import statistics

import pytest

from minidistill.paths import data_folder

COSTS = json.loads((data_folder() / "measured" / "sampled_softmax.json").read_text("utf-8"))
WORDS = json.loads((data_folder() / "measured" / "word_model.json").read_text("utf-8"))


def test_every_size_was_measured_beside_its_peers() -> None:
    sizes = {table["vocabulary"] for table in COSTS["tables"] if table["precision"] == "highest"}
    assert sizes == {10_000, 50_000, 250_000, 1_000_000}
    for table in COSTS["tables"]:
        assert {"ours", "full, in chunks", "adaptive", "tensorflow"} <= table["arms"].keys()


@pytest.mark.parametrize("table", COSTS["tables"], ids=lambda t: f"{t['vocabulary']}")
def test_ratios_are_those_of_the_pairs(table: dict) -> None:
    for name, row in table["arms"].items():
        if name != "ours":
            assert row["time over ours"] == pytest.approx(row["ms"] / row["ours"]["ms"], rel=0.01)
            assert row["memory over ours"] == pytest.approx(row["mb"] / row["ours"]["mb"], rel=0.01)


def test_the_vocabulary_is_large_and_every_arm_has_three_seeds_or_says_so() -> None:
    assert WORDS["vocabulary"] > 30_000
    assert WORDS["summary"]["sampled, Adagrad"]["seeds"] == 3


@pytest.mark.parametrize("arm", WORDS["summary"])
@pytest.mark.parametrize("part", ["validation", "test"])
def test_means_are_those_of_the_runs(arm: str, part: str) -> None:
    values = [run[part] for run in WORDS["runs"] if run["arm"] == arm]
    assert WORDS["summary"][arm]["seeds"] == len(values)
    assert WORDS["summary"][arm][part] == pytest.approx(statistics.mean(values), abs=0.01)


def test_sampling_is_within_five_percent_of_the_full_softmax() -> None:
    assert WORDS["summary"]["sampled, Adagrad"]["over the best full softmax"] < 1.05
