"""Collection, and a row of GPTQ, on a machine without the packages that few rows need."""

import subprocess
import sys

from bench.verdict.evidence import read
from tests.bench.sessions import ROOT

ABSENT = ("mwparserfromhell", "datasets", "gguf", "lm_eval")
SUITE = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT}))
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_all_is_collected_and_rows_of_gptq_say_what_is_missing(llama_folder, text_file, tmp_path):
    options = ["--effort=quick", "-p", "no:cacheprovider", "-p", "no:xdist", "--report-dir", tmp_path / "report"]
    options += ["--model", llama_folder, "--text", text_file, "-k", "rtn-over-gptq-w4"]
    command = [sys.executable, "-c", SUITE, "bench", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    reasons = {row.reason for row in read(tmp_path / "report").rows.values()}
    assert reasons == {
        "what GPTQ gives needs the package lm-eval, which is not installed; run: python -m pip install lm-eval"
    }
