"""The suite's command line, and what follows from it: settings, and the folders of a run."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench.given import check_thresholds, given
from bench.measure.settings import PAPER_GPT2, PAPER_MODEL, PAPER_OPT, SCALES, Settings
from bench.verdict.evidence import FILE
from models.data.gemma import GEMMA, TERMS
from models.device import DTYPES
from models.sources import EMBEDDED

LONGEST_NAME = 255
"""Bytes of a file's name."""
THROWAWAY = pytest.StashKey[tempfile.TemporaryDirectory]()


def add_options(parser: pytest.Parser) -> None:
    """The suite's command line."""
    group = parser.getgroup("compression claims")
    group.addoption(
        "--scale",
        choices=("embedded", "paper"),
        default="embedded",
        help="embedded: a small real model on the CPU (with -m gpu: on a GPU); paper: the papers' own models",
    )
    group.addoption(
        "--effort",
        choices=("quick", "normal", "thorough"),
        default="normal",
        help="quick: every path at toy size, decides nothing; normal: what an hour can decide; thorough: all",
    )
    group.addoption("--model", type=_named, help="a folder, a .gguf file or a hub id to put under the claims")
    group.addoption("--accept-terms", choices=(GEMMA,), help=f"use {GEMMA}, whose terms you have read and accept")
    _add_checkpoint_options(group)
    group.addoption("--text", type=_path, help="a .txt or .jsonl file to score and calibrate on")
    group.addoption("--train-text", type=_path, help="more text to train models on (.txt, .jsonl, .xz); never scored")
    group.addoption("--data-dir", type=_path, help="a folder with the papers' data, for --scale=paper without a hub")
    group.addoption(
        "--peer", type=_named, help="folder or hub id of the distilled peer, for --scale=paper; distilgpt2 by default"
    )
    group.addoption("--contexts", help="left-context lengths in tokens, such as 128,512,2048")
    group.addoption("--device", type=_named, help="cpu, cuda or cuda:1; by default the scale's own")
    group.addoption(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help="format that models compute in; bfloat16 is judged only above what its own rounding does",
    )
    group.addoption("--gpu-memory", type=float, help="gigabytes of a GPU that the run plans with; by default 40")
    group.addoption("--report-dir", type=_path, help="where evidence and pages go; by default reports/local/NAME")
    group.addoption(
        "--resume",
        action="store_true",
        help="derive rows from what is on record and from an interrupted run, where the same code and settings gave it",
    )
    group.addoption(
        "--record",
        action="store_true",
        help="write to the committed record under reports/; a row of lower effort never replaces one of higher",
    )
    group.addoption("--time-budget", help="run what fits in a time such as 90m, 2h or 1h30m, and say what it left out")
    group.addoption(
        "--clean-cache",
        action="store_true",
        help="delete unfinished downloads and copies of GGUF files from the cache, say what that freed, and end",
    )
    group.addoption("--claims", help="just these claims or parts of claims, such as LC3,KP1a")


def _add_checkpoint_options(group: pytest.OptionGroup) -> None:
    group.addoption("--dense", type=_named, help="the same as --model, beside --compressed")
    group.addoption(
        "--compressed",
        nargs="+",
        type=_named,
        help="folders, .gguf files, hub ids or patterns such as 'made/*' to judge against --dense; nothing else is run",
    )
    for name, meaning in (
        ("max-ratio", "perplexity over the dense model's that a checkpoint may have; by default 1.1"),
        ("max-kl", "mean KL compressed‖dense that it may have, nats a token; by default 0.1"),
        ("min-top1", "share of tokens with the same top token that it must have; by default 0.85"),
    ):
        group.addoption(f"--{name}", type=float, help=meaning)
    group.addoption(
        "--tasks", type=_named, help="tasks of lm-evaluation-harness for --compressed, such as lambada_openai,arc_easy"
    )
    group.addoption("--max-drop", type=float, help="share of a task's answers that may be lost; by default 0.01")
    group.addoption("--protocols", action="store_true", help="judge --compressed under the papers' protocols as well")


