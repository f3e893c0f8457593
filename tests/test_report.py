import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

import minidistill
from minidistill.checkpoints import CheckpointError
from minidistill.demo_plan import Plan
from minidistill.report import Result, render, versions, write_report
from minidistill.training import History, Recipe

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'"


def a_result(folder="out", **changes):
    about = {
        "name": "n", "title": "A Title", "author": "An Author", "language": "en",
        "licence": "CC0", "chapters": 3, "paragraphs": 5, "characters": 1234, "words": 200,
        "distinct": 77,
    }  # fmt: skip
    about |= changes.pop("about", {})
    fields = {
        "folder": Path(folder),
        "about": about,
        "plan": Plan(8, 8, 1, 0.1, True, 3, 5, Recipe(steps=4)),
        "reason": "all 4 planned steps",
        "vocab_size": 13,
        "parameters": 345,
        "unknown": {"validation": 0.0123, "test": 0.0},
        "bits": {
            "unigram": {"validation": 4.0, "test": 4.5},
            "5-gram": {"validation": 2.5, "test": 2.25},
            "RNN": {"validation": 3.0, "test": 2.0},
            "RNN with 5-gram": {"validation": 2.5, "test": 1.5},
        },
        "history": History([3.0, 2.0], [0.1, 0.1], [1.0, 2.0], [(2, 2.5)]),
        "counts": Counter("aaaabbbccd"),
        "prompt": "Once",
        "page": "Once upon",
        "temperature": 0.7,
        "device": "cpu",
        "first_step": 0,
        "seconds": 11.4,
        "training_seconds": 7.6,
        "command": "minidistill demo --seed 3",
    }
    return Result(**(fields | changes))


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


@pytest.fixture
def no_matplotlib(monkeypatch):
    monkeypatch.delattr(minidistill, "figures", raising=False)
    monkeypatch.setitem(sys.modules, "minidistill.figures", None)


def test_the_verdict_names_the_winner_of_each_part():
    validation, test, saved, both, unknown = a_result().verdict()
    assert "validation part the 5-gram is better: 2.500" in validation
    assert "RNN's 3.000" in validation
    assert "test part the RNN is better: 2.000" in test
    assert "5-gram's 2.250" in test
    assert saved.startswith("The RNN needs 25.0% fewer bits than the unigram")
    assert "reaches 2.500 bits there, 37.5% fewer than the unigram" in both
    assert "1.23% of validation, 0.00% of test" in unknown


def test_a_worse_rnn_is_called_worse():
    worse = {name: {"validation": 4.0, "test": 4.0} for name in ("unigram", "5-gram")}
    worse["RNN"] = worse["RNN with 5-gram"] = {"validation": 5.0, "test": 5.0}
    assert "25.0% more bits" in a_result(bits=worse).verdict()[2]


def test_the_table_is_aligned():
    lines = a_result().table().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[3].split() == ["RNN", "3.000", "2.000"]


def test_the_card_is_plain_data():
    card = a_result().card()
    assert card["plan"]["recipe"]["steps"] == 4
    assert (card["best_step"], card["bits_per_character"]["RNN"]["test"]) == (2, 2.0)
    assert a_result(history=History()).card()["best_step"] is None


def test_the_page_has_figures_and_asks_the_network_for_nothing():
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    html = render(a_result())
    seen = Reader(html)
    assert seen.tags.count("img") == 4
    sources = [value for _, name, value in seen.attributes if name in ("src", "href")]
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert "http" not in re.sub(r"http-equiv|base64,[^\"]*", "", html)
    assert all(value for tag, name, value in seen.attributes if (tag, name) == ("img", "alt"))
    assert ("meta", "content", "width=device-width, initial-scale=1") in seen.attributes
    for needed in ("A Title", "3.000", "AdamW", "cpu", "minidistill demo --seed 3"):
        assert needed in seen.text
    assert "8 s of training, 11 s in all" in seen.text
    assert versions()["torch"] in seen.text


def test_nothing_from_a_novel_becomes_a_part_of_the_page(no_matplotlib):
    plain = Reader(render(a_result()))
    evil = a_result(
        about={"title": EVIL, "author": EVIL, "licence": EVIL, "name": EVIL},
        prompt=EVIL,
        page=EVIL + "</div></main>" + EVIL,
        command=f"minidistill demo --novel {EVIL}",
        device=EVIL,
    )
    seen = Reader(render(evil))
    assert seen.tags == plain.tags
    assert seen.text.count("<script>") == 8  # as text, where a reader sees it
    assert "default-src 'none'" in render(evil)


@pytest.mark.parametrize(("language", "lang"), [("en", "en"), ("zh", "zh"), ('"><b>', "en")])
def test_the_language_is_said_where_the_text_stands(language, lang, no_matplotlib):
    seen = Reader(render(a_result(about={"language": language})))
    assert ("html", "lang", "en") in seen.attributes
    assert ("div", "lang", lang) in seen.attributes
    assert ("span", "lang", lang) in seen.attributes


def test_prompt_and_continuation_are_told_apart(no_matplotlib):
    assert "<span>Once</span> upon</div>" in render(a_result())


def test_without_matplotlib_the_report_says_so(no_matplotlib):
    html = render(a_result())
    assert "figures need matplotlib" in html
    assert "<img" not in html
    assert "Once" in html


def test_a_run_without_steps_has_no_curves():
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    html = render(a_result(history=History(stopped="stopped early")))
    assert html.count("<img") == 2
    assert "stopped early" in html


def test_a_resumed_run_says_so(no_matplotlib):
    assert "went on from step 1,234" in render(a_result(first_step=1234))


def test_the_report_is_written_beside_the_model(tmp_path, no_matplotlib):
    path = write_report(a_result(tmp_path))
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="could not write"):
        write_report(a_result(tmp_path / "file"))
