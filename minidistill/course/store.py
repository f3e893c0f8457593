"""Progress on disk: which exercises are solved, how often tried, which hints were opened.

One JSON file in the student's own data folder, written atomically, read again before each
change so that two open notebooks do not undo each other. Where the file cannot be written,
progress lives as long as the kernel; where it cannot be read, it is kept aside, not deleted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minidistill.checkpoints import CheckpointError, write_text
from minidistill.paths import home_folder

_in_memory: dict[str, dict[str, Any]] = {}
_warned: set[str] = set()


def path() -> Path:
    """Where progress is kept; MINIDISTILL_HOME moves it."""
    return home_folder() / "progress.json"


def load() -> dict[str, dict[str, Any]]:
    """Progress by exercise: {"02.1": {"state": "solved", "tries": 3, "hints": 1}}."""
    try:
        text = path().read_text(encoding="utf-8")
        exercises = json.loads(text)["exercises"]
        if all(map(_is_entry, exercises.values())):
            return exercises
    except (FileNotFoundError, NotADirectoryError):
        return dict(_in_memory)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # not to be read, not UTF-8, not JSON, or not ours
    _keep_aside()
    return dict(_in_memory)


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("state", ""), str)
        and all(isinstance(entry.get(name, 0), int) for name in ("tries", "hints"))
    )


def record(exercise_id: str, solved: bool) -> None:
    """Count a try; what was solved once stays solved."""
    progress = load()
    entry = progress.setdefault(exercise_id, {})
    entry["tries"] = int(entry.get("tries", 0)) + 1
    if solved or entry.get("state") != "solved":
        entry["state"] = "solved" if solved else "attempted"
    _save(progress)


def hints_opened(exercise_id: str) -> int:
    """How many hints of an exercise were opened."""
    return int(load().get(exercise_id, {}).get("hints", 0))


def record_hint(exercise_id: str, number: int) -> None:
    """Remember the furthest hint that was opened."""
    progress = load()
    entry = progress.setdefault(exercise_id, {})
    entry["hints"] = max(int(entry.get("hints", 0)), number)
    _save(progress)


def forget(exercise_id: str | None = None) -> None:
    """Forget one exercise, or everything."""
    progress = load()
    if exercise_id is None:
        progress.clear()
    else:
        progress.pop(exercise_id, None)
    _save(progress)


def _save(progress: dict[str, dict[str, Any]]) -> None:
    _in_memory.clear()
    _in_memory.update(progress)
    content = {"version": 1, "exercises": dict(sorted(progress.items()))}
    try:
        write_text(path(), json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    except CheckpointError as error:
        _warn(f"Progress is kept only until the kernel stops: {error}")


def _keep_aside() -> None:
    """A damaged file is renamed, so that nothing is lost."""
    number, aside = 2, path().with_suffix(".damaged.json")
    while aside.exists():
        number, aside = number + 1, path().with_suffix(f".damaged-{number}.json")
    try:
        path().replace(aside)
        _warn(f"The progress file was damaged; it is kept as {aside} and progress starts afresh.")
    except OSError:
        _warn(f"The progress file {path()} is damaged and cannot be moved.")


def _warn(sentence: str) -> None:
    if sentence not in _warned:
        _warned.add(sentence)
        print(sentence)
