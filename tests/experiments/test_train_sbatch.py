"""docs/train.sbatch trains as one run, also after SLURM has put the job back into the queue."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from callbacks.tracking.events import StatusChanged
from callbacks.tracking.outbox import Journal
from tests.conftest import ROOT, SIXTH, Trained

RUN = "slurm-4711"


def submit(folder: Path, srun: str, *arguments: str) -> str:
    """Run the script as a job of SLURM would, with a stand-in for ``srun``; gives its output."""
    commands = folder / "commands"
    commands.mkdir(exist_ok=True)
    (commands / "srun").write_text(f"#!/bin/bash\nshift  # its own option\n{srun}\n")
    (commands / "srun").chmod(0o755)
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True, exist_ok=True)
    activate.write_text(f"export PATH={Path(sys.executable).parent}:$PATH\n")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RUN"},
        **{"SLURM_JOB_ID": "4711", "SLURM_CPUS_PER_TASK": "1", "PYTHONPATH": str(ROOT)},
        "PATH": f"{commands}:{os.environ['PATH']}",
    }
    script = ["bash", str(ROOT / "docs" / "train.sbatch"), *arguments]
    job = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert job.returncode == 0, job.stderr
    return job.stdout


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["ddsp", "--scale", "paper"], "runs/ddsp"),
        (["ablations/ddsp_as_played"], "runs/ddsp_as_played"),
        (["pairs/pix2pix_string"], "runs/pix2pix_string"),
        (["mine.yaml"], "runs/mine"),
        (["ddsp", "--runs_dir", "scratch/my runs"], "scratch/my runs/ddsp"),
        (["ddsp", "--runs_dir=scratch", "--config", "mine.yaml"], "scratch/ddsp+mine"),
    ],
)
def test_a_requeued_job_goes_on_from_its_last_checkpoint(
    tmp_path: Path, arguments: list[str], place: str
) -> None:
    (tmp_path / "mine.yaml").write_text("base: ddsp\n")
    say = "printf '%s\\n' \"$@\""
    first = submit(tmp_path, say, *arguments).splitlines()
    assert first[:4] == ["python", "-m", "experiments.run", "fit"]
    assert "--ckpt_path" not in first and first[8:] == arguments[1:]
    last = tmp_path / place / RUN / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    again = submit(tmp_path, say, *arguments).splitlines()
    assert again[again.index("--ckpt_path") + 1] == str(last.relative_to(tmp_path))
    assert again[again.index("--run_name") + 1] == RUN


def test_the_training_itself_goes_on_in_its_run(trained: Trained, tmp_path: Path) -> None:
    run_dir = tmp_path / "scratch" / "sixth" / RUN
    shutil.copytree(trained.run_dir, run_dir)
    before = sum(1 for _ in Journal(run_dir).entries())
    options = ["--runs_dir", "scratch", "--trainer.max_epochs", "3", "--test_after_fit", "false"]
    submit(tmp_path, 'exec "$@"', str(SIXTH), *options)
    added = [event for event, _ in list(Journal(run_dir).entries())[before:]]
    statuses = [event.status for event in added if isinstance(event, StatusChanged)]
    assert statuses == ["RUNNING", "FINISHED"]
    assert [path.name for path in run_dir.parent.iterdir()] == [RUN]
