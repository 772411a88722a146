"""The protocol of the small models at toy size, on the paper's text and task from local files in the hub's place."""

import json

import pytest

from bench.small_models.lab import SmallModels
from bench.small_models.sources import documents_and_task
from tests.bench.sessions import session
from tests.bench.small_models.toy import protocol


@pytest.fixture
def paper_folder(tmp_path):
    """C4 and MNLI in a folder."""
    story = "Here is a sentence about the matter of cats and dogs. It goes on for a while, as they do. "
    (tmp_path / "c4.jsonl").write_text("".join(json.dumps({"text": story * 12}) + "\n" for _ in range(3)))
    pairs = [{"premise": f"The cat sat on mat {i}.", "hypothesis": "It sat.", "label": i % 3} for i in range(9)]
    for name in ("train", "mismatched"):
        (tmp_path / f"mnli-{name}.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return tmp_path


@pytest.fixture
def made(paper_folder):
    """Instruments on that text and task, each as a process that comes after another would have it."""
    own = session(paper_folder / "measured", "paper", data_dir=paper_folder)

    def make(**changes):
        settings = protocol(**changes)
        return SmallModels(own, settings, "task", lambda: documents_and_task(own, settings))

    return make


@pytest.fixture
def small(made):
    return made()
