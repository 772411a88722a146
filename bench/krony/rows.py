"""Rows on the students of Krony-PT's ladder."""

from __future__ import annotations

from bench.krony.qualification import CLEARLY
from bench.krony.rungs import CONSTANT, COSINE, DISTILLED_HALVES, HALFWAY, STARTS, WITH_SCALARS, student
from bench.krony.students import Student
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row

BETTER = Region(low=1.0)
LOWER = "lower perplexity, however little"
LITTLE = Region(high=1.05)
NEARLY = "Table 3: 35.50 against 36.02 and 61.34 against 59.95 differ by at most 2.3 %; no worse than 5 % is as well"
NO_BENEFIT = Region(high=1.02)
ON_PAR = Region(0.9, 1.1)
PAR = "Table 5 calls 8.5 % on par; each by its own training loss"
MUCH = "Table 6 gains 7 to 9 % on WikiText with scalars; up to 5 % is not much"
NEAR_FOUR = Region(3.5, 4.5)


def contest(
    of: str, pair: tuple[Student, ...], accept: Region, because: str, *, row: str = "", control: bool = False
) -> Row:
    """Row on the perplexity of one student over another's."""
    first, second = pair[0], pair[-1]
    name = f"{of.rstrip('abcdefgh')}-trained-{row or f'{first}-over-{second}'}"
    return Row(name, of, f"perplexity of {first} over that of {second}", accept, because, pair, control=control)


def pair(first: str, second: str) -> tuple[Student, ...]:
    """Two students by name."""
    return student(first), student(second)


def size(name: str) -> Row:
    """Control: a size of Tables 1 and 2 on the curve."""
    return contest("KP7a", pair(name, "81M"), BETTER, "Tables 1 and 2, at half of the tokens", control=True)


def settles(start: int, rung: Student) -> Row:
    """Row on where the scalars of one start end."""
    suffix = "" if start == 1 else f"-from-{start}"
    statistic = f"mean scalar after training, from {start} (over seeds)"
    because = "§4.7: scalars converge to around 4, no matter what the initialization is"
    return Row(f"KP6-trained-scalars-settle{suffix}", "KP6c", statistic, NEAR_FOUR, because, (rung,))


