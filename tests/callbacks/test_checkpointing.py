"""Checkpoints stay what they are, and are only of moments from which a training goes on exactly."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import signal
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only
from torch.utils.data import DataLoader

from callbacks.checkpointing import BestAndLast, WholeCheckpoints
from callbacks.random_numbers import RandomNumbers
from tests.trainers import quiet_trainer


class Worsening(L.LightningModule):
    """Learns nothing, and its validation metric rises every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return (self.weight - 1.0) ** 2

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val/error", float(self.current_epoch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def saved_steps(folder: Path) -> dict[str, int]:
    return {p.stem: torch.load(p, weights_only=True)["global_step"] for p in folder.glob("*.ckpt")}


def train_worsening(folder: Path, n_batches: int, last_every_minutes: float, *watchers: L.Callback) -> None:
    """Epochs of 50 batches."""
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(50, 1)))
    checkpoints = BestAndLast("val/error", last_every_minutes=last_every_minutes, dirpath=str(folder))
    trainer = quiet_trainer(
        max_steps=n_batches, max_epochs=None, callbacks=[checkpoints, *watchers], enable_checkpointing=True
    )
    trainer.fit(Worsening(), data, data)


def test_the_last_checkpoint_is_the_last_also_where_it_is_not_the_best(tmp_path: Path) -> None:
    train_worsening(tmp_path, 150, last_every_minutes=10.0)
    assert saved_steps(tmp_path) == {"best": 50, "last": 150}


def test_the_last_checkpoint_is_kept_fresh_within_an_epoch(tmp_path: Path) -> None:
    seen = {}

    def look(trainer: L.Trainer, *_: object) -> None:
        seen[trainer.global_step] = saved_steps(tmp_path).get("last")

    watcher = L.pytorch.callbacks.LambdaCallback(on_train_batch_start=look)
    train_worsening(tmp_path, 100, 0.0, watcher)
    assert seen[30] == 30 and seen[95] == 95
    assert saved_steps(tmp_path) == {"best": 50, "last": 100}


