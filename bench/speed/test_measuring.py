"""Cost of measuring, timed with pytest-benchmark against the plain way in the same process.

Ratios and memory go into `extra_info`, so `pytest bench/speed/test_measuring.py --benchmark-json=FILE` keeps them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench.long_context.curves import curve, hidden_states
from bench.long_context.windows import paired_windows
from bench.measure.divergence import compare
from bench.measure.session import Session
from bench.measure.timing import seconds
from bench.speed.stated import Stated
from compress.calibrate import block_inputs, calibrated
from compress.grid import fake_quantize
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.grouping import PerGroup
from compress.quantization.rounding import CastWeights, RoundToNearest
from compress.selection import smallest
from compress.statistics import SquaredInputs
from compress.swap import apply

pytestmark = pytest.mark.cost(6)
MIB = 2**20
MOST_CURVE_RATIO = 1.15
MOST_EXTRA_BYTES = 256 * MIB
MOST_WANDA_PASSES = 1.5
STATUS = Path("/proc/self/status")


@pytest.fixture(autouse=True)
def embedded_only(request: pytest.FixtureRequest) -> None:
    """Speed is stated for the embedded model on the CPU. Skipped before `benchmark`, which must not be left unused."""
    if "session" in request.fixturenames and request.getfixturevalue("session").settings.scale != "embedded":
        pytest.skip("stated for the embedded scale; run pytest bench/speed/test_measuring.py")
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("context", 0) > 512 and request.config.getoption("effort") == "quick":
        pytest.skip("scoring 8,192 tokens takes half a minute; use --effort=normal")


@torch.inference_mode()
def test_a_curve_costs_little_more_than_the_forward_passes(
    session: Session, benchmark: Callable, stated: Stated
) -> None:
    """Everything that turns passes into a curve, against the passes alone (without logits, the harder comparison)."""
    cut = paired_windows(session.corpus.scored[:1], session.settings.contexts, session.settings.targets)
    dense = hidden_states(session.decoder, cut)

    def bare() -> None:
        for context in cut.contexts:
            for document in cut.tokens(context).split(1):
                session.decoder.hidden(document)

    def ours() -> None:
        curve(session.decoder, cut, dense, hidden_states(session.decoder, cut, batch_tokens=1))

    plain = seconds(bare, 2)
    benchmark.pedantic(ours, rounds=2)
    benchmark.extra_info["ratio_to_bare_forward"] = ratio = benchmark.stats.stats.min / plain
    if session.settings.effort != "quick":  # short windows have too few tokens to carry their targets
        stated(ratio <= MOST_CURVE_RATIO, f"a curve takes {ratio:.2f} times its forward passes")


def scoring_peak_bytes(context: int, width: int, vocabulary: int) -> int:
    """Resident memory that scoring `context` tokens takes, at its highest, beyond hidden states and head (Linux).

    For a process of its own: after a long session the allocator's history would be measured, not the scoring.
    """
    generator = torch.Generator().manual_seed(0)
    head = nn.Linear(width, vocabulary, bias=False).requires_grad_(False)
    dense, compressed = torch.randn(2, context, width, generator=generator)
    labels = torch.arange(context)
    compare(head, compressed[:1], dense[:1], labels[:1])  # libraries set up their threads
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = _status("VmRSS")
    compare(head, compressed, dense, labels)
    return _status("VmHWM") - before


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not STATUS.exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("context", [512, 8192])
def test_memory_does_not_grow_with_context(
    session: Session, benchmark: Callable, monkeypatch: pytest.MonkeyPatch, context: int
) -> None:
    """Memory that scoring takes beyond the model and its hidden states, with every token of the context scored."""
    # What is freed goes back at once; else fragments of freed chunks, as many as chance has it, are counted as well.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(MIB))
    vocabulary, width = session.decoder.head.weight.shape
    with multiprocessing.get_context("spawn").Pool(1) as process:
        extra = benchmark.pedantic(process.apply, (scoring_peak_bytes, (context, width, vocabulary)), rounds=1)
    benchmark.extra_info["peak_mib_of_scoring"] = extra / MIB
    benchmark.extra_info["mib_of_both_models_logits"] = 2 * context * vocabulary * 4 / MIB
    assert 0 < extra <= MOST_EXTRA_BYTES


@torch.inference_mode()
def test_wanda_costs_two_passes_through_the_blocks(session: Session, benchmark: Callable, stated: Stated) -> None:
    """Pruning a whole model, against the passes its algorithm needs: through each block twice (the last once)."""
    blocks, calibration = session.decoder.blocks, session.calibration[:1]

    def passes() -> None:
        inputs = block_inputs(session.decoder.hidden, blocks[0], calibration)
        for block in blocks:
            inputs = [batch.through(block) for batch in inputs]

    def run() -> None:
        apply(WandaPruning(0.5), blocks, forward=session.decoder.hidden, batches=calibration).undo()

    def measure_only() -> None:
        inputs = block_inputs(session.decoder.hidden, blocks[0], calibration)
        for _ in calibrated(blocks, inputs, SquaredInputs):
            pass

    one = seconds(passes, 2)
    benchmark.pedantic(run, rounds=1)
    calibrating = seconds(measure_only)
    beyond = calibrating / one - (2 - 1 / len(blocks))
    benchmark.extra_info["forward_passes_in_all"] = benchmark.stats.stats.min / one
    benchmark.extra_info["forward_passes_of_calibration"] = calibrating / one
    benchmark.extra_info["forward_passes_beyond_the_block_passes"] = beyond
    stated(beyond <= MOST_WANDA_PASSES, f"calibration takes {beyond:.2f} passes more than it needs")


@pytest.mark.parametrize("method", [CastWeights(torch.float32), RoundToNearest(3), MagnitudePruning(0.5)], ids=str)
def test_apply_and_undo(session: Session, benchmark: Callable, method: Method) -> None:
    """Putting layers in and taking them out, against one copy of the weights. Casting to float32 is the bare swap."""
    blocks = session.decoder.blocks
    weights = [parameter for block in blocks for parameter in block.parameters()]
    copy = seconds(lambda: [weight.clone() for weight in weights], 3)
    benchmark.pedantic(lambda: apply(method, blocks).undo(), rounds=2)
    benchmark.extra_info["copies_of_the_weights"] = benchmark.stats.stats.min / copy


def sorted_mask(scores: Tensor, count: int) -> Tensor:
    """The obvious way: a stable sort of everything."""
    order = scores.argsort(dim=-1, stable=True)[:, :count]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order, True)


@pytest.mark.parametrize("shape", [(1536, 576), (1, 1536 * 576)], ids=["rows", "layer"])
def test_choosing_weights_against_a_sort(benchmark: Callable, shape: tuple[int, int]) -> None:
    """Exactly k of each group, against argsort."""
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    plain = seconds(lambda: sorted_mask(scores, shape[1] // 2), 3)
    mask = benchmark.pedantic(smallest, (scores, shape[1] // 2), rounds=5)
    assert torch.equal(mask, sorted_mask(scores, shape[1] // 2))
    benchmark.extra_info["times_faster_than_argsort"] = plain / benchmark.stats.stats.min


def test_rounding_in_groups_against_a_loop_over_groups(benchmark: Callable) -> None:
    """One reshaped operation, against one group of columns after the other."""
    weight = torch.randn(1536, 576, generator=torch.Generator().manual_seed(0))
    grouping = PerGroup(64)

    def loop() -> Tensor:
        return torch.cat([fake_quantize(part, 3) for part in weight.split(64, dim=1)], dim=1)

    def ours() -> Tensor:
        return grouping.join(fake_quantize(grouping.cut(weight), 3), 576)

    plain = seconds(loop, 5)
    assert torch.equal(benchmark.pedantic(ours, rounds=5), loop())
    benchmark.extra_info["times_faster_than_a_loop"] = plain / benchmark.stats.stats.min


@torch.inference_mode()
def test_an_activation_quantizer_beside_its_product(benchmark: Callable) -> None:
    """Per-token rounding of inputs, as a share of the layer it stands before."""
    layer, inputs = nn.Linear(576, 1536), torch.randn(2048, 576, generator=torch.Generator().manual_seed(0))
    product = seconds(lambda: layer(inputs), 5)
    benchmark.pedantic(fake_quantize, (inputs, 8), rounds=5)
    benchmark.extra_info["share_of_the_product"] = benchmark.stats.stats.min / product
