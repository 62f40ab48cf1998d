"""What reaches the generator, what the players see, and what a transfer keeps."""

import pytest
import torch

from datamodules.corpora.corpus import CorpusError
from lightning_modules.layers.network_size import NetworkSizeError
from lightning_modules.pix2pix.losses import LossWeights
from lightning_modules.pix2pix.network import UNet
from lightning_modules.pix2pix.phase import GriffinLim, PhaseChannels, PhaseNetwork, direction
from lightning_modules.pix2pix.translation import Prediction
from tests.lightning_modules.pix2pix.conftest import HOP, N_FFT, build, tone
from tests.trainers import fit


def phase_parts():
    return [None, GriffinLim(n_iterations=3), PhaseChannels(), PhaseNetwork(UNet(4, 2, channels=(8, 8)))]


@pytest.mark.parametrize("name", vars(LossWeights()))
def test_every_term_reaches_every_weight_of_the_generator(name, pair_batch):
    module = build(phase=PhaseChannels())
    module.generator_terms(module.forward_batch(pair_batch))[name].backward()
    for parameter_name, parameter in module.network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ["phase", "heard"])
def test_the_phase_reaches_the_second_network(name, pair_batch):
    module = build(phase=PhaseNetwork(UNet(4, 2, channels=(8, 8))))
    module.generator_terms(module.forward_batch(pair_batch))[name].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.translator.phase.parameters())


def test_what_is_heard_is_right_if_magnitude_and_phase_are_and_wrong_if_one_of_them_is(pair_batch):
    module = build()
    forward, source = module.forward_batch(pair_batch), module.spectrogram.analyse(pair_batch.source)
    image = forward.target_image

    def heard(magnitude_image, phase_of):
        prediction = Prediction(magnitude_image, direction(phase_of))
        return module.generator_terms(forward._replace(prediction=prediction))["heard"].item()

    assert heard(image, forward.target) < 1e-4
    assert heard(image, source) > 0.02
    assert heard(module.spectrogram.image(source), forward.target) > 0.02


def test_the_discriminator_sees_condition_and_image_in_one_order(pair_batch):
    module, seen = build(), []
    module.discriminator.register_forward_hook(lambda _, images, __: seen.append(images))
    forward = module.forward_batch(pair_batch)
    module.generator_terms(forward)
    module.discriminator_terms(forward)["discriminator"].backward()
    conditions, images = zip(*(inputs[:2] for inputs in seen), strict=True)
    assert all(torch.equal(condition, forward.condition.image) for condition in conditions)
    of_generator, real, fake = images
    assert torch.equal(real, forward.target_image)
    assert torch.equal(of_generator, fake) and of_generator.requires_grad and not fake.requires_grad
    assert all(parameter.grad is None for parameter in module.network.parameters())


def test_the_output_changes_with_the_reference_and_only_of_its_own_example(pair_batch):
    module = build(conditioned=True).eval()
    with torch.no_grad():
        first = module.transfer(pair_batch.source, pair_batch.reference)
        other = pair_batch.reference.clone()
        other[1] = torch.randn_like(other[1]) * 0.3
        second = module.transfer(pair_batch.source, other)
    assert torch.equal(first[0], second[0])
    assert (first[1] - second[1]).norm() > 1e-2 * first[1].norm()


def test_a_reference_may_have_any_length_and_be_silent():
    module = build(conditioned=True).eval()
    for reference in (*(torch.randn(1, n_samples) for n_samples in (1, 333, 5000)), torch.zeros(1, 5000)):
        assert module.transfer(tone(300.0), reference).isfinite().all()


def test_silence_around_a_reference_changes_nothing():
    module, silence = build(conditioned=True).eval(), torch.zeros(1, 2 * 8000 + 13)
    reference = torch.cat([tone(500.0, (0.5, 0.4)), silence[:, :999], tone(700.0, (0.2, 0.1, 0.1))], dim=1)
    with torch.no_grad():
        wanted = module.transfer(tone(300.0), reference)
        for padded in ([silence, reference], [reference, silence]):
            heard = module.transfer(tone(300.0), torch.cat(padded, dim=1))
            torch.testing.assert_close(heard, wanted, atol=1e-6, rtol=1e-3)


