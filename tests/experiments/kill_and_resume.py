"""Kill trainings at random moments, go on, and compare: ``python -m tests.experiments.kill_and_resume``.

An experiment is trained once to its end, and then again for every phase of its curricula: killed
(``SIGKILL``) at a random moment in that phase, and continued with ``--ckpt_path last`` to the end. Every
weight, buffer and optimizer state must be the same, bit for bit. The experiments are those of ``small/``:
whole architectures, as narrow as can be.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import mlflow  # noqa: F401  (here, once, and not in every process that is forked)
import numpy as np
import torch

from callbacks.curriculum import Schedule
from callbacks.tracking.tracker import n_batches_done
from experiments.command_line.cli import SuiteCLI
from tests.conftest import working_in

HERE = Path(__file__).parent
SMALL = sorted(path.stem.removeprefix("small_") for path in (HERE / "small").glob("*.yaml"))
N_EPOCHS, N_BATCHES = 3, 8


class Outcome(NamedTuple):
    """What became of one training that was killed."""

    experiment: str
    phase: int
    killed_after: int
    """Batches that were done."""
    resumed_after: int | None
    """Batches that ``last.ckpt`` had; ``None`` where there was none yet, and the training began anew."""
    n_tensors: int
    """Weights, buffers and optimizer states that were compared."""
    differences: list[str]
    """Names of those that are not the same as without interruption."""


class Watch(L.Callback):
    """Tells the parent process which batches are done, a byte each."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        os.write(self.pipe, bytes([n_batches_done(trainer)]))


class WatchedCLI(SuiteCLI):
    """`SuiteCLI` with curricula whose phases are of equal length, however short the training."""

    def __init__(self, arguments: list[str], pipe: int) -> None:
        self.pipe = pipe
        super().__init__(arguments)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer | None:
        trainer = super().instantiate_trainer(**kwargs)
        stretch(trainer.callbacks)  # type: ignore[union-attr]
        trainer.callbacks.append(Watch(self.pipe))  # type: ignore[union-attr]
        return trainer


def stretch(callbacks: Sequence[L.Callback]) -> int:
    """Move the points of all schedules so that the intervals between them are equal; gives their number."""
    schedules = [callback for callback in callbacks if isinstance(callback, Schedule)]
    knots = sorted({0.0, 1.0, *(point[0] for schedule in schedules for point in schedule.points)})
    places = np.linspace(0, 1, len(knots)).tolist()
    for schedule in schedules:
        schedule.points = [[places[knots.index(x)], y] for x, y in schedule.points]
    return len(knots) - 1


