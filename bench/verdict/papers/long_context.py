"""Claims of "Evaluating Zero-Shot Long-Context LLM Compression" (LC). Identifiers are stable."""

from __future__ import annotations

from bench.verdict.papers.claim import Paper, claim

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
    claim(
        LONG_CONTEXT,
        "LC9",
        "§3",
        "Long context declines with weights, activations and the KV cache quantized.",
        built=False,
    ),
)
