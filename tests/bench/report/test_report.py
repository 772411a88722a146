"""Evidence is kept line by line, and pages are a function of it."""

import json
from dataclasses import asdict

import pytest

from bench.report import __main__ as report
from bench.report import pages
from bench.verdict import evidence
from bench.verdict.claims import CLAIMS
from bench.verdict.evidence import Row, append, compact, read, recorded_verdict
from bench.verdict.regions import Verdict

HEADER = {
    "run": "r1",
    "started": "2026-01-01",
    "python": "3",
    "torch": "2",
    "transformers": "5",
    "commit": "c",
    "code": "d",
    "gpu": None,
    "machine": "m",
    "dtype": "float32",
    "tf32": False,
    "options": {"effort": "normal"},
}


def row(name="LC1-magnitude-0.1", verdict=Verdict.REPRODUCED, **changes):
    given = {"value": 1.0, "low": 0.9, "high": 1.1, "accept_low": 0.8, "accept_high": 1.25, "scale": "embedded"}
    given |= {"model": "m", "model_sha256": "a" * 64, "text": "t", "text_sha256": "b" * 64, "run": "r1"}
    return Row(name, name.split("-")[0], verdict.value, **(given | changes))


def series():
    names = ("kl", "reverse_kl", "agreement", "loss", "dense_loss", "loss_change")
    return {
        "contexts": [4, 8],
        "series": {name: [[0.5, 0.4, 0.6], [0.6, 0.5, 0.7]] for name in names},
        "summary": {"sparsity": 0.1, "bits_per_weight": 3.5, "layers": 3.0, "held_bytes": 1e6, "skipped": 2.0},
        "positions": [32, 40, 64],
        "resolved": [0.1, 0.2, 0.3],
    }


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "reports" / "embedded"
    append(found, "run", HEADER)
    append(found, "row", asdict(row()))
    append(found, "row", asdict(row("LC3-rtn-w3-g64", Verdict.NOT_REPRODUCED, method="rtn-w3-g64", details=series())))
    append(
        found,
        "row",
        asdict(row("LC7-peaked", Verdict.INCONCLUSIVE, details={"positions": [1, 2], "variances": [1, 1]})),
    )
    return found


def test_what_was_written_is_read_back(folder):
    found = read(folder)
    assert found.rows["LC1-magnitude-0.1"] == row()
    assert found.runs["r1"]["torch"] == "2"


def test_the_latest_row_of_a_name_counts_and_compacting_keeps_it(folder):
    append(folder, "row", asdict(row(value=1.05)))
    before = read(folder)
    compact(folder)
    assert read(folder) == before
    assert before.rows["LC1-magnitude-0.1"].value == 1.05
    assert len((folder / evidence.FILE).read_text().splitlines()) == 4


def test_a_line_that_was_cut_off_is_left_out_and_damage_elsewhere_is_named(folder):
    path = folder / evidence.FILE
    path.write_text(path.read_text() + '{"kind": "row", "row": "LC')
    assert len(read(folder).rows) == 3
    path.write_text("{broken\n" + path.read_text())
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        read(folder)


def test_infinities_become_open_ends(tmp_path):
    append(tmp_path, "row", asdict(row(high=float("inf"))))
    assert json.loads((tmp_path / evidence.FILE).read_text())["high"] is None
    assert "∞" in pages.interval_of(read(tmp_path).rows["LC1-magnitude-0.1"])


def test_the_matrix_has_a_row_for_every_claim(folder):
    report.write(folder)
    text = (folder.parent / "README.md").read_text()
    for claim in CLAIMS:
        assert text.count(f"| {claim} ") == 1
    assert "**reproduced** (1 reproduced)" in text
    assert "*not run*: not built yet" in text


def test_pages_show_claim_interval_and_verdict(folder):
    report.write(folder)
    page = (folder / "long-context.md").read_text()
    assert "| LC1-magnitude-0.1 |" in page
    assert "1 [0.9, 1.1]" in page
    assert "0.8 to 1.25" in page
    for plot in ("kl-against-context.png", "kl-along-one-pass.png", "noise-against-position.png"):
        assert f"({plot})" in page
        assert (folder / plot).stat().st_size > 1000
    assert not list(folder.glob("*.part"))


