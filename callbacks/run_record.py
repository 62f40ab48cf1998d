"""The record that makes a run repeatable: resolved config, code version, corpus, seed and packages."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.cli import SaveConfigCallback

from callbacks.tracking.tracker import tracker_of

CONFIG, TEST_CONFIG, PACKAGES = "config.yaml", "test_config.yaml", "packages.txt"


class RunRecord(SaveConfigCallback):
    """Store the resolved config and the packages as artifacts and the rest as tags, when a run is set up."""

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Called by Lightning on rank zero, once, after the data module was set up."""
        tracker = tracker_of(trainer)
        if tracker is None:
            return
        self._write(tracker.run_dir / PACKAGES, installed_packages())
        tracker.log_artifact(tracker.run_dir / PACKAGES)
        name = CONFIG if stage == "fit" or not (tracker.run_dir / CONFIG).is_file() else TEST_CONFIG
        if name == CONFIG or stage == "test":
            self._write(tracker.run_dir / name, self.parser.dump(self.config, skip_none=False))
            tracker.log_artifact(tracker.run_dir / name)
        tracker.set_tags(self._identity(trainer, pl_module))
        tracker.set_tags(code_version() | environment())

    def _identity(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """The tags by which a leaderboard groups and filters."""
        data = getattr(trainer, "datamodule", None)
        return {
            "experiment": self.config.get("experiment"),
            "architecture": architecture(pl_module),
            "scale": self.config.get("scale"),
            "seed": self.config.get("seed_everything"),
            "is_anchor": str(getattr(pl_module, "is_anchor", False)).lower(),
            "corpus": getattr(getattr(data, "corpus", None), "address", "none"),
            "tracks": ",".join(sorted(getattr(data, "tracks", ()))) or "none",
            "pairs": ",".join(_pairs(data)) or "none",
            "class": f"{type(pl_module).__module__}.{type(pl_module).__qualname__}",
            "parameters": sum(parameter.numel() for parameter in pl_module.parameters()),
        }

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def architecture(module: L.LightningModule) -> str:
    """The package that the module's class is in: ``ddsp``, ``pix2pix``, …"""
    return type(module).__module__.split(".")[-2:][0]


def _pairs(data: object) -> list[str]:
    """``source->target`` of all pairs of instruments that the data module gives."""
    sources, targets = (getattr(data, f"{side}_instruments", ()) for side in ("source", "target"))
    return [f"{source}->{target}" for source in sources for target in targets if source != target]


def installed_packages() -> str:
    """List ``name==version`` of every installed distribution, one a line."""
    return "\n".join(sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})) + "\n"


def environment() -> dict[str, str]:
    """Tags of the interpreter, the machine and the command line."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "mlflow.source.name": shlex.join(["python", "-m", "experiments.run", *sys.argv[1:]])[:5000],
        "mlflow.source.type": "LOCAL",
    }


def code_version() -> dict[str, str]:
    """Tags of the git commit and of whether files differ from it; none outside a git checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"mlflow.source.git.commit": commit, "git_dirty": str(bool(_git("status", "--porcelain"))).lower()}


def _git(*arguments: str) -> str | None:
    root = Path(__file__).parents[1]
    try:
        result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # git is not installed
        return None
    return result.stdout.strip() if result.returncode == 0 else None
