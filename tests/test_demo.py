import dataclasses
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from minidistill import demo, demo_measures, demo_plan, report
from minidistill.checkpoints import CheckpointError, load_model
from minidistill.cleaning import Chapter, Chapters
from minidistill.demo_plan import Plan
from minidistill.ngram import NGram
from minidistill.novels import Novel, NovelError
from minidistill.training import Recipe

ENGLISH = "The old man went down to the sea, and the sea came up to the old man. “Who are you?”"
CHINESE = "老人走到海边，海也来到老人身边。“你是谁？”老人问。"


DRAW = report._figures


def a_novel(paragraph=ENGLISH, language="en", chapters=11, name="tiny"):
    text = Chapters(
        Chapter(f"{i}", (paragraph, f"{i} {paragraph[::-1]}", paragraph[i:]))
        for i in range(chapters)
    )
    return Novel(name, "A <b>Tiny</b> Novel", "Nobody", language, "CC0", text)


def tiny_plan(characters, vocab_size, language):
    recipe = Recipe(steps=13, learning_rate=0.01)
    return Plan(7, 7, 1, 0.1, True, 3, 11, recipe)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(demo_plan, "ways", lambda: [(1, "float32")])
    monkeypatch.setattr(demo, "plan", tiny_plan)
    monkeypatch.setattr(demo, "PAGE", 53)
    monkeypatch.setattr(demo_plan, "LOOK", 0.0)
    monkeypatch.setattr(report, "_figures", lambda result: "")  # two seconds of drawing


def model_bits(model, ids):
    return demo.in_bits({"part": demo.model_nats(model, ids)})["part"]


def run(folder, novel=None, **options):
    return demo.run(novel or a_novel(), folder, **{"progress": False, **options})


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_a_demo_measures_writes_and_saves(tmp_path, text, language, monkeypatch):
    monkeypatch.setattr(report, "_figures", DRAW)
    result = run(tmp_path, a_novel(text, language))
    assert len(result.history.losses) == 13
    assert list(result.bits) == ["unigram", "5-gram", "RNN", "RNN with 5-gram"]
    assert all(0 < value < 12 for bits in result.bits.values() for value in bits.values())
    assert result.page.startswith(result.prompt)
    assert len(result.page) == len(result.prompt) + 53
    assert "□" not in result.page[len(result.prompt) :]
    html = result.report.read_text(encoding="utf-8")
    assert f"lang={language}>" in html
    assert html.count("data:image/png") == 4 or "figures need matplotlib" in html
    model, vocabulary = load_model(tmp_path)
    assert len(vocabulary) == result.vocab_size
    data = demo.prepare(a_novel(text, language))
    for part in ("validation", "test"):
        again = model_bits(model, getattr(data, part))
        assert again == pytest.approx(result.bits["RNN"][part], abs=1e-9)
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert card["bits_per_character"] == result.bits
    assert not list(tmp_path.glob("*.tmp"))


def test_characters_seen_once_are_cut_and_counted_as_unknown():
    chapters = [
        Chapter("1", ("aaabbbcd" * 9 + "x",)),
        Chapter("2", ("abxz",)),
        Chapter("3", ("zz",)),
    ]
    data = demo.prepare(Novel("n", "N", "A", "en", "CC0", Chapters(chapters)))
    assert sorted(data.vocabulary.tokens[1:]) == ["a", "b", "c", "d"]
    assert data.vocabulary.counts[0] == 1  # x
    assert int((data.train == 0).sum()) == 1
    assert demo.unknown_share(data.validation) == 0.5  # x and z
    assert demo.unknown_share(data.test) == 1.0


def test_every_model_is_measured_over_the_same_tokens():
    data = demo.prepare(a_novel())
    bits = {name: demo.in_bits(nats) for name, nats in demo.counted(data).items()}
    size = len(data.vocabulary)
    ids = data.validation
    unigram = NGram(1, size).fit(data.train)
    by_hand = sum(float(unigram.nats(ids[i : i + 1])) for i in range(1, len(ids)))
    assert bits["unigram"]["validation"] == pytest.approx(by_hand / math.log(2) / (len(ids) - 1))
    # A model that knows nothing costs log2 V a token, whatever it is averaged over; so let it
    # know one thing: that the first token of the text is likely. That one is not measured.
    model = demo_plan.build(tiny_plan(0, 0, "en"), size)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    assert model_bits(model, ids) == pytest.approx(math.log2(size), rel=1e-6)
    with torch.no_grad():
        model.readout.bias[ids[0]] = 3.0
    logits = model.readout.bias.detach().repeat(len(ids) - 1, 1)
    costs = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="sum")
    expected = float(costs) / math.log(2) / (len(ids) - 1)
    assert model_bits(model, ids) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("length", [2, 1999, 4001, 40_009])