class Training:
    """A training in a forked process, which needs no second import of everything.

    Args:
        arguments: see `SuiteCLI`.
        log: where its output goes.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self.log = log
        self.done = 0
        """Batches."""
        self._pipe, writing = os.pipe()
        self.process = os.fork()
        if not self.process:
            _run(arguments, writing, log)
        os.close(writing)

    def next_batch(self, wait_s: float | None = None) -> bool:
        """Wait for the end of a batch; false where the training ended, or the time did."""
        if select.select([self._pipe], [], [], wait_s)[0] and (byte := os.read(self._pipe, 1)):
            self.done = byte[0]
            return True
        return False

    def finish(self) -> list[float]:
        """Wait for its end; gives when its batches were done. Raises `RuntimeError` where it failed."""
        moments = [time.monotonic()]
        while self.next_batch():
            moments.append(time.monotonic())
        if self._end():
            raise RuntimeError(f"{self.log} ends with:\n{self.log.read_text()[-3000:]}")
        return moments

    def kill(self, after: int, then_wait_s: float, before: int) -> None:
        """``SIGKILL`` so long after one batch was done, or when another is, if that is earlier."""
        while self.done < after and self.next_batch():
            pass
        end = time.monotonic() + then_wait_s
        while self.done < before and (left := end - time.monotonic()) > 0 and self.next_batch(left):
            pass
        os.kill(self.process, signal.SIGKILL)
        self._end()

    def _end(self) -> int:
        os.close(self._pipe)
        return os.waitpid(self.process, 0)[1]


def _run(arguments: list[str], pipe: int, log: Path) -> None:
    code = 1
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        WatchedCLI(arguments, pipe)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # what the parent has registered for its own end is not the child's


def kill_and_resume(
    experiment: str, corpora: Path, chance: random.Random, only_phase: int | None = None
) -> Iterator[Outcome]:
    """Kill and resume a training of one of `SMALL`, in the working directory, once in every phase."""
    arguments = ["fit", *configs(experiment, corpora), "--test_after_fit", "false", "--runs_dir"]
    moments = Training([*arguments, "whole"], Path("whole.log")).finish()
    expected, _ = last_state(Path("whole"))
    n_phases = stretch(SuiteCLI(arguments[1:-3], run=False).config_init.trainer.callbacks)
    for phase in range(n_phases) if only_phase is None else [only_phase]:
        first, end = (round(N_EPOCHS * N_BATCHES * place / n_phases) for place in (phase, phase + 1))
        folder = Path(f"killed_in_{phase}")
        log = folder.with_suffix(".log")
        training = Training([*arguments, str(folder)], log)
        training.kill(first, chance.random() * (moments[end] - moments[first]), end)
        _, kept = last_state(folder)
        Training([*arguments, str(folder), *(["--ckpt_path", "last"] if kept else [])], log).finish()
        found, _ = last_state(folder)
        differences = [name for name, value in expected.items() if not equal(value, found.get(name))]
        yield Outcome(experiment, phase, training.done, kept, len(expected), differences)


def configs(experiment: str, corpora: Path) -> list[str]:
    """The options of a small experiment."""
    files = [HERE / "small" / f"small_{experiment}.yaml", HERE / "tiny_corpus.yaml"]
    settings = {
        "data.init_args.corpora_dir": corpora,
        "data.init_args.batches_per_epoch": N_BATCHES,
        "trainer.max_epochs": N_EPOCHS,
        "trainer.check_val_every_n_epoch": 1,
        "checkpoint.last_every_minutes": 0.01,
        "audio_examples.every_n_validations": 0,
    }
    options = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    return [*(text for file in files for text in ("--config", str(file))), *options]


def last_state(runs: Path) -> tuple[dict[str, Any], int | None]:
    """What training has changed in the latest ``last.ckpt``, by name, and how many batches that took."""
    paths = sorted(runs.glob("*/*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
    if not paths:
        return {}, None
    content = torch.load(paths[-1], weights_only=True)
    n_batches = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["processed"]
    kept = {name: content[name] for name in ("state_dict", "optimizer_states")}
    return dict(flat(kept)), n_batches


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dictionaries and lists."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from flat(part, f"{name}.{key}")
    else:
        yield name, value


def equal(a: Any, b: Any) -> bool:
    """Whether two leaves are the same, bit for bit."""
    return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b


def main(arguments: Sequence[str]) -> int:
    """Run the experiments named, or all, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.kill_and_resume")
    parser.add_argument("experiments", nargs="*", default=SMALL, metavar="NAME", help=", ".join(SMALL))
    parser.add_argument("--times", type=int, default=1, help="kills in each phase")
    parser.add_argument("--corpora", type=Path, default=HERE.parents[1] / "build" / "test-corpora")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    print("| experiment | phase | killed after batch | resumed after batch | tensors | that differ |")
    print("|---|---|---|---|---|---|", flush=True)
    n_different = 0
    for experiment in options.experiments:
        for _ in range(options.times):
            with tempfile.TemporaryDirectory() as folder, working_in(Path(folder)):
                for o in kill_and_resume(experiment, options.corpora.resolve(), chance):
                    n_different += bool(o.differences)
                    resumed = "began anew" if o.resumed_after is None else o.resumed_after
                    cells = (
                        o.experiment,
                        o.phase + 1,
                        o.killed_after,
                        resumed,
                        o.n_tensors,
                        len(o.differences),
                    )
                    print(f"| {' | '.join(map(str, cells))} |", *o.differences[:3], flush=True)
    print(f"{n_different} trainings came to other weights than without interruption.")
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
