"""What is measured on a pretended GPU is what is measured on the CPU, whichever GPU it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.checkpoint.dense import Dense
from bench.checkpoint.judge import Checkpoint
from bench.checkpoint.settings import CheckpointSettings
from bench.long_context.lab import LongContext
from bench.measure.perplexity import Protocol, last_words, perplexity
from bench.survey.lab import Survey
from bench.survey.settings import SurveySettings
from compress.calibrate import block_inputs, calibrated
from compress.pruning.wanda import WandaPruning
from compress.quantization.rounding import RoundToNearest
from compress.statistics import GramAndMagnitude
from tests.bench.sessions import session
from tests.pretend_device import pretended_cuda
from tests.tiny_models import saved, tiny_llama

SETTINGS = SurveySettings(documents=2, tokens=24, calibration_sequences=2, calibration_length=16)
FORTY = Protocol("forty", 40, mean_of_windows=False, keep_tail=True)
LINES = [" ".join(f"w{(7 * i + j * j) % 90}" for j in range(60)) for i in range(2)]


def _long_context(own):
    lab = LongContext(own)
    measured = lab.measure(RoundToNearest(2))
    return [*measured.means.values(), lab.forgetting(), *lab.noise("model").values()]


def _survey(own):
    scored = Survey(own, SETTINGS).measure(WandaPruning(0.5))
    return [scored.loss, scored.dense_loss, scored.kl, scored.agreement]


def _perplexity(own):
    model, tokenizer = own.decoder.model, own.decoder.tokenizer
    return [perplexity(model, tokenizer, LINES, FORTY).losses, last_words(model, tokenizer, LINES).losses]


def _calibration(own):
    decoder, sums = own.decoder, []
    inputs = block_inputs(decoder.hidden, decoder.blocks[0], own.calibration)
    for _, statistics in calibrated(decoder.blocks, inputs, GramAndMagnitude):
        assert {statistic.sum.device.type for statistic in statistics.values()} == {decoder.device.type}
        sums += [statistic.sum.cpu().numpy() for statistic in statistics.values()]
    return sums


def _checkpoint(own):
    """A checkpoint with another first block, beside the dense model's folder."""
    settings = CheckpointSettings(2, 24, 16, None, None)
    judged = Checkpoint(own, settings, Dense(own, settings), f"{own.settings.model}-other")
    return [*judged.judged().tokens.values(), judged.departures()]


MEASUREMENTS = {
    "long context": _long_context,
    "survey": _survey,
    "checkpoint": _checkpoint,
    "perplexity": _perplexity,
    "calibration": _calibration,
}


@pytest.fixture(scope="module")
def pair_folder(tmp_path_factory):
    """The dense model, with a checkpoint that is not the dense model beside it."""
    place = tmp_path_factory.mktemp("pair")
    saved(tiny_llama(), place / "dense")
    model = tiny_llama()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(1.5)
    saved(model, place / "dense-other")
    return place / "dense"


@pytest.fixture
def measured(tmp_path, pair_folder, text_file):
    """Arrays of a measurement on a device."""

    def on(device, measure):
        own = session(tmp_path, model=str(pair_folder), text=text_file, contexts=(4, 8, 16), targets=8)
        changes = {"calibration_sequences": 2, "calibration_length": 16}
        own.settings = replace(own.settings, device=device, **changes)
        own.check()
        return measure(own)

    return on


@pytest.mark.parametrize("measure", MEASUREMENTS.values(), ids=MEASUREMENTS)
@pytest.mark.parametrize(("devices", "device"), [(1, "cuda"), (2, "cuda:1")], ids=["one GPU", "second of two"])
def test_a_gpu_measures_what_the_cpu_does(measured, measure, devices, device):
    expected = measured("cpu", measure)
    with pretended_cuda(devices):
        given = measured(device, measure)
    for ours, wanted in zip(given, expected, strict=True):
        # Keys are repeated for their group on a GPU, so float32 sums come in another order.
        np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-6)
