"""Which run folder already holds what is asked for. It is found by the fingerprint of its config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from callbacks.run_record import CONFIG, TEST_CONFIG
from callbacks.test_table import TEST_TABLE
from callbacks.tracking.events import Metrics, StatusChanged
from callbacks.tracking.outbox import Journal
from experiments.command_line.resolver import ResolvedConfig
from metrics.evaluation.table import TestTable
from runtime.errors import UserError
from runtime.messages import say
from runtime.yaml_files import read_mapping


class FinishedRun(NamedTuple):
    """A run folder that was trained, or began to be, as asked for."""

    run_dir: Path
    is_trained: bool
    """Whether it got its whole budget of batches."""
    is_tested: bool
    """Whether it has the test that is asked for, whole and from a version that identifies clips by audio."""


def find(runs_dir: Path, asked: ResolvedConfig) -> FinishedRun | None:
    """The run that answers: a trained and tested one if there is any, else the latest."""
    found = []
    for run_dir, config in _runs(runs_dir, asked.experiment):
        if config.get("fingerprint") == asked.fingerprint:
            is_tested = _is_tested_on(run_dir, config, asked.test_fingerprint)
            found.append(FinishedRun(run_dir, _is_trained(run_dir, config), is_tested))
    return max(found, key=lambda run: (run.is_trained and run.is_tested, run.run_dir.name), default=None)


def find_anchor(runs_dir: Path, anchor: str, asked: ResolvedConfig) -> Path | None:
    """The latest run of an anchor that was tested on the data of ``asked``."""
    runs = _runs(runs_dir, anchor)
    tested = [run_dir for run_dir, config in runs if _is_tested_on(run_dir, config, asked.test_fingerprint)]
    return max(tested, default=None)


def _runs(runs_dir: Path, experiment: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((runs_dir / experiment).glob(f"*/{CONFIG}")):
        try:
            config = read_mapping(path)
        except UserError as error:
            say(f"The run {path.parent} is left out: {error}")
            continue
        if all(isinstance(config.get(key), dict) for key in ("trainer", "data")):
            yield path.parent, config


def _is_tested_on(run_dir: Path, config: Mapping[str, Any], test_fingerprint: str) -> bool:
    retested = run_dir / TEST_CONFIG
    try:
        of_test = read_mapping(retested) if retested.is_file() else config
        table = TestTable.from_json((run_dir / TEST_TABLE).read_text("utf-8"))
    except (OSError, ValueError):  # not tested, or what the test left is damaged
        return False
    return of_test.get("test_fingerprint") == test_fingerprint and all(row.clip for row in table.rows)


def _is_trained(run_dir: Path, config: Mapping[str, Any]) -> bool:
    """Whether a run had its batches, or ended by itself where its config does not say how many there are."""
    events = [event for event, _ in Journal(run_dir).entries()]
    budget = _budget(config)
    if budget is None:
        return any(isinstance(event, StatusChanged) and event.status == "FINISHED" for event in events)
    steps = (
        event.step
        for event in events
        if isinstance(event, Metrics) and any(key.startswith("train/") for key in event.values)
    )
    unlogged = config["trainer"].get("log_every_n_steps") or 1  # at the end
    return max(steps, default=0) >= budget - unlogged


def _budget(config: Mapping[str, Any]) -> int | None:
    """Batches of the whole training; ``None`` where only a clock or a callback ends it."""
    trainer, data = config["trainer"], config["data"].get("init_args", {})
    epochs, steps = trainer.get("max_epochs") or -1, trainer.get("max_steps") or -1
    budgets = [epochs * data["batches_per_epoch"]] if epochs > 0 and "batches_per_epoch" in data else []
    return min([*budgets, *([steps] if steps > 0 else [])], default=None)
