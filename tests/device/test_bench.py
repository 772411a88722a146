"""`pytest bench -m gpu` on a pretended GPU, at toy size: every row comes to a verdict, and none to an error."""

import re

import pytest
import torch

from tests.bench.sessions import suite
from tests.tiny_models import saved, tiny_llama

FOLDERS = [
    "long_context",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("survey", "krony", "small_models")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose MLPs factorise as the claims ask, and a text of sentences."""
    place = tmp_path_factory.mktemp("gpu")
    saved(tiny_llama(inner=48), place / "model")
    generator, documents = torch.Generator().manual_seed(2), []
    for _ in range(12):
        words = [f"w{i}" for i in torch.randint(0, 96, (240,), generator=generator).tolist()]
        documents.append(" ".join(" ".join(words[i : i + 12]).capitalize() + "." for i in range(0, 240, 12)))
    (place / "text.txt").write_text("\n<|endoftext|>\n".join(documents))
    return place


@pytest.mark.parametrize("part", FOLDERS)
def test_the_gpu_scale_comes_to_verdicts(folder, part):
    options = ["-p", "tests.device.pretended_bench", "-m", "gpu", "--model", folder / "model"]
    options += ["--text", folder / "text.txt", "--train-text", folder / "text.txt", "--report-dir", folder / part]
    options += ["-k", "not SV15"]  # trains pretrained encoders at their own size
    done = suite(*options, places=[f"bench/{part}"])
    last = done.stdout.strip().splitlines()[-1]
    assert re.search(r"\d+ (reproduced|inconclusive)", last), done.stdout + done.stderr
    assert not re.search(r"\d+ (failed|errors?)\b", last), done.stdout
