"""The instrument of training-time methods on a toy text: what its recipes share, keep, and may not read."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.survey.trained import text as texts
from bench.survey.trained.lab import Trained, document_losses
from bench.survey.trained.lora import merged, with_adapters
from bench.survey.trained.recipes import (
    Adapted,
    Aware,
    Gradual,
    Longer,
    OneShot,
    Pruned,
    Recipe,
    Retrained,
    Shared,
    Ticket,
    Unadapted,
    layers_of,
)
from bench.survey.trained.rows import UNKNOWN, fresh_seeds, over, share
from bench.survey.trained.settings import PROTOCOLS, SPARSITIES
from compress.pruning.retrained import masks_of, sparsity_of
from compress.quantization.grouping import PerRow
from compress.quantization.rounding import RoundToNearest
from models.data.tasks import Task
from models.data.text import Document
from models.gpt2 import GPT2Shape, build
from models.training import train as training
from models.training.plan import Diverged
from tests.bench.sessions import session

QUICK = PROTOCOLS["embedded", "quick"]
TOY = replace(QUICK, dense=replace(QUICK.dense, warmup=3), review_characters=600)
"""With weights after a warm-up that are not the first any more."""
WORDS = "the cat sat on a mat and saw one red dog run by two old trees near my house today".split()


def prose(seed, words):
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def toy_reviews(*, test, shifted):
    reviews = [(prose(1000 + n, 80), "yes") for n in range(shifted + test + 1)]
    return Task("toy", ("no", "yes"), reviews[shifted + test :], reviews[shifted:][:test], reviews[:shifted])


def made(folder):
    own = session(folder)
    own.__dict__["documents"] = [Document(str(n), prose(n, 150)) for n in range(14)]
    return Trained(own, TOY)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One for all tests: what one of them trained is kept for the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "movie_reviews", toy_reviews)
        yield made(tmp_path_factory.mktemp("trained"))


def weights_of(model):
    return torch.cat([layer.weight.detach().flatten() for layer in layers_of(model).values()])


def test_no_document_is_trained_on_and_scored(lab):
    parts = texts.parted(lab.session.documents, held_out=QUICK.held_out, scored=QUICK.documents)
    titles = [document.title for part in (parts.training, parts.held_out, parts.scored) for document in part]
    assert len(set(titles)) == len(titles) == 14
    assert len(lab.texts.own.scored) == QUICK.documents == len(lab.texts.other.scored)


def test_the_other_domain_is_wikipedia_where_the_dense_model_read_a_file(monkeypatch):
    monkeypatch.setattr(texts, "documents_of", lambda path: ["an article"] if path is None else pytest.fail("read"))
    assert texts.other_documents("books.txt", QUICK) == ["an article"]


def test_what_is_done_to_a_dense_model_leaves_the_next_one_as_it_was(lab):
    before = weights_of(lab.models.dense(0))
    lab.measure(Pruned(0.5), 0)
    assert torch.equal(weights_of(lab.models.dense(0)), before)


def test_dense_models_are_trained_once(lab, monkeypatch):
    lab.measure(Recipe(), 0)
    again = made(lab.session.folder)
    monkeypatch.setattr(training._Run, "step", lambda *_: pytest.fail("a step was taken again"))
    assert torch.equal(weights_of(again.models.dense(0)), weights_of(lab.models.dense(0)))


def test_first_weights_are_those_that_the_dense_model_began_with(lab):
    first = build(QUICK.shape, seed=1, initial_scale=QUICK.initial_scale)
    assert torch.equal(weights_of(lab.models.start(1, early=False)), weights_of(first))
    late = lab.models.start(1, early=True)
    assert not torch.equal(weights_of(late), weights_of(first))
    assert late.lm_head.weight is late.transformer.wte.weight


def test_weights_after_the_warm_up_are_those_of_a_training_that_ends_there(lab):
    model, own = build(QUICK.shape, seed=1, initial_scale=QUICK.initial_scale), TOY.dense
    windows = training.windows_of(lab.texts.own.training, QUICK.shape.positions)

    class Enough(Exception):
        pass

    done = iter(range(1, own.steps))

    def watch(_tokens, _loss):
        if next(done) == own.warmup:
            raise Enough

    with pytest.raises(Enough):
        training.train(model, windows, replace(own, seed=1), watch=watch)
    assert torch.equal(weights_of(model), weights_of(lab.models.start(1, early=True)))


@pytest.mark.parametrize("early", [False, True])
def test_tickets_keep_their_masks_and_random_ones_their_layers_sparsity(lab, early):
    winning, random = (Ticket(SPARSITIES[:2], early=early, random=r).made(lab.models, 0) for r in (False, True))
    own, other = masks_of(layers_of(winning)), masks_of(layers_of(random))
    assert sparsity_of(own) == pytest.approx(0.75, abs=1e-3)
    assert {name: int(mask.sum()) for name, mask in own.items()} == {n: int(m.sum()) for n, m in other.items()}
    assert any(not torch.equal(own[name], other[name]) for name in own)
    for name, layer in layers_of(winning).items():
        assert not layer.weight[~own[name]].any()


def test_a_ticket_is_found_in_the_round_before_it(lab):
    first, second = (masks_of(layers_of(Ticket(SPARSITIES[:n]).made(lab.models, 0))) for n in (1, 2))
    assert all((second[name] <= first[name]).all() for name in first)


@pytest.mark.parametrize(
    ("recipe", "sparsity"),
    [
        (Pruned(0.5), 0.5),
        (Retrained((0.9,), 1), 0.9),
        (Retrained(SPARSITIES, 3), 0.9),
        (Gradual(0.75), 0.75),
        (Shared(Retrained((0.5,), 1), 4), 0.5),
    ],
    ids=str,
)
def test_pruned_models_have_the_zeros_that_were_asked_for(lab, recipe, sparsity):
    assert float(lab.measure(recipe, 0)["sparsity"]) == pytest.approx(sparsity, abs=2e-3)


def test_sizes_are_those_of_what_is_coded(lab):
    bits = {recipe: float(lab.measure(recipe, 0)["bits_per_weight"]) for recipe in (Aware(4), Aware(2, 8))}
    assert bits[Aware(4)] - bits[Aware(2, 8)] == 2
    assert np.isnan(lab.measure(Recipe(), 0)["bits_per_weight"])
    rounded = lab.measure(OneShot(RoundToNearest(4, PerRow(), symmetric=True)), 0)
    assert float(rounded["bits_per_weight"]) == bits[Aware(4)]


def test_rounding_after_training_rounds_the_model_that_went_on(lab):
    method = RoundToNearest(8, PerRow(), symmetric=True)
    longer = weights_of(Longer().made(lab.models, 0))
    rounded = weights_of(OneShot(method, Longer()).made(lab.models, 0))
    assert (rounded - longer).abs().max() <= longer.abs().max() / 127 / 2 * 1.001


@pytest.mark.parametrize(
    ("held", "best"),
    [
        ({0.1: 2.0, 0.3: 1.0, 1.0: 3.0}, 0.3),
        ({0.1: 1.0, 0.3: 2.0, 1.0: 3.0, 0.03: 1.5}, 0.1),  # the next below is no better
        ({0.1: 4.0, 0.3: 3.0, 1.0: 2.0, 3.0: 1.0, 9.0: 5.0}, 3.0),  # the next above is, and the one after is not
        ({0.1: 4.0, 0.3: 3.0, 1.0: 2.0, 3.0: math.inf}, 1.0),  # the next above diverges
    ],
)
def test_the_best_rate_is_that_of_the_lowest_held_out_loss_and_no_end_of_those_tried(lab, monkeypatch, held, best):
    monkeypatch.setattr(lab, "held_out", lambda recipe: held[recipe.rate])
    assert lab.at_best_rate(Longer(), (0.1, 0.3, 1.0)).rate == best


def test_a_single_rate_is_what_it_is(lab):
    assert lab.at_best_rate(Longer(), (0.3,)).rate == 0.3


def test_a_training_that_diverges_is_never_chosen(lab, monkeypatch):
    def diverges(_recipe, _seed):
        raise Diverged(3, 1.0, math.nan, None)

    monkeypatch.setattr(lab, "measure", diverges)
    assert lab.held_out(Longer()) == math.inf


def test_adapters_change_nothing_at_first_and_merge_into_what_they_were():
    shape = GPT2Shape(layers=2, width=16, heads=2, vocabulary=300, positions=8)
    model, tokens = build(shape, seed=0, initial_scale=0.1).eval(), torch.arange(8)[None]
    with torch.no_grad():
        before = model(tokens).logits
        with_adapters(model, 2, 0)
        assert torch.equal(model(tokens).logits, before)
        assert all(parameter.requires_grad == ("lora" in name) for name, parameter in model.named_parameters())
        for name, parameter in model.named_parameters():
            if "lora" in name:
                parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
        adapted = model(tokens).logits
        assert not torch.allclose(adapted, before)
        # One product of summed weights against two: float32 of logits near one.
        torch.testing.assert_close(merged(model)(tokens).logits, adapted, rtol=1e-4, atol=1e-4)
    assert not [name for name, _ in model.named_parameters() if "lora" in name]


def test_adapted_models_are_scored_on_the_other_domain(lab):
    losses = document_losses(lab.models.dense(0), lab.texts.other.scored)
    np.testing.assert_array_equal(lab.measure(Unadapted(), 0)["loss"], losses)
    assert not np.array_equal(lab.measure(Adapted(1, 0.3), 0)["loss"], losses)


def test_ratios_and_shares_by_hand(lab, monkeypatch):
    known = {Recipe(): 2.0, Longer(): 1.5, Pruned(0.5): 3.5, Retrained((0.5,), 1): 1.7}
    noise = np.random.default_rng(0).normal(0, 1e-6, (2, 4))
    monkeypatch.setattr(lab, "losses", lambda recipe, _seeds=None: known[recipe] + noise)
    assert over(lab, Recipe(), Longer()).value == pytest.approx(np.exp(0.5))
    interval = share(lab, (Pruned(0.5), Longer()), (Retrained((0.5,), 1), Longer()))
    assert interval.value == pytest.approx(1 - 0.2 / 2.0) and interval.low <= interval.value <= interval.high


def test_there_is_no_share_of_what_was_not_lost(lab, monkeypatch):
    noise = {Longer(): 0.0, Pruned(0.5): np.linspace(-1, 1, 8).reshape(2, 4), Retrained((0.5,), 1): 0.1}
    monkeypatch.setattr(lab, "losses", lambda recipe, _seeds=None: 2.0 + noise[recipe] + np.zeros((2, 4)))
    assert share(lab, (Pruned(0.5), Longer()), (Retrained((0.5,), 1), Longer())) is UNKNOWN


def test_recipes_of_the_papers_length_take_as_many_steps(lab, monkeypatch):
    steps = {}
    monkeypatch.setattr(
        lab.models, "_run", lambda label, _model, training, _folder, **_how: steps.update({label: training.steps})
    )
    for recipe in (Longer(of_training=2.5), Retrained((0.5,), 1, of_training=2.5), Retrained((0.5,), 2), Longer()):
        recipe.made(lab.models, 0)
        trained, after = QUICK.dense.steps, QUICK.after
        share = 2.5 * trained if recipe.of_training else after / getattr(recipe, "of", 1)
        assert steps[f"{recipe}, seed 0"] == round(share)


def test_a_model_that_counts_beat_may_not_judge(lab, monkeypatch):
    assert "does not discriminate" in lab.doubt()  # trained on nothing
    monkeypatch.setattr(lab, "losses", lambda _recipe, _seeds=None: np.full((2, QUICK.documents), 0.1))
    assert not lab.doubt()


def test_how_many_seeds_there_are_decides_no_model():
    assert replace(QUICK, seeds=(5, 6, 7), rates=(1.0,)).decisive() == QUICK.decisive()


def test_fresh_seeds_are_none_of_the_others(lab):
    lots = [QUICK.seeds, fresh_seeds(lab), fresh_seeds(lab, after=1)]
    assert len({*lots[0], *lots[1], *lots[2]}) == len(QUICK.seeds) + 10


def test_too_little_text_is_said_beforehand(lab, monkeypatch):
    monkeypatch.setattr(lab.texts, "settings", replace(QUICK, dense=replace(QUICK.dense, steps=100_000)))
    assert "tokens more with --train-text" in lab.texts.shortage
