"""Accumulation and mixed precision."""

from tests.lightning_modules.ddsp.test_two_processes import noiseless
from tests.switches import assert_halves_equal_whole, assert_trains_and_transfers_in_bfloat16


def test_two_half_batches_are_a_whole(tone_batch):
    softer = tone_batch._replace(target=tone_batch.target * 0.5)
    assert_halves_equal_whole(noiseless, softer)


def test_it_trains_and_transfers_in_bfloat16(tone_batch):
    assert_trains_and_transfers_in_bfloat16(noiseless, tone_batch)
