"""What a run leaves behind, in its folder and in MLflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from callbacks.tracking.mlflow_store import connect
from callbacks.tracking.outbox import Journal
from experiments.command_line.cli import SuiteCLI
from metrics.evaluation.table import TestTable
from tests.conftest import ROOT, SIXTH, Trained, working_in

LONG_TRAINING = ["fit", "--config", str(SIXTH), "--data.init_args.batches_per_epoch", "20"]


def runs_of(uri: str, experiment: str = "sixth") -> list[Any]:
    client = connect(uri)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else client.search_runs([found.experiment_id])


def artifacts(uri: str, run_id: str, folder: str = "") -> set[str]:
    found = set()
    for entry in connect(uri).list_artifacts(run_id, folder or None):
        found |= artifacts(uri, run_id, entry.path) if entry.is_dir else {entry.path}
    return found


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    command = [sys.executable, "-m", "experiments.run", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def test_a_run_holds_everything(trained: Trained) -> None:
    [run] = runs_of(trained.uri)
    assert run.info.run_name == f"demo_seed0_{trained.run_dir.name[-4:]} sixth"
    assert not [name for name in run.data.params if name.startswith("_")]
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    expected = {"experiment": "sixth", "scale": "demo", "seed": "0", "is_anchor": "false", "tested": "true"}
    assert expected.items() <= tags.items()
    assert {"corpus", "tracks", "pairs", "class", "python", "mlflow.source.name"} <= set(tags)
    assert tags["architecture"] == "sixth"
    assert run.data.params["n_taps"] == "33"
    assert {"train/magnitude", "train/waveform", "val/mr_stft", "test/mr_stft"} <= set(run.data.metrics)
    assert 0 < run.data.metrics["test/real_time_factor"] < 10
    assert run.data.metrics["test/transfer_parameters"] == 2 * 33
    assert {"val/pitch_jaccard_distance", "val/real_time_factor"} <= set(run.data.metrics)
    stored = artifacts(trained.uri, run.info.run_id)
    assert {"config.yaml", "packages.txt", "test_table.json"} <= stored
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt"} <= stored
    assert {"audio/test/examples.json", "audio/test/01.png", "audio/test/01_output.wav"} <= stored
    assert {"audio/over_training_01.gif", "histories.png"} <= stored


def test_the_same_excerpt_is_heard_over_training(trained: Trained) -> None:
    folders = sorted((trained.run_dir / "audio").glob("step_*"))
    assert [folder.name for folder in folders] == ["step_0000004", "step_0000008", "step_0000012"]
    sources = {(folder / "01_source.wav").read_bytes() for folder in folders}
    outputs = {(folder / "01_output.wav").read_bytes() for folder in folders}
    assert len(sources) == 1
    assert len(outputs) == 3


def test_the_stored_config_repeats_the_run(trained: Trained, workplace: Path) -> None:
    config = yaml.safe_load((trained.run_dir / "config.yaml").read_text())
    assert config["model"]["init_args"]["n_taps"] == 33
    SuiteCLI(["fit", "--config", str(trained.run_dir / "config.yaml"), "--trainer.max_epochs", "3"])
    [again] = (workplace / "runs").glob("*/*/checkpoints/last.ckpt")
    first, second = (
        torch.load(path, weights_only=True)["state_dict"]["network.taps"]
        for path in (trained.run_dir / "checkpoints" / "last.ckpt", again)
    )
    assert torch.equal(first, second)


def test_the_test_table_has_the_logged_means(trained: Trained) -> None:
    [run] = runs_of(trained.uri)
    table = TestTable.from_json((trained.run_dir / "test_table.json").read_text())
    assert table.means()["mr_stft"] == pytest.approx(run.data.metrics["test/mr_stft"], rel=1e-5)


def test_testing_a_stored_checkpoint_belongs_to_its_run(trained: Trained) -> None:
    with working_in(trained.root):
        SuiteCLI(["test", "--config", str(SIXTH), "--ckpt_path", "best"])
    [run] = runs_of(trained.uri)
    assert run.info.status == "FINISHED"
    tests = connect(trained.uri).get_metric_history(run.info.run_id, "test/mr_stft")
    assert [test.step for test in tests] == [0, 0]
    [version] = connect(trained.uri).search_model_versions("name = 'sixth'")
    assert version.run_id == run.info.run_id


def test_predict_writes_the_transfer_of_every_test_clip(trained: Trained, tmp_path: Path) -> None:
    with working_in(trained.root):
        SuiteCLI(
            ["predict", "--config", str(SIXTH), "--ckpt_path", "best", "--predictions.output", str(tmp_path)]
        )
    names = [f"piece{index}_dull_to_bright_{index:04d}.wav" for index in range(4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    [example] = json.loads((trained.run_dir / "audio/test/examples.json").read_text())
    heard = trained.run_dir / "audio/test/01_output.wav"
    assert (tmp_path / f"{example['piece']}_dull_to_bright_0000.wav").read_bytes() == heard.read_bytes()


def test_a_failure_before_set_up_leaves_no_run(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise RuntimeError("no data today")

    monkeypatch.setattr("tests.experiments.tones.TonesDataModule.prepare_data", fail)
    with pytest.raises(RuntimeError, match="no data today"):
        SuiteCLI(["fit", "--config", str(SIXTH)])
    assert not (workplace / "runs").exists()


def test_an_error_in_training_ends_the_run_as_failed(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, batch: object, batch_idx: int) -> None:
        raise RuntimeError("diverged")

    monkeypatch.setattr("tests.experiments.sixth.module.SixthModule.training_step", fail)
    with pytest.raises(RuntimeError, match="diverged"):
        SuiteCLI(["fit", "--config", str(SIXTH)])
    [run] = runs_of(f"sqlite:///{workplace}/mlflow.db")
    assert run.info.status == "FAILED"


def test_ctrl_c_leaves_the_last_checkpoint_and_fit_resumes_from_it(tmp_path: Path) -> None:
    process = start(tmp_path, *LONG_TRAINING)
    end = time.monotonic() + 200
    while not list(tmp_path.glob("runs/sixth/*/checkpoints/last.ckpt")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Traceback" not in output
    assert "--ckpt_path last" in output
    [checkpoint] = tmp_path.glob("runs/sixth/*/checkpoints/last.ckpt")
    reached = torch.load(checkpoint, weights_only=True)["global_step"]
    assert reached > 0
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    [run] = runs_of(uri)
    assert run.info.status == "KILLED"

    with working_in(tmp_path):
        steps = str(reached + 5)
        SuiteCLI(
            [*LONG_TRAINING, "--ckpt_path", "last", "--trainer.max_steps", steps, "--test_after_fit", "false"]
        )
    assert torch.load(checkpoint, weights_only=True)["global_step"] == reached + 5
    [run] = runs_of(uri)
    assert run.info.status == "FINISHED"


def test_two_processes_make_one_run(tmp_path: Path) -> None:
    arguments = ["--trainer.strategy", "ddp_fork", "--trainer.devices", "2", "--trainer.accelerator", "cpu"]
    process = start(tmp_path, "fit", "--config", str(SIXTH), "--trainer.max_epochs", "2", *arguments)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    [run_dir] = (tmp_path / "runs" / "sixth").iterdir()
    [run] = runs_of(f"sqlite:///{tmp_path}/mlflow.db")
    assert run.info.status == "FINISHED"
    assert (run_dir / "checkpoints" / "best.ckpt").is_file()
    kinds = [entry.event.kind for entry in Journal(run_dir).entries()]
    assert kinds.count("start") == 1
    assert len(json.loads((run_dir / "test_table.json").read_text())["rows"]) == 4
