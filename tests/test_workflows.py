"""Workflows, which nothing here runs: pinned actions, least rights, time limits, and commands that exist."""

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NIGHTLY = ROOT / ".github" / "workflows" / "nightly-gpu.yml"
EXPRESSION = re.compile(r"\$\{\{.*?\}\}")


def loaded(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path, job=None):
    jobs = loaded(path)["jobs"]
    return [step for name, each in jobs.items() if job in {None, name} for step in each["steps"]]


def scripts():
    return [(path.name, EXPRESSION.sub("x", step["run"])) for path in FILES for step in steps(path) if "run" in step]


def commands(module):
    """Arguments of every command of a workflow that runs a module of Python, its own name left out."""
    for _, script in scripts():
        for line in script.splitlines():
            match = re.search(rf"python -m ({module})\b(?!\.)([^|)>]*)", line)
            if match:
                yield match[1], shlex.split(re.split(r"\s2$", match[2])[0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_reads_the_repository_and_no_more(path):
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    checkouts = [step for step in steps(path) if "checkout@" in step.get("uses", "")]
    assert checkouts and all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_runs_of_a_workflow_do_not_overlap_and_end(path):
    workflow = loaded(path)
    assert workflow["concurrency"]["group"]
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version_beside(path):
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_one_action_has_one_pin():
    pins = {}
    for path in FILES:
        for owner, name, sha in re.findall(r"uses: ([\w-]+)/([\w-]+)[\w/-]*@(\w+)", path.read_text(encoding="utf-8")):
            pins.setdefault(f"{owner}/{name}", set()).add(sha)
    assert {name: shas for name, shas in pins.items() if len(shas) > 1} == {}


@pytest.mark.parametrize(("name", "script"), scripts())
def test_scripts_are_bash(name, script):
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{name}: {done.stderr}\n{script}"


def test_the_suite_has_the_options_that_workflows_give(request):
    given = [argument for _, arguments in commands("pytest") for argument in arguments]
    options = {argument.split("=")[0] for argument in given if argument.startswith("--")}
    assert {"--time-budget", "--report-dir"} <= options
    for option in options:
        request.config.getoption(option)  # ValueError for one that nobody added


@pytest.mark.parametrize("module", ["bench.report", "bench.gpu.check"])
def test_modules_have_the_options_that_workflows_give(module, capsys):
    place = ROOT.joinpath(*module.split("."))
    name = f"{module}.__main__" if place.is_dir() else module
    with pytest.raises(SystemExit):
        importlib.import_module(name).main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    given = [arguments for _, arguments in commands(re.escape(module))]
    assert given
    assert {argument for each in given for argument in each if argument.startswith("--")} <= known


def test_every_paper_has_a_job_that_ends_after_its_budget():
    jobs = loaded(NIGHTLY)["jobs"]["papers"]["strategy"]["matrix"]["include"]
    folders = {folder for job in jobs for folder in job["folders"].split()}
    measured = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("bench/*/test_*.py")}
    assert folders == measured - {"bench/checkpoint"}  # which judges what a user brings
    assert all(int(job["budget"].removesuffix("m")) + 15 <= job["minutes"] for job in jobs)
    assert jobs[0]["folders"] == "bench/long_context"


def test_the_night_begins_with_a_check_that_fails_without_a_gpu():
    jobs = loaded(NIGHTLY)["jobs"]
    runs = [step.get("run", "") for step in jobs["card"]["steps"]]
    assert any(run.endswith("python -m bench.gpu.check") for run in runs)
    assert jobs["papers"]["needs"] == "card"


def test_results_of_a_night_go_where_no_earlier_one_is():
    measure = next(step["run"] for step in steps(NIGHTLY, "papers") if step.get("name") == "Measure")
    assert '--report-dir="$RUNNER_TEMP/gpu"' in measure
    assert re.findall(r"cp (\S+) (\S+)", measure) == [("record/evidence.jsonl", "reports/gpu/")]
    assert "--resume" not in measure


def test_a_night_is_compared_before_it_is_laid_over_the_record():
    runs = [step.get("run", "") for step in steps(NIGHTLY, "night")]
    compared = next(i for i, run in enumerate(runs) if "--changes record tonight/gpu --strict" in run)
    joined = next(i for i, run in enumerate(runs) if "--join record tonight/gpu" in run)
    assert compared < joined


def test_a_record_is_of_one_card():
    keys = [step["with"]["key"] for step in steps(NIGHTLY) if "actions/cache" in step.get("uses", "")]
    assert len(keys) == 3 and len(set(keys)) == 1
    assert "needs.card.outputs.name" in keys[0]


def test_the_page_on_nights_has_the_limits_of_the_jobs():
    page = (ROOT / "bench" / "gpu" / "README.md").read_text(encoding="utf-8")
    jobs = loaded(NIGHTLY)["jobs"]["papers"]["strategy"]["matrix"]["include"]
    assert re.findall(r"min \| (\d+) min \|", page)[1:] == [str(job["minutes"]) for job in jobs]
    assert all(path.exists() for path in map(ROOT.joinpath, re.findall(r"`(\.github/[\w./-]+)`", page)))


def test_the_page_on_nights_names_targets_that_exist():
    page = (ROOT / "bench" / "gpu" / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"gpu", "gpu-bundle"} <= set(re.findall(r"\bmake ([a-z-]+)", page)) <= targets
