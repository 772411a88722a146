"""A Brief Survey of Model Compression in Language Models: what sparsity does to the time of products, SV5 and SV6."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from bench.fixtures import Conclude
from bench.measure.kernels import lacking
from bench.measure.session import Session
from bench.measure.timing import Action, Timing
from bench.parameters import parameters
from bench.verdict.documents import Interval
from bench.verdict.needed import what_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.selection import smallest

PAPER_SCALE = "paper-opt"
FASTER = Region(high=0.95)
UNSTRUCTURED = Row(
    "SV5-unstructured-no-faster",
    "SV5b",
    "time with half the weights zero over dense",
    Region(0.9, 1.1),
    "no acceleration: within a tenth",
)
TWO_OF_FOUR = Row(
    "SV5-2of4-faster",
    "SV5a",
    "time with two of four weights zero over dense, on kernels for that pattern",
    FASTER,
    "at least 5 % faster",
)
SIZES, SEMI_SIZES = (1536, 576, 512), (4096, 4096, 2048)
"""Outputs, inputs and tokens of a product: of SmolLM2's width, and of one that fills a GPU."""

AMPERE = (8, 0)
"""Compute capability from which GPUs multiply 2:4 sparse matrices."""


def rounds(session: Session) -> int:
    """Number of paired timings at the session's effort."""
    return 20 if session.settings.effort == "quick" else 60


def _products(seed: int, device: str, sizes: tuple[int, int, int], semi: bool) -> tuple[Action, Action]:
    """A product with half the weights zero, and the dense one."""
    d_out, d_in, tokens = sizes
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(d_out, d_in, generator=generator)
    inputs = torch.randn(tokens, d_in, generator=generator).to(device)
    dtype = torch.float16 if semi else torch.float32
    runs = smallest(weight.abs().view(-1, 4), 2).view_as(weight)
    pruned = weight.masked_fill(runs, 0).to(device, dtype)
    weight, inputs = weight.to(device, dtype), inputs.to(dtype)
    sparse = torch.sparse.to_sparse_semi_structured(pruned) if semi else pruned
    return lambda: inputs @ sparse.T, lambda: inputs @ weight.T


@pytest.mark.filterwarnings("ignore:The PyTorch API of SparseSemiStructuredTensor is in prototype:UserWarning")
@pytest.mark.parametrize("row", parameters(UNSTRUCTURED, TWO_OF_FOUR))
def test_time_of_sparse_products(session: Session, conclude: Conclude, row: Row) -> None:
    """A layer with half its weights zero, on the kernels that torch has, over the dense time."""
    semi, device = row is TWO_OF_FOUR, session.settings.device
    if semi and (reason := lacking(device, "2:4 sparse products", AMPERE)):
        pytest.skip(reason)
    sizes = SEMI_SIZES if semi else SIZES
    kind = "2:4" if semi else "half the weights zero"
    timing = Timing(session, f"{kind}, {sizes[2]} tokens by {sizes[0]} x {sizes[1]}", rounds(session))
    interval = timing.ratio(partial(_products, session.settings.seed, device, sizes, semi))
    settle(conclude, row, interval, timing)


def settle(conclude: Conclude, row: Row, interval: Interval, timing: Timing) -> None:
    """Conclude a row on a ratio of times."""
    decide = what_would_decide(interval, timing.rounds, row.accept, of="rounds")
    conclude(row, interval, timing, decide=decide, doubt=timing.doubt())


WIDTH, INNER = 576, 1536
"""SmolLM2's, whatever the session's model: the rows are about shapes."""


def pruned_mlp(name: str, channels: int, *, control: bool = False) -> Row:
    """Row on the time of an MLP with fewer channels."""
    statistic = f"time of an MLP with {channels:,} of {INNER:,} channels left over the whole"
    return Row(name, "SV6a", statistic, FASTER, "at least 5 % faster", (channels,), control=control)


STRUCTURED = pruned_mlp("SV6-structured-faster", INNER * 3 // 4)
"""LLM-Pruner's quarter of the channels, whose loss the claim's other part measures."""
ODD = pruned_mlp("SV6-structured-odd-width", INNER - INNER // 5, control=True)
"""A fifth, a width that is no multiple of what kernels are cut for."""


def _mlps(seed: int, device: str, channels: int) -> tuple[Action, Action]:
    """A gated MLP with so many channels left, and the whole."""
    generator = torch.Generator().manual_seed(seed)
    tokens = 16_384 if device.startswith("cuda") else 512  # a GPU would spend 512 on launching kernels
    hidden = torch.randn(tokens, WIDTH, generator=generator).to(device)

    def mlp(channels: int) -> list[torch.Tensor]:
        return [torch.randn(channels, WIDTH, generator=generator).to(hidden) for _ in range(3)]

    def run(parts: list[torch.Tensor]) -> torch.Tensor:
        up, gate, down = parts
        return (torch.nn.functional.silu(hidden @ gate.T) * (hidden @ up.T)) @ down

    whole, fewer = mlp(INNER), mlp(channels)
    return lambda: run(fewer), lambda: run(whole)


@pytest.mark.parametrize("row", parameters(STRUCTURED, ODD))
def test_structured_pruning_is_faster(session: Session, conclude: Conclude, row: Row) -> None:
    """The MLP of one block with channels gone, over the dense one."""
    channels = int(row.contestants[0])  # pyright: ignore[reportArgumentType]
    timing = Timing(session, f"an MLP of {channels} of {INNER} channels", rounds(session))
    interval = timing.ratio(partial(_mlps, session.settings.seed, session.settings.device, channels))
    settle(conclude, row, interval, timing)
