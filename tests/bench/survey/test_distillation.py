"""The instrument of distillation on a toy task, with an encoder of two small layers in the place of MiniLM."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BertConfig, BertModel

from bench.measure.instrument import plain
from bench.survey.distillation import lab as labs
from bench.survey.distillation import rows, tables, teachers
from bench.survey.distillation.fitting import Best, logits_of
from bench.survey.distillation.lab import BILSTM, ENCODER, FIRST_LAYERS, Distillation
from bench.survey.distillation.lessons import LOGITS, Lesson, LessonLoss, Student
from bench.survey.distillation.rows import LABELS, Taught, ahead, doubt, drops, fixed, patient, settle
from bench.survey.distillation.settings import QUICK
from bench.survey.distillation.teachers import ENSEMBLE, MAIN
from bench.verdict.documents import Interval
from compress.distillation.classifiers import patient_loss
from models.data.tasks import Task
from models.encoders import Classified
from tests.bench.sessions import session

WORDS = 120


def toy_encoder(layers):
    config = BertConfig(
        vocab_size=WORDS,
        hidden_size=8,
        num_hidden_layers=layers or 6,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=32,
    )
    return BertModel(config, add_pooling_layer=False)


def number_of(word):
    return 60 + int(word) if word.isdigit() else 1 + int(hashlib.sha256(word.encode()).hexdigest(), 16) % 58


def toy_tokens(texts, length):
    rows = torch.zeros(len(texts), length, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        own = [number_of(word) for word in text.split()][:length]
        row[: len(own)] = torch.tensor(own)
    return rows


def toy_task():
    def examples(count, kind):
        return [
            (f"{kind} text {n} {'good' if n % 2 else 'bad'}", ("negative", "positive")[n % 2]) for n in range(count)
        ]

    return Task("toy", ("negative", "positive"), examples(50, "train"), examples(40, "test"), examples(20, "long"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One for all tests: what one of them trained is on record for the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "tokenize", toy_tokens)
        patch.setattr(teachers, "minilm", toy_encoder)
        patch.setattr(labs, "minilm", toy_encoder)
        patch.setattr(labs, "VOCABULARY", WORDS)
        yield Distillation(session(tmp_path_factory.mktemp("lab")), QUICK, "toy", toy_task)


LOGIT = torch.tensor([[1.0, -1.0], [0.5, 0.25], [-2.0, 3.0]])
ROWS = torch.tensor([[5, 0], [6, 1], [7, 2]])
TRUTH = torch.tensor([0, 1, 1])


def says(logits):
    """A model that gives these logits, whatever it reads."""
    return lambda _tokens, *, states=False: Classified(logits, torch.zeros(3, 0, 0))


def test_at_temperature_one_without_labels_the_loss_is_the_divergence_from_the_teacher():
    student = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.3, 0.1]])
    loss = LessonLoss(Lesson(MAIN), TRUTH, LOGIT)(says(student), ROWS)
    plain = functional.kl_div(student.log_softmax(1), LOGIT.softmax(1), reduction="batchmean")
    torch.testing.assert_close(loss, plain)


@pytest.mark.parametrize("lesson", [Lesson(), Lesson(MAIN, alpha=1.0), Lesson(MAIN, LOGITS, alpha=1.0)], ids=str)
def test_with_all_weight_on_labels_the_loss_is_cross_entropy(lesson):
    loss = LessonLoss(lesson, TRUTH, LOGIT if lesson.teacher else None)(says(LOGIT + 1), ROWS)
    torch.testing.assert_close(loss, functional.cross_entropy(LOGIT + 1, TRUTH))


@pytest.mark.parametrize("match", ["forward", "reverse", LOGITS])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(match):
    assert LessonLoss(Lesson(MAIN, match, temperature=2.0), TRUTH, LOGIT)(says(LOGIT), ROWS).item() == 0


def test_hidden_states_add_their_loss_at_every_kth_layer():
    own, theirs = (torch.randn(3, n, 4, generator=torch.Generator().manual_seed(n)) for n in (2, 6))
    lesson = Lesson(MAIN, beta=10.0)
    loss = LessonLoss(lesson, TRUTH, LOGIT, theirs)(lambda _tokens, states: Classified(LOGIT, own), ROWS)
    torch.testing.assert_close(loss, 10 * patient_loss(own[:, :1], theirs[:, 2:3]))


def test_no_text_is_both_learned_from_and_held_out(lab):
    parts = [{tuple(row) for row in getattr(lab.tables, name).tokens.tolist()} for name in ("train", "held_out")]
    assert [len(part) for part in parts] == [30, 20] and not set.intersection(*parts)


def test_augmented_texts_have_their_texts_labels(lab):
    assert torch.equal(lab.tables.augmented.labels, lab.tables.train.labels.repeat(QUICK.copies))
    assert lab.tables.rows(more=True)[:, -1].tolist() == list(range(60))


def test_kept_logits_are_those_that_the_teacher_gives(lab):
    fresh = logits_of(lab.teachers.fine_tuned(0), lab.tables.train.tokens, "cpu")
    for _ in range(2):  # computed, then read
        torch.testing.assert_close(lab.teachers.logits(MAIN), fresh)


def test_an_ensemble_is_the_mean_of_its_teachers(lab):
    members = [lab.teachers.logits(f"minilm-{number}").softmax(1) for number in range(QUICK.ensemble)]
    torch.testing.assert_close(lab.teachers.logits(ENSEMBLE).softmax(1), torch.stack(members).mean(0))


def test_a_teacher_goes_on_from_its_checkpoint(lab):
    first = lab.teachers.fine_tuned(1)
    again = lab.teachers.fine_tuned(1)  # every step is in the checkpoint
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", [BILSTM, ENCODER, FIRST_LAYERS])
def test_every_student_is_scored_text_by_text_and_once(lab, kind):
    scored = lab.scored(Student(kind))
    assert scored.shape == (QUICK.seeds, 40) and set(np.unique(scored)) <= {0.0, 1.0}
    before = len(lab.session.store._here)
    assert np.array_equal(lab.scored(Student(kind)), scored) and len(lab.session.store._here) == before


def test_the_best_weights_are_kept(lab):
    model = torch.nn.Linear(1, 1, bias=False)
    best = Best(model, lab.tables.held_out, 1, "cpu")
    scores = iter([0.5, 0.9, 0.7])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "bench.survey.distillation.fitting.correct",
            lambda *_args: torch.tensor([next(scores)], dtype=torch.float64),
        )
        for value in (1.0, 2.0, 3.0):
            torch.nn.init.constant_(model.weight, value)
            best.watch(1, 0.0)
    best.restore()
    assert (model.weight.item(), best.score) == (2.0, pytest.approx(0.9))


def test_a_lesson_is_chosen_by_its_held_out_examples(lab, monkeypatch):
    score = {1.0: 0.6, 2.0: 0.8, 4.0: 0.8}
    monkeypatch.setattr(
        lab, "_student", lambda student, _seed, score_=score, **_how: {"held_out": score_[student.lesson.temperature]}
    )
    lessons = [Lesson(MAIN, temperature=temperature) for temperature in score]
    assert lab.chosen(ENCODER, lessons).temperature == 2.0


def test_no_scored_seed_chooses_a_lesson(lab):
    lab.scored(Student(ENCODER, lab.chosen(ENCODER, lab.lessons("forward", teacher=MAIN))))
    choosing = [key for key in lab.session.store._here if key.endswith("held-out only") and "'encoder'" in key]
    assert len(choosing) == 2 and all("seed 1000" in key for key in choosing)


def test_hidden_states_go_beside_the_lesson_chosen_for_logits_alone(lab):
    lesson = patient(lab)
    assert lesson.beta in QUICK.betas and replace(lesson, beta=0.0) in lab.lessons("forward", teacher=MAIN)


def test_drops_are_points_lost_on_the_other_distribution():
    assert drops(np.ones((2, 4)), np.array([[1.0, 0.0], [1.0, 1.0]])).tolist() == [50.0, 0.0]


@pytest.mark.parametrize(
    ("teacher", "student", "said"), [(82, 75, ""), (79, 75, "4.0 points ahead"), (99, 75, "99.0 %")]
)
def test_a_teacher_must_be_ahead_and_not_perfect(lab, monkeypatch, teacher, student, said):
    monkeypatch.setattr(lab, "_teacher", lambda _number: {"floor": np.array(0.5)})
    monkeypatch.setattr(lab, "teacher_accuracy", lambda **_part: np.array([float(teacher)]))
    monkeypatch.setattr(lab, "accuracy", lambda *_student, **_part: np.array([float(student)]))
    reason = doubt(lab, {ENCODER})
    assert said in reason and bool(reason) == bool(said)


def test_more_seeds_leave_those_that_are_on_record(lab, monkeypatch):
    lab.scored(Student(BILSTM))
    before = set(lab.session.store._here)
    monkeypatch.setattr(lab, "settings", replace(QUICK, seeds=QUICK.seeds + 1))
    lab.scored(Student(BILSTM))
    assert [key.rpartition(" ")[2] for key in set(lab.session.store._here) - before] == [str(QUICK.seeds)]
    assert all(lab.session.store._here[key].settings == plain(lab.settings) for key in before)


@pytest.mark.parametrize(
    ("control", "doubted", "low", "looks"),
    [
        (False, "", -1.0, [2, 4]),
        (False, "", 0.5, [2]),
        (True, "", -1.0, [2]),
        (False, "the task does not discriminate", -1.0, [2]),
    ],
    ids=["undecided", "decided", "control", "in doubt"],
)
def test_a_row_that_votes_and_is_undecided_has_twice_as_many_seeds(lab, monkeypatch, control, doubted, low, looks):
    taught, asked, concluded = Taught("labels", ENCODER, fixed(LABELS)), [], {}
    row = ahead("SV15a", "SV15-it", taught, taught, control=control)
    monkeypatch.setattr(rows, "doubt", lambda *_args, **_how: doubted)

    def measure(seeds, _level):
        asked.append(seeds)
        return Interval(1.0, low, 3.0)

    settle(lambda *_args, **given: concluded.update(given), lab, row, [taught], measure)
    assert asked == looks
    assert len(concluded["details"]["variants"]["labels"]["accuracy"]) == looks[-1]
    assert concluded["doubt"] == doubted
