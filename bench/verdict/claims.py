"""Claims of the four papers: where each stands, what it says, and its parts. Identifiers are stable.

A part is a sentence that can be true or false by itself. What measures it is declared as rows in the paper's folder.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A paper whose claims are tested."""

    key: str
    """Name of its folder under `bench/`."""
    title: str
    models: str
    """Models and text that the paper measured on."""


@dataclass(frozen=True)
class Claim:
    """One statement of a paper."""

    id: str
    paper: Paper
    place: str
    text: str
    parts: dict[str, str]
    """Sentences by letter."""
    built: bool = True
    """True if the suite has rows for it."""


LONG_CONTEXT = Paper("long_context", "Evaluating Zero-Shot Long-Context LLM Compression", "LLaMA-2-7B-32K, WikiText")
KRONY_PT = Paper("krony", "Kronecker Products and GPT2 (Krony-PT)", "GPT-2 124M, OpenWebText")
SURVEY = Paper(
    "survey", "A Brief Survey of Model Compression in Language Models", "OPT-125M and the surveyed papers' models"
)
SMALL_MODELS = Paper("small_models", "Exploring the Limits of Small Language Models", "T5 Tiny to Base, C4, GLUE MNLI")
PAPERS = (LONG_CONTEXT, KRONY_PT, SURVEY, SMALL_MODELS)
INSTRUMENTS = {
    "INSTRUMENT": "Noise floors, positive controls and baselines: can the instruments see what they judge?",
    "VERDICTS": "Errors of the verdict engine, simulated with a known truth.",
    "CHECKPOINT": "A user's checkpoint against the dense model that it was made from.",
}
"""Instruments that measure the suite itself, and a user's checkpoint."""


def _claim(paper: Paper, identifier: str, place: str, text: str, *, built: bool = True, **parts: str) -> Claim:
    return Claim(identifier, paper, place, text, parts or {"a": text}, built)


