"""The synthesizers make the sound that the controls describe, at any length and rate."""

import math

import pytest
import torch

from lightning_modules.ddsp import filtered_noise
from lightning_modules.ddsp.additive import frame_phases, harmonic_audio, phase_cycles
from lightning_modules.ddsp.controls import Controls, exp_sigmoid, physical_controls
from lightning_modules.ddsp.filtered_noise import noise_audio, noise_between, noise_filters
from lightning_modules.ddsp.hop_grid import hop_samples, n_hops, on_hop_grid
from lightning_modules.ddsp.network import RawControls
from lightning_modules.ddsp.reverb import TrainableReverb
from lightning_modules.ddsp.synthesizers import Synthesizer
from runtime.errors import UserError


def controls_of(f0_hz, amplitude=0.5, harmonics=(1.0,)):
    """Constant amplitude and distribution over the frames of ``f0_hz (B, N)``."""
    frames = f0_hz.shape
    distribution = torch.tensor(harmonics).expand(*frames, len(harmonics))
    return Controls(f0_hz, torch.full((*frames, 1), amplitude), distribution, torch.zeros(*frames, 65))


def random_controls(n_frames=40, n_harmonics=12):
    torch.manual_seed(0)
    f0_hz = 200 + 50 * torch.randn(2, n_frames).cumsum(1).tanh()
    distribution = torch.rand(2, n_frames, n_harmonics).softmax(-1)
    return Controls(f0_hz, torch.rand(2, n_frames, 1), distribution, torch.rand(2, n_frames, 65))


# ------------------------------------------------------------------------------------------- controls


def test_exp_sigmoid_has_its_three_known_values():
    assert exp_sigmoid(torch.tensor(0.0)).item() == pytest.approx(2 * 0.5 ** math.log(10), rel=1e-5)
    assert exp_sigmoid(torch.tensor(50.0)).item() == pytest.approx(2.0)
    assert exp_sigmoid(torch.tensor(-50.0)).item() == pytest.approx(1e-7)


def test_harmonics_at_and_above_nyquist_are_silent_and_the_rest_sums_to_one():
    raw = RawControls(torch.zeros(1, 2, 1), torch.randn(1, 2, 60), torch.zeros(1, 2, 65))
    controls = physical_controls(raw, torch.tensor([[1000.0, 440.0]]), sample_rate=16_000)
    # 8 · 1000 Hz is Nyquist itself; 18 · 440 = 7920 Hz is the last below.
    assert (controls.harmonic_distribution[0, 0, 7:] == 0).all()
    assert controls.harmonic_distribution[0, 0, 6] > 0
    assert controls.harmonic_distribution[0, 1, 17] > 0
    assert (controls.harmonic_distribution[0, 1, 18:] == 0).all()
    torch.testing.assert_close(controls.harmonic_distribution.sum(-1), torch.ones(1, 2))


def test_f0_above_nyquist_is_silence_and_no_nan():
    raw = RawControls(torch.zeros(1, 3, 1), torch.zeros(1, 3, 60), torch.full((1, 3, 65), -20.0))
    audio = Synthesizer()(raw, torch.full((1, 3), 9000.0), torch.ones(1, 3), 16_000)
    assert audio.abs().max() < 1e-5


def test_the_noise_bias_is_where_an_untrained_network_starts():
    raw = RawControls(torch.zeros(1, 1, 1), torch.zeros(1, 1, 60), torch.zeros(1, 1, 65))
    magnitudes = physical_controls(raw, torch.full((1, 1), 440.0), 16_000, noise_bias=-10.0).noise_magnitudes
    assert magnitudes.max() < 1e-6


# ------------------------------------------------------------------------------------------- additive


def test_unvoiced_frames_are_silent_and_the_others_sound_as_without_them():
    """CREPE and RVC give 0 Hz there."""
    f0_hz = torch.full((2, 50), 330.0)
    voiced = controls_of(f0_hz)
    f0_hz = f0_hz.clone()
    f0_hz[0, 20:30], f0_hz[1] = 0.0, 0.0
    audio, phase = harmonic_audio(controls_of(f0_hz), 64, 16_000)
    whole, _ = harmonic_audio(voiced, 64, 16_000)
    assert not audio[0, 20 * 64 : 29 * 64].any() and not audio[1].any() and phase.isfinite().all()
    torch.testing.assert_close(audio[0, : 19 * 64], whole[0, : 19 * 64])
    torch.testing.assert_close(audio[0, 30 * 64 :], whole[0, 30 * 64 :])
    assert (audio[0].diff().abs() < 0.5 * 2 * math.pi * 330 / 16_000 + 0.05).all(), "no click, no chirp"


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_pitch_that_is_no_number_is_one_sentence(wrong):
    f0_hz = torch.full((2, 50), 330.0)
    f0_hz[1, 7] = wrong
    with pytest.raises(UserError, match="NaN or infinite in 1 of 100 frames: an unvoiced frame has 0 Hz"):
        harmonic_audio(controls_of(f0_hz), 64, 16_000)


