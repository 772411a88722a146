"""Simulated documents: flat in the mean, bent as measured ones are, and of the growth that is asked for."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from bench.verdict.documents import log_growth
from bench.verdict.regions import GROWS, Region
from bench.verdict.simulation import Population, rate_of_reproduced


def tokens(documents=12, contexts=3, targets=50, bend=0.3):
    """KL that doubles with every context, in documents whose levels and contexts have factors of their own."""
    rng = np.random.default_rng(0)
    bent = rng.normal(0, bend, (documents, contexts)) + rng.normal(0, 0.5, (documents, 1))
    noise = rng.normal(0, 0.1, (documents, contexts, targets))
    return np.exp(bent[..., None] + noise) * 2.0 ** np.arange(contexts)[:, None]


def test_a_population_is_flat_in_the_mean_and_no_kl_is_negative():
    values = tokens()
    values[0, 0, 0] = -1e-9
    population = Population.of(values)
    np.testing.assert_allclose(population.tokens.mean(axis=(0, 2)), 1)
    assert population.tokens.shape == values.shape and population.tokens.min() == 0


def test_the_bend_is_that_of_one_context_where_two_are_compared():
    """Ln growth is a difference of two contexts' factors, each with the bend: √2 of it."""
    population = Population.of(tokens(documents=2000, targets=20))
    assert population.bend == pytest.approx(0.3, rel=0.05)
    flat = population.tokens.mean(-1)
    assert population.bend == pytest.approx(log_growth(flat).std(ddof=1) / 2**0.5)


def test_few_documents_have_the_unbiased_spread():
    first, second = np.ones((1, 2, 1)), np.array([[[1.0], [np.e]]])
    values = np.concatenate([first, second])
    assert Population.of(values).bend == pytest.approx(0.5)


@pytest.mark.parametrize("truth", [1.0, 2.0])
def test_drawn_documents_grow_by_the_truth_in_equal_steps(truth):
    population = Population.of(tokens())
    mean = population.draw(20_000, truth, np.random.default_rng(1)).mean(0)
    np.testing.assert_allclose(mean / mean[0], truth ** (np.arange(3) / 2), rtol=0.02)
    assert mean[0] == pytest.approx(1, rel=0.02)


def test_a_wide_bend_leaves_the_mean():
    population = Population(np.ones((2, 2, 5)), bend=0.8)
    drawn = population.draw(400_000, 1.0, np.random.default_rng(2))
    np.testing.assert_allclose(drawn.mean(0), 1, rtol=0.02)
    assert np.log(drawn).std() == pytest.approx(0.8, rel=0.01)
    assert np.corrcoef(np.log(drawn).T)[0, 1] == pytest.approx(0, abs=0.01)


def test_contexts_of_a_document_are_drawn_together():
    """Without a bend of its own a document has the same tokens at every context."""
    values = np.random.default_rng(3).lognormal(0, 1, (6, 1, 40)).repeat(2, 1)
    drawn = Population(values, bend=0.0).draw(50, 1.0, np.random.default_rng(4))
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1])
    assert len(np.unique(drawn[:, 0])) == 50


def test_a_population_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Population.of(tokens()).bend = 0.0


@pytest.mark.parametrize(("accept", "rate"), [(GROWS, 1.0), (Region(high=1.0), 0.0)])
def test_what_is_plain_is_always_or_never_reproduced(accept, rate):
    population = Population.of(tokens())
    found, bca = rate_of_reproduced(
        population, documents=13, truth=9.0, accept=accept, simulations=8, resamples=60, seed=0
    )
    assert found.value == bca == rate
    assert found.high - found.low == pytest.approx(1 - 0.025 ** (1 / 8))


def test_a_boundary_is_reproduced_now_and_then_and_the_same_seed_says_the_same():
    population = Population.of(tokens())
    arguments = {"documents": 6, "truth": 1.3, "accept": GROWS, "simulations": 20, "resamples": 60}
    found, bca = rate_of_reproduced(population, **arguments, seed=1)
    assert 0 < found.value < 1 and 0 < bca < 1
    assert (found, bca) == rate_of_reproduced(population, **arguments, seed=1)