_ALL = (
    _claim(
        LONG_CONTEXT,
        "LC1",
        "Fig. 1",
        "Magnitude and Wanda pruning: KL does not change much with context length (10, 30, 50 %).",
        a="Magnitude pruning: flat at every sparsity.",
        b="Wanda: flat at every sparsity.",
    ),
    _claim(
        LONG_CONTEXT,
        "LC2",
        "Fig. 1",
        "The pruning ratio affects only the variance of KL across context lengths, not its level.",
        a="The variance rises with the ratio.",
        b="The level does not change with the ratio.",
    ),
    _claim(
        LONG_CONTEXT,
        "LC3",
        "Fig. 3, 4",
        "Weights at ≤ 4 bits: KL grows with context; at 3 bits very clearly; at 8 bits not.",
        a="8 bits: flat.",
        b="4 bits: grows.",
        c="3 bits: grows clearly.",
        d="Quantization grows more than pruning does at the same KL.",
    ),
    _claim(
        LONG_CONTEXT,
        "LC4",
        "Fig. 3",
        "The same with activations quantized too: W8A8, W4A8, W4A4, W3A8.",
        a="8 bits: flat.",
        b="4-bit weights: grows.",
        c="3-bit weights: grows clearly.",
        d="Quantization grows more than pruning does at the same KL.",
    ),
    _claim(
        LONG_CONTEXT,
        "LC5",
        "Fig. 2",
        "2 % of weight groups, the largest, at 8 bits remove the growth; the level hardly changes.",
        a="With protection the growth is gone.",
        b="The level stays within the band.",
    ),
    _claim(
        LONG_CONTEXT,
        "LC6",
        "Fig. 5",
        "Random pruning of 10 % of weights: KL rises almost linearly with context length.",
        a="KL grows.",
        b="It grows along a straight line.",
    ),
    _claim(
        LONG_CONTEXT,
        "LC7",
        "§4.1, eq. 1–5",
        "The variance of the noise summed by attention grows linearly with position t.",
    ),
    _claim(LONG_CONTEXT, "LC8", "§4.3", "Long-range dependence rests on few large weights."),
    _claim(
        LONG_CONTEXT,
        "LC9",
        "§3",
        "Long context declines with weights, activations and the KV cache quantized.",
        built=False,
    ),
    _claim(
        KRONY_PT,
        "KP1",
        "Tables 1, 2",
        "Parameter counts of every factorisation, exact.",
        a="Table 1, to the parameter.",
        b="Table 2, to its printed digit.",
        c="The text's 92.2M of four terms.",
    ),
    _claim(KRONY_PT, "KP2", "§3.8", "rank(A⊗B) = rank A · rank B; the listed shapes attain rank 768."),
    _claim(
        KRONY_PT, "KP3", "§3.5", "Van Loan: k terms of the rearranged matrix's SVD are the best k-term Kronecker sum."
    ),
    _claim(KRONY_PT, "KP4", "Table 4", "The 81M model beats DistilGPT2 in perplexity, trained without distillation."),
    _claim(KRONY_PT, "KP5", "Table 3", "95M: the pruning-based initialisation does as well as Van Loan."),
    _claim(
        KRONY_PT,
        "KP6",
        "§4.6, Table 6",
        "Several factors alone help little; a trained scalar per factor helps.",
        a="Several factors alone help little.",
        b="Trained scalars help.",
        c="Scalars settle near 4 whatever their start.",
    ),
    _claim(
        KRONY_PT,
        "KP7",
        "§4.5",
        "Below about 80M quality falls off: one factor beats many small ones of the same total.",
        a="Below about 80M quality falls off.",
        b="One factor beats many small ones of the same total.",
    ),
    _claim(KRONY_PT, "KP8", "§1, §4.9", "Distillation brings no benefit over plain cross-entropy."),
    _claim(KRONY_PT, "KP9", "Table 5", "On par with TQCompressedGPT2 and KnGPT-2 (119M)."),
    _claim(
        KRONY_PT,
        "KP10",
        "§4.6",
        "Scalars cost no inference time: folding them into a factor is exact.",
        a="Folding is exact.",
        b="A folded layer takes no longer.",
    ),
    _claim(KRONY_PT, "KP11", "§5.1", "Counting: with an untied output matrix '81M' is about 120M."),
    _claim(
        KRONY_PT,
        "KP12",
        "§4.1",
        "A constant learning rate beats cosine with warm-up; larger batches give steadier loss.",
        a="A constant rate beats cosine with warm-up.",
        b="Larger batches give steadier loss.",
    ),
    _claim(
        KRONY_PT,
        "KP13",
        "§4.1",
        "A second phase with very large batches on about a tenth of the data helps.",
        built=False,
    ),
    _claim(
        KRONY_PT, "KP14", "§4.9", "Longer training stops helping on WikiText and still helps on LAMBADA.", built=False
    ),
    _claim(
        KRONY_PT,
        "KP15",
        "§4.7, §4.8, §5.2",
        "What is inherited: students lose with random factors, or with everything random.",
        built=False,
    ),
    _claim(
        SURVEY,
        "SV1",
        "experiment",
        "GPTQ in groups of 128: 8 and 4 bits nearly unaffected, 3 degraded, 2 unusable.",
        a="8 bits: nearly unaffected.",
        b="4 bits: nearly unaffected.",
        c="3 bits: slightly degraded.",
        d="2 bits: unusable.",
    ),
    _claim(SURVEY, "SV2", "experiment", "Bits per byte is not a rescaling of byte perplexity."),
    _claim(
        SURVEY,
        "SV3",
        "pruning",
        "Magnitude pruning drops seriously without retraining; Wanda, SparseGPT stay performant.",
        a="Magnitude pruning drops seriously.",
        b="Wanda beats it.",
        c="SparseGPT beats it.",
        d="Wanda stays performant.",
        e="SparseGPT stays performant.",
    ),
    _claim(SURVEY, "SV4", "Wanda", "Comparison groups per output improve magnitude pruning over groups per layer."),
    _claim(
        SURVEY,
        "SV5",
        "Mishra 2021",
        "2:4 sparsity accelerates where hardware has it; unstructured sparsity does not.",
        a="2:4 is faster where hardware has it.",
        b="Unstructured sparsity is no faster on dense kernels.",
    ),
    _claim(
        SURVEY,
        "SV6",
        "LLM-Pruner",
        "Structured pruning gives speed, loses more quality than unstructured at equal count.",
        a="It is faster.",
        b="It loses more quality.",
    ),
    _claim(
        SURVEY,
        "SV7",
        "low rank",
        "Fisher-weighted SVD beats SVD at equal rank; low-rank plus sparse beats either alone.",
        built=False,
        a="SVD is coarse for transformers.",
        b="Fisher-weighted SVD beats SVD at equal rank.",
        c="Low rank plus sparse beats either at equal budget.",
    ),
    _claim(
        SURVEY,
        "SV8",
        "Noach & Goldberg 2020",
        "SVD followed by feature distillation recovers what SVD alone loses.",
        built=False,
    ),
    _claim(
        SURVEY, "SV9", "GPTQ", "GPTQ beats round-to-nearest at equal bits and groups.", a="At 4 bits.", b="At 3 bits."
    ),
    _claim(SURVEY, "SV10", "AWQ", "AWQ reaches mixed-precision quality with one data type."),
    _claim(
        SURVEY,
        "SV11",
        "QAT",
        "Quantization-aware training beats post-training quantization at equal bits.",
        built=False,
    ),
    _claim(
        SURVEY, "SV12", "LLM.int8()", "With outlier features kept in higher precision, 8-bit inference loses nothing."
    ),
    _claim(
        SURVEY,
        "SV13",
        "Deep Compression",
        "Prune, quantize and Huffman-code: the real compression ratio against quality.",
    ),
    _claim(
        SURVEY,
        "SV14",
        "lottery ticket",
        "A sparse subnetwork trained from its own initialisation reaches dense accuracy.",
        built=False,
        a="The ticket reaches dense accuracy.",
        b="A random one does not.",
    ),
    _claim(
        SURVEY,
        "SV15",
        "distillation",
        "Soft targets help; logits beat labels; students lose out of distribution; patient distillation.",
        a="Soft targets with temperature beat labels.",
        b="BERT to BiLSTM: logits beat labels.",
        c="Students lose more out of distribution.",
        d="Hidden states beside logits beat logits alone.",
    ),
    _claim(SURVEY, "SV16", "step by step", "Rationales as a second target beat labels alone with less data."),
    _claim(SURVEY, "SV17", "ZeroQuant-FP", "W4A8 in floating point against integers at equal bits."),
    _claim(SURVEY, "SV18", "LoRA", "Ranks as low as 1–2 suffice for fine-tuning.", built=False),
    _claim(
        SURVEY,
        "SV19",
        "Zephyr",
        "Preference distillation moves a student's preferences where supervised does not.",
        built=False,
    ),
    _claim(SURVEY, "SV20", "Discussion", "Which technique is best depends on the footprint.", built=False),
    _claim(
        SURVEY,
        "SV21",
        "Han 2015",
        "Retraining regains what pruning loses; iterative pruning beats one shot.",
        built=False,
        a="Retraining regains what pruning loses.",
        b="Iterative pruning beats one shot.",
    ),
    _claim(
        SURVEY,
        "SV22",
        "LLM.int8()",
        "Language models have outlier features, orders of magnitude larger than the average.",
        built=False,
    ),
    _claim(
        SURVEY, "SV23", "OBD, OBS, OBC", "Second-order saliencies rank weights better than magnitude does.", built=False
    ),
    _claim(SMALL_MODELS, "SL1", "Table 3.1", "The sizes build and count: 16M, 31M, 60M, 220M."),
    _claim(
        SMALL_MODELS,
        "SL2",
        "Table 4.1",
        "Removing every FFN costs 2.7 points and two thirds of parameters; encoder only, 2.1.",
        a="Removing every network costs accuracy, and not much.",
        b="It saves two thirds of the parameters.",
        c="It saves two thirds of the operations.",
        d="Removing the encoder's costs less.",
    ),
    _claim(SMALL_MODELS, "SL3", "Table 4.2", "Longer training keeps helping, with falling returns."),
    _claim(SMALL_MODELS, "SL4", "Table 4.3", "More heads or larger heads help, at a cost."),
    _claim(
        SMALL_MODELS,
        "SL5",
        "Table 4.4",
        "FFN as one matrix: 3 trained matrices > 2 > 1 > 1 + ReLU; they collapse exactly.",
        a="3 matrices beat 2.",
        b="2 beat 1.",
        c="1 beats 1 with ReLU.",
        d="Chains collapse exactly.",
    ),
    _claim(
        SMALL_MODELS,
        "SL6",
        "Table 4.5",
        "Expansion during training matters: 4× ≈ 2× > 1.5× > 1.2×.",
        a="4× is as good as 2×.",
        b="2× beats 1.5×.",
        c="1.5× beats 1.2×.",
        d="At most 1.5× is no better than 2 matrices.",
    ),
    _claim(
        SMALL_MODELS,
        "SL7",
        "Table 4.6",
        "A teacher close in size keeps the mean and cuts the spread over seeds.",
        a="The mean is kept.",
        b="The spread is cut.",
    ),
    _claim(
        SMALL_MODELS,
        "SL8",
        "§4.1",
        "Longer linear warm-up cuts the spread over seeds; outliers are only ever low.",
        a="The spread is cut.",
        b="Outliers are low.",
    ),
    _claim(SMALL_MODELS, "SL9", "Tables 4.1–4.5", "The parameter columns against arithmetic."),
    _claim(SMALL_MODELS, "SL10", "§2.2", "Below about 1024 tokens the FFN dominates latency."),
    _claim(SMALL_MODELS, "SL11", "Table 4.6", "Distillation beats the baseline by 1.2 to 1.4 points.", built=False),
    _claim(
        SMALL_MODELS,
        "SL12",
        "Table 4.6",
        "Distillation raises the spread over seeds above the baseline's.",
        built=False,
    ),
)
CLAIMS = {claim.id: claim for claim in _ALL}
