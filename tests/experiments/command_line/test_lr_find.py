"""The range test as a command: one run, with curves, picture and suggestion, and nothing trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.command_line.lr_find import RangeTestCLI
from runtime.errors import UserError
from tests.callbacks.tracking.test_tracker import artifacts, runs_of
from tests.conftest import SIXTH


def test_the_command_leaves_curves_and_a_suggestion(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RangeTestCLI(["--config", str(SIXTH), "--range_test.n_batches", "60", "--data.init_args.seconds", "0.2"])
    assert "network alone" in capsys.readouterr().out
    uri = f"sqlite:///{workplace}/mlflow.db"
    [run] = runs_of(uri)
    assert run.info.status == "FINISHED"
    assert {"config.yaml", "lr_find.json", "lr_find.png"} <= artifacts(uri, run.info.run_id)
    assert "lr_find/network_alone/smoothed" in run.data.metrics
    assert not list(workplace.rglob("*.ckpt"))
    [path] = workplace.glob("runs/sixth/*/lr_find.json")
    found = json.loads(path.read_text())["network alone"]
    # Adam moves a tap by the rate: 1e-6 leaves the filters as they are, 1 drowns them.
    assert 1e-5 < found["suggestion"] < 0.3
    assert len(found["rates"]) == len(found["losses"])


def test_an_anchor_has_no_learning_rate(workplace: Path) -> None:
    with pytest.raises(UserError, match="nothing to train"):
        RangeTestCLI(["--config", "copy"])
