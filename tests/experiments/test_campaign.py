"""A campaign runs what is missing, goes on with what was interrupted, and outlives what fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from callbacks.tracking.run_lock import hold, is_running
from experiments import campaign, compare
from experiments.command_line import catalogue
from experiments.command_line.cli import SuiteCLI
from experiments.leaderboard import finished_runs
from experiments.leaderboard.finished_runs import Wanted
from tests.conftest import ROOT, SIXTH, Trained, working_in

OPTIONS = ["--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1"]


def left(runs_dir: Path, seeds: int = 1, **changes: Any) -> list[tuple[str, ...]]:
    """Arguments of the jobs that are left of a list with the sixth architecture alone."""
    entry = {"name": str(SIXTH), "minutes": 1, "options": OPTIONS} | changes
    settings = campaign.Settings("demo", seeds, 2, runs_dir, "sqlite:///none.db")
    return [job.arguments for job in campaign.jobs({"experiments": [entry]}, settings)]


@pytest.fixture
def run_dir(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the trained and tested run."""
    copy = tmp_path / "runs" / "sixth" / trained.run_dir.name
    shutil.copytree(trained.run_dir, copy)
    return copy


def rewrite_table(run_dir: Path, **row: Any) -> None:
    path = run_dir / "test_table.json"
    table = json.loads(path.read_text())
    table["rows"][0].update(row)
    path.write_text(json.dumps(table))


def test_what_is_done_is_not_repeated(run_dir: Path) -> None:
    runs = run_dir.parents[1]
    assert left(runs) == []
    [another_seed] = left(runs, seeds=2)
    assert another_seed[0] == "fit" and "--ckpt_path" not in another_seed
    assert another_seed[-4:] == ("--seed_everything", "1", "--data.init_args.seed", "1")


def test_another_config_is_another_run(run_dir: Path) -> None:
    for options in (["--trainer.max_epochs", "4"], ["--model.init_args.n_taps", "35"]):
        [arguments] = left(run_dir.parents[1], options=[*OPTIONS, *options])
        assert arguments[0] == "fit" and "--ckpt_path" not in arguments


def test_a_guard_of_time_does_not_make_another_run(run_dir: Path) -> None:
    assert left(run_dir.parents[1], options=[*OPTIONS, "--trainer.max_time", "00:00:01:00"]) == []


def test_an_interrupted_training_goes_on(run_dir: Path) -> None:
    journal = run_dir / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(
        "".join(line for line in lines if not ("train/" in line and json.loads(line)["step"] > 5))
    )
    [arguments] = left(run_dir.parents[1])
    assert arguments[0] == "fit"
    assert arguments[-2:] == ("--ckpt_path", str(run_dir / "checkpoints" / "last.ckpt"))
    (run_dir / "checkpoints" / "last.ckpt").unlink()
    [arguments] = left(run_dir.parents[1])
    assert arguments[0] == "fit" and "--ckpt_path" not in arguments


def test_a_trained_run_without_the_wanted_test_is_only_tested(run_dir: Path) -> None:
    best = ("--ckpt_path", str(run_dir / "checkpoints" / "best.ckpt"))
    rewrite_table(run_dir, clip="")  # as versions wrote it that did not tell whose audio is the same
    [arguments] = left(run_dir.parents[1])
    assert (arguments[0], arguments[-2:]) == ("test", best)
    (run_dir / "test_table.json").unlink()
    [arguments] = left(run_dir.parents[1])
    assert (arguments[0], arguments[-2:]) == ("test", best)


def test_a_run_at_work_is_left_alone(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_dir / "test_table.json").unlink()
    lock = hold(run_dir)
    assert is_running(run_dir)
    assert left(run_dir.parents[1]) == []
    assert "at work in another process" in capsys.readouterr().err
    lock.release()
    assert not is_running(run_dir) and left(run_dir.parents[1]) != []


def test_an_anchor_is_found_by_the_data_it_was_tested_on(workplace: Path) -> None:
    anchor = ROOT / "experiments/configs/anchors/copy.yaml"
    SuiteCLI(["test", "--config", str(SIXTH), "--config", str(anchor), "--experiment", "copy"])
    wanted = Wanted.of(str(SIXTH), "demo", 0)
    assert finished_runs.find_anchor(Path("runs"), "copy", wanted) is not None
    assert finished_runs.find_anchor(Path("runs"), "silence", wanted) is None
    other = wanted._replace(
        config=finished_runs.merged([wanted.config, {"data": {"init_args": {"seconds": 2.0}}}])
    )
    assert finished_runs.find_anchor(Path("runs"), "copy", other) is None


def test_layers_are_merged_as_configs_are() -> None:
    layers = [{"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c+": [2]}}, {"a": {"b": 2}, "d": None}]
    assert finished_runs.merged(layers) == {"a": {"b": 2, "c": [1, 2]}, "d": None}
    there = {"a": {"b": 3, "c": [1, 2], "e": 0}, "d": None}
    assert list(finished_runs.differences(finished_runs.merged(layers), there)) == ["a.b"]


def test_everything_listed_exists() -> None:
    listed = yaml.safe_load(campaign.LIST.read_text())
    names = [entry["name"] for entry in listed["experiments"]]
    assert len(set(names)) == len(names)
    for entry in [*listed["experiments"], *listed["anchors"]]:
        assert catalogue.find(entry["name"]) and entry["minutes"] > 0
        assert entry.get("tests") in (None, *names)


def test_a_campaign_outlives_what_fails_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the trainings, where the architecture is the tests'
    base = SIXTH.read_text() + "trainer: {max_epochs: 1}\n"
    (tmp_path / "good.yaml").write_text(base)
    (tmp_path / "bad.yaml").write_text(
        base.replace("SixthModule\n", "SixthModule\n  init_args: {n_taps: many}\n")
    )
    names = {name: str(tmp_path / f"{name}.yaml") for name in ("good", "bad")}
    for name in ("needy", "tester"):
        (tmp_path / f"{name}.yaml").write_text(base)
    entries = [{"name": name, "minutes": 1} for name in names.values()]
    entries += [{"name": str(tmp_path / "needy.yaml"), "minutes": 1, "tests": names["bad"]}]
    entries += [{"name": str(tmp_path / "tester.yaml"), "minutes": 1, "tests": names["good"]}]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump({"experiments": entries}))
    with working_in(tmp_path) as uri:
        assert campaign.main(["--list", "list.yaml"]) == 1
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if line.startswith("failed: ")]
        assert ["bad seed 0" in lines[0], "needy seed 0" in lines[1], "n_taps" in lines[0]] == [True] * 3
        assert "⚓ anchor" in said.out  # the leaderboard is shown all the same
        compare.main(["--format", "json"])
        document = json.loads(capsys.readouterr().out)
        assert {line["experiment"] for line in document} == {"good", "tester"}
        good, tester = (
            json.loads(next(Path("runs", name).glob("*/test_table.json")).read_text())
            for name in ("good", "tester")
        )
        assert good["rows"] == tester["rows"]  # the same weights on the same questions
        settings = campaign.Settings("demo", 1, 2, Path("runs"), uri)
        again = [job.name.split()[0] for job in campaign.jobs({"experiments": entries}, settings)]
        assert again == ["bad", "needy"]
