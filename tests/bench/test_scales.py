"""What `-m` asks for, and which GPU a worker takes."""

import pytest

from bench.scales import asks_for_gpu, device_of_worker, refuse_more_workers_than_gpus, shown

ASKS = {
    "": False,
    "gpu": True,
    "not gpu": False,
    "not slow": False,
    "claim": False,
    "gpu and claim": True,
    "gpu and not slow": True,
    "gpu or claim": True,
    "gpu or not slow": True,
    "not (gpu or slow)": False,
    "not (not gpu)": True,
    "gpu and": False,
}


@pytest.mark.parametrize("expression", ASKS, ids=str)
def test_the_gpu_scale_is_asked_for_where_it_is_named_un_negated(expression):
    assert asks_for_gpu(expression) is ASKS[expression]


@pytest.mark.parametrize(
    ("expression", "scale", "words"),
    [
        ("", "embedded", "embedded"),
        ("not slow", "embedded", "embedded"),
        ("gpu and claim", "embedded", "gpu"),
        ("gpu or claim", "embedded", "embedded and gpu"),
        ("gpu", "paper", "paper"),
    ],
)
def test_the_header_names_the_scales_that_run(expression, scale, words):
    assert shown(expression, scale) == words


ITEMS = """
import pytest

@pytest.mark.slow
def test_small(): pass

@pytest.mark.gpu
def test_large(): pass
"""


@pytest.mark.parametrize(
    ("expression", "passed"), [("", 1), ("not slow", 0), ("gpu and not slow", 1), ("gpu or slow", 2), ("not gpu", 1)]
)
def test_items_of_the_gpu_scale_run_only_where_it_is_asked_for(pytester, expression, passed):
    pytester.makeini("[pytest]")
    pytester.makepyfile(ITEMS)
    done = pytester.runpytest_inprocess("-p", "bench.plugin", "-m", expression)
    done.assert_outcomes(passed=passed, deselected=2 - passed)


def test_each_worker_has_a_gpu_of_its_own():
    assert [device_of_worker("cuda", f"gw{i}", 2) for i in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]


@pytest.mark.parametrize(("device", "worker", "gpus"), [("cuda:1", "gw0", 2), ("cuda", "", 2), ("cpu", "gw1", 0)])
def test_a_device_by_number_one_process_and_a_cpu_stay_as_they_are(device, worker, gpus):
    assert device_of_worker(device, worker, gpus) == device


def test_more_workers_than_gpus_are_refused_in_a_sentence():
    with pytest.raises(pytest.UsageError, match=r"-n gives 4 workers and this machine has 1 GPU.*; give no -n"):
        refuse_more_workers_than_gpus(4, 1)
    refuse_more_workers_than_gpus(2, 2)
    refuse_more_workers_than_gpus(4, 0)  # rows say that they need one
