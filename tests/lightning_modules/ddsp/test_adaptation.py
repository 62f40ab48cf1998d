"""A source is fitted to the instrument: octaves, loudness, silence, slips of the tracker."""

import pytest
import torch

from datamodules.batch import Features
from lightning_modules.ddsp.adaptation import (
    Adaptation,
    adapt,
    detect_notes,
    octaves_into_range,
    silence_gate,
)
from lightning_modules.ddsp.loudness_mapping import loud_level_db, map_loudness
from lightning_modules.ddsp.pitch_repair import hz_to_midi, midi_to_hz, repair_pitch
from lightning_modules.ddsp.statistics import TargetStatistics


def features_of(midi=60.0, loudness_db=-20.0, confidence=0.9, n_frames=400):
    """One example; every argument is a number or ``(N,)``."""
    rows = (torch.as_tensor(x).expand(1, n_frames).clone() for x in (midi, confidence, loudness_db))
    m, c, db = rows
    return Features(midi_to_hz(m), c, db)


def statistics_of(midi=60.0, loudness_db=None, n_frames=2000):
    """Of an instrument that was heard once; loudness is even between −40 and −10 dB by default."""
    db = torch.linspace(-40, -10, n_frames) if loudness_db is None else loudness_db
    features = features_of(midi, db, n_frames=n_frames)
    statistics = TargetStatistics()
    statistics.update(features, torch.ones(1, n_frames, dtype=torch.bool))
    return statistics


# --------------------------------------------------------------------------------------------- pitch


