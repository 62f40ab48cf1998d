import math

import numpy as np
import pytest
from scipy import signal

from datamodules.examples.augmentation import (
    Augmentation,
    Delay,
    Equalizer,
    Gain,
    Noise,
    Reverb,
    coloured_noise,
    peaking_filter,
    room_response,
)

RATE = 16000
EFFECTS = [Gain(), Equalizer(), Reverb(), Delay(), Noise()]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def music(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    return (0.1 * rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def level_db(audio: np.ndarray) -> float:
    return 10 * math.log10(float(np.mean(audio.astype(np.float64) ** 2)))


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
@pytest.mark.parametrize("n_samples", [1, 100, 16001])
def test_an_effect_keeps_length_and_type_and_spares_its_input(effect, n_samples: int) -> None:
    audio = music(2.0)[:n_samples]
    before = audio.copy()
    wet = effect.transform(rng(), RATE)(audio)
    assert wet.shape == audio.shape and wet.dtype == np.float32
    assert np.array_equal(audio, before)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_an_effect_is_determined_by_its_seed(effect) -> None:
    first, again, other = (effect.transform(rng(seed), RATE)(music()) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
def test_probability_is_the_share_that_changes(effect) -> None:
    always, never = (type(effect)(probability=p) for p in (1.0, 0.0))
    assert not np.array_equal(always.draw(rng(), RATE)(music()), music())
    assert np.array_equal(never.draw(rng(), RATE)(music()), music())
    half = type(effect)(probability=0.5)
    changed = sum(not np.array_equal(half.draw(rng(seed), RATE)(music()), music()) for seed in range(100))
    assert 35 < changed < 65


def test_gain_is_in_decibels() -> None:
    louder = Gain(min_db=-6.0, max_db=-6.0).transform(rng(), RATE)(music())
    assert level_db(louder) - level_db(music()) == pytest.approx(-6.0, abs=1e-3)


@pytest.mark.parametrize("gain_db", [-9.0, 6.0])
def test_a_peaking_filter_has_its_gain_at_its_centre_and_none_far_away(gain_db: float) -> None:
    section = peaking_filter(1000.0, gain_db, 1.0, RATE)[None]
    _, response = signal.sosfreqz(section, [1.0, 1000.0, 7999.0], fs=RATE)
    assert 20 * np.log10(np.abs(response)) == pytest.approx([0.0, gain_db, 0.0], abs=0.05)


def test_delay_repeats_at_its_lag_and_level() -> None:
    click = np.zeros(RATE, np.float32)
    click[100] = 1.0
    delay = Delay(min_delay_ms=125, max_delay_ms=125, min_echo_db=-12, max_echo_db=-12, echoes=2)
    wet = delay.transform(rng(), RATE)(click)
    assert np.flatnonzero(wet).tolist() == [100, 100 + 2000, 100 + 4000]
    assert 20 * np.log10(wet[[100, 2100, 4100]]) == pytest.approx([0, -12, -24], abs=1e-4)


@pytest.mark.parametrize("t60_s", [0.3, 0.8])
def test_a_rooms_tail_decays_by_60_db_in_its_time(t60_s: float) -> None:
    tail = room_response(rng(), t60_s, wet_db=-10.0, sample_rate=RATE)[1:]
    assert 10 * math.log10(float(np.sum(tail**2))) == pytest.approx(-10.0, abs=0.01)
    blocks = tail[: len(tail) // 20 * 20].reshape(20, -1)
    decay_db = 10 * np.log10(np.mean(blocks**2, axis=1))
    slope_db = np.polyfit(np.linspace(0, t60_s, 20, endpoint=False), decay_db, 1)[0]
    assert slope_db * t60_s == pytest.approx(-60, abs=3)


def test_reverb_keeps_the_direct_sound_where_it_was() -> None:
    click = np.zeros(RATE, np.float32)
    click[500] = 0.5
    wet = Reverb().transform(rng(), RATE)(click)
    assert wet[:500] == pytest.approx(0, abs=1e-6)
    assert np.argmax(np.abs(wet)) == 500 and wet[500] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("snr_db", [10.0, 40.0])
def test_noise_has_its_signal_to_noise_ratio(snr_db: float) -> None:
    noisy = Noise(min_snr_db=snr_db, max_snr_db=snr_db).transform(rng(), RATE)(music())
    assert level_db(music()) - level_db(noisy - music()) == pytest.approx(snr_db, abs=0.05)


def test_noise_leaves_silence_silent() -> None:
    assert not Noise().transform(rng(), RATE)(np.zeros(1000, np.float32)).any()


def test_pink_noise_falls_by_3_db_an_octave() -> None:
    frequencies, power = signal.welch(coloured_noise(rng(), 1 << 18, slope=1.0), RATE, nperseg=4096)
    band = (frequencies > 100) & (frequencies < 6000)
    slope = np.polyfit(np.log2(frequencies[band]), 10 * np.log10(power[band]), 1)[0]
    assert slope == pytest.approx(-3.01, abs=0.2)


def test_a_pair_stays_a_pair_in_shared_effects() -> None:
    both = Augmentation(shared=[Gain(probability=1.0), Reverb(probability=1.0), Equalizer(probability=1.0)])
    source, target = both.of_pair(rng(), music(), music(), RATE)
    assert np.array_equal(source, target) and not np.array_equal(source, music())


def test_source_effects_leave_the_target_alone() -> None:
    source, target = Augmentation(source=[Equalizer(probability=1.0)]).of_pair(rng(), music(), music(), RATE)
    assert np.array_equal(target, music()) and not np.array_equal(source, music())


def test_what_would_clip_is_scaled_and_the_pair_keeps_its_ratio() -> None:
    louder = Augmentation(shared=[Gain(min_db=30, max_db=30, probability=1.0)])
    source, target = louder.of_pair(rng(), music(seed=1), 0.5 * music(seed=2), RATE)
    assert max(np.abs(source).max(), np.abs(target).max()) == pytest.approx(1.0)
    assert level_db(source) - level_db(target) == pytest.approx(
        level_db(music(seed=1)) - level_db(0.5 * music(seed=2)), abs=1e-3
    )


def test_nothing_asked_for_changes_nothing() -> None:
    source, target = Augmentation().of_pair(rng(), music(seed=1), music(seed=2), RATE)
    assert np.array_equal(source, music(seed=1)) and np.array_equal(target, music(seed=2))
