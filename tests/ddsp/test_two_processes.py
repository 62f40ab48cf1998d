"""Data-parallel training: two processes on half a batch each are one process on the whole."""

import torch

from lightning_modules.ddsp import DDSPModule
from lightning_modules.ddsp.decoders import GRUDecoder
from lightning_modules.ddsp.network import DDSPNetwork
from tests.two_processes import assert_two_equal_one


def noiseless():
    """No filtered noise: every process draws its own. Plain gradient descent: see `assert_two_equal_one`."""
    torch.manual_seed(0)
    network = DDSPNetwork(GRUDecoder(64, 32), 32, layers_per_stack=1, n_noise_bands=0)
    return DDSPModule(
        network,
        16_000,
        ["flute", "violin"],
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-3),
    )


def test_two_processes_come_to_the_weights_of_one_with_twice_the_batch(tone_batch, tmp_path):
    """And to its statistics of the instrument, which are counted and not learnt."""
    different = torch.tensor([[1.0], [0.3]])
    features = tone_batch.features._replace(
        f0_hz=tone_batch.features.f0_hz * torch.tensor([[1.0], [1.5]]),
        loudness_db=tone_batch.features.loudness_db + 20 * different.log10(),
    )
    audio = tone_batch.target * different
    batch = tone_batch._replace(source=audio, target=audio, features=features)
    assert_two_equal_one(noiseless, [batch, batch._replace(target=audio.roll(500, -1))] * 5, tmp_path)
