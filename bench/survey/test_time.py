"""A Brief Survey of Model Compression in Language Models: what sparsity does to the time of products, SV5 and SV6."""

from __future__ import annotations

import pytest
import torch

from bench.conftest import Conclude
from bench.measure.session import Lab
from bench.measure.timing import paired_ratio
from bench.survey.lab import SurveyLab
from bench.verdict.arithmetic import by_arithmetic
from bench.verdict.regions import Region
from compress.selection import smallest

PAPER_SCALE = "paper-opt"
SAME_TIME = Region(0.9, 1.1)
FASTER = Region(high=0.95)


def rounds_and_doubt(lab: Lab) -> tuple[int, str]:
    """How often times are paired at the lab's effort, and why so few decide nothing."""
    if lab.settings.effort != "quick":
        return 60, ""
    return 20, "20 rounds decide nothing on a machine that may have other work; use --effort=normal"


@pytest.mark.claim("SV5")
@pytest.mark.parametrize("row", ["SV5-unstructured-no-faster", "SV5-2of4-faster"])
@torch.inference_mode()
def test_time_of_sparse_products(lab: Lab, conclude: Conclude, row: str) -> None:
    """A layer with half its weights zero, on the kernels that torch has, over the dense time."""
    semi = row == "SV5-2of4-faster"
    device = lab.settings.device
    if semi and not device.startswith("cuda"):
        pytest.skip("torch has 2:4 kernels for CUDA only; run: pytest bench -m gpu -k SV5")
    generator = torch.Generator().manual_seed(lab.settings.seed)
    d_out, d_in, tokens = (1536, 576, 512) if not semi else (4096, 4096, 2048)
    weight = torch.randn(d_out, d_in, generator=generator)
    inputs = torch.randn(tokens, d_in, generator=generator).to(device)
    dtype = torch.float16 if semi else torch.float32
    runs = smallest(weight.abs().view(-1, 4), 2).view_as(weight)
    pruned = weight.masked_fill(runs, 0).to(device, dtype)
    weight, inputs = weight.to(device, dtype), inputs.to(dtype)
    sparse = torch.sparse.to_sparse_semi_structured(pruned) if semi else pruned
    rounds, doubt = rounds_and_doubt(lab)
    found = paired_ratio(lambda: inputs @ sparse.T, lambda: inputs @ weight.T, rounds=rounds)
    what = f"time with half the weights zero over dense, {tokens} tokens by {d_out} x {d_in} ({rounds} paired rounds)"
    origin = by_arithmetic(lab, "one layer") | {"model": f"one layer of {d_out} x {d_in} on {device}"}
    conclude(row, what, found, FASTER if semi else SAME_TIME, origin=origin, decide="more rounds", doubt=doubt)


@pytest.mark.claim("SV6")
@pytest.mark.parametrize("row", ["SV6-structured-faster"])
@torch.inference_mode()
def test_structured_pruning_is_faster(survey: SurveyLab, conclude: Conclude, row: str) -> None:
    """The MLP of one block with a fifth of its channels gone, over the dense one."""
    lab = survey.lab
    width, inner = lab.decoder.model.config.hidden_size, int(lab.decoder.model.config.intermediate_size)
    generator = torch.Generator().manual_seed(lab.settings.seed)
    hidden = torch.randn(512, width, generator=generator).to(lab.settings.device)

    def mlp(channels: int) -> list[torch.Tensor]:
        return [torch.randn(channels, width, generator=generator).to(hidden) for _ in range(3)]

    def run(parts: list[torch.Tensor]) -> torch.Tensor:
        up, gate, down = parts
        return (torch.nn.functional.silu(hidden @ gate.T) * (hidden @ up.T)) @ down

    whole, fewer = mlp(inner), mlp(inner - inner // 5)
    rounds, doubt = rounds_and_doubt(lab)
    found = paired_ratio(lambda: run(fewer), lambda: run(whole), rounds=rounds)
    origin = by_arithmetic(lab, "one MLP") | {"model": f"an MLP of {inner} channels on {lab.settings.device}"}
    what = "time of the MLP with a fifth of its channels gone over the whole, 512 tokens"
    conclude(row, what, found, FASTER, origin=origin, decide="more rounds", doubt=doubt)
