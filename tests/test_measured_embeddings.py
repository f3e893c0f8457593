"""What chapter 07 says of its measurements is what the files in data/measured say."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest

from minidistill.paths import data_folder
from minidistill.word_vectors import WordVectors

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def embeddings() -> dict[str, Any]:
    return json.loads((data_folder() / "measured" / "embeddings.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def runs(embeddings: dict[str, Any]) -> dict[tuple[str, int], dict]:
    return {(row["arm"], row["seed"]): row for row in embeddings["runs"]}


def test_every_arm_has_three_seeds_of_one_budget(runs: dict, embeddings: dict) -> None:
    arms = {arm for arm, _ in runs}
    assert arms == set(embeddings["speed"]["thousand words a second"])
    assert {(arm, seed) for arm in arms for seed in SEEDS} == runs.keys()
    assert len({row["epochs"] for row in runs.values()}) == 1


def test_attention_guesses_the_middle_better_in_every_seed(runs: dict) -> None:
    for seed in SEEDS:
        cost = {arm: runs[arm, seed]["middle word"] for arm in ("cbow", "attention", "formula")}
        assert cost["attention"] < cost["cbow"] - 0.3
        assert cost["formula"] > cost["cbow"]


def test_all_arms_were_judged_on_the_same_pairs(runs: dict) -> None:
    for test in ("wordsim353", "simlex999"):
        assert len({row["sum"][test][2] for row in runs.values()}) == 1


def test_the_summary_is_that_of_the_runs(runs: dict, embeddings: dict) -> None:
    epochs = runs["cbow", 0]["epochs"]
    for arm in {arm for arm, _ in runs}:
        found = embeddings["summary"][f"{arm}, {epochs} epochs"]
        values = [runs[arm, seed]["input"]["wordsim353"][0] for seed in SEEDS]
        assert found["wordsim353, input"][0] == pytest.approx(statistics.mean(values), abs=1e-3)


def test_the_hill_is_around_the_middle(runs: dict) -> None:
    for seed in SEEDS:
        bias = runs["places", seed]["place bias"]
        assert min(bias[4], bias[5]) > max(bias[0], bias[9]) + 1


def test_the_plain_model_is_fast_enough(embeddings: dict) -> None:
    assert embeddings["speed"]["plain over gensim skip-gram"] >= 0.7
    assert embeddings["speed"]["plain over gensim CBOW"] >= 0.2


def test_the_vectors_that_the_chapter_shows() -> None:
    vectors = WordVectors.load(data_folder() / "vectors" / "novels_en.safetensors")
    assert len(vectors) == 5690
    assert vectors.nearest("sister", 10, least=100)[0].word in ("brother", "mother", "aunt", "her")
    assert min(vectors.counts) >= 5


def test_contextual_runs_come_in_pairs() -> None:
    report = json.loads((data_folder() / "measured" / "contextual.json").read_text("utf-8"))
    for name, entry in report.items():
        if name == "machine":
            continue
        runs = {(row["arm"], row["seed"]) for row in entry["runs"]}
        assert runs == {(arm, seed) for arm in ("table", "neighbours") for seed in SEEDS}
        assert entry["milliseconds_a_step"].keys() == {"table", "neighbours"}
