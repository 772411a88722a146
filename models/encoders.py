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

PAD, CLS, SEP = 0, 101, 102
"""MiniLM's tokens of padding, and of a text's start and end."""


def tokenize(texts: Iterable[str], length: int) -> Tensor:
    """Tokens `[texts, length]` of MiniLM's vocabulary, padded; a long text is cut and keeps its end mark."""
    tokenizer = Tokenizer.from_file(str(fetch_together(MINILM)[2]))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=PAD)
    return torch.tensor([encoded.ids for encoded in tokenizer.encode_batch(list(texts))])


class Classified(NamedTuple):
    """Output of a classifier."""

    logits: Tensor
    """`[batch, classes]`."""
    states: Tensor
    """First token's state after every layer, `[batch, layers, width]`; no layers where they were not asked for."""


class EncoderClassifier(nn.Module):
    """Transformer encoder with a linear layer on the last state of its first token, as BERT is fine-tuned."""

    def __init__(self, encoder: nn.Module, classes: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder, self.dropout = encoder, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, classes)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, *, states: bool = False) -> Classified:
        """Logits of tokens `[batch, length]`, and the first token's states after every layer where they are wanted."""
        tokens = trimmed(tokens)
        out = self.encoder(
            input_ids=self._own(tokens), attention_mask=(tokens != PAD).long(), output_hidden_states=states
        )
        first = out.last_hidden_state[:, 0]
        layers = torch.stack([layer[:, 0] for layer in out.hidden_states[1:]], 1) if states else first[:, None][:, :0]
        return Classified(self.head(self.dropout(first)), layers)

    def _own(self, tokens: Tensor) -> Tensor:
        """Tokens in the encoder's own vocabulary."""
        return mpnet_tokens(tokens) if isinstance(self.encoder, MPNetModel) else tokens


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

    Attention has no dropout: it would send a CPU down a slow path.
    """
    weights, config, _ = fetch_together(MINILM)
    own = BertConfig(**_json(config) | {"attention_probs_dropout_prob": 0.0})
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
    model = MPNetModel(
        MPNetConfig(**_json(folder / "config.json") | {"attention_probs_dropout_prob": 0.0}), add_pooling_layer=False
    )
    _fill(model, folder / "model.safetensors", "MPNet")
    return model


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _fill(model: nn.Module, weights: Path, name: str, left_out: Sequence[str] = ()) -> None:
    """Give a model its pretrained weights; a pooling layer and position numbers in the file say nothing here."""
    unused = (*left_out, "pooler.", "embeddings.position_ids")
    kept = {key: value for key, value in load_file(weights).items() if not key.startswith(unused)}
    missing, unexpected = model.load_state_dict(kept, strict=False)
    check_complete(name, {"missing_keys": missing, "unexpected_keys": unexpected})
