import numpy as np
import pytest

from bench.survey.footprint.families import FAMILIES, families_at
from bench.survey.footprint.lab import Footprint
from bench.survey.settings import SurveySettings
from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.quantization.rounding import RoundToNearest
from tests.bench.sessions import session, suite


def test_every_family_has_six_to_ten_sizes_and_a_name_of_its_own() -> None:
    assert all(6 <= len(family.methods) <= 10 for family in FAMILIES)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    methods = [repr(method) for family in FAMILIES for method in family.methods]
    assert len(set(methods)) == len(methods)


def test_quick_effort_has_more_than_one_family() -> None:
    assert 1 < len(families_at("quick")) < len(families_at("normal")) == len(FAMILIES)


@pytest.fixture
def tiny(opt_folder, text_file, tmp_path) -> Footprint:
    lab = session(tmp_path, model=str(opt_folder), text=text_file, contexts=(4, 8))
    return Footprint(lab, SurveySettings(2, 16, 2, 16))


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES if family.name != "Kronecker sums"], ids=lambda f: f.name
)
def test_a_larger_file_holds_more_and_the_model_is_as_before(tiny: Footprint, family) -> None:
    before = {name: value.clone() for name, value in tiny.session.decoder.model.state_dict().items()}
    ends = [tiny.sized(family.name, method) for method in (family.methods[0], family.methods[-1])]
    assert ends[0].bytes != ends[1].bytes
    assert all(np.isfinite(of.loss).all() for of in ends)
    after = tiny.session.decoder.model.state_dict()
    assert before.keys() == after.keys()
    assert all((after[name] == value).all() for name, value in before.items())


def test_eight_bits_from_a_file_hardly_change_a_prediction(tiny: Footprint) -> None:
    rounding = next(family for family in FAMILIES if family.name == "rounding")
    assert np.abs(tiny.sized("rounding", rounding.methods[-1]).loss).max() < 0.01


def test_a_family_that_a_model_does_not_take_is_named_and_the_others_go_on(tiny: Footprint, monkeypatch) -> None:
    families = {"sevenths": (KroneckerFactorisation((7, 7)),), "rounding": (RoundToNearest(4), RoundToNearest(8))}
    monkeypatch.setattr(Footprint, "families", families)
    curves, refused = tiny.curves([0])
    assert list(curves) == ["rounding"]
    assert "second factors of 7 x 7 do not divide" in refused["sevenths"]


def test_page_plot_and_json_of_a_users_model(opt_folder, text_file, tmp_path) -> None:
    place = tmp_path / "reports" / "tiny"
    options = ["--effort=quick", "--model", opt_folder, "--text", text_file, "--contexts", "4,8", "-k", "footprint"]
    done = suite(*options, "--report-dir", place, places=["bench/survey"])
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    assert "Every variant, smallest first" in (place / "footprint.md").read_text()
    assert (place / "footprint.json").is_file()
    assert (place / "footprint.png").is_file()