def test_all_of_a_reference_counts():
    """What a second half plays, after the length of a slice and a rest."""
    module, rest = build(conditioned=True), torch.zeros(1, 4000)
    with torch.no_grad():
        one, other = (
            module.translator.style(torch.cat([tone(500.0), rest, tone(500.0, gains)], dim=1))
            for gains in ((1.0,), (0.2, 0.2, 0.2, 0.2))
        )
    assert (one - other).norm() > 0.01 * one.norm()


def test_no_note_of_the_reference_is_heard_where_the_source_is_quiet(pair_batch):
    """The reference's partials stand out of the output neither before nor after it has learned."""
    module = build(conditioned=True, with_judge=False)
    noise = 1e-3 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    quiet = noise + torch.cat([tone(300.0, n_samples=2000), torch.zeros(1, 6000)], dim=1)
    bins = torch.tensor([14, 28, 42])  # of 437.5 Hz in 256 samples at 8 kHz
    for n_steps in (0, 40):
        if n_steps:
            fit(module, [pair_batch] * n_steps)
        with torch.no_grad():
            heard, other = (
                module.eval().transfer(quiet, tone(hz, (0.5, 0.4, 0.3), n_samples=6000))[:, 3000:]
                for hz in (437.5, 625.0)
            )
        in_one_key, in_another = (module.spectrogram.analyse(x).abs().mean(-1) for x in (heard, other))
        change = 20 * (in_one_key / in_another).log10()[:, : module.spectrogram.n_bins]  # dB
        assert (change[:, bins] - change.median()).abs().max() < 1.0
        module.train()


