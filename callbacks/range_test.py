"""Learning-rate range test of any module, with one optimizer or several, optimised by Lightning or by hand.

The test is a short training of each optimizer alone, while the others stand still, and one of all together.
Each is a `Trainer.fit` of its own, so that a loader begins where it always begins, and afterwards the module
and all random numbers are what they were before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.optim import Optimizer

from callbacks.plots.rate_curves import RateCurve
from runtime.errors import UserError

DIVERGED = 3.0
"""A loss that rose from its start by this many times its size has diverged. Relative to the start and not, as
elsewhere, to the lowest loss, because that may be zero or, in a GAN, negative."""


class RangeTestError(UserError):
    """A range test that cannot be made; the message is one sentence meant for the user."""


@dataclass
class RangeTest:
    """The settings of a range test.

    Args:
        lowest: first learning rate; nothing should happen at it.
        highest: last learning rate, unless the loss diverges before.
        n_batches: batches in each of the test's trainings; more of them show the curve through more noise.

    Raises:
        RangeTestError: the rates do not grow, or there are fewer than 10 batches.
    """

    lowest: float = 1e-6
    highest: float = 1.0
    n_batches: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest or self.n_batches < 10:
            raise RangeTestError(
                f"A range test needs 0 < lowest < highest and 10 batches or more, found {self.lowest}, "
                f"{self.highest} and {self.n_batches}."
            )

    def rates(self) -> np.ndarray:
        """``(n_batches,)``, growing by the same factor from batch to batch."""
        return np.geomspace(self.lowest, self.highest, self.n_batches)


class RateRamp(L.Callback):
    """Let the rate of one optimizer, or of all, grow from batch to batch, and note its loss.

    Args:
        rates: one for each batch; after the last one, or when a loss has diverged, the training is stopped.
        tested: index of the optimizer whose rate grows, while the others stand still; ``None``: all of them.
    """

    def __init__(self, rates: np.ndarray, tested: int | None = None) -> None:
        self.rates = rates
        self.tested = tested
        self.names: list[str] = []
        """The optimizers' names: the parts that they train."""
        self.losses: list[list[float]] = []
        """For each optimizer the loss of every batch, NaN where it made no step."""
        self._pending: list[Tensor] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin with empty curves."""
        self.names = [trained_parts(pl_module, optimizer) for optimizer in trainer.optimizers]
        self.losses = [[] for _ in trainer.optimizers]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set this batch's rate."""
        for index, optimizer in enumerate(trainer.optimizers):
            self.losses[index].append(math.nan)
            for group in optimizer.param_groups:
                group["lr"] = float(self.rates[self._n_batches - 1]) if self._is_tested(index) else 0.0

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        """Remember a loss until its optimizer steps. Automatic and manual optimisation both come here."""
        self._pending.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Note as the loss of the optimizer that steps now what was differentiated since the last step."""
        loss, self._pending = torch.stack(self._pending).sum(), []
        value = float(trainer.strategy.reduce(loss, reduce_op="mean"))
        self.losses[trainer.optimizers.index(optimizer)][-1] = math.inf if math.isnan(value) else value

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after the last rate, or when a loss has diverged."""
        tested = [losses for index, losses in enumerate(self.losses) if self._is_tested(index)]
        trainer.should_stop = self._n_batches == len(self.rates) or any(map(has_diverged, tested))

    def curves(self) -> dict[str, RateCurve]:
        """The curve of each optimizer tested that made steps, by its name."""
        found = {}
        for index, (name, losses) in enumerate(zip(self.names, self.losses, strict=True)):
            stepped = ~np.isnan(losses)
            steps = np.flatnonzero(stepped[:-1] & stepped[1:])
            if self._is_tested(index) and len(steps) > 1:
                found[name] = RateCurve(self.rates[steps], np.array(losses)[steps + 1])
        return found

    @property
    def _n_batches(self) -> int:
        return len(self.losses[0])

    def _is_tested(self, index: int) -> bool:
        return self.tested is None or self.tested == index


def has_diverged(losses: list[float]) -> bool:
    """Whether the last loss is infinite, or the last three are far above the first ones."""
    known = [loss for loss in losses if not math.isnan(loss)]
    if len(known) < 4:
        return False
    size = max(abs(loss) for loss in known[: 1 + len(known) // 10])
    return math.isinf(known[-1]) or min(known[-3:]) > known[0] + DIVERGED * size


def trained_parts(module: L.LightningModule, optimizer: Optimizer) -> str:
    """Name the parts of ``module`` that ``optimizer`` trains: ``discriminator``, or ``network+reverb``."""
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    names = (name for name, parameter in module.named_parameters() if id(parameter) in trained)
    return "+".join(dict.fromkeys(name.partition(".")[0] for name in names))


def run_range_test(
    module: L.LightningModule,
    data: Any,
    make_trainer: Callable[[L.Callback], L.Trainer],
    settings: RangeTest,
) -> dict[str, RateCurve]:
    """Test each optimizer of ``module`` alone, and all together.

    Args:
        module: the module, whose weights are afterwards what they were before.
        data: a data module or a loader.
        make_trainer: makes a trainer with the given callback and without an end of its own.
        settings: rates and number of batches.

    Returns:
        The curve of each optimizer, named ``<part> alone``, and with several of them ``<part> together``.
    """
    found: dict[str, RateCurve] = {}
    phases: list[tuple[int | None, str]] = [(0, "alone")]
    for tested, how in phases:
        ramp = RateRamp(settings.rates(), tested)
        with undone(module):
            make_trainer(ramp).fit(module, data)
        found |= {f"{name} {how}": curve for name, curve in ramp.curves().items()}
        if tested == 0 and len(ramp.names) > 1:  # how many there are shows in the first training
            phases += [*((index, "alone") for index in range(1, len(ramp.names))), (None, "together")]
    return found


@contextmanager
def undone(module: L.LightningModule) -> Iterator[None]:
    """Put weights, buffers and random numbers back at the end of the ``with`` block."""
    state = deepcopy(module.state_dict())
    try:
        with isolate_rng():
            yield
    finally:
        module.load_state_dict(state)
