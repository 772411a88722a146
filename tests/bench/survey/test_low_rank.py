"""The instruments of low rank on a tiny Llama."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.survey.features import FeatureDistillation, FeatureSettings, Start, recovered
from bench.survey.lab import Survey
from bench.survey.low_rank import LowRank, _rank_share
from bench.survey.settings import SurveySettings
from compress.factorisation.low_rank.methods import FisherWeightedSVD, TruncatedSVD
from compress.swap import compressed
from models.training.train import next_token_loss
from tests.bench.sessions import session

SETTINGS = SurveySettings(documents=3, tokens=24, calibration_sequences=3, calibration_length=16, samples=2)


@pytest.fixture
def survey(llama_folder, text_file, tmp_path):
    toy = session(
        tmp_path,
        model=str(llama_folder),
        text=text_file,
        contexts=(4, 8),
        targets=17,
        calibration_sequences=8,
        calibration_length=16,
    )
    return Survey(toy, SETTINGS)


@pytest.fixture
def lab(survey):
    return LowRank(survey.session, SETTINGS, survey)


@pytest.fixture
def features(survey):
    return FeatureDistillation(survey.session, FeatureSettings(SETTINGS, sequences=3, passes=2), survey)


def test_fisher_weighted_svd_is_scored_with_its_samples_own_gradients(lab):
    runs = lab.runs(FisherWeightedSVD(0.5))
    decoder = lab.session.decoder
    for sample, run in enumerate(runs):
        sums = {}
        sequences = torch.cat(lab.batches(off_domain=False, sample=sample))
        weights = {
            f"{i}.{name}": module.weight.requires_grad_(True)
            for i, block in enumerate(decoder.blocks)
            for name, module in block.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        for sequence in sequences:
            gradients = torch.autograd.grad(next_token_loss(decoder.model, sequence[None]), list(weights.values()))
            for name, gradient in zip(weights, gradients, strict=True):
                sums[name] = sums.get(name, 0) + gradient.double().square().sum(1) / len(sequences)
        for weight in weights.values():
            weight.requires_grad_(False)
        importance, _ = lab._importance(False, sample)
        for name, rows in sums.items():
            torch.testing.assert_close(importance.rows[name], rows, rtol=1e-4, atol=1e-6 * float(rows.max()))
        with compressed(FisherWeightedSVD(0.5).given(importance), decoder.blocks), torch.no_grad():
            windows = lab.windows.tokens
            losses = [float(next_token_loss(decoder.model, window[None])) for window in windows]
        np.testing.assert_allclose(run.loss, losses, rtol=1e-5)
    assert len(runs) == 2 and not np.array_equal(runs[0].loss, runs[1].loss)


def test_other_methods_are_the_surveys(lab):
    method = TruncatedSVD(0.5)
    lab.measure(method)
    assert repr(method) in next(key for key in lab.session.store.used if "TruncatedSVD" in key)
    assert {key.partition(",")[0] for key in lab.session.store.used if "TruncatedSVD" in key} == {"survey"}


def test_a_control_has_one_sample_and_a_plain_method_too(lab):
    assert len(lab.runs(FisherWeightedSVD(0.5), control=True)) == len(lab.runs(TruncatedSVD(0.5))) == 1


def test_only_where_all_variants_are_ruined_there_is_a_doubt(lab):
    sound = lab.measure(TruncatedSVD(0.9))
    sound = replace(sound, loss=np.full(3, lab.no_context() - 0.1))
    ruined = replace(sound, loss=np.full(3, lab.no_context() + 0.1))
    lost = replace(sound, loss=np.full(3, np.nan))
    assert lab.doubt(sound, ruined) == lab.doubt(sound) == ""
    assert "worse than the text's token frequencies" in lab.doubt(ruined, lost)


def test_rank_for_an_energy_by_hand():
    weight = torch.diag(torch.tensor([3.0, 2.0, 1.0, 1.0]))  # energies 9, 4, 1, 1: 13 of 15 are under 90 %
    assert _rank_share(weight) == 3 / 4
    assert _rank_share(torch.eye(10)) == 9 / 10


def test_spectra_have_a_number_for_every_block(lab):
    assert lab.spectra().shape == (3,) and ((lab.spectra() > 0) & (lab.spectra() <= 1)).all()


def test_feature_distillation_lowers_every_blocks_error_and_leaves_the_model_dense(features):
    before = {name: value.clone() for name, value in features.session.decoder.model.state_dict().items()}
    svd, distilled = features.measure(Start(0.5, distilled=False)), features.measure(Start(0.5))
    drawn = features.measure(Start(0.5, random=True))
    assert (distilled["errors"][:, 1] <= distilled["errors"][:, 0]).all()
    assert distilled["errors"][0, 0] < drawn["errors"][0, 0]  # before training, SVD is the nearer start
    assert svd["bytes"] == distilled["bytes"] == drawn["bytes"] > 0
    assert not np.array_equal(svd["loss"], distilled["loss"])
    after = features.session.decoder.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_the_rate_is_chosen_on_a_sequence_that_is_not_trained_on(features, monkeypatch):
    seen = []
    heal = FeatureDistillation._heal
    monkeypatch.setattr(
        FeatureDistillation,
        "_heal",
        lambda self, blocks, rate, advance: seen.append(rate) or heal(self, blocks, rate, advance),
    )
    chosen = features._rate(Start(0.5))
    assert len(features.sequences) == 3 and chosen in seen and seen == sorted(set(seen)) and len(seen) == 3


def test_blocks_that_are_left_out_are_a_doubt(survey):
    some = FeatureDistillation(survey.session, FeatureSettings(SETTINGS, sequences=3, passes=1, blocks=1), survey)
    assert some.doubt(Start(0.5)).startswith("only 1 of 3 blocks are factorised")


def test_share_recovered_by_hand():
    dense = np.array([1.0, 2.0, 3.0])
    interval = recovered(dense + 4, dense + 1, dense)
    assert interval.value == interval.low == interval.high == 0.75
    assert recovered(dense + 4, dense + np.arange(1, 4), dense).value == pytest.approx(0.5)
