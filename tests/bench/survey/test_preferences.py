import torch

from bench.survey.preferences.lab import preferring, supervised, whole
from bench.survey.preferences.pairs import EQUALS, PLUS, SUM_PROMPT, log_probabilities, ranked, scored_pairs, sums
from models.gpt2 import GPT2Shape, build
from models.training.train import next_token_loss

SHAPE = GPT2Shape(layers=1, width=16, heads=2, vocabulary=7, positions=12)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_sum_is_there_once_right_and_once_wrong() -> None:
    made = sums(generator())
    digits = made.clone()
    assert (digits[:, :, 2] == PLUS).all()
    assert (digits[:, :, 5] == EQUALS).all()
    asked = digits[:, 0, 0] * 10 + digits[:, 0, 1], digits[:, 0, 3] * 10 + digits[:, 0, 4]
    assert len(set(zip(*(part.tolist() for part in asked), strict=True))) == 10_000
    answers = digits[..., 6] * 100 + digits[..., 7] * 10 + digits[..., 8]
    assert torch.equal(answers[:, 0], asked[0] + asked[1])
    assert ((digits[:, 0] != digits[:, 1]).sum(1) == 1).all()


def test_the_teacher_likes_the_first_of_each_pair_better() -> None:
    teacher, student = (build(SHAPE, seed=seed, initial_scale=0.5).eval() for seed in (0, 1))
    prompts = torch.randint(0, 7, (50, 4), generator=generator())
    pairs = scored_pairs(teacher, student, prompts, continuation=3, own=2, generator=generator())
    own = log_probabilities(teacher, pairs, 4)
    assert (own[:, 0] > own[:, 1]).all()
    assert ranked(own) == 1.0
    assert torch.equal(pairs[:, 0, :4], pairs[:, 1, :4])


def test_prompts_whose_candidates_tie_are_left_out() -> None:
    teacher = build(GPT2Shape(layers=1, width=8, heads=2, vocabulary=1, positions=8), seed=0)
    prompts = torch.zeros(3, 2, dtype=torch.long)
    assert len(scored_pairs(teacher, teacher, prompts, continuation=2, own=1, generator=generator())) == 0


def test_supervised_loss_of_whole_sequences_is_that_of_language_models() -> None:
    model, tokens = build(SHAPE, seed=0), torch.randint(0, 7, (5, 9), generator=generator())
    torch.testing.assert_close(whole(model, tokens), next_token_loss(model, tokens))


def test_supervised_loss_counts_the_preferred_continuation_alone() -> None:
    model, pairs = build(SHAPE, seed=0), sums(generator())[:4] % 7
    other = pairs.clone()
    other[:, 1] = 0
    assert torch.equal(supervised(SUM_PROMPT, model, pairs), supervised(SUM_PROMPT, model, other))


def test_preference_loss_begins_at_ln_2() -> None:
    model = build(SHAPE, seed=0)
    loss = preferring(SUM_PROMPT, build(SHAPE, seed=0), model, sums(generator())[:4] % 7)
    torch.testing.assert_close(loss, torch.tensor(2.0).log())


def test_pairs_that_nothing_moves_count_half() -> None:
    assert ranked(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])) == 0.5
    assert ranked(torch.zeros(4, 2)) == 0.5
