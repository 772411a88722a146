"""The protocol of the small models at toy size."""

from dataclasses import replace

from bench.small_models.settings import SmallModelsSettings
from models.t5 import T5Shape
from models.training.train import Training

TINY = T5Shape(1, 1, 16, 8, 4, 2)
SHAPES = {"tiny": TINY, "mini": TINY, "small": replace(TINY, width=12, inner=24), "base": replace(TINY, width=16)}


def protocol(steps=3, **changes):
    training = Training(steps, 4, 1e-2, weight_decay=0.0)
    own = SmallModelsSettings(
        SHAPES, 270, 64, training, training, (2,), (2, 3), choosing_seeds=1, alphas=(0.5,), temperatures=(1.0, 2.0)
    )
    return replace(own, **changes)
