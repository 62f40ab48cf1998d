"""The adversary of the encoders, which classifies the instrument of an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from lightning_modules.disentangled.blocks import SLOPE


class InstrumentDiscriminator(nn.Sequential):
    """An MLP from an embedding ``(B, E)`` of style or content to the logits ``(B, C)`` of its instrument.

    Args:
        size: ``E``.
        n_instruments: ``C``.
        hidden: widths of the hidden layers.
    """

    def __init__(self, size: int = 256, n_instruments: int = 2, hidden: Sequence[int] = (128, 128)) -> None:
        widths = [size, *hidden]
        inner = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(SLOPE))]
        super().__init__(*inner, nn.Linear(widths[-1], n_instruments))
