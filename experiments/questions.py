"""Judge a program that is not of this suite, in the same test: ``python -m experiments.questions``.

``export DIR`` writes the questions of an experiment's test as files. The other program answers them: for each
source it plays the same notes with the timbre of the reference. ``score DIR --name NAME`` takes its outputs
through the test, after which the leaderboard shows it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.command_line.anchors import SHARED_KEYS
from experiments.command_line.resolver import ResolvedConfig, resolve
from runtime.arguments import CommandParser
from runtime.errors import UserError, run_command
from runtime.paths import is_name

DEFAULT_EXPERIMENT = "mambamuse"
"""Its test asks for every instrument with the timbre of every other."""
OUTPUTS = "outputs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Export questions, or score outputs."""
    options, others = _parser().parse_known_args(arguments)
    if options.command == "export":
        return export(options.folder, ["--config", options.config, *others])
    if others:
        raise UserError(f"There is no option {others[0]}; the test is the one that was exported.")
    return score(options.folder, options.name, options.outputs or options.folder / OUTPUTS, options.runs_dir)


def export(folder: Path, options: Sequence[str]) -> int:
    """Write the questions of a test into ``folder``.

    Args:
        folder: where they go; it must be empty or not there.
        options: command line of the test, as for ``python -m experiments.run test``.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not empty; give the name of a new folder.")
    resolved = resolve(options)
    from experiments.command_line.cli import SuiteCLI
    from metrics.evaluation.questions import ANSWERS, Question, Questions, write_questions

    data = SuiteCLI([], run=False, resolved=resolved).datamodule
    data.prepare_data()
    data.setup("test")
    questions: list[Question] = []
    for batch in data.test_dataloader():
        questions += write_questions(folder, batch, len(questions), data.instruments, data.sample_rate)
    Questions(tuple(options), data.sample_rate, tuple(questions)).write(folder)
    print(f"{len(questions)} questions are in {folder}: questions.json lists sources and references.")
    print(f"Write the outputs into {folder / OUTPUTS}, each named like its source, and then:")
    print(f"  python -m experiments.questions score {folder} --name NAME")
    if (folder / ANSWERS).is_dir():
        print(f"{folder / ANSWERS} holds the true answers, which the program must not see.")
    return 0


def score(folder: Path, name: str, outputs: Path, runs_dir: str) -> int:
    """Test the outputs of another program, as a run of the experiment ``name``."""
    if not is_name(name):
        raise UserError(f"--name must be the name of a folder, not '{name}'.")
    from experiments.command_line.cli import SuiteCLI
    from lightning_modules.external_system import outputs_to
    from metrics.evaluation.questions import Questions

    asked = Questions.read(folder)
    outputs_to(asked, outputs)
    SuiteCLI(["test"], resolved=_as_system(resolve(asked.options), name, folder, outputs, runs_dir))
    return 0


def _as_system(
    asked: ResolvedConfig, name: str, folder: Path, outputs: Path, runs_dir: str
) -> ResolvedConfig:
    """The exported test with the outputs in the place of a model."""
    base = resolve(["--scale", asked.scale]).layers
    shared = ({key: layer[key] for key in SHARED_KEYS if key in layer} for layer in asked.layers)
    model = {
        "class_path": "lightning_modules.external_system.ExternalSystem",
        "init_args": {"questions": str(folder), "outputs": str(outputs)},
    }
    # The cost of a program that runs elsewhere is not known here.
    own = {"model": model, "runs_dir": runs_dir, "transfer_cost": {"repeats": 0}}
    return ResolvedConfig(name, asked.scale, [*base, *shared, own], asked.options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m experiments.questions", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    exporting = commands.add_parser(
        "export",
        help="write the questions of a test as files",
        epilog="Further options change the test, as in `python -m experiments.run test`.",
    )
    exporting.add_argument("folder", type=Path, help="a new folder")
    exporting.add_argument("--config", default=DEFAULT_EXPERIMENT, help="experiment whose test is asked")
    scoring = commands.add_parser("score", help="take the outputs of another program through the test")
    scoring.add_argument("folder", type=Path, help="the folder of the questions")
    scoring.add_argument("--name", required=True, help="name of the program on the leaderboard")
    scoring.add_argument(
        "--outputs", type=Path, help=f"folder of the outputs (default: {OUTPUTS} in the folder of questions)"
    )
    scoring.add_argument("--runs_dir", default="runs", help="where the folders of runs are")
    return parser


if __name__ == "__main__":
    run_command(main)
