"""The rungs of Krony-PT's ladder. The paper's shapes have the same second factors here; first ones fit the teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.krony.objectives import Objective
from bench.krony.students import Inherited, Phase, Student
from compress.factorisation.kronecker.method import KroneckerFactorisation, Start

P67, MF1, MF2 = (48, 24), (12, 12), (3, 3)
"""Second factors of 67M, MF1 and MF2: of 3072 x 768 they leave (64, 32), (256, 64) and (1024, 256) (Tables 1, 2)."""
P81, P95, FOUR = (4, 1), (2, 1), MF2
MANY_SMALL = (8, 4)
STEADY = 4
"""Factor by which the unsteady run's batch is smaller."""
RATES = {
    1 / 8: "eighth-rate",
    1 / 4: "quarter-rate",
    1 / 2: "half-rate",
    1: "",
    2: "double-rate",
    4: "fourfold-rate",
    8: "eightfold-rate",
    16: "sixteenfold-rate",
}
"""Names of factors on the learning rate."""
BEYOND = 2
"""Further rates at either end, tried while the best of those before lies there."""
STARTS = (1, 2, 4, 8)
"""First values of scalars (§4.7: no matter what the initialisation is)."""
SCALAR_RATE = 8.0
"""Factor on the scalars' rate: Adam moves a scalar by about its rate a step, so they can go far beyond 4."""
HALFWAY = 0.5
"""Share of the tokens that is read by students whose rows compare equal tokens and follow no trend."""
PHASES = {"going-on": Phase(0.1, 1), "second-phase": Phase(0.1, 4)}
"""§4.1: about a tenth of the data, batches of 512 after 128."""


def _named(name: str, suffix: str) -> str:
    return f"{name}-{suffix}" if suffix else name


@dataclass(frozen=True)
class Rates:
    """One student at learning rates that double from each to the next; the best is chosen on held-out text."""

    students: tuple[Student, ...]

    @property
    def first(self) -> tuple[Student, ...]:
        """Students at the rates that are tried first."""
        return self.students[BEYOND:-BEYOND]


def _at_rates(plain: Student, middle: float = 1.0) -> Rates:
    """A student at `middle` times the ladder's learning rate, at half and twice that, and further out."""
    factors = [middle * 2.0**power for power in range(-1 - BEYOND, 2 + BEYOND)]
    return Rates(tuple(replace(plain, name=_named(plain.name, RATES[rate]), rate=rate) for rate in factors))


def _scalars(start: float) -> KroneckerFactorisation:
    return KroneckerFactorisation(FOUR, terms=4, scalars=True, scalar=start)


ONE_81M = KroneckerFactorisation(P81)
CONSTANT = _at_rates(Student("81M", ONE_81M))
COSINE = _at_rates(Student("81M-cosine", ONE_81M, schedule="cosine", share=HALFWAY), middle=2.0)
"""Its mean rate is half its peak."""
DISTILLED_HALVES = _at_rates(Student("half-distilled", half=True, objective=Objective.TRIPLE))
SIZES = (
    Student("67M", KroneckerFactorisation(P67)),
    *(Student(f"MF1-{k}", KroneckerFactorisation(MF1, terms=k), share=HALFWAY) for k in (1, 2, 3)),
    Student("MF2-1", KroneckerFactorisation(MF2)),
    Student("MF2-2", KroneckerFactorisation(MF2, terms=2)),
    Student("MF2-3", KroneckerFactorisation(MF2, terms=3), share=HALFWAY),
)
WITH_SCALARS = tuple(
    Student(
        _named("4-terms-scalars", "" if start == 1 else f"from-{start}"),
        _scalars(start),
        scalar_rate=SCALAR_RATE,
        share=1.0 if start == 1 else HALFWAY,
    )
    for start in STARTS
)
INHERITED = (
    Student("81M-random-factors", ONE_81M, inherited=Inherited.NO_FACTORS, share=HALFWAY),
    Student("81M-all-random", ONE_81M, inherited=Inherited.NOTHING, share=HALFWAY),
    Student("81M-frozen-embeddings", ONE_81M, frozen=("wte", "wpe", "lm_head"), share=HALFWAY),
    Student("4-terms-scalars-frozen-at-4", _scalars(4), frozen=("scalars",), share=HALFWAY),
)
OTHERS = (
    Student("half", half=True),
    Student("81M-distilled", ONE_81M, objective=Objective.TRIPLE),
    Student("95M-van-loan", KroneckerFactorisation(P95)),
    Student("95M-pruned", KroneckerFactorisation(P95, start=Start.PRUNED)),
    Student("4-terms", KroneckerFactorisation(FOUR, terms=4)),
    Student("many-small", KroneckerFactorisation(MANY_SMALL, terms=8)),
    Student(
        "tqcompressor",
        KroneckerFactorisation((4, 2), terms=4, start=Start.PERMUTED),
        odd_layers=True,
        objective=Objective.SOFT,
    ),
    Student("kngpt2", KroneckerFactorisation(P95), odd_layers=True, objective=Objective.INTERMEDIATE),
    Student("81M-small-batch", ONE_81M, batch_divisor=STEADY, share=HALFWAY),
    *(Student(f"81M-{name}", ONE_81M, then=phase) for name, phase in PHASES.items()),
)
STUDENTS = {
    student.name: student
    for student in (*CONSTANT.first, *COSINE.first, *DISTILLED_HALVES.first, *SIZES, *WITH_SCALARS, *INHERITED, *OTHERS)
}


def student(name: str) -> Student:
    """Rung of the ladder by its name."""
    return STUDENTS[name]
