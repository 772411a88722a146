"""Pretrained encoders that come as Python packages, and classifiers made of them.

MiniLM (6 layers, 22.7M parameters) and MPNet (12 layers, 109.5M) are sentence encoders with one vocabulary, both
Apache-2.0 by their model cards. A batch is `[batch, length]` tokens of MiniLM's, padded with `PAD`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

from models.checks import check_complete
from models.data.assets import fetch_together
from models.data.encoder_files import MINILM, mpnet_folder
from models.errors import InputError

PAD, CLS, SEP, MASK = 0, 101, 102, 103
"""MiniLM's tokens of padding, of a text's start and end, and of a masked word."""
TOGETHER = 8
"""Texts that go through an encoder at once."""
Encoder = BertModel | MPNetModel


def tokenize(texts: Iterable[str], length: int) -> Tensor:
    """Tokens `[texts, length]` of MiniLM's vocabulary, padded; a long text is cut and keeps its end mark."""
    tokenizer = Tokenizer.from_file(str(fetch_together(MINILM)[2]))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=PAD)
    return torch.tensor([encoded.ids for encoded in tokenizer.encode_batch(list(texts))])


class Classified(NamedTuple):
    """Output of a classifier."""

    logits: Tensor
    """One row a text, `[batch, classes]`."""
    states: Tensor
    """State that stands for each text after every layer, `[batch, layers, width]`; empty where it was not asked for."""


class EncoderClassifier(nn.Module):
    """Transformer encoder with a linear layer on the state of a text's first token, as BERT is fine-tuned.

    Sentence encoders are trained to be read by the mean of their states; with `mean` the layer reads that.
    """

    def __init__(self, encoder: Encoder, classes: int, *, mean: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder, self.mean, self.dropout = encoder, mean, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, *, states: bool = False) -> Classified:
        """Logits of tokens `[batch, length]`, and the states that are read after every layer where they are wanted.

        Texts of like length go through the encoder together: short ones would else be mostly padding.
        """
        order = (tokens != PAD).sum(1).argsort()
        read = torch.cat([self.read(trimmed(tokens[part]), states=states) for part in order.split(TOGETHER)])
        read = read[order.argsort()]
        return Classified(self.head(self.dropout(read[:, -1])), read if states else read[:, :0])

    def read(self, tokens: Tensor, *, states: bool) -> Tensor:
        """State that stands for each text, after the last layer or after every one: `[batch, layers, width]`."""
        known = tokens != PAD
        own = mpnet_tokens(tokens) if isinstance(self.encoder, MPNetModel) else tokens
        out = self.encoder(input_ids=own, attention_mask=known.long(), output_hidden_states=states)
        layers = out.hidden_states[1:] if states else [out.last_hidden_state]
        if not self.mean:
            return torch.stack([layer[:, 0] for layer in layers], 1)
        share = known / known.sum(1, keepdim=True)
        return torch.stack([(layer * share[..., None]).sum(1) for layer in layers], 1)


def trimmed(tokens: Tensor) -> Tensor:
    """A batch without the columns that hold padding only."""
    longest = int((tokens != PAD).sum(1).max())
    return tokens[:, :longest]


def mpnet_tokens(tokens: Tensor) -> Tensor:
    """MPNet's numbers for MiniLM's tokens: four more, but for its own start, padding and end (0, 1, 2)."""
    own = tokens + 4
    for theirs, mine in ((CLS, 0), (PAD, 1), (SEP, 2)):
        own = own.masked_fill(tokens == theirs, mine)
    return own


def minilm(layers: int | None = None) -> BertModel:
    """MiniLM's encoder, or its first layers alone, as Sun et al. 2019 (§4.1) start their students.

    Raises:
        InputError: it has not so many layers.
    """
    weights, config, _ = fetch_together(MINILM)
    own = BertConfig(**_settings(config))
    count = own.num_hidden_layers
    if layers is not None and not 1 <= layers <= count:
        raise InputError(f"MiniLM has {count} layers and {layers} were asked for; give 1 to {count}")
    own.num_hidden_layers = layers or count
    model = BertModel(own, add_pooling_layer=False)
    _fill(model, weights, "MiniLM", left_out=[f"encoder.layer.{number}." for number in range(layers or count, count)])
    return model


def mpnet() -> MPNetModel:
    """MPNet's encoder."""
    folder = mpnet_folder()
    model = MPNetModel(MPNetConfig(**_settings(folder / "config.json")), add_pooling_layer=False)
    _fill(model, folder / "model.safetensors", "MPNet")
    return model


def _settings(path: Path) -> dict[str, Any]:
    """Sizes of an encoder; its attention has no dropout, which would send a CPU down a slow path."""
    return {**json.loads(path.read_text(encoding="utf-8")), "attention_probs_dropout_prob": 0.0}


def _fill(model: nn.Module, weights: Path, name: str, left_out: Sequence[str] = ()) -> None:
    """Give a model its pretrained weights; a pooling layer and position numbers in the file say nothing here."""
    unused = (*left_out, "pooler.", "embeddings.position_ids")
    kept = {key: value for key, value in load_file(weights).items() if not key.startswith(unused)}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    check_complete(name, {"missing_keys": missing, "unexpected_keys": unexpected})
