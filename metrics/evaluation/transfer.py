"""One transfer of a test and everything that it is compared with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.batch import TransferBatch
from metrics.registry import Side


class Transfer(NamedTuple):
    """The output of a system for one test case; audio is ``(T,)`` float32."""

    position: int
    """Row in the table."""
    preds: np.ndarray
    source: np.ndarray
    reference: np.ndarray
    """Another piece on the target instrument, ``(R,)``."""
    target: np.ndarray | None
    """The paired target, where there is one."""
    wrong_notes: np.ndarray | None
    """A third piece on the target instrument, where there is one."""
    is_monophonic: bool
    target_instrument: str


def side_of(compared: Transfer | TransferBatch, side: Side) -> Any:
    """The audio that a metric compares the output with; ``None`` for the target of unpaired data.

    Args:
        compared: one transfer, whose audio is ``(T,)``, or a batch, whose audio is ``(B, T)``.
        side: what the metric compares with.
    """
    return {
        Side.NOTES: compared.source if compared.target is None else compared.target,
        Side.TIMBRE: compared.reference if compared.target is None else compared.target,
        Side.TARGET: compared.target,
        Side.SOURCE: compared.source,
    }[side]


def as_batch(clip: np.ndarray) -> Tensor:
    """``(T,)`` samples as a batch of one clip, ``(1, T)``."""
    return torch.from_numpy(clip)[None]
