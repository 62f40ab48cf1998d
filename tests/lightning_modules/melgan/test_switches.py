"""Accumulation and mixed precision under manual optimisation, of two and of four players."""

from tests.lightning_modules.melgan.test_two_processes import style, vocoder
from tests.switches import assert_halves_equal_whole, assert_trains_and_transfers_in_bfloat16, settled


def test_two_half_batches_of_the_vocoder_are_a_whole(batch):
    assert_halves_equal_whole(vocoder, batch)


def test_two_half_batches_of_the_style_transfer_are_a_whole(batch):
    assert_halves_equal_whole(lambda: settled(style(), "critic"), batch)


def test_it_trains_and_transfers_in_bfloat16(batch):
    assert_trains_and_transfers_in_bfloat16(style, batch)
