"""The experiments in ``configs/``: their names, their one-line descriptions, and how their files layer.

This file imports nothing heavy, so that ``python -m experiments.run`` lists experiments at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runtime.errors import UserError, nearest

CONFIGS = Path(__file__).parents[1] / "configs"
BASE = CONFIGS / "base.yaml"
SCALE_FOLDER = "scale"
DEFAULT_SCALE = "demo"
OVER = "# over:"
"""Begins the comment line in which a config names the experiment that it is a difference over."""


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


class Request(NamedTuple):
    """What a command line asks for, with names resolved to files."""

    experiment: str
    """Name of the run's experiment: the layered configs' names, joined by ``+``."""
    scale: str
    layers: list[Path]
    """Every YAML file in the order in which it is applied; a later one wins."""
    options: list[str]
    """The rest of the command line, applied last."""


def scales() -> list[str]:
    """The sizes an experiment can be run at."""
    return sorted(path.stem for path in (CONFIGS / SCALE_FOLDER).glob("*.yaml"))


def experiments() -> list[Experiment]:
    """Every shipped experiment, architectures first, then anchors, ablations and other subfolders."""
    paths = [path for path in CONFIGS.rglob("*.yaml") if path != BASE]
    names = {path.relative_to(CONFIGS).with_suffix("").as_posix(): path for path in paths}
    found = [
        Experiment(name, path, describe(path))
        for name, path in names.items()
        if not name.startswith(f"{SCALE_FOLDER}/")
    ]
    return sorted(found, key=lambda experiment: (experiment.group, experiment.name))


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


def name_or_path(name: str) -> str:
    """An experiment's name as it is, a file as an absolute path: what means the same in every folder."""
    path = find(name)
    return name if path.is_relative_to(CONFIGS) else str(path.resolve())


def read_request(arguments: list[str]) -> Request:
    """Resolve the ``--config`` and ``--scale`` of a command line.

    The layers are, each over the one before: ``base.yaml``, ``scale/<scale>.yaml``, every ``--config`` in
    order, after the experiment that its ``# over: NAME`` line names, and ``scale/<scale>/<name>.yaml``
    where a config has sizes of its own at this scale. Options on the command line always win.
    """
    configs, options = _take(arguments, ("--config", "-c"))
    chosen, options = _take(options, ("--scale",))
    chosen += [name.partition("/")[2] for name in configs if name.startswith(f"{SCALE_FOLDER}/")]
    scale = _known_scale(chosen[-1]) if chosen else DEFAULT_SCALE
    files = [find(name) for name in configs if not name.startswith(f"{SCALE_FOLDER}/")]
    return Request("+".join(path.stem for path in files), scale, layer(files, scale), options)


def layer(files: list[Path], scale: str) -> list[Path]:
    """Every file that ``files`` at ``scale`` stand for, in the order of application.

    A file's own sizes at the scale come directly after it, so that what is layered over it can change them.
    """
    of_scale = CONFIGS / SCALE_FOLDER / scale
    layers = [BASE, of_scale.with_suffix(".yaml")]
    for part in dict.fromkeys(part for file in files for part in with_bases(file)):
        layers += [path for path in (part, of_scale / part.name) if path.is_file()]
    return layers


def with_bases(path: Path) -> list[Path]:
    """The experiments that a config says it is a difference over, then the config itself."""
    with path.open(encoding="utf-8") as file:
        names = [line.removeprefix(OVER).strip() for line in file if line.startswith(OVER)]
    return [part for name in names for part in with_bases(find(name))] + [path]


def _known_scale(name: str) -> str:
    if name not in scales():
        raise UserError(
            f"There is no scale '{name}'; there are {', '.join(scales())}.{nearest(name, scales())}"
        )
    return name


def _take(arguments: list[str], flags: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Split off every ``--flag value`` and ``--flag=value``: the values and what remains."""
    values: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag not in flags:
            rest.append(argument)
        elif equals:
            values.append(value)
        else:
            values.append(_value_after(flag, remaining))
    return values, rest


def _value_after(flag: str, remaining: Iterator[str]) -> str:
    value = next(remaining, None)
    if value is None:
        raise UserError(f"{flag} stands at the end of the command line; it needs a name after it.")
    return value
