"""Differentiable signal processing that more than one architecture uses."""

from lightning_modules.layers.dsp.constant_q import constant_q
from lightning_modules.layers.dsp.slices import in_slices, whole_slices
from lightning_modules.layers.dsp.spectral import fft_convolve, mel_filters, stft_magnitude
from lightning_modules.layers.dsp.stft import amplitude_istft, amplitude_stft

__all__ = [
    "amplitude_istft",
    "amplitude_stft",
    "constant_q",
    "fft_convolve",
    "in_slices",
    "mel_filters",
    "stft_magnitude",
    "whole_slices",
]
