"""Small evidence to make pages of."""

import numpy as np

from bench.verdict.evidence import Evidence, Origin, Result, Variant

RUN = {
    "run": "r1",
    "started": "2026-01-02T03:04:05",
    "python": "3.11",
    "torch": "2",
    "transformers": "5",
    "commit": "abc",
    "machine": "two cores",
    "gpu": None,
    "options": {"effort": "normal"},
}


def result(row="LC1-magnitude-0.1", part="a", verdict="reproduced", **changes):
    """A row of a claim; the claim is the beginning of its name."""
    given = {"value": 1.0, "low": 0.9, "high": 1.1, "accept_low": 0.8, "accept_high": 1.25, "variants": []}
    given |= {"statistic": "KL at 8 over KL at 4", "scale": "embedded", "effort": "normal", "run": "r1", "model": "m"}
    return Result(row, row.split("-")[0], part, verdict, **(given | changes))


def evidence(*rows, **more):
    """Evidence of rows."""
    return Evidence({row.row: row for row in rows}, {"r1": dict(RUN)}, **more)


def curves(kl=(0.5, 0.6)):
    """Details of a row of the paired design."""
    names = ("kl", "reverse_kl", "agreement", "loss", "dense_loss", "loss_change")
    return {
        "contexts": [4, 8],
        "series": {name: [[x, x - 0.1, x + 0.1] for x in kl] for name in names},
        "summary": {"sparsity": 0.1, "bits_per_weight": 3.5, "layers": 3.0, "held_bytes": 1e6, "skipped": 2.0},
        "positions": [32, 40, 64],
        "resolved": [0.1, 0.2, 0.3],
    }


def scored(method, ratio, megabytes):
    """Details of a row of the survey."""
    return {
        "survey": {
            "method": method,
            "ratio": ratio,
            "packed_bytes": megabytes * 1e6,
            "bits_per_weight": 4.0,
            "sparsity": 0.0,
            "kl": 0.1,
            "agreement": 0.9,
            "percentiles": {"50": 0.1, "99": 1.0, "99.9": 2.0},
            "noted": 0,
            "seconds": 1.0,
            "harness": {},
        }
    }


def variant(name="rtn-w4-g128"):
    """A survey variant on record."""
    arrays = {
        "loss": np.array([3.2, 3.4]),
        "dense_loss": np.array([3.0, 3.2]),
        "kl": np.array([0.1, 0.3]),
        "agreement": np.array([0.8, 0.6]),
        "percentiles": np.array([0.1, 0.5, 1.0, 2.0]),
        "bits_per_weight": np.array(4.25),
        "packed_bytes": np.array(50e6),
        "sparsity": np.array(0.1),
        "byte_perplexity": np.array(2.0),
    }
    return Variant(name, "survey", {}, "", [], "", Origin(), arrays, seconds=3.0)


def trained(**accuracies):
    """Details of a row that stands on models trained over seeds."""
    return {
        "variants": {
            name: {"accuracy": list(seeds), "failed": 0, "curves": [[6.0, 4.0 + seeds[0] / 100]] * len(seeds)}
            for name, seeds in accuracies.items()
        }
    }


def students():
    """Details of a row of Krony-PT's ladder."""
    ends = {"81M": 3.0, "half": 2.0, "half-distilled": 1.0}
    students = {
        name: {
            "parameters": 60,
            "tokens": 100,
            "perplexity": [12.0 + end, 12.5 + end],
            "untrained": 300.0,
            "objective": "cross-entropy with the text",
            "fall": [0.008, 0.006, 0.02 - end / 100],
        }
        for name, end in ends.items()
    }
    course = {"now": [1.1, 1.0, 1.2], "ahead": [1.2, 1.1, 1.4], "flat": False, "falls": {}}
    return {"students": students, "course": course}


