"""The instruments of Krony-PT at toy size: what qualifies a teacher, what a student is, what intervals count."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.krony.ladder import Ladder, unsteadiness
from bench.krony.settings import LADDERS, LadderSettings
from bench.krony.students import STUDENTS
from bench.verdict.documents import crossed_ratio
from models.data.vocabulary import train_tokenizer
from models.gpt2 import GPT2Shape, unique_parameters
from models.training.train import Training
from tests.bench.sessions import session

SHAPE = GPT2Shape(layers=4, width=24, heads=2, vocabulary=270, positions=16)


@pytest.fixture
def ladder(tmp_path, text_file):
    training = Training(steps=3, batch=4, learning_rate=1e-3)
    settings = LadderSettings(SHAPE, 0.05, training, training, seeds=(0, 1), documents=4, windows=2)
    return Ladder(session(tmp_path, text=text_file), settings)


@pytest.mark.parametrize("name", STUDENTS)
def test_every_rung_trains_and_its_seeds_differ(ladder, name):
    first, second = (ladder.measure(STUDENTS[name], seed) for seed in (0, 1))
    assert first["after"].shape == (4,) and np.isfinite(first["after"]).all()
    assert np.array_equal(first["before"], second["before"])
    assert not np.array_equal(first["after"], second["after"])
    assert ladder.after(STUDENTS[name]).shape == (2, 4)


def test_rungs_have_the_sizes_they_are_named_for(ladder):
    dense = unique_parameters(ladder.teacher)
    mlp = 2 * SHAPE.layers * SHAPE.mlp_weights
    counts = {name: int(ladder.measure(STUDENTS[name])["parameters"][0]) for name in STUDENTS}
    assert counts["81M"] == dense - mlp + 2 * SHAPE.layers * (24 * 24 + 4)
    assert counts["95M-pruned"] == counts["95M-van-loan"] == dense - mlp + 2 * SHAPE.layers * (48 * 24 + 2)
    assert counts["4-terms-scalars"] == counts["4-terms"] + 2 * SHAPE.layers * 4
    block = (dense - SHAPE.vocabulary * 24 - SHAPE.positions * 24 - 48) // SHAPE.layers
    assert counts["half"] == dense - 2 * block
    assert abs(counts["many-small"] - counts["81M"]) < 0.15 * mlp
    assert ladder.measure(STUDENTS["4-terms-scalars"])["scalars"].shape == (2 * SHAPE.layers * 4,)


def test_nothing_scored_is_trained_on(ladder):
    scored = {document.text for document in ladder.documents[1]}
    assert len(scored) == 4 and not scored & {document.text for document in ladder.documents[0]}


@pytest.mark.parametrize(("steps", "text", "dropout"), [(2, None, 0.0), (2, 50, 0.0), (5, 50, 0.1), (900, None, 0.1)])
def test_a_teacher_and_its_rivals_have_the_same_text(tmp_path, text_file, steps, text, dropout):
    """As much as the teacher reads, or the most that is set; dropout serves what is read more than four times."""
    training = Training(steps=steps, batch=4, learning_rate=1e-3)
    settings = LadderSettings(
        SHAPE, 0.05, training, training, seeds=(0, 1), documents=4, windows=2, dropout=0.1, text=text
    )
    ladder = Ladder(session(tmp_path, text=text_file), settings)
    length = len(ladder.text[0])
    assert ladder.read == steps * 4 * SHAPE.positions
    assert length == (text or ladder.read) or (steps == 900 and length < ladder.read)
    assert ladder._fresh(SHAPE).config.resid_pdrop == dropout


@pytest.mark.parametrize(("passes", "short"), [(None, False), (10_000, False), (1, True)])
def test_a_text_too_short_for_the_teacher_is_said_before_it_trains(ladder, passes, short):
    training = replace(ladder.settings.teacher, steps=900)
    long = Ladder(ladder.session, replace(ladder.settings, teacher=training, passes=passes))
    length = len(long.text[0])
    said = long.shortage
    assert bool(said) == short
    if short:
        assert f"read {length:,} tokens" in said and f"{long.read - length:,} tokens more with --train-text" in said
    assert not list(long.session.folder.glob("training/*"))


def test_large_teachers_read_repeated_text_with_dropout_and_not_for_ever():
    for (scale, _), settings in LADDERS.items():
        assert scale != "gpu" or (settings.dropout > 0 and settings.passes is not None)


def test_an_untrained_teacher_does_not_qualify(ladder):
    qualification = ladder.qualification
    assert "does not discriminate" in qualification.doubt and "5-gram" in qualification.doubt


@pytest.mark.parametrize(
    ("scratch", "ngram", "missing"),
    [(1.2, 1.5, []), (1.05, 1.5, ["half-depth"]), (1.2, 0.99, ["5-gram"]), (1.0, 0.9, ["5-gram", "half-depth"])],
)
def test_a_teacher_qualifies_by_both_ratios(ladder, scratch, ngram, missing):
    spread = np.array([0.0, 0.1, -0.1])
    base = {"teacher": 1 + spread, "scratch": scratch + 1.1 * spread, "ngram": ngram + 1.1 * spread}
    ladder.measured = lambda *_: base
    doubt = ladder.qualification.doubt
    assert [name for name in ("5-gram", "half-depth") if name in doubt] == missing and bool(doubt) == bool(missing)


def test_teacher_is_kept_between_sessions(tmp_path, text_file, ladder):
    first = ladder.teacher
    again = Ladder(ladder.session, ladder.settings).teacher
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert len(list(tmp_path.glob("training/*/step-00000003"))) == 1


def test_settings_fit_their_shapes():
    for ladder in LADDERS.values():
        width = ladder.shape.width
        for rung in STUDENTS.values():
            if rung.method is not None:
                p, q = rung.method.second
                assert 4 * width % p == 0 and width % q == 0 and rung.method.terms <= p * q
        assert ladder.shape.vocabulary.bit_length() - 1 <= 12  # five tokens fit into 63 bits
        assert ladder.student.batch % 4 == 0 and len(ladder.seeds) >= 2


@given(st.integers(2, 6), st.integers(2, 8), st.integers(0, 1000))
def test_crossed_interval_is_its_formula(seeds, documents, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, seeds, documents))
    interval = crossed_ratio(a, b)
    gap = a - b
    quantiles = [stats.t.ppf(0.975, n - 1) for n in (seeds, documents)]
    errors = [gap.mean(1).std(ddof=1) / seeds**0.5, gap.mean(0).std(ddof=1) / documents**0.5]
    half = sum((t * error) ** 2 for t, error in zip(quantiles, errors, strict=True)) ** 0.5
    np.testing.assert_allclose(
        np.log([interval.value, interval.low, interval.high]),
        [gap.mean(), gap.mean() - half, gap.mean() + half],
        atol=1e-9,
    )


@pytest.mark.parametrize(("of_seeds", "of_documents"), [(0.05, 0.05), (0.05, 0.0), (0.0, 0.05), (0.02, 0.05)])
def test_crossed_interval_covers_where_seeds_and_documents_vary(of_seeds, of_documents):
    """At least 95 % of intervals hold the truth, with three seeds and sixteen documents."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(1000):
        gap = (
            0.1 + rng.normal(0, of_seeds, (3, 1)) + rng.normal(0, of_documents, (1, 16)) + rng.normal(0, 0.01, (3, 16))
        )
        interval = crossed_ratio(gap, np.zeros_like(gap))
        held += interval.low <= np.exp(0.1) <= interval.high
    assert held >= 936  # 0.95 less two standard errors of 1,000 draws


def test_crossed_interval_refuses_and_degenerates():
    same = crossed_ratio(np.full((2, 3), 1.5), np.full((2, 3), 1.0))
    assert same.low == same.high == same.value
    with pytest.raises(ValueError, match="at least 2 documents"):
        crossed_ratio(np.zeros((3, 1)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="diverged"):
        crossed_ratio(np.full((2, 3), np.nan), np.zeros((2, 3)))


def test_unsteadiness_ignores_the_slope():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 400)
    assert unsteadiness(noise + np.linspace(5, 3, 400)) == pytest.approx(unsteadiness(noise), rel=1e-9)
    assert unsteadiness(2 * noise) == pytest.approx(2 * unsteadiness(noise), rel=1e-9)


def test_a_tokenizer_writes_every_text_and_refuses_small_ones():
    tokenizer = train_tokenizer(["the cat sat on the mat. " * 50, "naïve café"], 270)
    text = "a çat ≠ ☃ \n\t the"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    with pytest.raises(ValueError, match="at least 257"):
        train_tokenizer(["a"], 256)
    with pytest.raises(ValueError, match=r"gives .* tokens and not 4000"):
        train_tokenizer(["a b"], 4000)
