"""Transfer of audio as it comes: block in, block out, equal to the transfer of the whole."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from lightning_modules.layers.causal import Convolution, Upsampling, plain
from lightning_modules.layers.memory import Memory
from lightning_modules.mambamuse.network import Style, StyleStrengths, UNet


class Stream:
    """A transfer under way. Blocks may have any sizes, each another.

    Samples are transferred in whole strides of the network: the last sample of a stride decides on its first,
    which therefore comes out ``stride − 1`` samples late, and so does everything.

    Args:
        network: a causal network; what happens to it later does not matter.
        style: what the stream shall sound like.
        strengths: how much so; may be changed while it runs.
    """

    def __init__(self, network: UNet, style: Style, strengths: StyleStrengths) -> None:
        self.network = with_plain_weights(network)
        self.style, self.strengths = style, strengths
        self.latency = network.stride - 1
        """Samples by which the output is behind the input."""
        self._memory: Memory = {}
        n_examples = len(style[0].mean)
        self._waiting = style[0].mean.new_zeros(n_examples, 0)
        """Input that does not fill a stride yet."""
        self._ready = style[0].mean.new_zeros(n_examples, self.latency)
        """Output that was not asked for yet; at first the silence before the first sample."""

    @torch.inference_mode()
    def process(self, block: Tensor) -> Tensor:
        """``(B, T)`` → as much of the output, which is `latency` behind."""
        waiting = torch.cat([self._waiting, block], dim=1)
        n_whole = waiting.shape[1] // self.network.stride * self.network.stride
        if n_whole:
            heard = self.network(waiting[:, :n_whole], self.style, self.strengths, self._memory)
            self._ready = torch.cat([self._ready, heard], dim=1)
        self._waiting = waiting[:, n_whole:]
        output, self._ready = self._ready.tensor_split([block.shape[1]], dim=1)
        return output

    def flush(self) -> Tensor:
        """What is left at the end: the last `latency` samples. The stream goes on with silence after them."""
        return self.process(self._waiting.new_zeros(len(self._waiting), self.latency))


def with_plain_weights(network: UNet) -> UNet:
    """A copy without weight norm, which need not compute the same weights for every block."""
    copy = deepcopy(network).eval().requires_grad_(False)
    for layer in copy.modules():
        if isinstance(layer, Convolution | Upsampling):
            layer.convolution = plain(layer.convolution)  # type: ignore[assignment]
    return copy