def _named(value: str) -> str:
    """Value of an option; an empty one, as of a shell variable that is not set, would stand for the default."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty; give it a value or leave it out")
    if (longest := max(len(part.encode()) for part in Path(value).parts or ("",))) > LONGEST_NAME:
        raise argparse.ArgumentTypeError(
            f"{value[:24]}... holds a name of {longest} bytes and file systems take {LONGEST_NAME}; give a shorter one"
        )
    return value


def _path(value: str) -> Path:
    return Path(_named(value))


def settings(config: pytest.Config, scale: str) -> Settings:
    """Settings of one scale with what the command line changes.

    Raises:
        pytest.UsageError: options that do not go together, or that name nothing.
    """
    _check(config)
    chosen = SCALES[scale][str(config.getoption("effort"))]
    model, text, device = config.getoption("model"), config.getoption("text"), config.getoption("device")
    model = config.getoption("dense") or model
    chosen = replace(
        chosen,
        model=model or chosen.model,
        text=text,
        device=device or chosen.device,
        dtype=str(config.getoption("dtype")),
        gpu_memory=config.getoption("gpu_memory") or chosen.gpu_memory,
        train_text=config.getoption("train_text"),
        data_dir=config.getoption("data_dir"),
        peer=config.getoption("peer") or chosen.peer,
    )
    asked = config.getoption("contexts")
    return chosen if asked is None else replace(chosen, contexts=_contexts(asked))


def _check(config: pytest.Config) -> None:
    """Refuse options that do not go together, or whose files are not there."""
    dense, model, compressed = (config.getoption(name) for name in ("dense", "model", "compressed"))
    if dense and (model or not compressed):
        raise pytest.UsageError("--dense goes with --compressed and stands in the place of --model; give it so")
    for name, value in [("model", model), ("dense", dense), *(("compressed", path) for path in compressed or ())]:
        if value == GEMMA and config.getoption("accept_terms") != GEMMA:
            raise pytest.UsageError(f"--{name}={GEMMA}: {TERMS}; read them and give --accept-terms={GEMMA}")
    given(config)
    check_thresholds(config)
    _check_there(config)
    planned = config.getoption("gpu_memory")
    if planned is not None and not 0 < planned < float("inf"):
        raise pytest.UsageError(f"--gpu-memory is {planned:g}; give gigabytes above 0, such as 24")
    if config.getoption("record") and (config.getoption("report_dir") or config.getoption("effort") == "quick"):
        raise pytest.UsageError("--record writes to reports/, and nothing of quick effort; leave the other option out")
    claims = config.getoption("claims")
    if compressed and claims and claims.upper() != "CHECKPOINT":
        raise pytest.UsageError(
            f"--claims is {claims!r} and --compressed judges a checkpoint alone; leave one of them out"
        )
    if config.getoption("record") and compressed:
        raise pytest.UsageError("--record is for claims; a checkpoint's sheet goes to reports/local/ or --report-dir")


def _check_there(config: pytest.Config) -> None:
    """Refuse a text or a folder of data that is not there."""
    train_text, data_dir = config.getoption("train_text"), config.getoption("data_dir")
    if train_text is not None and not train_text.exists():
        raise pytest.UsageError(f"--train-text names {train_text}, which does not exist; give a .txt or .jsonl file")
    if data_dir is not None and not data_dir.is_dir():
        what = "is no folder" if data_dir.exists() else "does not exist"
        raise pytest.UsageError(f"--data-dir names {data_dir}, which {what}; give the folder with the papers' data")


def _contexts(asked: str) -> tuple[int, ...]:
    try:
        contexts = tuple(int(part) for part in asked.split(","))
    except ValueError:
        contexts = ()
    if len(contexts) < 2 or contexts[0] < 1 or list(contexts) != sorted(set(contexts)):
        raise pytest.UsageError(
            f"--contexts is {asked!r}; give at least two whole numbers in ascending order, such as 128,512,2048"
        )
    return contexts


def _own(chosen: Settings) -> bool:
    """Test for a model that the user brought."""
    known = (EMBEDDED, PAPER_MODEL, PAPER_GPT2, PAPER_OPT)
    return chosen.model not in known


def _folder_name(scale: str, text: Path | None) -> str:
    """A scale, with what a user's own text is called before any ending: `embedded-books` for `books.txt.xz`."""
    return scale if text is None else f"{scale}-{text.name.partition('.')[0]}"


def _last(path: str) -> str:
    """Last part of a path, whole: a report folder is never above the place of reports, as `..` would be."""
    return Path(path).resolve().name or "root"


@dataclass(frozen=True)
class Folders:
    """Folder that a run of one scale writes to, and the record that it is held against."""

    run: Path
    record: Path | None
    """None where nothing is on record: a user's own model, text or checkpoint that was never recorded."""


def folders(config: pytest.Config, scale: str) -> Folders:
    """Folders of one scale: `reports/local/NAME` for the run and `reports/NAME` for the record.

    NAME is the scale's, with the text's where it is a user's own; or a user's own model's. Quick effort writes to a
    folder that goes with the session; `--record` makes the record itself the run's folder.
    """
    chosen = settings(config, scale)
    judged = given(config)
    name = _last(chosen.model) if _own(chosen) else _folder_name(scale, chosen.text)
    if judged:
        name = _last(judged[0]) if len(judged) == 1 else f"checkpoints-of-{_last(chosen.model)}"
    name += "" if chosen.dtype == DTYPES[0] else f"-{chosen.dtype}"
    record = config.rootpath / "reports" / name
    kept = record if (record / FILE).is_file() and not judged else None
    if (asked := config.getoption("report_dir")) is not None:
        return Folders(asked, kept)
    if config.getoption("record"):
        return Folders(record, record)
    if chosen.effort == "quick":
        return Folders(_throwaway(config) / name, kept)
    return Folders(config.rootpath / "reports" / "local" / name, kept)


def _throwaway(config: pytest.Config) -> Path:
    if THROWAWAY not in config.stash:
        config.stash[THROWAWAY] = tempfile.TemporaryDirectory(prefix="compression-claims-")
    return Path(config.stash[THROWAWAY].name)
