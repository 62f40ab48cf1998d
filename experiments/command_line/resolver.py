"""From the names on a command line to the values of a config.

A config is a difference over another one, which its key ``base`` names, and in the end over ``base.yaml``.
Its key ``scales`` holds what is different at a scale::

    base: ddsp
    trainer: {max_steps: 500}
    scales:
      paper: {trainer: {max_steps: 50000}}

Nothing here is heavy to import: mistakes in files are said before Lightning is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from experiments.command_line import signatures
from experiments.command_line.catalogue import BASE, find, run_name
from runtime.errors import UserError, nearest
from runtime.hashing import address_of
from runtime.yaml_files import read_mapping

DEFAULT_SCALE = "demo"
BASE_KEY, SCALES_KEY = "base", "scales"
DECISIVE = ("model", "data", "trainer", "checkpoint", "curriculum", "seed_everything", "ema_decay")
"""The parts of a config that decide what is learnt."""
INDIFFERENT = tuple(
    f"trainer.{name}" for name in ("max_time", "log_every_n_steps", "logger", "enable_progress_bar")
)
"""Keys in them that do not. (A clock that ends a training early is seen by the number of its batches.)"""
TEST_KEYS = tuple(
    f"data.init_args.{name}" for name in ("test_pieces", "test_clip_s", "test_reference_s", "test_bank")
)
"""Keys in them that decide only the test: with others a trained run is tested again."""
MERGED_KEYS = ("curriculum",)
"""Keys with a mapping of free names, in which the parser would let a later layer replace the earlier ones."""


class ResolvedConfig:
    """What a command line asks for.

    Args:
        experiment: name of the run's experiment: the configs' names, joined by ``+``.
        scale: ``demo`` or ``paper``.
        layers: contents of the files in the order in which they are applied; a later one wins.
        options: the rest of the command line, applied last.
    """

    def __init__(
        self, experiment: str, scale: str, layers: Sequence[Mapping[str, Any]], options: Sequence[str]
    ) -> None:
        self.experiment, self.scale = experiment, scale
        self.layers, self.options = tuple(layers), tuple(options)

    @cached_property
    def values(self) -> dict[str, Any]:
        """All layers as one mapping, with the ``--dotted.key value`` pairs of the options."""
        return merged(self.every_layer)

    @property
    def every_layer(self) -> list[Mapping[str, Any]]:
        """The layers, and every option as one more."""
        return [*self.layers, *_as_layers(self.options)]

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that are equal for trainings which must come to the same weights."""
        decisive = {key: self.values[key] for key in DECISIVE if key in self.values}
        return address_of(with_full_paths(without(decisive, [*INDIFFERENT, *TEST_KEYS])))

    @property
    def test_fingerprint(self) -> str:
        """Sixteen hex digits that are equal for tests on the same data."""
        return address_of({"data": with_full_paths(self.values.get("data"))})

    def arguments(self) -> list[str]:
        """The layers as ``--config`` arguments of the parser, with what says whose run it is."""
        together = {key: self._merged_layers[key] for key in MERGED_KEYS if key in self._merged_layers}
        layers = [
            *({k: v for k, v in layer.items() if k not in MERGED_KEYS} for layer in self.layers),
            together,
        ]
        configs = [part for layer in layers if layer for part in ("--config", yaml.safe_dump(layer))]
        names = {
            "--experiment": self.experiment,
            "--scale": self.scale,
            "--fingerprint": self.fingerprint,
            "--test_fingerprint": self.test_fingerprint,
        }
        return [*configs, *(part for pair in names.items() for part in pair), *self.options]

    @cached_property
    def _merged_layers(self) -> dict[str, Any]:
        return merged(self.layers)


def resolve(arguments: Sequence[str]) -> ResolvedConfig:
    """Resolve ``--config``, ``--scale``, ``--recordings`` and ``--target`` of a command line.

    The layers are ``base.yaml`` and every ``--config`` in order, each after the configs that its ``base``
    names and before what it says of the scale, and then what `own_recordings` makes of the last two. Options
    on the command line always win.

    Raises:
        UserError: a name or file that does not exist or is not understood.
    """
    configs, options = _take(list(arguments), ("--config", "-c"))
    chosen, options = _take(options, ("--scale",))
    recordings, options = _take(options, ("--recordings",))
    target, options = _take(options, ("--target",))
    scale = _known_scale(chosen[-1]) if chosen else DEFAULT_SCALE
    files = [find(name) for name in configs]
    parts = dict.fromkeys(part for file in files for part in with_bases(file))
    layers: Sequence[Mapping[str, Any]] = [x for path in [BASE, *parts] for x in _layers(path, scale)]
    if recordings or target:
        layers = on_own_recordings(layers, options, recordings, target)
    return ResolvedConfig("+".join(map(run_name, files)), scale, layers, options)


