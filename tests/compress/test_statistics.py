"""Statistics of inputs are the same in one batch or in several, and by parts or as a whole."""

import pytest
import torch
from torch import nn

from compress.statistics import (
    GramAndMagnitude,
    GramMatrix,
    LargestInputs,
    Magnitudes,
    SquaredInputs,
    Statistic,
    first_token_name,
    gram_matrix,
)


def test_statistics_in_two_parts_are_statistics_in_one(tokens):
    layer, values = nn.Linear(6, 2), torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    whole, parts = SquaredInputs(layer), SquaredInputs(layer)
    whole.add(values)
    parts.add(values[:1])
    parts.add(values[1:])
    assert parts.tokens == whole.tokens == 20
    torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(whole.sum, values.double().square().sum((0, 1)).float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("d_in", [1, 3, 4, 9, 64])
def test_gram_matrix_by_parts_is_the_whole(d_in):
    inputs = torch.randn(2, 7, d_in, generator=torch.Generator().manual_seed(0))
    statistic = GramMatrix(nn.Linear(d_in, 1))
    for part in inputs:
        statistic.add(part[None])
    flat = inputs.flatten(0, 1).double()
    torch.testing.assert_close(statistic.sum, flat.T @ flat, rtol=1e-5, atol=1e-5)
    assert torch.equal(statistic.sum, statistic.sum.T) and statistic.tokens == 14


@pytest.mark.parametrize("weight", [0.5, 100.0])
def test_a_weight_of_first_tokens_counts_them_so_many_times(weight):
    inputs = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1))
    statistic = gram_matrix(weight)(nn.Linear(5, 1))
    statistic.add(inputs)
    weights = torch.ones(3, 7, dtype=torch.float64)
    weights[:, 0] = weight
    expected = torch.einsum("bt,bti,btj->ij", weights, inputs.double(), inputs.double())
    torch.testing.assert_close(statistic.sum, expected, rtol=1e-5, atol=1e-4)  # products in float32
    assert statistic.tokens == 21


def test_first_tokens_that_weigh_one_are_plain():
    assert gram_matrix(1) is GramMatrix


def test_first_tokens_must_be_told():
    with pytest.raises(ValueError, match=r"inputs \(4, 5\) do not say which tokens are first"):
        gram_matrix(2)(nn.Linear(5, 1)).add(torch.zeros(4, 5))


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_that_mean_nothing_are_refused(weight):
    with pytest.raises(ValueError, match="must be a finite number above 0"):
        gram_matrix(weight)


def test_magnitudes_in_parts_are_the_whole():
    inputs = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(2))
    statistic = Magnitudes(nn.Linear(5, 1))
    for part in inputs:
        statistic.add(part)
    torch.testing.assert_close(statistic.sum, inputs.double().abs().sum((0, 1)).float(), rtol=1e-6, atol=0)
    assert statistic.tokens == 21


def test_largest_inputs_are_over_all_tokens_and_batches():
    statistic = LargestInputs(nn.Linear(3, 1))
    for batch in ([[[1.0, -5.0, 0.0], [-2.0, 3.0, 0.0]]], [[[0.5, 4.0, 0.0], [1.5, -4.5, 0.0]]]):
        statistic.add(torch.tensor(batch))
    assert statistic.largest.tolist() == [2, 5, 0] and statistic.tokens == 4


@pytest.mark.parametrize("d_in", [3, 9])
def test_gram_matrix_and_magnitudes_are_measured_together(d_in):
    inputs = torch.randn(3, 7, d_in, generator=torch.Generator().manual_seed(2))
    both, gram, magnitudes = (kind(nn.Linear(d_in, 1)) for kind in (GramAndMagnitude, GramMatrix, Magnitudes))
    for part in inputs:
        for statistic in (both, gram, magnitudes):
            statistic.add(part)
    assert torch.equal(both.sum, gram.sum) and both.tokens == 21
    torch.testing.assert_close(both.magnitude, magnitudes.sum.double(), rtol=1e-6, atol=0)


def test_nothing_measured_has_no_mean():
    statistic = SquaredInputs(nn.Linear(3, 1))
    with pytest.raises(ValueError, match="no inputs were measured"):
        _ = statistic.mean
    statistic.add(torch.full((4, 3), 2.0))
    assert statistic.mean.tolist() == [4, 4, 4]


def test_layers_that_read_the_same_inputs_can_take_one_batch():
    first, second = (GramMatrix(nn.Linear(4, 1)) for _ in range(2))
    batch = GramMatrix.batch(torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)))
    for statistic in (first, second, second):
        statistic.take(batch)
    assert (first.tokens, second.tokens) == (6, 12)
    torch.testing.assert_close(second.sum, 2 * first.sum)


def test_the_matrix_is_taken_in_four_runs_of_rows():
    inputs = torch.randn(5, 9, generator=torch.Generator().manual_seed(0))
    assert [part.shape for part in GramMatrix.of(inputs)] == [(3, 9), (3, 6), (3, 3)]
    assert [part.shape for part in GramMatrix.of(inputs[:, :8])] == [(2, 8), (2, 6), (2, 4), (2, 2)]


def test_first_tokens_are_told_in_names_where_they_weigh_other_than_one():
    assert [first_token_name(weight) for weight in (1, 1.0, 100.0, 0.5)] == ["", "", "first-100", "first-0.5"]
    assert gram_matrix(3.0) is gram_matrix(3.0) and gram_matrix(3.0).first_token_weight == 3


def test_a_statistic_without_its_sum_is_none():
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (Statistic,), {"__init__": lambda self, layer: None, "_sum": lambda self, parts: None})(None)
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (Statistic,), {"__init__": lambda self, layer: None, "of": lambda inputs: ()})(None)


@pytest.mark.parametrize("kind", [SquaredInputs, GramMatrix, LargestInputs, Magnitudes, GramAndMagnitude])
def test_a_contribution_is_of_the_inputs_alone_whatever_was_measured_before(kind):
    inputs = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    statistic = kind(nn.Linear(8, 1))
    statistic.add(10 * inputs)
    for own, plain in zip(statistic.of(inputs), kind.of(inputs), strict=True):
        assert torch.equal(own, plain)
