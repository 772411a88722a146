"""Students of an encoder: the BiLSTM of Tang et al. 2019, and a small transformer encoder from a random start."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import BertConfig, BertModel

from models.encoders import PAD, Classified, EncoderClassifier


class BiLSTMClassifier(nn.Module):
    """Bidirectional LSTM of one layer, whose two last states go through one hidden layer (Tang et al. 2019, §3.1).

    Their word vectors were pretrained; these are learned with the rest, for none come as a package.
    """

    def __init__(self, vocabulary: int, classes: int, *, embedding: int, hidden: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True, bidirectional=True)
        self.output = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, tokens: Tensor, *, states: bool = False) -> Classified:
        """Logits of tokens `[batch, length]`; it has no layers whose states a teacher's could be matched to.

        Raises:
            ValueError: states were asked for.
        """
        if states:
            raise ValueError("a BiLSTM has no states of layers; give an encoder")
        lengths = (tokens != PAD).sum(1).cpu()
        packed = pack_padded_sequence(
            self.dropout(self.embedding(tokens)), lengths, batch_first=True, enforce_sorted=False
        )
        _, (last, _) = self.lstm(packed)
        logits = self.output(torch.cat([last[0], last[1]], 1))
        return Classified(logits, logits.new_zeros(len(logits), 0, 0))


def small_encoder(
    vocabulary: int, classes: int, *, layers: int, width: int, heads: int, positions: int, dropout: float = 0.1
) -> EncoderClassifier:
    """Transformer encoder from a random start, whose MLPs are four times as wide, with a linear layer."""
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=0.0,
        pad_token_id=PAD,
    )
    return EncoderClassifier(BertModel(config, add_pooling_layer=False), classes, dropout=dropout)
