"""Data-parallel training of all networks, with losses that compare the recordings of both processes."""

from lightning_modules.disentangled.losses import LossWeights
from tests.lightning_modules.disentangled.conftest import build
from tests.two_processes import assert_two_equal_one, slowed


def slow_players():
    weights = LossWeights(hsic=1, info_nce=1, margin=1, adversarial=1)
    return slowed(build(history_dropout=0.0, snr_range_db=None, loss_weights=weights), 1e-2, 1e-2)


def test_two_processes_come_to_the_weights_of_one_with_twice_the_batch(pair_batch, tmp_path):
    quieter = pair_batch._replace(source=0.3 * pair_batch.source, target=0.3 * pair_batch.target)
    assert_two_equal_one(slow_players, [pair_batch, quieter, pair_batch], tmp_path)


def test_so_they_do_without_pairs(pair_batch, tmp_path):
    batch = pair_batch._replace(target=None)
    assert_two_equal_one(slow_players, [batch, batch], tmp_path)
