"""The rungs of Krony-PT's ladder: what each student keeps of its teacher, and how it is trained."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from compress.factorisation.kronecker.embedding import factorised_embedding
from compress.factorisation.kronecker.method import KroneckerFactorisation, Start
from compress.swap import apply
from models.errors import InputError
from models.gpt2 import every_other_layer
from models.load import find_blocks, mlp_width

STEADY = 4
"""Factor by which the unsteady run's batch is smaller."""


@dataclass(frozen=True)
class Student:
    """One rung: how the teacher is compressed, and how the student is trained."""

    name: str
    method: KroneckerFactorisation | None = None
    """Factorisation of the MLP weights; None leaves them."""
    half: bool = False
    """Removal of every other layer, as in DistilGPT2."""
    odd_layers: bool = False
    """Factorisation of blocks 1, 3, 5, ... alone, and of the embedding, with an output matrix of its own."""
    distilled: bool = False
    """Trained with DistilBERT's three losses rather than on the text alone."""
    schedule: str = "constant"
    batch_divisor: int = 1

    def __str__(self) -> str:
        return self.name

    def of(self, teacher: PreTrainedModel) -> PreTrainedModel:
        """The student before its training, from a teacher that stays as it is."""
        model = every_other_layer(teacher) if self.half else copy.deepcopy(teacher)
        if self.method is not None:
            blocks = find_blocks(model)[1::2] if self.odd_layers else find_blocks(model)
            width = mlp_width(teacher.config)
            apply(self.method, blocks, chosen=lambda _name, layer: width in layer.weight.shape)
        if self.odd_layers:
            _untie(model)
        return model


P81, P95, FOUR = (4, 1), (2, 1), (3, 3)
MANY_SMALL = (8, 4)
STUDENTS = {
    student.name: student
    for student in (
        Student("half", half=True),
        Student("half-distilled", half=True, distilled=True),
        Student("81M", KroneckerFactorisation(P81)),
        Student("81M-distilled", KroneckerFactorisation(P81), distilled=True),
        Student("95M-van-loan", KroneckerFactorisation(P95)),
        Student("95M-pruned", KroneckerFactorisation(P95, start=Start.PRUNED)),
        Student("4-terms", KroneckerFactorisation(FOUR, terms=4)),
        Student("4-terms-scalars", KroneckerFactorisation(FOUR, terms=4, scalars=True)),
        Student("many-small", KroneckerFactorisation(MANY_SMALL, terms=8)),
        Student("tqcompressor", KroneckerFactorisation((4, 2), terms=4, start=Start.PERMUTED), odd_layers=True),
        Student("kngpt2", KroneckerFactorisation(P95), odd_layers=True, distilled=True),
        Student("81M-cosine", KroneckerFactorisation(P81), schedule="cosine"),
        Student("81M-small-batch", KroneckerFactorisation(P81), batch_divisor=STEADY),
    )
}
EMBEDDING = ((2, 1), 1)
"""Second factor and terms of a factorised embedding: half its parameters, as KnGPT-2 halves it."""


def _untie(model: PreTrainedModel) -> None:
    """Factorise the embedding and leave the output matrix dense, as TQCompressor and KnGPT-2 do."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if not isinstance(head, nn.Linear) or not isinstance(embedding, nn.Embedding):
        raise InputError(f"{type(model).__name__} has no plain embedding and output matrix")
    head.weight = nn.Parameter(head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    model.set_input_embeddings(factorised_embedding(embedding, *EMBEDDING))
