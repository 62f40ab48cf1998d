"""Tune an experiment: ``python -m sweeps.run ddsp --trials 30``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from experiments.command_line import catalogue
from experiments.command_line.resolver import DEFAULT_SCALE, resolve
from runtime.errors import UserError, run_command
from sweeps.budget import parse_budget
from sweeps.spaces import find_space, read_space

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
    for name in ("trials", "jobs"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} must be 1 or more, found {getattr(options, name)}.")
    space = read_space(options.space or find_space(options.experiment))
    objectives = options.objective or list(space.objectives)
    if not objectives:
        raise UserError(f"{space.path} has no objectives: add some, or name one with --objective.")
    budget = parse_budget(options.budget) if options.budget else None
    scale = resolve(["--scale", options.scale]).scale

    from sweeps.sweep import Sweep  # with Optuna, which an error above need not wait for

    sweep = Sweep(
        experiment=catalogue.name_or_path(options.experiment),
        scale=scale,
        name=options.study or f"{catalogue.run_name(catalogue.find(options.experiment))}_{scale}",
        space=space,
        objectives=objectives,
        budget=budget,
        fit_options=[option for option in fit_options if option != "--"],
        storage=options.storage,
    )
    try:
        sweep.run(options)
    except KeyboardInterrupt:
        print("\nInterrupted. Go on with the same command and --resume.", file=sys.stderr)
        return INTERRUPTED
    return 0


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
    parser.add_argument("--scale", default=DEFAULT_SCALE, help="demo (default) or paper")
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


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)  # how SLURM and systemd say what Ctrl-C says
    run_command(lambda: main(sys.argv[1:]))
