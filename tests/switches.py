"""What the switches of `experiments.command_line.trainer_settings` must not change, for any architecture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader

from datamodules.batch import TransferBatch
from experiments.command_line.trainer_settings import stepping_settings
from lightning_modules.transfer_module import TimbreTransferModule
from tests.trainers import quiet_trainer

Build = Callable[[], TimbreTransferModule]
DEFAULTS = {
    "accumulate_grad_batches": 1,
    "gradient_clip_val": None,
    "gradient_clip_algorithm": None,
    "precision": "64-true",
}


def train(module: TimbreTransferModule, batches: list[Any], **settings: Any) -> dict[str, torch.Tensor]:
    """The weights after one epoch with a trainer that is set as the command line would."""
    asked = {**DEFAULTS, **settings}
    trainer = quiet_trainer(**{**asked, **stepping_settings(asked, module)}, limit_val_batches=0)
    trainer.fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    values = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert all(torch.tensor(value).isfinite() for value in values.values()), values
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


def settled(module: TimbreTransferModule, judge: str) -> TimbreTransferModule:
    """A spectral norm comes nearer to its matrix's with every look, and two halves are looked at twice."""
    module.get_submodule(judge).eval()
    return module


def assert_halves_equal_whole(build: Build, batch: TransferBatch, n_steps: int = 3) -> None:
    """Accumulated gradients of two half batches move the weights as the whole batch does.

    Args:
        build: makes the module, always with the same weights, and optimizers that take plain gradient steps.
        batch: of an even number of examples.
        n_steps: how many; the last step ends with the epoch, in the middle of its batches.
    """
    halves = [batch.examples(slice(part, None, 2)) for part in (0, 1)]
    whole = train(build(), [batch] * n_steps)
    accumulated = train(build(), halves * n_steps, accumulate_grad_batches=2)
    before = dict(build().double().named_parameters())
    assert any(not torch.equal(weights, before[name]) for name, weights in whole.items())
    for name, weights in whole.items():
        torch.testing.assert_close(accumulated[name], weights, atol=1e-9, rtol=1e-6)


def assert_trains_and_transfers_in_bfloat16(build: Build, batch: TransferBatch) -> None:
    """Losses, weights and a transfer stay finite; weights stay float32."""
    start, module = dict(build().named_parameters()), build()
    mixed = train(module, [batch] * 2, precision="bf16-mixed")
    assert any(not torch.equal(weights, start[name]) for name, weights in mixed.items())
    assert all(weights.dtype == torch.float32 and weights.isfinite().all() for weights in mixed.values())
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        audio = module.eval().transfer(batch.source, batch.reference, batch.target_instrument)
    assert audio.float().isfinite().all()
