"""Tune an experiment: ``python -m sweeps.run ddsp --trials 30``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import catalog
from experiments.errors import UserError, run_command
from experiments.mlflow_store import default_tracking_uri
from sweeps.budget import Budget, parse_budget
from sweeps.spaces import Space, find_space, read_space

if TYPE_CHECKING:
    import optuna

    from sweeps.checking import Facts
    from sweeps.studies import Identity

FOLDER = Path("runs") / "sweeps"
INTERRUPTED = 130
"""Exit code, as that of a shell's command after Ctrl-C."""
DESCRIPTION = """\
Search an experiment's hyperparameters: each trial is a training with its own values, judged on the validation
split; the test split stays unseen. docs/sweeps.md tells more.

  python -m sweeps.run ddsp --trials 30 --budget 10m            30 trainings of 10 minutes, one at a time
  python -m sweeps.run ddsp --trials 30 --budget 10m --resume   go on after Ctrl-C or a crash
  python -m sweeps.run pix2pix --trials 20 --budget 2000steps --jobs 2
  python -m sweeps.run ddsp --trials 30 --objective val/joint_score --objective val/real_time_factor
  python -m sweeps.run ddsp --trials 30 -- --data.init_args.target_instruments '[flute]'

Several machines: the same command with --resume and --storage postgresql://USER:PASSWORD@HOST/DATABASE on
each, and MLFLOW_TRACKING_URI set to one server. The first one begins the study, the others join; a worker
that dies leaves its trial to the others.

The best trial, or every trial of the Pareto front, becomes a file for `experiments.run fit --config FILE`."""


def main(arguments: list[str]) -> int:
    """Check the space, begin or join the study, work on it until it is complete, and write its outcome."""
    options, fit_options = _parser().parse_known_args(arguments)
    fit_options = [option for option in fit_options if option != "--"]
    _require_counts(options)
    space = read_space(options.space or find_space(options.experiment))
    budget = parse_budget(options.budget) if options.budget else None
    objectives = options.objective or list(space.objectives)
    if not objectives:
        raise UserError(f"{space.path} has no objectives: add some, or name one with --objective.")
    try:
        return Sweep(options, fit_options, space, budget, objectives).run()
    except KeyboardInterrupt:
        print("\nInterrupted. Go on with the same command and --resume.", file=sys.stderr)
        return INTERRUPTED


