"""Protocols of perplexity, against plain loops in float64."""

import copy
import json
import math

import numpy as np
import pytest
import torch

from bench.measure.harness import harness
from bench.measure.ngram import KneserNey
from bench.measure.perplexity import (
    GPTQ_PROTOCOL,
    HUGGINGFACE,
    KRONY,
    Protocol,
    last_words,
    lines_of,
    passages_of,
    perplexity,
)
from models.errors import InputError
from models.first_token import read_first
from models.load import load

MEAN, TOKENS, DROP = (
    Protocol("means", 50, mean_of_windows=True, keep_tail=True),
    Protocol("tokens", 50, mean_of_windows=False, keep_tail=True),
    Protocol("drop", 50, mean_of_windows=False, keep_tail=False),
)
LINES = [" ".join(f"w{(7 * i + j * j) % 90}" for j in range(37)) for i in range(4)]


@pytest.fixture(scope="module")
def decoder(gpt2_folder):
    return load(str(gpt2_folder))


def slow_losses(decoder, tokens):
    logits = decoder.model(torch.tensor([tokens])).logits[0, :-1].double()
    return [float(-torch.log_softmax(row, -1)[label]) for row, label in zip(logits, tokens[1:], strict=True)]


def test_a_protocol_reads_no_token_that_it_does_not_name(decoder):
    first = copy.deepcopy(decoder.model)
    read_first(first, 3)
    scores = [perplexity(model, decoder.tokenizer, LINES, MEAN) for model in (first, decoder.model)]
    assert np.array_equal(scores[0].losses, scores[1].losses)


@pytest.mark.parametrize("protocol", [MEAN, TOKENS, DROP], ids=lambda p: p.name)
def test_protocols_are_what_they_say(decoder, protocol):
    text = "\n\n".join(LINES)
    tokens = decoder.tokenizer(text)["input_ids"]
    assert len(tokens) == 148
    parts = [tokens[i : i + 50] for i in range(0, 148, 50)]
    if protocol is DROP:
        parts = [part for part in parts if len(part) == 50]
    losses = [slow_losses(decoder, part) for part in parts]
    if protocol is MEAN:
        expected = np.mean([np.mean(part) for part in losses])
    else:
        expected = np.mean([value for part in losses for value in part])
    measured = perplexity(decoder.model, decoder.tokenizer, LINES, protocol)
    assert math.log(measured.token) == pytest.approx(expected, abs=1e-5)
    assert math.log(measured.word) == pytest.approx(expected * 148 / len(text.split()), abs=1e-5)
    assert math.log(measured.byte) == pytest.approx(expected * 148 / len(text), abs=1e-5)
    assert measured.lengths.tolist() == [len(part) - 1 for part in parts]


def test_the_papers_protocols_are_named_in_full():
    assert str(KRONY) == "krony: windows of 1024 without overlap, tail kept, mean of window means"
    assert str(HUGGINGFACE) == "huggingface: windows of 1024 without overlap, tail kept, mean over tokens"
    assert str(GPTQ_PROTOCOL) == "gptq: windows of 2048 without overlap, tail dropped, mean over tokens"


def test_refusals(decoder, tmp_path):
    with pytest.raises(InputError, match="reads 1024 tokens at once and the model 128"):
        perplexity(decoder.model, decoder.tokenizer, LINES, KRONY)
    with pytest.raises(InputError, match="leave no window of 50"):
        perplexity(decoder.model, decoder.tokenizer, ["w1 w2"], DROP)
    with pytest.raises(InputError, match="--data-dir"):
        lines_of(tmp_path / "none.txt")
    with pytest.raises(InputError, match="no LAMBADA"):
        last_words(decoder.model, decoder.tokenizer, [])
    with pytest.raises(InputError, match="'oneword' has no last word"):
        last_words(decoder.model, decoder.tokenizer, ["oneword"])


def test_wikitext_lines_are_dataset_rows(tmp_path):
    path = tmp_path / "wikitext.txt"
    path.write_text(" \n = Title = \n \n Some words . \n", encoding="utf-8")
    assert lines_of(path) == ["", " = Title = \n", "", " Some words . \n"]


