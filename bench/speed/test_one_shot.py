"""Cost of one-shot compression and small models, against the plain way in the same process (pytest-benchmark)."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bench.measure.session import Session
from bench.measure.timing import seconds
from bench.speed.loops import layer
from bench.speed.settled import settled
from bench.speed.stated import Stated
from compress.calibrate import block_inputs
from compress.distillation.teacher_cache import cached_logits
from compress.pruning.factor import inverse_factor
from compress.quantization.gptq import GPTQ
from compress.swap import compressed
from models.data.text import calibration_batches
from models.device import card
from models.t5 import FeedForward, MatrixChain, T5Shape, build
from models.text_to_text import TargetLoss, logits_of
from models.training.train import Training, train
from models.training.train_many import train_many

pytestmark = pytest.mark.cost(6)
MIB = 2**20
SMALL, LARGE = (1536, 576), (4096, 4096)
SEQUENCES, SEQUENCE = 64, 512
"""Calibration text of a whole model."""


@torch.inference_mode()
def test_gptq_of_blocks_against_their_passes(session: Session, benchmark: Callable) -> None:
    """GPTQ against what it cannot do without: two passes of the calibration text and the Hessians' factors.

    One block, four, or with --effort=thorough the whole model on 64 sequences.
    """
    thorough, device = session.settings.effort == "thorough", session.settings.device
    blocks = session.decoder.blocks[: {"quick": 1, "normal": 4}.get(session.settings.effort)]
    batches = session.calibration
    if thorough:
        batches = calibration_batches(session.corpus, sequences=SEQUENCES, length=SEQUENCE, batch=4)
    inputs = block_inputs(session.decoder.hidden, blocks[0], batches)

    def passes() -> None:
        for _ in range(2):
            moving = list(inputs)
            for block in blocks:
                moving = [batch.through(block) for batch in moving]

    sizes = [module.in_features for module in blocks[0].modules() if isinstance(module, torch.nn.Linear)]
    grams = [layer(1, size, device)[1] for size in sizes]
    rounds = 1 if thorough else 2
    passing = seconds(passes, rounds)
    factors = len(blocks) * seconds(lambda: [inverse_factor(gram, 0.01, torch.float32) for gram in grams], 2)
    before = _peak_mebibytes(device)

    def ours() -> None:
        with compressed(GPTQ(4), blocks, forward=session.decoder.hidden, batches=batches):
            pass

    benchmark.pedantic(settled(ours, device), rounds=rounds)
    benchmark.extra_info["device"] = device
    benchmark.extra_info["seconds_of_passes"] = passing
    benchmark.extra_info["seconds_of_factors"] = factors
    benchmark.extra_info["ratio_to_passes_and_factors"] = benchmark.stats.stats.min / (passing + factors)
    benchmark.extra_info["mebibytes_above_the_passes"] = _peak_mebibytes(device) - before


def _peak_mebibytes(device: str) -> float:
    """Most memory in use so far: of the device if that has its own, else of the process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture
def eight_bit(session: Session, what: str) -> str:
    """Kind of product, if the session's device has it. Asked for before `benchmark`, which must not be left unused."""
    if what == "fp8" and not session.settings.device.startswith("cuda"):
        pytest.skip("torch's FP8 products are for CUDA; run: pytest bench -m gpu -k eight_bit")
    return what


@torch.inference_mode()
@pytest.mark.parametrize("what", ["int8", "fp8"])
def test_eight_bit_products(session: Session, eight_bit: str, benchmark: Callable) -> None:
    """Products on torch's own 8-bit kernels against those of the dtype a layer would have on this device."""
    device = session.settings.device
    gpu = device.startswith("cuda")
    generator = torch.Generator().manual_seed(0)
    (d_out, d_in), tokens, dtype = (LARGE, 2048, torch.bfloat16) if gpu else (SMALL, 512, torch.float32)
    codes, inputs = (torch.randint(-8, 9, (n, d_in), generator=generator).to(device) for n in (d_out, tokens))
    wide = inputs.to(dtype), codes.to(dtype)
    actions: dict[str, tuple[torch.dtype, Callable[[Tensor, Tensor], Tensor]]] = {
        "int8": (torch.int8, _int8_product),
        "fp8": (torch.float8_e4m3fn, partial(_fp8_product, one=torch.ones((), device=device))),
    }
    narrow, product = actions[eight_bit]
    x, w = inputs.to(narrow), codes.to(narrow)
    exact = (inputs.double() @ codes.double().T).to(wide[0].dtype)
    assert (
        torch.equal(product(x, w).to(exact), exact) if eight_bit == "int8" else product(x, w).allclose(exact, rtol=0.01)
    )
    dense = seconds(lambda: wide[0] @ wide[1].T, 20)
    benchmark.pedantic(settled(lambda: product(x, w), device), rounds=20, warmup_rounds=3)
    benchmark.extra_info["device"] = card(device) or "cpu"
    benchmark.extra_info["ratio_to_dense"] = benchmark.stats.stats.min / dense


