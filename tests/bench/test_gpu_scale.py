"""The GPU scale in the memory that it plans with: every training and scoring pass, counted on the meta device."""

from dataclasses import astuple, replace
from functools import partial

import pytest
import torch
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from bench.krony.objectives import Objective, distilled
from bench.krony.settings import HEALED, LADDERS
from bench.long_context.curves import BATCH_TOKENS
from bench.measure.divergence import CHUNK_BYTES, _compare
from bench.measure.session import CALIBRATION_BATCH
from bench.measure.settings import GPU_EFFORTS
from bench.small_models.rows import networks
from bench.small_models.settings import PROTOCOLS
from bench.survey.settings import SURVEY_SETTINGS
from compress.calibrate import linear_layers, measuring
from compress.statistics import GramMatrix
from models.data.embedded import smollm2_folder
from models.gpt2 import build as gpt2
from models.load import find_blocks
from models.memory import peak_bytes, room
from models.t5 import FeedForward, T5Shape, build
from models.text_to_text import RESERVED, TargetLoss, Vocabulary
from models.training.memory import stacked_step_bytes, step_bytes
from models.training.train import next_token_loss

LIMIT = room(40)
COUNTED = "counted_attention"
TARGETS = 29
"""Tokens of the longest targets, those of span corruption; a task's are labels."""


def attention(module, query, key, value, attention_mask, scaling=None, **_rest):
    """Attention that keeps what the fused kernels of a GPU keep: the result and a sum a query."""
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) if groups > 1 else x for x in (key, value))
    mixed, _ = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, is_causal=attention_mask is None, attn_mask=attention_mask, scale=scaling
    )
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(COUNTED, attention)
AttentionMaskInterface.register(COUNTED, sdpa_mask)


def tokens(*shape):
    return torch.zeros(shape, dtype=torch.long, device="meta")


@pytest.fixture(scope="module")
def smollm2():
    """The model of the GPU scale, without its values."""
    shape = AutoConfig.from_pretrained(smollm2_folder())  # not on the meta device: it may read a package first
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    model.set_attn_implementation(COUNTED)
    return model.eval()


def test_no_small_model_is_larger_than_t5_base():
    """So the next test is of all of them: more of anything takes more."""
    protocol = PROTOCOLS["gpu", "thorough"]
    largest = sizes(protocol.shapes["base"])
    variants = [networks(FeedForward(3)).shape, replace(protocol.shapes["mini"], heads=12, head_width=64)]
    for shape in (*protocol.shapes.values(), *variants):
        assert all(own <= most for own, most in zip(sizes(shape), largest, strict=True))
        kinds = shape.encoder_feed_forward, shape.decoder_feed_forward
        assert all(max(kind.shapes(shape.width, shape.inner))[0] <= largest[2] for kind in kinds)
    for (scale, _), other in PROTOCOLS.items():
        if scale == "gpu":
            same = other.shapes, other.vocabulary, other.input_length, other.pretraining.batch, other.tuning.batch
            assert same == (protocol.shapes, protocol.vocabulary, 128, 128, 128)


def sizes(shape: T5Shape):
    return [value for value in astuple(shape) if isinstance(value, int)]


def test_two_seeds_of_t5_base_train_in_one_stack():
    """By the count one takes 17 GB, so five at once, as on a larger card, are split."""
    protocol = PROTOCOLS["gpu", "thorough"]
    with torch.device("meta"):
        vocabulary = protocol.vocabulary + RESERVED + Vocabulary.sentinels
        model = build(replace(protocol.shapes["base"], vocabulary=vocabulary), seed=0)
    rows = tokens(1, protocol.input_length + TARGETS + 1)
    counted = stacked_step_bytes(model, [rows], protocol.pretraining, TargetLoss(protocol.input_length))
    assert 2 * counted <= LIMIT < 5 * counted


