"""Augmented texts keep their marks, add no word but the mask, and depend on the seed alone."""

import pytest
import torch

from models.data.augmented import augmented

PAD, MASK, START, END = 0, 9, 1, 2


@pytest.fixture
def tokens():
    inner = torch.randint(10, 60, (50, 12), generator=torch.Generator().manual_seed(3))
    rows = torch.cat([torch.full((50, 1), START), inner, torch.full((50, 1), END)], 1)
    return torch.cat([rows, torch.zeros(50, 4, dtype=torch.long)], 1)


def made(tokens, seed=0):
    return augmented(tokens, copies=3, mask=MASK, pad=PAD, seed=seed)


def test_copies_follow_one_another_text_by_text(tokens):
    for number, row in enumerate(made(tokens)):
        words = set(row.tolist()) - {PAD, MASK, START, END}
        assert words <= set(tokens[number % len(tokens)].tolist())


def test_a_text_keeps_its_marks_at_its_ends(tokens):
    for row in made(tokens):
        text = row[row != PAD]
        assert (text[0], text[-1]) == (START, END)


def test_some_tokens_are_masked_and_most_are_not(tokens):
    inner = (made(tokens) > END).sum()
    assert 0.05 < (made(tokens) == MASK).sum() / inner < 0.15


def test_the_seed_decides(tokens):
    assert torch.equal(made(tokens), made(tokens))
    assert not torch.equal(made(tokens), made(tokens, seed=1))