def test_a_full_disk_is_the_systems_error_and_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"weight": torch.zeros(1)}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="a checkpoint was not written") as caught:
            WholeCheckpoints().save_checkpoint({"weight": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert torch.load(path, weights_only=True)["weight"].shape == (1,)
    assert list(tmp_path.iterdir()) == [path]


N_BATCHES, N_EPOCHS = 6, 2


class Players(L.LightningModule):
    """A GAN in small: in every batch first the generator makes a step, then the discriminator."""

    def __init__(self, between_turns: dict[int, Any]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
        self.between_turns = between_turns
        """What happens in a batch, by its number, after the generator's turn."""

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        first, second = self.optimizers()  # type: ignore[misc]
        noise = torch.randn(4, 1)
        self._turn(first, -self.discriminator(self.generator(noise)).mean())
        self.between_turns.get(self.trainer.fit_loop.total_batch_idx + 1, lambda: None)()
        fake = self.generator(noise).detach()
        self._turn(second, (self.discriminator(fake) - self.discriminator(torch.rand(4, 1))).square().mean())

    def _turn(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/error", self.generator(torch.ones(1, 1)).mean())

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(part.parameters(), lr=0.1) for part in (self.generator, self.discriminator)]


class Accumulating(Players):
    """One network, optimised by Lightning."""

    def __init__(self, between_turns: dict[int, Any]) -> None:
        super().__init__(between_turns)
        self.automatic_optimization = True

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:  # type: ignore[override]
        self.between_turns.get(self.trainer.fit_loop.total_batch_idx + 1, lambda: None)()
        return self.generator(torch.rand(4, 1)).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:  # type: ignore[override]
        return torch.optim.Adam(self.generator.parameters(), lr=0.1)


def train(
    module: L.LightningModule,
    folder: Path,
    resumed: Path | None = None,
    minutes: float = 0.0,
    **settings: Any,
) -> None:
    """Two epochs of six batches from one seed; by default ``last.ckpt`` is written after every step."""
    L.seed_everything(3, verbose=False)
    for part in module.children():
        part.reset_parameters()  # type: ignore[operator]
    checkpoints = BestAndLast("val/error", last_every_minutes=minutes, dirpath=str(folder))
    trainer = quiet_trainer(
        max_epochs=N_EPOCHS, callbacks=[RandomNumbers(), checkpoints], enable_checkpointing=True, **settings
    )
    loader = DataLoader(torch.zeros(N_BATCHES, 1))
    trainer.fit(module, loader, DataLoader(torch.zeros(1, 1)), ckpt_path=resumed, weights_only=True)


def state(path: Path) -> tuple[int, Any]:
    """The batches that a checkpoint has, and everything that training changed, as plain numbers."""
    content = torch.load(path, weights_only=True)
    n_batches = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"]
    changed = content["state_dict"], content["optimizer_states"]
    return n_batches, tree_map_only(Tensor, Tensor.tolist, changed)


def assert_same(one: Path, other: Path) -> None:
    """The last checkpoint is the same, and the best one: no validation was left out."""
    for name in ("last.ckpt", "best.ckpt"):
        assert state(one / name) == state(other / name)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def interrupt_twice() -> None:
    interrupt()
    interrupt()


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def fail() -> None:
    raise RuntimeError("diverged")


def interrupt_there() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("what", "ends_with", "n_kept"),
    [
        (interrupt, SystemExit, 9),  # the batch is finished first
        (terminate, SystemExit, 9),
        (interrupt_twice, SystemExit, 8),
        (interrupt_there, SystemExit, 8),
        (fail, RuntimeError, 8),  # half a batch is no state to go on from
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_gan_stopped_between_its_turns_goes_on_exactly(
    tmp_path: Path, what: Any, ends_with: type[BaseException], n_kept: int
) -> None:
    train(Players({}), tmp_path / "whole")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ends_with):
        train(Players({9: what}), tmp_path / "stopped")
    assert signal.getsignal(signal.SIGINT) is before
    last = tmp_path / "stopped" / "last.ckpt"
    assert state(last)[0] == n_kept
    train(Players({}), tmp_path / "stopped", resumed=last)
    assert_same(tmp_path / "whole", tmp_path / "stopped")
    assert state(last)[0] == N_BATCHES * N_EPOCHS


@pytest.mark.parametrize("what", [interrupt, terminate, fail], ids=lambda what: what.__name__)
def test_gradients_that_wait_for_more_batches_are_not_lost(tmp_path: Path, what: Any) -> None:
    """A step is made of two batches; it ends in the first of them."""
    settings = {"accumulate_grad_batches": 2}
    train(Accumulating({}), tmp_path / "whole", **settings)
    with pytest.raises((SystemExit, RuntimeError)):
        train(Accumulating({9: what}), tmp_path / "stopped", **settings)
    last = tmp_path / "stopped" / "last.ckpt"
    assert state(last)[0] == (10 if what is interrupt else 8)
    train(Accumulating({}), tmp_path / "stopped", resumed=last, **settings)
    assert_same(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("n", [N_BATCHES - 1, N_BATCHES, N_BATCHES + 1])
def test_ctrl_c_writes_what_is_there_however_young_the_last_checkpoint(tmp_path: Path, n: int) -> None:
    train(Players({}), tmp_path / "whole", minutes=100)
    with pytest.raises(SystemExit):
        train(Players({n: interrupt}), tmp_path / "stopped", minutes=100)
    last = tmp_path / "stopped" / "last.ckpt"
    assert state(last)[0] == n
    train(Players({}), tmp_path / "stopped", resumed=last, minutes=100)
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_it_is_said_from_where_training_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError):
        train(Players({9: fail}), tmp_path, minutes=100)
    assert "ended at batch 9; last.ckpt is of batch 6" in capsys.readouterr().err
    with pytest.raises(RuntimeError):
        train(Players({3: fail}), tmp_path / "other", minutes=100)
    assert "ended at batch 3; there is no checkpoint yet" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


class SoonAgreeing(BestAndLast):
    """Several processes look at every second step."""

    _STEPS_BETWEEN_LOOKS = 2


class InterruptFirst(L.Callback):
    """Ctrl-C reaches the process that started the training, and one of its two processes."""

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:  # type: ignore[override]
        if trainer.is_global_zero and trainer.fit_loop.total_batch_idx == 2:
            os.kill(os.getppid(), signal.SIGINT)
            interrupt()


def test_processes_stop_together(tmp_path: Path) -> None:
    checkpoints = SoonAgreeing("val/error", last_every_minutes=100, dirpath=str(tmp_path))
    trainer = quiet_trainer(
        devices=2,
        strategy="ddp_fork_find_unused_parameters_true",
        callbacks=[checkpoints, InterruptFirst()],
        enable_checkpointing=True,
    )
    loader = DataLoader(torch.zeros(N_BATCHES, 1))
    with pytest.raises(SystemExit):
        trainer.fit(Accumulating({}), loader, DataLoader(torch.zeros(1, 1)))
    for process in multiprocessing.active_children():
        process.join(60)
        assert process.exitcode == 0
    assert state(tmp_path / "last.ckpt")[0] == 4
