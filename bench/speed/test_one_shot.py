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
from bench.speed.stated import Stated
from compress.calibrate import block_inputs
from compress.distillation.teacher_cache import cached_logits
from compress.grid import fit_grid
from compress.pruning.compensate import inverse_factor
from compress.pruning.sparsegpt import sparsegpt
from compress.quantization.gptq import GPTQ, gptq
from compress.quantization.grouping import PerGroup, PerRow
from compress.swap import compressed
from models.data.text import calibration_batches
from models.t5 import FeedForward, MatrixChain, T5Shape, build
from models.text_to_text import TargetLoss, logits_of
from models.training.train import Training, train
from models.training.train_many import train_many

pytestmark = pytest.mark.cost(6)
LEAST_RATIO = 3.0
SAME_CODES = 0.999
"""Share of codes that must agree: float32 sums in another order move a weight over a rounding boundary at times."""
SHAPES = [(1536, 576), (576, 1536)]
LARGE = (4096, 4096)
SEQUENCES, SEQUENCE = 64, 512
"""Calibration text of a whole model."""


def layer(d_out: int, d_in: int) -> tuple[Tensor, Tensor]:
    """A weight, and the Gram matrix of correlated inputs."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2 * d_in, d_in, generator=generator)
    inputs[:, 1:] += 0.5 * inputs[:, :-1]
    return torch.randn(d_out, d_in, generator=generator), (inputs.T @ inputs).double()


def plain_gptq(weight: Tensor, gram: Tensor, bits: int, size: int | None = None) -> Tensor:
    """The paper's loop as it reads: every column rounded, all that follow updated at once. Gives the codes."""
    factor = inverse_factor(gram, 0.01)[0].to(weight.dtype)
    size = size or weight.shape[1]
    weight, codes = weight.clone(), torch.empty_like(weight)
    grid = fit_grid(weight[:, :size], bits, symmetric=False)
    for i in range(weight.shape[1]):
        if i and i % size == 0:
            grid = fit_grid(weight[:, i : i + size], bits, symmetric=False)
        column = weight[:, i : i + 1]
        codes[:, i : i + 1] = (torch.round(column / grid.scale) + grid.zero_point).clamp(grid.lowest, grid.highest)
        error = (column - (codes[:, i : i + 1] - grid.zero_point) * grid.scale) / factor[i, i]
        weight[:, i:] -= error @ factor[i : i + 1, i:]
    return codes


