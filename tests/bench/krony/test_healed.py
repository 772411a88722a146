"""The real model factorised or halved, at toy size: exact where it must be, and when it may not judge."""

import numpy as np
import pytest
import torch
from scipy import stats

from bench.krony.healed import Healed, Variant
from bench.krony.settings import HEALED, HealedSettings
from compress.distillation.heal import Healing
from compress.factorisation.kronecker.method import KroneckerFactorisation, KroneckerFitToInputs
from models.data.text import Corpus
from models.load import load
from tests.bench.sessions import session
from tests.tiny_models import VOCABULARY

UNHEALED = Healing(passes=0)
HALF, COARSE = Variant(None), Variant(KroneckerFactorisation((4, 1)))


@pytest.fixture
def lab(tmp_path, llama_folder):
    made = session(tmp_path, model=str(llama_folder))
    made.decoder = load(str(llama_folder))
    drawn = torch.randint(0, VOCABULARY, (8, 24), generator=torch.Generator().manual_seed(3))
    made.corpus = Corpus(calibration=(), scored=tuple(drawn[:3]), titles=("a", "b", "c"), sha256="")
    made.calibration = [drawn[4:]]
    return made


@pytest.mark.parametrize("method", [KroneckerFactorisation, KroneckerFitToInputs])
def test_factors_that_lose_nothing_leave_the_model_as_it_is(lab, method):
    """With a second factor of 1 x 1 the first is the weight itself; the fit starts at its optimum."""
    arrays = Healed(lab, HealedSettings(2, Healing(passes=1), 20)).measure(Variant(method((1, 1))))
    assert arrays["kl"].shape == (3,) and abs(arrays["kl"]).max() < 1e-5  # float32 logits
    np.testing.assert_allclose(arrays["loss"], arrays["dense_loss"], atol=1e-5)
    assert arrays["errors"].max() < 1e-10


@pytest.mark.parametrize(("blocks", "gone"), [(None, 1), (2, 1)])
def test_half_the_depth_is_exact_where_what_goes_does_nothing(lab, blocks, gone):
    block = lab.decoder.blocks[gone]
    for layer in (block.self_attn.o_proj, block.mlp.down_proj):
        torch.nn.init.zeros_(layer.weight)
    arrays = Healed(lab, HealedSettings(2, UNHEALED, 20, blocks=blocks)).measure(HALF)
    assert abs(arrays["kl"]).max() < 1e-6
    left, dense = arrays["parameters"]
    assert dense - left == sum(parameter.numel() for parameter in block.parameters())


@pytest.mark.parametrize("variant", [HALF, COARSE])
def test_healing_changes_a_copy_and_brings_blocks_closer(lab, variant):
    before = {name: tensor.clone() for name, tensor in lab.decoder.model.state_dict().items()}
    real = Healed(lab, HealedSettings(3, Healing(passes=8, learning_rate=3e-3), 20))
    arrays = real.measure(variant)
    assert all(torch.equal(before[name], tensor) for name, tensor in lab.decoder.model.state_dict().items())
    assert (arrays["errors"][:, 1] < arrays["errors"][:, 0]).all()
    unhealed = Healed(lab, HealedSettings(3, UNHEALED, 20)).measure(variant)
    np.testing.assert_allclose(unhealed["errors"][0, 0], arrays["errors"][0, 0], rtol=1e-6)
    assert np.array_equal(unhealed["errors"][:, 0], unhealed["errors"][:, 1])


@pytest.mark.parametrize(("batch", "steps"), [(1, [1, 1, 1, 1]), (3, [3, 1])])
def test_a_step_of_healing_takes_as_many_sequences_as_are_set(lab, batch, steps):
    real = Healed(lab, HealedSettings(4, Healing(1), 24, batch=batch))
    assert [len(each) for each in real.batches] == steps
    assert "4 x 24 tokens" in real.origin().protocol
    assert np.isfinite(real.measure(COARSE)["loss"]).all()


def test_on_the_cpu_every_sequence_is_a_step():
    for (scale, _), settings in HEALED.items():
        assert (settings.batch == 1) == (scale == "embedded")


def test_only_the_first_blocks_where_so_many_are_asked_for(lab):
    real = Healed(lab, HealedSettings(2, UNHEALED, 20, blocks=1))
    assert len(real.measure(COARSE)["errors"]) == 1 and "1 blocks" in real.origin().protocol
    assert "only 1 of 3 blocks" in real.doubt(COARSE)


def test_what_reads_no_context_is_the_entropy_of_the_tokens(lab):
    real = Healed(lab, HealedSettings(2, UNHEALED, 20))
    tokens = torch.stack(lab.corpus.scored)[:, 1:20].flatten().numpy()
    wanted = stats.entropy(np.bincount(tokens))
    assert real._no_context() == pytest.approx(wanted, rel=1e-12)


def test_what_is_no_language_model_any_more_judges_nothing(lab):
    real = Healed(lab, HealedSettings(2, UNHEALED, 20))
    level = 4.0
    losses = {str(HALF): level - 0.1, str(COARSE): level}
    real.measure = lambda variant: {
        "loss": np.array([losses[str(variant)]]),
        "no_context": np.array([level]),
        "blocks": np.array([3, 3]),
    }
    assert real.doubt(HALF) == ""
    doubt = real.doubt(HALF, COARSE)
    assert str(COARSE) in doubt and str(HALF) not in doubt and "-m gpu" in doubt
    losses[str(HALF)] = float("nan")
    assert str(HALF) in real.doubt(HALF)


def test_thorough_effort_compresses_the_whole_model():
    for (scale, effort), settings in HEALED.items():
        assert settings.blocks is None or effort == "quick", scale
