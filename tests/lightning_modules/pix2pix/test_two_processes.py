"""Data-parallel training of both players."""

from tests.lightning_modules.pix2pix.conftest import build
from tests.two_processes import assert_two_equal_one, slowed


def slow_players():
    return slowed(build(), 1e-3, 1e-2)


def test_two_processes_come_to_the_weights_of_one_with_twice_the_batch(pair_batch, tmp_path):
    quieter = pair_batch._replace(source=0.3 * pair_batch.source, target=0.3 * pair_batch.target)
    assert_two_equal_one(slow_players, [pair_batch, quieter, pair_batch], tmp_path)
