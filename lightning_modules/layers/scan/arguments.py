"""The arguments and results that every implementation of the selective scan shares.

Shape letters are those of the authors' code: ``b`` examples, ``l`` steps, ``d`` channels, ``n`` states of a
channel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Scanned(NamedTuple):
    """The result of a scan."""

    y: Tensor
    """``(b, l, d)`` output."""
    state: Tensor
    """``(b, d, n)`` state after the last step, from which the scan of the next block starts."""


class Prepared(NamedTuple):
    """The arguments of a scan as implementations read them: contiguous, of one dtype, channels last."""

    u: Tensor
    """``(b, l, d)``"""
    delta: Tensor
    """``(b, l, d)``"""
    A: Tensor
    """``(n, d)``"""
    B: Tensor
    """``(b, l, n)``"""
    C: Tensor
    """``(b, l, n)``"""
    state: Tensor
    """``(b, n, d)``"""


def prepared(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None) -> Prepared:
    """Lay out the arguments of `selective_scan` for an implementation, in at least float32."""
    if state is None:
        state = A.new_zeros(len(u), *A.shape)
    dtype = torch.promote_types(u.dtype, torch.float32)
    parts = (u, delta, A.T, B, C, state.transpose(1, 2))
    return Prepared(*(part.to(dtype).contiguous() for part in parts))
