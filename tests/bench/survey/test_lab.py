"""One-shot methods on a tiny OPT folder, the paper's family, by the suite's own command; and what its pages say."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bench.report.__main__ import write
from bench.report.survey import draw, sections
from bench.verdict.evidence import Evidence, Row, append

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("end", [True, False], ids=["eos", "no-eos"])
def test_the_path_of_the_paper_on_a_tiny_opt(opt_folder, text_file, tmp_path, end):
    place, folder = tmp_path / "reports" / "tiny", tmp_path / "opt"
    shutil.copytree(opt_folder, folder)
    if end:  # without one, lm-evaluation-harness cannot start a page, and its figures alone are missing
        config = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(config | {"eos_token": "<unk>"}))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "bench/survey/test_one_shot.py",
        "-p",
        "no:cacheprovider",
        "--effort=quick",
        "--model",
        str(folder),
        "--text",
        str(text_file),
        "--train-text",
        str(text_file),
        "--contexts",
        "4,8",
        "--report-dir",
        str(place),
        "-k",
        "w4-in or SV2-bits" + end * " or w4-off or sparsegpt-0.5 or SV10-awq or SV12-llm",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    rows = {}
    for line in (place / "evidence.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "row":
            rows[entry["row"]] = entry
    assert " error" not in done.stdout.splitlines()[-1] and "Error" not in done.stdout, done.stdout
    harness = rows["SV1-gptq-w4-in-domain"]["details"]["survey"]["harness"]
    assert ({"bits_per_byte", "lambada_acc"} <= set(harness)) == bool(harness) == end
    assert (rows["SV2-bits-per-byte"]["verdict"] != "not run") == end
    assert not list((place / "measurements" / "blocks").iterdir())  # what was only for resuming goes
    if end:
        expected = {
            "SV1-gptq-w4-off-domain",
            "SV3-sparsegpt-0.5-performant",
            "SV10-awq-over-mixed-w3",
            "SV12-llm-int8-6",
        }
        assert expected <= {name for name, row in rows.items() if row["verdict"] != "not run"}, sorted(rows)
        assert rows["SV3-sparsegpt-0.5-performant"]["details"]["survey"]["sparsity"] == pytest.approx(0.5, abs=0.01)
    assert (place / "quality-against-bytes.png").is_file()
    assert "Every variant, smallest first" in (place / "survey.md").read_text()


def test_the_page_has_every_variant_once(tmp_path):
    details = {
        "method": "gptq-w4-g128",
        "bits_per_weight": 4.2,
        "packed_bytes": 5e7,
        "sparsity": 0.1,
        "kl": 0.2,
        "agreement": 0.8,
        "ratio": 1.2,
        "percentiles": {"50": 0.1, "90": 0.2, "99": 1.0, "99.9": 2.0},
        "noted": 0,
        "seconds": 3.0,
        "harness": {"word_perplexity": 30.0, "byte_perplexity": 1.8, "bits_per_byte": float(np.log2(1.8))},
    }
    rows = {name: Row(name, "SV1", "reproduced", details={"survey": details}) for name in ("SV1-a", "SV1-b")}
    found = Evidence(rows, {})
    assert draw(found, tmp_path) == ["quality-against-bytes.png"]
    page = "\n".join(sections(found))
    assert page.count("gptq-w4-g128") == 2  # once in each table
    assert sections(Evidence({}, {})) == [] and draw(Evidence({}, {}), tmp_path) == []
    folder = tmp_path / "reports" / "x"
    folder.mkdir(parents=True)
    # Counts by variant of a paper's table are no trained variants, though both stand under that name.
    append(folder, "row", asdict(Row("SL1-tiny", "SL1", "reproduced", details={"variants": {"81M": {"found": 1}}})))
    write(folder)
    assert not (folder / "checkpoint.md").exists()
