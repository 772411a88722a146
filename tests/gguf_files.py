"""GGUF files of a tiny Llama, as llama.cpp lays them out, and the weights that must come out of them."""

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Q6_K = GGMLQuantizationType.Q6_K
BYTES = [chr(code) for code in range(33, 127)]
WORDS = [*BYTES, "Ġ", "th", "the", "he", "<|end|>"]
"""Printable bytes as byte-level BPE writes them, a space, and what merges make."""
MERGES = [("t", "h"), ("th", "e"), ("h", "e")]
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def wide_llama():
    """A Llama of one block whose rows are as long as a block of K-quants, 256."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=256,
        intermediate_size=256,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        bos_token_id=len(WORDS) - 1,
        eos_token_id=len(WORDS) - 1,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def tokenizer(merges=MERGES):
    """Byte-level BPE over the words."""
    model = models.BPE({word: number for number, word in enumerate(WORDS)}, list(merges))
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=WORDS[-1], bos_token=WORDS[-1])


def gguf_name(name):
    """Name of a Llama's weight in a GGUF file."""
    outer = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in outer:
        return outer[name]
    _, _, block, layer = name.removesuffix(".weight").split(".", 3)
    return f"blk.{block}.{NAMES[layer]}.weight"


def permuted(weight, heads):
    """Rows of a query or key matrix in llama.cpp's order, whose rotary pairs are neighbours."""
    return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def put_back(weight, heads):
    """Inverse of `permuted`."""
    return weight.reshape(heads, len(weight) // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def quantized(weight, kind):
    """Bytes of a weight in blocks of a kind; K-quants by the rule below, all others by llama.cpp's own package."""
    return q6_k(weight) if kind == Q6_K else quantize(weight, kind)


def q6_k(weight):
    """Blocks of 256 weights: codes of 6 bits, a scale of 8 bits for each 16 of them, and a step for the scales."""
    groups = weight.reshape(-1, 16, 16)
    scales = np.abs(groups).max(-1) / 31
    step = (scales.max(-1, keepdims=True) / 127).astype(np.float16)
    steps = np.rint(scales / step.astype(np.float32)).clip(1, 127)
    codes = np.rint(groups / (steps * step)[..., None]).clip(-32, 31).astype(np.int8) + 32
    codes = codes.astype(np.uint8).reshape(-1, 256)
    low, high = (codes & 15).reshape(-1, 2, 2, 64), (codes >> 4).reshape(-1, 2, 4, 32)
    nibbles = low[:, :, 0] | (low[:, :, 1] << 4)
    pairs = high[:, :, 0] | (high[:, :, 1] << 2) | (high[:, :, 2] << 4) | (high[:, :, 3] << 6)
    parts = [nibbles.reshape(-1, 128), pairs.reshape(-1, 64), steps.astype(np.int8).view(np.uint8), step.view(np.uint8)]
    return np.concatenate(parts, axis=1).reshape(len(weight), -1)


def write(model, path, kind, *, leave_out="", merges=MERGES):
    """Writes a Llama's matrices in blocks of a kind and its vectors in float32; gives what its weights must become."""
    config, back = model.config, {}
    writer = GGUFWriter(path, "llama")
    _describe(writer, config, merges)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" or (leave_out and leave_out in name):
            continue
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        array = value.numpy() if heads is None else permuted(value.numpy(), heads)
        if array.ndim == 1:
            writer.add_tensor(gguf_name(name), array)
            back[name] = value
            continue
        blocks = quantized(np.ascontiguousarray(array), kind)
        writer.add_tensor(gguf_name(name), blocks, raw_dtype=kind)
        plain = dequantize(blocks, kind).reshape(array.shape)
        back[name] = torch.from_numpy(plain if heads is None else put_back(plain, heads)).float()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return back


def _describe(writer, config, merges):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(WORDS)
    writer.add_token_types([TokenType.NORMAL] * (len(WORDS) - 1) + [TokenType.CONTROL])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
