"""A study that workers share: how it begins, who joins, and when it has enough trials."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from runtime.errors import UserError
from sweeps.studies import Identity, begin, is_surplus, n_finished, open_storage

IDENTITY = Identity("toy", "demo", "30m", [("val/mr_stft", "minimize")], {"a": [1, 2]}, [])


def test_an_existing_study_is_joined_only_on_request_and_only_for_the_same(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    study, is_new = begin(storage, "toy", IDENTITY, resume=True, prune=True)
    assert is_new and isinstance(study.pruner, optuna.pruners.MedianPruner)
    with pytest.raises(UserError, match=r"'toy' exists already: add --resume .* or --study NAME"):
        begin(storage, "toy", IDENTITY, resume=False, prune=True)
    joined, is_new = begin(storage, "toy", IDENTITY, resume=True, prune=True)
    assert not is_new and joined.user_attrs["id"] == study.user_attrs["id"]
    for change, words in (
        ({"budget": "10m"}, "with the budget 30m, this worker has 10m"),
        ({"space": {"a": [1, 3]}}, r"with the space a \[1, 2\], this worker has \[1, 3\]"),
        ({"objectives": [("val/mr_stft", "maximize")]}, "with the objectives"),
    ):
        with pytest.raises(UserError, match=words):
            begin(storage, "toy", IDENTITY._replace(**change), resume=True, prune=True)
    optuna.create_study(storage=storage, study_name="other")


def test_several_objectives_are_not_pruned(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    two = IDENTITY._replace(objectives=[("val/joint_score", "maximize"), ("val/mr_stft", "minimize")])
    study, _ = begin(storage, "toy", two, resume=False, prune=True)
    assert isinstance(study.pruner, optuna.pruners.NopPruner)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_of_trials_begun_at_once_those_with_the_lowest_numbers_stay(tmp_path: Path) -> None:
    study = optuna.create_study(storage=open_storage(f"sqlite:///{tmp_path}/sweeps.db"))
    with pytest.warns(UserWarning, match="Heartbeat"):
        running = [study.ask() for _ in range(4)]
    study.tell(running[1], 1.0)
    assert n_finished(study) == 1
    # Of three that are wanted one is finished, so two of those that run may stay.
    assert [is_surplus(study, number, n_trials=3) for number in (0, 2, 3)] == [False, False, True]
    study.tell(running[2], state=TrialState.FAIL)
    assert not is_surplus(study, 3, n_trials=3)
    study.enqueue_trial({"a": 1})  # number 4 waits behind
    assert not is_surplus(study, 3, n_trials=3)
    assert is_surplus(study, 5, n_trials=3)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sweeps.db", "'sweeps.db' is no database address; examples are sqlite:///sweeps.db"),
        ("sqlite:////nowhere/at/all/sweeps.db", "cannot be opened: unable to open database file"),
        ("postgresql://me:secret@127.0.0.1:9/db", r"postgresql://me:\*\*\*@127.0.0.1:9/db cannot be opened"),
        ("mysql+nonesuch://host/db", "cannot be opened"),
        ("sqlite://", "in memory, which ends with the process; name a file, as in sqlite:///sweeps.db"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(url: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_storage(url)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_driver_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"psycopg is not installed; .*\[postgres\]"):
        open_storage("postgresql://me:secret@127.0.0.1:9/db")
