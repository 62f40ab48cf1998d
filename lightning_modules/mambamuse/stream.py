"""Transfer of audio as it comes: block in, block out, equal to the transfer of the whole."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from lightning_modules.layers.causal import Cache, Convolution, Upsampling, without_weight_norm
from lightning_modules.mambamuse.network import Style, StyleStrengths, UNet


class Stream:
    """A transfer under way, which takes blocks of any sizes.

    Samples are transferred in whole strides of the network. The first sample of a stride depends on its last
    one, so it comes out ``stride − 1`` samples late, and with it the whole output.

    Args:
        network: a causal network, which is copied.
        style: the style of the output.
        strengths: how much of the style the output takes on; may be changed while the stream runs.
    """

    def __init__(self, network: UNet, style: Style, strengths: StyleStrengths) -> None:
        self.network = inference_copy(network)
        self.style, self.strengths = style, strengths
        self.latency = network.stride - 1
        """Samples by which the output is later than the input."""
        self._cache: Cache = {}
        n_examples = len(style[0].mean)
        self._waiting = style[0].mean.new_zeros(n_examples, 0)
        """Input that does not fill a stride yet."""
        self._ready = style[0].mean.new_zeros(n_examples, self.latency)
        """Output that was not asked for yet; at first the silence before the first sample."""

    @torch.inference_mode()
    def process(self, block: Tensor) -> Tensor:
        """``(B, T)`` of the input → ``(B, T)`` of the output, which is `latency` samples later."""
        waiting = torch.cat([self._waiting, block], dim=1)
        n_whole = waiting.shape[1] // self.network.stride * self.network.stride
        if n_whole:
            output = self.network(waiting[:, :n_whole], self.style, self.strengths, self._cache)
            self._ready = torch.cat([self._ready, output], dim=1)
        self._waiting = waiting[:, n_whole:]
        output, self._ready = self._ready.tensor_split([block.shape[1]], dim=1)
        return output

    def flush(self) -> Tensor:
        """Return the last `latency` samples of the output, and continue with silence after them."""
        return self.process(self._waiting.new_zeros(len(self._waiting), self.latency))


def inference_copy(network: UNet) -> UNet:
    """Copy a network without weight norm, which would compute the same weights anew for every block."""
    copy = deepcopy(network).eval().requires_grad_(False)
    for layer in copy.modules():
        if isinstance(layer, Convolution | Upsampling):
            layer.convolution = without_weight_norm(layer.convolution)  # type: ignore[assignment]
    return copy
