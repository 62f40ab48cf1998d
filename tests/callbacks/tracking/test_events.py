"""Events survive their lines, also those that the first version of the suite wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callbacks.tracking.events import (
    KINDS,
    Artifact,
    Event,
    Metrics,
    ModelVersion,
    Params,
    RunStarted,
    StatusChanged,
    Tags,
    from_json,
)
from callbacks.tracking.mlflow_store import MlflowStore, connect
from callbacks.tracking.outbox import JOURNAL, Journal, deliver

OLD_LINES: dict[str, Event] = {
    '{"kind": "start", "time_ms": 1, "experiment": "toy", "run_name": "toy/one", "journal": "a1", '
    '"tags": {"sweep": "s"}}': RunStarted("toy", "toy/one", "a1", {"sweep": "s"}, time_ms=1),
    '{"kind": "start", "time_ms": 2, "experiment": "toy", "run_name": "s", "journal": "b2"}': RunStarted(
        "toy", "s", "b2", time_ms=2
    ),
    '{"kind": "metrics", "time_ms": 3, "values": {"val/mae": 0.5, "odd": NaN}, "step": 7}': Metrics(
        {"val/mae": 0.5, "odd": float("nan")}, 7, time_ms=3
    ),
    '{"kind": "params", "time_ms": 4, "values": {"width": "4"}}': Params({"width": "4"}, time_ms=4),
    '{"kind": "tags", "time_ms": 5, "values": {"scale": "demo"}}': Tags({"scale": "demo"}, time_ms=5),
    '{"kind": "artifact", "time_ms": 6, "path": "audio/test/01.png", "folder": "audio/test"}': Artifact(
        "audio/test/01.png", time_ms=6
    ),
    '{"kind": "model", "time_ms": 7, "name": "ddsp", "path": "checkpoints/best.ckpt", "experiment": "ddsp", '
    '"score": null}': ModelVersion("ddsp", "checkpoints/best.ckpt", "ddsp", None, time_ms=7),
    '{"kind": "status", "time_ms": 8, "status": "RUNNING", "name": "toy/one"}': StatusChanged(
        "RUNNING", "toy/one", time_ms=8
    ),
    '{"kind": "status", "time_ms": 9, "status": "FINISHED"}': StatusChanged("FINISHED", time_ms=9),
}


@pytest.mark.parametrize(("line", "event"), OLD_LINES.items(), ids=lambda x: getattr(x, "kind", ""))
def test_a_line_of_the_first_version_is_read(line: str, event: Event) -> None:
    assert repr(from_json(line)) == repr(event)  # NaN is not equal to itself
    assert repr(from_json(event.to_json())) == repr(event)
    # What the first version needed is still there, but the folder, which the path says.
    values = json.loads(event.to_json())
    assert json.loads(line).keys() - values.keys() <= {"folder"}


def test_every_kind_has_an_old_line() -> None:
    assert {type(event) for event in OLD_LINES.values()} == set(KINDS.values())


def test_artifacts_keep_their_folders() -> None:
    assert [Artifact(path).folder for path in ("a.txt", "audio/a.wav", "audio/test/a.wav")] == [
        "",
        "audio",
        "audio/test",
    ]


def test_an_old_journal_is_delivered(tmp_path: Path) -> None:
    run_dir = tmp_path / "one"
    (run_dir / "audio" / "test").mkdir(parents=True)
    (run_dir / "audio" / "test" / "01.png").touch()
    lines = [line for line, event in OLD_LINES.items() if getattr(event, "journal", "") != "b2"]
    (run_dir / JOURNAL).write_text("\n".join([*lines, '{"kind": "from the future"}', "no JSON", ""]))
    store = MlflowStore(f"sqlite:///{tmp_path}/mlflow.db")
    deliver(Journal(run_dir), store)
    [run] = connect(store.uri).search_runs([connect(store.uri).get_experiment_by_name("toy").experiment_id])
    assert (run.info.run_name, run.info.status, run.info.end_time) == ("toy/one", "FINISHED", 9)
    assert run.data.params == {"width": "4"}
    assert run.data.metrics["val/mae"] == 0.5
    assert {"scale": "demo", "sweep": "s"}.items() <= run.data.tags.items()
    stored = connect(store.uri).list_artifacts(run.info.run_id, "audio/test")
    assert [artifact.path for artifact in stored] == ["audio/test/01.png"]
    [version] = connect(store.uri).search_model_versions("name = 'ddsp'")
    assert version.run_id == run.info.run_id


@pytest.mark.parametrize("line", ["", "[1]", '"text"', "{}", '{"kind": "other"}', '{"kind": "tags"}'])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        from_json(line)
