"""Search spaces: YAML files in ``spaces/`` that give config keys their distributions.

::

    objectives: [val/joint_score]
    space:
      model.init_args.network.init_args.hidden_size: {type: categorical, choices: [128, 256]}
      model.init_args.optimizer.init_args.lr:
        {type: float, low: 1.0e-4, high: 1.0e-2, log: true, range_test: network}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.command_line.catalogue import find
from experiments.command_line.resolver import with_bases
from runtime.errors import UserError, nearest
from runtime.yaml_files import read_mapping

if TYPE_CHECKING:
    import optuna

SPACES = Path(__file__).parent / "spaces"
ENTRIES = ("objectives", "space")
FIELDS = {
    "float": {"low", "high", "log", "step", "range_test"},
    "int": {"low", "high", "log", "step"},
    "categorical": {"choices"},
}
"""The fields that a distribution of each type may have."""
Value = Any
"""The value of a config key: anything that YAML can write."""


class Distribution(NamedTuple):
    """The distribution from which the values of a config key are drawn."""

    kind: str
    """``float``, ``int`` or ``categorical``."""
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    """Whether values are drawn uniformly in their logarithm."""
    step: float | int | None = None
    choices: tuple[Value, ...] = ()
    range_test: str | None = None
    """What the optimizer of this rate trains, as `lr_find` names it. Its suggestion is tried early."""

    def corners(self) -> list[Value]:
        """List the values that an experiment is most likely to refuse: both ends, or every choice."""
        return list(self.choices) or [self.low, self.high]

    def holds(self, value: Value) -> bool:
        """Whether ``value`` can be drawn, apart from the grid of ``step``."""
        if self.kind == "categorical":
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    def clipped(self, value: float) -> float:
        """Clip ``value`` to the interval [low, high]."""
        return min(max(value, self.low), self.high)

    def suggest(self, trial: optuna.Trial, key: str) -> Value:
        """Draw the trial's value for ``key``."""
        if self.kind == "float":
            return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)
        if self.kind == "int":
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(key, low, high, log=self.log, step=step)
        texts = [as_text(choice) for choice in self.choices]  # Optuna stores no lists
        return self.choices[texts.index(trial.suggest_categorical(key, texts))]

    def stored(self, value: Value) -> Value:
        """Convert ``value`` to the form in which Optuna stores it."""
        return as_text(value) if self.kind == "categorical" else value


