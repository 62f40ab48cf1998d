"""Train and test everything on the leaderboard: ``python -m experiments.campaign``, or ``make leaderboard``.

What to run is data (``experiments/leaderboard/experiments.yaml``). A run that is there already, trained and
tested with the same config, scale and seed, is not repeated; an interrupted one goes on from its last
checkpoint. So the same command, given again, does what is left. It ends in `experiments.compare`.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from callbacks.tracking.mlflow_store import MlflowStore, Unreachable, default_tracking_uri
from callbacks.tracking.outbox import RUNS_DIR, Journal, deliver
from callbacks.tracking.run_lock import is_running
from experiments.command_line import catalogue
from experiments.command_line.resolver import DEFAULT_SCALE, ResolvedConfig, resolve
from experiments.leaderboard import finished_runs
from experiments.leaderboard.experiment_list import ExperimentList, ListedExperiment, read_list
from runtime.arguments import CommandParser, positive_int
from runtime.databases import hidden
from runtime.errors import UserError, run_command
from runtime.messages import say
from runtime.processes import last_words
from runtime.threads import ONE_THREAD

LIST = Path(__file__).parent / "leaderboard" / "experiments.yaml"
LOGS = ".campaign"
"""Folder below the folder of runs with what the trainings print."""
PAGE = "leaderboard.html"
"""In the folder of runs."""
LOOK_EVERY_S = 1.0


class PlannedRun(NamedTuple):
    """One process to run."""

    title: str
    """Its name on the screen and in the folder of logs."""
    arguments: tuple[str, ...]
    """Of ``python -m experiments.run``."""
    minutes: float
    """Of processor time, about."""
    after: str | None = None
    """Title of a run that has to end well before."""
    tests: ResolvedConfig | None = None
    """The run whose best checkpoint is tested; looked for when the run starts, as it may not be there yet."""


class Settings(NamedTuple):
    """What a campaign is asked to do."""

    scale: str
    seeds: int
    jobs: int
    runs_dir: Path
    uri: str


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing, then show the leaderboard; 1 if something failed."""
    options = _parser().parse_args(arguments)
    listed = read_list(options.list)
    settings = Settings(options.scale, options.seeds, options.jobs, options.runs_dir, options.uri)
    settings.runs_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.runs_dir / f"{LOGS}.lock", timeout=0):
            failed = Campaign(settings).run(list(planned_runs(listed, settings)))
    except Timeout as error:
        raise UserError(
            f"Another campaign is at work in {settings.runs_dir}; wait for it, or give another --runs_dir."
        ) from error
    names = {catalogue.run_name(catalogue.find(entry.name)) for entry in listed.experiments}
    deliver_runs(sorted(names | set(_anchors())), settings)
    show(settings)
    for name, log in failed.items():
        say(f"failed: {name} ({log}): {last_words(log)}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser("python -m experiments.campaign", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--list", type=Path, default=LIST, help="what to run (default: %(default)s)")
    add("--scale", default=DEFAULT_SCALE, help="size of everything (default: %(default)s)")
    add(
        "--seeds",
        type=positive_int,
        default=1,
        help="trainings of each experiment, seeds 0, 1, … (default: %(default)s)",
    )
    add(
        "--jobs",
        type=positive_int,
        default=2,
        help="trainings side by side, one thread each (default: %(default)s)",
    )
    add("--runs_dir", type=Path, default=Path(RUNS_DIR), help="where the folders of runs are")
    add("--uri", default=default_tracking_uri(), help="tracking URI (default: %(default)s)")
    return parser


# ---------------------------------------------------------------------- what is left to do


def planned_runs(listed: ExperimentList, settings: Settings) -> Iterator[PlannedRun]:
    """The runs of a list that are not finished yet.

    Args:
        listed: what to train and test.
        settings: scale, seeds and where runs are.
    """
    entries = {entry.name: entry for entry in listed.experiments}
    for seed in range(settings.seeds):
        for entry in entries.values():
            options = _options(entry, seed, settings, listed.options)
            arguments = _rest_of_run(entry, options, settings)
            if not arguments:
                continue
            run = PlannedRun(_title(entry.name, seed), arguments, entry.minutes)
            if entry.tests is not None:
                trained = entries[entry.tests]
                of = resolve(_command(trained, _options(trained, seed, settings, listed.options), settings))
                run = run._replace(after=_title(trained.name, seed), tests=of)
            yield run
    for entry in listed.anchors:
        options = _options(entry, 0, settings)
        data = resolve(_command(entry, options, settings))
        if not all(finished_runs.find_anchor(settings.runs_dir, name, data) for name in _anchors()):
            arguments = ("anchors", *_command(entry, options, settings))
            yield PlannedRun(f"anchors on {entry.name}", arguments, entry.minutes)


def _title(experiment: str, seed: int) -> str:
    return f"{Path(experiment).stem} seed {seed}"


def _command(entry: ListedExperiment, options: Sequence[str], settings: Settings) -> tuple[str, ...]:
    return ("--config", entry.name, "--scale", settings.scale, *options)


