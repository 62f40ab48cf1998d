"""How many processes there are, and one training of two that a launcher started."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.command_line.cli import SuiteCLI
from experiments.command_line.launchers import (
    STRATEGY,
    Launched,
    launched,
    n_devices,
    process_settings,
    require_devices,
)
from metrics.evaluation.table import TestTable
from runtime.errors import UserError
from tests.conftest import ROOT
from tests.experiments.kill_and_resume import configs

DEFAULTS = {"accelerator": "cpu", "devices": "auto", "num_nodes": 1, "strategy": "auto"}
OF_TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": 5,
    "GROUP_RANK": 1,
    "LOCAL_RANK": 1,
    "LOCAL_WORLD_SIZE": 4,
    "WORLD_SIZE": 8,
}
OF_SRUN = {"SLURM_NTASKS": 6, "SLURM_NTASKS_PER_NODE": 2, "SLURM_NNODES": 3, "SLURM_JOB_NAME": "train"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    """Sets variables as a launcher does."""
    return lambda variables: [monkeypatch.setenv(name, str(value)) for name, value in variables.items()]


def test_the_processes_are_those_that_a_launcher_started(environment) -> None:
    assert launched() is None
    environment(OF_SRUN)
    assert launched() == Launched("srun", per_host=2, hosts=3)
    environment(OF_TORCHRUN)  # which may itself be started by srun
    assert launched() == Launched("torchrun", per_host=4, hosts=2)
    assert process_settings(DEFAULTS) == {"devices": 4, "num_nodes": 2, "strategy": STRATEGY}


def test_one_process_needs_no_strategy_and_a_chosen_one_stays() -> None:
    assert process_settings(DEFAULTS) == {}
    assert process_settings(DEFAULTS | {"devices": 2}) == {"strategy": STRATEGY}
    assert process_settings(DEFAULTS | {"devices": 2, "strategy": "ddp"}) == {}


@pytest.mark.parametrize(
    ("devices", "n"), [(2, 2), ("2", 2), ([0, 3], 2), ("0,3", 2), ([1], 1), ("auto", 1), (-1, 1)]
)
def test_devices_may_be_a_number_a_list_or_all(devices, n: int) -> None:
    assert n_devices(devices, "cpu") == n


@pytest.mark.parametrize(
    ("accelerator", "devices", "there", "refused"),
    [
        ("gpu", "auto", 0, "this machine has no GPU that torch can use, and a CPU"),
        ("cuda", 1, 0, "no GPU"),
        ("gpu", 3, 2, r"this machine has 2 GPU\(s\)"),
        ("gpu", "[0, 2]", 2, "2 GPU"),
        ("gpu", [0, 1], 2, None),
        ("gpu", "auto", 1, None),
        ("gpu", -1, 2, None),
        ("cpu", 8, 0, None),
        ("auto", 2, 0, None),
    ],
)
def test_devices_that_are_not_there_are_refused(
    accelerator: str, devices, there: int, refused: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: there)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    if refused is None:
        require_devices(accelerator, devices)
    else:
        with pytest.raises(UserError, match=refused):
            require_devices(accelerator, devices)


def test_other_numbers_than_were_launched_are_refused_in_a_sentence(environment) -> None:
    environment(OF_TORCHRUN)
    assert process_settings(DEFAULTS | {"devices": 4, "num_nodes": 2}) == {
        "num_nodes": 2,
        "strategy": STRATEGY,
    }
    with pytest.raises(UserError, match=r"torchrun has started 4 processes on each of 2 hosts.* ask for 3"):
        process_settings(DEFAULTS | {"devices": 3})


@pytest.mark.usefixtures("tiny_corpus")
def test_torchrun_trains_one_run_and_tests_it_as_one_process_does(
    tiny_corpora_dir: Path, workplace: Path
) -> None:
    """Two turns of both players; then an odd number of clips, of which each process judges its own."""
    options = [
        *configs("pix2pix", tiny_corpora_dir),
        *("--trainer.max_epochs", "1", "--data.init_args.batches_per_epoch", "2"),
        *("--data.init_args.test_pieces", "3", "--data.init_args.tracks", "[monophonic]"),
    ]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "experiments.run"]
    result = subprocess.run(
        [sys.executable, *launch, "fit", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    [run_dir] = workplace.glob("runs/*/*")
    with sqlite3.connect("mlflow.db") as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
    of_two = TestTable.from_json((run_dir / "test_table.json").read_text())
    SuiteCLI(["test", *options, "--ckpt_path", "best"])
    of_one = TestTable.from_json((run_dir / "test_table.json").read_text())
    assert len(of_one.rows) == 3
    assert [row.key for row in of_two.rows] == [row.key for row in of_one.rows]
    for rows in zip(of_two.rows, of_one.rows, strict=True):
        two, one = ({name: v for name, v in row.metrics.items() if v is not None} for row in rows)
        assert two == pytest.approx(one, rel=1e-3, abs=1e-3)
    assert of_two.set_metrics == pytest.approx(of_one.set_metrics, rel=1e-3)
