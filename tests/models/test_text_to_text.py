"""Text to text: rows say what went in, the mask hides padding, stacked training equals training alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from models.data.tasks import Task, arithmetic, article_of_origin, with_rationales
from models.data.text import Document
from models.data.vocabulary import train_tokenizer
from models.errors import InputError
from models.t5 import T5Shape, build
from models.text_to_text import (
    PAD,
    TargetLoss,
    Vocabulary,
    corrupted_table,
    exact_matches,
    fitting_length,
    input_lengths,
    logits_of,
    share_cut,
    table,
    written,
)
from models.training.schedules import SCHEDULES, learning_rate_factor
from models.training.train import Diverged, Training, train
from models.training.train_many import train_many
from tests.oracles import uncorrupted

TEXT = "The cat sat on the mat and looked at the dog. " * 40
INPUT, TARGET = 12, 4


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(train_tokenizer([TEXT], 270), sentinels=8)


@pytest.fixture(scope="module")
def shape(vocabulary):
    return T5Shape(1, 1, 16, 8, 4, 2, vocabulary=vocabulary.size)


@pytest.fixture(scope="module")
def rows(vocabulary):
    words = ["cat", "dog", "mat", "sat", "looked"]
    return table([(f"the {word} on", word) for word in words * 4], vocabulary, INPUT, 8)


def test_rows_say_what_went_in(vocabulary):
    rows = table([("the cat", "sat"), ("a dog that is long and longer", "on")], vocabulary, 8, 5)
    assert rows.shape == (2, 8 + 5 + 1)
    assert vocabulary.text(rows[0, :8].tolist()) == "the cat"
    assert vocabulary.text(rows[1, 8:-1].tolist()) == "on"
    assert rows[:, -1].tolist() == [0, 1]


def test_padding_is_not_read(vocabulary, shape, rows):
    model = build(shape, seed=0).eval()
    logits, targets = logits_of(model, rows, INPUT)
    before = torch.cat([torch.zeros_like(targets[:, :1]), targets[:, :-1]], 1)
    usual = model(input_ids=rows[:, :INPUT], attention_mask=(rows[:, :INPUT] != PAD).long(), decoder_input_ids=before)
    torch.testing.assert_close(logits, usual.logits)
    longer = torch.cat([rows[:, :INPUT], torch.zeros_like(rows[:, :5]), rows[:, INPUT:]], 1)
    torch.testing.assert_close(logits_of(model, longer, INPUT + 5)[0], logits)


def test_corruption_fills_the_input_and_keeps_all_tokens(vocabulary):
    [tokens] = vocabulary.tokens([TEXT])
    rows, target_length = corrupted_table(torch.tensor(tokens), vocabulary, 20, seed=0)
    assert (rows[:, 18] != PAD).all()
    assert (rows[:, 20 + target_length - 1] != PAD).all()
    restored = []
    for row in rows.tolist():
        inputs, target = ([token for token in part if token != PAD] for part in (row[:20], row[20:-1]))
        restored += uncorrupted(inputs, target, first_sentinel=vocabulary.first_sentinel, sentinels=8)
    assert restored == tokens[: len(restored)]
    assert len(tokens) - len(restored) < 25


def test_written_is_what_matches(vocabulary, shape, rows):
    model = build(shape, seed=1)
    train(model, rows, Training(60, 8, 1e-2, weight_decay=0.0), loss=TargetLoss(INPUT), watch=lambda *_: None)
    own = written(model, rows, INPUT)
    matches = exact_matches(model, rows, INPUT)
    same = ((own == rows) | (rows == PAD))[:, INPUT:-1].all(1).numpy()
    assert (matches == same).all()
    assert matches.mean() > 0.15  # otherwise nothing was compared
    assert torch.equal(own[:, :INPUT], rows[:, :INPUT])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_together_is_alone(shape, rows, schedule):
    training = Training(12, 4, 5e-3, schedule=schedule, warmup=3, weight_decay=0.1)
    together = [build(shape, seed=seed).double() for seed in range(3)]
    alone = [build(shape, seed=seed).double() for seed in range(3)]
    loss = _double_loss
    histories = train_many(together, rows, training, range(3), loss=loss)
    for seed, model in enumerate(alone):
        own = train(model, rows, replace(training, seed=seed), loss=loss, watch=lambda *_: None)
        np.testing.assert_allclose(histories[seed].losses, own.losses, rtol=1e-8)
        a, b = (logits_of(each, rows, INPUT)[0] for each in (model, together[seed]))
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def _double_loss(model, rows):
    logits, targets = logits_of(model, rows, INPUT)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)


def test_one_that_diverges_stops_and_the_others_go_on(shape, rows):
    models = [build(shape, seed=seed) for seed in range(2)]
    with torch.no_grad():
        models[1].shared.weight[:] = torch.nan
    histories = train_many(models, rows, Training(5, 4, 1e-3), [0, 1], loss=TargetLoss(INPUT))
    assert histories[0].failed is None and len(histories[0].losses) == 5
    assert histories[1].failed == 0 and not histories[1].losses
    alone = build(shape, seed=0)
    own = train(alone, rows, Training(5, 4, 1e-3), loss=TargetLoss(INPUT), watch=lambda *_: None)
    np.testing.assert_allclose(histories[0].losses, own.losses, rtol=1e-4)  # float32, five steps
    with pytest.raises(Diverged):
        bad = build(shape, seed=1)
        with torch.no_grad():
            bad.shared.weight[:] = torch.nan
        train(bad, rows, Training(5, 4, 1e-3), loss=TargetLoss(INPUT), watch=lambda *_: None)


def test_schedules():
    flat = learning_rate_factor("inverse-sqrt-flat", warmup=4, steps=100)
    linear = learning_rate_factor("inverse-sqrt", warmup=4, steps=100)
    assert [flat(i) for i in (0, 3, 4, 16)] == [1, 1, 1, 0.5]
    assert [linear(i) for i in (0, 2, 4, 16)] == [0, 0.5, 1, 0.5]
    assert learning_rate_factor("constant", warmup=0, steps=1)(0) == 1
    cosine = learning_rate_factor("cosine", warmup=10, steps=110)
    assert (cosine(5), cosine(60), cosine(110)) == pytest.approx((0.5, 0.5, 0), abs=1e-12)
    with pytest.raises(ValueError, match="warm-up"):
        Training(5, 1, 1e-3, schedule="inverse-sqrt")
    with pytest.raises(ValueError, match="not one of"):
        learning_rate_factor("cubic", warmup=0, steps=1)


DOCUMENTS = [
    Document(f"d{k}", " ".join(f"Sentence number {i} tells of matter {k} and of little else." for i in range(20 + k)))
    for k in range(6)
]


def test_article_of_origin():
    task = article_of_origin(DOCUMENTS, classes=4, words=7, seed=0)
    assert task.labels == ("0", "1", "2", "3")
    assert not set(task.train) & set(task.test)
    assert all(len(source.split()) == 7 for source, _ in task.train)
    # The longest article is class 0.
    assert all("matter 5" in source for source, label in task.train if label == "0")
    assert 0.2 < task.floor < 0.4


def test_the_other_distribution_is_what_follows_in_scored_sentences():
    task = article_of_origin(DOCUMENTS, classes=4, words=5, seed=0)
    assert all(source.startswith("Sentence number ") for source, _ in task.test)
    assert all(source.startswith("matter ") and len(source.split()) == 5 for source, _ in task.shifted)
    assert len(task.shifted) == len(task.test)


@given(st.integers(2, 4), st.integers(3, 12), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_arithmetic_is_right(terms, largest, seed):
    task, rationales = arithmetic(train=3, test=2, terms=terms, largest=largest, seed=seed)
    for source, target in (*task.train, *task.test, *task.shifted):
        assert sum(map(int, source.split(" + "))) == int(target)
    assert len({source for source, _ in (*task.train, *task.test)}) == 5
    for (_, target), rationale in zip(task.train, rationales, strict=True):
        assert rationale.split()[-1] == target and len(rationale.split()) == terms - 1
    both = with_rationales(task, rationales)
    assert len(both) == 6 and both[0][0].startswith("[label]") and both[1][1] == rationales[0]


def test_an_encoder_reads_what_nearly_all_inputs_take(vocabulary):
    lengths = np.array([*range(1, 101)])
    assert fitting_length(lengths, most=200) == 99 and fitting_length(lengths, most=80) == 80
    assert share_cut(lengths, 99, of="it") == 0.01
    examples = [("the cat sat", "yes"), ("the", "no")]
    assert input_lengths(examples, vocabulary).tolist() == [
        len(t) + 1 for t in vocabulary.tokens(["the cat sat", "the"])
    ]


def test_inputs_cut_to_uselessness_are_refused_with_their_share():
    with pytest.raises(InputError, match="40% of the inputs of reviews are longer than the 6 tokens that are read"):
        share_cut(np.arange(1, 11), 6, of="reviews")


def test_refusals(vocabulary, shape, rows):
    with pytest.raises(InputError, match="empty target"):
        table([("the cat", "")], vocabulary, 8, 4)
    with pytest.raises(InputError, match="room for 2"):
        table([("the", "a very long answer")], vocabulary, 8, 2)
    with pytest.raises(InputError, match="no example"):
        table([], vocabulary, 8, 4)
    with pytest.raises(InputError, match="label 'maybe'"):
        Task("t", ("yes", "no"), [("a", "yes")], [("b", "maybe")], [])
    with pytest.raises(InputError, match="nothing to read"):
        Task("t", (), [(" ", "yes")], [("b", "no")], [])
    with pytest.raises(InputError, match="one seed a model"):
        train_many([build(shape, seed=0)], rows, Training(1, 1, 1e-3), [0, 1], loss=TargetLoss(INPUT))
    with pytest.raises(InputError, match="do not exist"):
        arithmetic(train=500, test=10, terms=2, largest=5, seed=0)
