"""Names of experiments and their listing."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.command_line import catalogue
from experiments.run import listing, main
from runtime.errors import UserError


def test_unknown_names_get_the_nearest_one() -> None:
    with pytest.raises(UserError, match="Did you mean 'silence'"):
        catalogue.find("silense")
    with pytest.raises(UserError, match="Did you mean 'fit'"):
        main(["fitt", "--config", "copy"])
    with pytest.raises(UserError, match="needs an experiment"):
        main(["fit"])


def test_the_listing_has_one_described_line_for_every_experiment() -> None:
    lines = listing().splitlines()
    for experiment in catalogue.experiments():
        [line] = [line for line in lines if line.split()[:1] == [experiment.name]]
        assert len(line.split()) > 3, f"{experiment.path} needs a first comment that says what it is"


@pytest.mark.parametrize(
    "command",
    [
        "experiments.run",
        "experiments.compare --help",
        "experiments.transfer --help",
        "experiments.outbox --help",
        "sweeps.run --help",
    ],
)
def test_light_commands_import_nothing_heavy(command: str) -> None:
    module, *arguments = command.split()
    code = (
        f"import sys, runpy; sys.argv = {['x', *arguments]!r}\n"
        f"try: runpy.run_module('{module}', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'lightning', 'torch', 'mlflow', 'librosa'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parents[3]
    )


def test_a_file_is_named_so_that_it_is_found_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("# mine\n")
    monkeypatch.chdir(tmp_path)
    assert catalogue.name_or_path("mine.yaml") == str(tmp_path / "mine.yaml")
    assert catalogue.name_or_path("ddsp") == "ddsp"
