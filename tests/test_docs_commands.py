"""Every command of README, CONTRIBUTING and docs/ is taken by its own parser, as it stands on the page.

Bash runs each block with stand-ins for the programs, which note how they were called. So quotes, loops and
comments are read by a shell, and options, experiments, config keys and files by what the suite would read
them with. Nothing is trained; what the commands then do is tested in the tests of each command.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile

from experiments import benchmark, campaign, compare, outbox, questions, run, transfer
from experiments.command_line.checking import check
from experiments.command_line.resolver import resolve
from sweeps import run as sweep
from sweeps.budget import parse_budget
from sweeps.spaces import find_space
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?:bash|sh)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`((?:python -m|torchrun|make|mlflow) [^`\n]+)`")
OF_OTHERS = ("conda", "createdb", "wsl")
"""Programs that are not part of the installation, so that their options are not checked."""
PROGRAMS = ("python", "python3.11", "torchrun", "mlflow", "make", "pip", "sbatch", "srun", *OF_OTHERS)
FIRST_WORDS = (*PROGRAMS, "export", "for")
REST = {
    "experiments.run": ["--config", "ddsp"],
    "experiments.transfer": ["--input", "a.wav", "--output", "b.wav"],
    "sweeps.run": ["ddsp", "--trials", "30"],
}
"""What stands for the … of a command that is not written out."""


def blocks(page: Path) -> Iterator[str]:
    """The blocks and the inline spans of a page that hold commands."""
    text = page.read_text(encoding="utf-8")
    yield from (block for block in BLOCK.findall(text) if block.split()[0] in FIRST_WORDS)
    spans = SPAN.findall(text)
    yield from (f"{span} …" if span.startswith("python") and "--" not in span else span for span in spans)


def calls(block: str, folder: Path) -> list[list[str]]:
    """How bash calls the programs of a block, each as its name and its arguments."""
    (folder / "calls").write_text("")
    shell = ["/bin/bash", "-euc", block.replace("<", "\\<").replace(">", "\\>")]
    environment = {"PATH": str(folder / "programs"), "HOME": str(folder), "CALLS": str(folder / "calls")}
    subprocess.run(shell, cwd=folder, env=environment, check=True)
    return [call.split("\0")[:-1] for call in (folder / "calls").read_text().split("\n\0")[:-1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory, also the home, with the files that the pages take for the reader's own."""
    folder = tmp_path_factory.mktemp("reader")
    programs = folder / "programs"
    programs.mkdir()
    for name in PROGRAMS:
        note = f'printf \'%s\\0\' {name} "$@" >> "$CALLS"; printf \'\\n\\0\' >> "$CALLS"'
        (programs / name).write_text(f"#!/bin/bash\n{note}\n")
        (programs / name).chmod(0o755)
    tuned = "base: ddsp\n"
    files = {
        ".venv/bin/activate": "",
        "runs/sweeps/ddsp_demo_1a2b/ddsp_demo_best.yaml": tuned,
        "ddsp_small.yaml": (ROOT / "sweeps" / "spaces" / "ddsp.yaml").read_text(),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    recordings = {"takes": ("guitar", "flute", "piano", "violin"), "music": ("jazz", "baroque")}
    for part in (Path(name, instrument) for name, found in recordings.items() for instrument in found):
        (folder / part).mkdir(parents=True)
        soundfile.write(folder / part / "one.wav", [0.0] * 16_000, 16_000)
    (folder / "docs").symlink_to(ROOT / "docs")
    (folder / "requirements.lock").symlink_to(ROOT / "requirements.lock")
    return folder


def check_run(arguments: Sequence[str]) -> None:
    subcommand, *options = [*arguments, *([] if arguments else ["list"])]
    if subcommand in ("list", "new"):  # takes no time, so it runs
        run.main(list(arguments))
        return
    run._require_known(subcommand)
    if "--help" not in options:
        run._require_right(subcommand, options)


def check_sweep(arguments: Sequence[str]) -> None:
    options, of_fit = sweep._parser().parse_known_args(arguments)
    assert options.space or find_space(options.experiment)
    assert not options.budget or parse_budget(options.budget)
    check(resolve(["--config", options.experiment, *(option for option in of_fit if option != "--")]))


def check_pytest(arguments: Sequence[str]) -> None:
    paths = [argument for argument in arguments if not argument.startswith("-") and "/" in argument]
    assert all((ROOT / path.partition("::")[0]).exists() for path in paths), arguments


def check_module(arguments: Sequence[str]) -> None:
    """A call of Python: ``-m MODULE …``."""
    flag, module, *options = arguments
    assert flag == "-m" and find_spec(module), arguments
    if "…" in options:
        options = [*(option for option in options if option != "…"), *REST.get(module, [])]
    if module in MODULES and (options or module == "experiments.run"):
        MODULES[module](options)


def check_torchrun(arguments: Sequence[str]) -> None:
    from torch.distributed.run import parse_args

    parsed = parse_args(list(arguments))
    check_module(["-m", parsed.training_script, *parsed.training_script_args])


def check_mlflow(arguments: Sequence[str]) -> None:
    import click
    from mlflow.cli import cli

    command, *options = arguments
    found = cli.get_command(click.Context(cli), command)
    assert found, command
    found.make_context(command, options)


def check_make(arguments: Sequence[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for argument in arguments:
        name, is_variable, _ = argument.partition("=")
        assert re.search(
            rf"^{name} \?=" if is_variable else rf"^\.PHONY:.*\b{name}\b", makefile, re.MULTILINE
        )


def check_pip(arguments: Sequence[str]) -> None:
    commands = pytest.importorskip("pip._internal.commands")
    command, *options = arguments
    parsed, packages = commands.create_command(command).parse_args(options)
    assert all((ROOT / name).is_file() for name in parsed.requirements)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for wanted in re.findall(r"\[(.+)\]", " ".join([*packages, *getattr(parsed, "editables", [])])):
        assert set(wanted.split(",")) <= set(extras)


def check_sbatch(arguments: Sequence[str]) -> None:
    script, *options = arguments
    assert (ROOT / script).is_file()
    check_run(["fit", "--config", *options])


def check_srun(arguments: Sequence[str]) -> None:
    check_module(arguments[arguments.index("python") + 1 :])


MODULES: dict[str, Callable[[Sequence[str]], object]] = {
    "experiments.run": check_run,
    "experiments.transfer": lambda options: transfer._parser().parse_args(options),
    "experiments.compare": lambda options: compare._parser().parse_args(options),
    "experiments.campaign": lambda options: campaign._parser().parse_args(options),
    "experiments.benchmark": lambda options: benchmark._parser().parse_args(options),
    "experiments.outbox": lambda options: outbox._parser().parse_intermixed_args(options),
    "experiments.questions": lambda options: questions._parser().parse_known_args(options),
    "datamodules.prepare": lambda options: prepare_parser().parse_args(options),
    "sweeps.run": check_sweep,
    "pytest": check_pytest,
}
CHECKS: dict[str, Callable[[Sequence[str]], object]] = {
    "python": check_module,
    "torchrun": check_torchrun,
    "mlflow": check_mlflow,
    "make": check_make,
    "pip": check_pip,
    "sbatch": check_sbatch,
    "srun": check_srun,
}


def prepare_parser():
    from datamodules.prepare import parser

    return parser()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_is_taken_as_it_stands(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)  # Python starts in the working directory
    monkeypatch.setenv("HOME", str(folder))
    for block in blocks(page):
        made = calls(block, folder)
        assert made or "export" in block
        for program, *arguments in made:
            try:
                CHECKS.get(program, lambda _: None)(arguments)
            except SystemExit as end:  # of argparse: 0 after --help
                assert not end.code, f"{page.name}: {program} {' '.join(arguments)}"
            except Exception as error:
                raise AssertionError(f"{page.name}: {program} {' '.join(arguments)}: {error}") from error


def test_a_wrong_option_is_noticed() -> None:
    for program, call in {
        "python": "-m experiments.run fit --config ddsp --trainer.max_step 3",
        "mlflow": "server --allow-hosts tracking",
        "torchrun": "--nprocs-per-node=2 -m experiments.run fit --config ddsp",
        "pip": "install --editables .",
        "sbatch": "docs/train.sbatch ddsp --scales paper",
        "srun": "--ntasks 2 python -m sweeps.run ddsp --trials 3 --budgets 3m",
        "make": "leaderboards",
    }.items():
        with pytest.raises((Exception, SystemExit)):
            CHECKS[program](call.split())
