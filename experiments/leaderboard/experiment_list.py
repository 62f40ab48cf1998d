"""The list of what a campaign trains and tests: a YAML file, read and checked before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.command_line import catalogue
from runtime.arguments import positive_float
from runtime.errors import UserError, nearest
from runtime.yaml_files import read_mapping

PARTS = ("options", "experiments", "anchors")


class ListedExperiment(NamedTuple):
    """One experiment to train and test, or to test with the weights of another."""

    name: str
    """A name of the catalogue, or the path of a YAML file."""
    minutes: float = 1.0
    """Processor time of training and test at ``demo`` scale, about."""
    options: tuple[str, ...] = ()
    """Further options of ``python -m experiments.run``."""
    tests: str | None = None
    """The experiment of the list whose best checkpoint is tested; nothing is trained then."""


class ExperimentList(NamedTuple):
    """What a campaign trains and tests."""

    experiments: tuple[ListedExperiment, ...]
    anchors: tuple[ListedExperiment, ...] = ()
    """Experiments on whose test data the anchors are tested."""
    options: tuple[str, ...] = ()
    """Further options of all experiments."""


def read_list(path: Path) -> ExperimentList:
    """Read the list of a campaign.

    Raises:
        UserError: the file cannot be read, an entry is not understood or names nothing that there is.
    """
    content = read_mapping(path)
    _require_known(content, PARTS, str(path))
    found = ExperimentList(
        tuple(_entry(given, path) for given in _list(content, "experiments", path)),
        tuple(_entry(given, path) for given in _list(content, "anchors", path)),
        _options(content, str(path)),
    )
    if not found.experiments:
        raise UserError(
            f"{path} lists no experiments; it needs `experiments: [{{name: ddsp, minutes: 11}}]`."
        )
    _require_consistent(found.experiments, path)
    return found


def _list(content: Mapping[str, Any], part: str, path: Path) -> list[Any]:
    value = content.get(part) or []
    if not isinstance(value, list):
        raise UserError(f"{path}: `{part}` must be a list, found {value!r}.")
    return value


def _entry(given: Any, path: Path) -> ListedExperiment:
    where = f"{path}, {given!r}"
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise UserError(f"{where}: an entry needs the name of an experiment, as in {{name: ddsp}}.")
    _require_known(given, ListedExperiment._fields, where)
    catalogue.find(given["name"])
    minutes = given.get("minutes", 1.0)
    positive_float.require(minutes, f"{where}: minutes")
    tests = given.get("tests")
    return ListedExperiment(
        given["name"], minutes, _options(given, where), None if tests is None else str(tests)
    )


def _options(content: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value = content.get("options") or []
    if not isinstance(value, list) or not all(isinstance(option, str | int | float) for option in value):
        raise UserError(
            f"{where}: `options` must be a list, as in [--trainer.max_epochs, 8], found {value!r}."
        )
    return tuple(map(str, value))


def _require_known(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in map(str, content):
        if key not in known:
            raise UserError(f"{where} has no key '{key}'; there are {', '.join(known)}.{nearest(key, known)}")


def _require_consistent(entries: tuple[ListedExperiment, ...], path: Path) -> None:
    name, count = Counter(entry.name for entry in entries).most_common(1)[0]
    if count > 1:
        raise UserError(f"{path} lists '{name}' {count} times; keep one.")
    trained = [entry.name for entry in entries if entry.tests is None]
    for entry in entries:
        if entry.tests is not None and entry.tests not in trained:
            raise UserError(
                f"{path}: '{entry.name}' tests '{entry.tests}', which the list does not train."
                f"{nearest(entry.tests, trained)}"
            )
