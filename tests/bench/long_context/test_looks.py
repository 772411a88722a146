"""Long context in looks: what is read in chunks is what is read at once, and no document is read twice."""

from dataclasses import replace

import numpy as np
import pytest

from bench.long_context.lab import TAIL, LongContext
from bench.long_context.looks import first_look, joined, long_context_of, look, sizes_of
from bench.measure.chunks import chunks_between, sizes_within
from bench.measure.store import Store
from bench.verdict.documents import LEVEL, Interval
from bench.verdict.evidence import Origin
from bench.verdict.regions import Region
from compress.pruning.random import RandomPruning
from compress.pruning.wanda import WandaPruning
from tests.bench.sessions import Silent, session

LOOKS = (2, 4, 7)
TOY = {"contexts": (4, 12, 40), "targets": 8, "documents": 7, "calibration_sequences": 2, "calibration_length": 16}
AROUND_ONE = Region(0.9, 1.1)


class Told(Silent):
    """A progress that counts the tokens read under each name."""

    def __init__(self):
        self.read = {}

    def variant(self, name, tokens):
        self.read[name] = self.read.get(name, 0) + tokens
        return super().variant(name, tokens)


@pytest.fixture
def made(tmp_path, gpt2_folder, text_file):
    """Sessions of the same model and text, with looks or without."""

    def make(looks=LOOKS, **changes):
        own = session(tmp_path, model=str(gpt2_folder), text=text_file, looks=looks, **(TOY | changes))
        own.progress = Told()
        return own

    return make


@pytest.mark.parametrize("method", [TAIL, WandaPruning(0.5), RandomPruning(0.1)], ids=str)
def test_chunks_together_are_the_whole(made, method):
    parts, whole = in_looks(made()).measure(method), LongContext(made()).measure(method)
    for name, values in whole.means.items():
        np.testing.assert_allclose(parts.means[name], values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(parts.resolved, whole.resolved, rtol=1e-4, atol=1e-6)
    cost = {"seconds", "peak_bytes"}
    assert {k: v for k, v in parts.summary.items() if k not in cost} == {
        k: v for k, v in whole.summary.items() if k not in cost
    }


def test_controls_of_chunks_together_are_those_of_the_whole(made):
    parts, whole = in_looks(made()), LongContext(made())
    np.testing.assert_allclose(parts.forgetting(), whole.forgetting(), rtol=1e-4, atol=1e-6)
    assert parts.no_context() == whole.no_context()
    for attention in ("model", "diffuse"):
        np.testing.assert_allclose(parts.noise(attention)["variances"], whole.noise(attention)["variances"])
    assert parts.noise_floor().shape == whole.noise_floor().shape


def test_a_later_look_reads_only_the_documents_that_it_adds(made):
    own = made()
    lab = in_looks(own)
    tokens = lab.windows.token_count // 7
    for documents in LOOKS:
        assert len(lab.first(documents).measure(TAIL).kl) == documents
        assert own.progress.read == dict.fromkeys(("dense", str(TAIL)), documents * tokens)
    lab.measure(TAIL)
    assert own.progress.read[str(TAIL)] == 7 * tokens


def test_calibration_is_the_same_at_every_look_and_never_scored_at_the_last(made):
    own = made()
    chunks = [lab.session for lab in map(in_looks(own).first, LOOKS)]
    scored = {tuple(document.tolist()) for document in own.corpus.scored}
    assert len(scored) == 7
    assert all(chunk.calibration is own.calibration for chunk in chunks)
    assert not scored & {tuple(document.tolist()) for document in own.corpus.calibration}


def test_one_look_is_the_instrument_as_it_was(made):
    for looks in ((), (7,)):
        lab = in_looks(made(looks))
        assert type(lab) is LongContext and not lab.looks
        assert first_look(lab) is lab
        seen = look(lab, AROUND_ONE, lambda _lab, *, resamples, level: Interval(level, 0.9, resamples))
        assert (seen.interval.value, seen.interval.high, seen.origin, seen.details) == (LEVEL, 500, lab, {})


def in_looks(own):
    """The instrument of a session, as the fixture makes it."""
    return long_context_of(own, sizes_of(own))


def of_width(**widths):
    """Statistic that lies at 1, as wide as it is told at each number of documents."""

    def statistic(lab, *, resamples, level):
        half = widths[f"at_{len(lab.measure(TAIL).kl)}"]
        return Interval(1.0, 1 - half, 1 + half)

    return statistic


@pytest.mark.parametrize(
    ("widths", "documents"),
    [({"at_2": 0.01}, 2), ({"at_2": 0.2, "at_4": 0.01}, 4), ({"at_2": 0.2, "at_4": 0.2, "at_7": 0.2}, 7)],
)
def test_looks_end_with_the_first_that_decides(made, widths, documents):
    own = made()
    lab = in_looks(own)
    seen = look(lab, AROUND_ONE, of_width(**widths))
    origin = seen.origin
    assert isinstance(origin, Origin)
    assert seen.lab.looks[-1] == origin.documents == documents and seen.level > LEVEL
    assert origin.tokens == seen.lab.windows.token_count == own.progress.read["dense"]
    assert seen.looks.endswith(f"look {LOOKS.index(documents) + 1} of 3")


def test_an_instrument_that_may_not_judge_gets_one_look_at_the_usual_level(made):
    seen = look(in_looks(made()), AROUND_ONE, of_width(at_2=0.2), once=True)
    assert (seen.lab.looks, seen.level, seen.looks) == ((2,), LEVEL, "1 look at 2 documents")


def test_a_record_of_looks_is_derived_again_without_a_model(made, tmp_path):
    own, kept = made(), []
    own.store.write = kept.append
    lab = in_looks(own)
    lab.measure(TAIL)
    reads = replace(made(), store=Store({variant.key: variant for variant in kept}), settings=own.settings)
    again = in_looks(reads)
    np.testing.assert_array_equal(again.measure(TAIL).kl, lab.measure(TAIL).kl)
    assert again.looks == LOOKS and "decoder" not in vars(reads)


def test_simulated_experiments_are_made_of_all_documents(made):
    rate, _ = in_looks(made()).rate("it", 1.0, AROUND_ONE, 5)
    whole, _ = LongContext(made()).rate("it", 1.0, AROUND_ONE, 5)
    assert rate == whole


@pytest.mark.parametrize(
    ("documents", "sizes"), [(32, (8, 16, 32)), (20, (8, 16, 20)), (17, (8, 17)), (10, (8, 10)), (9, (9,)), (5, (5,))]
)
def test_looks_fit_a_text_with_fewer_documents(documents, sizes):
    assert sizes_within((8, 16, 32), documents) == sizes
    assert [place for chunk in chunks_between(sizes) for place in chunk] == list(range(documents))


def test_a_text_with_few_documents_has_fewer_looks(made):
    lab = in_looks(made((2, 4, 40), documents=40, calibration_sequences=1))
    assert lab.looks[:2] == (2, 4) and lab.looks[-1] == len(lab.session.corpus.scored) < 40


def test_times_of_chunks_add_and_the_peak_is_the_highest(made):
    one = LongContext(made(())).measure(TAIL)
    one = replace(one, summary=one.summary | {"seconds": 2.0, "peak_bytes": 5.0})
    other = replace(one, summary=one.summary | {"seconds": 3.0, "peak_bytes": 4.0})
    assert joined([one, other]).summary | one.summary == one.summary
    assert [joined([one, other]).summary[name] for name in ("seconds", "peak_bytes")] == [5.0, 5.0]
