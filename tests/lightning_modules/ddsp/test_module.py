"""The DDSP module learns, transfers any length at any rate, and keeps what it knows in its checkpoint."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pad

from datamodules.batch import Features
from datamodules.corpora.corpus import CorpusError
from lightning_modules.ddsp import DDSPModule, articulation, module
from lightning_modules.ddsp.adaptation import adapt
from lightning_modules.ddsp.articulation import Articulation
from lightning_modules.ddsp.decoders import GRUDecoder
from lightning_modules.ddsp.network import DDSPNetwork
from lightning_modules.ddsp.reverb import TrainableReverb
from lightning_modules.ddsp.synthesizers import Synthesizer
from tests.losses import assert_validation_logs_the_losses

REAL_TRUMPET = Path(__file__).parents[4] / "shared/data/phrases/trumpet_solo06_sorohanro.flac"


def tone(hz=330.0, seconds=1.0, sample_rate=16_000, gain=0.3):
    return gain * torch.sin(2 * math.pi * hz * torch.arange(int(seconds * sample_rate)) / sample_rate)[None]


def train(module, batch, steps):
    """Losses of some steps on one batch, without a trainer."""
    module.log_dict = lambda *args, **kwargs: None  # there is no trainer to log to
    optimizer, losses = module.configure_optimizers(), []
    for step in range(steps):
        loss = module.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_one_batch_is_overfitted(small_module, tone_batch):
    losses = train(small_module, tone_batch, 40)
    assert losses[-1] < 0.7 * losses[0]


def test_every_parameter_gets_a_gradient(small_module, tone_batch):
    small_module.synthesizer = Synthesizer(noise_bias=-5.0, reverb=TrainableReverb(100))
    train(small_module, tone_batch, 1)
    for name, parameter in small_module.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 44_100])
@pytest.mark.parametrize("n_samples", [0, 1, 700, 30_011])
def test_any_length_comes_back_at_any_rate(sample_rate, n_samples):
    module = DDSPModule(DDSPNetwork(GRUDecoder(32, 16), 16), sample_rate)
    with torch.inference_mode():
        result = module.transfer(tone(seconds=1.0, sample_rate=44_100)[:, :n_samples].expand(2, -1))
    assert result.shape == (2, n_samples)
    assert result.isfinite().all()


def test_the_pitch_of_the_source_is_the_pitch_of_the_result(small_module, tone_batch):
    train(small_module, tone_batch, 5)
    with torch.inference_mode():
        result = small_module.transfer(tone(hz=350.0, seconds=2.0))
    heard = small_module.pitch_tracker(result, 16_000).f0_hz[0, 50:450]
    assert 12 * abs(math.log2(heard.median().item() / 350.0)) < 0.3


def test_silence_stays_silence(small_module, tone_batch):
    train(small_module, tone_batch, 5)
    with torch.inference_mode():
        assert small_module.transfer(torch.zeros(1, 16_000)).abs().max() < 1e-4
        half = small_module.transfer(pad(tone(), (0, 16_000)))
    assert half[:, :16_000].abs().max() > 1e-2
    assert half[:, 17_600:].abs().max() < 1e-4


def test_silence_around_a_take_changes_nothing_within(small_module, tone_batch):
    """Phases may begin elsewhere, so magnitudes are compared, down to 30 dB below the loudest.

    Below that, the first frame has what the cut at its start spreads, which depends on the phase.
    """
    train(small_module, tone_batch, 8)
    take = torch.cat([gain * tone()[:, :8_000] for gain in (1.0, 0.3, 0.7)], dim=1)
    with torch.inference_mode():
        alone = small_module.transfer(take)
        within = small_module.transfer(pad(take, (32_000, 32_000)))[:, 32_000:-32_000]
    window = torch.hann_window(1024)
    spectra = [
        torch.stft(audio, 1024, 256, window=window, center=False, return_complex=True).abs()
        for audio in (alone, within)
    ]
    loudest = spectra[0].max()
    in_db = [20 * torch.log10(spectrum.clamp(min=loudest / 30)) for spectrum in spectra]
    assert loudest > 1e-2
    torch.testing.assert_close(in_db[1], in_db[0], atol=1.0, rtol=0)


def test_equal_sources_give_equal_results(small_module):
    with torch.inference_mode():
        first, second = small_module.transfer(tone()), small_module.transfer(tone())
    torch.testing.assert_close(first, second, atol=0, rtol=0)


def test_the_instrument_and_its_statistics_are_in_the_checkpoint(small_module, tone_batch):
    train(small_module, tone_batch, 2)
    loaded = DDSPModule(DDSPNetwork(GRUDecoder(64, 32), 32, layers_per_mlp=1), 16_000, ["flute", "violin"])
    loaded.load_state_dict(small_module.state_dict())
    assert loaded.trained_instruments.known.tolist() == [False, True]
    assert loaded.statistics.mean_midi().item() == pytest.approx(64, abs=0.5)  # 330 Hz is E4
    with torch.inference_mode():
        torch.testing.assert_close(loaded.transfer(tone()), small_module.transfer(tone()))


def test_another_instrument_than_the_trained_one_is_refused(small_module, tone_batch):
    train(small_module, tone_batch, 1)
    with pytest.raises(CorpusError, match=r"trained to play violin cannot play flute"):
        small_module.transfer(tone(), target_instrument=torch.tensor([0]))


def test_training_on_two_instruments_is_refused(small_module, tone_batch):
    two = tone_batch._replace(target_instrument=torch.tensor([0, 1]))
    with pytest.raises(CorpusError, match=r"learns one instrument.*flute, violin"):
        train(small_module, two, 1)


def test_features_are_computed_where_the_batch_has_none(small_module, tone_batch):
    assert train(small_module, tone_batch._replace(features=None), 1)[0] > 0


def test_training_and_transfer_show_the_network_the_same(small_module, tone_batch):
    """The instrument's own features, adapted to the instrument's own statistics, stay what they are."""
    train(small_module, tone_batch, 1)
    own = small_module._own_conditioning(tone_batch.features)
    fitted = small_module.condition(tone_batch.features)
    torch.testing.assert_close(fitted.f0_hz, own.f0_hz)
    torch.testing.assert_close(fitted.gate, own.gate)
    assert (fitted.loudness_db - own.loudness_db).abs().max() < 1.0


def test_confidence_decides_which_pitch_is_believed(small_module):
    f0_hz, confidence = torch.full((1, 250), 300.0), torch.ones(1, 250)
    f0_hz[:, 100:150] = 900.0
    loudness = torch.full((1, 250), -20.0)
    believed = small_module.condition(Features(f0_hz, confidence, loudness)).f0_hz
    confidence[:, 100:150] = 0.1
    doubted = small_module.condition(Features(f0_hz, confidence, loudness)).f0_hz
    assert believed[0, 125].item() == pytest.approx(900.0, rel=1e-3)
    assert doubted[0, 125].item() == pytest.approx(300.0, rel=1e-3)


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_parts_of_a_long_source_are_those_of_the_whole(
    sample_rate, small_module, tone_batch, monkeypatch: pytest.MonkeyPatch
):
    """What is measured is of the whole source; phase, noise and room go on from part to part."""
    train(small_module, tone_batch, 5)
    small_module.sample_rate = sample_rate
    small_module.articulation = Articulation(hidden_size=16)
    for parameter in small_module.articulation.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    small_module.synthesizer = Synthesizer(noise_bias=-3.0, reverb=TrainableReverb(sample_rate // 10))
    torch.nn.init.normal_(small_module.synthesizer.reverb.impulse_response, std=0.02)
    notes = [tone(hz=hz, seconds=0.8, sample_rate=sample_rate) for hz in (330.0, 294.0, 494.0)]
    source = torch.cat([notes[0], 0.3 * notes[1], 0 * notes[1], 0.6 * notes[2]], dim=1)
    n_samples = source.shape[1]
    with torch.inference_mode():
        whole = small_module.transfer(source)
        monkeypatch.setattr(articulation, "FRAMES_AT_ONCE", 200)
        monkeypatch.setattr(module, "EXTRACTED_S", 1)
        monkeypatch.setattr(module, "MEMORY_FRAMES", 200)
        part = small_module.long_transfer(lambda start, stop: source[:, start:stop], n_samples)
        for start, stop in (
            (0, n_samples // 3),
            (n_samples // 3, n_samples // 2),
            (n_samples // 2, n_samples),
        ):
            error = part(start, stop) - whole[:, start:stop]
            assert error.square().mean() < 1e-4 * whole.square().mean()  # −40 dB


def test_an_articulation_is_trained_on_pairs_and_not_without_them(small_module, tone_batch):
    small_module.articulation = Articulation(hidden_size=16)
    before = small_module.articulation.head.weight.clone()
    train(small_module, tone_batch, 2)
    assert torch.equal(small_module.articulation.head.weight, before)
    assert torch.equal(  # untrained it changes nothing
        small_module.condition(tone_batch.features).loudness_db,
        adapt(tone_batch.features, small_module.statistics, small_module.adaptation).loudness_db,
    )
    softer = tone_batch.features._replace(loudness_db=tone_batch.features.loudness_db - 6.0)
    train(small_module, tone_batch._replace(source_features=softer), 2)
    assert not torch.equal(small_module.articulation.head.weight, before)


def test_silence_stays_silent_whatever_the_articulation_says(small_module, tone_batch):
    train(small_module, tone_batch, 1)
    small_module.articulation = Articulation(hidden_size=16)
    with torch.no_grad():
        small_module.articulation.head.bias[-1] = 10.0  # + 20 dB everywhere
    with torch.inference_mode():
        assert small_module.transfer(torch.zeros(1, 8000)).abs().max() == 0
        louder = small_module.condition(tone_batch.features).loudness_db
        small_module.adaptation.articulate = False
        as_played = small_module.condition(tone_batch.features).loudness_db
    assert louder.mean() > as_played.mean() + 3


# -------------------------------------------------------------------------------------------- reverb


def test_reverb_adds_the_dry_signal_and_ignores_its_first_tap():
    reverb = TrainableReverb(5)
    with torch.no_grad():
        reverb.impulse_response.copy_(torch.tensor([9.0, 0.0, 0.5, 0.0, 0.0]))
    click = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(reverb(click), torch.tensor([[1.0, 0.0, 0.5, 0.0]]))
    reverb.wet = 0.0
    assert reverb(click) is click


def test_reverb_has_three_seconds_at_16_khz():
    assert TrainableReverb().impulse_response.numel() == 48_000


# ----------------------------------------------------------------------------------------- real sound


@pytest.mark.skipif(not REAL_TRUMPET.exists(), reason="the shared recordings are not beside the project")
def test_a_real_trumpet_keeps_its_silence_and_its_pitch(small_module, tone_batch):
    from datamodules.audio.files import read_audio

    audio, _ = read_audio(REAL_TRUMPET, sample_rate=16_000, channels="mix")
    source = pad(torch.from_numpy(audio[: 8 * 16_000])[None], (0, 16_000))
    small_module.adaptation.octave_shift = False
    train(small_module, tone_batch, 5)
    with torch.inference_mode():
        result = small_module.transfer(source)
        wanted, heard = (small_module.pitch_tracker(x, 16_000) for x in (source, result))
    assert result[:, -12_000:].abs().max() < 1e-4
    sure = (wanted.confidence > 0.8) & (heard.confidence > 0.8)
    cents = 1200 * torch.log2(heard.f0_hz / wanted.f0_hz)[sure]
    assert sure.float().mean() > 0.2
    assert (cents.abs() < 50).float().mean() > 0.9


@pytest.mark.parametrize("articulates", [False, True])
def test_validation_logs_the_losses(articulates, small_module, tone_batch):
    batch = tone_batch
    if articulates:
        small_module.articulation = Articulation(hidden_size=16)
        batch = tone_batch._replace(source_features=tone_batch.features)
    of_pairs = ("articulation_pitch", "articulation_loudness")
    assert_validation_logs_the_losses(small_module, batch, needing_targets=of_pairs)
