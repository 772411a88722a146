"""Tiny random models, Hypothesis profiles, and nothing from the network."""

import os

import pytest
import torch
from hypothesis import settings
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

settings.register_profile("default", deadline=None, derandomize=True, max_examples=60, print_blob=True)
settings.register_profile("search", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

VOCABULARY = 97


def tiny_gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=128, n_embd=24, n_layer=3, n_head=2,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval().requires_grad_(False)


def tiny_llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval().requires_grad_(False)


def tiny_opt() -> OPTForCausalLM:
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=VOCABULARY, hidden_size=24, ffn_dim=40, num_hidden_layers=3, num_attention_heads=4, dropout=0.0,
        max_position_embeddings=128, word_embed_proj_dim=24, bos_token_id=0, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    return OPTForCausalLM(config).eval().requires_grad_(False)


@pytest.fixture(params=[tiny_gpt2, tiny_llama, tiny_opt], ids=["gpt2", "llama", "opt"])
def tiny(request):
    """A random decoder of three blocks, its GPT-2 layers already nn.Linear."""
    from models.load import use_linear_layers

    model = request.param()
    use_linear_layers(model)
    model.requires_grad_(False)
    return model


@pytest.fixture
def tokens():
    return torch.randint(0, VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(1))


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


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory):
    return saved(tiny_gpt2(), tmp_path_factory.mktemp("tiny-gpt2"))


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory):
    return saved(tiny_llama(), tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def opt_folder(tmp_path_factory):
    return saved(tiny_opt(), tmp_path_factory.mktemp("tiny-opt"))


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    """Sixteen documents of 120 words that follow a pattern, separated as the reader expects."""
    generator = torch.Generator().manual_seed(2)
    documents = [
        " ".join(f"w{i}" for i in torch.randint(0, VOCABULARY - 1, (120,), generator=generator).tolist())
        for _ in range(16)
    ]
    path = tmp_path_factory.mktemp("text") / "documents.txt"
    path.write_text("\n<|endoftext|>\n".join(documents), encoding="utf-8")
    return path
