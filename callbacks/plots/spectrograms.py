"""Pictures of spectrograms, side by side on one scale, and animations of such pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from runtime.files import write_beside

FLOOR_DB = -80.0
N_FFT = 1024
MAX_FRAMES = 40
"""Pictures in an animation: at three a second it lasts as long as one looks at it."""


def spectrogram_db(audio: np.ndarray, n_fft: int = N_FFT) -> np.ndarray:
    """Compute magnitudes ``(n_fft/2 + 1, frames)`` in dB re full scale, floor −80; Hann window, 75 % overlap.

    Args:
        audio: ``(T,)`` in [−1, 1]; shorter than a window it is padded with silence.
        n_fft: window length in samples.
    """
    hop = n_fft // 4
    padded = np.pad(audio, (n_fft // 2, n_fft // 2 + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    window = np.hanning(n_fft + 1)[:-1]
    # A full-scale sine is 0 dB: its peak magnitude is half the window's sum.
    magnitude = np.abs(np.fft.rfft(frames * window, axis=1)).T / (window.sum() / 2)
    return 20 * np.log10(np.maximum(magnitude, 10 ** (FLOOR_DB / 20)))


def save_picture(path: Path, panels: Mapping[str, np.ndarray], sample_rate: int, title: str = "") -> None:
    """Draw the spectrograms of ``panels`` (name to audio ``(T,)``) side by side into a PNG file.

    Args:
        path: the file, which is written whole or not at all.
        panels: audio in [−1, 1] under its caption.
        sample_rate: in Hz.
        title: one line above.
    """
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(4.2 * len(panels), 3.0), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axis, (caption, audio) in zip(axes, panels.items(), strict=True):
        extent = (0.0, len(audio) / sample_rate, 0.0, sample_rate / 2000)
        image = axis.imshow(
            spectrogram_db(audio),
            origin="lower",
            aspect="auto",
            extent=extent,
            vmin=FLOOR_DB,
            vmax=0,
            cmap="magma",
        )
        axis.set(title=caption, xlabel="time [s]")
    axes[0].set_ylabel("frequency [kHz]")
    figure.colorbar(image, ax=list(axes), label="dB", pad=0.01)
    figure.suptitle(title, fontsize="medium")
    with write_beside(path) as file:
        figure.savefig(file, format="png", dpi=90)


def save_animation(path: Path, pictures: Sequence[Path], frame_ms: int = 300) -> None:
    """Write an endless GIF that shows pictures of one size one after another.

    Args:
        path: the file, which is written whole or not at all.
        pictures: PNG files; of more than `MAX_FRAMES` evenly chosen ones, the first and the last among them.
        frame_ms: how long a picture is seen; the last one is seen four times as long.
    """
    from PIL import Image

    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), MAX_FRAMES)).round().astype(int)
    frames = [Image.open(pictures[i]).convert("RGB") for i in chosen]
    # One palette for all, from a sample of their pixels, or colours would flicker.
    palette = Image.fromarray(np.concatenate([np.asarray(frame)[::4, ::4] for frame in frames])).quantize()
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [frame_ms] * len(others) + [4 * frame_ms]
    with write_beside(path) as file:
        first.save(file, format="GIF", save_all=True, append_images=others, duration=durations, loop=0)
