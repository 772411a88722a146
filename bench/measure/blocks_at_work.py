"""Progress of methods that go through a model's blocks one by one, with nothing known of the method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from torch import nn

from bench.measure.session import Progress


class _AtWork:
    """Hooks that tell a block which is run by itself from one that is run with the whole model."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance
        self.whole = False
        self.reached = 0

    def begin(self, *_: object) -> None:
        self.whole = True

    def end(self, *_: object) -> None:
        self.whole = False

    def reach(self, number: int, *_: object) -> None:
        """Tell of the blocks reached for the first time, when this one runs."""
        if not self.whole and number > self.reached:
            self.advance(number - self.reached)
            self.reached = number


@contextmanager
def shown(progress: Progress, name: str, model: nn.Module, blocks: Sequence[nn.Module]) -> Iterator[None]:
    """While open, show how many blocks have been reached that calibration runs by themselves.

    Args:
        progress: display of the session.
        name: of what is being done.
        model: whose forward passes run all blocks, and say nothing of how far calibration is.
        blocks: in order.
    """
    with progress.variant(name, len(blocks)) as advance, ExitStack() as hooks:
        at_work = _AtWork(advance)
        for handle in (
            model.register_forward_pre_hook(at_work.begin),
            # Calibration breaks a pass off at the first block.
            model.register_forward_hook(at_work.end, always_call=True),
            *(block.register_forward_pre_hook(partial(at_work.reach, n)) for n, block in enumerate(blocks, 1)),
        ):
            hooks.callback(handle.remove)
        yield
