"""Prediction by token frequencies."""

import math

import pytest
import torch

from bench.measure.frequencies import token_entropy


def test_equal_frequencies_have_the_logarithm_of_their_number():
    assert token_entropy(torch.arange(8).repeat(3)) == pytest.approx(math.log(8))


def test_one_token_is_no_surprise():
    assert token_entropy(torch.full((2, 5), 7)) == 0


def test_it_is_the_loss_of_the_best_constant_prediction():
    tokens = torch.tensor([0, 0, 0, 1, 2, 2])
    shares = torch.bincount(tokens) / len(tokens)
    assert token_entropy(tokens) == pytest.approx(float(-shares[tokens].log().mean()), rel=1e-6)
