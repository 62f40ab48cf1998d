"""An instrument speaks a source's notes in its own time and its own loudness, once it has heard pairs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.batch import Features
from lightning_modules.ddsp.articulation import Articulation, in_a_room
from lightning_modules.ddsp.pitch_repair import hz_to_midi, midi_to_hz

N_FRAMES = 500


def melody(seed: int, delay_frames: int = 0, attack_frames: int = 1, level_db: float = -20.0) -> Features:
    """Four tunes of quarter-second notes; each rises to its level in ``attack_frames`` and falls again."""
    generator = torch.Generator().manual_seed(seed)
    notes = torch.randint(55, 80, (4, 20), generator=generator).float()
    frames = torch.arange(N_FRAMES) - delay_frames
    midi = notes[:, (frames.clamp(min=0) // 62).clamp(max=19)]
    into_note = (frames % 62).float()
    loudness = level_db - 12.0 * (1 - into_note / attack_frames).clamp(min=0) - 0.1 * into_note
    return Features(midi_to_hz(midi), torch.ones(4, N_FRAMES), loudness.expand(4, -1).clone())


def right_share(articulation: Articulation, source: Features, target: Features) -> float:
    heard = hz_to_midi(articulation.articulate(source).f0_hz)
    return float(((heard - hz_to_midi(target.f0_hz)).abs() < 0.5).float().mean())


@pytest.fixture(scope="module")
def trained() -> Articulation:
    """Has heard an instrument speak 40 ms later than a plucked source and 16 ms earlier than a blown one."""
    torch.manual_seed(0)
    articulation = Articulation(hidden_size=24)
    optimizer = torch.optim.Adam(articulation.parameters(), lr=5e-3)
    # The rate falls towards the end, so that the result does not hang on the last few steps.
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2.0 - step / 75))
    for step in range(150):
        for attack, delay in ((1, 10), (20, -4)):
            source, target = melody(step, 0, attack), melody(step, delay, 8, -26.0)
            pitch, loudness = articulation.terms(source, target)
            optimizer.zero_grad()
            (pitch + 0.1 * loudness).backward()
            optimizer.step()
        falling.step()
    return articulation.eval()


@given(midi=st.floats(45, 90), level_db=st.floats(-60, -5), n_frames=st.integers(1, 400))
@settings(max_examples=20, deadline=None)
def test_untrained_it_changes_nothing(midi, level_db, n_frames):
    pitch, confidence, loudness = (torch.full((1, n_frames), value) for value in (midi, 1.0, level_db))
    source = Features(midi_to_hz(pitch), confidence, loudness)
    with torch.inference_mode():
        spoken = Articulation().articulate(source)
    torch.testing.assert_close(spoken.f0_hz, source.f0_hz)
    torch.testing.assert_close(spoken.loudness_db, source.loudness_db)


@pytest.mark.parametrize(("attack", "delay"), [(1, 10), (20, -4)])
def test_each_source_is_brought_to_the_instruments_time(trained, attack, delay):
    source, target = melody(1000, 0, attack), melody(1000, delay, 8, -26.0)
    with torch.inference_mode():
        before = right_share(Articulation(), source, target)
        after = right_share(trained, source, target)
    assert before < 1 - abs(delay) / 62 * 0.9
    assert after > 0.98


def test_the_instruments_loudness_is_learnt(trained):
    source, target = melody(1000, 0, 1), melody(1000, 10, 8, -26.0)
    with torch.inference_mode():
        error = (trained(source).loudness_db - target.loudness_db).abs().mean()
    assert error < 1.5 < (source.loudness_db - target.loudness_db).abs().mean()


def test_it_knows_intervals_and_no_notes(trained):
    """Transposed by an octave and a third, the same is said 16 semitones higher."""
    source = melody(1000)
    higher = source._replace(f0_hz=source.f0_hz * 2 ** (16 / 12))
    with torch.inference_mode():
        low, high = trained.articulate(source), trained.articulate(higher)
    interval = hz_to_midi(high.f0_hz) - hz_to_midi(low.f0_hz)
    torch.testing.assert_close(interval, torch.full_like(interval, 16.0))
    torch.testing.assert_close(high.loudness_db, low.loudness_db, atol=1e-3, rtol=0)


def test_a_softer_recording_is_played_in_the_same_time(trained):
    source = melody(1000)
    softer = source._replace(loudness_db=source.loudness_db - 15.0)
    with torch.inference_mode():
        torch.testing.assert_close(trained.articulate(softer).f0_hz, trained.articulate(source).f0_hz)


def with_rest(source: Features, at: int, n_frames: int) -> Features:
    """The source with a rest of silence, in which a tracker guesses, before frame ``at``."""
    silent = torch.full((len(source.f0_hz), n_frames), 97.0), 0.0, -80.0
    rests = (silent[0] if value is silent[0] else torch.full_like(silent[0], value) for value in silent)
    parts = zip(source, rests, strict=True)
    return Features(*(torch.cat([part[:, :at], rest, part[:, at:]], dim=1) for part, rest in parts))


def test_silence_before_after_and_between_changes_nothing(trained):
    """Two seconds of silence on either side of a source, and a rest in it that is ten times as long."""
    source = with_rest(melody(1000), 250, 100)
    soft = torch.arange(N_FRAMES + 100) > 100
    source = source._replace(loudness_db=(source.loudness_db - 8.0 * soft).clamp(min=-80.0))
    n_frames = source.f0_hz.shape[1]
    padded = with_rest(with_rest(source, 0, 500), 500 + n_frames, 500)
    rested = with_rest(source, 300, 900)
    with torch.inference_mode():
        alone, within, after_rest = (trained.articulate(one) for one in (source, padded, rested))
    for part, of_padded, of_rested in zip(alone, within, after_rest, strict=True):
        torch.testing.assert_close(of_padded[:, 500:-500], part)
        torch.testing.assert_close(of_rested[:, :250], part[:, :250])
        torch.testing.assert_close(of_rested[:, -250:], part[:, -250:])


def test_the_pitch_term_is_the_log_likelihood_of_a_right_moment():
    """A constant pitch is right at every moment: 0 nats. Two octaves off, at none."""
    source = melody(0)._replace(f0_hz=torch.full((4, N_FRAMES), 440.0))
    off = source._replace(f0_hz=torch.full((4, N_FRAMES), 1760.0))
    articulation = Articulation().eval()
    right, wrong = (articulation.terms(source, target) for target in (source, off))
    assert right.articulation_pitch.item() == pytest.approx(0.0, abs=1e-3)
    assert wrong.articulation_pitch.item() == pytest.approx(9.21, abs=0.01)  # −ln 1e-4
    assert right.articulation_loudness.item() == pytest.approx(0.0, abs=1e-6)


def test_hiss_is_heard_in_training_only_and_below_the_notes():
    torch.manual_seed(0)
    source = melody(5)
    source.loudness_db[:, :60] = -80.0
    heard = in_a_room(source)
    assert (heard.loudness_db >= source.loudness_db).all()
    hiss_db = heard.loudness_db[:, :60]
    below = source.loudness_db.quantile(0.95) - hiss_db
    assert (below > 24.9).all() and (below < 70.1).all() and below[:, 0].std() > 1
    assert hz_to_midi(heard.f0_hz[:, :60]).std() > 5
    loud = source.loudness_db > hiss_db[:, :1]
    assert torch.equal(heard.f0_hz[loud], source.f0_hz[loud])
    articulation = Articulation()
    once, again = (articulation.terms(source, source).articulation_loudness.item() for _ in range(2))
    assert once != again
    assert articulation.eval().terms(source, source).articulation_loudness.item() == 0


def test_gradients_reach_every_parameter(trained):
    source, target = melody(3, 0, 1), melody(3, 10, 8, -26.0)
    trained.zero_grad()
    sum(trained.terms(source, target)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.parameters())
