"""Tokenizers are compared by how they cut text: equal vocabularies can have other merges."""

from types import SimpleNamespace

import pytest
from tokenizers import pre_tokenizers
from torch import nn

from models.errors import InputError
from models.tokenizers import check_same_tokenizer
from tests.gguf_files import MERGES, WORDS, tokenizer


def reader(name, its_tokenizer):
    return SimpleNamespace(name=name, tokenizer=its_tokenizer, head=nn.Linear(2, len(WORDS)))


DENSE = reader("dense", tokenizer())


def test_a_tokenizer_is_its_own_like():
    check_same_tokenizer(DENSE, reader("copy", tokenizer()), ["the hat", "", "<|end|> th e"])


def test_other_merges_of_the_same_vocabulary_are_refused_with_what_they_cut():
    other = reader("other", tokenizer([MERGES[2], *MERGES[:2]]))
    with pytest.raises(InputError, match=r"dense and other have one vocabulary and cut text otherwise \(\['the'"):
        check_same_tokenizer(DENSE, other)


def test_a_space_before_the_text_decides_nothing():
    spaced = tokenizer()
    spaced.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    check_same_tokenizer(DENSE, reader("spaced", spaced), ["the hat"])


def test_another_vocabulary_is_refused_with_the_tokens():
    other = tokenizer()
    other.add_tokens(["new"])
    wider = SimpleNamespace(name="wider", tokenizer=other, head=nn.Linear(2, len(WORDS) + 1))
    with pytest.raises(InputError, match=r"99 tokens and dense 99|100 tokens and dense 99, and they differ \(in 'new'"):
        check_same_tokenizer(wider, DENSE)


def test_special_tokens_behind_all_that_is_predicted_decide_nothing():
    other = tokenizer()
    other.add_special_tokens({"unk_token": "<|endoftext|>"})
    check_same_tokenizer(DENSE, reader("converted", other))
