"""The protocol of the small models at toy size, and the paper's text and task from local files in the hub's place."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.small_models.lab import SmallModels
from bench.small_models.rows import doubt, networks, of_protocol
from bench.small_models.settings import PROTOCOLS, SIZES, SmallModelsSettings
from bench.small_models.sources import documents_and_task
from bench.small_models.variants import Distilled, Variant
from models.data.tasks import counterfactual_nli, sst2
from models.errors import InputError
from models.t5 import NOTHING, TABLE_3_1, T5Shape, build
from models.text_to_text import exact_matches
from models.training.train import Training
from tests.bench.sessions import session

TINY = T5Shape(1, 1, 16, 8, 4, 2)
SHAPES = {"tiny": TINY, "mini": TINY, "small": replace(TINY, width=12, inner=24), "base": replace(TINY, width=16)}


def protocol(steps=3, **changes):
    training = Training(steps, 4, 1e-2, weight_decay=0.0)
    return replace(
        SmallModelsSettings(SHAPES, 270, 24, training, training, seeds=2, spread_seeds=3, classes=3), **changes
    )


@pytest.fixture
def paper_folder(tmp_path):
    """C4 and MNLI in a folder."""
    story = "Here is a sentence about the matter of cats and dogs. It goes on for a while, as they do. "
    (tmp_path / "c4.jsonl").write_text("".join(json.dumps({"text": story * 12}) + "\n" for _ in range(3)))
    pairs = [{"premise": f"The cat sat on mat {i}.", "hypothesis": "It sat.", "label": i % 3} for i in range(9)]
    for name in ("train", "mismatched"):
        (tmp_path / f"mnli-{name}.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return tmp_path


@pytest.fixture
def small(paper_folder):
    own = session(paper_folder / "measured", "paper", data_dir=paper_folder)
    return SmallModels(own, protocol(), "task", lambda: documents_and_task(own, protocol()))


def test_the_papers_text_and_task_from_a_folder(small):
    assert small.task.labels == ("entailment", "neutral", "contradiction") and len(small.task.train) == 9
    assert small.task.train[1][1] == "neutral"
    arrays = small.measure(Variant("mini"), 2)
    assert arrays["test"].shape == (2,) and arrays["pretraining"].shape == (2, 3)
    assert 0 <= small.accuracy(Variant("mini"), spread=True).min() <= 100
    assert len(small.accuracy(Variant("mini"), spread=True)) == 3


@pytest.mark.parametrize("divergence", ["forward", "reverse", "written"])
def test_students_learn_from_a_teacher_that_is_asked_once(small, divergence):
    variant = Variant("mini", distilled=Distilled("small", 0.3, 2.0, divergence))
    first = small.measure(variant, 2)
    assert np.isfinite(first["tuning"]).all()
    assert len(list(small.session.folder.glob("teachers/*"))) == (0 if divergence == "written" else 1)


def test_a_soft_target_equal_to_the_teacher_keeps_it(small):
    """With all weight on its own logits a model has no gradient but rounding, so it stays what it is."""
    teacher = small.teacher("mini")
    before = [value.clone() for value in teacher.parameters()]
    logits = small.teacher_logits("mini")
    from bench.small_models.variants import DistilledLoss

    loss = DistilledLoss(24, Distilled("mini", 0.0, 2.0))
    loss(teacher.requires_grad_(True), small.rows["train"], logits).backward()
    largest = max(float(value.grad.abs().max()) for value in teacher.parameters() if value.grad is not None)
    assert largest < 1e-5
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))


def test_pretraining_is_shared_and_longer_pretraining_is_another(small):
    first, curve = small.pretrained(Variant("mini"), 2)
    again, same = small.pretrained(Variant("mini"), 2)
    assert all(
        torch.equal(a, b)
        for x, y in zip(first, again, strict=True)
        for a, b in zip(x.parameters(), y.parameters(), strict=True)
    )
    assert curve is same
    assert small.pretrained(Variant("mini", pretraining_factor=2.0), 2)[1].shape == (2, 6)


def test_what_does_not_discriminate_is_said(small):
    reason = doubt(small, Variant("tiny"), teachers=True)
    assert "does not discriminate" in reason and "ahead of" in reason


def test_variants_of_table_3_1_become_the_protocols(small):
    shape = of_protocol(small, networks(NOTHING)).shape
    assert shape.encoder_feed_forward is NOTHING and shape.width == TINY.width
    wider = of_protocol(small, Variant("mini", replace(TABLE_3_1["mini"], heads=12, head_width=64))).shape
    assert (wider.heads, wider.head_width) == (3, 8)


@pytest.mark.parametrize("key", PROTOCOLS, ids=str)
def test_every_protocol_has_its_sizes_in_order(key):
    protocol = PROTOCOLS[key]
    sizes = [replace(protocol.shapes[name], vocabulary=0).parameters() for name in SIZES]
    assert sizes == sorted(sizes) and protocol.seeds >= 2 and protocol.spread_seeds >= 3


def test_missing_data_is_named(tmp_path):
    own = session(tmp_path, "paper", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"c4\.jsonl does not exist"):
        documents_and_task(own, protocol())
    with pytest.raises(InputError, match=r"sst2\.train\.tsv does not exist"):
        sst2(tmp_path)
    (tmp_path / "sst2.train.tsv").write_text("label\tcontent\n7\tnice\n")
    with pytest.raises(InputError, match="label '7' is not one of"):
        sst2(tmp_path)
    (tmp_path / "snli-cad-train.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match="no rows with the column sentence1"):
        counterfactual_nli(tmp_path)


@pytest.mark.parametrize("column", ["sentence", "content"])
def test_the_reviews_may_stand_in_glues_own_column(tmp_path, column):
    for name in ("train", "dev"):
        (tmp_path / f"sst2.{name}.tsv").write_text(f"{column}\tlabel\na fine film\t1\ndull\t0\n")
    assert sst2(tmp_path).test == [("a fine film", "positive"), ("dull", "negative")]


def test_reviews_without_a_column_of_text_are_refused(tmp_path):
    (tmp_path / "sst2.train.tsv").write_text("text\tlabel\na fine film\t1\n")
    with pytest.raises(InputError, match=r"has no column sentence \(GLUE's name\) or content"):
        sst2(tmp_path)


def test_counterfactuals_are_the_other_distribution(tmp_path):
    rows = "".join(f"p{i}\th{i}\t{('neutral', 'entailment')[i % 2]}\n" for i in range(10))
    for name in ("train", "dev"):
        (tmp_path / f"snli-cad-{name}.tsv").write_text(f"sentence1\tsentence2\tgold_label\n{rows}")
    task = counterfactual_nli(tmp_path)
    assert (len(task.train), len(task.test), len(task.shifted)) == (2, 2, 8)
    assert task.test[1][0] == "hypothesis: h5 premise: p5"


def test_scores_are_of_whole_answers(small):
    model = build(small.shape(Variant("mini")), seed=0)
    rows = small.rows["test"]
    assert exact_matches(model, rows, 24).shape == (9,)