@pytest.mark.parametrize("phase", phase_parts(), ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("n_samples", [0, 1, 959, 961, 5000])
def test_any_length_comes_back(phase, n_samples):
    module = build(phase=phase).eval()
    with torch.inference_mode():
        result = module.transfer(tone(300.0, n_samples=n_samples).expand(2, -1))
    assert result.shape == (2, n_samples) and result.isfinite().all()


class Passing(torch.nn.Module):
    """A generator that gives back the source's image, and ``share`` of what another makes of it."""

    in_channels = out_channels = 1
    style_size = 0

    def __init__(self, other=None, share=0.0):
        super().__init__()
        self.other, self.share = other, share

    def forward(self, images, style=None):
        same = torch.atanh(images.clamp(-1 + 1e-6, 1 - 1e-6))
        return same if self.other is None else same + self.share * self.other(images)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_generator_that_changes_nothing_gives_the_source_with_its_polarity(sign):
    module = build()
    module.translator.network = Passing()
    source = sign * tone(200.0, (1.0, 0.5), n_samples=7777).clamp(min=0)  # asymmetric
    torch.testing.assert_close(module.transfer(source), source, atol=2e-3, rtol=0)


def spectral_flux(audio):
    """Growth of magnitude from frame to frame, as a share of the mean magnitude, ``(N − 1,)``."""
    window = torch.hann_window(N_FFT)
    magnitude = torch.stft(audio, N_FFT, HOP, window=window, return_complex=True).abs()[0]
    return magnitude.diff(dim=-1).clamp(min=0).sum(0) / magnitude.sum(0).mean()


def flux_at_joins_and_elsewhere(phase, overlap_frames):
    """Of a chord in faint noise, changed by a network that sees the edges of its slices: 95th percentiles."""
    torch.manual_seed(0)
    chord = sum(tone(hz, (1.0, 0.3), n_samples=40_000) for hz in (262.0, 330.0, 392.0)) / 3
    module = build(phase=phase, slice_frames=64, overlap_frames=overlap_frames).eval()
    module.translator.network = Passing(module.network, share=2.0)
    with torch.inference_mode():
        flux = spectral_flux(module.transfer(chord + 0.0005 * torch.randn(1, 40_000)))
    starts = torch.arange(0, 40_000, module.slice_samples - module.overlap_samples)[1:] // HOP
    here = torch.arange(len(flux))[:, None]
    joined = ((here >= starts - 2) & (here <= starts + overlap_frames + 1)).any(1)
    inside = slice(8, starts[-1] - 8)  # not where the music begins and ends
    return flux[inside][joined[inside]].quantile(0.95), flux[inside][~joined[inside]].quantile(0.95)


@pytest.mark.parametrize("phase", [None, GriffinLim(n_iterations=10)], ids=["source", "GriffinLim"])
def test_joins_of_slices_cannot_be_told_from_elsewhere(phase):
    at_joins, elsewhere = flux_at_joins_and_elsewhere(phase, overlap_frames=16)
    assert at_joins < 1.1 * elsewhere
    at_joins, elsewhere = flux_at_joins_and_elsewhere(phase, overlap_frames=0)
    assert at_joins > 1.3 * elsewhere  # the same measure hears joins that are not faded


def test_slices_of_a_validation_clip_are_examples_of_their_own(pair_batch):
    module = build(conditioned=True)
    longer = pair_batch._replace(source=torch.randn(2, 3500), target=torch.randn(2, 3500))
    forward = module.forward_batch(longer)
    assert len(forward.target) == 6  # three whole slices of each; the rest is left out
    step, length = module.slice_samples, module.slice_samples + N_FFT
    parts = (longer.source[:, step : step + length], longer.target[:, step : step + length])
    alone = module.forward_batch(pair_batch._replace(source=parts[0], target=parts[1]))
    torch.testing.assert_close(forward.target[[1, 4]], alone.target)
    torch.testing.assert_close(forward.condition.image[[1, 4]], alone.condition.image)


def test_a_segment_shorter_than_a_slice_is_continued_with_silence(pair_batch):
    module = build()
    short = pair_batch._replace(source=pair_batch.source[:, :700], target=pair_batch.target[:, :700])
    whole = torch.nn.functional.pad(short.source, (0, pair_batch.source.shape[-1] - 700))
    expected = module.translator.condition(whole, None)
    torch.testing.assert_close(module.forward_batch(short).condition.image, expected.image)


def test_a_transfer_leaves_the_mode_as_it_was():
    module = build()
    for mode in (True, False):
        module.train(mode)
        module.transfer(tone(300.0))
        assert all(part.training is mode for part in module.modules())


def test_another_target_than_the_trained_one_is_refused(pair_batch):
    module = build()
    module.trained_instruments.observe(pair_batch.target_instrument)
    module.transfer(pair_batch.source, target_instrument=pair_batch.target_instrument)
    with pytest.raises(CorpusError, match=r"trained to play bright cannot play dull"):
        module.transfer(pair_batch.source, target_instrument=pair_batch.source_instrument)


def test_two_targets_without_a_reference_are_refused():
    with pytest.raises(CorpusError, match=r"learns one instrument.*dull, bright"):
        build().trained_instruments.observe(torch.tensor([0, 1]))
    build(conditioned=True).trained_instruments.observe(torch.tensor([0, 1]))


def test_a_conditioned_model_asks_for_its_reference(pair_batch):
    with pytest.raises(CorpusError, match=r"--reference"):
        build(conditioned=True).transfer(pair_batch.source)
    with pytest.raises(CorpusError, match=r"OneShotDataModule"):
        build(conditioned=True).forward_batch(pair_batch._replace(reference=torch.zeros(2, 0)))


def test_unpaired_data_is_refused(pair_batch):
    with pytest.raises(CorpusError, match=r"learns from pairs"):
        build().forward_batch(pair_batch._replace(target=None))


def test_images_that_do_not_fit_are_refused():
    module, styled = build(), build(conditioned=True)
    with pytest.raises(NetworkSizeError, match=r"takes 1 images and gives 1.*must take and give 3"):
        type(module)(module.network, None, 8000, phase=PhaseChannels())
    with pytest.raises(NetworkSizeError, match=r"takes a style of 8 numbers, and is given 0"):
        type(module)(styled.network, None, 8000)
    with pytest.raises(NetworkSizeError, match=r"discriminator takes .* a style of 0 numbers.* and 8"):
        encoder = styled.translator.style_encoder
        type(module)(styled.network, module.discriminator, 8000, style_encoder=encoder)
    with pytest.raises(NetworkSizeError, match=r"below half of slice_frames \(16\), found 8"):
        build(overlap_frames=8)
