"""Following a trial by its journal, ending it early, and what it scores."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from callbacks.tracking.events import Metrics, StatusChanged
from callbacks.tracking.outbox import Journal
from sweeps.budget import Budget, parse_budget
from sweeps.learning_rates import read_suggestions
from sweeps.spaces import Space
from sweeps.trials import Objective, TrialFailed, TrialLog, TrialSettings, _report, _scores
from tests.sweeps.conftest import RATE

MONITOR = Objective("val/mr_stft", "minimize")


def validated(journal: Journal, value: float, **others: float) -> None:
    journal.append(Metrics({"val/mr_stft": value, **others}, step=1))


def watched(folder: Path, budget: Budget | None = None) -> tuple[Journal, TrialLog]:
    journal = Journal(folder)
    journal.start("toy", folder.name)
    return journal, TrialLog(folder, MONITOR, budget)


def settings(space: Space, folder: Path, *objectives: Objective) -> TrialSettings:
    return TrialSettings(
        ["--config", "toy"], space, objectives, MONITOR, None, folder, "toy", "sweep", "0", True
    )


def test_the_best_checkpoints_values_count_and_later_ones_are_added(tmp_path: Path) -> None:
    journal, trial_log = watched(tmp_path)
    for value, other in ((3.0, 30.0), (1.0, 10.0), (2.0, 20.0)):
        validated(journal, value, **{"val/mfcc_distance": other})
    assert list(trial_log.new_validations()) == [(1, 3.0), (2, 1.0), (3, 2.0)]
    journal.append(Metrics({"train/loss": 9.0}, step=2))
    journal.append(StatusChanged("FINISHED"))
    validated(journal, 1.5, **{"val/joint_score": 0.5})  # the thorough validation of the best checkpoint
    assert list(trial_log.new_validations()) == []
    assert trial_log.best == {"val/mr_stft": 1.5, "val/mfcc_distance": 10.0, "val/joint_score": 0.5}


def test_under_a_budget_of_time_validations_are_compared_at_tenths_of_it(tmp_path: Path) -> None:
    journal, trial_log = watched(tmp_path, parse_budget("100s"))
    with journal.path.open("a") as file:
        for second in (0, 4, 25, 29, 61):
            values = {"val/mr_stft": float(second)}
            line = {"kind": "metrics", "time_ms": 1_000_000 + 1000 * second, "values": values, "step": 1}
            file.write(json.dumps(line) + "\n")
    assert list(trial_log.new_validations()) == [(0, 0.0), (2, 25.0), (6, 61.0)]


def test_a_trial_worse_than_the_median_is_pruned_also_where_the_objective_points_the_other_way(
    tmp_path: Path, space: Space
) -> None:
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0)
    )
    joint = settings(space, tmp_path, Objective("val/joint_score", "maximize"))
    for number, distance in enumerate((1.0, 2.0, 3.0)):
        journal, trial_log = watched(tmp_path / str(number))
        validated(journal, distance)
        trial = study.ask()
        _report(trial, trial_log, joint)
        study.tell(trial, -distance)
    good, bad = (watched(tmp_path / name) for name in ("good", "bad"))
    validated(good[0], 1.5)
    validated(bad[0], 2.5)
    _report(study.ask(), good[1], joint)
    with pytest.raises(optuna.TrialPruned, match="val/mr_stft is worse than the median"):
        _report(study.ask(), bad[1], joint)


def test_scores_of_a_trial_that_diverged_or_lacks_an_objective(tmp_path: Path, space: Space) -> None:
    wanted = settings(space, tmp_path, MONITOR, Objective("val/joint_score", "maximize"))
    journal, trial_log = watched(tmp_path / "nan")
    validated(journal, float("nan"))
    assert len(list(trial_log.new_validations())) == 1
    with pytest.raises(optuna.TrialPruned, match="diverged: val/mr_stft is not a number"):
        _scores(0, trial_log, wanted)
    journal, trial_log = watched(tmp_path / "lacking")
    validated(journal, 1.0)
    assert len(list(trial_log.new_validations())) == 1
    with pytest.raises(TrialFailed, match=r"Trial 7 has no val/joint_score; .*measured val/mr_stft"):
        _scores(7, trial_log, wanted)
    journal.append(StatusChanged("FINISHED"))
    validated(journal, 1.0, **{"val/joint_score": 0.25})
    assert list(trial_log.new_validations()) == []
    assert _scores(7, trial_log, wanted) == (1.0, 0.25)


def test_the_more_careful_rate_of_the_range_test_is_tried_within_the_limits(
    tmp_path: Path, space: Space
) -> None:
    path = tmp_path / "lr_find.json"
    curves = {"network alone": {"suggestion": 3e-2}, "network together": {"suggestion": 2e-3}}
    path.write_text(json.dumps(curves))
    assert read_suggestions(path, space) == {RATE: 2e-3}
    path.write_text(json.dumps({"network alone": {"suggestion": 0.9}}))
    assert read_suggestions(path, space) == {RATE: 0.1}
    path.write_text(json.dumps({"network alone": {"suggestion": None}}))
    assert read_suggestions(path, space) == {}
    path.write_text(json.dumps({"critic alone": {"suggestion": 1e-3}}))
    with pytest.raises(ValueError, match=r"names network as what .*the range test found critic"):
        read_suggestions(path, space)
