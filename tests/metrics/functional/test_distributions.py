import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.metrics.pairwise import rbf_kernel

from metrics.evaluation.accumulate import FrechetDistance, KernelAudioDistance
from metrics.functional.distributions import frechet_distance, kernel_audio_distance


def gaussian(mean: float, count: int, seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, scale, (count, 8))


def test_kad_agrees_with_scikit_learns_kernel():
    preds, target = gaussian(0.5, 40, 0), gaussian(0.0, 50, 1)
    pairs = scipy.spatial.distance.pdist(target)
    gamma = 1 / (2 * np.median(pairs) ** 2)
    k_pp, k_tt, k_pt = (
        rbf_kernel(a, b, gamma=gamma) for a, b in ((preds, preds), (target, target), (preds, target))
    )
    within = (k_pp.sum() - 40) / (40 * 39) + (k_tt.sum() - 50) / (50 * 49)
    assert kernel_audio_distance(preds, target) == pytest.approx(100 * (within - 2 * k_pt.mean()))


def test_kad_of_equal_distributions_is_around_zero_whatever_the_count():
    small = [kernel_audio_distance(gaussian(0, 10, 2 * i), gaussian(0, 10, 2 * i + 1)) for i in range(200)]
    assert abs(np.mean(small)) < 0.5 < kernel_audio_distance(gaussian(1, 100, 0), gaussian(0, 100, 1))


def test_frechet_agrees_with_scipys_matrix_root():
    preds, target = gaussian(0.5, 60, 0, scale=2.0), gaussian(0.0, 70, 1)
    cov_p, cov_t = np.cov(preds.T), np.cov(target.T)
    root = scipy.linalg.sqrtm(cov_p @ cov_t).real
    expected = ((preds.mean(0) - target.mean(0)) ** 2).sum() + np.trace(cov_p + cov_t - 2 * root)
    assert frechet_distance(preds, target) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_a_shift_is_its_square():
    rows = gaussian(0, 50, 0)
    assert frechet_distance(rows + np.array([3.0] + [0.0] * 7), rows) == pytest.approx(9)


@pytest.mark.parametrize(
    ("metric", "function"),
    [(KernelAudioDistance, kernel_audio_distance), (FrechetDistance, frechet_distance)],
)
def test_the_class_only_collects(metric, function):
    preds, target = gaussian(0.5, 20, 0), gaussian(0, 30, 1)
    collected = metric()
    collected.update(torch.from_numpy(preds[:5]), torch.from_numpy(target[:25]))
    collected.update(torch.from_numpy(preds[5:]), torch.from_numpy(target[25:]))
    assert collected.compute().item() == pytest.approx(function(preds, target))


def test_one_row_is_no_distribution():
    assert np.isnan(kernel_audio_distance(gaussian(0, 1, 0), gaussian(0, 9, 1)))
    assert np.isnan(frechet_distance(gaussian(0, 9, 0), gaussian(0, 1, 1)))
