"""Tiny random decoders, and a folder as save_pretrained writes it."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from models.gpt2 import GPT2Shape

VOCABULARY = 97


def tiny_gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=128,
        n_embd=24,
        n_layer=3,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config).eval().requires_grad_(False)


def tiny_llama(inner: int = 40, width: int = 24, layers: int = 3) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def tiny_opt() -> OPTForCausalLM:
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        ffn_dim=40,
        num_hidden_layers=3,
        num_attention_heads=4,
        dropout=0.0,
        max_position_embeddings=128,
        word_embed_proj_dim=24,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    return OPTForCausalLM(config).eval().requires_grad_(False)


def run(model):
    """Runs a model on a token batch."""
    return lambda batch: model(input_ids=batch, use_cache=False)


def saved(model, folder):
    """The model with a word tokenizer, as save_pretrained writes it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    model.save_pretrained(folder)
    words = {f"w{i}": i for i in range(VOCABULARY - 1)} | {"<unk>": VOCABULARY - 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
    return folder


SHAPE = GPT2Shape(layers=3, width=12, heads=2, vocabulary=29, positions=16)
"""A GPT-2 whose MLPs alone have 48 inputs or outputs."""


def mlp(_name, layer):
    """Choice of that GPT-2's MLP layers."""
    return 48 in (layer.in_features, layer.out_features)


def hidden(model):
    """Runs a model on a token batch, up to its final hidden states."""
    return lambda tokens: model.base_model(input_ids=tokens, use_cache=False).last_hidden_state


def decoder(model):
    """A model as `load` gives it."""
    from models.load import Decoder, find_blocks

    return Decoder("tiny", "0" * 64, model, None, find_blocks(model), model.get_output_embeddings(), 64)
