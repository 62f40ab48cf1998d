"""Audio files: reading every format of libsndfile and ffmpeg, writing 16-bit WAV."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr

from runtime.errors import UserError
from runtime.files import write_beside

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".caf", ".flac"}
) | {*(".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka")}
"""Suffixes of the files that are taken for audio when a folder is searched."""
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)
"""Lengths that programs write into the header of a WAV file that they stream, as they do not know it."""


class AudioFileError(UserError):
    """A file is not usable audio."""


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
            holds NaN or infinite samples.
    """
    path = Path(path)
    _require_readable(path)
    frames, rate = _decode(path)
    _require_finite(path, frames, rate)
    audio = frames.mean(axis=1, dtype=np.float32) if channels == "mix" else np.ascontiguousarray(frames.T)
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
    # 32768 and not 32767: reading divides by 32768, and so gives back the samples of any 16-bit file.
    pcm = np.clip(np.rint(frames * 32768.0), -32768, 32767).astype("<i2").tobytes()
    n_channels = frames.shape[1]
    block = 2 * n_channels
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, n_channels),
        *(sample_rate, sample_rate * block, block, 16, b"data", len(pcm)),
    )
    return header + pcm


def _require_readable(path: Path) -> None:
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


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """Decode a file to frames, ``(T, C)`` float32, and their rate in Hz."""
    _require_complete_wav(path)
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        return _decode_with_ffmpeg(path, _reason(error))
    with file:
        announced, rate = file.frames, file.samplerate
        try:
            frames = file.read(dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            # ffmpeg would give what comes before the damage, and nobody would know.
            raise AudioFileError(
                f"{path} is damaged or truncated ({_reason(error)}); copy it again."
            ) from None
    if len(frames) == 0:
        raise AudioFileError(f"{path} is an audio file without samples; it needs to be exported again.")
    if len(frames) < announced:
        raise AudioFileError(
            f"{path} is truncated: it announces {announced} samples and holds {len(frames)}; copy it again."
        )
    return frames, rate


def _reason(error: Exception) -> str:
    """Strip libsndfile's message of its prefix and full stop."""
    return str(error).rsplit(": ", 1)[-1].rstrip(".")


def _decode_with_ffmpeg(path: Path, why: str) -> tuple[np.ndarray, int]:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioFileError(
            f"{path} is not an audio file that libsndfile reads ({why}; it starts with "
            f"{_first_bytes(path)}); convert it to WAV or FLAC, or install ffmpeg for more formats."
        )
    command = [
        ffmpeg,
        "-v",
        "error",
        "-nostdin",
        "-i",
        str(path),
        "-vn",
        "-f",
        "wav",
        "-c:a",
        "pcm_f32le",
        "-",
    ]
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode != 0:
        raise AudioFileError(
            f"{path} is not an audio file that libsndfile or ffmpeg reads ({why}; it starts with "
            f"{_first_bytes(path)}); convert it to WAV or FLAC."
        )
    frames, rate = soundfile.read(io.BytesIO(result.stdout), dtype="float32", always_2d=True)
    if len(frames) == 0:
        raise AudioFileError(f"{path} has no audio in it; give a file with at least one audio track.")
    return frames, rate


def _require_complete_wav(path: Path) -> None:
    """Compare the lengths in a WAV header with the file: libsndfile reads a truncated file without a word."""
    size = path.stat().st_size
    with path.open("rb") as file:
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if (riff, wave) != (b"RIFF", b"WAVE"):
            return
        while len(header := file.read(8)) == 8:
            name, n_bytes = struct.unpack("<4sI", header)
            missing = file.tell() + n_bytes - size
            if n_bytes not in UNKNOWN_LENGTHS and missing > 0:
                raise AudioFileError(
                    f"{path} is truncated: {missing} of {n_bytes} bytes of its {name.decode('latin-1')!r} "
                    "part are missing; copy it again."
                )
            if name == b"data":
                return
            file.seek(n_bytes + n_bytes % 2, io.SEEK_CUR)
    raise AudioFileError(f"{path} is truncated: its WAV header ends before the samples; copy it again.")


def _require_finite(path: Path, frames: np.ndarray, rate: int) -> None:
    # In float64 the sum is finite if and only if all samples are: one pass, without a temporary mask.
    if not np.isfinite(frames.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(frames).all(axis=1))
        raise AudioFileError(
            f"{path} holds NaN or infinite samples ({len(bad)} of {len(frames)}, the first at "
            f"{bad[0] / rate:.3f} s); export it again from its source."
        )


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        return repr(file.read(16))[1:]
