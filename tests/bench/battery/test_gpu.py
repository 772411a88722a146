"""Command lines of the borrowed hour and of its bundle that cannot be done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.gpu import __main__ as hour
from bench.gpu import check
from bench.gpu import parts as joining
from bench.gpu.parts import MANIFEST, split
from tests.bench.battery.files import put
from tests.bench.battery.running import Case, cases, said

AGAIN = "carry it over again"


def good(here: Path) -> None:
    (here / "carried").mkdir()
    (here / "carried" / "small.whl").write_bytes(b"wheel")
    split(here / "carried", here / "parts")


def manifest(content: object) -> object:
    """Way to lay parts with another manifest."""

    def lay(here: Path) -> None:
        good(here)
        put(content if isinstance(content, bytes) else json.dumps(content), MANIFEST)(here / "parts")

    return lay


ELSEWHERE = {"parts": [{"name": "../../etc/passwd", "bytes": 1, "sha256": "a"}]}
PARTS = (
    Case("absent", "{here}/none {here}/out", ("no manifest.json in", "carry it over together with the parts")),
    Case("manifest-torn", "{here}/parts {here}/out", ("manifest.json is damaged", AGAIN), manifest(b'{"parts": [')),
    Case("manifest-bytes", "{here}/parts {here}/out", ("manifest.json is damaged", AGAIN), manifest(b"\xff\xfe")),
    Case("manifest-list", "{here}/parts {here}/out", ("manifest.json is damaged", AGAIN), manifest([1])),
    Case("manifest-bare", "{here}/parts {here}/out", ("manifest.json is damaged", AGAIN), manifest({})),
    Case("manifest-number", "{here}/parts {here}/out", ("manifest.json is damaged", AGAIN), manifest({"parts": 3})),
    Case("manifest-elsewhere", "{here}/parts {here}/out", ("manifest.json is damaged", AGAIN), manifest(ELSEWHERE)),
    Case("into-the-parts", "{here}/parts {here}/parts", ("what stands there goes", "name a new one"), good),
    Case("into-what-holds-them", "{here}/parts {here}", ("what stands there goes", "name a new one"), good),
    Case("into-a-file", "{here}/parts {here}/carried/small.whl", ("small.whl", "give a folder that can"), good),
    Case("nothing", "", ("the following arguments are required: parts, folder",)),
)


@cases(*PARTS)
def test_parts_that_cannot_be_joined_are_one_sentence(suite, case):
    if case.lay:
        case.lay(suite.here)
    before = {path for path in suite.here.rglob("*") if path.is_file()}
    said(lambda: joining.main(suite.filled(case.arguments))).check(case.words)
    assert {path for path in suite.here.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("budget", ["soon", "90", "0m", "-5m", ""])
def test_a_budget_that_is_no_time_spends_no_hour(suite, budget):
    said(lambda: hour.main([f"--budget={budget}"])).check((f"--time-budget is '{budget}'", "such as 90m, 2h or 1h30m"))


@pytest.mark.parametrize("device", ["foo", "mps", "meta", "cuda:99", ""])
def test_a_device_that_cannot_be_checked_is_one_sentence(device):
    said(lambda: check.main([f"--device={device}"])).check(("device",))
