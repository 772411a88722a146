"""Divergences, windows and curves: against logits kept whole, in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.long_context.curves import curve, hidden_states
from bench.long_context.windows import PairedWindows, paired_windows
from bench.measure import divergence
from bench.measure.divergence import compare
from compress.quantization.rounding import RoundToNearest
from compress.swap import compressed
from tests import oracles
from tests.tiny_models import decoder


def head(vocabulary=11, width=5, seed=0):
    layer = nn.Linear(width, vocabulary, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(vocabulary, width, generator=torch.Generator().manual_seed(seed)))
    return layer.requires_grad_(False)


@given(st.integers(0, 2**31), st.sampled_from([1e-3, 0.3, 5.0]), st.integers(1, 40))
def test_divergence_is_its_definition_in_float64(seed, distance, tokens):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, 5, generator=generator)
    dense = hidden + distance * torch.randn(tokens, 5, generator=generator)
    labels = torch.randint(11, (tokens,), generator=generator)
    divergence = compare(head(), hidden, dense, labels)
    p, q = ((x @ head().weight.T).double().numpy() for x in (hidden, dense))
    # Rounding of logits of size 10 in float32 moves a log-probability by about 1e-6, a KL by that times its slope.
    np.testing.assert_allclose(divergence.kl, oracles.kl(p, q), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(divergence.reverse_kl, oracles.kl(q, p), rtol=1e-4, atol=1e-6)
    for loss, logits in ((divergence.loss, p), (divergence.dense_loss, q)):
        expected = np.log(np.exp(logits).sum(-1)) - logits[range(tokens), labels]
        np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(divergence.agreement, p.argmax(-1) == q.argmax(-1))


def test_chunks_change_nothing(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    hidden, dense = torch.randn(2, 50, 5, generator=generator)
    labels = torch.randint(11, (50,), generator=generator)
    whole = compare(head(), hidden, dense, labels)
    monkeypatch.setattr(divergence, "CHUNK_BYTES", 7 * 4 * 11)
    parts = compare(head(), hidden, dense, labels)
    torch.testing.assert_close(parts.kl, whole.kl, rtol=1e-5, atol=1e-7)
    assert torch.equal(parts.agreement, whole.agreement)


def test_a_model_does_not_diverge_from_itself():
    hidden = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    divergence = compare(head(), hidden, hidden, torch.zeros(30, dtype=torch.long))
    assert (divergence.kl == 0).all()
    assert (divergence.reverse_kl == 0).all()
    assert (divergence.agreement == 1).all()


def test_a_divergence_with_nan_is_nan():
    hidden = torch.full((1, 5), float("nan"))
    assert compare(head(), hidden, torch.zeros(1, 5), torch.zeros(1, dtype=torch.long)).kl.isnan().all()


def windows():
    documents = [torch.randint(0, 97, (60,), generator=torch.Generator().manual_seed(i)) for i in range(3)]
    return paired_windows(documents, (4, 12, 40), 8)


def test_every_context_scores_the_same_targets():
    cut = windows()
    for context in cut.contexts:
        tokens, positions = cut.tokens(context), cut.scored(context)
        assert tokens.shape == (3, context + 8 - 1)
        following = torch.cat([tokens, cut.segments[:, -1:]], dim=1)[:, positions + 1]
        assert torch.equal(following, cut.labels())
        assert positions[0] == context - 1  # exactly `context` tokens stand to the left of the first target
    assert cut.token_count == 3 * (11 + 19 + 47)


def test_resolved_positions_come_before_the_targets_and_know_their_next_token():
    cut = windows()
    positions = cut.resolved()
    assert positions.max() < cut.start - 1
    assert torch.equal(cut.resolved_labels(), cut.segments[:, positions + 1])


@pytest.mark.parametrize("contexts", [(8,), (8, 8), (12, 4), (0, 4), ()])
def test_contexts_must_ascend(contexts):
    with pytest.raises(ValueError, match="at least two lengths in ascending order"):
        paired_windows([torch.zeros(60, dtype=torch.long)], contexts, 8)


def test_a_document_that_is_too_short_is_named():
    with pytest.raises(ValueError, match="47 tokens and the windows need 48"):
        paired_windows([torch.zeros(47, dtype=torch.long)], (4, 40), 8)


def test_a_curve_is_what_whole_logits_give(tiny):
    """Against the plain way: logits of both models for whole windows, KL in float64 where targets follow."""
    cut, subject = windows(), decoder(tiny)
    method = RoundToNearest(3)
    dense = hidden_states(subject, cut)
    dense_logits = {c: tiny(input_ids=cut.tokens(c)).logits for c in cut.contexts}
    with compressed(method, subject.blocks):
        measured = curve(subject, cut, dense, hidden_states(subject, cut))
        logits = {c: tiny(input_ids=cut.tokens(c)).logits for c in cut.contexts}
    for i, context in enumerate(cut.contexts):
        where = cut.scored(context)
        p, q = (x[:, where].flatten(0, 1).numpy() for x in (logits[context], dense_logits[context]))
        np.testing.assert_allclose(measured.tokens["kl"][:, i].ravel(), oracles.kl(p, q), rtol=1e-4, atol=1e-7)
    longest, where = cut.contexts[-1], cut.resolved()
    p, q = (x[:, where].flatten(0, 1).numpy() for x in (logits[longest], dense_logits[longest]))
    np.testing.assert_allclose(measured.resolved.ravel(), oracles.kl(p, q), rtol=1e-4, atol=1e-7)


def test_batches_change_nothing_but_rounding(tiny):
    cut, subject = windows(), decoder(tiny)
    alone, together = (hidden_states(subject, cut, batch_tokens=n) for n in (1, 10**6))
    for context in cut.contexts:
        torch.testing.assert_close(alone.by_context[context], together.by_context[context])


def test_progress_is_told_of_every_token(tiny):
    cut, told = windows(), []
    hidden_states(decoder(tiny), cut, advance=told.append)
    assert sum(told) == cut.token_count


def test_windows_of_another_length_are_other_windows():
    segments = torch.arange(20)[None]
    assert PairedWindows(segments, (2, 16), 4).tokens(2).tolist() == [[14, 15, 16, 17, 18]]
