"""One-shot methods on a tiny OPT folder, the paper's family, by the suite's own command."""

import json
import shutil
from dataclasses import asdict

import pytest

from bench.verdict.evidence import read
from tests.bench.sessions import suite


@pytest.mark.parametrize("end", [True, False], ids=["eos", "no-eos"])
def test_the_path_of_the_paper_on_a_tiny_opt(opt_folder, text_file, tmp_path, end):
    place, folder = tmp_path / "reports" / "tiny", tmp_path / "opt"
    shutil.copytree(opt_folder, folder)
    if end:  # without one, lm-evaluation-harness cannot start a page, and its figures alone are missing
        config = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<unk>"}))
    chosen = (
        "w4-in or SV2-bits or SV2-quotient"
        + end * " or w4-off or SV9-gptq-over-first-values-dense-w4 or sparsegpt-0.5 or SV10-awq-over-mixed-w3"
        + end * " or SV12-llm-int8-6 or SV13-largest or SV6-structured-over or SV17-int8-over-fp8-w4"
    )
    options = ["--effort=quick", "--model", folder, "--text", text_file, "--train-text", text_file]
    options += ["--contexts", "4,8", "--report-dir", place, "-k", chosen]
    done = suite(*options, places=["bench/survey"])
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    rows = {name: asdict(row) for name, row in read(place).rows.items()}
    assert " error" not in done.stdout.splitlines()[-1] and "Error" not in done.stdout, done.stdout
    harness = rows["SV1-gptq-w4-in-domain"]["details"]["survey"]["harness"]
    assert ({"bits_per_byte", "lambada_acc"} <= set(harness)) == bool(harness) == end
    assert (rows["SV2-bits-per-byte"]["verdict"] == "reproduced") == end
    assert (rows["SV2-quotient-differs"]["verdict"] != "not run") == end
    assert not list((place / "measurements" / "blocks").iterdir())  # what was only for resuming goes
    if end:
        expected = {
            "SV1-gptq-recipe-w4-off-domain",
            "SV9-gptq-over-first-values-dense-w4",
            "SV3-sparsegpt-0.5-performant",
            "SV10-awq-over-mixed-w3",
            "SV12-llm-int8-6",
            "SV13-largest-rate",
            "SV6-structured-over-unstructured",
            "SV17-int8-over-fp8-w4",
        }
        assert expected <= {name for name, row in rows.items() if row["verdict"] != "not run"}, sorted(rows)
        assert rows["SV3-sparsegpt-0.5-performant"]["details"]["survey"]["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert (place / "quality-against-bytes.png").is_file()
    assert "Every variant, smallest first" in (place / "survey.md").read_text()
