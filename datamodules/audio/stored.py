"""Audio of any length, kept on disk while it is worked on, of which any part can be read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import soxr

from datamodules.audio.decoding import AudioFileError, decoded_blocks
from datamodules.audio.files import Mixing, pcm, require_finite, require_readable, wav_header
from datamodules.audio.samples import blocks_of
from runtime.files import write_beside

MAX_WAV_BYTES = (1 << 32) - 64
"""Size of the samples that the header of a WAV file can state."""
SAMPLE_BYTES = 4


class StoredAudio:
    """Mono float32 audio in a file without a name, which ends with this object.

    Args:
        folder: where there is room for it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(  # noqa: SIM115 (closed with this object)
            dir=folder, prefix=".", suffix=".partial", buffering=0
        )
        self._n_samples = 0
        self.peak = 0.0
        """The largest magnitude of a sample."""

    def append(self, samples: np.ndarray) -> None:
        """Add ``(T,)`` samples at the end."""
        content = memoryview(np.ascontiguousarray(samples, dtype=np.float32).tobytes())
        while content:  # a system writes 2 GiB at a time at most
            content = content[self._file.write(content) :]
        self._n_samples += len(samples)
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0.0)))

    def __len__(self) -> int:
        """Count all samples."""
        return self._n_samples

    def __getitem__(self, part: slice) -> np.ndarray:
        """Read the samples of ``part``, which has no step."""
        start, stop, _ = part.indices(self._n_samples)
        content = os.pread(self._file.fileno(), SAMPLE_BYTES * max(0, stop - start), SAMPLE_BYTES * start)
        return np.frombuffer(bytearray(content), dtype=np.float32)


def store_audio(path: Path, sample_rate: int, folder: Path, mix: bool = True) -> list[StoredAudio]:
    """Read an audio file of any length as `files.read_audio` does, in constant memory.

    Args:
        path: the file.
        sample_rate: rate in Hz to resample to.
        folder: where there is room for the samples: four bytes each.
        mix: whether the channels are averaged to one.

    Returns:
        The channels, or their mix alone.

    Raises:
        AudioFileError: see `files.read_audio`.
    """
    require_readable(path)
    mixing, n_frames = Mixing(path), 0
    resampler: soxr.ResampleStream | None = None
    stored: list[StoredAudio] = []
    for frames, rate in decoded_blocks(path):
        require_finite(path, frames, rate, n_frames)
        n_frames += len(frames)
        channels = mixing(frames) if mix else frames
        if resampler is None:
            n_channels = channels.shape[1]
            resampler = soxr.ResampleStream(rate, sample_rate, n_channels, dtype="float32")
            stored = [StoredAudio(folder) for _ in range(n_channels)]
        _append(stored, resampler.resample_chunk(channels))
    assert resampler is not None  # a file without samples is refused
    _append(stored, resampler.resample_chunk(channels[:0], last=True))
    mixing.require_sound()
    return stored


def _append(stored: list[StoredAudio], frames: np.ndarray) -> None:
    for one, channel in zip(stored, frames.T, strict=True):
        one.append(channel)


def write_stored(
    path: Path, channels: list[StoredAudio], rate: int, sample_rate: int, gain: float = 1.0
) -> None:
    """Write channels at ``rate`` Hz as `files.write_wav` does, resampled to ``sample_rate`` Hz.

    Args:
        path: the file, which is written whole or not at all.
        channels: of one length.
        rate: of the channels, in Hz.
        sample_rate: of the file, in Hz.
        gain: factor on all samples.
    """
    resampler = soxr.ResampleStream(rate, sample_rate, len(channels), dtype="float32")
    n_bytes = 0
    with write_beside(path) as file:
        file.write(wav_header(len(channels), sample_rate, 0))
        for blocks in zip(*(blocks_of(one) for one in channels), strict=True):
            n_bytes += file.write(pcm(resampler.resample_chunk(np.float32(gain) * np.stack(blocks, axis=1))))
        nothing = np.zeros((0, len(channels)), dtype=np.float32)
        n_bytes += file.write(pcm(resampler.resample_chunk(nothing, last=True)))
        file.seek(0)
        file.write(wav_header(len(channels), sample_rate, n_bytes))


def require_room_in_wav(path: Path, n_channels: int, n_samples: float) -> None:
    """Check that a WAV file can hold so many samples of each channel.

    Raises:
        AudioFileError: it cannot.
    """
    if 2 * n_channels * n_samples > MAX_WAV_BYTES:
        raise AudioFileError(
            f"The result of {path} would have more than 4 GiB, which a WAV file cannot hold; cut it into "
            "parts."
        )
