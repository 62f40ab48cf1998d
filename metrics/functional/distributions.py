"""Timbre group, over a whole set: distances of two distributions of embeddings.

The functions take ``preds`` ``(P, D)`` and ``target`` ``(Q, D)``, one embedding a row, and give a float. A
set has one value, so there is none per example. NumPy only: commands that read tables do not wait for torch.
"""

from __future__ import annotations

import numpy as np

KAD_SCALE = 100.0


def kernel_audio_distance(preds: np.ndarray, target: np.ndarray) -> float:
    """Kernel audio distance: unbiased squared maximum mean discrepancy with a Gaussian kernel, × 100.

    ``100·(mean_{i≠j} k(p_i, p_j) + mean_{i≠j} k(t_i, t_j) − 2·mean k(p_i, t_j))`` with
    ``k(x, y) = exp(−‖x − y‖² / 2σ²)``, σ the median distance of pairs in ``target``. No unit, lower is
    better, 0 in expectation for equal distributions (it can be slightly negative); unlike the Fréchet
    distance it does not depend on the number of rows. Source: Chung et al., arXiv 2502.15602. NaN under two
    rows a side.
    """
    if min(len(preds), len(target)) < 2:
        return float("nan")
    preds, target = preds.astype(np.float64), target.astype(np.float64)
    among_target = _squared_distances(target, target)
    off_diagonal = among_target[~np.eye(len(target), dtype=bool)]
    bandwidth_squared = max(float(np.median(np.sqrt(off_diagonal))) ** 2, 1e-12)

    def kernel(squared: np.ndarray) -> np.ndarray:
        return np.exp(-squared / (2 * bandwidth_squared))

    within = _off_diagonal_mean(kernel(_squared_distances(preds, preds)))
    within += _off_diagonal_mean(kernel(among_target))
    return float(KAD_SCALE * (within - 2 * kernel(_squared_distances(preds, target)).mean()))


def frechet_distance(preds: np.ndarray, target: np.ndarray) -> float:
    """Fréchet distance of two Gaussians: ``‖μ_P − μ_T‖² + tr(Σ_P + Σ_T − 2·(Σ_P Σ_T)^½)``.

    Squared units of the embedding, range [0, ∞), lower is better (Kilgour et al., arXiv 1812.08466). It is
    biased upwards for few rows, so compare it only between equal counts (`TestTable.n_windows`). NaN under
    two rows a side.
    """
    if min(len(preds), len(target)) < 2:
        return float("nan")
    preds, target = preds.astype(np.float64), target.astype(np.float64)
    offset = preds.mean(0) - target.mean(0)
    cov_p, cov_t = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (preds, target))
    # tr (ΣpΣt)^½ is the sum of the roots of its eigenvalues, which are real and not negative.
    roots = np.sqrt(np.linalg.eigvals(cov_p @ cov_t).real.clip(min=0))
    return float(max(offset @ offset + np.trace(cov_p) + np.trace(cov_t) - 2 * roots.sum(), 0.0))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    products = a @ b.T
    return ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * products).clip(min=0)


def _off_diagonal_mean(matrix: np.ndarray) -> float:
    n = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (n * (n - 1)))
