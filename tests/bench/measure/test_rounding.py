"""The floor of a narrow number format: nothing for float32, and above nothing for bfloat16."""

import pytest

from bench.long_context.lab import LongContext
from bench.measure.rounding import Rounding
from tests.bench.sessions import session

SMALL = {"contexts": (8, 32), "targets": 8, "calibration_sequences": 2, "calibration_length": 16}


@pytest.fixture
def narrow(llama_folder, text_file, tmp_path):
    return session(tmp_path, model=str(llama_folder), text=text_file, dtype="bfloat16", **SMALL)


def test_float32_has_no_floor_and_loads_nothing(tmp_path):
    own = session(tmp_path)
    assert Rounding(own).floor() == 0
    assert Rounding(own).doubt(1e-9) == ""
    assert "decoder" not in vars(own)


def test_what_bfloat16_does_by_itself_is_not_judged(narrow):
    floor = Rounding(narrow).floor()
    assert floor > 0
    assert Rounding(narrow).doubt(20 * floor) == ""
    assert "is not 10 times what bfloat16 does by itself" in Rounding(narrow).doubt(20 * floor, 5 * floor)


def test_no_number_is_in_doubt(narrow):
    assert Rounding(narrow).doubt(float("nan"))


def test_the_floor_of_long_context_is_not_below_rounding(narrow):
    assert (LongContext(narrow).noise_floor() >= Rounding(narrow).floor()).all()
    assert "bfloat16" in LongContext(narrow).origin().protocol


def test_formats_do_not_share_a_record(narrow, llama_folder, tmp_path):
    exact = session(tmp_path, model=str(llama_folder))
    assert narrow.model_sha256 != exact.model_sha256
    assert str(narrow.decoder.model.dtype) == "torch.bfloat16"
