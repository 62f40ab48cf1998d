"""The shipped configs are the experiments that they say they are."""

import pytest

from experiments.command_line.cli import SuiteCLI


def build(experiment, scale="paper"):
    return SuiteCLI(["--config", experiment, "--scale", scale], run=False)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def rates(cli):
    generator, discriminator = cli.model.configure_optimizers()
    return generator.param_groups[0]["lr"], discriminator.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("experiment", "target", "documented"),
    [
        ("pix2pix", "guitar_acoustic", (5e-5, 5e-6)),
        ("pix2pix_string", "string_acoustic", (1e-5, 1e-5)),
        ("pix2pix_synth_lead", "synth_lead_synthetic", (1e-4, 1e-5)),
    ],
)
def test_pairs_have_the_documents_rates(experiment, target, documented):
    cli = build(experiment)
    assert rates(cli) == documented
    assert (cli.datamodule.source_instruments, cli.datamodule.target_instruments) == (
        ["keyboard_acoustic"],
        [target],
    )


def test_the_paper_scale_is_the_documents():
    cli = build("pix2pix_multitarget")
    assert rates(cli) == (1e-5, 5e-6)
    # The document's network with one image, and what the style adds to its seven decoder blocks.
    n_modulated = 2 * sum(2 * width for width in (512, 512, 512, 512, 256, 128, 64))
    assert count(cli.model.network) == 54_408_833 + (128 + 1) * n_modulated
    data, model = cli.datamodule, cli.model
    assert (data.sample_rate, data.batch_size, data.batches_per_epoch) == (44_100, 8, 8578)
    assert model.slice_samples == 255 * 512
    assert round(data.segment_s * data.sample_rate) == model.slice_samples + 1024


@pytest.mark.parametrize("experiment", ["pix2pix", "pix2pix_multitarget"])
def test_training_segments_are_as_long_as_slices_at_demo_scale(experiment):
    cli = build(experiment, "demo")
    segment = round(cli.datamodule.segment_s * cli.datamodule.sample_rate)
    assert segment == cli.model.slice_samples + cli.model.spectrogram.n_fft


def test_any_to_any_has_every_instrument_on_both_sides():
    data = build("pix2pix_any_to_any", "demo").datamodule
    assert data.source_instruments == data.target_instruments == data.instruments
