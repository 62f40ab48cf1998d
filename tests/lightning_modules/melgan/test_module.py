"""The vocoder learns from every term, plays any length and keeps its networks' modes."""

from dataclasses import fields

import pytest
import torch

from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.melgan import MelGANModule
from lightning_modules.melgan.losses import LossWeights
from lightning_modules.melgan.mel import LogMel
from tests.lightning_modules.melgan.conftest import N_MELS, SAMPLE_RATE, small_vocoder, tone
from tests.losses import assert_validation_logs_the_losses
from tests.trainers import logged_after


def weights(name, value=1.0):
    """All terms 0 but one."""
    return LossWeights(**{field.name: value * (field.name == name) for field in fields(LossWeights)})


@pytest.mark.parametrize("term", [field.name for field in fields(LossWeights)])
def test_every_term_alone_reaches_every_weight_of_the_generator(vocoder, batch, tmp_path, term):
    vocoder.loss_weights = weights(term)
    before = {name: p.clone() for name, p in vocoder.network.named_parameters()}
    logged_after(vocoder, [batch], tmp_path)
    for name, parameter in vocoder.network.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_logs_are_unweighted_and_weight_nothing_is_measured(vocoder, batch, tmp_path):
    vocoder.loss_weights = weights("adversarial", 1e-3)
    logged = logged_after(vocoder, [batch], tmp_path)
    terms = {"adversarial", "feature_matching", "stft", "generator", "discriminator"}
    assert set(logged) == {f"train/{name}" for name in terms}
    assert logged["train/stft"] > 0.1 and logged["train/feature_matching"] > 1e-3
    assert logged["train/discriminator"] == pytest.approx(4, abs=1)  # two scales that know nothing: 2 each


def test_while_only_the_spectrum_is_learned_the_discriminator_stands_still(vocoder, batch, tmp_path):
    vocoder.loss_weights = weights("stft")
    before = [p.clone() for p in vocoder.discriminator.parameters()]
    assert "train/discriminator" not in logged_after(vocoder, [batch], tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(before, vocoder.discriminator.parameters(), strict=True))


def test_one_batch_is_overfitted(vocoder, batch, tmp_path):
    vocoder.loss_weights = weights("stft")
    vocoder.generator_optimizer = lambda parameters: torch.optim.Adam(parameters, lr=3e-3)
    first = logged_after(vocoder, [batch], tmp_path)["train/stft"]
    assert logged_after(vocoder, [batch] * 20, tmp_path)["train/stft"] < 0.9 * first


def test_the_discriminator_learns_which_is_real(vocoder, batch, tmp_path):
    vocoder.loss_weights = weights("adversarial")
    vocoder.generator_optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.0)
    vocoder.discriminator_optimizer = lambda parameters: torch.optim.Adam(parameters, lr=3e-3)
    logged_after(vocoder, [batch] * 10, tmp_path)
    real = batch.source
    with torch.no_grad():
        fake = vocoder.transfer(real)
        for of_real, of_fake in zip(vocoder.discriminator(real), vocoder.discriminator(fake), strict=True):
            assert of_real.logits.mean() > of_fake.logits.mean()


def test_both_sides_are_learned_from_in_whole_frames(vocoder, batch):
    assert vocoder.recordings(batch._replace(source=batch.source[:, :8000])).shape == (4, 125 * 64)
    without_reference = batch._replace(reference=torch.zeros(2, 0))
    torch.testing.assert_close(vocoder.recordings(without_reference), batch.source)


@pytest.mark.parametrize("n_samples", [0, 1, 63, 700, 50_021])
def test_any_length_comes_back(vocoder, n_samples):
    with torch.inference_mode():
        result = vocoder.transfer(torch.randn(2, n_samples).clamp(-1, 1))
    assert result.shape == (2, n_samples) and result.isfinite().all()


def test_a_long_recording_has_no_seams(vocoder):
    """Flux where chunks of the generator meet, against elsewhere, on a steady tone."""
    with torch.inference_mode():
        audio = vocoder.transfer(tone(n_samples=3 * 512 * 64))
    frames = audio[0].unfold(0, 64, 64) * torch.hann_window(64)
    flux = torch.fft.rfft(frames).abs().diff(dim=0).clamp(min=0).sum(1)
    joins = torch.cat([flux[n - 2 : n + 2] for n in (512, 1024)])
    assert joins.mean() < 1.2 * flux[20:-20].mean()
    assert joins.max() <= 1.001 * flux[20:-20].max()


def test_the_output_follows_the_source_and_not_its_polarity(vocoder):
    """Mel frames have no sign: what is heard is the same, and which way up it is, the generator decides."""
    with torch.inference_mode():
        result = vocoder.transfer(tone(330.0))
        torch.testing.assert_close(vocoder.transfer(-tone(330.0)), result)
        assert not torch.allclose(vocoder.transfer(tone(440.0)), result, atol=1e-4)


def test_an_offset_of_the_generator_is_not_heard(vocoder):
    with torch.inference_mode():
        vocoder.network.conv_post.bias += 0.5
        raw = vocoder.network(vocoder.mel(tone(n_samples=SAMPLE_RATE), SAMPLE_RATE))
        heard = vocoder.transfer(tone(n_samples=SAMPLE_RATE))
    assert heard[:, SAMPLE_RATE // 2 :].mean().abs() < 0.02 * raw.mean().abs()


@pytest.mark.parametrize("training", [True, False])
def test_a_transfer_leaves_modes_and_gradients_alone(vocoder, training):
    vocoder.train(training)
    vocoder.transfer(tone(n_samples=4096))
    assert all(m.training == training for m in vocoder.modules())
    assert all(p.requires_grad and p.grad is None for p in vocoder.parameters())


def test_training_restores_what_each_turn_froze(vocoder, batch, tmp_path):
    logged_after(vocoder, [batch], tmp_path)
    assert vocoder.training and all(p.requires_grad for p in vocoder.parameters())


def test_a_mel_that_does_not_fit_is_named():
    parts = small_vocoder() | {"mel": LogMel(N_MELS, 256, 128)}
    with pytest.raises(NetworkSizeError, match=r"64 samples from each frame of 20 mels.*every 128 samples"):
        MelGANModule(**parts)


def test_validation_logs_the_losses(vocoder, batch):
    assert_validation_logs_the_losses(vocoder, batch)
