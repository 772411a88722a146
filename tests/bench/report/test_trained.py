"""Section on models that were trained."""

from types import SimpleNamespace

from bench.report.trained import models_of, section


def row(claim, **models):
    return SimpleNamespace(claim=claim, details={"trained": models})


def of(name, *seeds, rate=None, bits=None):
    return {"name": name, "rate": rate, "perplexity": list(seeds), "sparsity": 0.5, "bits_per_weight": bits}


def evidence(*rows):
    return SimpleNamespace(rows=dict(enumerate(rows)))


def test_a_model_of_several_claims_stands_there_once():
    known = models_of(evidence(row("SV14", dense=of("dense", 8.0)), row("SV21", dense=of("dense", 8.0))))
    assert known["dense"]["claims"] == {"SV14", "SV21"} and len(known) == 1


def test_lines_show_each_seed_and_come_by_perplexity():
    (text,) = section(evidence(row("SV11", b=of("qat", 9.0, 7.0, rate=0.3, bits=4.2), a=of("longer", 7.5, 6.5))))
    assert text.index("longer") < text.index("qat")
    assert "9 / 7" in text and "4.20" in text and "0.3" in text and "50%" in text


def test_nothing_is_said_where_nothing_was_trained():
    assert section(evidence(SimpleNamespace(claim="SV1", details={}))) == []
