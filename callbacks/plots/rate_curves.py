"""The curve of a learning-rate range test: loss against rate, what it suggests, and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runtime.files import write_beside

SMOOTHING = 0.04
"""Width of the smoothing: standard deviation of a Gaussian, as a share of the test's batches."""


class RateCurve(NamedTuple):
    """The losses of one optimizer under a growing learning rate.

    Smith, Cyclical learning rates for training neural networks, arXiv 1506.01186, section 3.3; the rate grows
    exponentially here, so that six decades fit into one test.
    """

    rates: np.ndarray
    """``(n,)``, growing."""
    losses: np.ndarray
    """``(n,)``; the loss of the batch *after* the step with the rate, the first one that the step changes."""

    def smoothed(self) -> np.ndarray:
        """Losses ``(n,)`` without the noise of batches, smoothed to both sides so that nothing is shifted."""
        from scipy.ndimage import gaussian_filter1d

        # One exploding batch at the end must not be all that is left of its neighbourhood.
        highest = 2 * np.abs(self.losses[: max(1, len(self.losses) // 10)]).max()
        bounded = np.clip(self.losses, None, highest)
        return gaussian_filter1d(bounded, SMOOTHING * len(bounded), mode="nearest")

    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls most steeply over log rate; ``None`` if it never falls.

        Rates above `lowest` are left out: a loss that exploded may fall steeply too.
        """
        smoothed = self.smoothed()
        n_useful = int(smoothed.argmin()) + 1
        if n_useful < 2:
            return None
        slope = np.gradient(smoothed[:n_useful], np.log(self.rates[:n_useful]))
        return float(self.rates[slope.argmin()])

    def lowest(self) -> float:
        """The rate with the lowest smoothed loss: higher ones do harm."""
        return float(self.rates[self.smoothed().argmin()])


def draw_curves(curves: Mapping[str, RateCurve], path: Path) -> None:
    """Draw a panel for each curve, with its suggestion, into a PNG file, written whole or not at all."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(4.2 * len(curves), 3.0), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for axis, (name, curve) in zip(axes, curves.items(), strict=True):
        axis.semilogx(curve.rates, curve.losses, color="tab:blue", lw=0.6, alpha=0.5)
        axis.semilogx(curve.rates, curve.smoothed(), color="tab:blue")
        suggestion = curve.suggestion()
        if suggestion is not None:
            axis.axvline(suggestion, color="tab:orange", label=f"steepest: {suggestion:.1e}")
            axis.legend(fontsize="small")
        smoothed = curve.smoothed()
        margin = 0.1 * (smoothed.max() - smoothed.min()) or 1.0
        axis.set(title=name, xlabel="learning rate", ylabel="loss of the next batch")
        axis.set_ylim(smoothed.min() - margin, smoothed.max() + margin)
    with write_beside(path) as file:
        figure.savefig(file, format="png", dpi=90)
