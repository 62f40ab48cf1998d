"""Data-parallel training of the vocoder's players, and of all four of the style transfer."""

import torch

from lightning_modules.layers.adversarial import LeastSquaresLoss
from lightning_modules.melgan import MelGANModule, MelGANStyleModule
from lightning_modules.melgan.losses import LossWeights
from tests.lightning_modules.melgan.conftest import small_style_networks, small_vocoder
from tests.two_processes import assert_two_equal_one

# Not the hinge: while all logits are within ±1, real and fake pull the last bias apart equally, and it stays.
LOSSES = {"loss_weights": LossWeights(1.0, 1.0, 1.0), "adversarial_loss": LeastSquaresLoss()}


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=1e-3)


def vocoder():
    torch.manual_seed(0)
    optimizers = dict.fromkeys(("generator_optimizer", "discriminator_optimizer"), sgd)
    return MelGANModule(**small_vocoder(), **LOSSES, **optimizers)


def style():
    torch.manual_seed(0)
    networks = small_style_networks()
    names = ("generator_optimizer", "discriminator_optimizer", "translator_optimizer", "critic_optimizer")
    return MelGANStyleModule(
        **networks, **small_vocoder(), **LOSSES, critic_turns=2, **dict.fromkeys(names, sgd)
    )


def test_two_processes_come_to_the_vocoder_of_one_with_twice_the_batch(batch, tmp_path):
    quieter = batch._replace(source=0.3 * batch.source)
    assert_two_equal_one(vocoder, [batch, quieter, batch], tmp_path)


def test_two_processes_come_to_the_style_transfer_of_one_with_twice_the_batch(batch, tmp_path):
    quieter = batch._replace(source=0.3 * batch.source)
    assert_two_equal_one(style, [batch, quieter, batch], tmp_path)