@pytest.mark.parametrize("objective", [each for each in Objective if each is not Objective.TEXT])
def test_the_ladders_students_train_beside_their_teacher(objective):
    """At every effort it is the same step, and the teacher's own is a part of it."""
    of_gpu = [settings for (scale, _), settings in LADDERS.items() if scale == "gpu"]
    settings = of_gpu[-1]
    assert {(each.shape, each.teacher.batch, each.student.batch) for each in of_gpu} == {(settings.shape, 64, 64)}
    with torch.device("meta"):
        student, teacher = (gpt2(settings.shape, seed=0) for _ in range(2))
    for model in (student, teacher):
        model.set_attn_implementation(COUNTED)
    batch = tokens(64, settings.shape.positions)

    assert step_bytes(student, batch, partial(distilled, teacher, objective)) <= LIMIT


def test_the_whole_healed_model_trains(smollm2):
    """Beside the dense model, and the calibration batches that entered its first block."""
    trainings = [healed.end_to_end for (scale, _), healed in HEALED.items() if scale == "gpu" and healed.end_to_end]
    length = max(settings.calibration_length for settings in GPU_EFFORTS.values())
    part = tokens(max(training.batch // training.accumulation for training in trainings), length)
    held = sum(each.nbytes for each in smollm2.parameters()) + 4 * smollm2.config.hidden_size * length * 128
    assert step_bytes(smollm2.requires_grad_(True), part, next_token_loss) + held <= LIMIT


@pytest.mark.parametrize("effort", GPU_EFFORTS)
def test_the_longest_windows_are_scored(effort, smollm2):
    """All windows' hidden states lie there beside the batch that is read."""
    settings = GPU_EFFORTS[effort]
    length = settings.contexts[-1] + settings.targets - 1
    batch = tokens(max(1, BATCH_TOKENS["cuda"] // length), length)
    kept = 4 * smollm2.config.hidden_size * 2 * 64 * len(settings.contexts) * settings.targets
    counted = peak_bytes(lambda: states(smollm2, batch), smollm2.parameters())
    assert counted + kept <= LIMIT


@torch.no_grad()
def states(model, batch):
    return model.base_model(input_ids=batch, use_cache=False).last_hidden_state


def test_logits_exist_for_a_few_tokens_at_a_time(smollm2):
    """Both distributions, their gap and their difference, and one product beside them; and both models' states."""
    head, width = smollm2.get_output_embeddings(), smollm2.config.hidden_size
    hidden, labels = torch.empty(34 * 4095, width, device="meta"), tokens(34 * 4095)
    with torch.inference_mode():
        few = hidden[: CHUNK_BYTES // (4 * head.weight.shape[0])], labels[: CHUNK_BYTES // (4 * head.weight.shape[0])]
        counted = peak_bytes(lambda: _chunk(head, few), [hidden, labels, head.weight])
    assert counted - hidden.nbytes - labels.nbytes - head.weight.nbytes <= 6 * CHUNK_BYTES
    assert counted + hidden.nbytes <= LIMIT


def _chunk(head, few):
    hidden, labels = few
    return _compare((head, head), hidden, hidden, labels)


@pytest.mark.parametrize("effort", GPU_EFFORTS)
def test_a_calibration_batch_goes_through_a_block_with_gram_matrices(effort, smollm2):
    """All calibration hidden states lie there, and GPTQ inverts a matrix in float64 after."""
    survey, own = SURVEY_SETTINGS["gpu", effort], GPU_EFFORTS[effort]
    length = max(survey.calibration_length, own.calibration_length)
    count = max(survey.calibration_sequences, own.calibration_sequences)
    width, block = smollm2.config.hidden_size, find_blocks(smollm2)[0]
    hidden = torch.empty(min(count, CALIBRATION_BATCH["cuda"]), length, width, device="meta")
    places = smollm2.model.rotary_emb(hidden, tokens(1, length))
    layers = linear_layers(block)

    def through():
        with torch.no_grad(), measuring(layers, GramMatrix):
            block(hidden, position_embeddings=places, attention_mask=None)

    counted = peak_bytes(through, [*smollm2.parameters(), hidden])
    inverse = 4 * 8 * max(layer.in_features for layer in layers.values()) ** 2
    assert counted + inverse + 4 * width * length * count <= LIMIT
