"""Importances of rows are the squared gradients of single sequences, summed over a row."""

import pytest
import torch

from compress.factorisation.low_rank.fisher import fisher_rows
from compress.factorisation.low_rank.methods import FisherWeightedSVD, TruncatedSVD
from compress.swap import apply, compressed
from models.load import find_blocks
from models.training.train import next_token_loss
from tests.layers import hooks


def loss_of(model):
    return lambda tokens: next_token_loss(model, tokens)


def by_sequence(model, layers, batches):
    """Mean over sequences of each weight's squared gradient, from autograd, one sequence after another."""
    sums = {name: torch.zeros(layer.out_features, dtype=torch.float64) for name, layer in layers.items()}
    sequences = torch.cat(list(batches))
    for layer in layers.values():
        layer.weight.requires_grad_(True)
    for sequence in sequences:
        gradients = torch.autograd.grad(next_token_loss(model, sequence[None]), [x.weight for x in layers.values()])
        for name, gradient in zip(layers, gradients, strict=True):
            sums[name] += gradient.double().square().sum(1)
    for layer in layers.values():
        layer.weight.requires_grad_(False)
    return {name: rows / len(sequences) for name, rows in sums.items()}


def test_importances_are_autograds_one_sequence_after_another(tiny, tokens):
    blocks = find_blocks(tiny)
    layers = {
        f"{i}.{name}": module
        for i, block in enumerate(blocks)
        for name, module in block.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    measured = fisher_rows(loss_of(tiny), blocks, tokens.split(3))
    expected = by_sequence(tiny, layers, [tokens])
    assert measured.sequences == len(tokens) and set(measured.rows) == set(layers)
    for name, rows in expected.items():
        # Gradients are float32 sums in one order or another.
        torch.testing.assert_close(measured.rows[name], rows, rtol=1e-4, atol=1e-6 * float(rows.max()))


def test_a_batch_and_its_sequences_one_by_one_are_the_same(model, batches):
    blocks = find_blocks(model)
    whole = fisher_rows(loss_of(model), blocks, batches)
    single = fisher_rows(loss_of(model), blocks, torch.cat(batches).split(1))
    for name, rows in whole.rows.items():
        assert torch.equal(rows, single.rows[name])


def test_nothing_is_left_on_the_model(model, batches):
    blocks, before = find_blocks(model), hooks(model)
    model.transformer.wte.weight.requires_grad_(True)
    fisher_rows(loss_of(model), blocks, batches[:1])
    with pytest.raises(RuntimeError, match="an error"):
        fisher_rows(lambda _tokens: (_ for _ in ()).throw(RuntimeError("an error")), blocks, batches)
    assert hooks(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["transformer.wte.weight"]
    assert not any(parameter._post_accumulate_grad_hooks for parameter in model.parameters())


def test_gradients_that_overflow_are_named(model, batches):
    def overflowing(tokens):
        return next_token_loss(model, tokens) * torch.tensor(torch.inf)

    with pytest.raises(ValueError, match=r"squared gradients of 0\.attn\.c_attn overflowed; compute in float32 or"):
        fisher_rows(overflowing, find_blocks(model), batches)


def test_no_sequence_is_refused(model):
    with pytest.raises(ValueError, match="at least one calibration batch"):
        fisher_rows(loss_of(model), find_blocks(model), [])


def test_every_sequence_tells_of_its_tokens(model, batches):
    seen = []
    fisher_rows(loss_of(model), find_blocks(model), batches, advance=seen.append)
    assert seen == [16] * 8


def test_the_method_uses_the_importances_and_its_name_does_not(model, batches):
    blocks = find_blocks(model)
    importance = fisher_rows(loss_of(model), blocks, batches)
    method = FisherWeightedSVD(0.5).given(importance)
    assert repr(method) == repr(FisherWeightedSVD(0.5)) == "FisherWeightedSVD(share=0.5, rank=None, only=())"
    weight = blocks[1].mlp.c_fc.weight.detach().clone()
    plain = TruncatedSVD(0.5)(blocks[1].mlp.c_fc).weight()
    apply(method, blocks)
    rows = importance.rows["1.mlp.c_fc"][:, None]
    ours = (rows * (weight - blocks[1].mlp.c_fc.weight()).double().square()).sum()
    assert ours < (rows * (weight - plain).double().square()).sum()


def test_a_method_without_importances_says_what_to_do(model):
    before = [id(module) for module in model.modules()]
    with pytest.raises(TypeError, match=r"squared gradients of 0\.attn\.c_attn; measure them with fisher_rows"):
        apply(FisherWeightedSVD(0.5), find_blocks(model))
    assert [id(module) for module in model.modules()] == before


def test_gradients_in_bfloat16_are_taken_in(model, batches):
    rows = fisher_rows(loss_of(model.bfloat16()), find_blocks(model), batches[:1]).rows
    assert all(row.dtype == torch.float64 and row.isfinite().all() and row.max() > 0 for row in rows.values())


def test_compression_is_undone(model, batches):
    expected = model(input_ids=batches[0]).logits
    importance = fisher_rows(loss_of(model), find_blocks(model), batches)
    with compressed(FisherWeightedSVD(rank=3).given(importance), find_blocks(model)):
        assert not torch.equal(model(input_ids=batches[0]).logits, expected)
    assert torch.equal(model(input_ids=batches[0]).logits, expected)
