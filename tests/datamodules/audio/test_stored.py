"""Audio on disk: what is read whole and what is read in blocks is the same, in constant memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules.audio.files import AudioFileError, read_audio, write_wav
from datamodules.audio.samples import blocks_of
from datamodules.audio.stored import StoredAudio, require_room_in_wav, store_audio, write_stored

RATE = 16_000


def noise(n_samples: int, n_channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.9, 0.9, (n_samples, n_channels)).astype(np.float32)


def test_parts_are_those_of_an_array(tmp_path: Path) -> None:
    audio, stored = noise(1000, 1)[:, 0], StoredAudio(tmp_path)
    for part in np.array_split(audio, 7):
        stored.append(part)
    assert len(stored) == 1000 and stored.peak == np.abs(audio).max()
    for part in (slice(0, 10), slice(500, None), slice(990, 2000), slice(2000, 3000), slice(7, 3)):
        np.testing.assert_array_equal(stored[part], audio[part])
    np.testing.assert_array_equal(np.concatenate(list(blocks_of(stored, 300))), audio)
    assert list(tmp_path.iterdir()) == [], "the file has no name"


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_a_file_read_in_blocks_is_the_file_read_whole(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "in.wav", noise(200_000), rate, subtype="FLOAT")
    whole, _ = read_audio(tmp_path / "in.wav", RATE, channels="keep")
    channels = store_audio(tmp_path / "in.wav", RATE, tmp_path, mix=False)
    np.testing.assert_allclose([channel[:] for channel in channels], whole, atol=1e-6)
    [mixed] = store_audio(tmp_path / "in.wav", RATE, tmp_path)
    np.testing.assert_allclose(mixed[:], read_audio(tmp_path / "in.wav", RATE)[0], atol=1e-6)
    write_stored(tmp_path / "blocks.wav", channels, RATE, rate, gain=0.5)
    back = read_audio(tmp_path / "blocks.wav", RATE, channels="keep")[0]
    write_wav(tmp_path / "whole.wav", 0.5 * whole, RATE)
    if rate == RATE:
        assert (tmp_path / "blocks.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    np.testing.assert_allclose(back[:, 500:-500].std(), 0.5 * whole[:, 500:-500].std(), rtol=0.02)


def test_bad_files_are_refused_as_when_read_whole(tmp_path: Path) -> None:
    audio = noise(100_000)
    audio[90_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", audio, RATE, subtype="FLOAT")
    with pytest.raises(AudioFileError, match=r"NaN or infinite samples .* first at 5.625 s"):
        store_audio(tmp_path / "nan.wav", RATE, tmp_path)
    soundfile.write(tmp_path / "opposite.wav", noise(100_000, 1) * [[1, -1]], RATE)
    with pytest.raises(AudioFileError, match="antiphase"):
        store_audio(tmp_path / "opposite.wav", RATE, tmp_path)
    assert len(store_audio(tmp_path / "opposite.wav", RATE, tmp_path, mix=False)) == 2
    with pytest.raises(AudioFileError, match="does not exist"):
        store_audio(tmp_path / "missing.wav", RATE, tmp_path)


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    n_samples = 6_000_000
    with soundfile.SoundFile(tmp_path / "in.flac", "w", 48_000, 2) as file:
        for _ in range(6):
            file.write(noise(n_samples // 6))
    tracemalloc.start()
    channels = store_audio(tmp_path / "in.flac", RATE, tmp_path, mix=False)
    write_stored(tmp_path / "out.wav", channels, RATE, 48_000)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert soundfile.info(tmp_path / "out.wav").frames == n_samples
    assert peak_bytes < 30e6  # of 48 MB of samples


def test_what_no_wav_file_can_hold_is_said() -> None:
    require_room_in_wav(Path("a.flac"), 2, 2**30 - 100)
    with pytest.raises(AudioFileError, match="more than 4 GiB"):
        require_room_in_wav(Path("a.flac"), 2, 2**30)
