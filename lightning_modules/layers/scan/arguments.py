"""The arguments and results that every implementation of the selective scan shares.

Shape letters are those of the authors' code: ``b`` examples, ``l`` steps, ``d`` channels, ``n`` states of a
channel.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """Lay out the arguments of `selective_scan` for an implementation, in at least float32.

    Raises:
        ValueError: a shape does not fit the others; compiled code would read memory that is not its own.
    """
    if state is None:
        state = A.new_zeros(len(u), *A.shape)
    _require_fitting_shapes(u, A, {"delta": delta, "B": B, "C": C, "state": state})
    dtype = torch.promote_types(u.dtype, torch.float32)
    parts = (u, delta, A.T, B, C, state.transpose(1, 2))
    return Prepared(*(part.to(dtype).contiguous() for part in parts))


def _require_fitting_shapes(u: Tensor, A: Tensor, parts: Mapping[str, Tensor]) -> None:
    if u.ndim != 3 or A.ndim != 2 or len(A) != u.shape[2]:
        raise ValueError(f"u is (b, l, d) and A (d, n), found {tuple(u.shape)} and {tuple(A.shape)}.")
    b, length, d, n = *u.shape, A.shape[1]
    wanted = {"delta": (b, length, d), "B": (b, length, n), "C": (b, length, n), "state": (b, d, n)}
    for name, part in parts.items():
        if tuple(part.shape) != wanted[name]:
            raise ValueError(
                f"{name} has to be {wanted[name]} beside u {tuple(u.shape)} and A {tuple(A.shape)}, found "
                f"{tuple(part.shape)}."
            )
