"""The training loop: what it computes, how it stops, how it goes on."""

import copy
import itertools

import pytest
import torch

from models.errors import InputError
from models.gpt2 import GPT2Shape, build
from models.training.train import Diverged, Training, batch_indices, next_token_loss, train, windows_of

SHAPE = GPT2Shape(layers=2, width=16, heads=2, vocabulary=31, positions=8)


def model(dropout=0.0):
    return build(SHAPE, seed=1, dropout=dropout)


@pytest.fixture
def windows():
    return torch.randint(0, 31, (13, 8), generator=torch.Generator().manual_seed(2))


def plain_loop(network, windows, training):
    """The same in bare PyTorch, with accumulation as one batch."""
    network.train()
    decay = [p for p in network.parameters() if p.ndim >= 2]
    rest = [p for p in network.parameters() if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": training.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas)
    losses = []
    for step in range(training.steps):
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate * (min(1.0, step / training.warmup) if training.warmup else 1.0)
        loss = next_token_loss(network, windows[batch_indices(len(windows), training.batch, step, training.seed)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("accumulation", "warmup"), [(1, 0), (2, 3)])
def test_equals_a_bare_loop(windows, accumulation, warmup):
    training = Training(steps=7, batch=4, learning_rate=1e-2, accumulation=accumulation, warmup=warmup, seed=5)
    ours, plain = model(), model()
    history = train(ours, windows, training, watch=lambda *_: None)
    losses = plain_loop(plain, windows, training)
    torch.testing.assert_close(torch.tensor(history.losses), torch.tensor(losses), rtol=1e-5, atol=1e-6)
    # Not the parameters: a key's bias has no gradient but rounding, which Adam makes as large as any other.
    logits = [network.eval()(input_ids=windows).logits for network in (ours, plain)]
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)
    assert history.tokens == 7 * 4 * 8


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_resumes_bit_for_bit(windows, tmp_path, dropout):
    state = torch.random.get_rng_state()
    whole = Training(steps=9, batch=3, learning_rate=1e-2, schedule="cosine", warmup=2, seed=4)
    straight = model(dropout)
    expected = train(straight, windows, whole, watch=lambda *_: None)

    class Stop(Exception):
        pass

    def stop_at(count):
        steps = itertools.count(1)

        def watch(_tokens, _loss):
            if next(steps) == count:
                raise Stop

        return watch

    interrupted = model(dropout)
    with pytest.raises(Stop):
        train(interrupted, windows, whole, folder=tmp_path, save_every=2, watch=stop_at(6))
    resumed = build(SHAPE, seed=99, dropout=dropout)
    history = train(resumed, windows, whole, folder=tmp_path, save_every=2, watch=lambda *_: None)
    assert history.losses == expected.losses
    for parameter, wanted in zip(resumed.parameters(), straight.parameters(), strict=True):
        assert torch.equal(parameter, wanted)
    assert len(list(tmp_path.glob("step-*"))) == 1
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_finished_run_is_not_run_again(windows, tmp_path):
    training = Training(steps=3, batch=2, learning_rate=1e-2)
    first = model()
    train(first, windows, training, folder=tmp_path, watch=lambda *_: None)
    second = build(SHAPE, seed=7)
    history = train(second, windows, training, folder=tmp_path, watch=lambda *_: pytest.fail("a step was run"))
    assert len(history.losses) == 3
    assert torch.equal(first.transformer.wte.weight, second.transformer.wte.weight)


def test_nan_stops_and_says_where(windows, tmp_path):
    calls = itertools.count()

    def loss(network, tokens):
        value = next_token_loss(network, tokens)
        return value * float("nan") if next(calls) == 5 else value

    network = model()
    training = Training(steps=8, batch=2, learning_rate=3e-3)
    with pytest.raises(Diverged, match=r"step 5 with learning rate 0.003.*step-00000004") as stopped:
        train(network, windows, training, loss=loss, folder=tmp_path, save_every=2, watch=lambda *_: None)
    assert stopped.value.step == 5
    assert all(bool(parameter.isfinite().all()) for parameter in network.parameters())


def test_refusals(windows, tmp_path):
    training = Training(steps=2, batch=2, learning_rate=1e-2)
    train(model(), windows, training, folder=tmp_path, watch=lambda *_: None)
    with pytest.raises(InputError, match="other settings \\(learning_rate"):
        train(model(), windows, Training(steps=2, batch=2, learning_rate=2e-2), folder=tmp_path)
    other = build(GPT2Shape(layers=1, width=16, heads=2, vocabulary=31, positions=8), seed=1)
    with pytest.raises(InputError, match="another architecture"):
        train(other, windows, training, folder=tmp_path)
    with pytest.raises(InputError, match="no window"):
        train(model(), windows[:0], training)
    with pytest.raises(InputError, match="has 5 tokens and one window takes 8"):
        windows_of(torch.arange(5), 8)
    with pytest.raises(ValueError, match="'linear' is not one of"):
        Training(steps=1, batch=1, learning_rate=1e-3, schedule="linear")
    with pytest.raises(ValueError, match="parts must divide"):
        Training(steps=1, batch=3, learning_rate=1e-3, accumulation=2)
    with pytest.raises(ValueError, match="learning rate is nan"):
        Training(steps=1, batch=1, learning_rate=float("nan"))


def test_every_epoch_reads_every_window_once():
    for seed in range(3):
        read = [index for step in range(7) for index in batch_indices(7, 3, step, seed)]
        assert all(sorted(read[i : i + 7]) == list(range(7)) for i in (0, 7, 14))
        assert read[:7] != read[7:14]


def test_a_dataset_on_disk_gives_the_same_run(windows, tmp_path):
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "tokens"
    datasets.Dataset.from_dict({"input_ids": windows.tolist()}).save_to_disk(str(path))
    stored = datasets.load_from_disk(str(path)).with_format("torch")
    training = Training(steps=3, batch=4, learning_rate=1e-2)
    first, second = model(), copy.deepcopy(model())
    a = train(first, windows, training, watch=lambda *_: None)
    b = train(second, stored, training, watch=lambda *_: None)
    assert a.losses == b.losses


def test_a_rate_of_its_own_moves_a_parameter_by_so_much_more(windows):
    """Adam's first step is the rate, whatever the gradient."""
    start = model()
    moved = {}
    for rates in ({}, {"bias": 4.0}):
        network = model()
        train(network, windows, Training(1, 2, 1e-3, weight_decay=0.0), watch=lambda *_: None, rates=rates)
        pairs = zip(start.named_parameters(), network.parameters(), strict=True)
        moved[len(rates)] = {name: (after - before).abs().max().item() for (name, before), after in pairs}
    for name, far in moved[1].items():
        assert far == pytest.approx((4 if name.endswith("bias") else 1) * moved[0][name], rel=1e-3, abs=1e-7)
    assert any(moved[1][name] > 3e-3 for name in moved[1] if name.endswith("bias"))


def test_a_run_with_rates_of_its_own_resumes_bit_for_bit(tmp_path, windows):
    training, rates = Training(6, 2, 1e-3), {"bias": 4.0}
    whole, cut = model(), model()
    losses = train(whole, windows, training, watch=lambda *_: None, rates=rates).losses
    steps = itertools.count(1)

    def stop(*_):
        if next(steps) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cut, windows, training, folder=tmp_path, save_every=2, watch=stop, rates=rates)
    again = train(model(), windows, training, folder=tmp_path, save_every=2, watch=lambda *_: None, rates=rates)
    assert again.losses == losses