class Space(NamedTuple):
    """A search space: the distributions of config keys, and the objectives."""

    path: str
    text: str
    """The whole text of the file."""
    objectives: tuple[str, ...]
    """Names of validation metrics."""
    distributions: Mapping[str, Distribution]
    """The distribution of each config key."""

    def suggest(self, trial: optuna.Trial) -> dict[str, Value]:
        """Draw the trial's value for every key."""
        return {key: distribution.suggest(trial, key) for key, distribution in self.distributions.items()}

    def values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """Convert the parameters of a finished trial, as Optuna stored them, to config values."""
        found = {}
        for key, stored in params.items():
            choices = self.distributions[key].choices
            found[key] = next((choice for choice in choices if as_text(choice) == stored), stored)
        return found

    def stored(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Convert ``values`` to the form in which Optuna stores them."""
        return {key: self.distributions[key].stored(value) for key, value in values.items()}

    def as_data(self) -> dict[str, Any]:
        """Convert the space to plain data, which is equal for equal spaces."""
        return {key: list(distribution) for key, distribution in self.distributions.items()}


def as_text(value: Value) -> str:
    """Write a value as text for a command line."""
    return value if isinstance(value, str) else json.dumps(value)


def as_options(values: Mapping[str, Value]) -> list[str]:
    """Write config values as options of a command line."""
    return [part for key, value in values.items() for part in (f"--{key}", as_text(value))]


def find_space(experiment: str) -> Path:
    """Find the shipped space of an experiment, or that of the nearest of its bases that has one.

    Raises:
        UserError: neither the experiment nor one of its bases has a space.
    """
    parts = [part.stem for part in with_bases(find(experiment))]
    for name in reversed(parts):
        if (path := SPACES / f"{name}.yaml").is_file():
            return path
    raise UserError(
        f"There is no search space for {experiment} in {SPACES}; there are those of "
        f"{', '.join(sorted(path.stem for path in SPACES.glob('*.yaml')))}. Give your own with --space FILE."
    )


def read_space(path: Path) -> Space:
    """Read a space, and check everything that can be checked without the experiment.

    Raises:
        UserError: the file or a distribution in it is wrong.
    """
    content = read_mapping(path)
    if unknown := [str(name) for name in content if name not in ENTRIES]:
        hint = nearest(unknown[0], ENTRIES)
        raise UserError(f"{path} has the entry '{unknown[0]}'; it may have objectives and space.{hint}")
    space = content.get("space")
    if not isinstance(space, dict) or not space:
        raise UserError(f"{path} needs an entry 'space' that gives config keys their distributions.")
    objectives = content.get("objectives") or []
    if not isinstance(objectives, list) or not all(isinstance(name, str) for name in objectives):
        raise UserError(f"{path} has the objectives {objectives!r}; they must be a list of metrics.")
    distributions = {str(key): _distribution(path, str(key), given) for key, given in space.items()}
    return Space(str(path), path.read_text(encoding="utf-8"), tuple(objectives), distributions)


def _distribution(path: Path, key: str, given: Any) -> Distribution:
    where = f"{path}, {key}"
    kind = str(given.get("type")) if isinstance(given, dict) else ""
    if kind not in FIELDS:
        raise UserError(
            f"{where}: the type must be {', '.join(FIELDS)}, found '{kind}'.{nearest(kind, FIELDS)}"
        )
    fields = {str(name): value for name, value in given.items() if name != "type"}
    if unknown := sorted(set(fields) - FIELDS[kind]):
        raise UserError(
            f"{where}: a distribution of type {kind} has no '{unknown[0]}'; it may have "
            f"{', '.join(sorted(FIELDS[kind]))}.{nearest(unknown[0], FIELDS[kind])}"
        )
    return _choices(where, fields) if kind == "categorical" else _interval(where, kind, fields)


def _choices(where: str, fields: dict[str, Any]) -> Distribution:
    choices = fields.get("choices")
    if not isinstance(choices, list) or len(set(map(as_text, choices))) < max(2, len(choices)):
        raise UserError(
            f"{where}: choices must be a list of two or more different values, found {choices!r}."
        )
    return Distribution("categorical", choices=tuple(choices))


def _interval(where: str, kind: str, fields: dict[str, Any]) -> Distribution:
    numbers = {"low": None, "high": None} | {k: v for k, v in fields.items() if k in ("low", "high", "step")}
    for name, value in numbers.items():
        if not _is_number(value, kind):
            raise UserError(f"{where}: {name} must be {kind}, found {value!r}.{_yaml_float(value)}")
    found = Distribution(kind, **fields)
    if not isinstance(found.log, bool):
        raise UserError(f"{where}: log must be true or false, found {found.log!r}.")
    if not found.low < found.high or (found.log and found.low <= 0):
        raise UserError(
            f"{where}: low must be less than high, and with log above 0; found {found.low} and {found.high}."
        )
    if found.step is not None and not 0 < found.step <= found.high - found.low:
        raise UserError(
            f"{where}: step must be above 0 and at most high − low = {found.high - found.low:g}, found "
            f"{found.step}."
        )
    if found.log and found.step is not None:
        raise UserError(f"{where}: a distribution has a step or is log, not both.")
    return found


def _is_number(value: Any, kind: str) -> bool:
    types = int if kind == "int" else (int, float)
    return isinstance(value, types) and not isinstance(value, bool) and math.isfinite(value)


def _yaml_float(value: Any) -> str:
    """Explain that YAML reads 1e-4 as text; gives nothing where that is not the mistake."""
    try:
        return f" YAML takes {value} for a word: write {float(value):.1e}." if isinstance(value, str) else ""
    except ValueError:
        return ""
