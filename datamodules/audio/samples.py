"""Mono audio of which parts can be read, wherever it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

BLOCK_SAMPLES = 1 << 18
"""Samples that are read at a time."""


class Samples(Protocol):
    """Mono float32 audio: an array ``(T,)``, or audio on disk (`stored.StoredAudio`)."""

    def __len__(self) -> int:
        """Count all samples."""

    def __getitem__(self, part: slice, /) -> np.ndarray:
        """Read the samples of a part."""


def blocks_of(audio: Samples, size: int = BLOCK_SAMPLES) -> Iterator[np.ndarray]:
    """Read audio block by block, ``(size,)`` each but the last."""
    for start in range(0, len(audio), size):
        yield audio[start : start + size]
