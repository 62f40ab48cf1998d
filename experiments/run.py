"""Train, validate, test and predict: ``python -m experiments.run fit --config ddsp``.

Without arguments it lists the experiments and how to start. Lightning is imported only to run one.
"""

from __future__ import annotations

import os
import sys
from itertools import groupby

from experiments.command_line import catalogue, new_architecture
from experiments.command_line.checking import check
from experiments.command_line.help_page import PURPOSES, page
from experiments.command_line.keys import RANGE_TEST, SECTIONS
from experiments.command_line.resolver import resolve
from runtime.errors import UserError, nearest, run_command

USAGE = """\
How to start:
  python -m experiments.run fit  --config NAME                    train, then test the best checkpoint
  python -m experiments.run test --config NAME --ckpt_path best   test the latest run's best checkpoint
  python -m experiments.run fit  --config NAME --ckpt_path last   go on with an interrupted training
  python -m experiments.run anchors --config NAME                 test all anchors on the experiment's data
  python -m experiments.run predict --config NAME --ckpt_path best   write the test clips' transfers as files
  python -m experiments.run lr_find --config NAME                 find learning rates (range test)
  python -m experiments.run new NAME                              begin an architecture of your own
  python -m experiments.run fit --help                            the options of a command

NAME is one of the above or a path to a YAML file; several --config layer, a later one wins.
--scale demo (minutes on a CPU, the default) or --scale paper (the sizes of the source documents)."""


def main(arguments: list[str]) -> int:
    """List the experiments, or run a subcommand."""
    if not arguments or arguments[0] in ("list", "-h", "--help"):
        print(listing())
        return 0
    subcommand, options = arguments[0], arguments[1:]
    if subcommand == "new":
        return new_architecture.main(options)
    _require_known(subcommand)
    if {"-h", "--help"} & set(options):
        print(page(subcommand))
        return 0
    options = ["--help" if option == "--help-all" else option for option in options]
    if "--help" not in options:
        _require_right(subcommand, options)
    run(subcommand, options)
    return 0


def run(subcommand: str, options: list[str]) -> None:
    """Run a subcommand whose command line has been looked at."""
    # Read when torch is imported; its data-parallel warnings are of what `launchers.STRATEGY` is for.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if subcommand == "anchors" and "--help" not in options:
        from experiments.command_line.anchors import test_anchors

        test_anchors(options)
    elif subcommand == "lr_find":
        from experiments.command_line.lr_find import RangeTestCLI

        RangeTestCLI(options)
    else:
        from experiments.command_line.cli import SuiteCLI

        SuiteCLI([subcommand.replace("anchors", "test"), *options])


def listing() -> str:
    """Every experiment with its one line, grouped by folder, and how to start."""
    lines = []
    for group, members in groupby(catalogue.experiments(), key=lambda experiment: experiment.group):
        lines += [f"{group or 'experiments'}:"]
        lines += [f"  {experiment.name:<28} {experiment.description}" for experiment in members]
    return "\n".join([*lines, "", USAGE])


def _require_known(subcommand: str) -> None:
    if subcommand not in PURPOSES:
        known = [*PURPOSES, "new", "list"]
        raise UserError(
            f"There is no command '{subcommand}'; there are {', '.join(known)}.{nearest(subcommand, known)}"
        )


def _require_right(subcommand: str, options: list[str]) -> None:
    """Refuse at once what Lightning would need 15 seconds to refuse."""
    resolved = resolve(options)
    if not resolved.experiment:
        raise UserError(
            f"`{subcommand}` needs an experiment: --config NAME. `python -m experiments.run` lists them."
        )
    check(resolved, SECTIONS | RANGE_TEST if subcommand == "lr_find" else SECTIONS)


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