def _int8_product(x: Tensor, w: Tensor) -> Tensor:
    return torch._int_mm(x, w.T)  # pyright: ignore[reportPrivateImportUsage] - torch has no public name for it


def _fp8_product(x: Tensor, w: Tensor, one: Tensor) -> Tensor:
    return torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage] - the same
        x, w.T, scale_a=one, scale_b=one, out_dtype=torch.bfloat16
    )


NANO = T5Shape(2, 2, inner=80, width=20, head_width=5, heads=4, vocabulary=1058)


def rows(count: int = 256, inputs: int = 24, targets: int = 3) -> Tensor:
    """A table of random examples."""
    generator = torch.Generator().manual_seed(0)
    examples = torch.randint(2, NANO.vocabulary, (count, inputs + targets + 1), generator=generator)
    examples[:, -1] = torch.arange(count)
    return examples


@pytest.mark.parametrize("seeds", [5])
def test_many_seeds_at_once(benchmark: Callable, seeds: int) -> None:
    """Against training one after another with the same loop's arithmetic."""
    data, training, loss = rows(), Training(10, 32, 1e-3, weight_decay=0.0), TargetLoss(24)

    def alone() -> None:
        for seed in range(seeds):
            train(build(NANO, seed=seed), data, training, loss=loss, watch=lambda *_: None)

    def together() -> None:
        train_many([build(NANO, seed=seed) for seed in range(seeds)], data, training, range(seeds), loss=loss)

    slow = seconds(alone, 2)
    benchmark.pedantic(together, rounds=2, warmup_rounds=1)
    fast = benchmark.stats.stats.min
    benchmark.extra_info["times_faster"] = slow / fast
    benchmark.extra_info["seeds_a_minute_at_1000_steps"] = 60 / (fast / seeds * 1000 / training.steps)


@torch.inference_mode()
@pytest.mark.parametrize("matrices", [2, 3])
def test_collapsed_chain(benchmark: Callable, stated: Stated, matrices: int) -> None:
    """One matrix against the chain that was trained, T5-Mini's width, 512 tokens."""
    chain = MatrixChain(FeedForward(matrices).shapes(384, 1536))
    hidden = torch.randn(512, 384, generator=torch.Generator().manual_seed(0))
    slow = seconds(lambda: chain(hidden), 10)
    operations = sum(matrix.weight.numel() for matrix in chain.layers())
    chain.collapse()
    benchmark.pedantic(lambda: chain(hidden), rounds=20, warmup_rounds=3)
    benchmark.extra_info["time_ratio"] = ratio = benchmark.stats.stats.min / slow
    benchmark.extra_info["operations_ratio"] = chain.layers()[0].weight.numel() / operations
    stated(ratio <= 1, f"one matrix takes {ratio:.2f} times its chain")


def test_cached_teacher_logits(benchmark: Callable, tmp_path: Path) -> None:
    """A pass of distillation's targets from the file against the teacher's own pass."""
    teacher, data = build(NANO, seed=0).eval(), rows()
    path = tmp_path / "teacher.npy"

    @torch.no_grad()
    def recomputed() -> Tensor:
        return functional.softmax(logits_of(teacher, data, 24)[0], dim=-1)

    kept = cached_logits(path, len(data), lambda part: logits_of(teacher, data[part], 24)[0])
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    slow = seconds(recomputed, 5)
    benchmark.pedantic(lambda: functional.softmax(kept[order], dim=-1), rounds=10)
    benchmark.extra_info["times_faster"] = slow / benchmark.stats.stats.min
    started = time.perf_counter()
    cached_logits(path, len(data), lambda _part: torch.empty(0))
    benchmark.extra_info["seconds_to_open"] = time.perf_counter() - started
