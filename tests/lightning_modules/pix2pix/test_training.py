"""Training with a trainer: who learns when, and what is logged for training and validation."""

import lightning as L
import pytest
import torch

from callbacks.curriculum import Curriculum
from tests.lightning_modules.pix2pix.conftest import build
from tests.trainers import fit


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).clone()


def test_one_batch_is_learned(pair_batch):
    module = build()
    module.loss_weights.adversarial = 0.0
    before = module.generator_terms(module.forward_batch(pair_batch))["mae"].item()
    fit(module, [pair_batch] * 60)
    after = module.generator_terms(module.forward_batch(pair_batch))["mae"].item()
    assert after < 0.4 * before


def test_reconstruction_comes_first_and_the_discriminator_waits(pair_batch):
    module = build()
    at_start = weights(module.discriminator)
    seen = []

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(torch.equal(weights(pl_module.discriminator), at_start))

    curriculum = Curriculum({"loss_weights.adversarial": [[0.5, 0.0], [0.5, 1.0]]}, n_batches=4)
    fit(module, [pair_batch] * 4, curriculum, Watch())
    assert seen == [True, True, False, False]


def test_a_discriminator_alone_learns_to_tell_real_from_generated(pair_batch):
    module = build()
    module.generator_optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.0)
    trainer = fit(module, [pair_batch] * 40)
    assert trainer.callback_metrics["train/discriminator"] < 0.5  # a guess costs 2·ln 2


def test_the_generators_loss_is_the_weighted_sum_and_the_errors_are_those_of_images(pair_batch):
    logged = fit(build(), [pair_batch], val=[pair_batch]).callback_metrics
    expected = 100 * logged["val/mae"] + logged["val/adversarial"]
    assert logged["val/generator"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert logged["val/copy_mae"] > 0 and logged["val/audio_mae"] > 0


def test_validation_measures_without_dropout_and_training_goes_on_with_it(pair_batch):
    module, modes = build(), []
    module.network.register_forward_hook(lambda network, *_: modes.append(network.training))
    fit(module, [pair_batch] * 2, val=[pair_batch])
    assert modes[0] and modes[1] and not any(modes[2:]) and module.training
