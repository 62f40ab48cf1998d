"""Slices: what goes through unchanged comes back unchanged, and joins cannot be heard."""

import math

import pytest
import torch

from lightning_modules.layers.dsp.slices import in_slices

SLICE, OVERLAP = 1000, 300


@pytest.mark.parametrize("n_samples", [0, 1, 300, 999, 1000, 1001, 1700, 1701, 12_345])
def test_the_identity_is_the_identity_at_any_length(n_samples):
    audio = torch.randn(2, n_samples)
    torch.testing.assert_close(in_slices(lambda part: part, audio, SLICE, OVERLAP), audio)


def test_every_slice_has_the_length_and_all_of_the_audio_is_seen():
    seen = []

    def note(part):
        seen.append(part[0].tolist())
        return part

    in_slices(note, torch.arange(1.0, 2401.0)[None], SLICE, OVERLAP)
    assert {len(part) for part in seen} == {SLICE}
    assert {x for part in seen for x in part} == {float(x) for x in range(1, 2401)}


def test_the_audio_is_left_as_it_was():
    audio = torch.ones(1, 2500)
    in_slices(lambda part: part.mul_(3), audio, SLICE, OVERLAP)
    assert audio.unique().tolist() == [1.0]


def test_a_join_of_different_slices_is_a_fade_and_not_a_step():
    levels = iter([1.0, 2.0, 1.0, 2.0])
    result = in_slices(lambda part: torch.full_like(part, next(levels)), torch.zeros(1, 3000), SLICE, OVERLAP)
    # The steepest step of a sin² fade from 1 to 2 over n samples is π / 2n.
    assert result.diff().abs().max().item() <= 1.01 * math.pi / 2 / OVERLAP
    assert result.min() >= 1 and result.max() <= 2


def test_the_transform_sees_what_is_around_a_slice():
    """A moving average over the context, which needs it, is the same in slices and at once."""

    def averaged(part):
        return part.unfold(-1, 51, 1).mean(-1)

    audio = torch.randn(1, 4321)
    at_once = averaged(torch.nn.functional.pad(audio, (25, 25)))
    torch.testing.assert_close(in_slices(averaged, audio, SLICE, OVERLAP, context=25), at_once)
