"""Kernels that a card lacks are named with what it has and what they need."""

import pytest

from bench.measure.kernels import lacking
from tests.pretend_device import pretended_cuda


@pytest.mark.parametrize(("own", "needed"), [((8, 0), (8, 0)), ((9, 0), (8, 9)), ((8, 9), (8, 9))])
def test_a_card_that_has_them_lacks_nothing(own, needed):
    with pretended_cuda(capability=own):
        assert lacking("cuda", "float8 products", needed) == ""


def test_an_older_card_is_told_what_it_has_and_what_is_needed():
    with pretended_cuda(capability=(7, 5)):
        said = lacking("cuda", "2:4 sparse products", (8, 0))
    assert said == (
        "pretended device 0 has compute capability 7.5 and 2:4 sparse products need 8.0; "
        "choose a newer card with --device"
    )


def test_a_cpu_is_told_how_to_run_them():
    assert lacking("cpu", "2:4 sparse products", (8, 0)) == (
        "torch has 2:4 sparse products for CUDA only; run: pytest bench -m gpu"
    )
