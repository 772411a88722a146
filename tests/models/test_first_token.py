"""A token that goes before every text: read before every window, seen by no one else."""

import copy
import inspect

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import DynamicCache, PreTrainedTokenizerFast

from compress.calibrate import block_inputs
from models.first_token import as_given, first_token, read_alike, read_first, told_first
from models.load import find_blocks, load
from models.rounded_cache import hidden_through_cache
from tests.tiny_models import VOCABULARY, hidden, tiny_gpt2, tiny_llama

FIRST = 5


def tokenizer(*, writes):
    """One token a word, and one before every text where it writes it."""
    words = {"a": 0, "<first>": FIRST} | {f"w{i}": i for i in range(1, VOCABULARY) if i != FIRST}
    inner = Tokenizer(models.WordLevel(words, unk_token="a"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if writes:
        inner.post_processor = processors.TemplateProcessing(single="<first> $A", special_tokens=[("<first>", FIRST)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<first>", eos_token="a")


@pytest.fixture(params=[tiny_gpt2, tiny_llama])
def pair(request):
    """A model, and one with its weights that reads a token first."""
    plain, first = request.param(), request.param()
    read_first(first, FIRST)
    return plain, first


def with_first(tokens):
    return torch.cat([torch.full((len(tokens), 1), FIRST), tokens], dim=1)


def test_a_window_is_read_as_after_the_token(pair, tokens):
    plain, first = pair
    assert torch.equal(hidden(first)(tokens), hidden(plain)(with_first(tokens))[:, 1:])
    assert torch.equal(first(input_ids=tokens).logits, plain(input_ids=with_first(tokens)).logits[:, 1:])
    states = first(input_ids=tokens, output_hidden_states=True).hidden_states
    assert {state.shape[:2] for state in states} == {tokens.shape}


def test_a_window_that_begins_with_it_is_left_alone(pair, tokens):
    plain, first = pair
    assert torch.equal(hidden(first)(with_first(tokens)), hidden(plain)(with_first(tokens)))
    mixed = torch.cat([with_first(tokens)[:1, :-1], tokens[1:]])
    assert torch.equal(hidden(first)(mixed), hidden(plain)(with_first(mixed))[:, 1:])


def test_calls_that_say_more_of_their_tokens_are_left_alone(pair, tokens):
    plain, first = pair
    for more in (
        {"attention_mask": torch.ones_like(tokens)},
        {"position_ids": torch.arange(tokens.shape[1])[None]},
        {"input_ids": None, "inputs_embeds": plain.get_input_embeddings()(tokens)},
    ):
        asked = {"input_ids": tokens, **more}
        assert torch.equal(first(**asked).logits, plain(**asked).logits)


def test_a_cache_holds_it_once(pair, tokens):
    plain, first = pair
    cache, parts, inner = DynamicCache(), [], first.base_model
    # transformers called the argument past_key_values up to 5.23.
    name = "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"
    for token in tokens.T[:, :, None]:
        parts.append(inner(input_ids=token, use_cache=True, **{name: cache}).last_hidden_state)
    assert cache.get_seq_length() == tokens.shape[1] + 1
    # The same attention, a token at a time.
    torch.testing.assert_close(torch.cat(parts, 1), hidden(first)(tokens), rtol=1e-4, atol=1e-5)
    through = hidden_through_cache(first, lambda states: states, tokens)
    torch.testing.assert_close(through, hidden(plain)(with_first(tokens))[:, 1:], rtol=1e-5, atol=1e-6)


def test_calibration_sees_it_and_the_next_window_is_whole(pair, tokens):
    """A pass that calibration breaks off leaves nothing behind."""
    _, first = pair
    before = hidden(first)(tokens)
    (seen,) = block_inputs(hidden(first), find_blocks(first)[0], [tokens])
    assert seen.hidden.shape[1] == tokens.shape[1] + 1
    assert torch.equal(hidden(first)(tokens), before)


def test_as_given_reads_just_the_tokens_and_ends(pair, tokens):
    plain, first = pair
    with as_given(first), as_given(first), as_given(plain):
        assert torch.equal(hidden(first)(tokens), hidden(plain)(tokens))
    assert torch.equal(hidden(first)(tokens), hidden(plain)(with_first(tokens))[:, 1:])


def test_a_protocol_says_what_goes_before_a_window(pair):
    plain, first = pair
    assert told_first(plain) == "no BOS"
    assert told_first(first) == f"token {FIRST} before every window"
    with as_given(first):
        assert told_first(first) == "no BOS"


def test_a_copy_reads_it_by_its_own_weights(pair, tokens):
    plain, first = pair
    own = copy.deepcopy(first)
    with torch.no_grad():
        for model in (plain, own):
            model.get_input_embeddings().weight.mul_(0.5)
    assert torch.equal(hidden(own)(tokens), hidden(plain)(with_first(tokens))[:, 1:])
    with as_given(first):
        assert torch.equal(hidden(own)(tokens), hidden(plain)(with_first(tokens))[:, 1:])


def test_a_checkpoint_reads_what_the_dense_model_reads(pair, tokens):
    plain, first = pair
    other = copy.deepcopy(plain)
    read_first(other, FIRST + 1)
    read_alike(other, first)
    assert torch.equal(hidden(other)(tokens), hidden(first)(tokens))
    alone = hidden(plain)(tokens)
    read_alike(first, plain)
    assert torch.equal(hidden(first)(tokens), alone)
    read_alike(plain, other)
    assert torch.equal(hidden(plain)(tokens), hidden(other)(tokens))


@pytest.mark.parametrize(("writes", "token"), [(True, FIRST), (False, None)])
def test_a_tokenizer_says_whether_it_writes_one(tmp_path, tokens, writes, token):
    assert first_token(tokenizer(writes=writes)) == token
    model = tiny_llama()
    for part in (model, tokenizer(writes=writes)):
        part.save_pretrained(tmp_path)
    decoder = load(str(tmp_path))
    expected = hidden(model)(with_first(tokens))[:, 1:] if writes else hidden(model)(tokens)
    torch.testing.assert_close(decoder.hidden(tokens), expected, rtol=1e-5, atol=1e-6)
    assert decoder.longest_context == 128 - writes


def test_a_tokenizer_without_such_a_token_writes_none():
    plain = tokenizer(writes=False)
    plain.bos_token = None
    assert first_token(plain) is None
