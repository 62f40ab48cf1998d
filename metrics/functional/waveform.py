"""Signal group, sample by sample: these metrics ask for the target's phase, which no timbre transfer has.

Every function takes ``preds, target`` of shape ``(B, T)`` and gives ``(B,)`` in dB.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.functional.spectra import rms_normalized
from runtime.threads import one_thread

SDR_FILTER_LENGTH = 512
"""Taps of the distortion filter that SDR forgives (BSS Eval)."""
LIMIT_DB = 100.0


def snr_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Signal-to-noise ratio at equal RMS: ``10·log10(Σ t² / Σ (t − p)²)``.

    Unit dB, range [−100, 100], higher is better; unrelated signals are at −3 dB, silence at 0.
    NaN where the target is silent.
    """
    p, t = rms_normalized(preds), rms_normalized(target)
    return _ratio_db(t, t - p)


def si_sdr_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Scale-invariant SDR: ``10·log10(‖αt‖² / ‖αt − p‖²)`` with ``α = ⟨p, t⟩ / ‖t‖²``.

    Unit dB, range [−100, 100], higher is better (Le Roux et al., arXiv 1811.02508, equation 3). It is
    far below zero for anything with another phase. NaN where either side is silent.
    """
    scale = (preds * target).sum(-1, keepdim=True) / target.square().sum(-1, keepdim=True)
    return _ratio_db(scale * target, scale * target - preds)


def sdr_db(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Signal-to-distortion ratio: SI-SDR after the best filter of 512 taps on the target.

    Unit dB, range [−100, 100], higher is better (Vincent et al., IEEE TASLP 14(4), 2006; torchmetrics'
    implementation). NaN where either side is silent.
    """
    return torch.stack([_sdr(p, t) for p, t in zip(preds, target, strict=True)])


def _sdr(preds: Tensor, target: Tensor) -> Tensor:
    from torchmetrics.functional.audio import signal_distortion_ratio

    if not preds.any() or not target.any():
        return preds.new_tensor(torch.nan)
    # One clip at a time and on one thread: batched `torch.linalg.solve` hangs on a CPU with two.
    with one_thread():
        sdr = signal_distortion_ratio(preds.double(), target.double(), filter_length=SDR_FILTER_LENGTH)
    return sdr.clamp(-LIMIT_DB, LIMIT_DB).to(preds)


def _ratio_db(signal: Tensor, noise: Tensor) -> Tensor:
    """Ratio of energies, limited to ±`LIMIT_DB` so that a perfect example can be averaged; NaN for 0 / 0."""
    ratio = signal.square().sum(-1) / noise.square().sum(-1)
    return (10.0 * torch.log10(ratio)).clamp(-LIMIT_DB, LIMIT_DB)