def test_a_short_octave_slip_is_repaired_and_a_real_leap_stays():
    midi = torch.full((200,), 60.0)
    midi[50:56] = 72.0  # 24 ms: a slip
    midi[100:] = 72.0  # a leap
    repaired = hz_to_midi(repair_pitch(features_of(midi, n_frames=200).f0_hz, torch.ones(1, 200)))[0]
    torch.testing.assert_close(repaired[:100], torch.full((100,), 60.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(repaired[100:], torch.full((100,), 72.0), atol=1e-3, rtol=0)


def test_the_pitch_is_held_through_gaps_and_taken_back_to_the_start():
    midi, confidence = torch.full((1, 300), 30.0), torch.zeros(1, 300)
    midi[:, 100:150], confidence[:, 100:150] = 64.0, 1.0
    midi[:, 200:], confidence[:, 200:] = 67.0, 1.0
    repaired = hz_to_midi(repair_pitch(midi_to_hz(midi), confidence))[0]
    assert repaired[:200].tolist() == pytest.approx([64.0] * 200, abs=1e-3)
    assert repaired[200:].tolist() == pytest.approx([67.0] * 100, abs=1e-3)


def test_a_pitch_of_zero_is_unvoiced_however_confident_the_tracker():
    midi = torch.full((1, 300), 64.0)
    f0_hz = midi_to_hz(midi)
    f0_hz[:, :50], f0_hz[:, 100:200] = 0.0, 0.0
    torch.testing.assert_close(repair_pitch(f0_hz, torch.ones(1, 300)), midi_to_hz(midi))


def test_without_any_confident_frame_the_pitch_is_finite():
    assert repair_pitch(torch.full((1, 50), 100.0), torch.zeros(1, 50)).isfinite().all()


@pytest.mark.parametrize("octaves", [-2, -1, 1, 2])
def test_a_source_octaves_away_comes_into_range(octaves):
    statistics = statistics_of(torch.linspace(55, 79, 2000))
    midi = torch.linspace(60, 72, 400)[None] + 12 * octaves
    shift = octaves_into_range(midi, torch.ones(1, 400, dtype=torch.bool), statistics)
    assert shift.item() == -octaves


def test_a_source_in_range_stays_even_if_it_is_low():
    statistics = statistics_of(torch.linspace(55, 90, 2000))
    midi = torch.linspace(56, 62, 400)[None]  # more than half an octave below the mean of 72.5
    assert octaves_into_range(midi, torch.ones(1, 400, dtype=torch.bool), statistics).item() == 0


def test_frames_that_are_no_notes_do_not_move_the_octave():
    statistics = statistics_of(torch.linspace(55, 79, 2000))
    midi, notes = torch.full((1, 400), 65.0), torch.ones(1, 400, dtype=torch.bool)
    midi[:, 200:], notes[:, 200:] = 110.0, False
    assert octaves_into_range(midi, notes, statistics).item() == 0


# --------------------------------------------------------------------------------------------- notes


def test_a_note_is_confident_and_loud():
    loudness, confidence = torch.full((400,), -20.0), torch.full((400,), 0.9)
    loudness[100:200], confidence[200:300] = -70.0, 0.1
    notes = detect_notes(features_of(65.0, loudness, confidence), Adaptation())[0]
    assert notes[:100].all() and notes[300:].all()
    assert not notes[100:300].any()


def test_silence_has_no_notes():
    assert not detect_notes(features_of(65.0, -80.0, 1.0), Adaptation()).any()


def test_a_pitch_that_wanders_is_no_note_and_vibrato_is_one():
    frames = torch.arange(400.0)
    vibrato = 60 + 0.5 * torch.sin(2 * torch.pi * 6 * frames / 250)
    leaps = torch.where(frames < 200, 60.0, 67.0)
    hiss = 50 + 30 * torch.rand(400, generator=torch.Generator().manual_seed(0))
    notes = [
        detect_notes(features_of(midi), Adaptation()).float().mean().item() for midi in (vibrato, leaps, hiss)
    ]
    assert notes == [1.0, 1.0, 0.0]


# ------------------------------------------------------------------------------------------ loudness


def test_notes_get_the_targets_distribution():
    source = torch.linspace(-60, -50, 400)
    mapped = map_loudness(source[None], torch.ones(1, 400, dtype=torch.bool), statistics_of())[0]
    assert mapped.quantile(0.5).item() == pytest.approx(-25.0, abs=0.5)
    assert mapped.quantile(0.1).item() == pytest.approx(-37.0, abs=0.5)
    assert mapped.quantile(0.9).item() == pytest.approx(-13.0, abs=0.5)


def test_mapping_is_monotone_and_leaves_silence_silent():
    ramp = torch.linspace(-80, 0, 400)
    mapped = map_loudness(ramp[None], (ramp > -50)[None], statistics_of())[0]
    assert (mapped.diff() >= -1e-4).all()
    assert mapped[0].item() == pytest.approx(-80.0, abs=0.01)


def test_the_hiss_of_a_room_is_not_played():
    loudness = torch.full((1, 400), -60.0)  # hiss, below notes between −38 and −14 dB
    loudness[:, 100:300] = torch.linspace(-38, -14, 200)
    mapped = map_loudness(loudness, loudness > -40, statistics_of(), tolerance_db=6.0)[0]
    assert (mapped[:100] == -80.0).all() and (mapped[300:] == -80.0).all()
    torch.testing.assert_close(mapped[110:290], loudness[0, 110:290], atol=0.3, rtol=0)


def test_within_the_tolerance_the_dynamics_stay():
    notes = torch.ones(1, 400, dtype=torch.bool)
    soft = torch.linspace(-42, -18, 400)[None]  # 2 to 8 dB below the target's −40 … −10
    torch.testing.assert_close(map_loudness(soft, notes, statistics_of(), 9.0), soft, atol=0.3, rtol=0)
    softer = soft - 30.0
    mapped = map_loudness(softer, notes, statistics_of(), 9.0)[0]
    assert mapped.quantile(0.5).item() == pytest.approx(-25.0 - 9.0, abs=0.5)


def test_one_constant_loudness_is_mapped_to_the_middle():
    mapped = map_loudness(torch.full((1, 50), -60.0), torch.ones(1, 50, dtype=torch.bool), statistics_of())
    assert mapped.mean().item() == pytest.approx(-25.0, abs=0.5)


def test_a_source_without_notes_keeps_its_loudness():
    loudness = torch.full((1, 50), -66.0)
    torch.testing.assert_close(
        map_loudness(loudness, torch.zeros(1, 50, dtype=torch.bool), statistics_of()), loudness
    )


def test_the_gate_is_shut_in_silence_and_open_in_sound():
    loudness = torch.full((1, 300), -80.0)
    loudness[:, 100:200] = -30.0
    gate = silence_gate(loudness)[0]
    assert (gate[100:200] > 0.999).all()
    assert (gate[:85] == 0).all() and (gate[215:] == 0).all()


# ------------------------------------------------------------------------------------------ together


def test_shifts_by_hand_come_last():
    settings = Adaptation(loudness_tolerance_db=30.0, pitch_shift_semitones=-3.0, loudness_shift_db=6.0)
    fitted = adapt(features_of(65.0, -20.0), statistics_of(torch.linspace(55, 79, 2000)), settings)
    assert hz_to_midi(fitted.f0_hz).mean().item() == pytest.approx(62.0, abs=1e-3)
    assert fitted.loudness_db.mean().item() == pytest.approx(-14.0, abs=1e-3)


def test_a_louder_setting_does_not_wake_silence():
    loudness = torch.full((400,), -20.0)
    loudness[200:] = -80.0
    fitted = adapt(
        features_of(65.0, loudness), statistics_of(), Adaptation(loudness_shift_db=20.0, octave_shift=False)
    )
    assert (fitted.loudness_db[0, 220:] == -80.0).all()
    assert (fitted.gate[0, 220:] == 0).all()


def test_silence_around_a_take_changes_nothing_within():
    """Forty seconds of silence around two of soft notes, whose loudest second a percentile would miss."""
    loudness = torch.cat([torch.linspace(-58, -45, 350), torch.linspace(-45, -20, 150)])
    midi = torch.where(torch.arange(500) < 250, 40.0, 43.0)
    take = features_of(midi, loudness, n_frames=500)
    padded = Features(*(torch.nn.functional.pad(part, (5000, 5000)) for part in take))
    padded.loudness_db[:, :5000], padded.loudness_db[:, -5000:] = -80.0, -80.0
    padded.f0_hz[:, :5000], padded.f0_hz[:, -5000:] = 97.0, 97.0
    statistics = statistics_of(torch.linspace(55, 79, 2000))
    alone, within = (adapt(one, statistics, Adaptation()) for one in (take, padded))
    for part, of_padded in zip(alone, within, strict=True):
        torch.testing.assert_close(of_padded[:, 5000:-5000], part)
    assert not within.gate[:, :4900].any() and within.loudness_db[:, :4900].max() == -80.0


def test_the_loud_level_is_that_of_what_sounds():
    loudness = torch.full((2, 1000), -80.0)
    loudness[:, 500:600] = torch.linspace(-40, -20, 100)
    loudness[1, 600:] = -62.0  # the hiss of a room, more than 40 dB below
    assert loud_level_db(loudness)[:, 0].tolist() == pytest.approx([-21.0, -21.0], abs=0.01)
    assert loud_level_db(torch.full((1, 50), -80.0)).item() == -80.0


def test_an_untrained_model_adapts_nothing():
    fitted = adapt(features_of(30.0, -20.0), TargetStatistics(), Adaptation())
    assert hz_to_midi(fitted.f0_hz).mean().item() == pytest.approx(30.0, abs=1e-3)
    assert fitted.loudness_db.mean().item() == pytest.approx(-20.0)


def test_statistics_survive_a_checkpoint():
    saved, loaded = statistics_of(), TargetStatistics()
    loaded.load_state_dict(saved.state_dict())
    shares = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(loaded.loudness_quantiles(shares), saved.loudness_quantiles(shares))
    assert loaded.mean_midi().item() == pytest.approx(60.0)


def test_statistics_add_up_over_batches():
    statistics = statistics_of(60.0)
    notes = torch.ones(1, 2000, dtype=torch.bool)
    statistics.update(features_of(64.0, -20.0, n_frames=2000), notes)
    assert statistics.mean_midi().item() == pytest.approx(62.0)
