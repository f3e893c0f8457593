import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minidistill import cli, demo, demo_plan, doctor, report, writers
from minidistill.demo_plan import Plan
from minidistill.training import Recipe

ROOT = Path(__file__).resolve().parent.parent
SENTENCE = "The old man went down to the sea, and the sea came up to the old man.\n\n"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MINIDISTILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MINIDISTILL_MIRROR", "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tiny(monkeypatch):
    plan = Plan(7, 7, 1, 0.1, True, 3, 11, Recipe(steps=9, learning_rate=0.01))
    monkeypatch.setattr(demo, "plan", lambda *arguments: plan)
    monkeypatch.setattr(demo, "PAGE", 31)
    monkeypatch.setattr(demo_plan, "LOOK", 0.0)
    monkeypatch.setattr(report, "_figures", lambda result: "")


def book(tmp_path, text=SENTENCE * 30):
    path = tmp_path / "book.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def call(capsys, *arguments):
    """Run the command line; return exit code, stdout, stderr."""
    try:
        code = cli.main(arguments)
    except SystemExit as exit:  # argparse's way out
        code = exit.code
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def test_help_names_every_command(capsys):
    code, out, _ = call(capsys, "--help")
    assert code == 0
    for command in ("doctor", "novels", "demo", "train", "write"):
        assert command in out


def test_no_command_shows_the_help_and_fails(capsys):
    code, out, err = call(capsys)
    assert (code, out) == (2, "")
    assert "usage: minidistill" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dance"], "invalid choice"),
        (["novels"], "required"),
        (["novels", "get"], "required"),
        (["demo", "--seconds", "0"], "'0' is not a number above 0"),
        (["demo", "--seconds", "soon"], "'soon' is not a number above 0"),
        (["demo", "--seconds", "inf"], "is not a number above 0"),
        (["demo", "--seed", "-1"], "whole number from 0"),
        (["demo", "--language", "fr"], "invalid choice"),
        (["train"], "required"),
        (["train", "house_en"], "required: --out"),
        (["write"], "required"),
        (["write", "x", "--length", "1.5"], "whole number from 1"),
        (["write", "x", "--length", "0"], "whole number from 1"),
        (["write", "x", "--temperature", "-1"], "number from 0"),
        (["write", "x", "--temperature", "nan"], "number from 0"),
    ],
)
def test_a_wrong_call_is_explained(capsys, arguments, said):
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["novels", "get", "alise"], "alice"),
        (["novels", "get", "alice"], "127.0.0.1"),
        (["novels", "show", "no/such.txt"], "there is no file"),
        (["demo", "--novel", "no_such"], "the catalogue has"),
        (["train", "hose_en", "--out", "made"], "there are house_en, house_zh"),
        (["train", "pride_and_prejudice", "--out", "made"], "127.0.0.1"),
        (["write", "no/model"], "no/model holds no model"),
    ],
)
def test_a_failure_is_one_sentence(capsys, arguments, said):
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("minidistill: ")
    assert err.count("\n") == 1
    assert said in err.replace(os.sep, "/")


def test_novels_list_shows_the_house_novel_and_the_catalogue(capsys):
    code, out, _ = call(capsys, "novels", "list")
    lines = out.splitlines()
    assert code == 0
    assert lines[1].startswith("house ")
    assert [line.split()[0] for line in lines[2:4]] == ["alice", "pride_and_prejudice"]
    assert "西遊記" in out
    assert "to fetch, 0.2 MB" in lines[2]


def test_novels_get_prints_where_the_house_novel_lies(capsys):
    code, out, _ = call(capsys, "novels", "get", "house")
    assert code == 0
    assert Path(out.strip()).is_dir()


def test_novels_show_counts(capsys, tmp_path):
    code, out, _ = call(capsys, "novels", "show", book(tmp_path))
    assert code == 0
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (facts["name"], facts["language"], facts["distinct"]) == ("book", "en", "10")
    assert facts["split"].startswith("train ")
    code, out, _ = call(capsys, "novels", "show", "house", "--language", "zh")
    assert (code, "language    zh" in out) == (0, True)


def test_demo_then_write(capsys, tmp_path, tiny):
    code, out, err = call(capsys, "demo", "--novel", book(tmp_path), "--out", "made")
    assert code == 0, err
    assert "9 planned steps" in out
    assert "bits per character" in out
    assert "bits than the unigram model" in out
    assert (tmp_path / "made" / "report.html").is_file()
    assert f"report: {Path('made') / 'report.html'}" in out

    code, first, _ = call(capsys, "write", "made", "--length", "17", "--prompt", "The old")
    assert code == 0
    assert first.startswith("The old")
    assert len(first) == len("The old") + 17 + 1
    assert call(capsys, "write", "made", "--length", "17", "--prompt", "The old")[1] == first
    other = call(capsys, "write", "made", "--length", "17", "--prompt", "The old", "--seed", "5")
    assert other[1] != first
    greedy = [
        call(capsys, "write", "made", "--temperature", "0", "--seed", seed)[1] for seed in "12"
    ]
    assert greedy[0] == greedy[1]
    assert call(capsys, "write", "made")[1].startswith("The old man went")


