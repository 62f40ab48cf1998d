"""Checks a search space against the resolved config of its experiment, before the first trial.

`check` needs Lightning, so a worker calls it in a process that has imported it
(`sweeps.command_process.ask`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import yaml

from metrics.registry import Stage, measured_in
from runtime.errors import UserError, nearest, users_error
from sweeps.spaces import Space, as_options

COSTS = ("val/real_time_factor", "val/transfer_parameters")
Direction = Literal["minimize", "maximize"]


class ExperimentFacts(NamedTuple):
    """The facts about an experiment that a sweep needs, read from its resolved config."""

    name: str
    """Name of the experiment in MLflow."""
    monitor: str
    """The validation metric that chooses the best checkpoint, and by which trials are pruned."""
    monitor_direction: Direction
    own_values: dict[str, Any]
    """The experiment's own value for each key of the space."""
    batches_per_epoch: int | None
    directions: dict[str, Direction]
    """``minimize`` or ``maximize`` for each objective."""
    is_cheap: bool
    """Whether every validation measures all objectives."""


def check(
    experiment: str, scale: str, options: list[str], space: Space, objectives: list[str]
) -> ExperimentFacts:
    """Compare a space with the experiment's resolved config.

    Args:
        experiment: name or path.
        scale: scale of the sweep, ``demo`` or ``paper``.
        options: further options of `fit`, which hold for every trial.
        space: the space to check.
        objectives: names of the validation metrics that the sweep optimises.

    Raises:
        UserError: a key does not exist or has no effect, a value is refused, a metric is unknown, or the
            experiment cannot be trained. The error names it.
    """
    from experiments.command_line.cli import SuiteCLI

    fit = ["--config", experiment, "--scale", scale, *options]
    cli = SuiteCLI(fit, run=False)
    if cli.model.is_anchor:
        raise UserError(f"'{experiment}' is an anchor and has nothing to tune.")
    config: dict[str, Any] = yaml.safe_load(cli.parser.dump(cli.config, skip_none=False))
    own = {key: _own_value(space, key, config, experiment, scale) for key in space.distributions}
    _require_effect(space, config)
    _require_corners(space, fit)
    monitor = config["checkpoint"]["monitor"]
    monitor_direction: Direction = "maximize" if config["checkpoint"]["mode"] == "max" else "minimize"
    return ExperimentFacts(
        name=config["experiment"],
        monitor=monitor,
        monitor_direction=monitor_direction,
        own_values=own,
        batches_per_epoch=config["data"]["init_args"].get("batches_per_epoch"),
        directions={name: _direction(name, {monitor: monitor_direction}) for name in objectives},
        is_cheap={*objectives}
        <= {monitor, *(f"val/{metric.name}" for metric in measured_in(Stage.VALIDATION))},
    )


def _own_value(space: Space, key: str, config: Mapping[str, Any], experiment: str, scale: str) -> Any:
    keys = dict(_flat(config))
    if key in keys:
        return keys[key]
    raise UserError(
        f"{space.path} searches '{key}', but the config of {experiment} at scale {scale} has no such value."
        f"{nearest(key, keys)} `python -m experiments.run fit --config {experiment} --print_config` shows "
        "all."
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _require_effect(space: Space, config: Mapping[str, Any]) -> None:
    """Refuse a key whose value the curriculum overwrites at every batch."""
    from callbacks.curriculum import scheduled

    points = scheduled(config["curriculum"]["points"])
    for key in space.distributions:
        attribute = key.removeprefix("model.init_args.").replace(".init_args.", ".")
        if points.get(attribute) is not None:
            raise UserError(
                f"{space.path} searches '{key}', but the curriculum schedules {attribute}, so that the value "
                f"would have no effect: leave the key out, or set curriculum.points.{attribute} to null."
            )


def _require_corners(space: Space, fit: list[str]) -> None:
    """Build the experiment with the first corner of every distribution, then with the second, and so on."""
    from experiments.command_line.cli import SuiteCLI

    corners = {key: distribution.corners() for key, distribution in space.distributions.items()}
    for number in range(max(map(len, corners.values()))):
        values = {key: found[min(number, len(found) - 1)] for key, found in corners.items()}
        try:
            SuiteCLI([*fit, *as_options(values)], run=False)
        except ValueError as error:
            if (cause := users_error(error)) is None:
                raise
            shown = ", ".join(f"{key.rpartition('init_args.')[2]} {value}" for key, value in values.items())
            raise UserError(f"{space.path} allows what the experiment refuses ({shown}): {cause}") from error


def _direction(objective: str, known: Mapping[str, Direction]) -> Direction:
    measured = (m for m in measured_in(Stage.SELECTION) if m.higher_is_better is not None)
    names = {f"val/{metric.name}": metric for metric in measured}
    if objective in known:
        return known[objective]
    if objective in COSTS:
        return "minimize"
    if objective in names:
        return "maximize" if names[objective].higher_is_better else "minimize"
    choices = [*names, *(name for name in known if name not in names), *COSTS]
    raise UserError(
        f"There is no objective '{objective}'; there are {', '.join(choices)}.{nearest(objective, choices)}"
    )
