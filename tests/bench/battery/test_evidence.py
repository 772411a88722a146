"""Evidence that is torn, foreign or of other bytes: it is named, and harms neither its run nor another folder's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.verdict.evidence import FILE, Origin, Variant, append, compact, read
from bench.verdict.lines import line_of
from tests.bench.battery.files import ROW, RUN
from tests.bench.battery.running import Suite

VARIANT = Variant("v", "survey", {}, "", ["m:f"], "0" * 64, Origin(), {"kl": np.zeros(2)}, run="r")


def changed(entry: object, **changes: object) -> bytes:
    """Line of an entry with other values in its fields."""
    return json.dumps({**json.loads(line_of(entry)), **changes}).encode()


def without(entry: object, name: str) -> bytes:
    return json.dumps({key: value for key, value in json.loads(line_of(entry)).items() if key != name}).encode()


DAMAGED = {
    "torn": line_of(ROW).encode()[:40],
    "words": b"not JSON",
    "other-bytes": b"\xff\xfe\x00 \x80",
    "bytes-in-a-row": line_of(ROW).encode().replace(b"LC1-x", b"LC1-\xff"),
    "nul": b"\x00\x00\x00",
    "number": b"12",
    "list": b"[1, 2]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "no-kind": b'{"row": "LC1-y"}',
    "kind-unknown": b'{"kind": "song"}',
    "kind-list": b'{"kind": ["row"]}',
    "run-without-name": b'{"kind": "run"}',
    "run-number": changed(RUN, run=5),
    "run-list": changed(RUN, run=[1]),
    "run-options": changed(RUN, options=7),
    "run-started": changed(RUN, run="other", started=7),
    "run-format-words": changed(RUN, format="two"),
    "row-alone": b'{"kind": "row"}',
    "row-number": changed(ROW, row=5),
    "row-null": changed(ROW, row=None),
    "row-surrogate": changed(ROW, row="LC1-\ud800"),
    "row-claim-number": changed(ROW, claim=3),
    "row-no-claim": without(ROW, "claim"),
    "row-verdict-unknown": changed(ROW, verdict="certainly"),
    "row-verdict-list": changed(ROW, verdict=[]),
    "row-value-words": changed(ROW, value="much"),
    "row-infinite": changed(ROW, value=float("inf")),
    "row-beyond-floats": line_of(ROW).encode().replace(b"0.9", b"1e999"),
    "row-low-list": changed(ROW, low=[1]),
    "row-effort-unknown": changed(ROW, effort="huge"),
    "row-details-list": changed(ROW, details=[1]),
    "row-variants-number": changed(ROW, variants=3),
    "row-variants-numbers": changed(ROW, variants=[3]),
    "variant-alone": b'{"kind": "variant"}',
    "variant-no-arrays": without(VARIANT, "arrays"),
    "variant-arrays-list": changed(VARIANT, arrays=[1]),
    "variant-dtype": changed(VARIANT, arrays={"kl": {"dtype": "words", "shape": [1], "values": [1]}}),
    "variant-object-dtype": changed(VARIANT, arrays={"kl": {"dtype": "object", "shape": [1], "values": [{}]}}),
    "variant-shape": changed(VARIANT, arrays={"kl": {"dtype": "float32", "shape": [9], "values": [1]}}),
    "variant-values": changed(VARIANT, arrays={"kl": {"dtype": "float32", "shape": [1], "values": ["x"]}}),
    "variant-origin": changed(VARIANT, origin=3),
    "variant-settings": changed(VARIANT, settings=3),
    "variant-roots": changed(VARIANT, roots="m:f"),
}
FOREIGN = {
    "blank": b"",
    "blanks": b" \t ",
    "unknown-field": changed(ROW, colour="blue"),
    "unknown-claim": changed(ROW, row="ZZ9-y", claim="ZZ9"),
    "unknown-part": changed(ROW, row="LC1-y", part="q"),
    "unknown-scale": changed(ROW, row="LC1-y", scale="moon"),
    "unknown-run": changed(ROW, row="LC1-y", run="nobody"),
    "unknown-variants": changed(ROW, row="LC1-y", variants=["none of these"]),
    "details-of-another": changed(ROW, row="LC1-y", details={"contexts": 3, "series": [1], "survey": 5, "students": 1}),
    "interval-upside-down": changed(ROW, row="LC1-y", low=2.0, high=1.0),
    "header-again": changed(RUN),
    "header-bare": b'{"kind": "run", "run": "s"}',
    "variant-of-others": changed(VARIANT, roots=["nowhere:f"], settings_at="nowhere:at"),
    "variant-empty": changed(VARIANT, arrays={}),
}


def lay(folder, line: bytes) -> None:
    """Write a record with that line before its last row."""
    append(folder, RUN)
    with (folder / FILE).open("ab") as file:
        file.write(line + b"\n")
    append(folder, ROW)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_line_is_named_kept_and_lost_by_nothing(suite: Suite, name):
    lay(suite.out, DAMAGED[name])
    assert list(read(suite.out).damaged) == [2] and set(read(suite.out).rows) == {"LC1-x"}
    compact(suite.out)
    assert DAMAGED[name] in (suite.out / FILE).read_bytes() and set(read(suite.out).rows) == {"LC1-x"}
    for command in (suite.report("{out}"), suite.report("--matrix {out}"), suite.report("--stale {out}")):
        assert not command.status and "Traceback" not in command.text, command.text
        assert "is damaged and left out" in command.text


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_line_harms_no_page(suite: Suite, name):
    lay(suite.out, FOREIGN[name])
    assert not read(suite.out).damaged
    for command in (suite.report("{out}"), suite.report("--matrix {out}"), suite.report("--stale {out}")):
        assert not command.status and "Traceback" not in command.text, command.text
    assert (suite.out / "README.md").is_file()
