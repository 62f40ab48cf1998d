"""Which run folder already holds what is asked for: found by what its config says, not by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from callbacks.tracking.events import Metrics
from callbacks.tracking.outbox import Journal
from experiments.command_line import catalogue
from metrics.evaluation.table import TestTable

CONFIG, TEST_CONFIG, TEST_TABLE = "config.yaml", "test_config.yaml", "test_table.json"
DECISIVE = ("model", "data", "trainer", "checkpoint", "curriculum")
"""The parts of a config that decide what is learnt; scale and seed are looked at by themselves."""
GUARDS = {"trainer.max_time"}
"""Keys in them that do not, unless they end a training early, which is seen by its batches."""
OF_THE_TEST = {
    f"data.init_args.{name}" for name in ("test_pieces", "test_clip_s", "test_reference_s", "test_bank")
}
"""Keys that decide only the test: with others a trained run is tested again."""


class Wanted(NamedTuple):
    """A run to look for."""

    experiment: str
    scale: str
    seed: int
    config: Mapping[str, Any]
    """What its configs say, merged; keys that they leave to defaults are not compared."""

    @classmethod
    def of(cls, name: str, scale: str, seed: int, changes: Mapping[str, Any] | None = None) -> Wanted:
        """The run of an experiment's configs at a scale, with ``changes`` merged over them."""
        request = catalogue.read_request(["--config", name, "--scale", scale])
        layers = [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in request.layers]
        return cls(request.experiment, scale, seed, merged([*layers, changes or {}]))


class Found(NamedTuple):
    """A run folder that was trained, or began to be, as wanted."""

    run_dir: Path
    is_trained: bool
    """Whether it got its whole budget of batches."""
    is_tested: bool
    """Whether it has the test that is wanted, from a version that records whose audio is the same."""


def find(runs_dir: Path, wanted: Wanted) -> Found | None:
    """The run that answers: a trained and tested one if there is any, else the latest."""
    found = [_state(run_dir, wanted) for run_dir in _agreeing(runs_dir, wanted)]
    return max(found, key=lambda run: (run.is_trained and run.is_tested, run.run_dir.name), default=None)


def find_anchor(runs_dir: Path, anchor: str, wanted: Wanted) -> Path | None:
    """The latest run of an anchor on the data of ``wanted``, if it was tested."""
    data = Wanted(anchor, wanted.scale, wanted.seed, {"data": wanted.config["data"]})
    tested = [run_dir for run_dir in _agreeing(runs_dir, data) if _state(run_dir, data).is_tested]
    return max(tested, default=None)


def merged(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The layers as one mapping, a later one over those before; ``key+`` appends to a list, as in configs."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            name = key.removesuffix("+")
            if name != key:
                result[name] = [*result.get(name, []), *value]
            elif isinstance(value, Mapping):
                before = result.get(key)
                result[key] = merged([before if isinstance(before, Mapping) else {}, value])
            else:
                result[key] = value
    return result


def differences(wanted: Any, there: Any, name: str = "") -> Iterator[str]:
    """Dotted names of what both sides have and have differently."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for key in wanted.keys() & there.keys():
            yield from differences(wanted[key], there[key], f"{name}.{key}".lstrip("."))
    elif isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        for one, other in zip(wanted, there, strict=True):
            yield from differences(one, other, name)
    elif wanted != there:
        yield name


def _agreeing(runs_dir: Path, wanted: Wanted) -> Iterator[Path]:
    for path in sorted((runs_dir / wanted.experiment).glob(f"*/{CONFIG}")):
        config = _read(path)
        same = config.get("scale") == wanted.scale and config.get("seed_everything") == wanted.seed
        decisive = {key: value for key, value in wanted.config.items() if key in DECISIVE}
        if same and not set(differences(decisive, config)) - GUARDS - OF_THE_TEST:
            yield path.parent


def _state(run_dir: Path, wanted: Wanted) -> Found:
    config = _read(run_dir / CONFIG)
    test_config = _read(run_dir / TEST_CONFIG) if (run_dir / TEST_CONFIG).is_file() else config
    as_wanted = not set(differences(wanted.config, test_config)) & OF_THE_TEST
    return Found(run_dir, _n_batches(run_dir) >= _budget(config), as_wanted and _has_clips(run_dir))


def _budget(config: Mapping[str, Any]) -> int:
    """Batches of the whole training, less what may not have been logged at its end."""
    trainer, data = config["trainer"], config["data"].get("init_args", {})
    batches = [trainer["max_epochs"] * data["batches_per_epoch"]] if "batches_per_epoch" in data else []
    batches += [trainer["max_steps"]] if trainer.get("max_steps", -1) > 0 else []
    return min(batches, default=0) - trainer["log_every_n_steps"]


def _n_batches(run_dir: Path) -> int:
    """The last training batch that the run logged."""
    steps = [
        event.step
        for event, _ in Journal(run_dir).entries()
        if isinstance(event, Metrics) and any(key.startswith("train/") for key in event.values)
    ]
    return max(steps, default=0)


def _has_clips(run_dir: Path) -> bool:
    path = run_dir / TEST_TABLE
    return path.is_file() and all(row.clip for row in TestTable.from_json(path.read_text("utf-8")).rows)


def _read(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