def on_own_recordings(
    layers: Sequence[Mapping[str, Any]], options: Sequence[str], folders: list[str], targets: list[str]
) -> list[Mapping[str, Any]]:
    """The layers with ``--recordings`` and ``--target`` in place of the experiment's corpus and target."""
    from experiments.command_line.own_recordings import CORPUS_KEY, layer_of  # imports NumPy

    folder, target = (values[-1] if values else None for values in (folders, targets))
    own = layer_of(folder, target, merged([*layers, *_as_layers(options)]))
    return [*(layer if folder is None else without(layer, [CORPUS_KEY]) for layer in layers), own]


def scales() -> list[str]:
    """The sizes an experiment can be run at."""
    return sorted(read_mapping(BASE)[SCALES_KEY])


def with_bases(path: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """The files that a config is a difference over, then the file itself.

    Raises:
        UserError: a ``base`` that is not there, or that leads back to the config.
    """
    path = path.resolve()
    if path in above:
        circle = " → ".join(part.stem for part in (*above[above.index(path) :], path))
        raise UserError(f"The configs' key `{BASE_KEY}` leads in a circle: {circle}.")
    names = read_mapping(path).get(BASE_KEY, [])
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{path}: `{BASE_KEY}` is the name of an experiment or a list of names, found {names!r}."
        )
    bases = [_base(name, path) for name in names]
    return [part for base in bases for part in with_bases(base, (*above, path))] + [path]


def merged(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The layers as one mapping, a later one over those before; ``key+`` appends to a list, as in configs."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            name = key.removesuffix("+")
            before = result.get(name)
            if name != key:
                result[name] = [*(before or []), *(value if isinstance(value, list) else [value])]
            elif isinstance(value, Mapping):
                result[key] = merged([before if isinstance(before, Mapping) else {}, value])
            else:
                result[key] = value
    return result


def without(values: Mapping[str, Any], dotted: Sequence[str]) -> dict[str, Any]:
    """A copy of nested ``values`` without the keys of these dotted names."""
    first_parts = {name.partition(".")[0] for name in dotted}
    kept: dict[str, Any] = {}
    for key, value in values.items():
        below = [name.partition(".")[2] for name in dotted if name.partition(".")[0] == key]
        if key in first_parts and "" in below:
            continue
        kept[key] = without(value, below) if below and isinstance(value, Mapping) else value
    return kept


def with_full_paths(value: Any) -> Any:
    """A copy of a config's value in which each ``class_path`` names the module that defines the class.

    A class may be named by a shorter path, through which its package gives it out.
    """
    if isinstance(value, list):
        return [with_full_paths(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    copied = {key: with_full_paths(part) for key, part in value.items()}
    found = signatures.find(str(copied.get("class_path", "")))
    if found is not None and isinstance(found.node, ast.ClassDef):
        copied["class_path"] = f"{found.source.name}.{found.node.name}"
    return copied


def _base(name: str, path: Path) -> Path:
    beside = path.parent / name
    return beside if beside.suffix in (".yaml", ".yml") and beside.is_file() else find(name)


def _layers(path: Path, scale: str) -> Iterator[dict[str, Any]]:
    content = read_mapping(path)
    content.pop(BASE_KEY, None)
    sizes = content.pop(SCALES_KEY, None) or {}
    if not isinstance(sizes, dict) or not all(isinstance(part, dict) for part in sizes.values()):
        raise UserError(f"{path}: `{SCALES_KEY}` is a mapping from a scale to what is different there.")
    yield content
    if scale in sizes:
        yield sizes[scale]


def _known_scale(name: str) -> str:
    if name not in scales():
        raise UserError(
            f"There is no scale '{name}'; there are {', '.join(scales())}.{nearest(name, scales())}"
        )
    return name


def _as_layers(options: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The options as layers: ``--a.b value`` and ``--a.b=value`` as nested mappings, the rest as it is."""
    split = [part for option in options for part in _split(option)]
    for flag, value in pairwise([*split, ""]):
        if not flag.startswith("--"):
            continue
        inner: Any = True if value.startswith("--") else _value(value)
        for part in reversed(flag.removeprefix("--").split(".")):
            inner = {part: inner}
        yield inner


def _split(option: str) -> list[str]:
    flag, equals, value = option.partition("=")
    return [flag, value] if equals and option.startswith("--") else [option]


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


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