def test_no_frames_are_no_audio():
    controls = controls_of(torch.zeros(3, 0))
    initial = torch.tensor([0.1, 0.2, 0.3])
    audio, phase = harmonic_audio(controls, 64, 16_000, initial)
    assert audio.shape == (3, 0) and torch.equal(phase, initial)
    assert noise_audio(controls.noise_magnitudes, 64, torch.zeros(1, 0)).shape == (3, 0)
    raw = RawControls(torch.zeros(3, 0, 1), torch.zeros(3, 0, 60), torch.zeros(3, 0, 65))
    synthesizer = Synthesizer(reverb=TrainableReverb(100))
    assert synthesizer(raw, torch.zeros(3, 0), torch.zeros(3, 0), 16_000).shape == (3, 0)


def slow_harmonic_audio(controls, hop, sample_rate):
    """Sample by sample and harmonic by harmonic, in double precision."""
    f0, amplitudes = controls.f0_hz.double(), (controls.amplitude * controls.harmonic_distribution).double()
    audio = torch.zeros(f0.shape[0], f0.shape[1] * hop, dtype=torch.double)
    phase = torch.zeros(f0.shape[0], dtype=torch.double)
    for t in range(audio.shape[1]):
        n, i = divmod(t, hop)
        following = min(n + 1, f0.shape[1] - 1)
        rise = 0.5 - 0.5 * math.cos(math.pi * i / hop)
        for k in range(1, amplitudes.shape[2] + 1):
            a = (1 - rise) * amplitudes[:, n, k - 1] + rise * amplitudes[:, following, k - 1]
            audio[:, t] += a * torch.sin(2 * math.pi * k * phase)
        phase = phase + (f0[:, n] + (f0[:, following] - f0[:, n]) * i / hop) / sample_rate
    return audio


def test_fast_synthesis_equals_the_slow_reference():
    controls = random_controls()
    fast, _ = harmonic_audio(controls, hop=16, sample_rate=16_000)
    torch.testing.assert_close(fast.double(), slow_harmonic_audio(controls, 16, 16_000), atol=2e-4, rtol=0)


def test_gradients_of_fast_synthesis_are_right():
    controls = random_controls(n_frames=4, n_harmonics=3)
    inputs = [x.double().requires_grad_() for x in controls[:3]]
    assert torch.autograd.gradcheck(
        lambda *x: harmonic_audio(Controls(*x, controls.noise_magnitudes), 5, 16_000)[0],
        inputs,
        atol=1e-4,
        eps=1e-4,
    )


@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 44_100])
def test_a_constant_f0_sounds_at_its_frequency(sample_rate):
    hop = hop_samples(sample_rate)
    f0_hz = torch.full((1, n_hops(sample_rate, sample_rate)), 441.0)
    audio, _ = harmonic_audio(controls_of(f0_hz), hop, sample_rate)
    spectrum = torch.fft.rfft(audio[0, :sample_rate] * torch.hann_window(sample_rate)).abs()
    assert spectrum.argmax().item() == 441  # bins of 1 Hz
    assert audio.abs().max().item() == pytest.approx(0.5, abs=1e-3)


def test_two_minutes_do_not_drift():
    sample_rate, hop = 16_000, 64
    torch.manual_seed(0)
    f0_hz = 440 * 2 ** (torch.randn(1, 30_000).cumsum(1) / 200).clamp(-2, 1)
    cycles, final = phase_cycles(f0_hz, hop, sample_rate, torch.zeros(1))
    f, following = f0_hz.double(), torch.cat([f0_hz[:, 1:], f0_hz[:, -1:]], 1).double()
    i = torch.arange(hop, dtype=torch.double)
    per_sample = (f.unsqueeze(-1) + (following - f).unsqueeze(-1) * i / hop).flatten() / sample_rate
    exact = torch.cat([torch.zeros(1), per_sample.cumsum(0)])
    distance = (cycles.flatten().double() - exact[:-1] + 0.5) % 1.0 - 0.5
    assert distance.abs().max() < 1e-5
    assert abs((final.item() - exact[-1].item() + 0.5) % 1.0 - 0.5) < 1e-5


def test_the_phase_goes_on_from_block_to_block():
    controls = controls_of(torch.full((1, 20), 313.0))
    whole, end = harmonic_audio(controls, 64, 16_000)
    phase, blocks = None, []
    for part in range(4):
        block = Controls(*(x[:, 5 * part : 5 * part + 5] for x in controls))
        audio, phase = harmonic_audio(block, 64, 16_000, phase)
        blocks.append(audio)
    torch.testing.assert_close(torch.cat(blocks, 1), whole, atol=1e-4, rtol=0)
    torch.testing.assert_close(phase, end, atol=1e-5, rtol=0)


