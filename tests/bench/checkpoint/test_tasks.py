"""Tasks of lm-evaluation-harness on a tiny model, with examples of a file."""

import json

import numpy as np
import pytest

from bench.checkpoint.tasks import task_scores
from models.errors import InputError
from models.load import load

pytestmark = pytest.mark.slow  # the harness takes half a minute to index its tasks


@pytest.fixture
def decoder(llama_folder):
    opened = load(str(llama_folder))
    opened.tokenizer.eos_token = "w0"
    return opened


@pytest.fixture
def folder(tmp_path):
    lines = [json.dumps({"text": f"w{i} w{i + 1} w{i + 2} w{i + 3}"}) for i in range(12)]
    (tmp_path / "lambada_openai.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_every_example_has_a_score_and_a_limit_takes_the_first(decoder, folder):
    scores = task_scores(decoder, ["lambada_openai"], folder=folder, limit=None)["lambada_openai"]
    assert scores.shape == (12,) and set(scores) <= {0.0, 1.0}
    first = task_scores(decoder, ["lambada_openai"], folder=folder, limit=5)["lambada_openai"]
    np.testing.assert_array_equal(first, scores[:5])


def test_what_the_harness_does_not_have_is_named_with_what_it_has(decoder):
    with pytest.raises(InputError, match=r"'lambada_opnai', which .* the nearest: lambada_openai"):
        task_scores(decoder, ["lambada_opnai"], folder=None, limit=1)


def test_data_that_cannot_be_had_says_where_it_may_lie(decoder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    with pytest.raises(InputError, match=r"lambada_openai\.jsonl|NAME\.jsonl"):
        task_scores(decoder, ["lambada_openai"], folder=tmp_path, limit=1)
