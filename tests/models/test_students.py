"""Students of an encoder read what is there, and padding is not."""

import pytest
import torch

from models.students import BiLSTMClassifier, small_encoder


def bilstm():
    torch.manual_seed(0)
    return BiLSTMClassifier(50, 3, embedding=8, hidden=6).eval()


def encoder():
    torch.manual_seed(0)
    return small_encoder(50, 3, layers=2, width=16, heads=2, positions=32).eval()


@pytest.fixture
def tokens():
    rows = torch.randint(1, 50, (9, 10), generator=torch.Generator().manual_seed(1))
    for number in range(9):
        rows[number, number + 1 :] = 0
    return rows


@pytest.mark.parametrize("build", [bilstm, encoder])
def test_padding_changes_nothing(build, tokens):
    model = build()
    padded = torch.cat([tokens, torch.zeros(9, 7, dtype=torch.long)], 1)
    torch.testing.assert_close(model(tokens).logits, model(padded).logits)


@pytest.mark.parametrize("build", [bilstm, encoder])
def test_a_text_is_read_as_if_it_were_alone(build, tokens):
    model = build()
    alone = torch.cat([model(row[None]).logits for row in tokens])
    torch.testing.assert_close(model(tokens).logits, alone)


def test_a_bilstm_reads_from_both_ends(tokens):
    model = bilstm()
    for place in (0, 8):
        changed = tokens.clone()
        changed[8, place] = 49 if tokens[8, place] != 49 else 48
        assert not torch.equal(model(tokens).logits[8], model(changed).logits[8])


def test_a_bilstm_has_no_layers_to_match(tokens):
    with pytest.raises(ValueError, match="no states of layers"):
        bilstm()(tokens, states=True)
