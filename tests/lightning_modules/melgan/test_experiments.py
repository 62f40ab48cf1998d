"""The shipped MelGAN experiments: documented sizes and hyper-parameters, and curricula in their order."""

import pytest

from experiments.command_line.cli import SuiteCLI


def build(name, scale="paper"):
    return SuiteCLI(["--config", name, "--scale", scale], run=False)


def without_gains(network):
    return sum(p.numel() for name, p in network.named_parameters() if not name.endswith("original0"))


@pytest.mark.parametrize("name", ["melgan_vocoder", "melgan_style", "melgan_statistics"])
def test_paper_scale_is_the_documents(name):
    cli = build(name)
    assert without_gains(cli.model.network) == 4_260_257
    assert without_gains(cli.model.discriminator) == 16_913_859
    assert (cli.model.sample_rate, cli.model.mel.n_fft, cli.model.mel.hop) == (22_050, 1024, 256)
    generator, *_ = cli.model.configure_optimizers()
    assert generator.defaults["lr"] == 1e-4 and generator.defaults["betas"] == (0.5, 0.9)


def test_the_vocoders_segments_are_the_documents():
    data = build("melgan_vocoder").datamodule
    assert round(data.segment_s * data.sample_rate) == 8192
    assert 2 * data.batch_size == 16  # sources and references alike


def test_style_is_trained_as_documented():
    cli = build("melgan_style")
    model, data = cli.model, cli.datamodule
    *_, translator, critic = model.configure_optimizers()
    assert translator.defaults["lr"] == critic.defaults["lr"] == 2e-4
    assert translator.defaults["betas"][0] == critic.defaults["betas"][0] == 0.5
    assert (data.batch_size, model.critic_turns) == (16, 3)
    assert round(data.segment_s * data.sample_rate) >= 3 * model.siamese.chunk_frames * model.mel.hop
    assert vars(model.style_loss_weights) == {
        "style_adversarial": 1,
        "travel": 10,
        "margin": 10,
        "identity": 0.5,
    }


@pytest.mark.parametrize("scale", ["demo", "paper"])
@pytest.mark.parametrize("name", ["melgan_vocoder", "melgan_vocoder_mrstft", "melgan_style"])
def test_curricula_end_on_the_modules_own_values(name, scale):
    cli = build(name, scale)
    for name, points in cli.config.curriculum.points.items():
        owner, _, field = name.rpartition(".")
        if owner and points is not None:
            assert getattr(getattr(cli.model, owner), field) == points[-1][1], name


def test_style_comes_in_the_documents_order():
    """Vocoder's spectrum, then adversarial, then siamese."""
    curriculum = build("melgan_style").config.curriculum.points
    begins = {name.split(".")[-1]: points[0][0] for name, points in curriculum.items()}
    assert begins["stft"] <= begins["style_adversarial"] < begins["travel"] == begins["margin"]
