"""The ladder at toy size: what qualifies a teacher, what a student is, what is trained twice and what is not."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.krony.ladder import Ladder
from bench.krony.readings import DOUBLINGS, FRACTIONS
from bench.krony.rungs import STUDENTS
from bench.krony.settings import LADDERS, LadderSettings
from bench.measure.parted_text import parted
from bench.verdict.documents import crossed_ratio
from models.data.text import Document
from models.data.vocabulary import train_tokenizer
from models.gpt2 import GPT2Shape, build, unique_parameters
from models.training.train import Training
from tests.bench.sessions import session

SHAPE = GPT2Shape(layers=4, width=48, heads=2, vocabulary=270, positions=16)
TRAINING = Training(steps=8, batch=4, learning_rate=1e-3)
SETTINGS = LadderSettings(SHAPE, 0.05, TRAINING, TRAINING, seeds=(0, 1), documents=4, windows=2, held_out=2)


@pytest.fixture
def ladder(tmp_path, text_file):
    return Ladder(session(tmp_path, text=text_file), SETTINGS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, text_file):
    """A ladder whose students are trained once."""
    return Ladder(session(tmp_path_factory.mktemp("ladder"), text=text_file), SETTINGS)


KINDS = ("half", "kngpt2", "tqcompressor", "81M-cosine", "81M-small-batch", "81M-all-random", "4-terms-scalars-from-2")


@pytest.mark.parametrize("name", KINDS)
def test_rungs_of_every_kind_train_and_their_seeds_differ(trained, name):
    first, second = (trained.measure(STUDENTS[name], seed) for seed in (0, 1))
    assert first["scored"].shape == (len(FRACTIONS), 4) and np.isfinite(first["scored"]).all()
    assert not np.array_equal(first["scored"], second["scored"])
    assert len(trained.runs(STUDENTS[name])) == 2


def test_rungs_have_the_sizes_they_are_named_for(trained):
    dense = unique_parameters(trained.teacher)
    mlp = 2 * SHAPE.layers * SHAPE.mlp_weights
    fresh = partial(build, SHAPE, initial_scale=0.05)
    counts = {name: unique_parameters(each.of(trained.teacher, 0, fresh)) for name, each in STUDENTS.items()}
    width = SHAPE.width
    assert counts["81M"] == dense - mlp + 2 * SHAPE.layers * (width**2 + 4)
    assert counts["95M-pruned"] == counts["95M-van-loan"] == dense - mlp + 2 * SHAPE.layers * (2 * width**2 + 2)
    assert counts["4-terms-scalars"] == counts["4-terms"] + 2 * SHAPE.layers * 4
    block = (dense - SHAPE.vocabulary * width - SHAPE.positions * width - 2 * width) // SHAPE.layers
    assert counts["half"] == dense - 2 * block
    assert abs(counts["many-small"] - counts["81M"]) < 0.15 * mlp
    assert counts["67M"] > counts["MF1-1"] - 0.1 * mlp and counts["MF1-1"] < counts["MF2-1"] < counts["81M"]
    assert counts["MF2-2"] - counts["MF2-1"] == counts["MF2-3"] - counts["MF2-2"] == counts["4-terms"] - counts["MF2-3"]


def test_students_that_begin_alike_are_trained_once(trained):
    """Both second phases stand on the same first one, which is that of 81M; they read as many tokens after it."""
    phases = [trained.measure(STUDENTS[name], 0) for name in ("81M-going-on", "81M-second-phase")]
    assert phases[0]["tokens"][-1] == phases[1]["tokens"][-1]
    folders = list(trained.session.folder.glob("training/*"))
    trained.measure(STUDENTS["81M"], 0)
    assert list(trained.session.folder.glob("training/*")) == folders


def test_a_student_that_is_kept_is_not_trained_again(trained):
    """What a second process asks for, it takes from the folder."""
    first = trained.measure(STUDENTS["81M"], 0)
    again = Ladder(replace_store(trained.session), trained.settings)
    kept = {path: path.stat().st_mtime_ns for path in trained.session.folder.rglob("step-*/history.json")}
    second = again.measure(STUDENTS["81M"], 0)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert kept == {path: path.stat().st_mtime_ns for path in trained.session.folder.rglob("step-*/history.json")}


def replace_store(given):
    return replace(given, store=session(given.folder).store)


def test_what_is_frozen_stays_and_what_is_random_has_the_weights_scale(trained):
    fresh = partial(build, SHAPE, initial_scale=0.05)
    frozen = STUDENTS["81M-frozen-embeddings"].of(trained.teacher, 0, fresh)
    still = {name for name, parameter in frozen.named_parameters() if not parameter.requires_grad}
    assert still == {"transformer.wte.weight", "transformer.wpe.weight"}
    scalars = STUDENTS["4-terms-scalars-frozen-at-4"].of(trained.teacher, 0, fresh)
    layer = scalars.transformer.h[0].mlp.c_fc
    assert layer.scalars.tolist() == [4.0] * 4 and not layer.scalars.requires_grad and layer.first.requires_grad


def test_random_students_depend_on_the_seed_and_keep_what_they_inherit(trained):
    fresh = partial(build, SHAPE, initial_scale=0.05)
    first, second, nothing = (
        STUDENTS[name].of(trained.teacher, seed, fresh)
        for name, seed in (("81M-random-factors", 0), ("81M-random-factors", 1), ("81M-all-random", 0))
    )
    embedding = trained.teacher.transformer.wte.weight
    assert torch.equal(first.transformer.wte.weight, embedding)
    assert not torch.equal(nothing.transformer.wte.weight, embedding)
    assert not torch.equal(first.transformer.h[0].mlp.c_fc.first, second.transformer.h[0].mlp.c_fc.first)


@pytest.mark.parametrize("count", [3, 6, 7, 16])
def test_no_document_serves_two_parts(count):
    documents = [Document(str(i), f"text {i}") for i in range(count)]
    parts = parted(documents, held_out=2, scored=4)
    texts = [document.text for part in (parts.training, parts.held_out, parts.scored) for document in part]
    assert sorted(texts) == sorted(document.text for document in documents)
    assert len(parts.held_out) == 2 and len(parts.scored) == min(4, count - 2)


def test_what_was_scored_before_is_held_out_now():
    """The last documents in the order of their hashes were scored until 0.4.0."""
    documents = [Document(str(i), f"text {i}") for i in range(16)]
    before, parts = parted(documents, held_out=0, scored=4), parted(documents, held_out=4, scored=4)
    assert before.scored == parts.held_out and not {*before.scored} & {*parts.scored}


@pytest.mark.parametrize("count", [0, 3])
def test_text_of_another_kind_is_scored_where_so_many_are_asked_for(tmp_path, text_file, monkeypatch, count):
    other = [Document(str(i), f"w{i} w1 w2 " * 200) for i in range(6)]
    monkeypatch.setattr("bench.krony.ladder.documents_of", lambda path: other if path is None else [])
    one = session(tmp_path, text=text_file)
    _ = one.documents
    ladder = Ladder(one, replace(SETTINGS, elsewhere=count))
    assert ladder.measure(STUDENTS["half"], 0)["elsewhere"].shape == (len(FRACTIONS), count)
    assert not {document.text for document in ladder.parts.training} & {document.text for document in other}


@pytest.mark.parametrize(("steps", "text", "dropout"), [(2, None, 0.0), (2, 50, 0.0), (5, 50, 0.1), (900, None, 0.1)])
def test_a_teacher_and_its_rivals_have_the_same_text(tmp_path, text_file, steps, text, dropout):
    """As much as the teacher reads, or the most that is set; dropout serves what is read more than four times."""
    training = Training(steps=steps, batch=4, learning_rate=1e-3)
    settings = replace(SETTINGS, teacher=training, dropout=0.1, text=text)
    ladder = Ladder(session(tmp_path, text=text_file), settings)
    length = len(ladder.text.training)
    assert ladder.read == steps * 4 * SHAPE.positions
    assert length == (text or ladder.read) or (steps == 900 and length < ladder.read)
    assert ladder._fresh(SHAPE).config.resid_pdrop == dropout


@pytest.mark.parametrize(("passes", "short"), [(None, False), (10_000, False), (1, True)])
def test_a_text_too_short_for_the_teacher_is_said_before_it_trains(ladder, passes, short):
    training = replace(ladder.settings.teacher, steps=900)
    long = Ladder(ladder.session, replace(ladder.settings, teacher=training, passes=passes))
    length = len(long.text.training)
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
    ladder.measured = lambda *_, **_more: base
    doubt = ladder.qualification.doubt
    assert [name for name in ("5-gram", "half-depth") if name in doubt] == missing and bool(doubt) == bool(missing)


def test_teacher_is_kept_between_sessions(tmp_path, text_file, ladder):
    first = ladder.teacher
    again = Ladder(ladder.session, ladder.settings).teacher
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert len(list(tmp_path.glob("training/*/step-00000008"))) == 1


def test_settings_fit_their_shapes():
    for ladder in LADDERS.values():
        width = ladder.shape.width
        for rung in STUDENTS.values():
            if rung.method is not None:
                p, q = rung.method.second
                assert 4 * width % p == 0 and width % q == 0 and rung.method.terms <= p * q
        assert ladder.shape.vocabulary.bit_length() - 1 <= 12  # five tokens fit into 63 bits
        assert ladder.student.batch % 4 == 0 and len(ladder.seeds) >= 2
        assert all(rung.share in DOUBLINGS for rung in STUDENTS.values())


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


def test_a_tokenizer_writes_every_text_and_refuses_small_ones():
    tokenizer = train_tokenizer(["the cat sat on the mat. " * 50, "naïve café"], 270)
    text = "a çat ≠ ☃ \n\t the"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    with pytest.raises(ValueError, match="at least 257"):
        train_tokenizer(["a"], 256)
    with pytest.raises(ValueError, match=r"gives .* tokens and not 4000"):
        train_tokenizer(["a b"], 4000)
