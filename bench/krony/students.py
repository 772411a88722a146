"""Students: what each keeps of its teacher, and how it is trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from torch import nn
from transformers import PreTrainedModel

from bench.krony.objectives import Objective
from compress.factorisation.kronecker.embedding import factorised_embedding
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.swap import apply
from models.errors import InputError
from models.gpt2 import every_other_layer
from models.load import find_blocks, mlp_width

Fresh = Callable[..., PreTrainedModel]
"""Function from `seed=` to a model of the teacher's shape with random weights."""
EMBEDDING = ((2, 1), 1)
"""Second factor and terms of a factorised embedding: half its parameters, as KnGPT-2 halves it."""


class Inherited(Enum):
    """Part of the teacher that a student starts from."""

    ALL = "all that it can"
    NO_FACTORS = "all but the factors, which are random"
    NOTHING = "nothing"


LARGE = 4
"""Factor by which the batches of a second phase may be larger; phases are counted in such batches."""


@dataclass(frozen=True)
class Phase:
    """Second phase of a training, on a share of the tokens of the first, with a larger batch and a new optimizer."""

    share: float
    batch_factor: int
    """Divides `LARGE`."""

    @property
    def parts(self) -> int:
        """Steps that read as much as one of the largest batches."""
        return LARGE // self.batch_factor

    def steps(self, first: int) -> int:
        """Steps, given those of the first phase: every phase of a share reads the same tokens."""
        return self.parts * max(1, round(self.share * first / LARGE))


@dataclass(frozen=True)
class Student:
    """One rung of the ladder: how the teacher is compressed, and how the student is trained."""

    name: str
    method: KroneckerFactorisation | None = None
    """Factorisation of the MLP weights; None leaves them."""
    half: bool = False
    """Removal of every other layer, as in DistilGPT2."""
    odd_layers: bool = False
    """Factorisation of blocks 1, 3, 5, ... alone, and of the embedding, with an output matrix of its own."""
    inherited: Inherited = Inherited.ALL
    frozen: tuple[str, ...] = ()
    """Parts of names of parameters that are not trained."""
    objective: Objective = Objective.TEXT
    rate: float = 1.0
    """Factor on the ladder's learning rate."""
    scalar_rate: float = 1.0
    """Factor on that of scalars."""
    schedule: str = "constant"
    batch_divisor: int = 1
    share: float = 1.0
    """Share of the ladder's tokens that it reads; its last checkpoint is one of those that others have."""
    then: Phase | None = None

    def __str__(self) -> str:
        return self.name

    def steps(self, whole: int) -> int:
        """Steps of its first phase, counted in the ladder's own batches, given those of the whole ladder."""
        return max(1, round(self.share * whole))

    @property
    def has_course(self) -> bool:
        """True if its checkpoints are what shorter trainings would end with: a constant rate, in one phase."""
        return self.schedule == "constant" and self.then is None

    def of(self, teacher: PreTrainedModel, seed: int, fresh: Fresh) -> PreTrainedModel:
        """The student before its training, from a teacher that stays as it is.

        Args:
            teacher: trained.
            seed: of what is drawn at random.
            fresh: gives the model that a student which inherits nothing starts from.
        """
        source = fresh(seed=seed) if self.inherited is Inherited.NOTHING else teacher
        model = every_other_layer(source) if self.half else copy.deepcopy(source)
        if self.method is not None:
            blocks = find_blocks(model)[1::2] if self.odd_layers else find_blocks(model)
            width = mlp_width(teacher.config)
            apply(self.method, blocks, chosen=lambda _name, layer: width in layer.weight.shape)
        if self.odd_layers:
            _untie(model)
        if self.inherited is not Inherited.ALL:
            _redraw(model, seed)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not any(part in name for part in self.frozen))
        return model


def _redraw(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, KroneckerLinear):
            module.redraw(generator)


def _untie(model: PreTrainedModel) -> None:
    """Factorise the embedding and leave the output matrix dense, as TQCompressor and KnGPT-2 do."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if not isinstance(head, nn.Linear) or not isinstance(embedding, nn.Embedding):
        raise InputError(f"{type(model).__name__} has no plain embedding and output matrix")
    head.weight = nn.Parameter(head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    model.set_input_embeddings(factorised_embedding(embedding, *EMBEDDING))
