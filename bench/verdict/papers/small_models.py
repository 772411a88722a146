"""Claims of "Exploring the Limits of Small Language Models" (SL). Identifiers are stable."""

from __future__ import annotations

from bench.verdict.papers.claim import Paper, Revision, claim

SMALL_MODELS = Paper("small_models", "Exploring the Limits of Small Language Models", "T5 Tiny to Base, C4, GLUE MNLI")

CLAIMS = (
    claim(SMALL_MODELS, "SL1", "Table 3.1", "The sizes build and count: 16M, 31M, 60M, 220M."),
    claim(
        SMALL_MODELS,
        "SL2",
        "Table 4.1",
        "Removing every FFN costs 2.7 points and two thirds of parameters; encoder only, 2.1.",
        a="Removing every network costs accuracy, and not much.",
        b="It saves two thirds of the parameters.",
        c="It saves two thirds of the operations.",
        d="Removing the encoder's costs less.",
    ),
    claim(SMALL_MODELS, "SL3", "Table 4.2", "Longer training keeps helping, with falling returns."),
    claim(SMALL_MODELS, "SL4", "Table 4.3", "More heads or larger heads help, at a cost."),
    claim(
        SMALL_MODELS,
        "SL5",
        "Table 4.4",
        "FFN as one matrix: 3 trained matrices > 2 > 1 > 1 + ReLU; they collapse exactly.",
        a="3 matrices beat 2.",
        b="2 beat 1.",
        c="1 beats 1 with ReLU.",
        d="Chains collapse exactly.",
    ),
    claim(
        SMALL_MODELS,
        "SL6",
        "Table 4.5",
        "Expansion during training matters: 4× ≈ 2× > 1.5× > 1.2×.",
        a="4× is as good as 2×.",
        b="2× beats 1.5×.",
        c="1.5× beats 1.2×.",
        d="At most 1.5× is no better than 2 matrices.",
    ),
    claim(
        SMALL_MODELS,
        "SL7",
        "Table 4.6",
        "A teacher close in size keeps the mean and cuts the spread over seeds.",
        a="The mean is kept.",
        b="The spread is cut.",
    ),
    claim(
        SMALL_MODELS,
        "SL8",
        "§4.1",
        "Longer linear warm-up cuts the spread over seeds; outliers are only ever low.",
        a="The spread is cut.",
        b="Outliers are low.",
    ),
    claim(SMALL_MODELS, "SL9", "Tables 4.1–4.5", "The parameter columns against arithmetic."),
    claim(SMALL_MODELS, "SL10", "§2.2", "Below about 1024 tokens the FFN dominates latency."),
    claim(SMALL_MODELS, "SL11", "Table 4.6", "Distillation beats the baseline by 1.2 to 1.4 points.", built=False),
    claim(
        SMALL_MODELS,
        "SL12",
        "Table 4.6",
        "Distillation raises the spread over seeds above the baseline's.",
        built=False,
    ),
)
REVISIONS: tuple[Revision, ...] = ()
