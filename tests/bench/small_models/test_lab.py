"""The protocol of the small models at toy size, and the paper's text and task from local files in the hub's place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import bench.small_models.trainer as of_trainer
from bench.small_models.rows import networks
from bench.small_models.settings import FIRST, PROTOCOLS, SIZES, UNSCORED
from bench.small_models.sources import documents_and_task
from bench.small_models.tables import HELD_OUT, TEST, TRAIN
from bench.small_models.variants import Chosen, Distilled, DistilledLoss, Variant
from models.data.tasks import sst2
from models.errors import InputError
from models.t5 import NOTHING, TABLE_3_1, build
from models.text_to_text import exact_matches
from tests.bench.sessions import session
from tests.bench.small_models.toy import TINY, protocol

TWO = range(FIRST, FIRST + 2)


def test_the_papers_text_and_task_from_a_folder(small):
    assert small.task.labels == ("entailment", "neutral", "contradiction") and len(small.task.train) == 9
    assert small.task.train[1][1] == "neutral"
    arrays = small.measure(Variant("mini"), TWO)
    assert arrays[TEST].shape == (2,) and arrays["pretraining"].shape == (2, 3)
    assert "0.0% of inputs are longer" in small.origin().protocol


def test_inputs_that_would_be_cut_to_uselessness_are_refused(made):
    with pytest.raises(InputError, match=r"100% of the inputs of MNLI, mismatched \(train\) are longer than the 8"):
        _ = made(input_length=8).trainer.tables


def test_held_out_examples_are_learned_from_by_nobody(small):
    rows = small.trainer.tables.rows
    learned, away = (set(map(tuple, rows[part][:, :-1].tolist())) for part in (TRAIN, HELD_OUT))
    assert len(rows[TRAIN]) == 8 and len(rows[HELD_OUT]) == 1 and not learned & away


def test_more_seeds_keep_those_of_the_looks_before(small):
    chunks = small.settings.chunks(3)
    assert chunks == [TWO, range(FIRST + 2, FIRST + 3)] and small.settings.chunks(2) == chunks[:1]
    assert (small.accuracy(Variant("mini"), 3)[:2] == small.accuracy(Variant("mini"), 2)).all()


def test_alpha_and_temperature_are_chosen_on_seeds_and_examples_that_are_never_scored(small, monkeypatch):
    asked = []

    def held_out(variant, seeds):
        asked.append(seeds)
        return np.array([variant.distilled.temperature])

    monkeypatch.setattr(small, "held_out", held_out)
    assert small.resolved(Variant("mini", distilled=Chosen("small"))).distilled == Distilled("small", 0.5, 2.0)
    assert set(asked) == {range(UNSCORED, UNSCORED + 1)}
    assert not set(asked[0]) & {seed for chunk in small.settings.chunks(3) for seed in chunk}


def test_a_choice_scores_held_out_examples_alone(small):
    assert small.held_out(Variant("mini"), range(UNSCORED, UNSCORED + 1)).shape == (1,)
    with pytest.raises(ValueError, match="not chosen yet"):
        small.trainer.tuned(Variant("mini", distilled=Chosen("small")), TWO)


@pytest.mark.parametrize("divergence", ["forward", "reverse", "written"])
def test_students_learn_from_a_teacher_that_is_asked_once(small, divergence):
    first = small.measure(Variant("mini", distilled=Distilled("small", 0.3, 2.0, divergence)), TWO)
    assert np.isfinite(first["tuning"]).all()
    assert len(list(small.session.folder.glob("teachers/*.lock"))) == 1
    assert len(list(small.session.folder.glob("logits/*.lock"))) == (0 if divergence == "written" else 1)


def test_a_soft_target_equal_to_the_teacher_keeps_it(small):
    """With all weight on its own logits a model has no gradient but rounding, so it stays what it is."""
    trainer = small.trainer
    teacher, logits = trainer.teacher("mini"), trainer.teacher_logits("mini")
    loss = DistilledLoss(trainer.tables.length, Distilled("mini", 0.0, 2.0))
    loss(teacher.requires_grad_(True), trainer.tables.rows[TRAIN], logits).backward()
    largest = max(float(value.grad.abs().max()) for value in teacher.parameters() if value.grad is not None)
    assert largest < 1e-5


def test_what_many_variants_share_is_trained_once_also_by_another_process(made, monkeypatch):
    first, curve = made().trainer.pretrained(Variant("mini"), TWO)
    monkeypatch.setattr("bench.small_models.trainer.trained", None)
    again, same = made().trainer.pretrained(Variant("mini"), TWO)
    assert (curve == same).all()
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_pretraining_may_be_longer_or_at_another_rate(small):
    assert small.trainer.pretrained(Variant("mini", pretraining_factor=2.0), TWO)[1].shape == (2, 6)
    how = small.trainer.schedule(Variant("mini", warmup_factor=0.5, rate_factor=3.0))
    assert (how.warmup, how.learning_rate) == (1, pytest.approx(3e-2))


def test_teachers_may_be_fine_tuned_at_a_rate_of_their_own(made, monkeypatch):
    taken, trained = {}, of_trainer.trained

    def seen(session, models, seeds, data, how, loss, name):
        taken[name] = how
        return trained(session, models, seeds, data, how, loss, name)

    monkeypatch.setattr(of_trainer, "trained", seen)
    trainer = made(tuning_factors={"small": 0.5}).trainer
    for size in ("mini", "small"):
        trainer.tuned(Variant(size), TWO)
    own = trainer.settings.tuning
    assert taken["fine-tuning mini"] == own
    assert taken["fine-tuning small"] == replace(own, learning_rate=own.learning_rate / 2)


def test_variants_of_table_3_1_become_the_protocols(small):
    shape = small.resolved(networks(NOTHING)).shape
    assert shape.encoder_feed_forward is NOTHING and shape.width == TINY.width
    wider = small.resolved(Variant("mini", replace(TABLE_3_1["mini"], heads=12, head_width=64))).shape
    assert (wider.heads, wider.head_width) == (3, 8)


@pytest.mark.parametrize("key", PROTOCOLS, ids=str)
def test_every_protocol_has_its_sizes_in_order(key):
    protocol = PROTOCOLS[key]
    sizes = [replace(protocol.shapes[name], vocabulary=0).parameters() for name in SIZES]
    assert sizes == sorted(sizes) and protocol.looks[0] >= 2 and protocol.spread_looks[0] >= 3


@pytest.mark.parametrize(("key", "share"), [(("embedded", "thorough"), 0.038), (("paper", "normal"), 0.038)], ids=str)
def test_the_warm_up_takes_the_papers_share(key, share):
    pretraining = PROTOCOLS[key].pretraining
    assert pretraining.warmup / pretraining.steps == pytest.approx(share, abs=0.002)


def test_the_papers_scale_has_its_lengths_and_rates():
    paper = PROTOCOLS["paper", "normal"]
    assert (paper.input_length, paper.pretraining.batch, paper.pretraining.warmup) == (512, 128, 20_000)
    assert paper.pretraining.learning_rate == pytest.approx(20_000**-0.5) and paper.tuning.learning_rate == 1e-3


def test_missing_data_is_named(tmp_path):
    own = session(tmp_path, "paper", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"c4\.jsonl does not exist"):
        documents_and_task(own, protocol())
    with pytest.raises(InputError, match=r"sst2\.train\.tsv does not exist"):
        sst2(tmp_path)
    (tmp_path / "sst2.train.tsv").write_text("label\tcontent\n7\tnice\n")
    with pytest.raises(InputError, match="label '7' is not one of"):
        sst2(tmp_path)


@pytest.mark.parametrize("column", ["sentence", "content"])
def test_the_reviews_may_stand_in_glues_own_column(tmp_path, column):
    for name in ("train", "dev"):
        (tmp_path / f"sst2.{name}.tsv").write_text(f"{column}\tlabel\na fine film\t1\ndull\t0\n")
    assert sst2(tmp_path).test == [("a fine film", "positive"), ("dull", "negative")]


def test_reviews_without_a_column_of_text_are_refused(tmp_path):
    (tmp_path / "sst2.train.tsv").write_text("text\tlabel\na fine film\t1\n")
    with pytest.raises(InputError, match=r"has no column sentence \(GLUE's name\) or content"):
        sst2(tmp_path)


def test_scores_are_of_whole_answers(small):
    model = build(small.trainer.shape(Variant("mini")), seed=0)
    assert exact_matches(model, small.trainer.tables.rows[TEST], small.trainer.tables.length).shape == (9,)