class Sweep:
    """One worker's part in a sweep, from its command line."""

    def __init__(
        self,
        options: argparse.Namespace,
        fit_options: list[str],
        space: Space,
        budget: Budget | None,
        objectives: list[str],
    ) -> None:
        self.options = options
        self.space = space
        self.budget = budget
        self.objectives = objectives
        self.fit_options = fit_options
        self.scale = catalog.read_request(["--scale", options.scale]).scale
        known = {experiment.name for experiment in catalog.experiments()}
        path = catalog.find(options.experiment)
        self.experiment = options.experiment if options.experiment in known else str(path.resolve())
        self.name = options.study or f"{path.stem}_{self.scale}"

    def run(self) -> int:
        """Work until the study is complete."""
        from sweeps import studies
        from sweeps.processes import ask

        storage = studies.open_storage(self.options.storage)
        if not self.options.resume:
            studies.require_new(storage, self.name)  # before a check that takes a while
        facts: Facts = ask("sweeps.checking", "check", *self._question())
        study, is_new = studies.begin(
            storage, self.name, self._identity(facts), self.options.resume, not self.options.no_pruning
        )
        return self._work(study, is_new, facts)

    def _question(self) -> tuple[Any, ...]:
        return self.experiment, self.scale, self._shared(), self.space, self.objectives

    def _shared(self) -> list[str]:
        """A trial is for one device unless it is said to be a DDP job: several trials may run at once."""
        return ["--trainer.devices", "1", *self.fit_options]

    def _identity(self, facts: Facts) -> Identity:
        from sweeps.studies import Identity

        return Identity(
            experiment=facts.name,
            scale=self.scale,
            budget=self.budget.text if self.budget else "the experiment's own",
            objectives=[(name, facts.directions[name]) for name in self.objectives],
            space=self.space.as_data(),
            options=self.fit_options,
        )

    def _work(self, study: optuna.Study, is_new: bool, facts: Facts) -> int:
        from sweeps import studies
        from sweeps.record import SweepRecord
        from sweeps.trials import Objective, Setting, TrialFailed
        from sweeps.worker import Worker

        folder = FOLDER / f"{self.name}_{study.user_attrs['id'][:4]}"
        record = SweepRecord(folder, default_tracking_uri())
        if not is_new:  # two workers that create the sweep's run at once would create two
            studies.await_attribute(study, studies.PARENT_RUN, studies.SECONDS_TO_BEGIN)
        parent = record.begin(study, facts.name, self._tags(), self.space.text)
        study.set_user_attr(studies.PARENT_RUN, parent)
        length = self.budget.options(facts.batches_per_epoch) if self.budget else []
        fit = ["--config", self.experiment, "--scale", self.scale, *self._shared(), *length]
        if is_new:
            self._enqueue_guesses(study, facts, fit, folder)
        objectives = tuple(Objective(name, facts.directions[name]) for name in self.objectives)
        monitor = Objective(facts.monitor, facts.monitor_direction)
        setting = Setting(
            fit=fit,
            space=self.space,
            objectives=objectives,
            monitor=monitor,
            budget=self.budget,
            folder=folder,
            experiment=facts.name,
            sweep=self.name,
            parent_run=parent,
            is_thorough=not facts.is_cheap,
        )
        print(f"Sweep {self.name}: {studies.n_finished(study)} of {self.options.trials} trials", flush=True)
        status = "KILLED"
        try:
            Worker(study, setting, record, self.options.trials).work(self.options.jobs)
            status = "FINISHED"
        except TrialFailed:
            status = "FAILED"
            raise
        finally:
            record.settle(study)
            if status != "FINISHED" and not studies.n_running(study):
                record.end(status)
        self._write_outcome(study, record, folder)
        return 0

    def _tags(self) -> dict[str, str]:
        return {
            "scale": self.scale,
            "objectives": ", ".join(self.objectives),
            "budget": self.budget.text if self.budget else "the experiment's own",
            "storage": self.options.storage.partition("://")[0],
        }

    def _enqueue_guesses(self, study: optuna.Study, facts: Facts, fit: list[str], folder: Path) -> None:
        """Try the experiment's own values first, then the same with the rates of the range test."""
        from sweeps import rates

        held = self.space.distributions
        own = {key: value for key, value in facts.own_values.items() if held[key].holds(value)}
        if outside := sorted(set(facts.own_values) - set(own)):
            print(f"Outside the space are the experiment's own {', '.join(outside)}.", flush=True)
        study.enqueue_trial({key: held[key].stored(value) for key, value in own.items()})
        if self.options.no_range_test or not rates.wants_rates(self.space):
            return
        print("Range test: which learning rates to begin with", flush=True)
        suggested = rates.suggested_rates(fit, self.space, folder, self.name)
        print(", ".join(f"{key} {rate:.1e}" for key, rate in suggested.items()), flush=True)
        if suggested:
            guess = own | suggested
            study.enqueue_trial({key: held[key].stored(value) for key, value in guess.items()})

    def _write_outcome(self, study: optuna.Study, record: Any, folder: Path) -> None:
        from sweeps.best import write_best
        from sweeps.pictures import draw

        configs = write_best(study, folder, self.experiment, self.space, self.objectives)
        pictures = draw(study, self.objectives, folder / "pictures")
        values: dict[str, float] = {}
        for index, metric in enumerate(self.objectives):
            scores = [trial.values[index] for trial in study.best_trials]
            best = max if study.directions[index].name == "MAXIMIZE" else min
            values |= {f"best/{metric}": best(scores)} if scores else {}
        record.end("FINISHED", [*configs, *pictures], values)
        for path in configs:
            print(f"{path.open(encoding='utf-8').readline().lstrip('# ').rstrip()}")
            print(f"  python -m experiments.run fit --config {path} --scale {self.scale}")
        print(
            f"Pictures are in {folder / 'pictures'}, and all of it in the MLflow experiment of {self.name}."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m sweeps.run",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="Further options are those of `experiments.run fit` and hold for every trial, such as\n"
        "--trainer.devices 2, which makes each trial a DDP job on two devices of its worker's machine.",
    )
    parser.add_argument("experiment", help="a name that `python -m experiments.run` lists, or a YAML file")
    parser.add_argument(
        "--trials", type=int, required=True, help="finished trials when the study is complete, of all workers"
    )
    parser.add_argument("--jobs", type=int, default=1, help="trials at once on this machine (default: 1)")
    parser.add_argument(
        "--budget",
        help="length of each trial's training: 30m (s, m, h, d) or 1500steps (batches); default: the "
        "experiment's own at its scale",
    )
    parser.add_argument("--scale", default=catalog.DEFAULT_SCALE, help="demo (default) or paper")
    parser.add_argument(
        "--objective",
        action="append",
        metavar="METRIC",
        help="validation metric that decides, such as val/joint_score or val/real_time_factor; several "
        "give a Pareto front and no pruning (default: those of the space)",
    )
    parser.add_argument("--space", type=Path, help="search space (default: sweeps/spaces/<experiment>.yaml)")
    parser.add_argument(
        "--storage",
        default="sqlite:///sweeps.db",
        metavar="URL",
        help="database of the study (default: %(default)s); PostgreSQL for several machines",
    )
    parser.add_argument("--study", help="name of the study (default: <experiment>_<scale>)")
    parser.add_argument("--resume", action="store_true", help="go on with the study if it exists, or join it")
    parser.add_argument(
        "--no-pruning", action="store_true", help="let every trial use its budget, however bad it is"
    )
    parser.add_argument(
        "--no-range-test", action="store_true", help="do not begin with a learning-rate range test"
    )
    return parser


def _require_counts(options: argparse.Namespace) -> None:
    for name in ("trials", "jobs"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} must be 1 or more, found {getattr(options, name)}.")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)  # how SLURM and systemd say what Ctrl-C says
    run_command(lambda: main(sys.argv[1:]))
