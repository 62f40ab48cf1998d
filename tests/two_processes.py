"""Two processes on half a batch each must come to the weights of one process on the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batch import TransferBatch
from tests.trainers import quiet_trainer

N_STEPS = 20


class Dealt(L.LightningDataModule):
    """Fixed batches, of which every process gets its share of the examples."""

    def __init__(self, batches: Sequence[TransferBatch]) -> None:
        super().__init__()
        self.batches = batches

    def train_dataloader(self) -> DataLoader[TransferBatch]:
        assert self.trainer is not None
        rank, n_ranks = self.trainer.global_rank, self.trainer.world_size
        shares = [batch.examples(slice(rank, None, n_ranks)) for batch in self.batches]
        return DataLoader(shares, batch_size=None)  # type: ignore[arg-type]


class KeepWeights(L.Callback):
    """Every process writes its module's state when the training ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        torch.save(pl_module.state_dict(), self.folder / f"rank{trainer.global_rank}.pt")


def slowed(module: Any, generator_rate: float, discriminator_rate: float) -> Any:
    """The module with two players that take plain gradient steps, whose size tells of every difference."""
    module.generator_optimizer = lambda parameters: torch.optim.SGD(parameters, lr=generator_rate)
    module.discriminator_optimizer = lambda parameters: torch.optim.SGD(parameters, lr=discriminator_rate)
    return module


def train_on(
    n_processes: int,
    build: Callable[[], L.LightningModule],
    batches: Sequence[TransferBatch],
    folder: Path,
    ddp: str = "ddp_fork_find_unused_parameters_true",
) -> list[dict[str, Tensor]]:
    """The state of every process' module after one epoch of ``batches``."""
    folder.mkdir()
    strategy = "auto" if n_processes == 1 else ddp
    trainer = quiet_trainer(
        devices=n_processes,
        strategy=strategy,
        precision="64-true",  # what differs in the last digits of float32 grows over steps
        limit_val_batches=0,
        callbacks=[KeepWeights(folder)],
    )
    trainer.fit(build(), datamodule=Dealt(batches))
    return [torch.load(path, weights_only=True) for path in sorted(folder.glob("rank*.pt"))]


def assert_two_equal_one(
    build: Callable[[], L.LightningModule],
    batches: Sequence[TransferBatch],
    folder: Path,
    tolerance: float = 1e-9,
) -> None:
    """Train `N_STEPS` steps twice and compare; every weight must also have moved.

    Args:
        build: makes the module, with the same weights each time. Its optimizers should not divide by the
            gradient's own size as Adam does: rounding errors of gradients near 0 would decide their sign.
        batches: whole batches, of an even number of examples; they are trained on again and again.
        folder: an empty folder.
        tolerance: of weights, absolute.
    """
    steps = (list(batches) * N_STEPS)[:N_STEPS]
    [one] = train_on(1, build, steps, folder / "one")
    first, second = train_on(2, build, steps, folder / "two")
    before = dict(build().named_parameters())
    for name, weights in one.items():
        torch.testing.assert_close(first[name], second[name], atol=0, rtol=0, msg=lambda m: f"ranks: {m}")
        torch.testing.assert_close(first[name], weights, atol=tolerance, rtol=1e-5)
        # Buffers may stay: the singular vector of a matrix of one row has one number, ±1.
        assert name not in before or not torch.equal(weights, before[name]), f"{name} was not trained"