def test_rows_leave_no_token_out(length):
    rows = demo.in_rows(torch.zeros(length, dtype=torch.long))
    assert rows.targets == length - 1
    assert sum(int((targets != -100).sum()) for _, targets in rows.epoch(0)) == length - 1
    assert rows.batch_size == min(16, max(1, length // 2000))


def test_validation_while_training_is_over_the_beginning_only(monkeypatch):
    monkeypatch.setattr(demo, "VALIDATION_TOKENS", 17)
    data = demo.prepare(a_novel())
    training, validation = demo.batches(data, tiny_plan(0, 0, "en"))
    assert training.targets == len(data.train) - 1
    assert validation.targets == 17


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("He came. She went.", "He came."),
        ("“He came!” she said.", "“He came!”"),
        ("他来了。她走了。", "他来了。"),
        ("word " * 30, "word word word word"),
        ("ab", "ab"),
    ],
)
def test_the_prompt_is_the_first_sentence_or_the_first_words(text, prompt):
    assert demo_measures.first_words(text) == prompt


def test_a_finished_run_is_measured_again_not_trained_again(tmp_path):
    first = run(tmp_path)
    again = run(tmp_path)
    assert (first.first_step, again.first_step) == (0, 13)
    assert again.bits == first.bits
    assert again.page == first.page
    assert "went on from step 13" in again.report.read_text(encoding="utf-8")


def test_a_broken_run_goes_on_and_ends_as_if_it_had_not_been_broken(tmp_path, monkeypatch, capsys):
    whole = run(tmp_path / "whole")
    # The same plan, so that the measured speed cannot make a difference.
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "plan.json").write_bytes((tmp_path / "whole" / "plan.json").read_bytes())
    loss, calls = demo.next_token_loss, []

    def interrupted(model, batch, state):
        calls.append(model.training)
        if sum(calls) == 8:
            raise KeyboardInterrupt
        return loss(model, batch, state)

    monkeypatch.setattr(demo, "next_token_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", progress=True)
    assert "the same command goes on from step 7" in capsys.readouterr().out
    monkeypatch.setattr(demo, "next_token_loss", loss)
    broken = run(tmp_path / "broken")
    assert broken.first_step == 7
    assert broken.bits == whole.bits
    assert broken.page == whole.page
    assert broken.history.losses == whole.history.losses


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path):
    first, second = run(tmp_path / "1"), run(tmp_path / "2")
    third = run(tmp_path / "3", seed=1)
    assert first.history.losses == second.history.losses
    assert first.page == second.page
    assert first.history.losses != third.history.losses


def test_another_run_in_the_folder_is_refused_until_fresh(tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointError, match=r"differs in: seconds\).*--fresh"):
        run(tmp_path, seconds=100)
    with pytest.raises(CheckpointError, match=r"differs in: novel, text\)"):
        run(tmp_path, a_novel(ENGLISH.upper(), name="other"))
    with pytest.raises(CheckpointError, match=r"differs in: seed\)"):
        run(tmp_path, seed=1)
    fresh = run(tmp_path, seed=1, fresh=True)
    assert (fresh.first_step, fresh.plan.recipe.seed) == (0, 1)


def test_what_the_demo_did_not_make_is_left_alone(tmp_path):
    for name in ("model.safetensors", "checkpoint.safetensors"):
        file = tmp_path / name / name
        file.parent.mkdir()
        file.write_bytes(b"mine")
        for fresh in (False, True):
            with pytest.raises(CheckpointError, match="did not make it"):
                run(file.parent, fresh=fresh)
        assert file.read_bytes() == b"mine"
        with pytest.raises(CheckpointError, match="is a file"):
            run(file)


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"plan": {"recipe": {}}}', "null"])
def test_a_damaged_plan_is_named(tmp_path, content):
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"plan\.json is damaged.*--fresh"):
        run(tmp_path)
    assert run(tmp_path, fresh=True).first_step == 0


def test_a_machine_that_grows_slower_ends_in_time_and_goes_on_later(tmp_path, monkeypatch):
    run(tmp_path)  # for its plan
    (tmp_path / "checkpoint.safetensors").unlink()

    class Slow:
        perf_counter = staticmethod(demo.time.perf_counter)
        now = 0.0

        @classmethod
        def monotonic(cls):
            cls.now += 20.0
            return cls.now

    monkeypatch.setattr(demo, "time", Slow)
    slow = run(tmp_path)
    done = int(demo.GRACE * demo.SECONDS / 20)  # at 20 s a step
    assert len(slow.history.losses) == done
    assert f"stopped after step {done} of 13" in slow.history.stopped
    assert slow.history.best[0] <= done
    assert "because the machine became slower" in slow.report.read_text(encoding="utf-8")
    monkeypatch.setattr(demo, "time", demo_plan.time)
    rest = run(tmp_path)
    assert (rest.first_step, len(rest.history.losses), rest.history.stopped) == (done, 13, "")


def test_no_time_at_all_still_ends_in_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "GRACE", -1.0)
    result = run(tmp_path)
    assert result.history.losses == []
    assert result.report.exists()


