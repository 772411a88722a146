"""Claims of "Evaluating Zero-Shot Long-Context LLM Compression" (LC). Identifiers are stable."""

from __future__ import annotations

from bench.verdict.papers.claim import Paper, Revision, claim

LONG_CONTEXT = Paper("long_context", "Evaluating Zero-Shot Long-Context LLM Compression", "LLaMA-2-7B-32K, WikiText")

CLAIMS = (
    claim(
        LONG_CONTEXT,
        "LC1",
        "Fig. 1",
        "Magnitude and Wanda pruning: KL does not change much with context length (10, 30, 50 %).",
        a="Magnitude pruning: flat at every sparsity.",
        b="Wanda: flat at every sparsity.",
    ),
    claim(
        LONG_CONTEXT,
        "LC2",
        "Fig. 1",
        "The pruning ratio affects only the variance of KL across context lengths, not its level.",
        a="The variance rises with the ratio.",
        b="The level does not change with the ratio.",
    ),
    claim(
        LONG_CONTEXT,
        "LC3",
        "Fig. 3, 4",
        "Weights at ≤ 4 bits: KL grows with context; at 3 bits very clearly; at 8 bits not.",
        a="8 bits: flat.",
        b="4 bits: grows.",
        c="3 bits: grows clearly.",
        d="Quantization grows more than pruning does at the same KL.",
    ),
    claim(
        LONG_CONTEXT,
        "LC4",
        "Fig. 3",
        "The same with activations quantized too: W8A8, W4A8, W4A4, W3A8.",
        a="8 bits: flat.",
        b="4-bit weights: grows.",
        c="3-bit weights: grows clearly.",
        d="Quantization grows more than pruning does at the same KL.",
    ),
    claim(
        LONG_CONTEXT,
        "LC5",
        "Fig. 2",
        "2 % of weight groups, the largest, at 8 bits remove the growth; the level hardly changes.",
        a="With protection the growth is gone.",
        b="The level stays within the band.",
    ),
    claim(
        LONG_CONTEXT,
        "LC6",
        "Fig. 5",
        "Random pruning of 10 % of weights: KL rises almost linearly with context length.",
        a="KL grows.",
        b="It grows along a straight line.",
    ),
    claim(
        LONG_CONTEXT,
        "LC7",
        "§4.1, eq. 1–5",
        "The variance of the noise summed by attention grows linearly with position t.",
    ),
    claim(LONG_CONTEXT, "LC8", "§4.3", "Long-range dependence rests on few large weights."),
    claim(LONG_CONTEXT, "LC9", "§3", "Long context declines with the key/value cache quantized to 4 bits or fewer."),
)
FRESH = "articles whose sha256 is above 2…: those below were scored before"
REVISIONS = (
    Revision(
        "LC1, LC3–LC6, LC8",
        "0.6.0",
        old="KL at the longest context over KL at the shortest, flat within 0.8 to 1.25",
        new="growth of KL per doubling of context, flat within 1.25^±¼",
        why="The old bound depends on the range: what is doubled at 32K has grown 1.06 times here.",
        fresh=FRESH,
    ),
    Revision(
        "LC1–LC6, LC8",
        "0.6.0",
        old="every variant votes",
        new="a variant that predicts worse than the text's token frequencies does not vote",
        why="What is left is no language model; 10 % pruned at random came to 8.1 nats where frequencies have 6.4.",
        fresh=FRESH,
    ),
    Revision(
        "LC3–LC5, LC8",
        "0.6.0",
        old="groups of 64 weights",
        new="groups of 128 weights; 64 as a control",
        why="The paper's quantizer has groups of 128.",
        fresh=FRESH,
    ),
    Revision(
        "LC3c, LC3d, LC4c, LC4d",
        "0.6.0",
        old="no row",
        new="3 bits grow more than 8 bits; quantization grows more than pruning of the same KL",
        why="The paper's contrast is between methods, and levels that differ a hundredfold hide it.",
        fresh=FRESH,
    ),
    Revision(
        "LC5",
        "0.6.0",
        old="growth with protected groups is flat; weights alone",
        new="and smaller than without; weights alone, and activations quantized too",
        why="Fig. 2 shows both, and a growth that was never there cannot disappear.",
        fresh=FRESH,
    ),
    Revision(
        "LC6",
        "0.6.0",
        old="one mask; KL at the middle context within a tenth of the straight line between the ends",
        new="five masks, whose spread is in the interval; a line fits better than a logarithm; 1 to 5 % beside 10 %",
        why="Masks differ more than documents, and 10 % at random ruins a small model.",
        fresh="masks and documents",
    ),
)
