"""Losses of knowledge distillation, in nats a token."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def _log_probabilities(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Smoothed log-probabilities of student and teacher (eq. 3.1 of Lee 2023); no gradient goes to the teacher."""
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; it must be above 0")
    if student.shape != teacher.shape:
        raise ValueError(
            f"student logits are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}; "
            "both need one vocabulary"
        )
    log_q = functional.log_softmax(student.float() / temperature, dim=-1)
    return log_q, functional.log_softmax(teacher.detach().float() / temperature, dim=-1)


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Kullback-Leibler divergence `KL(p ‖ q)` of every token, `[..., vocabulary]` -> `[...]`."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _mean(per_token: Tensor, counted: Tensor | None) -> Tensor:
    """Mean over the tokens that count; a sum with weights, because a choice has no fixed shape."""
    return per_token.mean() if counted is None else (per_token * counted).sum() / counted.sum()


def soft_target_loss(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, counted: Tensor | None = None
) -> Tensor:
    """Soft-target loss `T² KL(softmax(teacher / T) ‖ softmax(student / T))`, a mean over tokens (Hinton 2015, §2).

    The factor T² keeps the gradient's size when the temperature changes.

    Args:
        student: logits `[..., vocabulary]`.
        teacher: logits of the same shape; no gradient goes there.
        temperature: T.
        counted: `[...]`, which tokens count (not padding); by default all.

    Raises:
        ValueError: the temperature is not above 0, or the vocabularies differ.
    """
    log_q, log_p = _log_probabilities(student, teacher, temperature)
    return _mean(_divergence(log_p, log_q), counted) * temperature**2


def hidden_direction_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Direction loss, one minus the cosine between states `[..., width]`, a mean over tokens (Sanh et al. 2019, §3)."""
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


def soft_cross_entropy(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, counted: Tensor | None = None
) -> Tensor:
    """Cross-entropy `-T² Σ_k p_teacher(k) log p_student(k)`, the mean over tokens (Lee 2023, eq. 3.3).

    It differs from `soft_target_loss` by T² times the teacher's entropy, which no student changes.
    """
    log_q, log_p = _log_probabilities(student, teacher, temperature)
    return _mean(-(log_p.exp() * log_q).sum(-1), counted) * temperature**2


def reverse_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0, counted: Tensor | None = None) -> Tensor:
    """Reverse divergence `T² KL(student ‖ teacher)`, the mean over tokens.

    It is MiniLLM's exact single-step term (Gu et al. 2024, eq. 5).
    """
    log_q, log_p = _log_probabilities(student, teacher, temperature)
    return _mean(_divergence(log_q, log_p), counted) * temperature**2


class HiddenStateLoss(nn.Module):
    """Mean squared error between hidden states, the student's through a trained matrix where widths differ.

    Romero et al. 2015 (FitNets), eq. 3; TinyBERT's attention and hidden losses take the same form.
    """

    def __init__(self, student_width: int, teacher_width: int) -> None:
        super().__init__()
        same = student_width == teacher_width
        self.projection = nn.Identity() if same else nn.Linear(student_width, teacher_width, bias=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Loss of states `[..., student_width]` against `[..., teacher_width]`; no gradient goes to the teacher."""
        projected = self.projection(student)
        if projected.shape != teacher.shape:
            raise ValueError(f"student states are {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}")
        return functional.mse_loss(projected.float(), teacher.detach().float())


def mixed_loss(hard: Tensor, soft: Tensor, alpha: float) -> Tensor:
    """Mixture of `alpha` times the loss on the labels and the rest of the loss on the teacher (Lee 2023, eq. 3.2).

    Raises:
        ValueError: alpha is outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it weighs the labels' loss and must lie between 0 and 1")
    return alpha * hard + (1 - alpha) * soft
