"""The experiments in ``configs/``: their names and their one-line descriptions.

This file imports nothing heavy, so that ``python -m experiments.run`` lists experiments at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from runtime.errors import UserError, nearest

CONFIGS = Path(__file__).parents[1] / "configs"
BASE = CONFIGS / "base.yaml"
"""What every experiment is a difference over."""


class Experiment(NamedTuple):
    """One file in ``configs/``."""

    name: str
    """Path below ``configs/`` without suffix; a file in a subfolder also answers to its last part."""
    path: Path
    description: str
    """The first comment of the file."""

    @property
    def group(self) -> str:
        """The subfolder, ``""`` for the architectures' own experiments."""
        return self.name.rpartition("/")[0]


def experiments() -> list[Experiment]:
    """Every shipped experiment, architectures first, then anchors, ablations and other subfolders."""
    paths = [path for path in CONFIGS.rglob("*.yaml") if path != BASE]
    found = [
        Experiment(path.relative_to(CONFIGS).with_suffix("").as_posix(), path, describe(path))
        for path in paths
    ]
    return sorted(found, key=lambda experiment: (experiment.group, experiment.name))


def anchors() -> list[Experiment]:
    """Every shipped anchor."""
    return [experiment for experiment in experiments() if experiment.group == "anchors"]


def describe(path: Path) -> str:
    """The first comment line of a YAML file, without its ``#``."""
    with path.open(encoding="utf-8") as file:
        return next((line.lstrip("# ").strip() for line in file if line.startswith("#")), "")


def find(name: str) -> Path:
    """The file of an experiment, given its name, the last part of its name, or a path to any YAML file.

    Raises:
        UserError: no such experiment; names the nearest one.
    """
    by_name = {experiment.name: experiment.path for experiment in experiments()}
    by_last_part = {full.rpartition("/")[2]: path for full, path in by_name.items()}
    if name in by_name or name in by_last_part:
        return by_name.get(name) or by_last_part[name]
    if Path(name).is_file():
        return Path(name)
    raise UserError(
        f"There is no experiment and no file named '{name}'.{nearest(name, [*by_name, *by_last_part])} "
        "`python -m experiments.run` lists the experiments."
    )


def is_shipped(path: Path) -> bool:
    """Whether a file is one of ``configs/``."""
    return path.resolve().is_relative_to(CONFIGS.resolve())


def run_name(path: Path) -> str:
    """The name under which runs of a config are filed: ``own_<name>`` where a shipped config has its name.

    So the runs of a user's own ``ddsp.yaml`` are never taken for those of the shipped ``ddsp``.
    """
    taken = {experiment.path.stem for experiment in experiments()}
    return path.stem if is_shipped(path) or path.stem not in taken else f"own_{path.stem}"


def name_or_path(name: str) -> str:
    """An experiment's name as it is, a file as an absolute path: what means the same in every folder."""
    path = find(name)
    return name if is_shipped(path) else str(path.resolve())
