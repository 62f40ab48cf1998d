"""Data-parallel training of both players."""

import torch

from tests.mambamuse.conftest import build
from tests.two_processes import assert_two_equal_one


def slow_players():
    module = build()
    module.generator_optimizer = lambda parameters: torch.optim.SGD(parameters, lr=1e-3)
    module.discriminator_optimizer = lambda parameters: torch.optim.SGD(parameters, lr=1e-2)
    return module


def test_two_processes_come_to_the_weights_of_one_with_twice_the_batch(pair_batch, tmp_path):
    quieter = pair_batch._replace(source=0.3 * pair_batch.source, target=0.3 * pair_batch.target)
    assert_two_equal_one(slow_players, [pair_batch, quieter, pair_batch], tmp_path)
