"""Writes the best trials of a sweep as configs for `python -m experiments.run fit --config FILE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState

from experiments.command_line.catalogue import name_or_path
from experiments.command_line.resolver import BASE_KEY
from runtime.files import write_beside
from sweeps.spaces import Space


def write_best(
    study: optuna.Study, folder: Path, experiment: str, space: Space, metrics: Sequence[str]
) -> list[Path]:
    """Write a config for the best trial, or with several objectives for each trial of the Pareto front.

    Args:
        study: the study; without a complete trial nothing is written.
        folder: the folder that the files are written to.
        experiment: name or path of the experiment that was tuned, which becomes the ``base`` of each config.
        space: the space that was searched.
        metrics: names of the objectives.

    Returns:
        The paths of the files.
    """
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return []
    paths = []
    for trial in study.best_trials:
        suffix = "best" if len(metrics) == 1 else f"pareto_{trial.number:04}"
        path = folder / f"{study.study_name}_{suffix}.yaml"
        with write_beside(path) as file:
            file.write(as_config(trial, study.study_name, experiment, space, metrics).encode())
        paths.append(path)
        if len(metrics) == 1:
            break  # the others are equally good
    return paths


def as_config(trial: FrozenTrial, sweep: str, experiment: str, space: Space, metrics: Sequence[str]) -> str:
    """Write the trial's values as a config that is a difference over the experiment."""
    scores = ", ".join(f"{name} {value:.4g}" for name, value in zip(metrics, trial.values, strict=True))
    over = name_or_path(experiment)
    title = f"# {Path(over).stem}, tuned: trial {trial.number} of the sweep {sweep}, {scores} in validation"
    values = {BASE_KEY: over, **nested(space.values(trial.params))}
    return f"{title}\n{yaml.safe_dump(values, sort_keys=False)}"


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nest dotted keys: ``{"a.b": 1}`` becomes ``{"a": {"b": 1}}``."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *parents, leaf = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = value
    return tree