def plain_sparsegpt(weight: Tensor, gram: Tensor, block: int = 128) -> Tensor:
    """SparseGPT column by column, half of each block's weights dropped. Gives the mask."""
    factor = inverse_factor(gram, 0.01)[0].to(weight.dtype)
    weight, mask = weight.clone(), torch.zeros_like(weight, dtype=torch.bool)
    for i in range(weight.shape[1]):
        if i % block == 0:
            part = slice(i, i + block)
            scores = weight[:, part] ** 2 / factor.diagonal()[part] ** 2
            threshold = scores.flatten().sort().values[scores.numel() // 2]
            mask[:, part] = scores < threshold
        error = torch.where(mask[:, i], weight[:, i], torch.zeros(())) / factor[i, i]
        weight[:, i:] -= torch.outer(error, factor[i, i:])
    return mask


def shapes(session: Session) -> list[tuple[int, int]]:
    """A large one takes minutes, and one is enough to see that it works."""
    return {"quick": SHAPES[:1], "normal": SHAPES, "thorough": [*SHAPES, LARGE]}[session.settings.effort]


@pytest.mark.parametrize("shape", [*SHAPES, LARGE], ids=str)
@pytest.mark.parametrize("what", ["gptq", "gptq-groups", "sparsegpt"])
def test_solver(  # noqa: PLR0917 - fixtures
    session: Session,
    benchmark: Callable,
    monkeypatch: pytest.MonkeyPatch,
    stated: Stated,
    shape: tuple[int, int],
    what: str,
) -> None:
    """Against the plain loop in turn; the factor of the Hessian, which both need, is worked out once for both."""
    if shape not in shapes(session):
        pytest.skip("more shapes are timed with --effort=normal and --effort=thorough")
    weight, gram = layer(*shape)
    known = inverse_factor(gram, 0.01)
    for module in ("compress.quantization.gptq", "compress.pruning.sparsegpt", __name__):
        monkeypatch.setattr(f"{module}.inverse_factor", lambda *_: known)
    actions: dict[str, tuple[Callable, Callable]] = {
        "gptq": (lambda: gptq(weight, gram, bits=4, grouping=PerRow()).codes, lambda: plain_gptq(weight, gram, 4)),
        "gptq-groups": (
            lambda: gptq(weight, gram, bits=4, grouping=PerGroup(64)).codes,
            lambda: plain_gptq(weight, gram, 4, 64),
        ),
        "sparsegpt": (lambda: sparsegpt(weight, gram, sparsity=0.5)[1], lambda: plain_sparsegpt(weight, gram)),
    }
    ours, plain = actions[what]
    rounds = 5 if shape != LARGE else 1
    times = [(seconds(ours), seconds(plain)) for _ in range(rounds)]
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info["ratio"] = ratio = min(slow for _, slow in times) / min(fast for fast, _ in times)
    if shape != LARGE:
        benchmark.extra_info["same"] = share = float((ours() == plain()).float().mean())
        assert share >= SAME_CODES
    if session.settings.effort != "quick":
        stated(ratio >= LEAST_RATIO, f"only {ratio:.1f} times faster than the plain loop")


@torch.inference_mode()
def test_gptq_of_blocks_against_their_passes(session: Session, benchmark: Callable) -> None:
    """GPTQ against what it cannot do without: two passes of the calibration text and the Hessians' factors.

    One block, four, or with --effort=thorough the whole model on 64 sequences.
    """
    thorough = session.settings.effort == "thorough"
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
    grams = [layer(1, size)[1] for size in sizes]
    rounds = 1 if thorough else 2
    passing = seconds(passes, rounds)
    factors = len(blocks) * seconds(lambda: [inverse_factor(gram, 0.01) for gram in grams], 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def ours() -> None:
        with compressed(GPTQ(4), blocks, forward=session.decoder.hidden, batches=batches):
            pass

    benchmark.pedantic(ours, rounds=rounds)
    benchmark.extra_info["seconds_of_passes"] = passing
    benchmark.extra_info["seconds_of_factors"] = factors
    benchmark.extra_info["ratio_to_passes_and_factors"] = benchmark.stats.stats.min / (passing + factors)
    benchmark.extra_info["mebibytes_above_the_passes"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    ) / 1024


@torch.inference_mode()
@pytest.mark.parametrize("what", ["int8", "fp8"])
def test_eight_bit_products(session: Session, benchmark: Callable, what: str) -> None:
    """Products on torch's own 8-bit kernels against those of the dtype a layer would have on this device."""
    device = session.settings.device
    gpu = device.startswith("cuda")
    if what == "fp8" and not gpu:
        pytest.skip("torch's FP8 products are for CUDA; run: pytest bench -m gpu -k eight_bit")
    generator = torch.Generator().manual_seed(0)
    (d_out, d_in), tokens, dtype = (LARGE, 2048, torch.bfloat16) if gpu else (SHAPES[0], 512, torch.float32)
    codes, inputs = (torch.randint(-8, 9, (n, d_in), generator=generator).to(device) for n in (d_out, tokens))
    wide = inputs.to(dtype), codes.to(dtype)
    actions: dict[str, tuple[torch.dtype, Callable[[Tensor, Tensor], Tensor]]] = {
        "int8": (torch.int8, _int8_product),
        "fp8": (torch.float8_e4m3fn, partial(_fp8_product, one=torch.ones((), device=device))),
    }
    narrow, product = actions[what]
    x, w = inputs.to(narrow), codes.to(narrow)
    exact = (inputs.double() @ codes.double().T).to(wide[0].dtype)
    assert torch.equal(product(x, w).to(exact), exact) if what == "int8" else product(x, w).allclose(exact, rtol=0.01)
    dense = seconds(lambda: wide[0] @ wide[1].T, 20)
    benchmark.pedantic(lambda: (product(x, w), torch.cuda.synchronize() if gpu else None), rounds=20, warmup_rounds=3)
    benchmark.extra_info["device"] = torch.cuda.get_device_name() if gpu else "cpu"
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
