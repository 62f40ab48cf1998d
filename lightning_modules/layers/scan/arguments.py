"""What every implementation of the selective scan takes and gives."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Scanned(NamedTuple):
    """What a scan gives."""

    y: Tensor
    """``(B, T, C)``."""
    state: Tensor
    """``(B, C, S)`` after the last step: what the scan of the next block starts from."""


class Prepared(NamedTuple):
    """A scan's arguments as implementations want them: of one type, and with channels side by side."""

    u: Tensor
    """``(B, T, C)``"""
    delta: Tensor
    """``(B, T, C)``"""
    decay: Tensor
    """``(S, C)``"""
    write: Tensor
    """``(B, T, S)``"""
    read: Tensor
    """``(B, T, S)``"""
    state: Tensor
    """``(B, S, C)``"""


def prepared(
    u: Tensor, delta: Tensor, decay: Tensor, write: Tensor, read: Tensor, state: Tensor | None
) -> Prepared:
    """The arguments of `selective_scan`, contiguous, in at least float32."""
    if state is None:
        state = decay.new_zeros(len(u), *decay.shape)
    dtype = torch.promote_types(u.dtype, torch.float32)
    parts = (u, delta, decay.T, write, read, state.transpose(1, 2))
    return Prepared(*(part.to(dtype).contiguous() for part in parts))
