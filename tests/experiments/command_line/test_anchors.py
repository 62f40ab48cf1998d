"""All anchors through the same test as an architecture, on its data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import compare
from experiments.command_line.anchors import test_anchors as run_anchors
from runtime.errors import UserError
from tests.conftest import SIXTH

ANCHORS = {
    "copy",
    "copy_reference",
    "equaliser",
    "wrong_notes",
    "other_recording",
    "oracle_phase",
    "target_plus_noise",
    "silence",
}


def test_every_anchor_is_a_run_of_its_own(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_anchors(["--config", str(SIXTH), "--data.init_args.seconds", "0.5"])
    capsys.readouterr()
    compare.main(["--format", "json"])
    lines = json.loads(capsys.readouterr().out)
    assert {line["experiment"] for line in lines if line["is_anchor"]} == ANCHORS
    mr_stft = {line["experiment"]: line["metrics"]["mr_stft"]["mean"] for line in lines}
    assert mr_stft["other_recording"] == pytest.approx(0, abs=1e-3)  # in this data it is the target itself
    assert mr_stft["copy"] > 0.1


def test_anchors_need_an_experiment(workplace: Path) -> None:
    with pytest.raises(UserError, match="need"):
        run_anchors([])
