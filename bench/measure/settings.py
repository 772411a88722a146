"""Scales and efforts: how much is measured at each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.sources import EMBEDDED

PAPER_MODEL = "togethercomputer/LLaMA-2-7B-32K"
PAPER_GPT2 = "gpt2"
PAPER_PEER = "distilgpt2"
PAPER_OPT = "facebook/opt-125m"


@dataclass(frozen=True)
class Settings:
    """Everything that decides a measurement, apart from the code."""

    scale: str
    """embedded, gpu or paper."""
    effort: str
    """quick, normal or thorough."""
    device: str
    contexts: tuple[int, ...]
    """Tokens to the left of the first target."""
    targets: int
    """Scored tokens of a document."""
    documents: int | None
    """Scored documents at most; None for every one that is long enough."""
    calibration_sequences: int
    calibration_length: int
    """Tokens of one calibration sequence."""
    resamples: int
    """Bootstrap resamples of an interval."""
    simulations: int
    """Simulated experiments for each scenario of the verdict engine's own calibration."""
    model: str = EMBEDDED
    text: Path | None = None
    """File of the user's text; None for the Wikipedia sample."""
    train_text: Path | None = None
    """More text to train models on, never scored."""
    data_dir: Path | None = None
    """A folder with the papers' data, where there is no hub."""
    peer: str = PAPER_PEER
    """The distilled model that Krony-PT is compared with at the paper's scale."""
    dtype: str = "float32"
    """Number format that the dense model and its variants compute in."""
    gpu_memory: float = 40
    """Gigabytes of a GPU that the run plans with."""
    seed: int = 0
    scored_after: str = "2"
    """Articles of the embedded sample whose sha256 is not above this are not scored: those of lower ones were, before
    some of the regions of today were set."""
    looks: tuple[int, ...] = ()
    """Documents at each look that long context is measured in, until a row is decided; none for all at once."""

    def decisive(self) -> dict[str, Any]:
        """Settings that decide what a variant's curve is; the rest decides what is made of it."""
        names = (
            "contexts",
            "targets",
            "documents",
            "calibration_sequences",
            "calibration_length",
            "seed",
            "scored_after",
        )
        return {name: value for name, value in asdict(self).items() if name in names}


LONG = (128, 256, 512, 1024, 2048, 4096)
EMBEDDED_EFFORTS = {
    "quick": Settings(
        scale="embedded",
        effort="quick",
        device="cpu",
        contexts=(64, 256),
        targets=64,
        documents=3,
        calibration_sequences=2,
        calibration_length=256,
        resamples=500,
        simulations=60,
    ),
    "normal": Settings(
        scale="embedded",
        effort="normal",
        device="cpu",
        contexts=(128, 512, 2048),
        targets=128,
        documents=8,
        calibration_sequences=16,
        calibration_length=512,
        resamples=2000,
        simulations=400,
    ),
    "thorough": Settings(
        scale="embedded",
        effort="thorough",
        device="cpu",
        contexts=(64, *LONG),
        targets=256,
        documents=32,
        calibration_sequences=64,
        calibration_length=512,
        resamples=4000,
        simulations=1000,
        looks=(8, 16, 32),
    ),
}
GPU_EFFORTS = {
    "quick": Settings(
        scale="gpu",
        effort="quick",
        device="cuda",
        contexts=(128, 512, 2048),
        targets=128,
        documents=16,
        calibration_sequences=16,
        calibration_length=512,
        resamples=2000,
        simulations=100,
    ),
    # The longest window then reaches position 8,192, the limit of SmolLM2.
    "normal": Settings(
        scale="gpu",
        effort="normal",
        device="cuda",
        contexts=(*LONG, 8192 - 128),
        targets=128,
        documents=None,
        calibration_sequences=128,
        calibration_length=1024,
        resamples=4000,
        simulations=400,
    ),
    "thorough": Settings(
        scale="gpu",
        effort="thorough",
        device="cuda",
        contexts=(*LONG, 8192 - 512),
        targets=512,
        documents=None,
        # What the embedded text leaves beside its 35 documents that are long enough to be scored.
        calibration_sequences=96,
        calibration_length=2048,
        resamples=4000,
        simulations=1000,
    ),
}
# Papers calibrate on 128 sequences; a text of one's own has them.
_PAPERS = GPU_EFFORTS | {"thorough": replace(GPU_EFFORTS["thorough"], calibration_sequences=128)}
PAPER_EFFORTS = {
    name: replace(settings, scale="paper", model=PAPER_MODEL, contexts=(*LONG, 8192, 16_384, 32_768 - settings.targets))
    for name, settings in _PAPERS.items()
}
PAPER_GPT2_EFFORTS = {
    name: replace(settings, model=PAPER_GPT2, contexts=(128, 256, 512, 896), targets=64)
    for name, settings in PAPER_EFFORTS.items()
}
PAPER_OPT_EFFORTS = {
    name: replace(settings, model=PAPER_OPT, contexts=(128, 256, 512, 1024, 2048 - settings.targets))
    for name, settings in PAPER_EFFORTS.items()
}
PAPER_T5_EFFORTS = {
    # The models are trained from nothing; the one that a lab has stands by.
    name: replace(settings, scale="paper", device="cuda")
    for name, settings in EMBEDDED_EFFORTS.items()
}
SCALES = {
    "embedded": EMBEDDED_EFFORTS,
    "gpu": GPU_EFFORTS,
    "paper": PAPER_EFFORTS,
    "paper-gpt2": PAPER_GPT2_EFFORTS,
    "paper-opt": PAPER_OPT_EFFORTS,
    "paper-t5": PAPER_T5_EFFORTS,
}


def at(scale: str, effort: str) -> Settings:
    """Settings of one scale and effort."""
    return SCALES[scale][effort]
