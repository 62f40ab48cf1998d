"""Reading: every kind of good file gives its samples, every kind of bad file one sentence."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.audio.files import AudioFileError, read_audio, write_wav

RATE = 16000


def tone(hz: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def pitch_hz(audio: np.ndarray, rate: int) -> float:
    """The strongest frequency, to a fraction of a bin (parabola through three log magnitudes)."""
    spectrum = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) + 1e-12)
    k = int(spectrum[1:-1].argmax()) + 1
    left, middle, right = spectrum[k - 1 : k + 2]
    return (k + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / len(audio)


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, 5000)
    write_wav(tmp_path / "a.wav", pcm / 32768, RATE)
    audio, rate = read_audio(tmp_path / "a.wav")
    assert rate == RATE and audio.dtype == np.float32
    np.testing.assert_array_equal(audio * 32768, pcm)
    assert (tmp_path / "a.wav").stat().st_size == 44 + 2 * 5000


def test_writing_clips_instead_of_wrapping(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([1.5, -1.5, 1.0]), RATE)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0] * 32768, [32767, -32768, 32767])


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
def test_any_rate_keeps_the_pitch(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440, rate=rate), rate)
    audio, got = read_audio(tmp_path / "a.wav", RATE)
    assert got == RATE and len(audio) == RATE
    assert pitch_hz(audio, RATE) == pytest.approx(440, abs=0.1)
    assert np.abs(audio[1000:-1000]).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [("a.wav", "PCM_24", 1e-6), ("a.wav", "FLOAT", 0), ("a.wav", "PCM_U8", 1e-2), ("a.flac", "PCM_24", 1e-6),
     ("a.ogg", "VORBIS", 0.1), ("a.aiff", "PCM_16", 1e-4)],
)  # fmt: skip
def test_any_format_keeps_the_samples(tmp_path: Path, name: str, subtype: str, tolerance: float) -> None:
    soundfile.write(tmp_path / name, tone(440), RATE, subtype=subtype)
    np.testing.assert_allclose(read_audio(tmp_path / name)[0], tone(440), atol=tolerance)


def test_mp3_keeps_the_pitch(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", tone(440), RATE)
    assert pitch_hz(read_audio(tmp_path / "a.mp3")[0], RATE) == pytest.approx(440, abs=0.5)


def test_mixing_averages_and_keeping_keeps_six_channels(tmp_path: Path) -> None:
    channels = np.stack([tone(100 * n) for n in range(1, 7)])
    soundfile.write(tmp_path / "5.1.wav", channels.T, RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "5.1.wav")[0], channels.mean(axis=0), atol=1e-6)
    kept, _ = read_audio(tmp_path / "5.1.wav", RATE // 2, channels="keep")
    assert [round(pitch_hz(channel, RATE // 2)) for channel in kept] == [100, 200, 300, 400, 500, 600]


def test_name_with_spaces_and_other_alphabets(tmp_path: Path) -> None:
    path = tmp_path / "скрипка 録音 (1).wav"
    write_wav(path, tone(440), RATE)
    assert len(read_audio(path)[0]) == RATE


def test_clipped_and_tiny_files_are_read_as_they_are(tmp_path: Path) -> None:
    write_wav(tmp_path / "clipped.wav", np.ones(10), RATE)
    audio, _ = read_audio(tmp_path / "clipped.wav")
    assert audio.shape == (10,) and audio.min() > 0.999


def test_a_stream_of_unknown_length_is_no_truncated_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tone(440), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_audio(tmp_path / "a.wav")[0]) == RATE


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("Take 3 was the best one, use that please.\n" * 10)
    elif kind == "folder":
        path.mkdir()
    elif kind == "headless":
        path.write_bytes(b"RIFF\x24\0\0\0WAVE")
    elif kind == "truncated":
        write_wav(path, tone(440), RATE)
        path.write_bytes(path.read_bytes()[:20000])
    elif kind == "no samples":
        write_wav(path, np.zeros(0), RATE)
    elif kind in ("NaN", "infinite"):
        audio = tone(440)
        audio[8000] = float(kind.replace("infinite", "inf"))
        soundfile.write(path, audio, RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("empty", "is empty (0 bytes)"),
        ("text", "is not an audio file"),
        ("folder", "is a folder"),
        ("headless", "is truncated"),
        ("truncated", "is truncated: it ends 12044 bytes"),
        ("no samples", "without samples"),
        ("NaN", "NaN or infinite samples (1 of 16000, the first at 0.500 s)"),
        ("infinite", "NaN or infinite samples (1 of 16000, the first at 0.500 s)"),
        ("missing", "does not exist"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, kind: str, found: str) -> None:
    path = bad_file(tmp_path, kind)
    with pytest.raises(AudioFileError) as error:
        read_audio(path)
    message = str(error.value)
    assert message.startswith(str(path)) and found in message
    assert message.endswith(".") and "\n" not in message and ";" in message, "it says what to do"


def test_a_truncated_flac_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).uniform(-0.5, 0.5, RATE), RATE)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:9000])
    with pytest.raises(AudioFileError, match=r"a\.flac is damaged or truncated"):
        read_audio(tmp_path / "a.flac")


def test_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="NaN"):
        write_wav(tmp_path / "a.wav", np.array([0.0, np.nan]), RATE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_ffmpeg_reads_what_libsndfile_does_not(tmp_path: Path) -> None:
    import subprocess

    write_wav(tmp_path / "a.wav", tone(440), RATE)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", tmp_path / "a.m4a"], check=True)
    assert pitch_hz(read_audio(tmp_path / "a.m4a", RATE)[0][:RATE], RATE) == pytest.approx(440, abs=0.5)


def test_real_recordings_are_read(shared_data: Path) -> None:
    audio, rate = read_audio(shared_data / "phrases" / "trumpet_solo06_sorohanro.flac", channels="keep")
    assert rate == 44100 and audio.shape[0] == 2 and 5 < audio.shape[1] / rate < 6