def test_pages_are_a_function_of_evidence(folder):
    report.write(folder)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert report.main([str(folder)]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_changed_verdicts_are_named(folder, tmp_path, capsys):
    new = tmp_path / "new"
    append(new, "row", asdict(row(verdict=Verdict.INCONCLUSIVE, high=1.3)))
    assert report.main(["--changes", str(folder), str(new)]) == 0
    assert "LC1-magnitude-0.1: reproduced -> inconclusive (1 [0.9, 1.1] -> 1 [0.9, 1.3])" in capsys.readouterr().out


def test_a_folder_without_evidence_is_refused(tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 2
    assert "no evidence.jsonl" in capsys.readouterr().err


def test_the_record_belongs_to_one_model_text_and_protocol(folder, tmp_path):
    folders = [tmp_path / "none", folder]
    assert recorded_verdict(folders, row("LC3-rtn-w3-g64")) is Verdict.NOT_REPRODUCED
    assert recorded_verdict(folders, row("LC9")) is None
    for other in ({"model_sha256": "c" * 64}, {"text_sha256": "c" * 64}, {"protocol": "other"}, {"documents": 9}):
        assert recorded_verdict(folders, row("LC3-rtn-w3-g64", **other)) is None


def test_krony_page_has_the_papers_tables_beside_ours(folder):
    students = {
        "81M": {
            "parameters": 60,
            "tokens": 100,
            "perplexity": [12.0, 12.5],
            "untrained": 300.0,
            "curves": [[4, 3], [4.1, 3.1]],
        },
        "half": {
            "parameters": 50,
            "tokens": 100,
            "perplexity": [11.0, 11.5],
            "untrained": 90.0,
            "curves": [[3, 2], [3.1, 2.1]],
        },
    }
    variants = {
        "every-other-layer": {
            "parameters": 80,
            "dense_parameters": 134,
            "kl": 3.0,
            "perplexity_ratio": 20.0,
            "errors": [0.3, 0.1],
        }
    }
    base = {
        "base": {"teacher": 10.0, "scratch": 11.0, "ngram": 12.0},
        "tokens_read": 9,
        "tokens_of_text": 3,
        "parameters": 100,
    }
    spectra = {"81M (4, 1)": [[0.26, 0.25, 0.25, 0.24]] * 3}
    append(folder, "row", asdict(row("KP4-trained-half-over-81M", details={"students": students})))
    append(folder, "row", asdict(row("KP4-healed-half-over-81M", details={"variants": variants})))
    append(folder, "row", asdict(row("KP3-van-loan", details={"spectra": spectra})))
    teacher = row("INSTRUMENT-teacher-over-half", details=base)
    append(folder, "row", asdict(teacher))
    report.write(folder)
    page = (folder / "krony-pt.md").read_text()
    assert "92,983,392" in page and "120,569,952" in page
    lines = [line for line in page.splitlines() if line.startswith("| half ")]
    assert "44.53" in lines[0] and "11.25" in lines[0] and "1.125" in lines[0]
    assert page.index("| half ") < page.index("| 81M ")
    assert "| every-other-layer" in page and "26.00%" in page
    assert {"krony-loss-curves.png", "krony-spectra.png"} <= {path.name for path in folder.iterdir()}


def test_krony_page_says_only_arithmetic_where_nothing_was_trained(folder):
    report.write(folder)
    page = (folder / "krony-pt.md").read_text()
    assert "Two findings by arithmetic" in page and "beside ours" not in page and "healed" not in page


def test_small_models_page_shows_printed_and_counted_parameters(folder):
    columns = {"baseline": [15.351, 14.165], "1W": [10.626, 5.907]}
    append(folder, "row", asdict(row("SL9-parameter-columns", Verdict.NOT_REPRODUCED, details={"columns": columns})))
    report.write(folder)
    page = (folder / "small-models.md").read_text()
    assert "-7.7%" in page and "| 1W " in page and "-44.4%" in page
