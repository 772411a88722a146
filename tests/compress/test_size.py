"""Sizes of compressed layers, counted by hand."""

import math
from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.size import Storage, dense_storage, element_bits, sparse_storage, total

ONE = Storage(10, 40, 32, 4, 10, 320)


def test_packed_bits_are_all_that_are_stored_and_not_those_in_memory():
    assert ONE.total_bits == 40 + 32 + 4 + 10
    assert ONE.bits_per_weight == 8.6


def test_no_weights_have_no_bits_each():
    assert math.isnan(Storage(0, 0).bits_per_weight)


@pytest.mark.parametrize(("held", "simulated"), [(87, True), (86, False), (85, False)])
def test_a_layer_is_simulated_while_it_holds_more_than_its_packed_form(held, simulated):
    assert Storage(10, 40, 32, 4, 10, held).simulated is simulated


def test_only_codes_are_counted_where_nothing_else_is_told():
    assert Storage(10, 40) == Storage(10, 40, 0, 0, 0, 0) and not Storage(10, 40).simulated


def test_the_sum_of_layers_is_by_kind():
    two = Storage(1, 2, 3, 5, 7, 11)
    assert ONE + two == Storage(11, 42, 35, 9, 17, 331)
    assert total([ONE, two, two]) == Storage(12, 44, 38, 14, 24, 342)
    assert total([]) == Storage(0, 0)


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float64, 64), (torch.bfloat16, 16), (torch.int8, 8)])
def test_a_dense_weight_is_all_elements(dtype, bits):
    weight = torch.ones(3, 5, dtype=dtype)
    assert element_bits(weight) == bits
    assert dense_storage(weight) == Storage(15, 15 * bits, held_bits=15 * bits)


@pytest.mark.parametrize(("index_bits", "mask"), [(None, 12), (2, 14), (3, 21), (0, 0)])
def test_a_pruned_weight_is_what_was_kept_and_where_it_stands(index_bits, mask):
    weight = torch.tensor([[1.0, 0, 2, 0, 3, 4], [5, 0, 0, 0, 6, 7]])
    found = sparse_storage(weight, index_bits=index_bits)
    assert found == Storage(12, 7 * 32, mask_bits=mask, held_bits=12 * 32)


def test_sizes_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        ONE.value_bits = 0
