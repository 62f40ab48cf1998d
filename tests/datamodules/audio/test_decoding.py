"""A file gives all samples that are there, whatever its header states; a file that is cut off is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.audio.decoding import AudioFileError, decode

RATE = 44_100
SECONDS = 6.0
TIMES = np.arange(round(SECONDS * RATE)) / RATE
MELODY = (0.4 * np.sin(2 * np.pi * (300 + 80 * np.floor(2 * TIMES)) * TIMES)).astype(np.float32)
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_24"),
    "aiff": ("AIFF", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
MP3_PADDING_S = 0.08
"""An encoder's delay and its last frame are heard where no header says how much of them to leave out."""


def written(folder: Path, suffix: str, **options: object) -> Path:
    """A file of the melody in the format of this suffix."""
    path = folder / f"melody.{suffix}"
    kind, subtype = FORMATS[suffix]
    rate = 48_000 if suffix == "opus" else RATE
    samples = np.interp(np.arange(round(SECONDS * rate)) / rate, TIMES, MELODY)
    soundfile.write(path, samples, rate, format=kind, subtype=subtype, **options)
    return path


def seconds_of(path: Path) -> float:
    """Length of what is decoded; the melody has to be heard until its end."""
    frames, rate = decode(path)
    assert np.abs(frames[-round(0.5 * rate) : -round(0.2 * rate)]).max() > 0.3
    return len(frames) / rate


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_all_it_has(tmp_path: Path, suffix: str) -> None:
    assert seconds_of(written(tmp_path, suffix)) == pytest.approx(SECONDS, abs=1e-3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_half_a_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioFileError, match="truncated"):
        decode(path)


def test_a_flac_file_from_a_pipe_states_no_length(tmp_path: Path) -> None:
    path = written(tmp_path, "flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # "total samples" of STREAMINFO: the last 36 bits of eight bytes (RFC 9639, 8.2)
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert soundfile.info(path).frames > 1e15
    assert seconds_of(path) == pytest.approx(SECONDS, abs=1e-3)


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_an_mp3_file_without_a_header_is_read_to_its_end(tmp_path: Path, mode: str) -> None:
    path = written(tmp_path, "mp3", bitrate_mode=mode, compression_level=0.3)
    content = path.read_bytes()
    first = content.index(b"\xff\xfb")
    second = content.index(content[first : first + 2], first + 200)
    assert b"Xing" in content[first:second] or b"Info" in content[first:second]
    path.write_bytes(content[second:])
    assert seconds_of(path) == pytest.approx(SECONDS, abs=MP3_PADDING_S)


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_all_links_of_a_chained_file_are_read(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix)
    path.write_bytes(3 * path.read_bytes())
    assert seconds_of(path) == pytest.approx(3 * SECONDS, abs=1e-3)


def test_links_of_different_rates_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "ogg")
    path.write_bytes(path.read_bytes() + written(tmp_path, "opus").read_bytes())
    with pytest.raises(AudioFileError, match="different sample rates"):
        decode(path)


@pytest.mark.parametrize("n_bytes", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_a_placeholder_in_a_wav_header_states_no_length(tmp_path: Path, n_bytes: int) -> None:
    path = written(tmp_path, "wav")
    content = bytearray(path.read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = struct.pack("<I", n_bytes)
    content[4:8] = struct.pack("<I", min(n_bytes + 36, 0xFFFFFFFF))
    path.write_bytes(content)
    assert seconds_of(path) == pytest.approx(SECONDS, abs=1e-3)


def test_a_file_that_cannot_be_searched_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gsm.wav"
    soundfile.write(path, MELODY[::5], RATE // 5, subtype="GSM610")
    assert seconds_of(path) == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.parametrize("rate", [1, 999, 2_000_000])
def test_a_rate_that_no_recording_has_is_refused(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "rate.wav"
    soundfile.write(path, MELODY[:1000], rate)
    with pytest.raises(AudioFileError, match=f"{rate} Hz"):
        decode(path)


def test_no_samples_are_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", MELODY[:0], RATE)
    with pytest.raises(AudioFileError, match="without samples"):
        decode(tmp_path / "none.wav")
