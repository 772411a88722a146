"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression. Claims LC1–LC8.

KL is D(compressed‖dense) in nats a token, on the same target tokens under left contexts of growing length.
"Growth" is KL at the longest context over KL at the shortest.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.conftest import Conclude
from bench.long_context.theory import attention_noise, exponent, simulated_noise
from bench.measure.session import Lab, Measured
from bench.verdict.documents import (
    Interval,
    cluster_interval,
    growth,
    growth_ratio,
    level_ratio,
    relative_spread_ratio,
    spread_ratio,
)
from bench.verdict.regions import GROWS, GROWS_CLEARLY, LINEAR, UNCHANGED, Region, Verdict, judge
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.random import RandomPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.mixed_precision import Keep, Protection
from compress.quantization.rounding import RoundToNearest

FLOOR_FACTOR = 10
"""A divergence must be this many times the noise floor before anything is said of it."""
ON_THE_LINE = Region(0.9, 1.1)
LC2_HALVES = {
    "variance": (spread_ratio, GROWS, "variance"),
    "level": (level_ratio, UNCHANGED, "level"),
    "relative": (relative_spread_ratio, GROWS, "variance relative to the squared level"),
}
FAMILIES = {"magnitude": MagnitudePruning, "wanda": WandaPruning}
SPARSITIES = (0.1, 0.3, 0.5)
WEIGHTS_ONLY = {8: UNCHANGED, 4: GROWS, 3: GROWS_CLEARLY}
WITH_ACTIVATIONS = {(8, 8): UNCHANGED, (4, 8): GROWS, (4, 4): GROWS, (3, 8): GROWS_CLEARLY}


def rows(claim: str, values: list) -> list:
    """Parameters whose test ids are row names."""
    return [pytest.param(value, id=f"{claim}-{value}") for value in values]


def doubt(lab: Lab, *measured: Measured) -> str:
    """Why the instrument cannot judge these variants; empty where it can."""
    floor = lab.noise_floor().mean(0)
    for one in measured:
        level = one.curve.by_document().mean(0)
        if not (level >= FLOOR_FACTOR * floor).all():
            return (
                f"the instrument does not discriminate: KL {level.min():.2g} is near its noise floor {floor.max():.2g}"
            )
    if len(lab.settings.contexts) > 2:
        control = growth(lab.forgetting()[:, 1:], resamples=lab.settings.resamples)
        if judge(control, GROWS) is not Verdict.REPRODUCED:
            return f"the instrument does not discriminate: a model that forgets shows no growth ({control})"
    return ""


def grown(lab: Lab, measured: Measured) -> Interval:
    """Growth of a variant's KL."""
    return growth(measured.curve.by_document(), resamples=lab.settings.resamples)


def describe(lab: Lab) -> str:
    """The growth statistic by the contexts it spans."""
    return f"KL at {lab.settings.contexts[-1]} over KL at {lab.settings.contexts[0]} tokens of context"


@pytest.mark.claim("LC1")
@pytest.mark.parametrize(
    "method", rows("LC1", [family(sparsity) for family in FAMILIES.values() for sparsity in SPARSITIES])
)
def test_pruning_is_robust_to_context(lab: Lab, conclude: Conclude, method: Method) -> None:
    """Fig. 1: "KL divergence ... does not change much with respect to different context lengths"."""
    measured = lab.measure(method)
    conclude(
        f"LC1-{method}", describe(lab), grown(lab, measured), UNCHANGED, measured=measured, doubt=doubt(lab, measured)
    )


@pytest.mark.claim("LC2")
@pytest.mark.parametrize("half", LC2_HALVES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda name: f"LC2-{name}")
def test_pruning_ratio_affects_only_the_variance(lab: Lab, conclude: Conclude, family: str, half: str) -> None:
    """Fig. 1: "the pruning ratio will only affect the variance of KL divergence values".

    A variance rises with the square of its level; `relative` shows what is left when the level is taken out. It is
    a control and no part of the claim.
    """
    most, least = (lab.measure(FAMILIES[family](sparsity)) for sparsity in (SPARSITIES[-1], SPARSITIES[0]))
    statistic, accept, what = LC2_HALVES[half]
    found = statistic(most.curve.by_document(), least.curve.by_document(), resamples=lab.settings.resamples)
    conclude(
        f"LC2-{family}-{half}",
        f"{what} of KL over contexts at 50 % over that at 10 %",
        found,
        accept,
        measured=most,
        doubt=doubt(lab, most, least),
    )


@pytest.mark.claim("LC3")
@pytest.mark.parametrize("method", rows("LC3", [RoundToNearest(bits) for bits in WEIGHTS_ONLY]))
def test_low_bit_weights_drift_with_context(lab: Lab, conclude: Conclude, method: RoundToNearest) -> None:
    """Fig. 3, 4: at ≤ 4 bits "more sensitive to context lengths"; at 3 bits "very obvious"."""
    measured = lab.measure(method)
    accept = WEIGHTS_ONLY[method.bits]
    conclude(
        f"LC3-{method}", describe(lab), grown(lab, measured), accept, measured=measured, doubt=doubt(lab, measured)
    )


@pytest.mark.claim("LC4")
@pytest.mark.parametrize("method", rows("LC4", [RoundToNearest(w, activation_bits=a) for w, a in WITH_ACTIVATIONS]))
def test_quantized_activations_drift_with_context(lab: Lab, conclude: Conclude, method: RoundToNearest) -> None:
    """Fig. 3, per-group weights and per-token activations."""
    measured = lab.measure(method)
    accept = WITH_ACTIVATIONS[method.bits, method.activation_bits or 0]
    conclude(
        f"LC4-{method}", describe(lab), grown(lab, measured), accept, measured=measured, doubt=doubt(lab, measured)
    )


