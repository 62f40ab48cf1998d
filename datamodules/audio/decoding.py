"""Samples of an audio file, all that are there: libsndfile in blocks, ffmpeg for what it does not know.

libsndfile stops at the length that a header states, or at the end of the first link of a chained Ogg file,
and it guesses the length of an MP3 file without a header badly. Here a file is read until it ends, and its
length is compared with what its framing says.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from datamodules.audio.framing import closed_wav, missing_bytes, ogg_links, part
from runtime.errors import UserError

BLOCK_FRAMES = 1 << 16
SAMPLE_RATES = (1_000, 768_000)
"""Rates in Hz that recordings have; a header that states another is damaged."""
UNKNOWN_FRAMES = 1 << 40
"""libsndfile states a length beyond this where it knows none."""


class AudioFileError(UserError):
    """A file is not usable audio; the message is one sentence meant for the user."""


def decode(path: Path) -> tuple[np.ndarray, int]:
    """Frames ``(T, C)`` float32 of a file, and its rate in Hz; raises what `decoded_blocks` raises."""
    blocks = list(decoded_blocks(path))
    return np.concatenate([block.frames for block in blocks]), blocks[0].rate


class Block(NamedTuple):
    """Frames of a file that follow one another."""

    frames: np.ndarray
    """``(T, C)`` float32, at most `BLOCK_FRAMES` of them."""
    rate: int
    """Frames a second, in Hz."""


def decoded_blocks(path: Path) -> Iterator[Block]:
    """Decode a file block by block, so that memory does not grow with its length.

    Raises:
        AudioFileError: the file is no audio, damaged, cut off, or without samples; for some files this is
            known only after their last block.
    """
    missing = missing_bytes(path)
    if missing:
        raise AudioFileError(
            f"{path} is truncated: it ends {missing} bytes or more before its own header says; copy it again."
        )
    blocks = _decoded_by_libsndfile(path)
    try:
        first = next(blocks)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        yield from _decoded_by_ffmpeg(path, str(error).rsplit(": ", 1)[-1].rstrip("."))
        return
    yield first
    yield from blocks


class _Sequential(soundfile.SoundFile):
    """A file that is read from its beginning to its end, whatever length it states."""

    def seekable(self) -> bool:
        """Say no, so that soundfile neither stops at the stated length nor seeks after each block."""
        return False


def _decoded_by_libsndfile(path: Path) -> Iterator[Block]:
    """Read the blocks of all links of a file, and compare their number with what the file states."""
    formats: set[tuple[int, int]] = set()
    n_frames = stated = 0
    for source in _links(path):
        with source as opened, _Sequential(opened) as file:
            _require_sane_rate(path, file.samplerate)
            formats.add((file.samplerate, file.channels))
            if len(formats) > 1:
                raise AudioFileError(
                    f"{path} is a chain of streams of different sample rates or channels; export it as one "
                    "stream."
                )
            stated += file.frames
            for frames in _blocks(path, file):
                n_frames += len(frames)
                yield Block(frames, file.samplerate)
    if n_frames == 0:
        raise AudioFileError(f"{path} is an audio file without samples; it needs to be exported again.")
    if n_frames < stated < UNKNOWN_FRAMES:
        raise AudioFileError(
            f"{path} is truncated: it announces {stated} samples and holds {n_frames}; copy it again."
        )


def _blocks(path: Path, file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Every block of frames ``(T, C)``, the last of them empty."""
    n_frames = 0
    try:
        while True:
            block = file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
            yield block
            if len(block) == 0:
                return
            n_frames += len(block)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(
            f"{path} is damaged or truncated: it cannot be decoded beyond about "
            f"{n_frames / file.samplerate:.1f} s; copy or export it again."
        ) from error


def _links(path: Path) -> Iterator[AbstractContextManager[bytes | int | io.BytesIO]]:
    """What libsndfile is to open: the file, its bytes through a pipe, or the links of a chained file."""
    name = os.fsencode(path)  # soundfile takes no name that is not UTF-8 as text
    with soundfile.SoundFile(name) as file:
        kind = file.format
    if kind == "MP3":
        yield _piped(path)  # from a pipe it reads all frames, and not as many as it guesses from the first
        return
    links = ogg_links(path) if kind == "OGG" else []
    if len(links) > 1:
        yield from (nullcontext(part(path, start, end)) for start, end in links)
    else:
        yield nullcontext((closed_wav(path) if kind == "WAV" else None) or name)


@contextmanager
def _piped(path: Path) -> Iterator[int]:
    """The reading end of a pipe into which the bytes of a file are written."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe, path.open("rb") as file:
            shutil.copyfileobj(file, pipe)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield reading
    finally:
        with suppress(OSError):
            os.close(reading)  # libsndfile may have closed it
        writer.join()


def _require_sane_rate(path: Path, rate: int) -> None:
    lowest, highest = SAMPLE_RATES
    if not lowest <= rate <= highest:
        raise AudioFileError(
            f"{path} states a sample rate of {rate} Hz, and recordings have {lowest} to {highest} Hz: its "
            "header is damaged; export it again."
        )


def _decoded_by_ffmpeg(path: Path, why: str) -> Iterator[Block]:
    """Read what ffmpeg makes of a file that libsndfile did not open, and said ``why``."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioFileError(
            f"{path} is not an audio file that libsndfile reads ({why}; it starts with "
            f"{_first_bytes(path)}); convert it to WAV or FLAC, or install ffmpeg for more formats."
        )
    # AU is the format whose header may say that the length is unknown, as it is in a pipe.
    to_au = ("-v", "error", "-nostdin", "-i", str(path), "-vn", "-f", "au", "-c:a", "pcm_f32be", "-")
    n_frames = 0
    with subprocess.Popen([ffmpeg, *to_au], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # it is a pipe
        with suppress(soundfile.LibsndfileError), _Sequential(os.dup(process.stdout.fileno())) as file:
            for frames in _blocks(path, file):
                n_frames += len(frames)
                yield Block(frames, file.samplerate)
    if process.returncode != 0:
        raise AudioFileError(
            f"{path} is not an audio file that libsndfile or ffmpeg reads ({why}; it starts with "
            f"{_first_bytes(path)}); convert it to WAV or FLAC."
        )
    if n_frames == 0:
        raise AudioFileError(f"{path} has no audio in it; give a file with at least one audio track.")


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        return repr(file.read(16))[1:]
