"""Accumulation and mixed precision under manual optimisation."""

from lightning_modules.disentangled.losses import LossWeights
from tests.lightning_modules.disentangled.conftest import build
from tests.lightning_modules.disentangled.test_two_processes import slow_players
from tests.switches import assert_halves_equal_whole, assert_trains_and_transfers_in_bfloat16
from tests.two_processes import slowed


def comparing_nothing():
    """Without the terms that compare the recordings of a batch with one another: a half has fewer of them."""
    return slowed(
        build(history_dropout=0.0, snr_range_db=None, loss_weights=LossWeights(hsic=0, info_nce=0, margin=0)),
        1e-2,
        1e-2,
    )


def test_two_half_batches_are_a_whole(pair_batch):
    assert_halves_equal_whole(comparing_nothing, pair_batch)


def test_it_trains_and_transfers_in_bfloat16(pair_batch):
    assert_trains_and_transfers_in_bfloat16(slow_players, pair_batch)