def test_steps_are_cut_to_the_time(monkeypatch):
    plan = tiny_plan(0, 0, "en")
    plan = replace(plan, recipe=replace(plan.recipe, steps=1000))
    data = demo.prepare(a_novel())
    model = demo_plan.build(plan, len(data.vocabulary))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    monkeypatch.setattr(demo_plan, "_seconds_of_a_step", lambda *arguments: 0.5)
    fitted, why = demo_plan.fit_to_time(plan, model, *demo.batches(data, plan), 50)
    assert 60 <= fitted.recipe.steps <= 100
    assert f"{fitted.recipe.steps} of 1,000 planned steps: one takes 500 ms" in why
    assert 1 <= fitted.recipe.checkpoint_every <= fitted.recipe.steps // 20
    few, _ = demo_plan.fit_to_time(plan, model, *demo.batches(data, plan), 0.001)
    assert few.recipe.steps == few.recipe.validate_every == few.recipe.checkpoint_every == 1
    every, why = demo_plan.fit_to_time(plan, model, *demo.batches(data, plan), 5000)
    assert every.recipe.steps == 1000
    assert why.startswith("all 1,000 planned steps")
    assert math.ceil(1000 / every.recipe.validate_every) <= demo_plan.VALIDATIONS
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), "measuring must not train the model"


def test_the_speed_is_measured_in_seconds_a_step():
    data = demo.prepare(a_novel())
    plan = tiny_plan(0, 0, "en")
    model = demo_plan.build(plan, len(data.vocabulary))
    batches, _ = demo.batches(data, plan)
    assert 0 < demo_plan._seconds_of_a_step(model, batches, plan.recipe) < 5


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("characters", [700, 14_000, 120_000, 1_500_000])
def test_the_real_plan_can_be_carried_out(characters, language):
    size = 70 if language == "en" else 3500
    plan = demo_plan.plan(characters, size, language)
    model = demo_plan.build(plan, size)
    assert model.tied == plan.tied
    assert plan.batch_size < characters
    assert plan.recipe.steps >= 1
    assert Plan.from_dict(json.loads(json.dumps(dataclasses.asdict(plan)))) == plan


def test_too_little_text_is_refused(tmp_path):
    lonely = Novel("n", "N", "A", "en", "CC0", Chapters([Chapter("1", ("abc", "defg", "hij"))]))
    with pytest.raises(NovelError, match="too little text"):
        run(tmp_path, lonely)


def test_files_and_the_house_novel_are_novels_too(tmp_path):
    file = tmp_path / "my book.txt"
    file.write_text("\n\n".join([ENGLISH] * 30), encoding="utf-8")
    result = run(tmp_path / "out", file, seconds=7.5)
    assert result.about["name"] == "my book"
    assert result.command == (
        f"minidistill demo --novel '{file}' --seconds 7.5 --seed 0 --out {tmp_path / 'out'}"
    )
    assert demo.default_folder(a_novel(language="zh")) == Path("demo/tiny-zh")
    command = demo.command(None, "zh", Path("x"), 110.0, 3)
    assert command == "minidistill demo --language zh --seconds 110 --seed 3 --out x"


WITHOUT = """
import sys
for name in ("matplotlib", "tqdm", "platformdirs"):
    sys.modules[name] = None
from minidistill import demo, demo_plan
demo.PAGE, demo_plan.LOOK = 30, 0.0
result = demo.run(out=sys.argv[1], seconds=1)
print(result.table())
"""


@pytest.mark.slow
def test_torch_safetensors_and_numpy_are_enough(tmp_path):
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path / "out")],
        cwd=root, capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bits per character" in done.stdout
    assert "figures need matplotlib" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_the_mean_of_two_models_is_the_mean_of_their_probabilities():
    one, other = torch.tensor([0.5, 0.125]), torch.tensor([0.25, 0.875])
    got = demo.averaged(-one.log(), -other.log())
    assert got.exp().reciprocal().tolist() == pytest.approx([0.375, 0.5], rel=1e-6)


def test_the_demo_leaves_threads_and_precision_as_they_were(tmp_path):
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    run(tmp_path)
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before


def test_a_way_to_compute_must_be_clearly_faster_to_be_taken(monkeypatch):
    plan, data = tiny_plan(0, 0, "en"), demo.prepare(a_novel())
    model = demo_plan.build(plan, len(data.vocabulary))
    monkeypatch.setattr(demo_plan, "ways", lambda: [(1, "float32"), (1, "bfloat16")])
    for seconds, wanted in ((0.9, "float32"), (0.5, "bfloat16")):
        times = {"float32": 1.0, "bfloat16": seconds}
        monkeypatch.setattr(
            demo_plan, "_seconds_of_a_step", lambda m, b, recipe, t=times: t[recipe.precision]
        )
        fitted, _ = demo_plan.fit_to_time(plan, model, *demo.batches(data, plan), 50)
        assert fitted.recipe.precision == wanted
