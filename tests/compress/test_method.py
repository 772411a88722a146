"""Settings that are refused, and statistics that are missing."""

import re

import pytest
from torch import nn

from compress.factorisation.kronecker.method import KroneckerFitToInputs
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.random import RandomPruning
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup, PerRow
from compress.quantization.int8 import LLMInt8, SmoothQuant
from compress.quantization.mixed_precision import Protection
from compress.quantization.rounding import RoundToNearest
from compress.statistics import LargestInputs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MagnitudePruning(1.0), r"sparsity is 1.0; it must be at least 0 and below 1"),
        (lambda: WandaPruning(-0.1), r"sparsity is -0.1"),
        (lambda: RandomPruning(float("nan")), r"sparsity is nan"),
        (lambda: WandaPruning(0.4, (2, 4)), r"2:4 sparsity is 0.5, not 0.4"),
        (lambda: WandaPruning(0.5, (5, 4)), r"cannot keep 5 of every 4"),
        (lambda: RoundToNearest(9), r"bits is 9"),
        (lambda: RoundToNearest(4, activation_bits=1), r"bits is 1"),
        (lambda: RoundToNearest(4, PerRow(), protect=Protection(0.02)), r"needs a group size"),
        (lambda: PerGroup(0), r"group size is 0"),
        (lambda: Protection(1.5), r"protected groups is 1.5"),
    ],
)
def test_bad_settings_name_the_value_and_the_limit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


MEASURED = [
    WandaPruning(0.5),
    SparseGPT(0.5),
    GPTQ(4),
    LLMInt8(),
    SmoothQuant(),
    KroneckerFitToInputs((4, 1)),
]


@pytest.mark.parametrize("method", MEASURED, ids=str)
def test_a_missing_statistic_names_method_and_layer(method):
    layer = nn.Linear(8, 8)
    empty = method.statistic(layer)
    for statistic in (None, empty, LargestInputs(layer)):
        with pytest.raises(TypeError, match=rf"^{re.escape(str(method))} needs the .* of 3\.fc; calibrate first"):
            method(layer, statistic, name="3.fc")


@pytest.mark.parametrize("method", [AWQ(4), StructuredPruning(0.5)], ids=str)
def test_methods_for_blocks_refuse_a_single_layer_and_blocks_without_statistics(method):
    with pytest.raises(ValueError, match=f"{method} decides for a block at once"):
        method(nn.Linear(4, 4), None, name="0.fc")
    layers = {"up": nn.Linear(4, 8), "down": nn.Linear(8, 4)}
    with pytest.raises(TypeError, match=rf"^{re.escape(str(method))} needs the .* of 2\.(up|down); calibrate first"):
        method.compress_block(layers, {}, prefix="2.")


def test_a_method_that_says_nothing_else_looks_at_weights_alone_and_at_one_layer_after_another():
    layers, asked = {"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}, []

    class Plain(Method):
        def __call__(self, layer, statistic, *, name):
            asked.append((layer, statistic, name))
            return layer

    method = Plain()
    assert (method.statistic, method.measures(), method.true_sequential, method.resumable) == (None, None, False, True)
    assert method.across(layers) is method and method.settings(nn.Identity(), layers) == []
    assert method.compress_block(layers, {"b": "seen"}, prefix="3.") == layers
    assert asked == [(layers["a"], None, "3.a"), (layers["b"], "seen", "3.b")]
