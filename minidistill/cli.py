"""The command line: `minidistill doctor | novels | demo | train | write`.

Nothing heavy is imported before a command is known, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

INTERRUPTED = 130  # what a shell expects of a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for a failure, 2 for a wrong call."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console without Chinese shows "?", and goes on
            stream.reconfigure(errors="replace")
    # Set before torch is loaded: threads that wait by spinning make a step up to ten times
    # slower when other programs want the cores too. And no window may open for a figure.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MPLBACKEND", "agg")
    parser = make_parser()
    chosen = parser.parse_args(arguments)
    if "command" not in chosen:
        parser.print_help(sys.stderr)
        return 2
    try:
        return chosen.command(chosen)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not isinstance(error, _expected()):
            raise  # a fault of the program: the traceback is what one needs to report it
        print(f"minidistill: {_sentence(error)}", file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; each command's function is its `command`."""
    parser = argparse.ArgumentParser(
        prog="minidistill", description="A text-writing system, built from scratch."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="check that everything is here and works")
    doctor.set_defaults(command=run_doctor)
    _add_novels(commands.add_parser("novels", help="list, fetch and describe novels"))
    _add_demo(commands.add_parser("demo", help="train a small writer in three minutes"))
    _add_train(commands.add_parser("train", help="make a writer of data/models again"))
    _add_write(commands.add_parser("write", help="let a saved model write"))
    return parser


def _add_novels(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    actions.add_parser("list", help="the novels known by name").set_defaults(command=list_novels)
    get = actions.add_parser("get", help="download a novel into the cache")
    get.add_argument("novel", metavar="NAME", help="a name from `minidistill novels list`")
    get.set_defaults(command=get_novel)
    show = actions.add_parser("show", help="chapters, words and characters of a novel")
    show.add_argument("novel", metavar="NAME|FILE", help="a name, or a text file of your own")
    _add_language(show)
    show.set_defaults(command=show_novel)


def _add_language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--language", choices=("en", "zh"), default="en", help="the house novel's edition"
    )


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--novel", metavar="NAME|FILE", help="default: the house novel")
    _add_language(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="for model and report (default: demo/<name>)"
    )
    parser.add_argument(
        "--seconds",
        type=_above_zero,
        default=115.0,
        metavar="N",
        help="time for training (default: 115)",
    )
    _add_seed(parser)
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run in the folder")
    parser.set_defaults(command=run_demo)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("writer", metavar="NAME", help="such as house_en; a wrong one lists all")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", required=True, help="for weights, vocabulary and card"
    )
    parser.set_defaults(command=train_writer)


