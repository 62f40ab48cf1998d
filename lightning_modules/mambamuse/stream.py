"""Transfer of audio as it comes: block in, block out, equal to the transfer of the whole."""

from __future__ import annotations

import warnings
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
        self.reset()

    def reset(self) -> None:
        """Forget all input, as if there had been silence before."""
        silence = self.style[0].mean.new_zeros(len(self.style[0].mean), self.latency)
        self._cache: Cache = {}
        self._waiting = silence[:, :0]
        """Input that does not fill a stride yet."""
        self._ready = silence
        """Output that was not asked for yet; at first the silence before the first sample."""

    @torch.inference_mode()
    def process(self, block: Tensor) -> Tensor:
        """Transfer a block.

        Samples that are NaN or infinite are replaced by silence, with a warning, and so is output that is
        not finite, from which the stream starts anew: one bad block spoils none that come after it.

        Args:
            block: ``(B, T)`` floating-point audio in [−1, 1]; ``T`` may be 0.

        Returns:
            ``(B, T)`` of the output, which is `latency` samples later.

        Raises:
            TypeError: the block is no tensor of floating-point numbers.
            ValueError: the block has another shape.
        """
        waiting = torch.cat([self._waiting, finite_block(block, self._waiting)], dim=1)
        n_whole = waiting.shape[1] // self.network.stride * self.network.stride
        if n_whole:
            output = self.network(waiting[:, :n_whole], self.style, self.strengths, self._cache)
            if not output.isfinite().all():
                warnings.warn("The stream's output was not finite; it starts anew.", stacklevel=2)
                self._cache, output = {}, torch.zeros_like(output)
            self._ready = torch.cat([self._ready, output], dim=1)
        self._waiting = waiting[:, n_whole:]
        output, self._ready = self._ready.tensor_split([block.shape[1]], dim=1)
        return output

    def flush(self) -> Tensor:
        """Return the last `latency` samples of the output, and continue with silence after them."""
        return self.process(self._waiting.new_zeros(len(self._waiting), self.latency))


def finite_block(block: Tensor, like: Tensor) -> Tensor:
    """Check a block of a stream, and give it the type and device of ``like`` ``(B, …)``.

    Samples that are NaN or infinite become 0, with a warning.

    Raises:
        TypeError: the block is no tensor of floating-point numbers.
        ValueError: the block is not ``(B, T)``.
    """
    if not isinstance(block, Tensor) or not block.is_floating_point():
        kind = block.dtype if isinstance(block, Tensor) else type(block).__name__
        raise TypeError(
            f"A block is a tensor of floating-point samples in [-1, 1], this one is {kind}: divide 16-bit "
            "samples by 32768, and take NumPy arrays through torch.from_numpy."
        )
    if block.ndim != 2 or len(block) != len(like):
        raise ValueError(
            f"A block of this stream is ({len(like)}, T), one row for each reference, and this one is "
            f"{tuple(block.shape)}."
        )
    block = block.to(like)
    if not block.isfinite().all():
        n_bad = int((~block.isfinite()).sum())
        warnings.warn(f"{n_bad} NaN or infinite samples of a stream are played as silence.", stacklevel=3)
        block = block.nan_to_num(0.0, 0.0, 0.0)
    return block


def inference_copy(network: UNet) -> UNet:
    """Copy a network without weight norm, which would compute the same weights anew for every block."""
    copy = deepcopy(network).eval().requires_grad_(False)
    for layer in copy.modules():
        if isinstance(layer, Convolution | Upsampling):
            layer.convolution = without_weight_norm(layer.convolution)  # type: ignore[assignment]
    return copy
