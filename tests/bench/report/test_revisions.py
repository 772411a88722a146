"""The page of what was revised: every change with its reason, about claims that exist."""

import re

from bench.report.revisions import page
from bench.verdict.claims import CLAIMS, REVISIONS


def test_every_revision_is_on_the_page():
    text = page()
    for revision in REVISIONS:
        for said in (revision.of, revision.version, revision.old, revision.new, revision.why, revision.fresh):
            assert said in text


def test_revisions_are_of_claims_and_parts_that_exist():
    for revision in REVISIONS:
        for name in re.findall(r"[A-Z]+\d+[a-h]?", revision.of):
            claim = CLAIMS[name.rstrip("abcdefgh")]
            assert not name[-1].isalpha() or name[-1] in claim.parts
