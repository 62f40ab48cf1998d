"""The metric functions of this package as torchmetrics classes, which only accumulate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from metrics.functional.distributions import frechet_distance, kernel_audio_distance
from metrics.registry import METRICS


class ExampleMean(Metric):
    """Mean of a per-example metric over the examples that have a value; the others are counted.

    ``ExampleMean("lsd_mel_db", sample_rate=16000)``

    Args:
        metric: a name in `metrics.registry.METRICS`, or any function ``(preds, target, **options) -> (B,)``
            that gives NaN where an example has no value.
        options: further arguments of the function, such as ``sample_rate`` in Hz.
    """

    full_state_update = False
    is_differentiable = False
    total: Tensor
    count: Tensor
    n_undefined: Tensor
    """Examples without a value."""

    def __init__(self, metric: str | Callable[..., Tensor], **options: object) -> None:
        super().__init__()
        self.function = METRICS[metric].function if isinstance(metric, str) else metric
        self.options = options
        for name in ("total", "count", "n_undefined"):
            self.add_state(name, default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch; ``preds`` and ``target`` as ``function`` takes them."""
        values = self.function(preds, target, **self.options).double()
        defined = values.isfinite()
        self.total += values[defined].sum()
        self.count += defined.sum()
        self.n_undefined += (~defined).sum()

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """What the registry says of the function; ``None`` where it is not of the registry."""
        metric = METRICS.get(self.function.__name__)
        return metric.higher_is_better if metric else None

    def compute(self) -> Tensor:
        """The mean, a scalar; NaN where no example had a value."""
        return self.total / self.count


class _SetDistance(Metric):
    """Collects the embeddings of outputs and of targets; `compute` compares the two sets."""

    full_state_update = False
    higher_is_better = False
    is_differentiable = False
    distance: Callable[[np.ndarray, np.ndarray], float]
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("preds", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add embeddings ``(P, D)`` of outputs and ``(Q, D)`` of targets."""
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """The distance of everything added so far, a scalar."""
        sides = (torch.cat(list(side)).cpu().numpy() for side in (self.preds, self.target))
        return torch.tensor(type(self).distance(*sides))


class KernelAudioDistance(_SetDistance):
    """`kernel_audio_distance` of all embeddings that it was updated with."""

    distance = staticmethod(kernel_audio_distance)


class FrechetDistance(_SetDistance):
    """`frechet_distance` of all embeddings that it was updated with."""

    distance = staticmethod(frechet_distance)
