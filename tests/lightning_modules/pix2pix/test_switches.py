"""Accumulation and mixed precision under manual optimisation."""

from tests.lightning_modules.pix2pix.test_two_processes import slow_players
from tests.switches import assert_halves_equal_whole, assert_trains_and_transfers_in_bfloat16


def test_two_half_batches_are_a_whole(pair_batch):
    assert_halves_equal_whole(slow_players, pair_batch)


def test_it_trains_and_transfers_in_bfloat16(pair_batch):
    assert_trains_and_transfers_in_bfloat16(slow_players, pair_batch)
