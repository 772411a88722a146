"""Claims of "Exploring the Limits of Small Language Models" (SL). Identifiers are stable."""

from __future__ import annotations

from bench.verdict.papers.claim import Paper, Revision, claim, without_votes

SMALL_MODELS = Paper("small_models", "Exploring the Limits of Small Language Models", "T5 Tiny to Base, C4, GLUE MNLI")

CLAIMS = (
    claim(SMALL_MODELS, "SL1", "Table 3.1", "The sizes build and count: 16M, 31M, 60M, 220M."),
    claim(
        SMALL_MODELS,
        "SL2",
        "Table 4.1",
        "Removing every FFN costs only 2.7 points and saves two thirds of parameters; encoder only, 2.1.",
        a="Removing every network costs little of the distance to chance.",
        b="It saves two thirds of the parameters.",
        c="It saves two thirds of the operations.",
        d="Removing the encoder's costs little of it.",
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
    claim(SMALL_MODELS, "SL11", "Table 4.6", "Distillation beats the baseline by 1.2 to 1.4 points."),
    claim(SMALL_MODELS, "SL12", "Table 4.6", "Distillation raises the spread over seeds above the baseline's."),
)
FRESH = "seeds from 100 on: those below were scored before"
REVISIONS = (
    Revision(
        "SL2–SL8",
        "0.6.0",
        old="the article that a whole sentence stands in, cut at 24 tokens, among 16; AdamW",
        new="the article that a sentence's first 16 words stand in, among 32, read whole; Adafactor, as T5 has it",
        why="Inputs lost their end, a teacher was 2 points ahead of its student, and chains of matrices did not train.",
        fresh=f"{FRESH}, on another task",
    ),
    Revision(
        "SL2–SL8, SL11, SL12",
        "0.15.0",
        old="every size fine-tuned at a rate of 0.01; tiny of two layers and 8 wide, mini 16, base of three layers",
        new="students at 0.04 and teachers at 0.02; tiny of one layer and 6 wide, mini 8, base of two layers",
        why="On held-out examples students had 9 to 16 points less than at 0.04, so that anything that made them learn "
        "faster seemed to help; and there no teacher was 5 points ahead of a mini 12 or 16 wide.",
        fresh="seeds from 200 on: those below were scored before",
    ),
    Revision(
        "SL11",
        "0.14.0",
        old="students over a baseline at the protocol's rates",
        new="in doubt where they are not ahead of a baseline at the best of eight pairs of rates as well",
        why="On held-out examples the baseline has 10 points more at four times the rate of fine-tuning: what students "
        "gain at the protocol's is less than that.",
        fresh="baselines on seeds from 180 on; the interval is as it was",
    ),
    Revision(
        "SL2a, SL2d",
        "0.6.0",
        old="any cost of removing networks; less cost of removing the encoder's",
        new="at most twice the share of the distance to chance that Table 4.1 shows: 12 %, and 9.4 %",
        why="The paper's point is that the cost is small, and a point means another thing on another task.",
        fresh=FRESH,
    ),
    Revision(
        "SL3",
        "0.6.0",
        old="pre-training 1, 2 and 4 times as long; the first doubling gains more than the second",
        new="10 times too; the first doubling gains more than what a doubling does from 4 to 10 times",
        why="Table 4.2 goes to 10 times, and two neighbouring doublings hardly differ.",
        fresh=FRESH,
    ),
    Revision(
        "SL6d",
        "0.6.0",
        old="no row",
        new="chains of three at 1.5x and 1.2x are at most a point better than chains of two",
        why="The paper says so of Table 4.5, and no row did.",
        fresh=FRESH,
    ),
    Revision(
        "SL3, SL8",
        "0.13.0",
        old="judged on any task that tells sizes apart",
        new="only where pre-training gains anything over none",
        why="With two seeds it gains half a point, and ten times as much of it costs three: the task is learned from "
        "its own examples.",
        fresh="nothing: it is the instrument that is asked more",
    ),
    Revision(
        "SL2a, SL2d",
        "0.14.0",
        old="all models at the protocol's rates",
        new="at these, and each at the best of eight pairs of rates on held-out examples: both vote",
        why="T5's own network has 10 points more at rates of its own; what costs little at one rate may cost more "
        "between models that are each as good as they can be.",
        fresh="seeds from 180 on",
    ),
    Revision(
        "SL5a–c, SL6",
        "0.13.0",
        old="all chains at the protocol's rates",
        new="each at the best of eight pairs of rates on held-out examples; the protocol's as controls of SL5",
        why="Chains of three matrices were 7 points behind T5's own network, where the paper has 1. They have 11 "
        "points more of held-out examples at a tenth of the rate of pre-training and twice that of fine-tuning.",
        fresh="nothing yet; seeds from 180 on",
    ),
    Revision(
        "SL7",
        "0.6.0",
        old="each teacher with the α and T of Table 4.6; 10 seeds; any teacher ahead of its student",
        new="α and T chosen on held-out examples, those of Table 4.6 as controls; to 40 seeds; a lead of 5 points",
        why="Table 4.6 has α 0.1 with one teacher and 0.9 with the other, and at T 3 nearly all of a target lay on "
        "tokens that are never answers.",
        fresh=FRESH,
    ),
    Revision(
        "SL8",
        "0.6.0",
        old="warm-ups of 10 and 20 % of the steps from one peak; every result judged",
        new="warm-ups of 1.9 and 3.8 %, as the paper has them, with the same rates after both; judged where a run "
        "fails to converge, at the protocol's rate and at thrice it",
        why="The longer warm-up of one peak also raises all later rates by √2, and without a failing run there is "
        "nothing to cure.",
        fresh=FRESH,
    ),
    Revision(
        "SL11, SL12",
        "0.6.0",
        old="no row",
        new="each of the four students over its baseline: the mean, and the spread over seeds",
        why="Table 4.6 shows both.",
        fresh=FRESH,
    ),
    without_votes("SL3, SL4, SL6, SL8", fresh="nothing yet"),
)
