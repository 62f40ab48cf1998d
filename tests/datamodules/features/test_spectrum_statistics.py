"""Statistics of spectra: one pass agrees with two, and they are computed once."""

import numpy as np
import pytest
import torch

from datamodules.corpora.corpus import Corpus
from datamodules.features.spectrum_statistics import UNIFIED, Moments, StatisticsCache
from lightning_modules.layers.dsp.spectral import stft_magnitude


def test_parts_add_up_to_the_whole():
    frames = torch.randn(2, 3, 1000)
    parts = [Moments.of(part) for part in frames.split([1, 99, 500, 400], dim=-1)]
    whole = parts[0].merged(parts[1]).merged(parts[2].merged(parts[3])).statistics()
    torch.testing.assert_close(whole.mean, frames.mean(-1))
    torch.testing.assert_close(whole.std, frames.std(-1, correction=0))


def test_a_small_spread_around_a_large_mean_is_not_lost():
    """The difference of mean square and squared mean would be rounding noise."""
    spread = torch.randn(1, 4000, dtype=torch.double)
    blocks = (1e9 + spread).split(7, dim=-1)
    moments = Moments.of(blocks[0])
    for block in blocks[1:]:
        moments = moments.merged(Moments.of(block))
    assert moments.statistics().std.item() == pytest.approx(spread.std(correction=0).item(), rel=1e-6)


@pytest.fixture
def corpus(tiny_corpus, tmp_path):
    """The tiny corpus, with room for statistics of this test alone."""
    (tmp_path / "audio").symlink_to(tiny_corpus.root / "audio")
    return Corpus(tmp_path, tiny_corpus.manifest, tiny_corpus.items)


class Counting:
    """Magnitudes, and how often they were asked for."""

    n_calls = 0

    def __call__(self, audio):
        self.n_calls += 1
        return stft_magnitude(audio, 256, 128)


def test_statistics_are_those_of_all_training_frames_at_once(corpus):
    cache = StatisticsCache(corpus, "magnitude", Counting())
    cache.build()
    found = cache.read()
    assert set(found) == {*corpus.instruments, UNIFIED}

    def at_once(instrument):
        items = corpus.select("train", instrument=instrument)
        audio = [torch.from_numpy(corpus.read(item))[None] for item in items]
        return torch.cat([stft_magnitude(one, 256, 128)[0] for one in audio], dim=-1)

    for name in ("violin", UNIFIED):
        frames = at_once(None if name == UNIFIED else name)
        torch.testing.assert_close(found[name].mean, frames.mean(-1), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found[name].std, frames.std(-1, correction=0), rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found["violin"].mean, found[UNIFIED].mean, rtol=0.05)


def test_they_are_computed_once_and_the_file_is_plain_arrays(corpus):
    transform = Counting()
    cache = StatisticsCache(corpus, "magnitude", transform)
    cache.build()
    first = transform.n_calls
    StatisticsCache(corpus, "magnitude", transform).build()
    assert transform.n_calls == first > 0
    with np.load(cache.path, allow_pickle=False) as file:
        assert file["unified.mean"].shape == (129,)
    assert not list(cache.path.parent.glob("*.partial"))
