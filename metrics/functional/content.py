"""Content group: whether the notes stayed.

``target`` is the paired target where there is one, else the source: either plays the notes asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from metrics.functional.notes import Notes, track_notes
from metrics.functional.spectra import power_spectrogram

NoteTracker = Callable[[np.ndarray, int], Notes]
"""Hears the notes of ``(T,)`` audio at a sample rate in Hz."""
A4_HZ = 440.0
CHROMA_WINDOW_S = 0.256
"""A window this long separates semitones from about 130 Hz up."""
CHROMA_HOP_S = 0.032
CHROMA_LOWEST_HZ = 60.0
"""Below this frequency a bin spans more than a semitone and would smear over the pitch classes."""
ONSET_TOLERANCE_S = 0.05


def pitch_jaccard_distance(
    preds: Tensor, target: Tensor, sample_rate: int, track: NoteTracker = track_notes
) -> Tensor:
    """Share of the sounding pitches that only one side has: ``mean_n 1 − |A_n ∩ B_n| / |A_n ∪ B_n|``.

    A and B are the sets of rounded MIDI pitches in frame n of the tracker; a frame where both are empty
    counts 0. No unit, range [0, 1], lower is better. Source: SS-VQ-VAE, arXiv 2102.05749, section 4.2, with
    another tracker; there a copy scores 0 on real and .54 on synthetic targets, unrelated music .87 to .94.

    Args:
        preds: ``(B, T)``.
        target: ``(B, T)``.
        sample_rate: in Hz.
        track: hears the notes of a clip.

    Returns:
        ``(B,)`` float64.
    """
    return _of_notes(lambda p, t: jaccard_distance(p.sounding, t.sounding), preds, target, sample_rate, track)


def onset_f1(preds: Tensor, target: Tensor, sample_rate: int, track: NoteTracker = track_notes) -> Tensor:
    """F-measure of note onsets within 50 ms, whatever their pitch: ``2·hits / (n_P + n_T)``.

    Onsets are those of the tracker; one onset matches at most one other. No unit, range [0, 1], higher is
    better. Source: MIREX onset detection, as mir_eval.onset computes it. NaN where the target has no onset.

    Args:
        preds: ``(B, T)``.
        target: ``(B, T)``.
        sample_rate: in Hz.
        track: hears the notes of a clip.

    Returns:
        ``(B,)`` float64.
    """
    return _of_notes(lambda p, t: onset_f_measure(p.onsets_s, t.onsets_s), preds, target, sample_rate, track)


def _of_notes(
    compare: Callable[[Notes, Notes], float],
    preds: Tensor,
    target: Tensor,
    sample_rate: int,
    track: NoteTracker,
) -> Tensor:
    """``compare`` of the notes of each pair of clips."""
    heard = ([track(x.cpu().numpy(), sample_rate) for x in side] for side in (preds, target))
    return torch.tensor([compare(p, t) for p, t in zip(*heard, strict=True)], dtype=torch.float64)


def jaccard_distance(preds: np.ndarray, target: np.ndarray) -> float:
    """Mean over frames of 1 − intersection / union of two ``(N, pitches)`` bool arrays; 0 for empty sets."""
    both, either = (preds & target).sum(1), (preds | target).sum(1)
    return float(np.mean(np.where(either > 0, 1 - both / np.maximum(either, 1), 0.0)))


def onset_f_measure(
    preds_s: np.ndarray, target_s: np.ndarray, tolerance_s: float = ONSET_TOLERANCE_S
) -> float:
    """F-measure of two ascending lists of times in seconds; NaN where ``target_s`` is empty.

    Times lie on a line, so matching each with the earliest partner that is still free gives the most matches
    there can be. mir_eval.onset.f_measure gives the same, but takes longer to import than torch does.
    """
    if not len(target_s):
        return float("nan")
    hits = i = j = 0
    while i < len(preds_s) and j < len(target_s):
        lag_s = preds_s[i] - target_s[j]
        hits += abs(lag_s) <= tolerance_s
        i += lag_s <= tolerance_s
        j += lag_s >= -tolerance_s
    return 2 * hits / (len(preds_s) + len(target_s))


def chroma_cosine(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Cosine similarity of chroma, mean over the frames that sound in the target.

    ``mean_n cos(C_P[:, n], C_T[:, n])`` with C the energy of the 12 pitch classes (A4 = 440 Hz, each bin
    shared by a Gaussian of half a semitone). No unit, range [0, 1], higher is better. A frame sounds where
    the target is within 60 dB of its loudest frame; a silent output scores 0 there. NaN where the target
    is silent.

    Args:
        preds: ``(B, T)``.
        target: ``(B, T)``.
        sample_rate: in Hz.

    Returns:
        ``(B,)``.
    """
    p, t = (chroma(x, sample_rate) for x in (preds, target))
    energy = t.sum(1)
    sounding = energy > 1e-6 * energy.amax(-1, keepdim=True)
    similarity = torch.nn.functional.normalize(p, dim=1) * torch.nn.functional.normalize(t, dim=1)
    return (similarity.sum(1) * sounding).sum(-1) / sounding.sum(-1)


def chroma(audio: Tensor, sample_rate: int) -> Tensor:
    """Energy per pitch class (C first) and frame of ``(B, T)`` audio: ``(B, 12, N)``."""
    window_length = round(CHROMA_WINDOW_S * sample_rate)
    power = power_spectrogram(audio, window_length, round(CHROMA_HOP_S * sample_rate))
    return _pitch_classes(sample_rate, window_length).to(power) @ power


@lru_cache(maxsize=8)
def _pitch_classes(sample_rate: int, window_length: int) -> Tensor:
    """Weights ``(12, F)`` that fold FFT bins to pitch classes."""
    frequency_hz = torch.arange(window_length // 2 + 1) * sample_rate / window_length
    semitone = 12 * torch.log2(frequency_hz.clamp_min(1.0) / A4_HZ) + 9  # A is the tenth class
    away = torch.remainder(semitone - torch.arange(12)[:, None] + 6, 12) - 6
    return torch.exp(-0.5 * (away / 0.5) ** 2) * (frequency_hz > CHROMA_LOWEST_HZ)
