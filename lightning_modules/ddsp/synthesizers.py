"""Physical controls → signal: an additive synthesizer and filtered noise (DDSP, arXiv 2001.04643, section 3).

Frame ``n`` of the controls belongs to sample ``n·hop``; between two frames they are interpolated, behind
the last one held. ``B`` examples, ``N`` frames, ``H`` samples a hop, ``K`` harmonics, ``M`` noise bands.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from datamodules.batch import FRAME_RATE_HZ
from lightning_modules.ddsp.controls import Controls, physical_controls
from lightning_modules.ddsp.network import RawControls
from lightning_modules.ddsp.reverb import TrainableReverb
from lightning_modules.layers.single_precision import in_float32

FRAMES_AT_ONCE = 4096
"""Frames of all examples together that are synthesized in one go; bounds memory for long audio (63 MB at
60 harmonics and 16 kHz) and changes nothing else."""


def hop_samples(sample_rate: int) -> int:
    """Samples between control frames: a whole number next to ``sample_rate / 250`` (176 at 44.1 kHz)."""
    return round(sample_rate / FRAME_RATE_HZ)


def n_hops(n_samples: int, sample_rate: int) -> int:
    """Hops that cover ``n_samples``, at least one."""
    return max(1, math.ceil(n_samples / hop_samples(sample_rate)))


def on_hop_grid(frames: Tensor, sample_rate: int, n_samples: int) -> Tensor:
    """Values ``(B, N)`` at 250 frames a second → ``(B, n_hops)`` at the times of whole hops.

    The two grids are the same at 16, 24, 32 and 48 kHz. At 44.1 kHz a hop is 176 samples instead of 176.4,
    and values are interpolated linearly.
    """
    n_frames = n_hops(n_samples, sample_rate)
    hop_frames = hop_samples(sample_rate) * FRAME_RATE_HZ / sample_rate
    return interpolate_frames(frames, torch.arange(n_frames, device=frames.device) * hop_frames)


def interpolate_frames(values: Tensor, times: Tensor) -> Tensor:
    """Read ``values (B, N)`` at fractional frame ``times (N',)``; the last value is held."""
    times = times.clamp(max=values.shape[-1] - 1)
    left = times.floor().long()
    right = (left + 1).clamp(max=values.shape[-1] - 1)
    share = (times - left).to(values.dtype)
    return torch.lerp(values[:, left], values[:, right], share)


def with_next(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Each frame of ``(B, N, …)`` and its successor; the last is its own."""
    return frames, torch.cat([frames[:, 1:], frames[:, -1:]], dim=1)


# ---------------------------------------------------------------------------------- additive synthesizer


def phase_cycles(f0_hz: Tensor, hop: int, sample_rate: int, initial: Tensor) -> tuple[Tensor, Tensor]:
    """Phase of the fundamental at every sample, in cycles, modulo 1.

    With ``f`` linear between frames, the phase in sample ``i`` of hop ``n`` is the sum of the
    frequencies before it, which has a closed form::

        φ(n, i) = φ(n, 0) + [i·f_n + i·(i − 1)/(2·H)·(f_{n+1} − f_n)] / sr

    Only ``φ(n, 0)`` accumulates. It is summed over frames, in double precision, and wrapped before it
    meets the single precision of the samples, so an hour has the precision of a second.

    Args:
        f0_hz: ``(B, N)``.
        hop: samples a frame.
        sample_rate: in Hz.
        initial: ``(B,)`` phase of the first sample, in cycles.

    Returns:
        ``(B, N, H)`` phases, and ``(B,)`` the phase of the sample behind the last.
    """
    f, f_next = with_next(f0_hz.double() / sample_rate)
    hop_cycles = hop * f + (hop - 1) / 2 * (f_next - f)
    ends = initial.double().unsqueeze(1) + hop_cycles.cumsum(dim=1)
    starts = torch.cat([initial.double().unsqueeze(1), ends[:, :-1]], dim=1) % 1.0
    i = torch.arange(hop, device=f0_hz.device, dtype=f0_hz.dtype)
    within = f.to(i).unsqueeze(-1) * i + (f_next - f).to(i).unsqueeze(-1) * (i * (i - 1) / (2 * hop))
    return (starts.to(i).unsqueeze(-1) + within) % 1.0, (ends[:, -1] % 1.0).to(i)


def harmonic_audio(
    controls: Controls, hop: int, sample_rate: int, initial_phase: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A sum of sinusoids at the multiples of f0, with amplitudes interpolated by overlapping Hann windows.

    In one hop the amplitude of harmonic ``k`` is ``w0·a_n + w1·a_{n+1}`` with the falling and the rising
    half of a Hann window, so the hop is ``w0·(a_n S) + w1·(a_{n+1} S)`` with a table ``S`` of sines,
    ``(K, H)``: a matrix product instead of ``K·H`` interpolated amplitudes. ``S`` needs no gradient where
    f0 needs none.

    Args:
        controls: frames of ``B`` examples.
        hop: samples a frame.
        sample_rate: in Hz.
        initial_phase: ``(B,)`` phase of the first sample in cycles, zero where it is ``None``.

    Returns:
        ``(B, N·H)`` audio, and the phase ``(B,)`` with which the next block has to begin.
    """
    initial = controls.f0_hz.new_zeros(controls.f0_hz.shape[0]) if initial_phase is None else initial_phase
    cycles, final_phase = phase_cycles(controls.f0_hz, hop, sample_rate, initial)
    n_audible = audible_harmonics(controls, sample_rate)
    now, following = with_next(controls.amplitude * controls.harmonic_distribution[..., :n_audible])
    ends = torch.stack([now, following], dim=-2)
    step = max(1, FRAMES_AT_ONCE // cycles.shape[0])
    blocks = [_hops(c, e) for c, e in zip(cycles.split(step, 1), ends.split(step, 1), strict=True)]
    return torch.cat(blocks, dim=1), final_phase


def audible_harmonics(controls: Controls, sample_rate: int) -> int:
    """How many harmonics of the lowest f0 are below Nyquist; all others are zero everywhere."""
    below_nyquist = math.ceil(sample_rate / 2 / float(controls.f0_hz.detach().min())) - 1
    return max(1, min(below_nyquist, controls.harmonic_distribution.shape[-1]))


def _hops(cycles: Tensor, ends: Tensor) -> Tensor:
    """``cycles (B, N, H)``, amplitudes at both ends of each hop ``(B, N, 2, K)`` → audio ``(B, N·H)``."""
    hop = cycles.shape[-1]
    numbers = torch.arange(1, ends.shape[-1] + 1, device=cycles.device, dtype=cycles.dtype)
    # In place, and with the samples last, this takes a third of the time it takes otherwise.
    sines = (cycles.unsqueeze(-2) * (2 * math.pi * numbers).unsqueeze(-1)).sin_()
    i = torch.arange(hop, device=cycles.device, dtype=cycles.dtype)
    rising = 0.5 - 0.5 * torch.cos(math.pi * i / hop)
    return ((ends @ sines) * torch.stack([1.0 - rising, rising])).sum(dim=-2).flatten(1)


# --------------------------------------------------------------------------------------- filtered noise


def noise_filters(magnitudes: Tensor) -> Tensor:
    """Linear-phase impulse responses, ``(…, M)`` → ``(…, 2·(M − 1))``, centred on tap ``M − 1``.

    The zero-phase response of the magnitudes is rotated to the centre and windowed (Hann), which smooths
    the response over neighbouring bands.
    """
    size = 2 * (magnitudes.shape[-1] - 1)
    window = torch.hann_window(size, dtype=magnitudes.dtype, device=magnitudes.device)
    return torch.fft.irfft(magnitudes, size).roll(size // 2, dims=-1) * window


def noise_audio(noise_magnitudes: Tensor, hop: int, noise: Tensor) -> Tensor:
    """Noise through a filter that changes every hop: overlap-add, without the filters' delay.

    Args:
        noise_magnitudes: ``(B, N, M)`` linear gains.
        hop: samples a frame.
        noise: ``(B or 1, N·H)`` white noise in [−1, 1].

    Returns:
        ``(B, N·H)``.
    """
    filters = noise_filters(noise_magnitudes)
    n_fft = hop + filters.shape[-1] - 1
    n_pieces = math.ceil(n_fft / hop)
    hops = noise.unflatten(1, (-1, hop))
    filtered = torch.fft.irfft(torch.fft.rfft(hops, n_fft) * torch.fft.rfft(filters, n_fft), n_fft)
    pieces = torch.nn.functional.pad(filtered, (0, n_pieces * hop - n_fft)).unflatten(-1, (n_pieces, hop))
    return _overlap_add(pieces, delay=filters.shape[-1] // 2)


def _overlap_add(pieces: Tensor, delay: int) -> Tensor:
    """Sum ``(B, N, P, H)`` with piece ``p`` of frame ``n`` at hop ``n + p``; drop ``delay`` samples."""
    n_batch, n_frames, n_pieces, hop = pieces.shape
    total = pieces.new_zeros(n_batch, n_frames + n_pieces, hop)
    for p in range(n_pieces):
        total[:, p : p + n_frames] += pieces[:, :, p]
    return total.flatten(1)[:, delay : delay + n_frames * hop]


# ------------------------------------------------------------------------------------------ all together


class Synthesizer(nn.Module):
    """Additive synthesizer plus filtered noise, through an optional room.

    Args:
        noise_bias: added to raw noise magnitudes; −10 makes an untrained network nearly noiseless.
        reverb: the room; ``None`` for dry recordings, such as direct electric guitar or a SoundFont.
    """

    def __init__(self, noise_bias: float = -10.0, reverb: TrainableReverb | None = None) -> None:
        super().__init__()
        self.noise_bias = noise_bias
        self.reverb = reverb

    @in_float32
    def forward(
        self,
        raw: RawControls,
        f0_hz: Tensor,
        gate: Tensor,
        sample_rate: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Sound ``N`` frames.

        Args:
            raw: of the network, one frame a hop.
            f0_hz: ``(B, N)``.
            gate: ``(B, N)`` gain of both synthesizers, in [0, 1].
            sample_rate: in Hz.
            generator: draws one noise for all examples; without it each has its own, of the global generator.

        Returns:
            ``(B, N·H)`` audio.
        """
        hop = hop_samples(sample_rate)
        controls = gated(physical_controls(raw, f0_hz, sample_rate, self.noise_bias), gate)
        dry, _ = harmonic_audio(controls, hop, sample_rate)
        if raw.noise.shape[-1]:
            noise = white_noise(dry.shape, generator, dry.device)
            dry = dry + noise_audio(controls.noise_magnitudes, hop, noise)
        return dry if self.reverb is None else self.reverb(dry)


def gated(controls: Controls, gate: Tensor) -> Controls:
    """Scale all sound by ``gate (B, N)``."""
    gate = gate.unsqueeze(-1)
    return controls._replace(
        amplitude=controls.amplitude * gate, noise_magnitudes=controls.noise_magnitudes * gate
    )


def white_noise(shape: torch.Size, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Uniform noise in [−1, 1]: ``(1, T)`` from ``generator``, on every device the same, else ``(B, T)``."""
    if generator is None:
        return torch.rand(shape, device=device) * 2 - 1
    return (torch.rand(1, shape[-1], generator=generator) * 2 - 1).to(device)