def test_write_says_what_it_does_not_know(capsys, tmp_path, tiny):
    call(capsys, "demo", "--novel", book(tmp_path), "--out", "made")
    code, out, err = call(capsys, "write", "made", "--prompt", "水 sea", "--length", "3")
    assert code == 0
    assert "does not know 1 token" in err
    assert out.startswith("水 sea")
    code, _, err = call(capsys, "write", "made", "--prompt", "")
    assert (code, "the prompt is empty" in err) == (1, True)


def test_demo_twice_goes_on_and_refuses_another_run(capsys, tmp_path, tiny):
    arguments = ["demo", "--novel", book(tmp_path), "--out", "made"]
    assert call(capsys, *arguments)[0] == 0
    code, out, _ = call(capsys, *arguments)
    assert (code, "going on from step 9 of 9" in out) == (0, True)
    code, _, err = call(capsys, *arguments, "--seconds", "50")
    assert (code, "--fresh" in err) == (1, True)
    code, out, _ = call(capsys, *arguments, "--seconds", "50", "--fresh")
    assert (code, "going on" in out) == (0, False)


def test_train_makes_a_writer_and_prints_its_figures(capsys, tmp_path, monkeypatch):
    recipe = Recipe(steps=9, learning_rate=0.01)
    plan = writers.Plan(
        book(tmp_path), "en", "byte pairs", 270, 7, 1, 0.1, 3, 11, recipe, "The old"
    )
    monkeypatch.setitem(writers.PLANS, "tiny", plan)
    code, out, err = call(capsys, "train", "tiny", "--out", "made")
    assert code == 0, err
    assert "270 tokens, 9 steps" in out
    card = json.loads((tmp_path / "made" / "card.json").read_text("utf-8"))
    assert card["command"] == "minidistill train tiny --out tiny"
    for part, bits in card["bits_per_character"].items():
        assert re.search(rf"^{part} +{bits:.3f} bits per character$", out, re.M)
    assert "best at step 9 of 9" in out
    assert call(capsys, "write", "made")[1].startswith("The old")


def test_the_default_folder_is_named_after_the_novel(capsys, tmp_path, tiny):
    assert call(capsys, "demo", "--novel", book(tmp_path))[0] == 0
    assert (tmp_path / "demo" / "book-en" / "model.safetensors").is_file()


def test_ctrl_c_is_no_traceback(capsys, tmp_path, tiny, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "next_token_loss", interrupted)
    code, _, err = call(capsys, "demo", "--novel", book(tmp_path))
    assert (code, err.strip()) == (130, "stopped")


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    def broken(chosen):
        raise KeyError("a bug")

    monkeypatch.setattr(cli, "list_novels", broken)
    with pytest.raises(KeyError):
        cli.main(["novels", "list"])


def test_a_folder_that_cannot_be_written_is_named(capsys, tmp_path, tiny):
    (tmp_path / "file").write_text("x")
    code, _, err = call(capsys, "demo", "--novel", book(tmp_path), "--out", "file/below")
    assert (code, "could not write" in err) == (1, True)


def test_doctor_finds_this_room_in_order(capsys):
    code, out, _ = call(capsys, "doctor")
    assert code == 0, out
    assert out.splitlines()[-1] == "all good"
    for word in ("Python", "torch", "GFLOP/s", "data folder", "GB free", "Chinese font"):
        assert word in out


def test_doctor_lists_problems(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MINIDISTILL_HOME", str(tmp_path / "file" / "home"))
    present = doctor.find_spec
    gone = ("safetensors", "opencc", "matplotlib")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in gone else present(name))
    code, out, _ = call(capsys, "doctor")
    assert code == 1
    assert "2 problems:" in out
    assert "- safetensors is missing: pip install safetensors" in out
    assert "set MINIDISTILL_HOME" in out
    assert 'missing, for novels in traditional Chinese: pip install "minidistill[chinese]"' in out
    assert "unknown without matplotlib" in out


def test_doctor_works_without_torch(capsys, monkeypatch):
    present = doctor.find_spec
    monkeypatch.setattr(
        doctor, "find_spec", lambda name: None if name == "torch" else present(name)
    )
    code, out, _ = call(capsys, "doctor")
    assert (code, "- torch is missing" in out) == (1, True)
    assert "GFLOP" not in out


@pytest.mark.slow
def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "minidistill", "novels", "show", "nothing"],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("minidistill: no novel is called 'nothing'")
    assert done.stdout == ""
