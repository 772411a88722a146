"""Classifiers of encoders: states are those that the head reads, and MPNet's vocabulary is MiniLM's, shifted."""

import hashlib
import zipfile

import pytest
import torch
from transformers import BertConfig, BertModel

from models.data.encoder_files import join
from models.encoders import EncoderClassifier, mpnet_tokens, trimmed
from models.errors import InputError


def classifier(**changes):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, pad_token_id=0
    )
    return EncoderClassifier(BertModel(config, add_pooling_layer=False), 2, **changes).eval()


@pytest.fixture
def tokens():
    rows = torch.randint(1, 50, (20, 10), generator=torch.Generator().manual_seed(1))
    lengths = torch.randint(2, 11, (20,), generator=torch.Generator().manual_seed(2))
    return rows.masked_fill(torch.arange(10) >= lengths[:, None], 0)


@pytest.mark.parametrize("mean", [False, True])
def test_the_last_state_is_what_the_head_reads(tokens, mean):
    model = classifier(mean=mean)
    out = model(tokens, states=True)
    assert out.states.shape == (20, 3, 16)
    torch.testing.assert_close(model.head(out.states[:, -1]), out.logits)


def test_states_cost_nothing_where_they_are_not_asked_for(tokens):
    out = classifier()(tokens)
    assert out.states.shape[1] == 0
    torch.testing.assert_close(out.logits, classifier()(tokens, states=True).logits)


def test_texts_come_back_in_their_order(tokens):
    model, order = classifier(), torch.randperm(20, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model(tokens[order]).logits, model(tokens).logits[order])


def test_a_mean_is_over_tokens_and_not_over_padding(tokens):
    model = classifier(mean=True)
    alone = model.encoder(input_ids=trimmed(tokens[:1])).last_hidden_state.mean(1)
    torch.testing.assert_close(model(tokens, states=True).states[0, -1], alone[0])


def test_tokens_of_mpnet_are_four_more_but_for_three_marks():
    assert mpnet_tokens(torch.tensor([[101, 7592, 100, 102, 0]])).tolist() == [[0, 7596, 104, 2, 1]]


def archive(folder):
    whole = folder / "whole.zip"
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("model/config.json", "the encoder's")
        file.writestr("model/1_Pooling/config.json", "another")
    content, parts = whole.read_bytes(), [folder / "a.001", folder / "a.002"]
    parts[0].write_bytes(content[:60])
    parts[1].write_bytes(content[60:])
    return parts


def test_an_archive_in_parts_gives_its_pinned_files(tmp_path):
    pinned = {"config.json": hashlib.sha256(b"the encoder's").hexdigest()}
    join(archive(tmp_path), tmp_path, pinned)
    assert (tmp_path / "config.json").read_text() == "the encoder's"


def test_a_file_of_another_hash_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"not the pinned 0000"):
        join(archive(tmp_path), tmp_path, {"config.json": "0000"})
    assert not (tmp_path / "config.json").exists()