# ---------------------------------------------------------------------------------------------- noise


def test_a_flat_filter_returns_the_noise_without_delay():
    noise = torch.rand(1, 20 * 64) * 2 - 1
    torch.testing.assert_close(noise_audio(torch.ones(1, 20, 65), 64, noise), noise, atol=1e-5, rtol=0)


def test_time_varying_noise_equals_direct_convolution():
    torch.manual_seed(0)
    magnitudes, noise = torch.rand(2, 6, 9), torch.rand(2, 6 * 10) * 2 - 1
    filters, expected = noise_filters(magnitudes), torch.zeros(2, 100)
    for b in range(2):
        for t in range(60):
            expected[b, t : t + 16] += noise[b, t] * filters[b, t // 10]
    torch.testing.assert_close(noise_audio(magnitudes, 10, noise), expected[:, 8:68], atol=1e-5, rtol=0)


def test_noise_is_where_its_band_is():
    magnitudes = torch.zeros(1, 250, 65)
    magnitudes[..., 32] = 1.0  # band 32 of 0 … 64 is a quarter of the sample rate
    audio = noise_audio(magnitudes, 64, torch.rand(1, 16_000) * 2 - 1)
    power = torch.fft.rfft(audio[0]).abs().square()
    frequency = torch.fft.rfftfreq(16_000, 1 / 16_000)
    near = (frequency - 4000).abs() < 300
    assert power[near].sum() / power.sum() > 0.95


# --------------------------------------------------------------------------------------- the whole


def raw_of(n_frames):
    torch.manual_seed(1)
    return RawControls(
        torch.randn(1, n_frames, 1), torch.randn(1, n_frames, 60), 10 + torch.randn(1, n_frames, 65)
    )


def test_seeded_noise_is_the_same_for_every_example_and_every_call():
    raw, f0_hz = raw_of(30), torch.full((1, 30), 300.0)
    twice = RawControls(*(x.expand(2, -1, -1) for x in raw))
    synthesizer = Synthesizer()

    def sound(raw, f0_hz):
        gate = torch.ones_like(f0_hz)
        return synthesizer(raw, f0_hz, gate, 16_000, noise_between(0, 30 * 64, seed=3))

    one, two = sound(raw, f0_hz), sound(twice, f0_hz.expand(2, -1))
    torch.testing.assert_close(two[0], two[1])
    torch.testing.assert_close(one[0], two[0], atol=1e-5, rtol=0)


def test_a_closed_gate_is_silence():
    raw, f0_hz = raw_of(50), torch.full((1, 50), 300.0)
    gate = torch.ones(1, 50)
    gate[:, 20:] = 0.0
    audio = Synthesizer()(raw, f0_hz, gate, 16_000)
    assert audio[:, : 18 * 64].abs().max() > 1e-3
    assert audio[:, 22 * 64 :].abs().max() < 1e-5


def test_the_hop_grid_keeps_time_at_44_1_khz():
    # A ramp in time stays that ramp, although a hop is 176 samples and a frame is 176.4.
    seconds = 20.0
    frames = torch.arange(int(seconds * 250)).unsqueeze(0) / 250
    hops = on_hop_grid(frames, 44_100, int(seconds * 44_100))
    expected = torch.arange(hops.shape[1]) * 176 / 44_100
    torch.testing.assert_close(hops[0, :-3], expected[:-3], atol=1e-4, rtol=0)


def test_the_hop_grid_is_the_frame_grid_at_16_khz():
    frames = torch.rand(2, 500)
    torch.testing.assert_close(on_hop_grid(frames, 16_000, 32_000), frames)


def test_noise_is_the_same_wherever_a_part_of_it_begins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filtered_noise, "NOISE_BLOCK", 1000)
    whole = noise_between(0, 3500, seed=0)
    assert whole.shape == (1, 3500) and whole.abs().max() <= 1
    assert whole.std().item() == pytest.approx(3**-0.5, rel=0.03)
    for start, stop in ((0, 1000), (999, 1001), (1000, 2000), (2500, 3500), (3, 3), (1500, 1500)):
        assert torch.equal(noise_between(start, stop, seed=0), whole[:, start:stop])
    assert not torch.equal(noise_between(0, 100, seed=0), noise_between(1000, 1100, seed=0))


def test_a_part_begins_with_the_phase_of_the_whole():
    f0_hz = torch.linspace(100.0, 900.0, 200)[None]
    whole, _ = phase_cycles(f0_hz, 64, 16_000, torch.zeros(1))
    torch.testing.assert_close(frame_phases(f0_hz, 64, 16_000).float(), whole[:, :, 0], atol=1e-5, rtol=0)