def ladder():
    """Variants of Krony-PT's ladder on record: two seeds of each student, and what they are held against."""
    along = np.array([1e5, 1e6, 2e6, 4e6])
    variants = {}
    for name, end in {"81M": 3.6, "half": 3.4, "half-distilled": 3.3}.items():
        for seed in (0, 1):
            arrays = {"along": along, "held_out": end + 0.01 * seed + np.array([0.9, 0.4, 0.2, 0.0])}
            variants[f"{name} {seed}"] = of_ladder(f"{name}, seed {seed}", arrays)
    base = {f"held {name}": np.array([level]) for name, level in (("teacher", 3.2), ("scratch", 3.35), ("ngram", 3.5))}
    return variants | {"base": of_ladder("base", base)}


def of_ladder(label, arrays, effort="thorough"):
    """A variant of the ladder."""
    return Variant(label, "ladder", {}, "", [], "", Origin(effort=effort), arrays, label=label)


def checkpoint(label, size):
    """The ratio of a checkpoint of so many bytes, with its sheet; the smaller, the worse."""
    figures = {"ratio": 1e7 / size + 1, "kl": 1e6 / size, "top1": 0.9}
    token = {"kl": 2.0, "document": 0, "position": 7, "context": "a", "right": "b", "compressed": "c", "dense": "d"}
    sheet = {
        "path": label,
        "measures": {name: [value, 0.9 * value, 1.1 * value] for name, value in figures.items()},
        "columns": {"mean KL": 0.1, "same top token": 0.9},
        "growth": [1.0, 0.9, 1.1],
        "sizes": {f"bytes {place}": each for place, each in (("on disk", size), ("on disk, dense", 2 * 10**8))},
        "kl_by_position": {"1-63": 0.1, "64-127": 0.2},
        "blocks": [0.1, 0.9, 0.2],
        "worst": [token],
        "settings": {"rope_theta": [1e5, 1e4]},
    }
    row = f"CHECKPOINT-{label}-ratio"
    return result(row, "", "not reproduced", documents=3, method=label, details={"checkpoint": sheet})


def everything():
    """Evidence that fills every page."""
    base = {"base": {"teacher": 10.0, "scratch": 11.0, "ngram": 12.0}}
    base |= {"tokens_read": 9, "tokens_of_text": 3, "parameters": 100}
    healed = {"parameters": 80, "dense_parameters": 134, "kl": 3.0, "perplexity_ratio": 20.0, "errors": [0.3, 0.1]}
    open_ended = {"verdict": "inconclusive", "doubt": "healed too little"}
    return evidence(
        result(details=curves(), method="magnitude-0.1"),
        result("LC3-rtn-w3-g64", "c", "not reproduced", value=0.7, low=0.6, method="rtn-w3-g64", details=curves()),
        result("LC7-peaked", verdict="inconclusive", details={"positions": [1, 2], "variances": [1.0, 0.5]}),
        result("KP4-trained-half-over-81M", details=students()),
        result("KP4-healed-half-over-81M", details={"variants": {"every-other-layer": healed}}, **open_ended),
        result("KP3-van-loan", details={"spectra": {"81M (4, 1)": [[0.26, 0.25, 0.25, 0.24]] * 3}}),
        result("SV9-rtn-over-gptq-w4", details=scored("rtn-w4-g128", 1.5, 50)),
        result("SV13-quality-0.9", details=scored("deep-compression-0.9-5bits", 1e7, 10)),
        result("SL2-skip", statistic="points of a over b", details=trained(baseline=(30, 34), without=(20, 21))),
        result("SL9-parameter-columns", value=1, low=1, high=1, details={"columns": {"1W": [10.626, 5.907]}}),
        result("SV5-2of4-faster", verdict="not run", value=None, low=None, high=None, reason="no GPU"),
        result("INSTRUMENT-teacher-over-half", "", details=base),
        result("VERDICTS-power-grows", "", details={"power": {"1.1": 0.5}}),
        *(checkpoint(label, size) for label, size in (("small", 10**7), ("large", 10**8))),
    )