@pytest.mark.claim("LC5")
@pytest.mark.parametrize("half", ["growth", "level"])
@pytest.mark.parametrize("protected", rows("LC5", [RoundToNearest(bits, protect=Protection(0.02)) for bits in (3, 4)]))
def test_protecting_two_percent_removes_the_growth(
    lab: Lab, conclude: Conclude, protected: RoundToNearest, half: str
) -> None:
    """Fig. 2: with 2 % of groups at 8 bits "the increasing KL divergence ... disappears", the level stays."""
    with_it, without = lab.measure(protected), lab.measure(RoundToNearest(protected.bits))
    doubtful = doubt(lab, with_it, without)
    if half == "growth":
        found, before = grown(lab, with_it), grown(lab, without)
        if not doubtful and judge(before, GROWS) is not Verdict.REPRODUCED:
            doubtful = f"without protection there is no growth to remove: {before}"
        what = describe(lab)
    else:
        found = level_ratio(with_it.curve.by_document(), without.curve.by_document(), resamples=lab.settings.resamples)
        what = "mean KL with protected groups over mean KL without"
    conclude(f"LC5-{protected}-{half}", what, found, UNCHANGED, measured=with_it, doubt=doubtful)


@pytest.mark.claim("LC6")
@pytest.mark.parametrize("half", ["growth", "linear"])
@pytest.mark.parametrize("method", rows("LC6", [RandomPruning(0.1)]))
def test_random_pruning_grows_linearly(lab: Lab, conclude: Conclude, method: Method, half: str) -> None:
    """Fig. 5: "almost linearly increasing KL divergence" after random pruning of 10 %."""
    measured = lab.measure(method)
    doubtful = doubt(lab, measured)
    if half == "growth":
        conclude(f"LC6-{method}-growth", describe(lab), grown(lab, measured), GROWS, measured=measured, doubt=doubtful)
        return
    contexts = np.array(lab.settings.contexts, dtype=float)
    if len(contexts) < 3:
        pytest.skip(f"a line needs at least 3 contexts and this effort has {len(contexts)}; use --effort=normal")
    middle = len(contexts) // 2
    share = (contexts[middle] - contexts[0]) / (contexts[-1] - contexts[0])

    def bend(curve: np.ndarray) -> np.ndarray:
        return curve[..., middle] / (curve[..., 0] * (1 - share) + curve[..., -1] * share)

    found = cluster_interval(measured.curve.by_document(), bend, resamples=lab.settings.resamples)
    what = f"KL at {contexts[middle]:.0f} over the straight line between the shortest and the longest context"
    conclude(f"LC6-{method}-linear", what, found, ON_THE_LINE, measured=measured, doubt=doubtful)


@pytest.mark.claim("LC7")
@pytest.mark.parametrize("attention", ["summed", "diffuse", "peaked", "model"], ids=lambda kind: f"LC7-{kind}")
def test_noise_variance_grows_linearly(lab: Lab, conclude: Conclude, attention: str) -> None:
    """§4.1: with eq. 3–5 "the variance of the noise sum grows linearly with t".

    `summed` is the control: weights of one, not a softmax; there the statement is true and must be seen to be.
    """
    if attention == "model":
        noise = lab.measured("attention noise", lambda: attention_noise(lab.decoder, lab.windows))
        decide = "more documents (--effort=thorough)"
    else:
        noise = lab.measured(f"noise {attention}", lambda: simulated_noise(attention, seed=lab.settings.seed))
        decide = "more simulated sequences"
    positions, variances = noise["positions"], noise["variances"]
    found = cluster_interval(variances, lambda means: exponent(positions, means), resamples=lab.settings.resamples)
    conclude(
        f"LC7-{attention}",
        "exponent e in: variance of the noise in h_t ∝ t^e",
        found,
        LINEAR,
        decide=decide,
        details={"positions": positions.tolist(), "variances": variances.mean(0).tolist()},
    )


@pytest.mark.claim("LC8")
@pytest.mark.parametrize(
    "control", rows("LC8", [RoundToNearest(3, protect=Protection(0.02, keep)) for keep in (Keep.RANDOM, Keep.SMALLEST)])
)
def test_only_the_largest_groups_carry_long_range(lab: Lab, conclude: Conclude, control: RoundToNearest) -> None:
    """§4.3, with the control the paper lacks: other groups protected should leave more growth."""
    other, largest = lab.measure(control), lab.measure(RoundToNearest(3, protect=Protection(0.02)))
    found = growth_ratio(other.curve.by_document(), largest.curve.by_document(), resamples=lab.settings.resamples)
    what = "growth of KL with these groups protected over growth with the largest protected"
    conclude(f"LC8-{control}", what, found, GROWS, measured=other, doubt=doubt(lab, other, largest))


@pytest.mark.claim("LC8")
@pytest.mark.parametrize("method", rows("LC8", [MagnitudePruning(0.01, largest=True)]))
def test_pruning_the_largest_weights_grows_with_context(lab: Lab, conclude: Conclude, method: Method) -> None:
    """§4.3 turned round: without the largest 1 % of weights long contexts should suffer most."""
    measured = lab.measure(method)
    conclude(f"LC8-{method}", describe(lab), grown(lab, measured), GROWS, measured=measured, doubt=doubt(lab, measured))
