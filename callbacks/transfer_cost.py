"""The cost of a transfer: its real-time factor and the parameters that it reads, measured with the test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from callbacks.evaluation_batches import EvaluationBatches, Stage
from callbacks.tracking.tracker import n_batches_done, tracker_of
from datamodules.batch import TransferBatch
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.threads import one_thread

REAL_TIME_FACTOR, PARAMETERS = "real_time_factor", "transfer_parameters"


class TransferCost(EvaluationBatches):
    """Log ``test/real_time_factor`` and ``test/transfer_parameters`` when a test has ended.

    A thorough validation (`TimbreTransferModule.validates_thoroughly`) logs the same as ``val/…``. The first
    example is transferred alone, as a musician would, analysis and resynthesis included.

    Args:
        repeats: how often the transfer is timed, after a first one for allocations and caches; the quickest
            counts. 0 turns the measurement off.
    """

    def __init__(self, repeats: int = 3) -> None:
        self.repeats = repeats
        self._example: tuple[Tensor, Tensor, Tensor] | None = None

    def begin(self) -> None:
        """Forget the example of the evaluation before."""
        self._example = None

    def collect(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        batch: TransferBatch,
        transfers: Tensor,
        stage: Stage,
    ) -> None:
        """Keep the first example."""
        if self._example is None:
            self._example = batch.source[:1], batch.reference[:1], batch.target_instrument[:1]

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure and log the cost, but for anchors, whose cost says nothing."""
        self._log(trainer, pl_module, "test")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure and log the cost, if this validation is a thorough one."""
        if getattr(pl_module, "validates_thoroughly", False):
            self._log(trainer, pl_module, "val")

    def _log(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        tracker = tracker_of(trainer)
        if tracker is None or self._example is None or self.repeats == 0:
            return
        if isinstance(pl_module, TimbreTransferModule) and not pl_module.is_anchor:
            values = measure_cost(pl_module, *self._example, self.repeats)
            named = {f"{stage}/{name}": value for name, value in values.items()}
            tracker.log_metrics(named, n_batches_done(trainer))


def measure_cost(
    module: TimbreTransferModule, source: Tensor, reference: Tensor, target_instrument: Tensor, repeats: int
) -> dict[str, float]:
    """Measure the real-time factor and the parameters of one transfer.

    Args:
        module: the trained transfer.
        source: ``(1, T)`` audio at the module's rate.
        reference: ``(1, R)`` audio at the module's rate.
        target_instrument: ``(1,)`` long.
        repeats: transfers that are timed, at least 1.

    Returns:
        ``real_time_factor``: seconds of work for a second of audio, below 1 is faster than real time: on
        a CPU processor time with one thread, on a GPU by the clock; the least of ``repeats``.
        ``transfer_parameters``: values of the parameters that the transfer reads, so without
        discriminators and whatever else only training needs.
    """

    def transfer() -> None:
        module.transfer(source, reference, target_instrument)

    with torch.inference_mode(), one_thread():
        n_parameters = count_read_parameters(module, transfer)
        seconds = min(_seconds(transfer, source.device) for _ in range(repeats))
    return {
        REAL_TIME_FACTOR: seconds * module.sample_rate / source.shape[-1],
        PARAMETERS: float(n_parameters),
    }


def count_read_parameters(module: nn.Module, work: Callable[[], object]) -> int:
    """Count the values of those parameters of ``module`` that torch operations take during ``work``."""
    reading = _Reading()
    # A compiled network would be traced with this mode in it, which the compiler does not understand.
    with torch.compiler.set_stance("force_eager"), reading:
        work()
    return sum(p.numel() for p in module.parameters() if id(p) in reading.seen)


class _Reading(TorchFunctionMode):
    """Notes which parameters torch functions are given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = tree_leaves((args, kwargs or {}))
        self.seen |= {id(leaf) for leaf in given if isinstance(leaf, nn.Parameter)}
        return func(*args, **(kwargs or {}))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cpu":
        start = time.process_time()  # other processes on the machine do not count
        work()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start
