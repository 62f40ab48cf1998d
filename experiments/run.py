"""Train, validate, test and predict: ``python -m experiments.run fit --config ddsp``.

Without arguments it lists the experiments and how to start. Lightning is imported only to run one.
"""

from __future__ import annotations

import sys
from itertools import groupby

from experiments.command_line import catalogue
from experiments.command_line.resolver import resolve
from runtime.errors import UserError, nearest, run_command

SUBCOMMANDS = ("fit", "validate", "test", "predict", "lr_find")
USAGE = """\
How to start:
  python -m experiments.run fit  --config NAME                    train, then test the best checkpoint
  python -m experiments.run test --config NAME --ckpt_path best   test the latest run's best checkpoint
  python -m experiments.run fit  --config NAME --ckpt_path last   go on with an interrupted training
  python -m experiments.run anchors --config NAME                 test all anchors on the experiment's data
  python -m experiments.run predict --config NAME --ckpt_path best   write the test clips' transfers as files
  python -m experiments.run lr_find --config NAME                 find learning rates (range test)
  python -m experiments.run fit  --config NAME --print_config     show every key and its value

NAME is one of the above or a path to a YAML file; several --config layer, a later one wins.
--scale demo (minutes on a CPU, the default) or --scale paper (the sizes of the source documents)."""


def main(arguments: list[str]) -> int:
    """List the experiments, or run a subcommand."""
    if not arguments or arguments[0] in ("list", "-h", "--help"):
        print(listing())
        return 0
    subcommand, options = arguments[0], arguments[1:]
    if subcommand == "anchors":
        from experiments.command_line.anchors import test_anchors

        test_anchors(options)
        return 0
    _require_runnable(subcommand, options)
    if subcommand == "lr_find":
        from experiments.command_line.lr_find import RangeTestCLI

        RangeTestCLI(options)
        return 0
    from experiments.command_line.cli import SuiteCLI

    SuiteCLI(arguments)
    return 0


def listing() -> str:
    """Every experiment with its one line, grouped by folder, and how to start."""
    lines = []
    for group, members in groupby(catalogue.experiments(), key=lambda experiment: experiment.group):
        lines += [f"{group or 'experiments'}:"]
        lines += [f"  {experiment.name:<28} {experiment.description}" for experiment in members]
    return "\n".join([*lines, "", USAGE])


def _require_runnable(subcommand: str, options: list[str]) -> None:
    """Refuse within a moment what Lightning would need 15 seconds to refuse."""
    if subcommand not in SUBCOMMANDS:
        raise UserError(
            f"There is no subcommand '{subcommand}'; there are {', '.join(SUBCOMMANDS)} and anchors."
            f"{nearest(subcommand, [*SUBCOMMANDS, 'anchors'])}"
        )
    if not resolve(options).experiment and not {"-h", "--help"} & set(options):
        raise UserError(
            f"`{subcommand}` needs an experiment: --config NAME. `python -m experiments.run` lists them."
        )


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
