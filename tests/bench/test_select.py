"""Which claims a session takes, and in what order."""

from pathlib import Path

import pytest

from bench.select import known_ids, listing, ordered, selected, unmeasured, wanted_ids
from bench.verdict.claims import CLAIMS, INSTRUMENTS

CONFTEST = """
import pytest
from bench import select

def pytest_addoption(parser):
    parser.addoption("--claims")

def pytest_configure(config):
    config.addinivalue_line("markers", "claim(of): the claim")
    if wanted := config.getoption("claims"):
        select.wanted_ids(wanted)

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if wanted := config.getoption("claims"):
        items[:], dropped = select.selected(items, wanted)
        config.hook.pytest_deselected(items=dropped)
"""
CLAIMED = ("LC3a", "LC3b", "KP1a", "KP1b", "KP10a", "KP15a", "KP2a", "INSTRUMENT", "")


class Item:
    """As much of a test as selection and order look at."""

    def __init__(self, name, of="", *, seconds=1.0, folder="krony", fixtures=(), parameters=(), leads=False):
        self.name, self.path, self.seconds = name, Path(folder) / "test_it.py", seconds
        self.marks = ({"claim": of} if of else {}) | ({"leads": None} if leads else {})
        self.fixturenames = ("request", *fixtures, *parameters)
        self.callspec = type("CallSpec", (), {"params": dict.fromkeys(parameters)})

    def iter_markers(self, name):
        return [pytest.Mark(name, (self.marks[name],), {})] if name in self.marks else []

    def get_closest_marker(self, name):
        return next(iter(self.iter_markers(name)), None)


def names(items):
    return [item.name for item in items]


def order(items, decided=()):
    return names(ordered(items, lambda item: item.seconds, lambda item: item.name in decided))


ITEMS = [Item(of or "ordinary", of) for of in CLAIMED]


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        ("KP1", ["KP1a", "KP1b"]),
        ("KP1a", ["KP1a"]),
        ("LC3b, kp10", ["LC3b", "KP10a"]),
        ("KP2", ["KP2a"]),
        ("INSTRUMENT,KP2a", ["KP2a", "INSTRUMENT"]),
    ],
)
def test_exactly_the_wanted_claims_are_kept(wanted, kept):
    chosen, dropped = selected(ITEMS, wanted)
    assert names(chosen) == kept
    assert names(dropped) == [item.name for item in ITEMS if item.name not in kept]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("LC33", r"--claims names 'LC33', which is no claim; the nearest are .*LC3.*--claims=list has all"),
        ("KP1z", r"'KP1z', which is no claim; the nearest are KP1, .*KP1b"),
        ("?", r"'\?', which is no claim; pytest bench --claims=list has all"),
        (" , ", r"--claims is ' , '; give claims or parts"),
    ],
)
def test_an_unknown_claim_is_named_with_the_nearest(wanted, message):
    with pytest.raises(pytest.UsageError, match=message):
        selected(ITEMS, wanted)


def test_what_nothing_measures_is_told():
    assert unmeasured(ITEMS, "KP1,SV3,LC3c") == ["SV3", "LC3c"]
    assert unmeasured(ITEMS, "") == []


def test_every_claim_part_and_instrument_is_known_and_listed():
    ids = known_ids()
    assert {*CLAIMS, *INSTRUMENTS} <= set(ids)
    assert wanted_ids("lc3B") == ["LC3b"]
    assert [line.split()[0] for line in listing().splitlines()] == list(ids)


@pytest.fixture
def suite(pytester):
    pytester.makeconftest(CONFTEST)
    tests = [f"@pytest.mark.claim('{of}')\ndef test_{of}(): pass\n" for of in CLAIMED if of]
    pytester.makepyfile("import pytest\n" + "\n".join(tests))
    return pytester


def test_kp1_does_not_take_kp10_along(suite):
    done = suite.runpytest("--claims=KP1", "-v")
    done.assert_outcomes(passed=2, deselected=6)
    assert "KP10" not in done.stdout.str()


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_mistyped_claim_ends_the_session_in_one_sentence(suite, monkeypatch, arguments):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    done = suite.runpytest_subprocess("--claims=KP1,LCC3", *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --claims names 'LCC3', which is no claim; the nearest are LC3*"])
    assert "Traceback" not in done.stderr.str() + done.stdout.str()


def test_cheap_claims_come_first_and_dear_ones_last():
    items = [Item(f"{seconds} s", "KP1a", seconds=seconds) for seconds in (400, 5, 90, 0.1, 20, 6)]
    assert order(items) == ["0.1 s", "5 s", "6 s", "20 s", "90 s", "400 s"]


def test_items_of_equal_cost_stay_with_their_folder_and_in_their_order():
    items = [
        Item(f"{folder}-{i}", "KP1a", folder=folder, seconds=s)
        for i, s in enumerate((20, 5, 30))
        for folder in ("b", "a")
    ]
    assert order(items) == ["b-1", "a-1", "b-0", "b-2", "a-0", "a-2"]


def test_an_instrument_comes_before_the_claims_that_rest_on_it():
    items = [
        Item("grows", "LC3b", fixtures=("ladder", "conclude"), parameters=("row",), seconds=2),
        Item("counted", "KP1a", fixtures=("conclude",)),
        Item("floor", "INSTRUMENT", seconds=100, fixtures=("ladder", "conclude"), parameters=("scenario",)),
        Item("elsewhere", "SV3a", folder="survey", fixtures=("ladder", "conclude"), seconds=2),
    ]
    assert order(items) == ["counted", "elsewhere", "floor", "grows"]


def test_an_instrument_of_the_whole_folder_leads_it():
    items = [
        Item(name, of, fixtures=("curves",), seconds=5) for name, of in (("grows", "LC3b"), ("floor", "INSTRUMENT"))
    ]
    assert order(items) == ["floor", "grows"]


def test_what_much_rests_on_comes_after_what_takes_a_moment_and_before_all_else():
    items = [
        Item("cheap", "SV3a", folder="survey", seconds=5),
        Item("curve", "LC3b", folder="long_context", seconds=40, leads=True),
        Item("simulated", "VERDICTS", folder="long_context", seconds=90, leads=True),
        Item("counted", "KP1a", seconds=0.5),
        Item("trained", "KP4a", seconds=900),
    ]
    assert order(items) == ["counted", "simulated", "curve", "cheap", "trained"]


def test_undecided_rows_come_before_decided_ones_of_their_class():
    items = [Item(name, "KP1a", seconds=seconds) for name, seconds in (("held", 5), ("open", 6), ("moment", 1))]
    assert order(items, decided=("held", "moment")) == ["moment", "open", "held"]


def test_times_of_speed_come_after_every_claim():
    assert order([Item("speed"), Item("dear", "KP1a", seconds=900)]) == ["dear", "speed"]
