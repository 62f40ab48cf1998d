"""Characteristics of signals that are known."""

import json

import numpy as np
import pytest

from datamodules.corpora.characteristics import by_instrument, measure, measure_items
from datamodules.prepare import main

RATE = 16_000


def tone(hz, seconds=2.0, gain=0.5):
    return gain * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def test_a_tone_is_bright_as_it_is_high_and_not_noisy():
    tone_of_1_khz = measure(tone(1000.0), RATE).characteristics
    assert tone_of_1_khz.peak_db == pytest.approx(-6.0, abs=0.1)
    assert tone_of_1_khz.rms_db == pytest.approx(-9.0, abs=0.1)
    assert tone_of_1_khz.centroid_hz == pytest.approx(1000, rel=0.05)
    assert tone_of_1_khz.seconds == 2.0 and tone_of_1_khz.rests == 0 and tone_of_1_khz.flatness < 0.01


def test_white_noise_is_flat_and_wide():
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    found = measure(noise, RATE).characteristics
    assert found.flatness == pytest.approx(0.56, abs=0.05)
    assert found.centroid_hz == pytest.approx(4000, rel=0.05)
    assert found.bandwidth_hz == pytest.approx(8000 / np.sqrt(12), rel=0.05)


def test_rests_are_counted():
    pulses = np.concatenate([tone(500.0, 0.25), np.zeros(RATE // 4, np.float32)] * 4)
    assert measure(pulses, RATE).characteristics.rests == pytest.approx(0.5, abs=0.15)


def test_dynamics_are_between_soft_and_loud():
    assert measure(tone(500.0), RATE).characteristics.dynamics_db < 1.5  # the edges are softer
    both = np.concatenate([tone(500.0), 0.1 * tone(500.0)])
    assert measure(both, RATE).characteristics.dynamics_db == pytest.approx(20.0, abs=0.5)


@pytest.mark.parametrize("n_samples", [1, 500])
def test_silence_and_short_files_are_no_error(n_samples):
    found = measure(np.zeros(n_samples, np.float32), RATE)
    assert found.characteristics.rests == 1 and found.characteristics.dynamics_db == 0
    assert np.isfinite(found.mfcc).all() and np.isfinite(found.characteristics).all()


def test_files_of_one_instrument_sound_alike(tiny_corpus):
    items = [item for item in tiny_corpus.select("val") if item.instrument in ("violin", "guitar_acoustic")]
    files = measure_items(tiny_corpus, items, progress=False)
    assert [item for item, _ in files] == items
    assert set(by_instrument(files)) == {("val", "violin"), ("val", "guitar_acoustic")}
    of_violin = np.mean([found.mfcc for item, found in files if item.instrument == "violin"], axis=0)
    distances = {item: np.linalg.norm(found.mfcc - of_violin) for item, found in files}
    violins = [d for item, d in distances.items() if item.instrument == "violin"]
    assert max(violins) < min(d for item, d in distances.items() if item.instrument == "guitar_acoustic")


def test_inspect_measures_and_draws_where_asked(tiny_corpus, tmp_path, capsys):
    picture = tmp_path / "map.png"
    options = [str(tiny_corpus.root), "--characteristics", "--map", str(picture), "--format", "json"]
    assert main(["inspect", *options]) == 0
    [document] = json.loads(capsys.readouterr().out)
    rows = {(row["split"], row["instrument"]): row for row in document["characteristics"]}
    assert set(rows) == {(item.split, item.instrument) for item in tiny_corpus.items}
    assert rows["train", "violin"]["centroid_hz"] > 100
    assert picture.read_bytes().startswith(b"\x89PNG")
