"""One training loop, on accelerate: for teachers, students and compressed models alike.

Data order is a function of the seed and the step alone; dropout, which draws from the global generator, has a state of
its own while a run lasts, kept with each checkpoint. So a run that was interrupted goes on bit for bit as if it had not
been, and leaves the global generator as it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from models.errors import InputError, TooLittleText
from models.training.accelerators import accelerator_for, generators_of
from models.training.checkpoints import Checkpoints
from models.training.plan import Diverged, History, Loss, Training, Watch
from models.training.schedules import scheduler


def next_token_loss(model: nn.Module, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of each token given those before it, over `[batch, context]`, in nats."""
    logits = model(input_ids=tokens).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())


def windows_of(tokens: Tensor, context: int) -> Tensor:
    """A token sequence cut into training windows `[windows, context]`; the rest is dropped.

    Raises:
        TooLittleText: the text is shorter than one window.
    """
    count = len(tokens) // context
    if not count:
        raise TooLittleText(
            f"the training text has {len(tokens)} tokens and one window takes {context}; give more text"
        )
    return tokens[: count * context].view(count, context)


@lru_cache(maxsize=2)  # a batch can reach into the next epoch
def _order(windows: int, epoch: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(windows)


def batch_indices(windows: int, batch: int, step: int, seed: int) -> list[int]:
    """Indices of the windows that a step reads; every epoch has a shuffle of its own."""
    chosen: list[int] = []
    first = step * batch
    while len(chosen) < batch:
        epoch, place = divmod(first + len(chosen), windows)
        chosen.extend(_order(windows, epoch, seed)[place : place + batch - len(chosen)].tolist())
    return chosen


def train(
    model: nn.Module,
    windows: Sequence[Any] | Tensor,
    training: Training,
    *,
    loss: Loss = next_token_loss,
    device: str = "cpu",
    folder: Path | None = None,
    save_every: int = 0,
    watch: Watch | None = None,
    rates: Mapping[str, float] | None = None,
) -> History:
    """Train a model in place.

    Args:
        model: its parameters that require gradients are trained.
        windows: `[windows, context]` tokens, or a `datasets.Dataset` in torch format with a column `input_ids`
            (which stays on disk).
        training: how.
        loss: what to lower.
        device: cpu, cuda or cuda:1.
        folder: where checkpoints go; a run with the same settings goes on from there.
        save_every: steps between checkpoints; 0 for none but the last.
        watch: told of every step; by default a bar with loss and tokens a second is shown.
        rates: factors on the learning rate of parameters by the last part of their names, such as `{"scalars": 4}`.

    Raises:
        InputError: no windows, or the folder holds a checkpoint of another run.
        Diverged: loss or gradient is not finite; weights are those of the last good step.
    """
    if not len(windows):
        raise InputError("there is no window to train on; give more text")
    run = _Run(model, windows, training, loss, accelerator_for(device, training.precision), rates=rates or {})
    kept = Checkpoints(run.accelerator, folder, training)
    bar = tqdm(total=training.steps, unit=" steps", disable=watch is not None, leave=False)
    try:
        with kept.alone(), torch.random.fork_rng(devices=generators_of(run.accelerator.device)):
            torch.manual_seed(training.seed)
            history = kept.resume()
            bar.update(len(history.losses))
            for step in range(len(history.losses), training.steps):
                started = time.perf_counter()
                value, tokens = run.step(step, kept)
                history.losses.append(value)
                history.tokens += tokens
                history.seconds += time.perf_counter() - started
                (watch or _shown(bar, history))(tokens, value)
                if (save_every and (step + 1) % save_every == 0) or step + 1 == training.steps:
                    kept.save(history)
    finally:
        bar.close()
        run.end()
        model.eval()
    return history


class _Run:
    """A model with its optimizer and schedule, on accelerate."""

    def __init__(
        self,
        model: nn.Module,
        windows: Sequence[Any] | Tensor,
        training: Training,
        loss: Loss,
        accelerator: Accelerator,
        *,
        rates: Mapping[str, float],
    ) -> None:
        self.windows, self.training, self.loss, self.accelerator = windows, training, loss, accelerator
        groups = _groups(model, training, rates)
        optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas)
        self.schedule = scheduler(optimizer, training.schedule, warmup=training.warmup, steps=training.steps)
        model.train().to(accelerator.device)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        accelerator.register_for_checkpointing(self.schedule)

    def step(self, step: int, kept: Checkpoints) -> tuple[float, int]:
        """One update; gives the loss and the tokens."""
        indices = batch_indices(len(self.windows), self.training.batch, step, self.training.seed)
        parts = [_rows(self.windows, part) for part in _parts(indices, self.training.accumulation)]
        value, tokens = _gradients(self.accelerator, self.model, parts, self.loss)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.training.clip)
        if norm is None or not (math.isfinite(value) and math.isfinite(float(norm))):
            raise Diverged(step, float(self.schedule.get_last_lr()[0]), value, kept.latest())
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        return value, tokens

    def end(self) -> None:
        """Leave the model as it came, without what accelerate put around it."""
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        self.accelerator.free_memory()


def _parts(indices: list[int], count: int) -> list[list[int]]:
    size = len(indices) // count
    return [indices[start : start + size] for start in range(0, len(indices), size)]


def _gradients(accelerator: Accelerator, model: nn.Module, parts: list[Tensor], loss: Loss) -> tuple[float, int]:
    """Gradients of one batch in parts, of which this process takes its share; gives the loss and the tokens."""
    value, tokens = 0.0, 0
    for part in parts:
        tokens += part.numel()
        mine = part[accelerator.process_index :: accelerator.num_processes].to(accelerator.device)
        with accelerator.autocast():
            part_loss = loss(model, mine) / len(parts)
        accelerator.backward(part_loss)
        value += float(part_loss.detach())
    return value, tokens


def _rows(windows: Any, indices: list[int]) -> Tensor:
    return windows[indices] if isinstance(windows, Tensor) else windows[indices]["input_ids"]


def _groups(model: nn.Module, training: Training, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Matrices, which decay, then biases and norms, which do not, then what has a rate of its own."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    own = {name: rates[last] for name in trained if (last := name.rpartition(".")[2]) in rates}
    shared = [parameter for name, parameter in trained.items() if name not in own]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in shared if parameter.ndim >= 2], "weight_decay": training.weight_decay},
        {"params": [parameter for parameter in shared if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    for name, factor in own.items():
        decay = training.weight_decay if trained[name].ndim >= 2 else 0.0
        rate = factor * training.learning_rate
        groups.append({"params": [trained[name]], "weight_decay": decay, "lr": rate})
    return groups


def _shown(bar: tqdm, history: History) -> Watch:
    def show(_tokens: int, loss: float) -> None:
        speed = history.tokens / max(history.seconds, 1e-9)
        bar.set_postfix({"loss": f"{loss:.3f}", "tokens/s": f"{speed:,.0f}"}, refresh=False)
        bar.update()

    return show
