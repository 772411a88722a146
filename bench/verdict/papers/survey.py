"""Claims of "A Brief Survey of Model Compression in Language Models" (SV). Identifiers are stable."""

from __future__ import annotations

from bench.verdict.papers.claim import Paper, claim
from bench.verdict.papers.survey_revised import REVISIONS

__all__ = ("CLAIMS", "REVISIONS", "SURVEY")
SURVEY = Paper(
    "survey", "A Brief Survey of Model Compression in Language Models", "OPT-125M and the surveyed papers' models"
)

CLAIMS = (
    claim(
        SURVEY,
        "SV1",
        "experiment",
        "GPTQ in groups of 128: 8 and 4 bits nearly unaffected, 3 degraded, 2 unusable.",
        a="8 bits: nearly unaffected.",
        b="4 bits: nearly unaffected.",
        c="3 bits: slightly degraded.",
        d="2 bits: unusable.",
    ),
    claim(SURVEY, "SV2", "experiment", "Bits per byte is not a simple rescaling of byte perplexity by ln 2."),
    claim(
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
    claim(SURVEY, "SV4", "Wanda", "Comparison groups per output improve magnitude pruning over groups per layer."),
    claim(
        SURVEY,
        "SV5",
        "Mishra 2021",
        "2:4 sparsity accelerates where hardware has it; unstructured sparsity does not.",
        a="2:4 is faster where hardware has it.",
        b="Unstructured sparsity is no faster on dense kernels.",
    ),
    claim(
        SURVEY,
        "SV6",
        "LLM-Pruner",
        "Structured pruning gives speed, loses more quality than unstructured at equal count.",
        a="It is faster.",
        b="It loses more quality.",
    ),
    claim(
        SURVEY,
        "SV7",
        "low rank",
        "Fisher-weighted SVD beats SVD at equal rank; low-rank plus sparse beats either alone.",
        a="SVD is coarse for transformers.",
        b="Fisher-weighted SVD beats SVD at equal rank.",
        c="Low rank plus sparse beats either at equal budget.",
    ),
    claim(
        SURVEY,
        "SV8",
        "Noach & Goldberg 2020",
        "SVD followed by feature distillation recovers what SVD alone loses.",
    ),
    claim(
        SURVEY, "SV9", "GPTQ", "GPTQ beats round-to-nearest at equal bits and groups.", a="At 4 bits.", b="At 3 bits."
    ),
    claim(
        SURVEY,
        "SV10",
        "AWQ",
        "AWQ matches mixed precision, salient channels in 16 bits, with one data type.",
    ),
    claim(
        SURVEY,
        "SV11",
        "QAT",
        "Quantization-aware training beats post-training quantization at equal bits.",
        a="At 4 bits.",
        b="At 3 bits.",
        c="At 2 bits.",
    ),
    claim(
        SURVEY, "SV12", "LLM.int8()", "With outlier features kept in higher precision, 8-bit inference loses nothing."
    ),
    claim(
        SURVEY,
        "SV13",
        "Deep Compression",
        "Pruned, quantized and Huffman-coded, with retraining between, networks are 35 to 49 times smaller.",
        a="One-shot: 35 times smaller at the dense model's quality without any retraining.",
        b="35 times smaller at its quality with retraining.",
    ),
    claim(
        SURVEY,
        "SV14",
        "lottery ticket",
        "A sparse subnetwork trained from its own initialisation reaches dense accuracy.",
        a="The ticket reaches dense accuracy.",
        b="A random one does not.",
    ),
    claim(
        SURVEY,
        "SV15",
        "distillation",
        "Soft targets help; logits beat labels; students lose out of distribution; patient distillation.",
        a="Soft targets with temperature beat labels.",
        b="BERT to BiLSTM: logits beat labels.",
        c="Students lose more out of distribution.",
        d="Hidden states beside logits beat logits alone.",
    ),
    claim(SURVEY, "SV16", "step by step", "Rationales as a second target beat labels alone with less data."),
    claim(
        SURVEY,
        "SV17",
        "ZeroQuant-FP",
        "W4A8 in floating point beats integers at equal bits.",
        a="FP8 activations beat INT8 ones on the same weights.",
        b="FP4 weights are comparable, if not superior, to INT4 ones under the same activations.",
    ),
    claim(SURVEY, "SV18", "LoRA", "Ranks as low as 1–2 suffice for fine-tuning."),
    claim(
        SURVEY,
        "SV19",
        "Zephyr",
        "Preference distillation moves a student's preferences where supervised does not.",
        a="It moves them towards the teacher's.",
        b="It moves them further than as much supervised distillation.",
    ),
    claim(
        SURVEY,
        "SV20",
        "Discussion",
        "One technique may outperform another at one memory footprint and fall behind at a different one.",
    ),
    claim(
        SURVEY,
        "SV21",
        "Han 2015",
        "Retraining regains what pruning loses; iterative pruning beats one shot.",
        a="Retraining regains what pruning loses.",
        b="Iterative pruning beats one shot.",
    ),
    claim(
        SURVEY,
        "SV22",
        "LLM.int8()",
        "Language models have outlier features, orders of magnitude larger than the average.",
    ),
    claim(
        SURVEY,
        "SV23",
        "OBD, OBS, OBC",
        "Second-order saliencies rank weights better than magnitude does.",
        a="Optimal Brain Damage's does.",
        b="Optimal Brain Surgeon's does.",
        c="Optimal Brain Compression's, exact and greedy, does.",
    ),
)
