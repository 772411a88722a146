"""The survey's claims on distillation, SV15: MiniLM taught to smaller classifiers of movie reviews.

Short reviews are learned from and scored; long ones are the other distribution. α, T and β are chosen on held-out
training examples with seeds that are never scored, and the papers' own values are controls. Texts have two classes, so
that soft targets tell how sure a teacher is and nothing of what classes are alike.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.distillation.lab import BILSTM, ENCODER, FIRST_LAYERS, Distillation
from bench.survey.distillation.lessons import LOGITS, Lesson
from bench.survey.distillation.rows import (
    AHEAD,
    LABELS,
    Taught,
    ahead,
    fixed,
    matched_logits,
    patient,
    settle_ahead,
    settle_drop,
    settle_steadier,
    soft,
)
from bench.survey.distillation.teachers import ENSEMBLE, MAIN, MPNET
from bench.verdict.regions import Region
from bench.verdict.rows import Row

PAPER_SCALE = "paper-t5"
pytestmark = [
    pytest.mark.cost(shared="teachers", embedded=(3, 0, 650), gpu=(5, 60, 60)),
    pytest.mark.cost(
        of=Taught, embedded=(1, 0, 280), embedded_votes=(1, 0, 450), gpu=(3, 90, 90), gpu_votes=(3, 150, 150)
    ),
]
"""Costs of a student, of five seeds or of ten where a row votes, and of the search on held-out examples."""
ON_LABELS = Taught("labels", ENCODER, fixed(LABELS))
SOFT = Taught("soft targets", ENCODER, soft(ENCODER))
FORWARD = Taught("forward KL", ENCODER, soft(ENCODER))
REVERSE = Taught("reverse KL", ENCODER, soft(ENCODER, match="reverse"))
TOGETHER = Taught("several teachers", ENCODER, soft(ENCODER, ENSEMBLE))
HINTON = Taught("T = 2, α = 0.5", ENCODER, fixed(Lesson(MAIN, alpha=0.5, temperature=2.0)))
UNSMOOTHED = Taught("T = 1", ENCODER, soft(ENCODER, temperature=1.0))

LSTM_LABELS = Taught("labels", BILSTM, fixed(LABELS))
LSTM_LOGITS = Taught("logits", BILSTM, matched_logits(augmented=True))
LSTM_SAME = Taught("logits, the same texts", BILSTM, matched_logits(augmented=False))
LSTM_MORE_LABELS = Taught("labels, augmented", BILSTM, fixed(Lesson(augmented=True)))
TANG = Taught("logits, α = 0", BILSTM, fixed(Lesson(MAIN, LOGITS, augmented=True)))

FIRST_LABELS = Taught("labels", FIRST_LAYERS, fixed(LABELS))
FIRST_LOGITS = Taught("logits alone", FIRST_LAYERS, soft(FIRST_LAYERS))
PATIENT = Taught("patient", FIRST_LAYERS, patient)
SUN_PATIENT = Taught(
    "patient, T = 10, β = 100", FIRST_LAYERS, fixed(Lesson(MAIN, alpha=0.5, temperature=10.0, beta=100.0))
)

AHEADS = [
    ahead("SV15a", "SV15-encoder-soft-over-labels", SOFT, ON_LABELS),
    ahead("SV15a", "SV15-encoder-chosen-over-unsmoothed", SOFT, UNSMOOTHED, control=True),
    ahead("SV15a", "SV15-encoder-paper-values-over-labels", HINTON, ON_LABELS, control=True),
    ahead("SV15a", "SV15-encoder-reverse-over-forward", REVERSE, FORWARD, control=True),
    ahead("SV15a", "SV15-encoder-ensemble-over-one", TOGETHER, SOFT, control=True),
    ahead("SV15b", "SV15-bilstm-logits-over-labels", LSTM_LOGITS, LSTM_LABELS),
    ahead("SV15b", "SV15-bilstm-paper-values-over-labels", TANG, LSTM_LABELS, control=True),
    ahead("SV15b", "SV15-bilstm-same-texts-over-labels", LSTM_SAME, LSTM_LABELS, control=True),
    ahead("SV15b", "SV15-bilstm-logits-over-augmented-labels", LSTM_LOGITS, LSTM_MORE_LABELS, control=True),
    ahead("SV15d", "SV15-patient-over-logits", PATIENT, FIRST_LOGITS),
    ahead("SV15d", "SV15-patient-paper-values-over-logits", SUN_PATIENT, FIRST_LOGITS, control=True),
    ahead("SV15d", "SV15-first-layers-logits-over-labels", FIRST_LOGITS, FIRST_LABELS, control=True),
]


@pytest.mark.parametrize("row", parameters(*AHEADS))
def test_one_lesson_against_another(distillation: Distillation, conclude: Conclude, row: Row) -> None:
    """One kind of student taught in two ways, the same seeds and texts: points of the first over the second."""
    settle_ahead(conclude, distillation, row)


def drop(name: str, student: Taught, *others: Taught, control: bool = False) -> Row:
    """Row on the points that a student loses out of distribution less those of another, or of its teacher."""
    loser = others[0].name if others else "its teacher"
    statistic = f"points that {student.kind} on {student.name} loses on long reviews, less those that {loser} loses"
    return Row(name, "SV15c", statistic, AHEAD, "more, however little", (student, *others), control=control)


DROPS = [
    drop("SV15-out-of-distribution-bilstm", LSTM_LOGITS),
    drop("SV15-out-of-distribution-encoder", SOFT),
    drop("SV15-out-of-distribution-patient", PATIENT),
    drop("SV15-out-of-distribution-bilstm-over-labels", LSTM_LOGITS, LSTM_LABELS, control=True),
    drop("SV15-out-of-distribution-encoder-over-labels", SOFT, ON_LABELS, control=True),
    drop("SV15-out-of-distribution-patient-over-labels", PATIENT, FIRST_LABELS, control=True),
]


@pytest.mark.parametrize("row", parameters(*DROPS))
def test_distilled_students_lose_out_of_distribution(distillation: Distillation, conclude: Conclude, row: Row) -> None:
    """Long reviews against short ones: what a distilled student loses, less what its teacher or labels alone lose."""
    settle_drop(conclude, distillation, row)


OF_MPNET = Taught("MPNet's", ENCODER, soft(ENCODER, MPNET))
OF_MINILM = Taught("MiniLM's", ENCODER, soft(ENCODER))
LARGER = ahead("SV15a", "SV15-encoder-larger-teacher", OF_MPNET, OF_MINILM, control=True)
SPREAD = Row(
    "SV15-encoder-larger-teacher-spread",
    "SV15a",
    "spread over seeds with MPNet's soft targets over that with MiniLM's",
    Region(low=1.0),
    "a teacher close in size is steadier (SL7)",
    (OF_MPNET, OF_MINILM),
    control=True,
)


@pytest.mark.cost(shared="MPNet", embedded=(1, 0, 2000), gpu=(1, 120, 120))
@pytest.mark.parametrize("row", parameters(LARGER, SPREAD))
def test_a_larger_teacher(distillation: Distillation, conclude: Conclude, row: Row) -> None:
    """MPNet, five times as large, against MiniLM: mean and spread over seeds of the student of each."""
    if not distillation.settings.larger:
        pytest.skip("MPNet takes 440 MB and minutes to read the texts; use --effort=thorough")
    if row is LARGER:
        settle_ahead(conclude, distillation, row)
    else:
        settle_steadier(conclude, distillation, row)
