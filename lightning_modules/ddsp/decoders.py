"""Sequence decoders for the middle of the DDSP network: GRU, LSTM, dilated convolutions.

The source document compares the three (``docs/ddsp.md`` has our table). All are causal and carry their
state explicitly, so that a signal may be decoded block by block with the same result as at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu


class SequenceDecoder(nn.Module):
    """A causal map from a sequence to a sequence of equal length.

    Attributes:
        input_size: channels of the input.
        output_size: channels of the output.
    """

    input_size: int
    output_size: int

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Decode a block.

        Args:
            inputs: ``(B, N, input_size)``.
            state: what the call on the block before returned, or ``None`` at the start of a signal.

        Returns:
            ``(B, N, output_size)`` and the state after the block.
        """
        raise NotImplementedError


class GRUDecoder(SequenceDecoder):
    """One layer of gated recurrent units; the document's choice.

    Args:
        input_size: channels of the input: twice the network's ``hidden_size``, or 2 without input MLPs.
        hidden_size: units, which are the channels of the output.
    """

    def __init__(self, input_size: int = 512, hidden_size: int = 256) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.rnn = nn.GRU(input_size, hidden_size, batch_first=True)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `SequenceDecoder.forward`; the state is ``(1, B, hidden_size)``."""
        return self.rnn(inputs, state)


class LSTMDecoder(SequenceDecoder):
    """One layer of long short-term memory.

    Args:
        input_size: channels of the input: twice the network's ``hidden_size``.
        hidden_size: units, which are the channels of the output.
    """

    def __init__(self, input_size: int = 512, hidden_size: int = 256) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.rnn = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(
        self, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """See `SequenceDecoder.forward`; the state is hidden and cell, each ``(1, B, hidden_size)``."""
        return self.rnn(inputs, state)


class DilatedDecoder(SequenceDecoder):
    """Stacks of dilated convolutions with residual connections (WaveNet, arXiv 1609.03499, section 2.1).

    Layer ``i`` of a stack looks ``(kernel_size − 1)·2^i`` frames back; the defaults see 1,020 frames
    (4.1 s). Magenta's layer is centred unless told otherwise; this one is causal like the recurrent
    decoders, so that the comparison gives none of them the future.

    Args:
        input_size: channels of the input: twice the network's ``hidden_size``.
        channels: channels of every layer and of the output.
        kernel_size: taps of every convolution.
        n_stacks: how often the sequence of dilations is repeated.
        layers_per_stack: layers in a stack, with dilations 1, 2, 4, …
    """

    def __init__(
        self,
        input_size: int = 512,
        channels: int = 128,
        kernel_size: int = 3,
        n_stacks: int = 2,
        layers_per_stack: int = 8,
    ) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, channels
        self.input_projection = nn.Linear(input_size, channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size, dilation=2**i)
            for _ in range(n_stacks)
            for i in range(layers_per_stack)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in self.convolutions)

    def forward(self, inputs: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """See `SequenceDecoder.forward`; the state is each layer's past inputs, ``(B, channels, past)``."""
        x = self.input_projection(inputs)
        pasts = [None] * len(self.convolutions) if state is None else state
        carried = []
        for norm, convolution, before in zip(self.norms, self.convolutions, pasts, strict=True):
            assert isinstance(convolution, nn.Conv1d)
            y, after = self._layer(leaky_relu(norm(x)), convolution, before)
            x = x + y
            carried.append(after)
        return x, carried

    @staticmethod
    def _layer(x: Tensor, convolution: nn.Conv1d, before: Tensor | None) -> tuple[Tensor, Tensor]:
        n_past = (convolution.kernel_size[0] - 1) * convolution.dilation[0]
        x = x.transpose(1, 2)
        before = x.new_zeros(x.shape[0], x.shape[1], n_past) if before is None else before
        x = torch.cat([before, x], dim=2)
        return convolution(x).transpose(1, 2), x[:, :, -n_past:]
