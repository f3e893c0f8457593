"""What a demo run measured, and the one page of HTML that shows it.

The page is one file that asks the network for nothing: figures are inside it, and whatever
comes from the novel is escaped, so that no text can become a part of the page.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from minidistill.checkpoints import write_text
from minidistill.demo_plan import Plan
from minidistill.training import History

PARTS = ("validation", "test")


@dataclass(frozen=True)
class Result:
    """What a demo run measured and wrote.

    about: `describe` of the novel. reason: why so many steps. unknown: share of the tokens
    that the vocabulary does not know, by part. bits: bits per character by model ("unigram",
    "5-gram", "RNN", "RNN with 5-gram") and part ("validation", "test"). counts: of the
    training part's characters. page: begins with the prompt. first_step: above 0 where the run
    went on from a checkpoint. training_seconds: of this call; seconds: of all of it but the
    report.
    """

    folder: Path
    about: dict[str, Any]
    plan: Plan
    reason: str
    vocab_size: int
    parameters: int
    unknown: dict[str, float]
    bits: dict[str, dict[str, float]]
    history: History
    counts: Counter[str]
    prompt: str
    page: str
    temperature: float
    device: str
    first_step: int
    seconds: float
    training_seconds: float
    command: str

    @property
    def report(self) -> Path:
        """Where the HTML report lies."""
        return self.folder / "report.html"

    def table(self) -> str:
        """Return bits per character of every model on both parts, as lines of text."""
        lines = [f"{'bits per character':<20}{'validation':>12}{'test':>8}"]
        for name, bits in self.bits.items():
            lines.append(f"{name:<20}{bits['validation']:>12.3f}{bits['test']:>8.3f}")
        return "\n".join(lines)

    def verdict(self) -> list[str]:
        """Return sentences: who is better, what the RNN gains over the unigram, the unknown."""
        sentences = []
        for part in PARTS:
            better, worse = sorted(("RNN", "5-gram"), key=lambda name: self.bits[name][part])
            sentences.append(
                f"On the {part} part the {better} is better: {self.bits[better][part]:.3f} bits "
                f"per character against the {worse}'s {self.bits[worse][part]:.3f}."
            )
        saved = 1 - self.bits["RNN"]["validation"] / self.bits["unigram"]["validation"]
        sentences.append(
            f"The RNN needs {abs(saved):.1%} {'fewer' if saved >= 0 else 'more'} bits than the "
            "unigram model on the validation part."
        )
        mean = self.bits["RNN with 5-gram"]["validation"]
        saved = 1 - mean / self.bits["unigram"]["validation"]
        sentences.append(
            f"The mean of the two models' probabilities reaches {mean:.3f} bits there, "
            f"{abs(saved):.1%} {'fewer' if saved >= 0 else 'more'} than the unigram model."
        )
        shares = ", ".join(f"{share:.2%} of {part}" for part, share in self.unknown.items())
        sentences.append(
            f"Characters that training had at most once ({shares}) count as one unknown token."
        )
        return sentences

    def card(self) -> dict[str, Any]:
        """Return what is to be known of the model: JSON-able, saved beside its weights."""
        return {
            "novel": self.about,
            "plan": dataclasses.asdict(self.plan),
            "steps": self.reason,
            "best_step": self.history.best[0] if self.history.validation else None,
            "parameters": self.parameters,
            "bits_per_character": self.bits,
            "unknown": self.unknown,
            "prompt": self.prompt,
            "device": self.device,
            "versions": versions(),
            "command": self.command,
        }


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    try:
        ours = metadata.version("minidistill")
    except metadata.PackageNotFoundError:
        ours = "not installed, run from its folder"
    return {"minidistill": ours, "Python": platform.python_version(), "torch": torch.__version__}


def write_report(result: Result) -> Path:
    """Write the report beside the model, whole or not at all, and return where it lies.

    Without matplotlib the report is the same but for its figures, and says so.
    Raises CheckpointError: the folder cannot be written to.
    """
    write_text(result.report, render(result))
    return result.report


def render(result: Result) -> str:
    """Return the report as HTML."""
    about = result.about
    body = [
        f"<h1>{_of_novel(result, about['title'])}</h1>",
        f"<p>{_by(result)}{_facts(result)}</p>",
        "<h2>How well it predicts</h2>",
        _bits_table(result),
        *(f"<p>{escape(sentence)}</p>" for sentence in result.verdict()),
        "<p class=note>Bits per character: what a character costs on average when it is coded by "
        "the model's probabilities; lower is better. The RNN's weights are those that did best on "
        "the validation part, so the test part, which had no say in anything, is the fair one.</p>",
        _figures(result),
        "<h2>A page of its own</h2>",
        _page(result),
        "<h2>How it was made</h2>",
        _table(_made(result)),
    ]
    title = escape(f"{about['title']}: minidistill demo")
    return HEAD.replace("TITLE", title) + "\n".join(body) + "\n</main>\n</body>\n</html>\n"


def _by(result: Result) -> str:
    author = result.about["author"]
    return "" if author == "unknown" else f"By {_of_novel(result, author)}. "


def _facts(result: Result) -> str:
    about, language = result.about, {"en": "English", "zh": "Chinese"}
    parts = f"{about['chapters']} chapters" if about["chapters"] != 1 else "1 chapter"
    return escape(
        f"{language.get(about['language'], about['language'])}, {about['characters']:,} characters "
        f"in {parts}; {len(result.counts):,} different characters in the training part, "
        f"{result.vocab_size - 1:,} of them at least twice. Licence: {about['licence']}."
    )


def _bits_table(result: Result) -> str:
    best = {part: min(bits[part] for bits in result.bits.values()) for part in PARTS}
    rows = ["<tr><th>bits per character<th>validation<th>test"]
    for name, bits in result.bits.items():
        cells = (
            f"<td>{'<b>' if bits[part] == best[part] else ''}{bits[part]:.3f}" for part in PARTS
        )
        rows.append(f"<tr><th>{escape(name)}{''.join(cells)}")
    return "<table class=numbers>\n" + "\n".join(rows) + "\n</table>"


def _figures(result: Result) -> str:
    try:
        from minidistill import figures
    except ImportError:
        return (
            "<p class=note>The figures need matplotlib, which is not installed here: "
            "pip install matplotlib, and run the same command again.</p>"
        )
    history, validation = result.history, {k: v["validation"] for k, v in result.bits.items()}
    lines = {name: bits for name, bits in validation.items() if not name.startswith("RNN")}
    tokens, counts = zip(*result.counts.most_common(30), strict=True)
    clip = result.plan.recipe.clip_norm
    drawn: list[tuple[str, str, Callable[[], Any]]] = [
        (
            "Learning",
            "Loss in training and on the beginning of the validation part; the lines are what "
            "counting reaches on the whole of it.",
            lambda: figures.learning_curves(history, lines),
        ),
        (
            "Gradients",
            "The gradient's norm at every step; what is above the line is scaled down to it.",
            lambda: figures.gradient_norms(history.gradient_norms, clip),
        ),
        (
            "Characters by rank",
            "A few characters make most of the text, and many are rare.",
            lambda: figures.zipf({"characters": result.counts}),
        ),
        (
            "The most frequent characters",
            "␣ is a space, ↵ the end of a paragraph.",
            lambda: figures.frequency_bars(tokens, counts),
        ),
    ]
    if not history.losses:  # stopped before the first checkpoint
        drawn = drawn[2:]
    return "\n".join(_figure(title, caption, draw()) for title, caption, draw in drawn)


def _figure(title: str, caption: str, figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<h2>{title}</h2>\n<figure><img src="data:image/png;base64,{code}" '
        f'alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def _page(result: Result) -> str:
    written = result.page[len(result.prompt) :]
    return (
        "<p class=note>The text in grey is the prompt, the beginning of the validation part; the "
        f"rest the RNN wrote, one character after another, at temperature {result.temperature:g}."
        "</p>\n"
        f"<div class=page lang={_language(result)}><span>{escape(result.prompt)}</span>"
        f"{escape(written)}</div>"
    )


def _made(result: Result) -> dict[str, str]:
    plan, history = result.plan, result.history
    layers = "1 layer" if plan.num_layers == 1 else f"{plan.num_layers} layers"
    recipe, done = plan.recipe, f"{len(history.losses):,} steps ({result.reason})"
    if result.first_step:
        done += f"; this run went on from step {result.first_step:,}"
    if history.stopped:
        done += f"; {history.stopped}"
    best = (
        f"those of step {history.best[0]:,}, the best validation"
        if history.validation
        else ("the last ones")
    )
    return {
        "model": f"RNN, {layers} of {plan.hidden_size}, embeddings of "
        f"{plan.embedding_size}{', tied' if plan.tied else ''}, dropout {plan.dropout:g}; "
        f"{result.parameters:,} parameters",
        "vocabulary": f"{result.vocab_size:,} characters, <unk> among them",
        "batches": f"{plan.batch_size} rows of {plan.length} characters",
        "optimiser": f"AdamW, learning rate {recipe.learning_rate:g} ({recipe.schedule}), weight "
        f"decay {recipe.weight_decay:g}, gradients clipped at {recipe.clip_norm}",
        "training": done,
        "weights kept": best,
        "time": f"{result.training_seconds:.0f} s of training, {result.seconds:.0f} s in all",
        "seed": str(recipe.seed),
        "device": result.device,
        "versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
        "command": result.command,
    }


def _table(rows: dict[str, str]) -> str:
    lines = (f"<tr><th>{escape(name)}<td>{escape(text)}" for name, text in rows.items())
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _of_novel(result: Result, text: str) -> str:
    return f"<span lang={_language(result)}>{escape(text)}</span>"


def _language(result: Result) -> str:
    return "zh" if result.about["language"] == "zh" else "en"


HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>TITLE</title>
<style>
body { margin: 0; background: #fff; color: #222; line-height: 1.5;
  font-family: system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  sans-serif; }
main { max-width: 42rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0;
  border-bottom: 1px solid #ddd; font-weight: normal; overflow-wrap: anywhere; }
th { white-space: nowrap; color: #555; }
.numbers td, .numbers tr:first-child th + th { text-align: right;
  font-variant-numeric: tabular-nums; }
figure { margin: 0; }
img { max-width: 100%; height: auto; display: block; }
figcaption, .note { color: #555; font-size: 0.9rem; }
.page { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #ddd;
  padding-left: 1rem; }
.page span { color: #777; }
</style>
</head>
<body>
<main>
"""
