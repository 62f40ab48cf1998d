"""Runs of a team: MLflow on a real PostgreSQL, artifacts in a place that is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callbacks.tracking import checkpoints
from callbacks.tracking.mlflow_store import connect
from experiments import compare
from experiments.command_line.cli import SuiteCLI
from tests.conftest import SIXTH
from tests.postgres import PostgresServer


def test_a_run_on_postgresql_is_found_compared_and_loaded(
    postgres: PostgresServer,
    workplace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = postgres.new_database("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", (tmp_path / "bucket").as_uri())
    SuiteCLI(["fit", "--config", str(SIXTH), "--trainer.max_epochs", "1"])
    capsys.readouterr()
    assert compare.main(["--format", "json"]) == 0
    [line] = {line["run_id"]: line for line in json.loads(capsys.readouterr().out)}.values()
    assert line["experiment"] == "sixth"
    run = connect(uri).get_run(line["run_id"])
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith((tmp_path / "bucket").as_uri())
    assert {"val/mr_stft", "test/mr_stft", "test/transfer_parameters"} <= set(run.data.metrics)
    path = checkpoints.find("models:/sixth@best", runs_dir=tmp_path / "elsewhere")
    assert path.is_relative_to(tmp_path / "elsewhere")
    checkpoints.load_module(path, (*checkpoints.TRUSTED, "tests.experiments"))
