"""Every claim of the four papers that the suite carries. Identifiers are stable."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One of the papers."""

    key: str
    title: str
    models: str
    """What the paper measured on."""


@dataclass(frozen=True)
class Claim:
    """One statement of a paper."""

    id: str
    paper: Paper
    place: str
    text: str


LONG_CONTEXT = Paper("long-context", "Evaluating Zero-Shot Long-Context LLM Compression", "LLaMA-2-7B-32K, WikiText")
KRONY_PT = Paper("krony-pt", "Kronecker Products and GPT2 (Krony-PT)", "GPT-2 124M, OpenWebText")
SURVEY = Paper(
    "survey", "A Brief Survey of Model Compression in Language Models", "OPT-125M and the surveyed papers' models"
)
SMALL_MODELS = Paper("small-models", "Exploring the Limits of Small Language Models", "T5 Tiny to Base, C4, GLUE MNLI")
PAPERS = (LONG_CONTEXT, KRONY_PT, SURVEY, SMALL_MODELS)

_TEXTS = {
    LONG_CONTEXT: (
        ("LC1", "Fig. 1", "Magnitude and Wanda pruning: KL does not change much with context length (10, 30, 50 %)."),
        ("LC2", "Fig. 1", "The pruning ratio affects only the variance of KL across context lengths, not its level."),
        ("LC3", "Fig. 3, 4", "Weights at ≤ 4 bits: KL grows with context; at 3 bits very clearly; at 8 bits not."),
        ("LC4", "Fig. 3", "The same with activations quantized too: W8A8, W4A8, W4A4, W3A8."),
        ("LC5", "Fig. 2", "2 % of weight groups, the largest, at 8 bits remove the growth; the level hardly changes."),
        ("LC6", "Fig. 5", "Random pruning of 10 % of weights: KL rises almost linearly with context length."),
        ("LC7", "§4.1, eq. 1–5", "The variance of the noise summed by attention grows linearly with position t."),
        ("LC8", "§4.3", "Long-range dependence rests on few large weights."),
    ),
    KRONY_PT: (
        ("KP1", "Tables 1, 2", "Parameter counts of every factorisation, exact."),
        ("KP2", "§3.8", "rank(A⊗B) = rank A · rank B; the listed shapes attain rank 768."),
        ("KP3", "§3.5", "Van Loan: k terms of the rearranged matrix's SVD are the best k-term Kronecker sum."),
        ("KP4", "Table 4", "The 81M model beats DistilGPT2 in perplexity, trained without distillation."),
        ("KP5", "Table 3", "95M: the pruning-based initialisation does as well as Van Loan."),
        ("KP6", "§4.6, Table 6", "Several factors alone help little; a trained scalar per factor helps."),
        ("KP7", "§4.5", "Below about 80M quality falls off: one factor beats many small ones of the same total."),
        ("KP8", "§1, §4.9", "Distillation brings no benefit over plain cross-entropy."),
        ("KP9", "Table 5", "On par with TQCompressedGPT2 and KnGPT-2 (119M)."),
        ("KP10", "§4.6", "Scalars cost no inference time: folding them into a factor is exact."),
        ("KP11", "§5.1", "Counting: with an untied output matrix '81M' is about 120M."),
        ("KP12", "§4.1", "A constant learning rate beats cosine with warm-up; larger batches give steadier loss."),
    ),
    SURVEY: (
        ("SV1", "experiment", "GPTQ in groups of 128: 8 and 4 bits nearly unaffected, 3 degraded, 2 unusable."),
        ("SV2", "experiment", "Bits per byte is not a rescaling of byte perplexity."),
        ("SV3", "pruning", "Magnitude pruning drops seriously without retraining; Wanda, SparseGPT stay performant."),
        ("SV4", "Wanda", "Comparison groups: per output beats per layer beats global, already for magnitude."),
        ("SV5", "Mishra 2021", "2:4 sparsity accelerates where hardware has it; unstructured sparsity does not."),
        ("SV6", "LLM-Pruner", "Structured pruning gives speed, loses more quality than unstructured at equal count."),
        ("SV7", "low rank", "Fisher-weighted SVD beats SVD at equal rank; low-rank plus sparse beats either alone."),
        ("SV8", "Noach & Goldberg 2020", "SVD followed by feature distillation recovers what SVD alone loses."),
        ("SV9", "GPTQ", "GPTQ beats round-to-nearest at equal bits and groups."),
        ("SV10", "AWQ", "AWQ reaches mixed-precision quality with one data type."),
        ("SV11", "QAT", "Quantization-aware training beats post-training quantization at equal bits."),
        ("SV12", "LLM.int8()", "With outlier features kept in higher precision, 8-bit inference loses nothing."),
        ("SV13", "Deep Compression", "Prune, quantize and Huffman-code: the real compression ratio against quality."),
        ("SV14", "lottery ticket", "A sparse subnetwork trained from its own initialisation reaches dense accuracy."),
        ("SV15", "distillation", "Soft targets help; reverse against forward KL; students lose out of distribution."),
        ("SV16", "step by step", "Rationales as a second target beat labels alone with less data."),
        ("SV17", "ZeroQuant-FP", "W4A8 in floating point against integers at equal bits."),
        ("SV18", "LoRA", "Ranks as low as 1–2 suffice for fine-tuning."),
        ("SV19", "Zephyr", "Preference distillation moves a student's preferences where supervised does not."),
    ),
    SMALL_MODELS: (
        ("SL1", "Table 3.1", "The sizes build and count: 16M, 31M, 60M, 220M."),
        ("SL2", "Table 4.1", "Removing every FFN costs 2.7 points and two thirds of parameters; encoder only, 2.1."),
        ("SL3", "Table 4.2", "Longer training keeps helping, with falling returns."),
        ("SL4", "Table 4.3", "More heads or larger heads help, at a cost."),
        ("SL5", "Table 4.4", "FFN as one matrix: 3 trained matrices > 2 > 1 > 1 + ReLU; they collapse exactly."),
        ("SL6", "Table 4.5", "Expansion during training matters: 4× ≈ 2× > 1.5× > 1.2×."),
        ("SL7", "Table 4.6", "A teacher close in size keeps the mean and cuts the spread over seeds."),
        ("SL8", "§4.1", "Longer linear warm-up cuts the spread over seeds; outliers are only ever low."),
        ("SL9", "Tables 4.1–4.5", "The parameter columns against arithmetic."),
        ("SL10", "§2.2", "Below about 1024 tokens the FFN dominates latency."),
    ),
}

CLAIMS = {
    identifier: Claim(identifier, paper, place, text)
    for paper, rows in _TEXTS.items()
    for identifier, place, text in rows
}
NOT_BUILT = "not built yet"
