"""How many processes train together, and by which strategy, so that nobody has to say what can be known.

Processes are started by ``torchrun`` or SLURM's ``srun``, which say in the environment how many there are,
or by Lightning itself (``--trainer.devices 2``). docs/many-processes.md shows all three.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

from runtime.errors import UserError

STRATEGY = "ddp_find_unused_parameters_true"
"""Data parallel. In a GAN every turn leaves the other player's parameters without a gradient, and a
curriculum may leave any; plain ``ddp`` would wait for them."""


class Launched(NamedTuple):
    """What a launcher has started."""

    by: str
    per_host: int
    hosts: int


def launched(environment: Mapping[str, str] = os.environ) -> Launched | None:
    """The processes that this one was started with; ``None`` where no launcher started it."""
    if TorchElasticEnvironment.detect():
        per_host = int(environment["LOCAL_WORLD_SIZE"])
        return Launched("torchrun", per_host, int(environment["WORLD_SIZE"]) // per_host)
    if SLURMEnvironment.detect():
        per_host = int(environment.get("SLURM_NTASKS_PER_NODE", "1"))
        return Launched("srun", per_host, int(environment.get("SLURM_NNODES", "1")))
    return None


def process_settings(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """What the trainer's settings leave open: devices and hosts as they were launched, and the strategy.

    Args:
        trainer: its settings: ``accelerator``, ``devices``, ``num_nodes`` and ``strategy``.

    Returns:
        Settings to put over them.

    Raises:
        UserError: the settings ask for devices that are not there, or for other numbers than a launcher has
            started.
    """
    require_devices(trainer["accelerator"], trainer["devices"])
    started = launched()
    found = {} if started is None else _as_launched(trainer, started)
    settings = {**trainer, **found}
    several = n_devices(settings["devices"], settings["accelerator"]) * settings["num_nodes"] > 1
    return {**found, "strategy": STRATEGY} if several and settings["strategy"] == "auto" else found


def require_devices(accelerator: Any, devices: Any) -> None:
    """Raise `UserError`, which says what there is, where a GPU is asked for that is not there."""
    n_cuda, has_mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    there = {"cuda": n_cuda, "mps": int(has_mps), "gpu": n_cuda or int(has_mps)}
    if accelerator not in there:
        return
    n_there, text = there[accelerator], str(devices).strip("[]() ")
    found = f"{n_there} GPU(s)" if n_there else "no GPU that torch can use, and a CPU"
    chosen = [int(part) for part in text.split(",") if part.strip().isdigit()]
    listed = isinstance(devices, list) or "," in text
    if n_there == 0 or (chosen and (max(chosen) + 1 if listed else chosen[0]) > n_there):
        raise UserError(
            f"trainer.accelerator {accelerator} and trainer.devices {devices} ask for what is not there; "
            f"this machine has {found}. Leave both out to use it."
        )


def n_devices(devices: Any, accelerator: Any) -> int:
    """Devices on this host that ``trainer.devices`` stands for: a number, a list, or all (``auto``, −1)."""
    text = str(devices).strip("[]() ")
    if text in ("auto", "-1"):
        return torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 1
    return len(text.split(",")) if "," in text or isinstance(devices, list) else int(text)


def _as_launched(trainer: Mapping[str, Any], started: Launched) -> dict[str, Any]:
    devices = trainer["devices"]
    asked = started.per_host if devices == "auto" else n_devices(devices, trainer["accelerator"])
    hosts = started.hosts if trainer["num_nodes"] == 1 else trainer["num_nodes"]
    if (asked, hosts) != (started.per_host, started.hosts):
        raise UserError(
            f"{started.by} has started {started.per_host} processes on each of {started.hosts} hosts, but "
            f"trainer.devices and trainer.num_nodes ask for {asked} on each of {hosts}: leave them out."
        )
    return {"num_nodes": hosts} | ({"devices": asked} if devices == "auto" else {})
