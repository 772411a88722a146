"""Small models that are fine-tuned otherwise than their protocol has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.small_models.lab import SmallModels
from bench.small_models.trainer import Trainer


class Tuned(SmallModels):
    """Protocol with another fine-tuning; its settings stay the protocol's, and its label says what differs."""

    def __init__(self, small: SmallModels, how: str, **changed: Any) -> None:
        """Prepare; nothing is trained yet.

        Args:
            small: the protocol, with its task.
            how: what differs, for the label.
            changed: fields of the fine-tuning's `Training`.
        """
        super().__init__(small.session, small.settings, f"{small.label}, {how}", lambda: small.trainer.read)
        settings = replace(small.settings, tuning=replace(small.settings.tuning, **changed))
        self.trainer = Trainer(small.session, settings, lambda: small.trainer.read, lambda: self.text_sha256)