def test_last_words_are_scored_alone(decoder, tmp_path):
    path = tmp_path / "lambada.jsonl"
    texts = ["w3 w5 w8 w13", "w2 w4 w8"]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    passages = passages_of(path)
    assert passages == texts
    words = last_words(decoder.model, decoder.tokenizer, passages)
    for text, loss in zip(texts, words.losses, strict=True):
        tokens = decoder.tokenizer(text)["input_ids"]
        assert loss == pytest.approx(slow_losses(decoder, tokens)[-1], abs=1e-5)
    logits = decoder.model(torch.tensor([decoder.tokenizer("w3 w5 w8")["input_ids"]])).logits[0, -1]
    best = decoder.tokenizer.convert_ids_to_tokens(int(logits.argmax()))
    assert last_words(decoder.model, decoder.tokenizer, [f"w3 w5 w8 {best}"]).accuracy == 1.0


@pytest.mark.filterwarnings("ignore")  # raised inside lm-eval, about itself
def test_lm_eval_counts_words_of_the_original_text(decoder):
    pages = ["w1 w2 w3 w4 w5 w6", "w7 w8 w9"]
    with pytest.raises(InputError, match="neither"):
        harness(decoder.model, decoder.tokenizer, pages)
    tokenizer = copy.deepcopy(decoder.tokenizer)
    tokenizer.eos_token = "w0"
    figures = harness(decoder.model, tokenizer, pages)
    assert math.log2(figures["byte_perplexity"]) == pytest.approx(figures["bits_per_byte"], rel=1e-9)
    words, size = 9, sum(map(len, pages))
    exponent = math.log(figures["word_perplexity"]) / math.log(figures["byte_perplexity"])
    assert exponent == pytest.approx(size / words, rel=1e-6)


@pytest.mark.filterwarnings("ignore")  # raised inside lm-eval, about itself
def test_lm_eval_scores_last_words_as_we_do(decoder):
    tokenizer = copy.deepcopy(decoder.tokenizer)
    tokenizer.eos_token = "w0"
    passages = ["w1 w2 w3 w4", "w5 w6 w7", "w9 w8"]
    figures = harness(decoder.model, tokenizer, ["w1 w2 w3"], passages)
    ours = last_words(decoder.model, tokenizer, passages)
    assert figures["lambada_acc"] == ours.accuracy
    assert figures["lambada_perplexity"] == pytest.approx(math.exp(ours.losses.mean()), rel=1e-5)


def slow_kneser_ney(text, vocabulary, order, history, token):
    """From the definition (Chen & Goodman 1999, eq. 27), with dictionaries."""

    def counts(n):
        if n == order:
            grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
            return {gram: grams.count(gram) for gram in set(grams)}
        higher = counts(n + 1)
        kinds = {}
        for gram in higher:
            kinds[gram[1:]] = kinds.get(gram[1:], 0) + 1
        return kinds

    def probability(n, context, word):
        if n == 0:
            return 1 / vocabulary
        table = counts(n)
        once = sum(c == 1 for c in table.values())
        twice = sum(c == 2 for c in table.values())
        discount = once / (once + 2 * twice) if once else 0.0
        following = {gram[-1]: c for gram, c in table.items() if gram[:-1] == context}
        lower = probability(n - 1, context[1:], word)
        if not following:
            return lower
        total = sum(following.values())
        return (max(following.get(word, 0) - discount, 0) + discount * len(following) * lower) / total

    return probability(order, tuple(history), token)


def test_kneser_ney_is_its_definition_and_sums_to_one():
    text = np.random.default_rng(0).integers(0, 5, 60)
    model = KneserNey(text, vocabulary=6, order=3)
    for history in ([0, 1], [4, 4], [5, 5], [int(text[-2]), int(text[-1])]):
        probabilities = [model.probabilities(np.array([*history, token]))[-1] for token in range(6)]
        expected = [slow_kneser_ney(text.tolist(), 6, 3, history, token) for token in range(6)]
        np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-12)
        assert sum(probabilities) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("tokens", "vocabulary", "order", "message"),
    [([1, 2], 9, 3, "no 3-gram"), ([1, 9, 2], 9, 2, "outside a vocabulary of 9"), ([1, 2], 50_257, 5, "80 bits")],
)
def test_kneser_ney_refuses(tokens, vocabulary, order, message):
    with pytest.raises(ValueError, match=message):
        KneserNey(np.array(tokens), vocabulary=vocabulary, order=order)
