"""Every scale and effort asks of the embedded text no more than it has."""

import pytest

from bench.krony.settings import healed_at
from bench.measure.settings import SCALES
from bench.survey.settings import at as survey_at
from models.data.embedded import documents_of
from models.data.text import split
from models.sources import EMBEDDED

CASES = [(scale, effort) for scale in ("embedded", "gpu") for effort in ("quick", "normal", "thorough")]


@pytest.fixture(scope="module")
def text():
    """Documents of the embedded text, and a tokenizer that knows the tokens of each."""
    from transformers import AutoTokenizer

    from models.sources import folder_of

    documents = documents_of(None)
    encoded = AutoTokenizer.from_pretrained(folder_of(EMBEDDED))(
        [document.text for document in documents], add_special_tokens=False, verbose=False
    )
    tokens = dict(zip((document.text for document in documents), encoded["input_ids"], strict=True))
    return documents, lambda text, **_options: {"input_ids": tokens[text]}


@pytest.fixture
def cut(request, text):
    """Settings of a scale and effort, and the embedded text as they cut it."""
    scale, effort = request.param
    settings = SCALES[scale][effort]
    corpus = split(
        *text,
        scored_tokens=settings.contexts[-1] + settings.targets,
        calibration_tokens=settings.calibration_sequences * settings.calibration_length,
        most_scored=settings.documents,
    )
    return settings, corpus


by_scale_and_effort = pytest.mark.parametrize("cut", CASES, indirect=True, ids="-".join)


@by_scale_and_effort
def test_the_embedded_text_calibrates_every_method(cut):
    settings, corpus = cut
    left = sum(map(len, corpus.calibration))
    survey = survey_at(settings.scale, settings.effort)
    assert settings.calibration_sequences * settings.calibration_length <= left
    assert survey.calibration_sequences * survey.calibration_length <= left


@by_scale_and_effort
def test_the_embedded_text_has_the_documents_that_are_scored(cut, text):
    """Calibration takes none of them."""
    settings, corpus = cut
    needed = settings.contexts[-1] + settings.targets
    long = sum(len(text[1](document.text)["input_ids"]) >= needed for document in text[0])
    assert len(corpus.scored) == (settings.documents or long) >= 3
    survey = survey_at(settings.scale, settings.effort)
    windows = sum(len(tokens) >= survey.tokens for tokens in corpus.scored)
    assert windows >= min(survey.documents, settings.documents or survey.documents)


@pytest.mark.parametrize(("scale", "effort"), CASES)
def test_healing_asks_for_no_more_sequences_than_calibration_has(scale, effort):
    healed = healed_at(scale, effort)
    if healed is not None:
        assert healed.calibration <= SCALES[scale][effort].calibration_sequences
