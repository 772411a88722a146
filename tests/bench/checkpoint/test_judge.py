"""Statistics of a checkpoint against its dense model, and what is refused."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench.checkpoint.judge import check_same_tokens
from bench.checkpoint.judged import TOP1, UNUSABLE, Judged, edges
from bench.measure.divergence import compare
from models.errors import InputError


def test_other_output_sizes_are_refused(monkeypatch):
    monkeypatch.setattr("bench.checkpoint.judge.check_same_tokenizer", lambda *_: None)
    tokenizer = None
    first, second = (SimpleNamespace(name=str(n), tokenizer=tokenizer, head=nn.Linear(2, n)) for n in (3, 4))
    with pytest.raises(InputError, match="predicts 3 tokens"):
        check_same_tokens(first, second)


def test_two_heads_are_each_models_own():
    generator = torch.Generator().manual_seed(0)
    heads = [nn.Linear(6, 11, bias=False) for _ in range(2)]
    hidden = torch.randn(2, 5, 6, generator=generator)
    labels = torch.randint(11, (5,), generator=generator)
    divergence = compare(heads[0], hidden[0], hidden[1], labels, dense_head=heads[1])
    log_p, log_q = (head(h).detach().double().log_softmax(-1) for head, h in zip(heads, hidden, strict=True))
    torch.testing.assert_close(divergence.kl.double(), (log_p.exp() * (log_p - log_q)).sum(-1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        divergence.dense_loss.double(), -log_q.gather(1, labels[:, None])[:, 0], rtol=1e-5, atol=1e-6
    )


def test_columns_are_their_names():
    generator = np.random.default_rng(0)
    names = ("kl", "reverse_kl", "agreement", "loss", "dense_loss")
    tokens = {name: generator.random((3, 127)) for name in names}
    judged = Judged(tokens, edges(127))
    assert judged.edges == (32, 64, 127)
    assert judged.by_position().shape == (3, 2)
    np.testing.assert_allclose(judged.by_position()[:, 1], tokens["kl"][:, 64:127].mean(1))
    change = np.exp(-tokens["loss"]) - np.exp(-tokens["dense_loss"])
    columns = judged.columns()
    assert columns["RMS change of p(right)"] == pytest.approx(np.sqrt((change**2).mean()))
    assert columns["99 % percentile of KL"] == pytest.approx(np.percentile(tokens["kl"], 99))
    assert judged.measures()["ratio"].value == pytest.approx(
        np.exp(tokens["loss"].mean() - tokens["dense_loss"].mean())
    )


@pytest.mark.parametrize(
    "positions, expected",
    [(40, (0, 20, 40)), (95, (0, 47, 95)), (96, (32, 64, 96)), (130, (32, 64, 130)), (511, (32, 64, 128, 256, 511))],
)
def test_edges(positions, expected):
    assert edges(positions) == expected


@pytest.mark.parametrize("positions", range(2, 700, 7))
def test_there_are_always_two_buckets_with_something_in_them(positions):
    starts = edges(positions)
    assert len(starts) >= 3 and starts[-1] == positions and all(a < b for a, b in pairwise(starts))


def tokens_of(**values):
    """Predictions of three documents, alike but for what is given."""
    generator = np.random.default_rng(1)
    same = {name: generator.random((3, 40)) for name in ("kl", "reverse_kl", "loss", "dense_loss")}
    return {**same, "agreement": np.ones((3, 40)), **values}


@pytest.mark.parametrize("name", ["kl", "loss"])
def test_predictions_that_are_no_numbers_are_as_bad_as_can_be(name):
    values = np.zeros((3, 40))
    values[1, 5] = np.nan
    judged = Judged(tokens_of(**{name: values}), edges(40))
    assert judged.unusable == 1 and judged.growth() is None
    assert {key: value.value for key, value in judged.measures().items()} == UNUSABLE


def test_a_share_stays_between_nothing_and_all():
    agreement = np.ones((3, 40))
    agreement[0, :4] = 0
    share = Judged(tokens_of(agreement=agreement), edges(40)).measures()[TOP1]
    assert share.high == 1.0 and share.value == pytest.approx(116 / 120)


def test_the_worst_tokens_are_those_of_the_largest_divergence_and_no_number_is_worst():
    kl = np.zeros((3, 40))
    kl[2, 7], kl[0, 3], kl[1, 1] = 2.0, 3.0, np.nan
    assert Judged(tokens_of(kl=kl), edges(40)).worst(3) == [(1, 1), (0, 3), (2, 7)]


def test_an_identical_checkpoint_has_no_divergence_that_grows():
    judged = Judged(tokens_of(kl=np.zeros((3, 40))), edges(40))
    assert judged.identical and judged.growth().value == 1.0
