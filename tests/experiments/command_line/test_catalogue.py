"""Names, layers and the listing."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.command_line import catalogue
from experiments.run import listing, main
from runtime.errors import UserError


def test_base_is_first_and_the_scale_second() -> None:
    request = catalogue.read_request(["--config", "copy", "--trainer.max_steps", "3"])
    assert [path.name for path in request.layers] == ["base.yaml", "demo.yaml", "copy.yaml"]
    assert request.options == ["--trainer.max_steps", "3"]


@pytest.mark.parametrize("arguments", [["--scale", "paper"], ["--scale=paper"], ["-c", "scale/paper"]])
def test_three_ways_to_choose_a_scale(arguments: list[str]) -> None:
    request = catalogue.read_request([*arguments, "--config=copy"])
    assert request.scale == "paper"
    assert [path.name for path in request.layers] == ["base.yaml", "paper.yaml", "copy.yaml"]
    assert request.experiment == "copy"


def test_an_experiment_may_have_its_own_sizes_at_a_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scale" / "demo").mkdir(parents=True)
    for name in ("base.yaml", "scale/demo.yaml", "scale/paper.yaml", "large.yaml", "scale/demo/large.yaml"):
        (tmp_path / name).write_text("# text\n")
    monkeypatch.setattr(catalogue, "CONFIGS", tmp_path)
    monkeypatch.setattr(catalogue, "BASE", tmp_path / "base.yaml")
    at_demo = catalogue.read_request(["--config", "large"]).layers
    assert [str(path.relative_to(tmp_path)) for path in at_demo][-2:] == [
        "large.yaml",
        "scale/demo/large.yaml",
    ]
    assert catalogue.read_request(["--config", "large", "--scale", "paper"]).layers[-1].name == "large.yaml"
    assert [experiment.name for experiment in catalogue.experiments()] == ["large"]


def test_an_experiment_may_be_a_difference_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "CONFIGS", tmp_path)
    (tmp_path / "scale").mkdir()
    (tmp_path / "scale" / "demo.yaml").touch()
    (tmp_path / "first.yaml").write_text("# The first.\n")
    (tmp_path / "second.yaml").write_text("# The second.\n# over: first\n")
    (tmp_path / "third.yaml").write_text("# The third.\n# over: second\n")
    for arguments in (["--config", "third"], ["--config", "first", "--config", "third"]):
        names = [path.stem for path in catalogue.read_request(arguments).layers[2:]]
        assert names == ["first", "second", "third"]
    assert catalogue.read_request(["--config", "third"]).experiment == "third"


def test_a_difference_comes_over_its_foundation_and_the_sizes_of_that(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("# My change.\n# over: ddsp\ntrainer: {}\n")
    request = catalogue.read_request(["--config", str(mine), "--scale", "demo"])
    assert request.experiment == "mine"
    names = [path.relative_to(catalogue.CONFIGS).as_posix() for path in request.layers[:-1]]
    assert names == ["base.yaml", "scale/demo.yaml", "ddsp.yaml", "scale/demo/ddsp.yaml"]
    assert request.layers[-1] == mine


def test_layered_configs_name_the_experiment_together(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("trainer: {}\n")
    assert catalogue.read_request(["--config", "copy", "--config", str(mine)]).experiment == "copy+mine"


def test_unknown_names_get_the_nearest_one() -> None:
    with pytest.raises(UserError, match="Did you mean 'silence'"):
        catalogue.find("silense")
    with pytest.raises(UserError, match=r"no scale 'papper'.*Did you mean 'paper'"):
        catalogue.read_request(["--scale", "papper"])
    with pytest.raises(UserError, match="needs a name after it"):
        catalogue.read_request(["--config"])
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
