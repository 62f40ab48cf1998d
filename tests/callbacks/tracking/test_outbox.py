"""The outbox in front of a real tracking server that is away, dies and comes back; and of SQLite."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from callbacks.tracking.events import Artifact, Metrics, Params, StatusChanged, Tags
from callbacks.tracking.mlflow_store import MlflowStore, connect
from callbacks.tracking.outbox import DELIVERED, Journal, Sender, deliver
from experiments import outbox
from runtime.errors import UserError


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(condition: Callable[[], bool], seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


class Server:
    """A real ``mlflow server`` process group."""

    def __init__(self, folder: Path, port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
        command += ["--artifacts-destination", str(folder / "artifacts")]
        environment = {
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        environment.pop("MLFLOW_TRACKING_URI", None)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self.answers)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def new_journal(folder: Path) -> Journal:
    journal = Journal(folder / "runs" / "toy" / "one")
    journal.start("toy", "one")
    return journal


def steps(uri: str, journal: Journal) -> list[int]:
    """The steps of the metric ``loss`` that the server has."""
    run_id, _ = journal.delivered(uri)
    return [] if run_id is None else [m.step for m in connect(uri).get_metric_history(run_id, "loss")]


def test_a_server_that_dies_and_returns_gets_everything_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    server = Server(tmp_path, port)
    try:
        journal = new_journal(tmp_path)
        sender = Sender(journal, server.uri, every_s=0.1, retry_s=0.5)
        sender.start()
        journal.append(Metrics({"loss": 1.0}, step=0))
        wait_for(lambda: journal.pending(server.uri) == 0)
        server.kill()
        with caplog.at_level(logging.WARNING):
            for step in range(1, 50):
                journal.append(Metrics({"loss": 1.0 / (step + 1)}, step=step))
            wait_for(lambda: "does not answer" in caplog.text)
            time.sleep(2)  # several attempts
            assert caplog.text.count("does not answer") == 1
            server = Server(tmp_path, port)
            journal.append(StatusChanged("FINISHED"))
            sender.close()
        assert "is back" in caplog.text
        assert steps(server.uri, journal) == list(range(50))
        run = connect(server.uri).get_run(journal.delivered(server.uri)[0])
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "one"
    finally:
        server.kill()


def test_what_no_server_took_is_said_kept_and_can_be_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = new_journal(tmp_path)
    (journal.run_dir / "notes.txt").write_text("text")
    nobody = f"http://127.0.0.1:{free_port()}"
    with caplog.at_level(logging.WARNING):
        sender = Sender(journal, nobody, every_s=0.1, retry_s=0.1)
        sender.start()
        journal.append(Metrics({"loss": 0.5, "odd": float("nan")}, step=7))
        journal.append(Params({"width": "4", "long": "x" * 9000}))
        journal.append(Tags({"scale": "demo"}))
        journal.append(Artifact("notes.txt"))
        sender.close()
    assert caplog.text.count("does not answer") == 1
    assert f"experiments.outbox send {journal.run_dir}" in caplog.text

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert outbox.main(["send", str(journal.run_dir), "--uri", uri]) == 0
    assert "sent" in capsys.readouterr().out
    client = connect(uri)
    run = client.get_run(journal.delivered(uri)[0])
    assert run.data.metrics["loss"] == 0.5
    assert run.data.params["width"] == "4"
    assert len(run.data.params["long"]) == 250
    assert run.data.tags["scale"] == "demo"
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id)] == ["notes.txt"]
    assert (tmp_path / "mlartifacts").is_dir()
    assert outbox.main(["send", str(journal.run_dir), "--uri", uri]) == 0
    assert "Nothing to send" in capsys.readouterr().out


def test_sending_twice_stores_once(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    store = MlflowStore(f"sqlite:///{tmp_path}/mlflow.db")
    for step in range(1200):  # more than one `log_batch` takes
        journal.append(Metrics({"loss": float(step)}, step=step))
    deliver(journal, store)
    run_id, end = journal.delivered(store.uri)
    (journal.run_dir / DELIVERED).unlink()  # as if the process had died before it noted anything
    deliver(journal, store)
    assert journal.delivered(store.uri) == (run_id, end)
    assert steps(store.uri, journal) == list(range(1200))


def test_a_refused_value_is_named_and_the_rest_arrives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = new_journal(tmp_path)
    store = MlflowStore(f"sqlite:///{tmp_path}/mlflow.db")
    journal.append(Metrics({"loss": 1.0, "bad\nname": 1.0}, step=0))
    journal.append(Metrics({"loss": 0.5}, step=1))
    with caplog.at_level(logging.WARNING):
        deliver(journal, store)
    assert "bad\\nname" in caplog.text or "bad\nname" in caplog.text
    assert steps(store.uri, journal) == [0, 1]


def test_a_torn_line_of_a_killed_process_costs_only_itself(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    journal.append(Metrics({"loss": 1.0}, step=0))
    with journal.path.open("a") as file:
        file.write('{"kind": "metr')
    assert [entry.event.kind for entry in journal.entries()] == ["start", "metrics"]
    journal.start("toy", "one")
    journal.append(Metrics({"loss": 0.5}, step=1))
    assert [entry.event.kind for entry in journal.entries()] == ["start", "metrics", "status", "metrics"]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run's folder"):
        outbox.main(["send", str(tmp_path)])


def test_a_damaged_run_costs_only_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    headless = Journal(tmp_path / "runs" / "toy" / "headless")
    headless.append(Metrics({"loss": 1.0}, step=0))
    journal = new_journal(tmp_path)
    journal.append(Metrics({"loss": 1.0}, step=3))
    arguments = ["send", "--uri", uri, str(headless.run_dir), str(journal.run_dir)]  # as docs/team.md has it
    assert outbox.main(arguments) == 1
    assert "not sent" in capsys.readouterr().err
    assert steps(uri, journal) == [3]
    for damaged in ('{"uri": ', f'{{"{uri}": {{"offset": 3}}}}'):
        (journal.run_dir / DELIVERED).write_text(damaged)
        assert outbox.main(["send", str(journal.run_dir), "--uri", uri]) == 0
        assert steps(uri, journal) == [3]


def test_a_password_is_neither_kept_nor_shown(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    uri = "postgresql://team:secret@database/mlflow"
    journal.note_delivered(uri, "one", 7)
    assert journal.delivered(uri) == ("one", 7)
    assert "secret" not in (journal.run_dir / DELIVERED).read_text()
