"""Methods on a pretended GPU: the outputs that the CPU gives, all of it on the device, and few waits for it."""

import copy
import importlib
import pkgutil

import pytest
import torch

import compress
from compress.calibrate import linear_layers
from compress.coding import DeepCompression
from compress.factorisation.kronecker.method import KroneckerFactorisation, KroneckerFitToInputs, Start
from compress.factorisation.low_rank.methods import ActivationAwareSVD, FisherWeightedSVD, TruncatedSVD
from compress.factorisation.low_rank.sparse import LowRankPlusSparse, ScaledLowRankPlusSparse
from compress.layers import grids_of
from compress.method import Method
from compress.pruning.equal_count import UnstructuredCounterpart
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.pruning.random import RandomPruning
from compress.pruning.second_order import OBC, SaliencyPruning
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.taylor import TaylorPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.aware import LearnedRounding, make_aware
from compress.quantization.awq import AWQ
from compress.quantization.column_rounding import Ranges
from compress.quantization.first_values import FirstValuesDense
from compress.quantization.float_grid import FP4, FP8_E4M3, FloatActivations, FloatRounding
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.int8 import LLMInt8, SmoothQuant
from compress.quantization.mixed_precision import Keep, Protection
from compress.quantization.rounding import CastWeights, RoundToNearest
from compress.quantization.salient import SalientChannels
from compress.swap import apply
from compress.trained_coding import TrainedSharing, share_values
from models.load import find_blocks
from tests.pretend_device import pretended_cuda
from tests.tiny_models import hidden

GROUPS = PerGroup(16)
FEW = 8
"""Times that a layer is waited for: its weight is checked, its zeros are counted, and so is what it takes."""
SOLVED = 20
"""The same with a factor of the Hessian, whose damping may have to be raised, and blocks of columns."""
SEARCHED = 48
"""The same with a search that ends when nothing changes, or with choices that are compared."""
ELIMINATED = 96
"""The same with exact elimination, an oracle for small layers that is waited for once for every input."""
RECIPE = GPTQ(4, GROUPS, activation_order=True, ranges=Ranges.STATIC, true_sequential=True, first_token_weight=100.0)
METHODS = {
    CastWeights(torch.bfloat16): FEW,
    RoundToNearest(3): FEW,
    RoundToNearest(4, PerRow(), symmetric=True, activation_bits=8): FEW,
    **{RoundToNearest(3, GROUPS, protect=Protection(0.1, keep)): FEW for keep in Keep},
    FloatRounding(FP4, GROUPS): FEW,
    FloatRounding(FP8_E4M3, PerRow()): FEW,
    FloatActivations(RoundToNearest(4, GROUPS), FP8_E4M3): FEW,
    LLMInt8(): FEW,
    SmoothQuant(): FEW,
    AWQ(3, GROUPS): SEARCHED,
    GPTQ(3, GROUPS): SOLVED,
    GPTQ(4, PerRow(), symmetric=True): SOLVED,
    RECIPE: SOLVED,
    SalientChannels(3, GROUPS): FEW,
    FirstValuesDense(RoundToNearest(3, GROUPS)): FEW,
    MagnitudePruning(0.5): FEW,
    MagnitudePruning(0.5, ComparisonGroup.ROW): FEW,
    MagnitudePruning(0.5, ComparisonGroup.MODEL): SEARCHED,
    RandomPruning(0.5): FEW,
    WandaPruning(0.5): FEW,
    WandaPruning(0.5, (2, 4)): FEW,
    SparseGPT(0.5): SOLVED,
    SparseGPT(0.5, (2, 4), bits=4): SOLVED,
    StructuredPruning(0.25): FEW,
    UnstructuredCounterpart(StructuredPruning(0.25)): FEW,
    DeepCompression(0.5, 4): SEARCHED,
    KroneckerFactorisation((2, 1)): FEW,
    KroneckerFactorisation((2, 1), start=Start.PRUNED): FEW,
    KroneckerFactorisation((2, 1), start=Start.PERMUTED): SOLVED,
    KroneckerFitToInputs((2, 1), sweeps=2): SOLVED,
    TruncatedSVD(0.5): SOLVED,
    ActivationAwareSVD(0.5): SOLVED,
    LowRankPlusSparse(0.6): SEARCHED,
    ScaledLowRankPlusSparse(0.6): SEARCHED,
    SaliencyPruning(0.5): SOLVED,
    OBC(0.5): ELIMINATED,
}
"""Methods, each with the most times that the host may wait for one of its layers."""
BY_GRADIENTS = {FisherWeightedSVD, TaylorPruning}
"""Methods that need gradients of the whole model, which are measured before them (`tests/compress/`)."""
AFTER_TRAINING = {
    LearnedRounding(4): lambda layers: make_aware(layers.values(), 4, activation_bits=8),
    TrainedSharing(3): lambda layers: share_values(layers, 3),
}
"""Methods of layers that were trained for them, each with what is done before such a training."""


def test_every_method_is_here():
    for module in pkgutil.walk_packages(compress.__path__, "compress."):
        importlib.import_module(module.name)
    kinds, known = [Method], {type(method) for method in (*METHODS, *AFTER_TRAINING)}
    for kind in kinds:
        kinds += kind.__subclasses__()
    public = {kind for kind in kinds[1:] if kind.__module__.startswith("compress.") and not kind.__name__[0] == "_"}
    assert public == known | BY_GRADIENTS


def outputs(method, model, tokens, device):
    """Final hidden states with one block compressed on a device, what was left elsewhere, and the number of layers."""
    model, tokens = model.to(device), tokens.to(device)
    blocks = find_blocks(model)[:1]
    batches = [tokens[:2], tokens[2:]] if method.statistic else []
    outcome = apply(method, blocks, forward=hidden(model), batches=batches)
    held = [*model.parameters(), *model.buffers(), *(grid.scales for grid in grids_of(model).values())]
    elsewhere = {tensor.device.type for tensor in held} - {device}
    states = hidden(model)(tokens)
    outcome.undo()
    return states, elsewhere, len(outcome.compressed)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_methods_give_what_they_give_on_the_cpu_and_leave_nothing_there(method, tiny, tokens):
    if isinstance(method, FirstValuesDense) and not any(name.endswith("v_proj") for name, _ in tiny.named_modules()):
        pytest.skip("its values have no layer of their own")
    expected, *_ = outputs(method, tiny, tokens[:, :8], "cpu")
    with pretended_cuda() as counts:
        given, elsewhere, layers = outputs(method, tiny, tokens[:, :8], "cuda")
        assert given.is_cuda and not elsewhere
        waits = counts.synchronisations.total()
        given = given.cpu()
    torch.testing.assert_close(given, expected, rtol=0, atol=0)
    assert waits <= METHODS[method] * layers, dict(counts.synchronisations)


@pytest.mark.parametrize("method", AFTER_TRAINING, ids=repr)
def test_methods_of_trained_layers_give_what_they_give_on_the_cpu(method, tiny, tokens):
    AFTER_TRAINING[method](linear_layers(find_blocks(tiny)[0]))
    tiny(tokens)  # the first inputs set their step
    again = copy.deepcopy(tiny)
    expected, *_ = outputs(method, tiny, tokens[:, :8], "cpu")
    with pretended_cuda():
        given, elsewhere, _ = outputs(method, again, tokens[:, :8], "cuda")
        assert given.is_cuda and not elsewhere
        given = given.cpu()
    torch.testing.assert_close(given, expected, rtol=0, atol=0)
