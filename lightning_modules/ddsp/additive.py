"""The additive synthesizer: a sum of sinusoids at multiples of f0 (DDSP, arXiv 2001.04643, section 3.2).

Shape letters: ``B`` examples, ``N`` frames, ``H`` samples of a hop, ``K`` harmonics.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_modules.ddsp.controls import Controls
from lightning_modules.ddsp.hop_grid import with_next
from lightning_modules.ddsp.pitch_repair import hold_where
from runtime.errors import UserError

FRAMES_AT_ONCE = 4096
"""Frames of all examples together that are synthesized at a time. It bounds memory for long audio (63 MB at
60 harmonics and 16 kHz) and changes nothing else."""

LOWEST_HZ = 1.0
"""What stands for the pitch of an example that is unvoiced everywhere."""


def phase_cycles(f0_hz: Tensor, hop: int, sample_rate: int, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the phase of the fundamental at every sample, in cycles, modulo 1.

    With ``f`` linear between frames, the phase in sample ``i`` of hop ``n`` is the sum of the
    frequencies before it, which has a closed form::

        φ(n, i) = φ(n, 0) + [i·f_n + i·(i − 1)/(2·H)·(f_{n+1} − f_n)] / sr

    Only ``φ(n, 0)`` accumulates. It is summed over frames, in double precision, and wrapped before it
    meets the single precision of the samples, so an hour has the precision of a second.

    Args:
        f0_hz: ``(B, N)``.
        hop: samples of a frame.
        sample_rate: in Hz.
        initial: ``(B,)`` phase of the first sample, in cycles.

    Returns:
        The phases ``(B, N, H)``, and the phase ``(B,)`` of the sample after the last.
    """
    if not f0_hz.shape[1]:
        return f0_hz.new_zeros(len(f0_hz), 0, hop), initial
    f, f_next = with_next(f0_hz.double() / sample_rate)
    ends = initial.double().unsqueeze(1) + _hop_cycles(f, f_next, hop).cumsum(dim=1)
    starts = torch.cat([initial.double().unsqueeze(1), ends[:, :-1]], dim=1) % 1.0
    i = torch.arange(hop, device=f0_hz.device, dtype=f0_hz.dtype)
    within = f.to(i).unsqueeze(-1) * i + (f_next - f).to(i).unsqueeze(-1) * (i * (i - 1) / (2 * hop))
    return (starts.to(i).unsqueeze(-1) + within) % 1.0, (ends[:, -1] % 1.0).to(i)


def frame_phases(f0_hz: Tensor, hop: int, sample_rate: int) -> Tensor:
    """Compute the phase of the fundamental at each frame of ``(B, N)``, in cycles, modulo 1, from 0 on.

    With it as the initial phase any part of a signal can be synthesized by itself.
    """
    cycles = _hop_cycles(*with_next(f0_hz.double() / sample_rate), hop)
    return (cycles.cumsum(dim=1) - cycles) % 1.0


def _hop_cycles(f: Tensor, f_next: Tensor, hop: int) -> Tensor:
    """Cycles of each hop, of frequencies in cycles a sample at its beginning and end."""
    return hop * f + (hop - 1) / 2 * (f_next - f)


def harmonic_audio(
    controls: Controls, hop: int, sample_rate: int, initial_phase: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sum sinusoids at the multiples of f0, with amplitudes interpolated by overlapping Hann windows.

    In one hop the amplitude of harmonic ``k`` is ``w0·a_n + w1·a_{n+1}`` with the falling and the rising
    half of a Hann window, so the hop is ``w0·(a_n S) + w1·(a_{n+1} S)`` with a table ``S`` of sines,
    ``(K, H)``: a matrix product instead of ``K·H`` interpolated amplitudes. ``S`` needs no gradient where
    f0 needs none.

    Args:
        controls: frames of ``B`` examples; those with an f0 of 0 Hz are unvoiced, and silent.
        hop: samples of a frame.
        sample_rate: in Hz.
        initial_phase: ``(B,)`` phase of the first sample in cycles; ``None`` for zero.

    Returns:
        The audio ``(B, N·H)``, and the phase ``(B,)`` with which the next block has to begin.

    Raises:
        UserError: an f0 is NaN or infinite.
    """
    controls = silent_where_unvoiced(controls)
    initial = controls.f0_hz.new_zeros(controls.f0_hz.shape[0]) if initial_phase is None else initial_phase
    cycles, final_phase = phase_cycles(controls.f0_hz, hop, sample_rate, initial)
    n_audible = audible_harmonics(controls, sample_rate)
    now, following = with_next(controls.amplitude * controls.harmonic_distribution[..., :n_audible])
    ends = torch.stack([now, following], dim=-2)
    step = max(1, FRAMES_AT_ONCE // cycles.shape[0])
    blocks = [_sinusoids(c, e) for c, e in zip(cycles.split(step, 1), ends.split(step, 1), strict=True)]
    return torch.cat(blocks, dim=1), final_phase


def silent_where_unvoiced(controls: Controls) -> Controls:
    """Silence frames with an f0 of 0 Hz, and hold the pitch before them: no glide to 0 Hz is heard.

    Raises:
        UserError: an f0 is NaN or infinite.
    """
    f0_hz = controls.f0_hz
    if not f0_hz.numel():
        return controls
    lowest_hz, highest_hz = torch.stack(f0_hz.detach().aminmax()).tolist()
    if not math.isfinite(lowest_hz + highest_hz):
        n_bad = int((~f0_hz.isfinite()).sum())
        raise UserError(
            f"f0_hz is NaN or infinite in {n_bad} of {f0_hz.numel()} frames: an unvoiced frame has 0 Hz."
        )
    if lowest_hz > 0:
        return controls
    voiced = f0_hz > 0
    amplitude = controls.amplitude * voiced.unsqueeze(-1)
    return controls._replace(f0_hz=hold_where(f0_hz, voiced).clamp(min=LOWEST_HZ), amplitude=amplitude)


def audible_harmonics(controls: Controls, sample_rate: int) -> int:
    """Number of harmonics of the lowest f0 below Nyquist; all others are zero everywhere."""
    n_harmonics = controls.harmonic_distribution.shape[-1]
    if not controls.f0_hz.numel():
        return n_harmonics
    below_nyquist = math.ceil(sample_rate / 2 / float(controls.f0_hz.detach().min())) - 1
    return max(1, min(below_nyquist, n_harmonics))


def _sinusoids(cycles: Tensor, ends: Tensor) -> Tensor:
    """Phases ``(B, N, H)`` and amplitudes at both ends of each hop ``(B, N, 2, K)`` → audio ``(B, N·H)``."""
    hop = cycles.shape[-1]
    numbers = torch.arange(1, ends.shape[-1] + 1, device=cycles.device, dtype=cycles.dtype)
    # In place and with samples last, this takes a third of the time.
    sines = (cycles.unsqueeze(-2) * (2 * math.pi * numbers).unsqueeze(-1)).sin_()
    i = torch.arange(hop, device=cycles.device, dtype=cycles.dtype)
    rising = 0.5 - 0.5 * torch.cos(math.pi * i / hop)
    return ((ends @ sines) * torch.stack([1.0 - rising, rising])).sum(dim=-2).flatten(1)