def _rest_of_run(entry: ListedExperiment, options: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Arguments that begin a run or go on with it; none where it is done."""
    command = _command(entry, options, settings)
    found = finished_runs.find(settings.runs_dir, resolve(command))
    if found and is_running(found.run_dir):
        say(f"The run {found.run_dir} is at work in another process and left to it.")
        return ()
    if entry.tests is not None:
        return () if found and found.is_tested else ("test", *command)
    if found is None:
        return ("fit", *command)
    best, last = (found.run_dir / "checkpoints" / f"{which}.ckpt" for which in ("best", "last"))
    if found.is_trained and best.is_file():
        return () if found.is_tested else ("test", *command, "--ckpt_path", str(best))
    return ("fit", *command, "--ckpt_path", str(last)) if last.is_file() else ("fit", *command)


def _options(
    entry: ListedExperiment, seed: int, settings: Settings, of_all: tuple[str, ...] = ()
) -> tuple[str, ...]:
    seeds = ["--seed_everything", str(seed), "--data.init_args.seed", str(seed)]
    return (*of_all, *entry.options, "--runs_dir", str(settings.runs_dir), *seeds)


def _anchors() -> list[str]:
    return [anchor.path.stem for anchor in catalogue.anchors()]


# ---------------------------------------------------------------------- doing it


class Campaign:
    """Runs what is planned side by side and says what happens.

    Args:
        settings: see `Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.logs = settings.runs_dir / LOGS
        self.failed: dict[str, Path] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._began: dict[str, float] = {}

    def run(self, planned: Sequence[PlannedRun]) -> dict[str, Path]:
        """Run everything that is planned, the longest first; gives the logs of those that failed, by name."""
        waiting = sorted(planned, key=lambda run: -run.minutes)
        self.logs.mkdir(exist_ok=True)
        self._say_plan(waiting)
        try:
            while waiting or self._running:
                self._start_what_can(waiting)
                self._end_what_ended(waiting)
                time.sleep(LOOK_EVERY_S)
        except KeyboardInterrupt:
            self._interrupt()
            raise UserError("Interrupted; the same command goes on from the last checkpoints.") from None
        return self.failed

    def _start_what_can(self, waiting: list[PlannedRun]) -> None:
        names = {run.title for run in waiting} | set(self._running)
        for run in list(waiting):
            if run.after in self.failed:
                waiting.remove(run)
                self.failed[run.title] = self.failed[run.after]
            elif run.after not in names and len(self._running) < self.settings.jobs:
                waiting.remove(run)
                self._start(run)

    def _start(self, run: PlannedRun) -> None:
        log = self._log(run.title)
        environment = os.environ | ONE_THREAD | {"MLFLOW_TRACKING_URI": self.settings.uri}
        command = [sys.executable, "-m", "experiments.run", *run.arguments, *self._checkpoint(run)]
        with log.open("wb") as file:
            # A session of its own: Ctrl-C reaches it once, from here.
            self._running[run.title] = subprocess.Popen(
                command, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        self._began[run.title] = time.monotonic()
        what = {"fit": "trains", "test": "tests"}.get(run.arguments[0], "tests")
        goes_on = " on" if "--ckpt_path" in run.arguments and what == "trains" else ""
        self._say(f"{what}{goes_on}: {run.title} (about {run.minutes:.0f} min; {log})")

    def _checkpoint(self, run: PlannedRun) -> list[str]:
        found = run.tests and finished_runs.find(self.settings.runs_dir, run.tests)
        return ["--ckpt_path", str(found.run_dir / "checkpoints" / "best.ckpt")] if found else []

    def _end_what_ended(self, waiting: Sequence[PlannedRun]) -> None:
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            del self._running[name]
            minutes = (time.monotonic() - self._began[name]) / 60
            if code:
                self.failed[name] = self._log(name)
                self._say(f"FAILED after {minutes:.0f} min: {name}: {last_words(self._log(name))}")
            else:
                self._say(f"done in {minutes:.0f} min: {name}; {len(waiting) + len(self._running)} left")

    def _interrupt(self) -> None:
        """Let the trainings write their last checkpoints."""
        for process in self._running.values():
            process.send_signal(signal.SIGINT)
        for process in self._running.values():
            process.wait()

    def _say_plan(self, waiting: Sequence[PlannedRun]) -> None:
        minutes = sum(run.minutes for run in waiting)
        side_by_side = self.settings.jobs
        if waiting:
            self._say(
                f"{len(waiting)} to do, {minutes:.0f} min of processor time, {side_by_side} side by side: "
                f"{minutes / side_by_side:.0f} min on quiet cores: {', '.join(run.title for run in waiting)}"
            )
        else:
            self._say("Everything is trained and tested already.")

    def _log(self, name: str) -> Path:
        return self.logs / f"{name.replace(' ', '_')}.log"

    @staticmethod
    def _say(text: str) -> None:
        print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


# ---------------------------------------------------------------------- afterwards


def deliver_runs(names: Sequence[str], settings: Settings) -> None:
    """Send what the tracking server does not have yet, also of runs that were tracked elsewhere."""
    store = MlflowStore(settings.uri)
    for path in [
        path for name in names for path in sorted(settings.runs_dir.glob(f"{name}/*/journal.jsonl"))
    ]:
        journal = Journal(path.parent)
        if journal.pending(settings.uri) and not is_running(path.parent):
            try:
                deliver(journal, store)
            except (Unreachable, UserError) as error:
                say(f"{path.parent} could not be sent to {hidden(settings.uri)}: {error}")


def show(settings: Settings) -> None:
    """The leaderboard, in the terminal and as a page."""
    from experiments import compare

    chosen = ["--uri", settings.uri, "--tag", f"scale={settings.scale}"]
    compare.main(chosen)
    compare.main([*chosen, "--format", "html", "--output", str(settings.runs_dir / PAGE)])


if __name__ == "__main__":
    # Both interrupt. A shell that starts a job in the background has it, and its trainings, ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    run_command(main)
