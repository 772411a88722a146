"""Losses of knowledge distillation, in nats a token."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """`T² KL(softmax(teacher / T) ‖ softmax(student / T))`, the mean over tokens (Hinton et al. 2015, §2).

    The factor T² keeps the gradient's size when the temperature changes.

    Args:
        student: logits `[..., vocabulary]`.
        teacher: logits of the same shape; no gradient goes there.
        temperature: T.

    Raises:
        ValueError: the temperature is not above 0, or the vocabularies differ.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; it must be above 0")
    if student.shape != teacher.shape:
        raise ValueError(f"student logits are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}")
    log_q = functional.log_softmax(student.float() / temperature, dim=-1).flatten(0, -2)
    log_p = functional.log_softmax(teacher.detach().float() / temperature, dim=-1).flatten(0, -2)
    return functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean") * temperature**2


def hidden_direction_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine between hidden states `[..., width]`, the mean over tokens (Sanh et al. 2019, §3)."""
    if student.shape != teacher.shape:
        raise ValueError(f"student states are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}")
    return (1 - functional.cosine_similarity(student.float(), teacher.detach().float(), dim=-1)).mean()


SOFT, HARD, DIRECTION = 5 / 8, 2 / 8, 1 / 8
"""DistilBERT's weights of its three losses (5, 2 and 1), made to sum to one."""
TEMPERATURE = 2.0


def triple_loss(hard: Tensor, logits: tuple[Tensor, Tensor], hidden: tuple[Tensor, Tensor]) -> Tensor:
    """DistilBERT's loss: soft targets at temperature 2, the text itself, and the direction of hidden states.

    Args:
        hard: cross-entropy with the text.
        logits: the student's and the teacher's.
        hidden: the student's and the teacher's last hidden states, of the same width.
    """
    soft = soft_target_loss(*logits, TEMPERATURE)
    return SOFT * soft + HARD * hard + DIRECTION * hidden_direction_loss(*hidden)
