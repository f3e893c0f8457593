"""The students in data/models: what they are, what they cost, and that they still write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from minidistill import writers
from minidistill.checkpoints import load_tensors
from minidistill.generation import write
from minidistill.language_model import parameter_count
from minidistill.novels import load_novel
from minidistill.paths import data_folder
from minidistill.rules import temperature
from minidistill.whole_characters import whole_characters
from minidistill.writers import bits_of, load_writer

TEACHERS = {"student_en": ["teacher_en"], "student_en_zh": ["teacher_en", "house_zh"]}


def folder(name: str) -> Path:
    return data_folder() / "models" / name


def test_they_come_with_the_package() -> None:
    assert set(writers.STUDENTS) == set(TEACHERS) <= set(writers.writers())


@pytest.mark.parametrize("name", writers.STUDENTS)
def test_a_student_is_stored_in_whole_numbers_and_its_card_says_how_it_was_made(name: str) -> None:
    tensors, _ = load_tensors(folder(name) / "model.safetensors")
    assert {t.dtype for t in tensors.values() if t.dim() > 1} == {torch.int8}
    card = json.loads((folder(name) / "card.json").read_text(encoding="utf-8"))
    model, _ = load_writer(name)
    assert card["name"] == name and card["parameters"] == parameter_count(model)
    assert f"--keep {name}" in card["command"] and "benchmarks/" in card["command"]


@pytest.mark.parametrize("name", writers.STUDENTS)
def test_it_is_at_least_25_times_smaller_than_its_teachers(name: str) -> None:
    size = (folder(name) / "model.safetensors").stat().st_size
    theirs = sum(4 * parameter_count(load_writer(one)[0]) for one in TEACHERS[name])
    assert theirs > 25 * size


def test_two_languages_cost_what_the_card_says() -> None:
    model, vocabulary = load_writer("student_en_zh")
    card = json.loads((folder("student_en_zh") / "card.json").read_text(encoding="utf-8"))
    teachers = sum(len(load_writer(one)[1]) for one in TEACHERS["student_en_zh"])
    assert len(vocabulary) <= teachers / 10
    for language in ("en", "zh"):
        text = load_novel(language=language).split().test.text
        want = card["bits_per_character"][f"{language} test"]
        assert bits_of(model, vocabulary, text) == pytest.approx(want, rel=0.01)


def test_it_writes_both_and_no_broken_character() -> None:
    model, vocabulary = load_writer("student_en_zh")
    rules = [whole_characters(vocabulary), temperature(0.8)]
    for prompt in ("Old Wen", "老温"):
        text = write(model, vocabulary, prompt, 60, rules=rules, seed=1)
        assert text.startswith(prompt) and "\ufffd" not in text.rstrip("\ufffd")


def test_one_language_is_near_its_teacher_s_text() -> None:
    model, vocabulary = load_writer("student_en")
    teacher, _ = load_writer("teacher_en")
    assert 8 < parameter_count(teacher) / parameter_count(model) < 12
    text = load_novel().split().test.text
    assert bits_of(model, vocabulary, text) < 1.05 * bits_of(teacher, vocabulary, text)
