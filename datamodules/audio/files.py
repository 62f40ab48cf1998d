"""Audio files: reading every format of libsndfile and ffmpeg, writing 16-bit WAV."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

import numpy as np
import soxr

from datamodules.audio.decoding import AudioFileError, decode
from runtime.files import write_beside

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".caf", ".flac"}
) | {*(".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka")}
"""Suffixes of the files that are taken for audio when a folder is searched."""
CANCELLED = 0.01
"""Channels whose mix has a smaller share of their RMS than this are in antiphase."""


def read_audio(
    path: str | Path, sample_rate: int | None = None, channels: Literal["mix", "keep"] = "mix"
) -> tuple[np.ndarray, int]:
    """Read an audio file of any rate, width and number of channels.

    Args:
        path: the file. WAV, FLAC, Ogg, MP3 and AIFF always work, other formats where ffmpeg is installed.
        sample_rate: rate in Hz to resample to (soxr, high quality); ``None`` keeps the file's.
        channels: ``mix`` averages the channels to one, ``keep`` gives all of them.

    Returns:
        float32 audio, ``(T,)`` for ``mix`` and ``(C, T)`` for ``keep``, and its sample rate in Hz.
        Samples of integer formats lie in [−1, 1]; those of float formats may exceed it and are not changed.

    Raises:
        AudioFileError: the file is missing, unreadable, no audio, damaged, truncated, without samples, or
            holds NaN or infinite samples; or its channels cancel each other in a mix.
    """
    path = Path(path)
    require_readable(path)
    frames, rate = decode(path)
    require_finite(path, frames, rate)
    audio = _mixed(path, frames) if channels == "mix" else np.ascontiguousarray(frames.T)
    return (audio, rate) if sample_rate is None else (resampled(audio, rate, sample_rate), sample_rate)


def resampled(audio: np.ndarray, rate: float, sample_rate: float) -> np.ndarray:
    """Resample ``(T,)`` or ``(C, T)`` audio from ``rate`` to ``sample_rate``, in Hz (soxr, high quality)."""
    if rate == sample_rate:
        return audio
    return np.ascontiguousarray(soxr.resample(audio.T, rate, sample_rate).T)  # soxr wants (T, C)


def write_wav(path: str | Path, audio: np.ndarray, sample_rate: int) -> None:
    """Write 16-bit PCM with a 44-byte header, complete or not at all.

    Args:
        path: the file; missing folders are made.
        audio: ``(T,)`` or ``(C, T)`` in [−1, 1]; what lies outside is clipped.
        sample_rate: in Hz.
    """
    with write_beside(path) as file:
        file.write(wav_bytes(audio, sample_rate))


def wav_bytes(audio: np.ndarray, sample_rate: int) -> bytes:
    """Encode ``(T,)`` or ``(C, T)`` audio in [−1, 1] as the bytes of a 16-bit PCM WAV file."""
    if not np.isfinite(audio).all():
        raise AudioFileError("Audio with NaN or infinite samples was not written: WAV cannot hold them.")
    frames = np.atleast_2d(audio).T
    samples = pcm(frames)
    return wav_header(frames.shape[1], sample_rate, len(samples)) + samples


def pcm(frames: np.ndarray) -> bytes:
    """Encode ``(T, C)`` frames in [−1, 1] as 16-bit samples; what lies outside is clipped."""
    # 32768 and not 32767: reading divides by 32768, and so gives back the samples of any 16-bit file.
    return np.clip(np.rint(frames * 32768.0), -32768, 32767).astype("<i2").tobytes()


def wav_header(n_channels: int, sample_rate: int, n_bytes: int) -> bytes:
    """Make the header of a WAV file with ``n_bytes`` of 16-bit samples."""
    block = 2 * n_channels
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + n_bytes, b"WAVE", b"fmt ", 16, 1, n_channels),
        *(sample_rate, sample_rate * block, block, 16, b"data", n_bytes),
    )


def require_readable(path: Path) -> None:
    """Raise `AudioFileError` unless there is a file that can be opened and is not empty."""
    if not path.exists():
        raise AudioFileError(f"{path} does not exist; give the path of an audio file.")
    if not path.is_file():
        raise AudioFileError(
            f"{path} is a folder or a special file, not an audio file; give the path of one."
        )
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioFileError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    if empty:
        raise AudioFileError(f"{path} is empty (0 bytes); it needs to be exported or copied again.")


def _mixed(path: Path, frames: np.ndarray) -> np.ndarray:
    """The mean ``(T,)`` of the channels of ``(T, C)`` frames."""
    mixing = Mixing(path)
    mix = mixing(frames)
    mixing.require_sound()
    return mix[:, 0]


class Mixing:
    """Averages the channels of a file, block by block, and notices whether they cancel each other.

    Args:
        path: the file, which an error names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._of_mix = self._of_channels = 0.0

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """``(T, C)`` → ``(T, 1)``."""
        mix = frames.mean(axis=1, dtype=np.float32, keepdims=True)
        self._of_mix += float(np.square(mix, dtype=np.float64).sum())
        self._of_channels += float(np.square(frames, dtype=np.float64).sum()) / frames.shape[1]
        return mix

    def require_sound(self) -> None:
        """Raise `AudioFileError` if next to nothing of the channels is in their mix."""
        if self._of_mix < CANCELLED**2 * self._of_channels:
            raise AudioFileError(
                f"{self.path} has channels in antiphase, which cancel each other when they are mixed: keep "
                "them apart (`--channels each` in a transfer, `--keep-channels` for a corpus), or export one "
                "of them."
            )


def require_finite(path: Path, frames: np.ndarray, rate: int, first: int = 0) -> None:
    """Raise `AudioFileError` if ``(T, C)`` frames, ``first`` in their file, hold NaN or infinity."""
    # In float64 the sum is finite if and only if all samples are: one pass, without a temporary mask.
    if not np.isfinite(frames.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
        raise AudioFileError(
            f"{path} holds NaN or infinite samples ({len(bad)} of {len(frames)}, the first at "
            f"{(first + bad[0]) / rate:.3f} s); export it again from its source."
        )
