import torch

from models.gpt2 import GPT2Shape, build
from models.sampling import continued

SHAPE = GPT2Shape(layers=2, width=16, heads=2, vocabulary=5, positions=12)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_prompts_stay_and_grow_by_what_is_asked() -> None:
    prompts = torch.randint(0, 5, (300, 4), generator=generator())
    made = continued(build(SHAPE, seed=0), prompts, 3, generator())
    assert made.shape == (300, 7)
    assert torch.equal(made[:, :4], prompts)


def test_a_seed_gives_the_same_and_another_does_not() -> None:
    model, prompts = build(SHAPE, seed=0), torch.zeros(20, 4, dtype=torch.long)
    assert torch.equal(continued(model, prompts, 6, generator(1)), continued(model, prompts, 6, generator(1)))
    assert not torch.equal(continued(model, prompts, 6, generator(1)), continued(model, prompts, 6, generator(2)))


def test_samples_follow_the_models_probabilities() -> None:
    """The cache changes nothing: shares of a second token are those of a whole pass, within 4 standard errors."""
    model, count = build(SHAPE, seed=3, initial_scale=0.5).eval(), 20_000
    prompt = torch.tensor([[1, 2, 3]])
    made = continued(model, prompt.repeat(count, 1), 2, generator())
    with torch.no_grad():
        for first in range(5):
            own = made[made[:, 3] == first][:, 4]
            wanted = model(input_ids=torch.tensor([[1, 2, 3, first]])).logits[0, -1].softmax(-1)
            found = torch.bincount(own, minlength=5) / max(len(own), 1)
            errors = (wanted * (1 - wanted) / max(len(own), 1)).sqrt()
            assert ((found - wanted).abs() <= 4 * errors + 1e-9).all()
