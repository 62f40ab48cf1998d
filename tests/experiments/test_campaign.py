"""A campaign runs what is missing, goes on with what was interrupted, and outlives what fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from callbacks.tracking.run_lock import hold, is_running
from experiments import campaign, compare
from experiments.command_line.cli import SuiteCLI
from experiments.command_line.resolver import resolve
from experiments.leaderboard import finished_runs
from experiments.leaderboard.experiment_list import ExperimentList, ListedExperiment, read_list
from runtime.errors import UserError
from tests.conftest import ROOT, SIXTH, Trained, working_in

OPTIONS = ["--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1"]


def left(runs_dir: Path, seeds: int = 1, options: Sequence[str] = OPTIONS) -> list[tuple[str, ...]]:
    """Arguments of the jobs that are left of a list with the sixth architecture alone."""
    listed = ExperimentList((ListedExperiment(str(SIXTH), options=tuple(options)),))
    settings = campaign.Settings("demo", seeds, 2, runs_dir, "sqlite:///none.db")
    return [run.arguments for run in campaign.planned_runs(listed, settings)]


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
    asked = resolve(["--config", str(SIXTH)])
    assert finished_runs.find_anchor(Path("runs"), "copy", asked) is not None
    assert finished_runs.find_anchor(Path("runs"), "silence", asked) is None
    other = resolve(["--config", str(SIXTH), "--data.init_args.seconds", "2.0"])
    assert finished_runs.find_anchor(Path("runs"), "copy", other) is None


@pytest.mark.parametrize("max_epochs", ["-1", "null"])
def test_a_training_without_a_budget_is_over_when_it_ended_by_itself(run_dir: Path, max_epochs: str) -> None:
    options = ["--trainer.max_epochs", max_epochs]
    asked = resolve(["--config", str(SIXTH), *options])
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    config["trainer"]["max_epochs"] = yaml.safe_load(max_epochs)
    config["fingerprint"] = asked.fingerprint
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    found = finished_runs.find(run_dir.parents[1], asked)
    assert found is not None and found.is_trained
    journal = run_dir / "journal.jsonl"
    ended = [line for line in journal.read_text().splitlines(keepends=True) if '"FINISHED"' not in line]
    journal.write_text("".join(ended))
    found = finished_runs.find(run_dir.parents[1], asked)
    assert found is not None and not found.is_trained


def test_everything_listed_exists() -> None:
    listed = read_list(campaign.LIST)
    assert len(listed.experiments) == 17 and len(listed.anchors) == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "lists no experiments; it needs `experiments: "),
        (b"experiments: []", "lists no experiments"),
        (b"experiments: [", "is not valid YAML"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"experiments: ddsp", "`experiments` must be a list, found 'ddsp'"),
        (b"experiments: [ddsp]", "an entry needs the name of an experiment"),
        (b"experiments: [{minutes: 3}]", "an entry needs the name"),
        (b"experiments: [{name: dsdp}]", "named 'dsdp'. Did you mean 'ddsp'"),
        (b"experiment: [{name: ddsp}]", "no key 'experiment'.*Did you mean 'experiments'"),
        (b"experiments: [{name: ddsp, minute: 3}]", "no key 'minute'.*Did you mean 'minutes'"),
        (b"experiments: [{name: ddsp, minutes: many}]", "minutes must be a positive number, not many"),
        (b"experiments: [{name: ddsp, minutes: .nan}]", "minutes must be a positive number"),
        (b"experiments: [{name: ddsp, options: --ema_decay}]", "`options` must be a list"),
        (b"experiments: [{name: ddsp}, {name: ddsp}]", "lists 'ddsp' 2 times"),
        (b"experiments: [{name: ddsp, tests: ddsp}]", "tests 'ddsp', which the list does not train"),
        (b"experiments: [{name: ddsp}]\nanchors: [{}]", "an entry needs the name"),
    ],
)
def test_a_wrong_list_ends_in_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "list.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        campaign.main(["--list", str(path), "--runs_dir", str(tmp_path / "runs")])
    assert str(path) in str(caught.value) or "dsdp" in sentence
    assert not (tmp_path / "runs").exists()  # nothing was begun


@pytest.mark.parametrize("options", [["--jobs", "-2"], ["--jobs", "0"], ["--seeds", "0"], ["--jobs", "two"]])
def test_numbers_below_one_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        campaign.main(options)
    said = capsys.readouterr().err
    assert f"error: {options[0]} must be a positive whole number, not {options[1]}." in said


def test_a_damaged_run_is_no_finished_run(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = ("--ckpt_path", str(run_dir / "checkpoints" / "best.ckpt"))
    table = (run_dir / "test_table.json").read_text()
    for damaged in ("", table[: len(table) // 2], "[]"):
        (run_dir / "test_table.json").write_text(damaged)
        [arguments] = left(run_dir.parents[1])
        assert (arguments[0], arguments[-2:]) == ("test", best)
    (run_dir / "config.yaml").write_bytes(b"\xff")
    [arguments] = left(run_dir.parents[1])
    assert arguments[0] == "fit" and "--ckpt_path" not in arguments
    assert f"{run_dir} is left out" in capsys.readouterr().err


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
        again = [
            run.title.split()[0] for run in campaign.planned_runs(read_list(Path("list.yaml")), settings)
        ]
        assert again == ["bad", "needy"]
