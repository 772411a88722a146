"""Settings of the small T5 models: their sizes, and how long they are trained, at each scale and effort."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from models.t5 import TABLE_3_1, T5Shape
from models.training.train import Training

SIZES = ("tiny", "mini", "small", "base")
"""Students are the first two, teachers the last two, as in Table 4.6; the networks of mini are varied."""
FIRST = 200
"""First seed that is scored; those below were scored under earlier protocols."""
UNSCORED = 1000
"""First of the seeds by which α and T are chosen, and whose students are scored on held-out examples only."""
WARM_UP = 20_000 / 524_288
"""Share of pre-training over which the rate rises (§4.1), 3.8 %; T5's own stays level over half of that."""


@dataclass(frozen=True)
class SmallModelsSettings:
    """One protocol: pre-training by span corruption, then fine-tuning on one task."""

    shapes: dict[str, T5Shape]
    """Shapes by the names of `SIZES`; their vocabulary is set when the tokenizer is."""
    vocabulary: int
    """Tokens of the tokenizer, without sentinels."""
    input_length: int
    """Tokens that the encoder reads: of a corrupted window, and of a task's example at the most."""
    pretraining: Training
    tuning: Training
    """Fine-tuning; the rate is that of students."""
    looks: tuple[int, ...]
    """Seeds after each of which a row on means is looked at; it ends where it is decided."""
    spread_looks: tuple[int, ...]
    """Those of a row on the spread over seeds."""
    tuning_factors: dict[str, float] = field(default_factory=dict)
    """Multiples of the rate of fine-tuning at which teachers learn best, by size; 1 where none is given."""
    choosing_seeds: int = 2
    """Seeds by which α and T are chosen."""
    held_out: int = 1000
    """Training examples that nobody learns from: α and T are chosen on them."""
    alphas: tuple[float, ...] = (0.1, 0.5, 0.9)
    """Weights of the labels that are tried; Table 4.6 has the outer two."""
    temperatures: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Temperatures that are tried; Table 4.6 has 2, 3 and 4."""
    classes: int = 32
    """Articles that a passage may come from."""
    words: int = 16
    """Words of a passage, at the most."""
    sums: int = 2000
    """Sums to learn from, where rationales are asked about."""

    def chunks(self, seeds: int) -> list[range]:
        """Seeds from one look to the next, up to so many: each chunk is trained as one stack and is one variant."""
        sizes = sorted({*self.looks, *self.spread_looks})
        return [range(FIRST + low, FIRST + high) for low, high in pairwise((0, *sizes)) if high <= seeds]

    def proportioned(self, shape: T5Shape) -> T5Shape:
        """Mini of this protocol, changed as a shape of Table 3.1's mini is: its heads, their width, and networks."""
        own, printed = self.shapes["mini"], TABLE_3_1["mini"]
        heads = round(own.heads * shape.heads / printed.heads)
        width = round(own.head_width * shape.head_width / printed.head_width)
        changed = replace(own, heads=heads, head_width=width)
        return changed.with_feed_forward(shape.encoder_feed_forward, shape.decoder_feed_forward)


def _corruption(steps: int, batch: int, rate: float) -> Training:
    """Inverse square root of the step, after a linear warm-up over the paper's share of the steps."""
    warmup = max(2, round(WARM_UP * steps))
    return Training(steps, batch, rate, schedule="inverse-sqrt", warmup=warmup, weight_decay=0.0)


def _shape(layers: int, width: int, heads: int = 4) -> T5Shape:
    """Table 3.1's proportions, far smaller: d_ff is four times d_model, and the heads fill it."""
    return T5Shape(layers, layers, inner=4 * width, width=width, head_width=width // heads, heads=heads)


SHAPES = {"tiny": _shape(1, 6, heads=2), "mini": _shape(2, 8), "small": _shape(2, 48), "base": _shape(2, 64)}
"""Shapes so small that their size limits them, and not the amount of embedded text.

Percent right on held-out examples after 1200 steps, two to five seeds, by rate of fine-tuning:

| layers, width | 0.01 | 0.02 | 0.04 | 0.08 |
|---------------|-----:|-----:|-----:|-----:|
| 1, 6          |      |      |   29 |      |
| 2, 8          |   25 |   34 |   38 |   39 |
| 2, 12         |      |      |   43 |      |
| 2, 16         |   39 |   46 |   49 |   44 |
| 2, 48         |   49 |   52 |   51 |      |
| 2, 64         |      |   51 |      |      |
| 3, 64         |   49 |   47 |   32 |      |

So each size is fine-tuned at a rate that suits it. At a width of 12 mini has 49 % of the test right, and teachers have
51 and 53: too little to tell a good student by.
"""
QUICK = SmallModelsSettings(
    {name: _shape(1, width) for name, width in zip(SIZES, (8, 12, 16, 20), strict=True)},
    1024,
    96,
    _corruption(3, 8, 3e-2),
    Training(4, 8, 2e-2, weight_decay=0.0),
    looks=(2,),
    spread_looks=(3,),
    choosing_seeds=1,
    held_out=64,
    alphas=(0.5,),
    temperatures=(1.0, 2.0),
    classes=4,
    sums=200,
)
THOROUGH = SmallModelsSettings(
    SHAPES,
    1024,
    64,
    _corruption(300, 32, 3e-2),
    Training(1200, 32, 4e-2, weight_decay=0.0),
    looks=(5, 10, 20),
    spread_looks=(5, 10, 20, 40),
    tuning_factors={"small": 1 / 2, "base": 1 / 2},
)


def _large(
    pretraining: int, tuning: Training, vocabulary: int, length: int, looks: tuple[int, ...]
) -> SmallModelsSettings:
    """Table 3.1's own sizes and §4.1's batch of 128.

    After its warm-up the rate of pre-training is 1 over the root of the step, as T5 has it, where that is not above the
    rate of the embedded scale.
    """
    rate = max(1, round(WARM_UP * pretraining)) ** -0.5
    return SmallModelsSettings(
        TABLE_3_1,
        vocabulary,
        length,
        _corruption(pretraining, 128, min(rate, 3e-2)),
        tuning,
        looks=looks,
        spread_looks=looks,
    )


def _constant(steps: int, rate: float) -> Training:
    """Fine-tuning at a constant rate: 1e-3 in the paper, more where steps are fewer."""
    return Training(steps, 128, rate, weight_decay=0.0)


PAPER = _large(524_288, _constant(262_144, 1e-3), 32_000, 512, (5,))
PROTOCOLS = {
    ("embedded", "quick"): QUICK,
    ("embedded", "thorough"): THOROUGH,
    ("gpu", "quick"): _large(20, _constant(20, 1e-2), 8192, 128, (3,)),
    ("gpu", "normal"): _large(600, _constant(400, 1e-2), 8192, 128, (5, 10)),
    ("gpu", "thorough"): _large(6000, _constant(2000, 1e-2), 8192, 128, (5, 10, 20, 40)),
    ("paper", "quick"): QUICK,  # the path alone, as far as C4 and GLUE
    ("paper", "normal"): PAPER,
    ("paper", "thorough"): replace(PAPER, looks=(5, 10), spread_looks=(5, 10)),
}


def at(scale: str, effort: str) -> SmallModelsSettings | None:
    """Protocol of one scale and effort; None where an effort's models could decide nothing."""
    return PROTOCOLS.get((scale.partition("-")[0], effort))
