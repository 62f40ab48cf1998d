"""The shipped configs are the experiments that they say they are."""

import pytest

from experiments.command_line.cli import SuiteCLI


def build(experiment, scale="paper"):
    return SuiteCLI(["--config", experiment, "--scale", scale], run=False)


def count(part):
    return sum(parameter.numel() for parameter in part.parameters())


@pytest.mark.parametrize("experiment", ["mambamuse", "mambamuse_causal"])
def test_the_paper_scale_is_the_documents(experiment):
    cli = build(experiment)
    model, data = cli.model, cli.datamodule
    assert count(model.network) == 4_205_186
    assert count(model.discriminator) == 41_105_770 + 29_618_821
    assert vars(model.loss_weights) == {"mel": 45.0, "stft": 10.0, "adversarial": 1.0}
    for optimizer in model.configure_optimizers():
        assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (2e-4, (0.6, 0.99))
    assert (data.sample_rate, data.batch_size, data.segment_s) == (16_000, 32, 2.1)
    assert model.network.causal == (experiment == "mambamuse_causal")


def points_of_curricula():
    return build("mambamuse").config.curriculum.points


def test_reconstruction_comes_first_and_segments_grow():
    curricula = points_of_curricula()
    assert curricula["loss_weights.adversarial"][0][1] == 0 < curricula["loss_weights.adversarial"][-1][1]
    assert curricula["segment_share"][0][1] < curricula["segment_share"][-1][1] == 1


def test_the_learning_rate_falls_by_a_thousandth_an_epoch():
    for progress, factor in points_of_curricula()["learning_rate"][1:]:
        assert factor == pytest.approx(0.999 ** (1000 * progress), abs=0.01)


def test_unseen_instruments_and_bank_are_in_no_training():
    trained = build("mambamuse", "demo").datamodule
    heard = {*trained.source_instruments, *trained.target_instruments}
    unseen = build("mambamuse_unseen_instruments", "demo").datamodule
    assert not heard & set(unseen.target_instruments)
    assert heard | set(unseen.target_instruments) == set(trained.instruments)
    assert (trained.test_bank, build("mambamuse_unseen_bank").datamodule.test_bank) == (
        "default",
        "elsewhere",
    )
