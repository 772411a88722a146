"""Plugin for a process of its own: the whole session runs on a pretended GPU, with the GPU scale's settings tiny."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.krony.printed import TABLE_1
from bench.krony.settings import HEALED, LADDERS, HealedSettings, LadderSettings
from bench.measure.settings import SCALES
from bench.small_models.settings import PROTOCOLS, SmallModelsSettings
from bench.survey.settings import SURVEY_SETTINGS, SurveySettings
from compress.distillation.heal import Healing
from models.gpt2 import GPT2Shape
from models.t5 import T5Shape
from models.training.train import Training
from tests.pretend_device import pretended_cuda

KEY = ("gpu", "normal")
TINY = T5Shape(1, 1, 16, 8, 4, 2)
LAYER = T5Shape(1, 0, inner=32, width=16, head_width=8, heads=2)
SHAPES = {"tiny": TINY, "mini": TINY, "small": replace(TINY, width=12, inner=24), "base": replace(TINY, width=16)}
CONSTANTS: dict[str, dict[str, Any]] = {
    "bench.krony.test_algebra": {"TABLE_1": TABLE_1[-2:], "GPU_REPEATS": 1},
    "bench.small_models.test_sizes": {"BERT_BASE": LAYER},
    "bench.survey.test_time": {"WIDTH": 16, "INNER": 40, "SIZES": (48, 24, 8), "SEMI_SIZES": (64, 64, 16)},
}
"""Sizes of what is timed or decomposed, by the module that holds them."""


def _training(steps: int = 2, **changes: Any) -> Training:
    return Training(steps, 4, 1e-2, weight_decay=0.0, **changes)


def shrink() -> None:
    """Puts tiny settings in the place of the GPU scale's."""
    SCALES[KEY[0]][KEY[1]] = replace(
        SCALES[KEY[0]][KEY[1]],
        contexts=(8, 16, 32),
        targets=8,
        documents=4,
        calibration_sequences=2,
        calibration_length=16,
        resamples=50,
        simulations=2,
    )
    SURVEY_SETTINGS[KEY] = SurveySettings(3, 24, 2, 16, harness_pages=1, harness_characters=60, passages=2)
    before = _training(schedule="inverse-sqrt-flat", warmup=1)
    PROTOCOLS[KEY] = SmallModelsSettings(
        SHAPES, 270, 128, before, _training(1), looks=(2,), spread_looks=(3,), held_out=8, classes=3, words=8, sums=20
    )
    shape = GPT2Shape(layers=2, width=48, heads=2, vocabulary=280, positions=16)
    long, short = _training(precision="bf16"), _training(8, precision="bf16")
    LADDERS[KEY] = LadderSettings(
        shape, 0.02, long, short, seeds=(0, 1), documents=3, windows=1, held_out=2, save_every=1
    )
    HEALED[KEY] = HealedSettings(2, Healing(1), 24, end_to_end=_training(precision="bf16"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Enter the pretended device for the whole session."""
    shrink()
    device = pretended_cuda()
    device.__enter__()
    config.add_cleanup(lambda: device.__exit__(None, None, None))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shrink what the modules with timings time."""
    for module in {item.module.__name__: item.module for item in items if isinstance(item, pytest.Function)}.values():
        for name, value in CONSTANTS.get(module.__name__, {}).items():
            setattr(module, name, value)
