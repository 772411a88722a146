"""Claims of "Kronecker Products and GPT2" (KP). Identifiers are stable."""

from __future__ import annotations

from bench.verdict.papers.claim import Paper, Revision, claim

KRONY_PT = Paper("krony", "Kronecker Products and GPT2 (Krony-PT)", "GPT-2 124M, OpenWebText")

CLAIMS = (
    claim(
        KRONY_PT,
        "KP1",
        "Tables 1, 2",
        "Parameter counts of every factorisation, exact.",
        a="Table 1, to the parameter.",
        b="Table 2, to its printed digit.",
        c="The text's 92.2M of four terms.",
    ),
    claim(KRONY_PT, "KP2", "§3.8", "rank(A⊗B) = rank A · rank B; the listed shapes attain rank 768."),
    claim(
        KRONY_PT, "KP3", "§3.5", "Van Loan: k terms of the rearranged matrix's SVD are the best k-term Kronecker sum."
    ),
    claim(KRONY_PT, "KP4", "Table 4", "The 81M model beats DistilGPT2 in perplexity, trained without distillation."),
    claim(KRONY_PT, "KP5", "Table 3", "95M: the pruning-based initialisation does as well as Van Loan."),
    claim(
        KRONY_PT,
        "KP6",
        "§4.6, Table 6",
        "Several factors alone help little; a trained scalar per factor helps.",
        a="Several factors alone help little.",
        b="Trained scalars help.",
        c="Scalars settle near 4 whatever their start.",
    ),
    claim(
        KRONY_PT,
        "KP7",
        "§4.5",
        "Below about 80M quality falls off: one factor beats many small ones of the same total.",
        a="Below about 80M quality falls off.",
        b="One factor beats many small ones of the same total.",
    ),
    claim(KRONY_PT, "KP8", "§1, §4.9", "Distillation brings no benefit over plain cross-entropy."),
    claim(KRONY_PT, "KP9", "Table 5", "On par with TQCompressedGPT2 and KnGPT-2 (119M)."),
    claim(
        KRONY_PT,
        "KP10",
        "§4.6",
        "Scalars cost no inference time: folding them into a factor is exact.",
        a="Folding is exact.",
        b="A folded layer takes no longer.",
    ),
    claim(KRONY_PT, "KP11", "§5.1", "Counting: with an untied output matrix '81M' is about 120M."),
    claim(
        KRONY_PT,
        "KP12",
        "§4.1",
        "A constant learning rate beats cosine with warm-up; larger batches give steadier loss.",
        a="A constant rate beats cosine with warm-up.",
        b="Larger batches give steadier loss.",
    ),
    claim(
        KRONY_PT,
        "KP13",
        "§4.1",
        "A second phase with very large batches on about a tenth of the data helps.",
        built=False,
    ),
    claim(
        KRONY_PT, "KP14", "§4.9", "Longer training stops helping on WikiText and still helps on LAMBADA.", built=False
    ),
    claim(
        KRONY_PT,
        "KP15",
        "§4.7, §4.8, §5.2",
        "What is inherited: students lose with random factors, or with everything random.",
        built=False,
    ),
)
REVISIONS: tuple[Revision, ...] = ()
