"""Any metric function of this package as a torchmetrics class, which only accumulates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric


class ExampleMean(Metric):
    """Mean of a per-example metric over the examples that have a value; the others are counted.

    ``ExampleMean(signal.lsd_mel_db, sample_rate=16000)``

    Args:
        function: ``(preds, target, **options) -> (B,)``, NaN where there is no value.
        options: further arguments of ``function``, such as ``sample_rate`` in Hz.
    """

    full_state_update = False
    total: Tensor
    count: Tensor
    n_undefined: Tensor
    """Examples without a value."""

    def __init__(self, function: Callable[..., Tensor], **options: object) -> None:
        super().__init__()
        self.function = function
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

    def compute(self) -> Tensor:
        """The mean, a scalar; NaN where no example had a value."""
        return self.total / self.count
