"""A space for the sixth architecture, and studies that need neither a worker nor a training."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from sweeps.spaces import Space, read_space

SPACE = Path(__file__).parent / "sixth_space.yaml"
TAPS, RATE = "model.init_args.n_taps", "model.init_args.optimizer.init_args.lr"


@pytest.fixture
def space() -> Space:
    return read_space(SPACE)


def finished_study(space: Space, scores: list[tuple[float, ...]], name: str = "toy") -> optuna.Study:
    """A study in memory with a complete trial for each tuple of scores, all to be minimised."""
    study = optuna.create_study(
        directions=["minimize"] * len(scores[0]),
        study_name=name,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    for values in scores:
        trial = study.ask()
        space.suggest(trial)
        study.tell(trial, list(values))
    return study
