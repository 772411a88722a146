"""How much is measured: scales, efforts and what the command line changes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from models.load import EMBEDDED

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
    """None for the Wikipedia sample."""
    train_text: Path | None = None
    """More text to train models on, never scored."""
    data_dir: Path | None = None
    """A folder with the papers' data, where there is no hub."""
    compressed: str | None = None
    """A checkpoint to judge against the model."""
    peer: str = PAPER_PEER
    """The distilled model that Krony-PT is compared with at the paper's scale."""
    seed: int = 0

    @property
    def own(self) -> bool:
        """Whether the user brought a model or a text."""
        return (
            self.model not in (EMBEDDED, PAPER_MODEL, PAPER_GPT2, PAPER_OPT)
            or self.text is not None
            or self.compressed is not None
        )


LONG = (128, 256, 512, 1024, 2048, 4096)
EMBEDDED_EFFORTS = {
    "quick": Settings("embedded", "quick", "cpu", (64, 256), 64, 3, 2, 256, 500, 60),
    "normal": Settings("embedded", "normal", "cpu", (128, 512, 2048), 128, 7, 16, 512, 2000, 400),
    "thorough": Settings("embedded", "thorough", "cpu", (64, *LONG), 256, 32, 64, 512, 4000, 1000),
}
GPU_EFFORTS = {
    "quick": Settings("gpu", "quick", "cuda", (128, 512, 2048), 128, 16, 16, 512, 2000, 100),
    # The longest window then reaches position 8,192, the limit of SmolLM2.
    "normal": Settings("gpu", "normal", "cuda", (*LONG, 8192 - 128), 128, None, 128, 1024, 4000, 400),
    "thorough": Settings("gpu", "thorough", "cuda", (*LONG, 8192 - 512), 512, None, 128, 2048, 4000, 1000),
}
PAPER_EFFORTS = {
    name: replace(settings, scale="paper", model=PAPER_MODEL, contexts=(*LONG, 8192, 16_384, 32_768 - settings.targets))
    for name, settings in GPU_EFFORTS.items()
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
        help="how many documents, contexts and simulations: minutes, half an hour, or hours",
    )
    group.addoption("--model", help="a folder, a .gguf file or a hub id to put under the claims")
    group.addoption("--dense", help="the same as --model, beside --compressed")
    group.addoption("--compressed", help="a folder, .gguf file or hub id to judge against --dense; nothing else is run")
    group.addoption("--text", type=Path, help="a .txt or .jsonl file to score and calibrate on")
    group.addoption("--train-text", type=Path, help="more text to train models on (.txt, .jsonl, .xz); never scored")
    group.addoption("--data-dir", type=Path, help="a folder with the papers' data, for --scale=paper without a hub")
    group.addoption("--peer", help="folder or hub id of the distilled peer, for --scale=paper; distilgpt2 by default")
    group.addoption("--contexts", help="left-context lengths in tokens, such as 128,512,2048")
    group.addoption("--device", help="cpu, cuda or cuda:1; by default the scale's own")
    group.addoption("--report-dir", type=Path, help="where evidence and pages go; by default under reports/")
    group.addoption("--resume", action="store_true", help="reuse what the same code, model, text and settings gave")


def settings(config: pytest.Config, scale: str) -> Settings:
    """The settings of one scale with what the command line changes.

    Raises:
        pytest.UsageError: `--contexts` is no list of ascending whole numbers.
    """
    chosen = SCALES[scale][str(config.getoption("effort"))]
    model, text, device = config.getoption("model"), config.getoption("text"), config.getoption("device")
    dense, compressed = config.getoption("dense"), config.getoption("compressed")
    if dense and (model or not compressed):
        raise pytest.UsageError("--dense goes with --compressed and stands in the place of --model; give it so")
    model = dense or model
    chosen = replace(
        chosen,
        model=model or chosen.model,
        text=text,
        device=device or chosen.device,
        train_text=config.getoption("train_text"),
        data_dir=config.getoption("data_dir"),
        peer=config.getoption("peer") or chosen.peer,
        compressed=compressed,
    )
    if (asked := config.getoption("contexts")) is None:
        return chosen
    try:
        contexts = tuple(int(part) for part in asked.split(","))
    except ValueError:
        contexts = ()
    if len(contexts) < 2 or contexts[0] < 1 or list(contexts) != sorted(set(contexts)):
        raise pytest.UsageError(
            f"--contexts is {asked!r}; give at least two whole numbers in ascending order, such as 128,512,2048"
        )
    return replace(chosen, contexts=contexts)


def report_folder(config: pytest.Config, scale: str) -> Path:
    """`--report-dir`, or the folder under `reports/` that suits the scale, the effort and the model."""
    if (chosen := config.getoption("report_dir")) is not None:
        return chosen
    found = settings(config, scale)
    name = Path(found.compressed or found.model).name if found.own else scale
    return config.rootpath / "reports" / (f"{name}-quick" if found.effort == "quick" else name)
