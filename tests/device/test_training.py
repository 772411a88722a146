"""Training, stacked training, healing and distillation on a pretended GPU: the CPU's losses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.krony.healed import Healed, Variant
from bench.krony.settings import HealedSettings
from bench.small_models.lab import SmallModels
from bench.small_models.settings import FIRST, SmallModelsSettings
from bench.small_models.variants import Distilled, DistilledLoss
from bench.small_models.variants import Variant as Small
from compress.distillation.heal import Healing
from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.pruning.retrained import by_magnitude, hold
from compress.quantization.aware import make_aware
from compress.trained_coding import share_values
from models.data.tasks import Task
from models.data.text import Document
from models.gpt2 import GPT2Shape
from models.gpt2 import build as build_gpt2
from models.load import find_blocks
from models.t5 import T5Shape, build
from models.training.train import Training, train
from tests.bench.sessions import session
from tests.pretend_device import pretended_cuda

TRAINING = Training(3, 4, 1e-2, weight_decay=0.0)
SHAPE = GPT2Shape(layers=2, width=16, heads=2, vocabulary=31, positions=8)
TINY = T5Shape(1, 1, 16, 8, 4, 2)
SMALL = SmallModelsSettings(
    dict.fromkeys(("tiny", "mini", "small", "base"), TINY), 270, 24, TRAINING, TRAINING, looks=(2,), spread_looks=(2,)
)
SEEDS = range(FIRST, FIRST + 2)
CUDA = [(1, "cuda"), (2, "cuda"), (2, "cuda:1")]


def trained(device, folder=None, steps=3):
    model = build_gpt2(SHAPE, seed=1)
    windows = torch.randint(0, 31, (13, 8), generator=torch.Generator().manual_seed(2))
    own = replace(TRAINING, steps=steps)
    history = train(model, windows, own, device=device, folder=folder, save_every=1, watch=lambda *_: None)
    return history.losses, {tensor.device for tensor in model.parameters()}


@pytest.mark.parametrize(("devices", "device"), CUDA)
def test_training_gives_the_cpus_losses_on_the_gpu_that_is_named(devices, device):
    expected, _ = trained("cpu")
    with pretended_cuda(devices):
        losses, places = trained(device)
        assert places == {torch.device("cuda", int(device == "cuda:1"))}
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert trained("cpu")[1] == {torch.device("cpu")}, "one after the other"


def _masked(layers):
    hold(layers, by_magnitude(layers, 0.5))


CHANGES = {
    "rounded": lambda layers: make_aware(layers.values(), 3, activation_bits=8),
    "masked": _masked,
    "shared": lambda layers: share_values(layers, 3),
}


def changed_losses(device, change):
    """Losses of a training of layers that something stands for, and the devices of all they hold."""
    model = build_gpt2(SHAPE, seed=1)
    blocks = torch.nn.ModuleList(find_blocks(model))
    CHANGES[change]({name: layer for name, layer in blocks.named_modules() if isinstance(layer, torch.nn.Linear)})
    windows = torch.randint(0, 31, (13, 8), generator=torch.Generator().manual_seed(2))
    losses = train(model, windows, TRAINING, device=device, watch=lambda *_: None).losses
    return losses, {tensor.device.type for tensor in (*model.parameters(), *model.buffers())}


@pytest.mark.parametrize("change", CHANGES)
def test_training_under_rounding_masks_or_shared_values_gives_the_cpus_losses(change):
    expected, _ = changed_losses("cpu", change)
    with pretended_cuda():
        losses, places = changed_losses("cuda", change)
    assert places == {"cuda"}
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_a_step_waits_for_its_loss_and_its_norm_alone():
    with pretended_cuda() as counts:
        trained("cuda", steps=1)
        once = counts.synchronisations.total()
        trained("cuda", steps=6)
        assert counts.synchronisations.total() - 2 * once <= 5 * 4


def test_a_finished_training_is_read_back_by_a_gpu(tmp_path):
    with pretended_cuda():
        first, _ = trained("cuda", tmp_path)
        again, places = trained("cuda", tmp_path)
        assert first == again and {place.type for place in places} == {"cuda"}


@pytest.fixture
def small(tmp_path):
    """The small models' protocol on three articles, at a device."""
    story = "Here is a sentence about the matter of cats and dogs. It goes on for a while, as they do. "
    examples = [(f"sentence number {i} of a few", "yes" if i % 2 else "no") for i in range(9)]
    task = Task("parity", ("yes", "no"), examples, examples, [])

    def at(device):
        own = session(tmp_path / device, model="none")
        own.settings = replace(own.settings, device=device)
        return SmallModels(own, SMALL, "task", lambda: ([Document("", story * 12)], task))

    return at


@pytest.mark.parametrize("divergence", ["forward", "written"])
def test_stacked_students_learn_from_a_teacher_as_on_the_cpu(small, divergence):
    variant = Small("mini", distilled=Distilled("small", 0.3, 2.0, divergence))
    expected = small("cpu").measure(variant, SEEDS)
    with pretended_cuda():
        given = small("cuda").measure(variant, SEEDS)
    for name in ("pretraining", "tuning", "test"):
        np.testing.assert_allclose(given[name], expected[name], rtol=1e-4, err_msg=name)


def test_a_teachers_logits_left_on_the_cpu_are_caught():
    rows = torch.randint(3, 30, (4, 24 + 3), generator=torch.Generator().manual_seed(0))
    logits, loss = torch.zeros(4, 2, 40), DistilledLoss(24, Distilled("mini", 0.3, 2.0))
    with pretended_cuda():
        model, rows = build(replace(TINY, vocabulary=40), seed=0).to("cuda"), rows.to("cuda")
        assert loss(model, rows, logits.to("cuda")).is_cuda
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            loss(model, rows, logits)
        with pytest.raises(RuntimeError, match=r"same device: aten\.index\.Tensor"):
            loss(model, rows, logits[rows[:, -1] % 4])


def healed(folder, device, llama_folder, text_file):
    own = session(folder, model=str(llama_folder), text=text_file, contexts=(4, 8), targets=8)
    own.settings = replace(own.settings, device=device, calibration_sequences=2, calibration_length=16)
    settings = HealedSettings(2, Healing(2), 20, blocks=1, end_to_end=TRAINING)
    return Healed(own, settings).measure(Variant(KroneckerFactorisation((4, 1))))


def test_healing_gives_the_cpus_errors(tmp_path, llama_folder, text_file):
    expected = healed(tmp_path, "cpu", llama_folder, text_file)
    with pretended_cuda():
        given = healed(tmp_path, "cuda", llama_folder, text_file)
    for name in ("errors", "kl", "loss"):
        np.testing.assert_allclose(given[name], expected[name], rtol=1e-3, err_msg=name)
