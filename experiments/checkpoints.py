"""Checkpoints: find one by the name of a run, read it without running code in it, rebuild its module."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from experiments.errors import UserError
from experiments.outbox import RUNS_DIR

BEST, LAST = "best", "last"


def read(path: Path) -> dict[str, Any]:
    """Read a Lightning checkpoint onto the CPU. No code in the file can run.

    Raises:
        UserError: missing, truncated, with anything but plain data in it, or not a checkpoint of the suite.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path}; give a run's folder or name, or a .ckpt file.")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is truncated or no checkpoint: {path.stat().st_size} bytes without an end; copy it again."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch names the type it refused; whatever else fails inside a complete zip is no checkpoint either.
        raise UserError(
            f"{path} holds more than plain data and was not opened, because it could run code: "
            f"{_reason(error)}; use checkpoints of `python -m experiments.run` only."
        ) from error
    if not isinstance(content, dict) or "state_dict" not in content or "hyper_parameters" not in content:
        raise UserError(
            f"{path} is not a checkpoint of this suite: it has no state_dict and hyper_parameters."
        )
    return content


def require_fit(path: Path, class_path: str, sample_rate: int | None) -> None:
    """Check that the checkpoint belongs to a module and data.

    Raises:
        UserError: it is of another architecture or another sample rate.
    """
    params = read(path)["hyper_parameters"]
    if params.get("_class_path") != class_path:
        raise UserError(
            f"{path} is a checkpoint of {params.get('_class_path')}, the config asks for {class_path}; "
            "choose the experiment that it was trained with."
        )
    if sample_rate is not None and params.get("sample_rate") != sample_rate:
        raise UserError(
            f"{path} was trained at {params.get('sample_rate')} Hz, the config asks for {sample_rate} Hz; "
            f"set --data.init_args.sample_rate {params.get('sample_rate')}."
        )


def find(name: str, experiment: str | None = None, runs_dir: str | Path = RUNS_DIR) -> Path:
    """The checkpoint that a user means.

    Args:
        name: a ``.ckpt`` file; a run's folder or name (its best checkpoint); an experiment's name (the best
            of its latest run); ``best`` or ``last`` (of the latest run of ``experiment``).
        experiment: whose runs ``best`` and ``last`` are about.
        runs_dir: where the folders of runs are.
    """
    if name in (BEST, LAST) and experiment is not None:
        return _of_latest_run(Path(runs_dir) / experiment, name)
    path = Path(name)
    if path.is_dir():
        return _of_run(path)
    if path.suffix == ".ckpt" or path.is_file():
        return path
    for run_dir in sorted(Path(runs_dir).glob(f"*/{name}")):
        return _of_run(run_dir)
    if (Path(runs_dir) / name).is_dir():
        return _of_latest_run(Path(runs_dir) / name, BEST)
    raise UserError(f"There is no run, run folder or checkpoint '{name}' (looked in {runs_dir}/ too).")


def _of_run(run_dir: Path) -> Path:
    folder = run_dir / "checkpoints"
    for which in (BEST, LAST):
        if (folder / f"{which}.ckpt").is_file():
            return folder / f"{which}.ckpt"
    raise UserError(f"The run {run_dir} has no checkpoint (looked for {folder}/{BEST}.ckpt and {LAST}.ckpt).")


def _of_latest_run(experiment_dir: Path, which: str) -> Path:
    # Names of runs begin with the time, so the last one by name is the latest.
    found = sorted(experiment_dir.glob(f"*/checkpoints/{which}.ckpt"))
    if not found:
        raise UserError(
            f"There is no {which} checkpoint of '{experiment_dir.name}' in {experiment_dir.parent}/; "
            f"train one with `python -m experiments.run fit --config {experiment_dir.name}`."
        )
    return found[-1]


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].split("Please file an issue")[0].strip(" .")[:200]
