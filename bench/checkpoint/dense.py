"""The dense model's side of every comparison: windows, states and figures that all checkpoints are held against."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor, nn

from bench.checkpoint.blocks import BlockStates, block_states
from bench.checkpoint.protocols import protocol_lines, scores
from bench.checkpoint.settings import CheckpointSettings
from bench.checkpoint.windows import first_windows
from bench.measure.perplexity import Perplexity
from bench.measure.session import Session
from bench.measure.whole_windows import WholeWindows
from models.load import Decoder
from models.sources import weight_bytes


def held_bytes(model: nn.Module) -> int:
    """Bytes of memory that a model's parameters and buffers take; tied ones count once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


class Dense:
    """The dense model's side, which every checkpoint is held against: it goes over the windows once."""

    def __init__(self, session: Session, settings: CheckpointSettings) -> None:
        self.session, self.settings = session, settings

    @property
    def decoder(self) -> Decoder:
        """The dense model."""
        return self.session.decoder

    @cached_property
    def windows(self) -> WholeWindows:
        """Scored windows, one document at a time, at most as long as the dense model reads."""
        length = min(self.settings.tokens, self.decoder.longest_context)
        documents = self.session.documents
        return WholeWindows(first_windows(documents, self.decoder.tokenizer, length, self.settings.documents))

    @cached_property
    def states(self) -> Tensor:
        """Final hidden states at every scored position, `[documents, tokens - 1, width]`."""
        with self.session.progress.variant("dense", self.windows.tokens.numel()) as advance:
            return self.windows.states(self.decoder.hidden, advance)

    @cached_property
    def at_blocks(self) -> BlockStates:
        """States at the blocks, on the beginnings of the first windows."""
        tokens = self.windows.tokens[:2, : max(2, self.settings.layer_tokens // 2)]
        return block_states(self.decoder, tokens)

    @cached_property
    def sizes(self) -> tuple[int, int]:
        """Bytes on disk and in memory."""
        return weight_bytes(self.decoder.name), held_bytes(self.decoder.model)

    @cached_property
    def lines(self) -> list[str]:
        """Lines that every protocol of perplexity reads."""
        return protocol_lines(self.session, self.settings.protocol_tokens)

    @cached_property
    def under(self) -> dict[str, Perplexity | str]:
        """Perplexity by protocol, or why there is none."""
        return scores(self.decoder, self.lines)
