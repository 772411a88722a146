"""Claims of "Kronecker Products and GPT2" (KP). Identifiers are stable."""

from __future__ import annotations

from bench.verdict.papers.claim import Paper, Revision, claim, without_votes

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
        a="Several factors alone do not help much.",
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
    claim(KRONY_PT, "KP13", "§4.1", "A second phase with very large batches on about a tenth of the data helps."),
    claim(
        KRONY_PT,
        "KP14",
        "§4.9",
        "Longer training stops helping on WikiText and still helps on LAMBADA.",
        a="It stops helping on WikiText.",
        b="It still helps on LAMBADA.",
    ),
    claim(
        KRONY_PT,
        "KP15",
        "§4.7, §4.8, §5.2",
        "What is inherited, what may be frozen, and how fast to train.",
        a="Van Loan's factors hold knowledge: random ones lose.",
        b="So do all the weights that are kept: everything random loses.",
        c="Embeddings may be frozen (a trial of the paper's, without its result).",
        d="Scalars may be frozen at 4 (a trial of the paper's, without its result).",
        e="A more aggressive rate helps convergence.",
    ),
)
FRESH = "32 books that were never scored, and seeds that were never trained"
REVISIONS: tuple[Revision, ...] = (
    Revision(
        "KP1b",
        "0.5.0",
        old="the largest distance from a printed size is at most 1.0M",
        new="it is at most one unit of the last printed digit, be that rounded or cut off",
        why="Half of the entries are printed to 0.1M.",
        fresh="arithmetic: nothing is measured",
    ),
    Revision(
        "KP4–KP9",
        "0.5.0",
        old="perplexities after a tenth of the teacher's tokens",
        new="students read nearly four times as much; where one is not flat by then, the ratio must stay on its side "
        "of the boundary as its trend over three doublings of tokens goes on for three more",
        why="81M's curve still fell where half the depth had flattened, so that the budget decided.",
        fresh=FRESH,
    ),
    Revision(
        "KP4",
        "0.5.0",
        old="half the layers, trained on the text alone",
        new="half the layers with DistilBERT's three losses; each contestant has the best of three rates, chosen on "
        "text that is held out",
        why="DistilGPT2 is distilled, and one rate need not suit both.",
        fresh=FRESH,
    ),
    Revision(
        "KP6a",
        "0.5.0",
        old="perplexity of one factor over that of four terms is 0.95 to 1.05",
        new="it is at most 1.05",
        why="Four terms that are worse do not contradict that several factors do not help much.",
        fresh=FRESH,
    ),
    Revision(
        "KP6c",
        "0.5.0",
        old="scalars start at 1 and learn at the rate of everything else",
        new="they start at 1, 2, 4 and 8 and learn eight times as fast, and their trend may not leave the region",
        why="Adam moves a scalar by about its rate a step: 0.8 in all steps then, and 3 are needed.",
        fresh=FRESH,
    ),
    Revision(
        "KP8",
        "0.5.0",
        old="at a tenth of the teacher's tokens",
        new="at the end of the longer training; a tenth of it as a control",
        why="Distillation starts faster, which says nothing of where it ends.",
        fresh=FRESH,
    ),
    Revision(
        "KP9",
        "0.5.0",
        old="TQCompressor's student trains on the text, KnGPT-2's with DistilBERT's losses",
        new="with soft targets, and with the distance of every layer's states",
        why="Those are the losses that they were trained with.",
        fresh=FRESH,
    ),
    Revision(
        "KP12a",
        "0.5.0",
        old="both schedules at one rate",
        new="each at the best of three rates on held-out text",
        why="A cosine's mean rate is half its peak.",
        fresh=FRESH,
    ),
    Revision(
        "KP12b",
        "0.5.0",
        old="spread of the loss of each step's own batch",
        new="spread of the loss on text that is held out, along equal tokens",
        why="A batch a quarter as large is twice as noisy by averaging alone.",
        fresh=FRESH,
    ),
    Revision(
        "KP14",
        "0.9.0",
        old="judged on any student",
        new="in doubt until the student is flat on text as it reads; it says how much further it would have to read",
        why="What still learns its own text gains on every text: one that reads more could only be found to gain.",
        fresh="nothing yet: 81M's last doubling gains 1.052 [1.017, 1.089] on novels, 1.068 [1.030, 1.108] on articles",
    ),
    without_votes("KP4–KP9, KP12", fresh="KP4, KP6c and KP8: books, and seeds that were never trained"),
    Revision(
        "KP4, KP12a",
        "0.12.0",
        old="each at the best of three rates, in doubt where that is the lowest or the highest of them",
        new="up to two further rates at either end are tried while the best lies there",
        why="Half the ladder's rate was the best of three for 81M as for the distilled half.",
        fresh="nothing yet: KP4 was measured with three",
    ),
)
