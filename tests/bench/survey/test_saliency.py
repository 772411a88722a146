"""Rankings on layers of a model: what they change, whose inputs errors are of, and layers that are too wide."""

import numpy as np
import pytest
import torch

from bench.survey import saliency
from bench.survey.saliency import RANKINGS, REFIT, NoNarrowLayer, SaliencySettings, SecondOrder, _by_block, _changes, at
from bench.verdict.evidence import read
from tests.bench.sessions import session, suite
from tests.layers import correlated


@pytest.fixture(scope="module")
def changes():
    weight, gram, _ = correlated(6, 24, seed=0, dtype=torch.float32)
    settings = SaliencySettings(2, 16, 1, 16, rounded_rows=2)
    return weight, gram.double(), _changes(weight, gram.double(), settings)


def test_every_ranking_takes_half_of_every_row_and_moves_no_other_weight(changes):
    weight, _, changed = changes
    for kind in RANKINGS:
        after = changed[kind] + weight
        assert ((after == 0).sum(1) == 12).all(), kind
        assert torch.equal(after[after != 0], weight.double()[after != 0])


def test_a_refit_keeps_what_its_ranking_keeps_and_errs_less(changes):
    weight, gram, changed = changes
    for kind in RANKINGS:
        gone = changed[kind] != 0
        fitted = changed[kind + REFIT]
        torch.testing.assert_close(fitted[gone], -weight.double()[gone])

        def error(change):
            return float((change @ gram * change).sum())

        assert error(fitted) < error(changed[kind])
    assert {len(changed[kind]) for kind in ("rounded", "gptq", "obq")} == {2}


def test_means_are_over_a_blocks_layers():
    values = np.array([[1.0, 2.0], [3.0, 6.0], [7.0, 7.0]])
    means = _by_block(values, ["0.q", "0.k", "12.q"])
    np.testing.assert_array_equal(means, [[2.0, 4.0], [7.0, 7.0]])


def test_settings_are_the_surveys_and_how_much_of_the_model_is_looked_at():
    assert at("embedded", "quick").spread < at("embedded", "normal").spread
    assert {at("embedded", effort).blocks for effort in ("quick", "normal", "thorough")} == {None}
    assert at("embedded", "thorough").samples == 3 > at("embedded", "normal").samples


def test_a_model_without_narrow_layers_is_skipped_with_a_reason(llama_folder, text_file, tmp_path, monkeypatch):
    made = session(tmp_path, model=str(llama_folder), text=text_file, contexts=(4, 8))
    instrument = SecondOrder(made, at("embedded", "quick"))
    assert sorted(instrument.layers) == [0, 2] and "0.mlp.down_proj" not in instrument.layers
    monkeypatch.setattr(saliency, "MOST_INPUTS", 8)
    with pytest.raises(NoNarrowLayer, match="no linear layer of 8 inputs or fewer"):
        _ = SecondOrder(made, at("embedded", "quick")).layers


def test_the_path_on_a_tiny_llama(llama_folder, text_file, tmp_path):
    place = tmp_path / "reports" / "tiny"
    options = ["--effort=quick", "--model", llama_folder, "--text", text_file, "--contexts", "4,8"]
    files = [f"bench/survey/test_{name}.py" for name in ("second_order", "outliers", "llm_pruner")]
    done = suite(*options, "--report-dir", place, places=files)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read(place).rows
    own = [row for name, row in rows.items() if name.startswith(("SV22-", "SV23-"))]
    assert len(own) == 20 and {row.verdict for row in own} == {"inconclusive"}
    assert all("at this effort; use --effort=normal" in row.doubt for row in own)
    pruned = [row for name, row in rows.items() if name.startswith("SV6-") and "llm-pruner" in name]
    assert len(pruned) == 6 and {row.verdict for row in pruned} == {"inconclusive"}
    names = set(rows["SV23-obc-over-magnitude"].variants) | set(rows["SV22-after-wanda-0.5"].variants)
    assert names == {
        "second order, quick: output errors",
        "outliers, quick: dense",
        "outliers, quick: WandaPruning(sparsity=0.5, n_of_m=None)",
    }
