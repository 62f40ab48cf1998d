"""Statistics of the notes of the trained instrument, counted in training."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from datamodules.batch import Features
from datamodules.features.frames import LOUDNESS_FLOOR_DB
from lightning_modules.ddsp.pitch_repair import hz_to_midi


class TargetStatistics(nn.Module):
    """The distributions of pitch and loudness in the notes of the training split, kept in the checkpoint.

    They are histograms in buffers, which add up over batches, need no data at transfer time and give any
    quantile to half a bin (0.5 dB, 1 semitone). Processes that train together count together.
    """

    loudness_counts: Tensor
    pitch_counts: Tensor
    BIN_DB = 0.5

    def __init__(self) -> None:
        super().__init__()
        n_bins = round((20.0 - LOUDNESS_FLOOR_DB) / self.BIN_DB)
        self.register_buffer("loudness_counts", torch.zeros(n_bins, dtype=torch.double))
        self.register_buffer("pitch_counts", torch.zeros(128, dtype=torch.double))

    @torch.no_grad()
    def update(self, features: Features, notes: Tensor) -> None:
        """Count the frames of ``features`` in which ``notes (B, N)`` is true."""
        bins = ((features.loudness_db[notes] - LOUDNESS_FLOOR_DB) / self.BIN_DB).long()
        self._count(self.loudness_counts, bins)
        self._count(self.pitch_counts, hz_to_midi(features.f0_hz[notes]).round().long())

    @staticmethod
    def _count(counts: Tensor, bins: Tensor) -> None:
        found = torch.bincount(bins.clamp(0, len(counts) - 1), minlength=len(counts)).to(counts)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(found)
        counts += found

    @property
    def is_empty(self) -> bool:
        """Whether no note was counted: the model is untrained."""
        return bool(self.pitch_counts.sum() == 0)

    def loudness_quantiles(self, shares: Tensor) -> Tensor:
        """Loudness in dB below which ``shares`` ``(Q,)`` of the note frames lie, ``(Q,)``."""
        return LOUDNESS_FLOOR_DB + self.BIN_DB * _histogram_quantiles(self.loudness_counts, shares)

    def pitch_quantiles(self, shares: Tensor) -> Tensor:
        """MIDI note below which ``shares`` ``(Q,)`` of the note frames lie, ``(Q,)``."""
        return _histogram_quantiles(self.pitch_counts, shares) - 0.5

    def mean_midi(self) -> Tensor:
        """Mean pitch of the note frames as a MIDI note number."""
        notes = torch.arange(128, device=self.pitch_counts.device)
        return ((self.pitch_counts * notes).sum() / self.pitch_counts.sum()).float()


def _histogram_quantiles(counts: Tensor, shares: Tensor) -> Tensor:
    """Fractional bin edges at which the cumulative share reaches ``shares``."""
    cumulative = (counts.cumsum(0) / counts.sum()).float()
    right = torch.searchsorted(cumulative, shares.clamp(max=1.0).contiguous()).clamp(max=len(counts) - 1)
    below = torch.where(right > 0, cumulative[(right - 1).clamp(min=0)], 0.0)
    within = (shares - below) / (cumulative[right] - below).clamp(min=1e-9)
    return right + within.clamp(0.0, 1.0)