def _add_write(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the model was saved")
    parser.add_argument("--prompt", metavar="TEXT", help="what to go on from")
    parser.add_argument(
        "--length", type=_count, default=400, metavar="N", help="tokens to write (default: 400)"
    )
    parser.add_argument(
        "--temperature",
        type=_from_zero,
        default=0.8,
        metavar="T",
        help="below 1 safer, above 1 wilder; 0 takes the likeliest (default: 0.8)",
    )
    _add_seed(parser)
    parser.set_defaults(command=write_text)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of chance (default: 0)")


def run_doctor(chosen: argparse.Namespace) -> int:
    """Print what is here and what is missing."""
    from minidistill.doctor import examine

    problems = examine()
    if not problems:
        print("all good")
        return 0
    print(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}:")
    for problem in problems:
        print(f"- {problem}")
    return 1


def list_novels(chosen: argparse.Namespace) -> int:
    """Print the house novel and the catalogue."""
    from minidistill.library import house
    from minidistill.novels import cached, catalogue

    print(f"{'NAME':<20} {'LANGUAGE':<9} {'WHERE':<22} TITLE")
    about = house()
    titles = " / ".join(about["titles"].values())
    print(f"{about['name']:<20} {', '.join(about['titles']):<9} {'in the package':<22} {titles}")
    for slug, entry in catalogue().items():
        where = "in the cache" if cached(entry) else f"to fetch, {entry.bytes / 1e6:.1f} MB"
        print(f"{slug:<20} {entry.language:<9} {where:<22} {entry.title}, {entry.author}")
    return 0


def get_novel(chosen: argparse.Namespace) -> int:
    """Download a novel and print where it lies."""
    from minidistill.library import house
    from minidistill.novels import download, get
    from minidistill.paths import data_folder

    if chosen.novel == house()["name"]:
        print(data_folder() / "novel")
    else:
        print(download(get(chosen.novel)))
    return 0


def show_novel(chosen: argparse.Namespace) -> int:
    """Print a novel's facts and how it is split."""
    from minidistill.novels import describe, load_novel

    novel = load_novel(chosen.novel, chosen.language)
    for name, value in describe(novel).items():
        print(f"{name:<12}{value:,}" if isinstance(value, int) else f"{name:<12}{value}")
    parts = zip(("train", "validation", "test"), novel.split(), strict=True)
    print("split       " + ", ".join(f"{name} {len(part.text):,}" for name, part in parts))
    return 0


def run_demo(chosen: argparse.Namespace) -> int:
    """Train, measure and write."""
    from minidistill.demo import run

    result = run(
        chosen.novel,
        chosen.out,
        language=chosen.language,
        seconds=chosen.seconds,
        seed=chosen.seed,
        fresh=chosen.fresh,
    )
    print(f"\n{result.page}\n")
    print(result.table())
    print("\n".join(result.verdict()))
    print(f"\n{result.seconds:.0f} seconds; report: {result.report}")
    print(f'to let it write more: minidistill write {result.folder} --prompt "..."')
    return 0


def train_writer(chosen: argparse.Namespace) -> int:
    """Make a writer again and print its figures."""
    from minidistill import seq2seq_writers, writers

    names = [*writers.PLANS, *seq2seq_writers.PLANS]
    if chosen.writer not in names:
        raise ValueError(f"no writer is called {chosen.writer!r}: there are {', '.join(names)}")
    if chosen.writer in seq2seq_writers.PLANS:
        card = seq2seq_writers.train_seq2seq(chosen.writer, chosen.out)
        for part, perplexity in card["perplexity"].items():
            print(f"{part:<12}perplexity {perplexity:.1f} a token of the target")
    else:
        card = writers.train_writer(chosen.writer, chosen.out)
        for part, bits in card["bits_per_character"].items():
            print(f"{part:<12}{bits:.3f} bits per character")
        print(f'to let it write: minidistill write {chosen.out} --prompt "..."')
    print(f"{card['seconds']} seconds; best at step {card['best_step']:,} of {card['steps']:,}")
    return 0


def write_text(chosen: argparse.Namespace) -> int:
    """Load a model and let it continue the prompt, printed while it is written."""
    import json

    from minidistill.checkpoints import CheckpointError, load_model
    from minidistill.generation import show, stream, temperature

    if not (chosen.folder / "model.safetensors").is_file():
        raise CheckpointError(
            f"{chosen.folder} holds no model: give the folder that `minidistill demo` or "
            "`minidistill train` wrote"
        )
    model, vocabulary = load_model(chosen.folder)
    prompt = chosen.prompt
    if prompt is None:
        card = chosen.folder / "card.json"
        kept = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
        prompt = kept.get("prompt") or vocabulary.decode([len(vocabulary.specials) + 1])
    unknown = vocabulary.encode(prompt).count(vocabulary.unknown_id) if prompt else 0
    if unknown:
        print(f"the model does not know {unknown} token(s) of the prompt", file=sys.stderr)
    greedy = chosen.temperature == 0
    rules = [] if greedy else [temperature(chosen.temperature)]
    options = {"rules": rules, "greedy": greedy, "seed": chosen.seed}
    show(stream(model, vocabulary, prompt, chosen.length, every=1, **options))
    return 0


def _expected() -> tuple[type[Exception], ...]:
    """Return the exceptions whose message is a sentence for the user."""
    classes: list[type[Exception]] = [ImportError, OSError, ValueError]
    try:
        from minidistill.checkpoints import CheckpointError
        from minidistill.library import NovelError
        from minidistill.training import TrainingError
    except ImportError:
        return tuple(classes)
    return (*classes, NovelError, CheckpointError, TrainingError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error}; `minidistill doctor` says how to install what is missing"
    return str(error)


def _above_zero(text: str) -> float:
    value = _float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _from_zero(text: str) -> float:
    value = _float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2147483647")
    return int(text)
