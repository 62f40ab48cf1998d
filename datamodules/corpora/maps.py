"""Maps of points in many dimensions, by t-SNE: near points stay near, and colours tell what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runtime.files import write_beside


class Points(NamedTuple):
    """The points of one map, ``S`` points in ``E`` dimensions."""

    values: np.ndarray
    """``(S, E)``."""
    labels: Sequence[str]
    """A label for each point; each different label has a colour."""


def in_two_dimensions(values: np.ndarray) -> np.ndarray:
    """Place points ``(S, E)`` on a plane ``(S, 2)`` by t-SNE (van der Maaten and Hinton, JMLR 9, 2008).

    Every dimension is standardised first. Neighbourhoods have a meaning, distances and axes have none. The
    same points give the same map.
    """
    if len(values) < 3:
        return np.zeros((len(values), 2))
    from sklearn.manifold import TSNE

    spread = values.std(0)
    standardised = (values - values.mean(0)) / np.where(spread > 0, spread, 1)
    # The perplexity, a number of neighbours, has to stay well below the number of points.
    perplexity = min(30.0, (len(values) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(standardised)


def save_maps(path: Path, maps: Mapping[str, Points]) -> None:
    """Draw maps side by side into a PNG file, each under its caption."""
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=(4.8 * len(maps), 4.4), layout="constrained")
    axes = figure.subplots(1, len(maps), squeeze=False)[0]
    for axis, (caption, points) in zip(axes, maps.items(), strict=True):
        places = in_two_dimensions(points.values)
        labels = np.asarray(points.labels)
        for label in sorted(set(points.labels)):
            axis.scatter(*places[labels == label].T, s=9, alpha=0.7, label=label)
        axis.set(title=caption, xticks=[], yticks=[])
        axis.legend(fontsize="small", markerscale=2, ncols=2)
    with write_beside(path) as file:
        figure.savefig(file, format="png", dpi=90)
