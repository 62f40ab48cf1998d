"""Tune an experiment: ``python -m sweeps.run ddsp --trials 30``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from experiments.command_line import catalogue
from experiments.command_line.resolver import DEFAULT_SCALE, resolve
from runtime.arguments import CommandParser, positive_int
from runtime.errors import UserError, run_command
from sweeps.budget import parse_budget
from sweeps.spaces import find_space, read_space

EXIT_CODE_INTERRUPTED = 130
"""The exit code of a shell command after Ctrl-C."""
DESCRIPTION = """\
Search the hyperparameters of an experiment. Each trial is a training with values of its own, which is judged
on the validation split. The test split is never used. docs/sweeps.md explains more.

  python -m sweeps.run ddsp --trials 30 --budget 10m            30 trainings of 10 minutes, one at a time
  python -m sweeps.run ddsp --trials 30 --budget 10m --resume   resume after Ctrl-C or a crash
  python -m sweeps.run pix2pix --trials 20 --budget 2000steps --jobs 2
  python -m sweeps.run ddsp --trials 30 --objective val/joint_score --objective val/real_time_factor
  python -m sweeps.run ddsp --trials 30 -- --data.init_args.target_instruments '[flute]'

On several machines, give each the same command with --resume and with a shared database, such as
--storage postgresql://USER:PASSWORD@HOST/DATABASE, and set MLFLOW_TRACKING_URI to one server. The first
worker begins the study, and the others join it. If a worker dies, another one repeats its trial.

The best trial, or each one of the Pareto front, becomes a config for `experiments.run fit --config FILE`."""


def main(arguments: list[str]) -> int:
    """Check the space, begin or join the study, work on it until it is complete, and write its outcome."""
    options, fit_options = _parser().parse_known_args(arguments)
    space = read_space(options.space or find_space(options.experiment))
    objectives = list(dict.fromkeys(options.objective or space.objectives))
    if not objectives:
        raise UserError(f"{space.path} has no objectives: add some, or name one with --objective.")
    budget = parse_budget(options.budget) if options.budget else None
    scale = resolve(["--scale", options.scale]).scale

    from sweeps.sweep import Sweep  # imports Optuna, which takes a while; the errors above come first

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
        print("\nInterrupted. To resume, give the same command with --resume.", file=sys.stderr)
        return EXIT_CODE_INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "python -m sweeps.run",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Further options are options of `experiments.run fit` and hold for every trial. For example,\n"
        "--trainer.devices 2 makes each trial a DDP job on two devices of its worker's machine.",
    )
    parser.add_argument("experiment", help="a name that `python -m experiments.run` lists, or a YAML file")
    parser.add_argument(
        "--trials",
        type=positive_int,
        required=True,
        help="number of finished trials, of all workers together, that completes the study",
    )
    parser.add_argument(
        "--jobs",
        type=positive_int,
        default=1,
        help="number of trials that run at once on this machine (default: 1)",
    )
    parser.add_argument(
        "--budget",
        help="length of each trial's training: a time such as 30m (s, m, h, d), or batches such as 1500steps "
        "(default: the length of the experiment at its scale)",
    )
    parser.add_argument(
        "--scale", default=DEFAULT_SCALE, help="scale of the experiment: demo (default) or paper"
    )
    parser.add_argument(
        "--objective",
        action="append",
        metavar="METRIC",
        help="validation metric to optimise, such as val/joint_score or val/real_time_factor; repeat it for "
        "a Pareto front, without pruning (default: the objectives of the space)",
    )
    parser.add_argument(
        "--space", type=Path, help="file with the search space (default: sweeps/spaces/<experiment>.yaml)"
    )
    parser.add_argument(
        "--storage",
        default="sqlite:///sweeps.db",
        metavar="URL",
        help="database of the study (default: %(default)s); several machines need PostgreSQL",
    )
    parser.add_argument("--study", help="name of the study (default: <experiment>_<scale>)")
    parser.add_argument(
        "--resume", action="store_true", help="resume the study, or join its workers, if it exists"
    )
    parser.add_argument(
        "--no-pruning", action="store_true", help="let every trial use its whole budget, however bad it is"
    )
    parser.add_argument(
        "--no-range-test",
        action="store_true",
        help="leave out the range test of the learning rates at the beginning",
    )
    return parser


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)  # SLURM and systemd interrupt with SIGTERM
    run_command(lambda: main(sys.argv[1:]))
