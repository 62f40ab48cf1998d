"""One small training that the tests of this folder look at from different sides."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

SIXTH = Path(__file__).parent / "sixth" / "sixth.yaml"
PROJECT = Path(__file__).parents[2]


class Trained(NamedTuple):
    """A finished `fit` of the sixth architecture."""

    root: Path
    """The working directory it ran in."""
    uri: str
    run_dir: Path


@contextmanager
def working_in(folder: Path) -> Iterator[str]:
    """Run a command as a user would in ``folder``; gives the tracking URI it uses."""
    uri = f"sqlite:///{folder}/mlflow.db"
    before, uri_before = Path.cwd(), os.environ.get("MLFLOW_TRACKING_URI")
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield uri
    finally:
        os.chdir(before)
        if uri_before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = uri_before


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Path]:
    """An empty working directory with a tracking store of its own."""
    with working_in(tmp_path):
        yield tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Fit the sixth architecture for three short epochs; `fit` then validates and tests it thoroughly."""
    from experiments.command_line.cli import SuiteCLI

    root = tmp_path_factory.mktemp("trained")
    with working_in(root) as uri:
        SuiteCLI(
            [
                *("fit", "--config", str(SIXTH), "--validate_after_fit", "true"),
                *("--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1"),
            ]
        )
    [run_dir] = (root / "runs" / "sixth").iterdir()
    return Trained(root, uri, run_dir)
