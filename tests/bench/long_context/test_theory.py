"""The noise argument: known answers, and attention rows read from a live model."""

import numpy as np
import pytest
import torch

from bench.long_context.theory import attention_noise, exponent, simulated_noise
from bench.long_context.windows import paired_windows
from bench.verdict.regions import GROWS, UNCHANGED
from bench.verdict.simulation import Population, rate_of_reproduced
from tests.tiny_models import decoder


def test_the_exponent_of_a_power_is_that_power():
    positions = np.array([16, 32, 64, 128])
    for power in (-1.0, 0.0, 1.0, 1.7):
        assert exponent(positions, 3.0 * positions**power) == pytest.approx(power, abs=1e-12)
    both = exponent(positions, np.stack([positions * 1.0, 1.0 / positions]))
    np.testing.assert_allclose(both, [1, -1], atol=1e-12)


@pytest.mark.parametrize(("attention", "power"), [("summed", 1.0), ("diffuse", -1.0), ("peaked", 0.0)])
def test_simulated_noise_has_the_exponent_that_arithmetic_gives(attention, power):
    """Sum of t independent terms: t. Mean of them: 1/t. One term: constant. Monte Carlo of 32 x 512 draws."""
    noise = simulated_noise(attention, seed=1)
    assert exponent(noise["positions"], noise["variances"].mean(0)) == pytest.approx(power, abs=0.05)


def test_attention_rows_are_read_and_the_model_is_left_alone(tiny):
    documents = [torch.randint(0, 97, (60,), generator=torch.Generator().manual_seed(i)) for i in range(2)]
    subject, cut = decoder(tiny), paired_windows(documents, (4, 40), 8)
    before = tiny.config._attn_implementation
    noise = attention_noise(subject, cut)
    assert tiny.config._attn_implementation == before
    assert noise["positions"].tolist() == [16, 32]
    tiny.set_attn_implementation("eager")
    rows = tiny(input_ids=cut.segments[:1], output_attentions=True).attentions
    weights = torch.stack([layer[0, :, 31].double() for layer in rows])
    expected = (weights**2 + (weights * (1 - weights)) ** 2).sum(-1).mean()
    assert noise["variances"][0, 1] == pytest.approx(expected.item(), rel=1e-5)


def test_simulated_documents_have_the_growth_that_was_asked():
    rng = np.random.default_rng(0)
    tokens = rng.lognormal(0, 1.5, (10, 3, 64)) * np.array([1.0, 3.0, 2.0])[None, :, None]
    population = Population.of(tokens)
    np.testing.assert_allclose(population.tokens.mean(axis=(0, 2)), 1.0, rtol=1e-12)
    drawn = population.draw(20_000, 1.5, rng).mean(0)
    # 20,000 documents of spread below one: two standard errors are under 2 %.
    np.testing.assert_allclose(drawn, [1, 1.5**0.5, 1.5], rtol=0.03)


def test_the_rate_is_counted_and_bounded():
    tokens = np.random.default_rng(0).lognormal(0, 0.3, (8, 2, 64))
    options = {"documents": 8, "simulations": 20, "resamples": 99, "seed": 0}
    seen, bca = rate_of_reproduced(Population.of(tokens), truth=5.0, accept=GROWS, **options)
    assert seen.value == bca == 1.0
    assert seen.low == pytest.approx(0.025 ** (1 / 20), rel=1e-6)  # Clopper–Pearson for 20 of 20
    never, _ = rate_of_reproduced(Population.of(tokens), truth=5.0, accept=UNCHANGED, **options)
    assert never.value == 0.0
