"""Data-parallel training: two processes on half a batch each are one process on the whole."""

import torch

from lightning_modules.ddsp import DDSPModule
from lightning_modules.ddsp.articulation import Articulation
from lightning_modules.ddsp.decoders import GRUDecoder
from lightning_modules.ddsp.network import DDSPNetwork
from lightning_modules.ddsp.reverb import TrainableReverb
from lightning_modules.ddsp.synthesizers import Synthesizer
from tests.two_processes import assert_two_equal_one, train_on


def noiseless():
    """No filtered noise: every process draws its own. Plain gradient descent: see `assert_two_equal_one`."""
    torch.manual_seed(0)
    network = DDSPNetwork(GRUDecoder(64, 32), 32, layers_per_mlp=1, n_noise_bands=0)
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
    assert_two_equal_one(noiseless, [batch, batch._replace(target=audio.roll(500, -1))], tmp_path)


def with_a_closed_room_and_no_pairs():
    module = noiseless()
    module.synthesizer, module.articulation = Synthesizer(reverb=TrainableReverb(100)), Articulation(16)
    module.synthesizer.reverb.wet = 0.0
    return module


def test_lightnings_own_choice_for_several_processes_works_whatever_stands_still(tone_batch, tmp_path):
    """Without the search for unused parameters, DDP fails if one of them has no gradient."""
    first, second = train_on(
        2, with_a_closed_room_and_no_pairs, [tone_batch] * 3, tmp_path / "two", "ddp_fork"
    )
    assert all(torch.equal(second[name], weights) for name, weights in first.items())