NGRAM_ROW = Row(
    "INSTRUMENT-teacher-over-5-gram",
    "INSTRUMENT",
    "perplexity of a 5-gram model over the teacher's",
    GROWS,
    "a teacher that counting beats cannot judge",
)
HALF_ROW = Row(
    "INSTRUMENT-teacher-over-half",
    "INSTRUMENT",
    "perplexity of half the depth from scratch over the teacher's",
    Region(low=CLEARLY),
    "depth must be worth something for students that keep half of it",
)
FOLLOWED = [
    contest("KP4a", pair("half", "81M"), BETTER, "DistilGPT2 is distilled; this one is not", control=True),
    contest("KP5a", pair("95M-pruned", "95M-van-loan"), LITTLE, NEARLY, row="pruned-over-van-loan"),
    contest("KP6a", pair("95M-pruned", "4-terms"), LITTLE, MUCH, row="one-over-4-terms"),
    contest("KP6a", pair("95M-van-loan", "4-terms"), LITTLE, "one factor of the same start", control=True),
    contest("KP6b", pair("4-terms", "4-terms-scalars"), BETTER, LOWER, row="4-terms-over-scalars"),
    contest("KP7a", pair("MF2-1", "81M"), BETTER, "74M of Tables 1 and 2, of the same start", row="74M-over-81M"),
    contest("KP7b", pair("many-small", "81M"), BETTER, LOWER),
    contest("KP7b", pair("MF2-2", "81M"), BETTER, "Table 2's 80M of two factors", row="2-terms-of-80M-over-81M"),
    contest("KP8a", pair("81M", "81M-distilled"), NO_BENEFIT, "within 2 %", row="81M-over-distilled"),
    contest(
        "KP8a",
        pair("half", "half-distilled"),
        NO_BENEFIT,
        "DistilGPT2's form, of which the paper does not speak",
        row="half-over-distilled",
        control=True,
    ),
    contest("KP9a", pair("81M", "tqcompressor"), ON_PAR, PAR),
    contest("KP9a", pair("81M", "kngpt2"), ON_PAR, PAR),
]
DISTIL = Row(
    "KP4-trained-half-distilled-over-81M",
    "KP4a",
    "perplexity of half the layers, distilled, over that of 81M, each at its best rate of three or more",
    BETTER,
    "lower perplexity, however little; rates are chosen on held-out text",
    (*DISTILLED_HALVES.first, *CONSTANT.first),
)
BEND = Row(
    "KP7-trained-bend-at-81M",
    "KP7a",
    "perplexity of 67M times that of 95M over the square of 81M's: sizes nearly equally far apart",
    BETTER,
    "from 81M down more is lost than from 95M down",
    (student("67M"), student("81M"), student("95M-van-loan")),
)
EQUAL_TOKENS = {
    0.1: [
        contest(
            "KP8a",
            pair("81M", "81M-distilled"),
            NO_BENEFIT,
            "at a tenth of the tokens",
            row="81M-over-distilled-at-a-tenth",
            control=True,
        ),
    ],
    1 / 8: [contest("KP15e", pair("81M", "81M-double-rate"), BETTER, "§4.8: sooner; at an eighth of the tokens")],
    HALFWAY: [
        *map(size, ("MF1-1", "MF1-2", "MF1-3", "MF2-3")),
        contest("KP15a", pair("81M-random-factors", "81M"), BETTER, LOWER),
        contest("KP15b", pair("81M-all-random", "81M"), BETTER, LOWER),
        contest("KP15c", pair("81M-frozen-embeddings", "81M"), LITTLE, "no worse than 5 %"),
        contest("KP15d", pair("4-terms-scalars-frozen-at-4", "4-terms-scalars"), LITTLE, "no worse than 5 %"),
        contest(
            "KP15d",
            pair("4-terms-scalars-frozen-at-4", "4-terms-scalars-from-4"),
            LITTLE,
            "from one start: first factors divided by 4 learn four times as fast, frozen or not",
            control=True,
        ),
    ],
    1.0: [
        contest(
            "KP15e",
            pair("81M", "81M-double-rate"),
            BETTER,
            "at the end of training",
            row="81M-over-81M-double-rate-at-the-end",
            control=True,
        ),
    ],
}
SETTLE = {settles(start, rung): start for start, rung in zip(STARTS, WITH_SCALARS, strict=True)}
SCHEDULES = Row(
    "KP12-trained-cosine-over-constant",
    "KP12a",
    "perplexity with a cosine schedule over that with a constant rate, each at its best rate of three or more",
    BETTER,
    "lower perplexity, however little; rates are chosen on held-out text",
    (*COSINE.first, *CONSTANT.first),
)
UNSTEADY = Row(
    "KP12-trained-small-batch-unsteadier",
    "KP12b",
    "spread of held-out loss along equal tokens with a quarter of the batch over that with all of it (over seeds)",
    BETTER,
    "steadier, however little; the text read is the same each time",
    (student("81M-small-batch"), student("81M")),
)
PHASE = contest(
    "KP13a",
    (student("81M-going-on"), student("81M-second-phase")),
    BETTER,
    LOWER,
    row="going-on-over-second-phase",
)
LONGER = {
    Row(
        "KP14-trained-longer-on-articles",
        "KP14a",
        "perplexity of 81M at half of the tokens over that at their end, on articles of Wikipedia, as WikiText is of",
        Region(high=1.01),
        "under 1 % a doubling it has stopped; this student reads novels, the paper's the web",
        (student("81M"),),
    ): "elsewhere",
    Row(
        "KP14-trained-longer-on-books",
        "KP14b",
        "perplexity of 81M at half of the tokens over that at their end, on novels, as LAMBADA is of",
        BETTER,
        "still helps, however little; this student reads novels, the paper's the web",
        (student("81M"),),
    ): "scored",
}
