"""The leaderboard of tested runs: table, JSON and page."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile

from experiments import compare, leaderboard
from experiments.cli import SuiteCLI
from experiments.errors import UserError
from experiments.mlflow_store import connect
from metrics.table import TestRow, TestTable
from tests.experiments.conftest import PROJECT, SIXTH, Trained, working_in


def add_anchor(trained: Trained, anchor: str) -> None:
    """Add a run of an anchor to the store."""
    path = PROJECT / "experiments" / "configs" / "anchors" / f"{anchor}.yaml"
    with working_in(trained.root):
        SuiteCLI(["test", "--config", str(SIXTH), "--config", str(path), "--experiment", anchor])


@pytest.fixture(scope="module")
def compared(trained: Trained) -> Trained:
    for anchor in ("copy", "target_plus_noise"):
        add_anchor(trained, anchor)
    return trained


def output(compared: Trained, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert compare.main([*arguments, "--uri", compared.uri]) == 0
    return capsys.readouterr().out


def test_json_is_one_document_on_standard_output(compared: Trained) -> None:
    command = [sys.executable, "-m", "experiments.compare", "--format", "json", "--uri", compared.uri]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    lines = json.loads(result.stdout)
    assert {line["experiment"] for line in lines} == {"sixth", "copy", "target_plus_noise"}
    for line in lines:
        assert {"experiment", "scale", "track", "pair", "is_anchor", "seed", "metrics"} <= set(line)
        assert line["is_anchor"] == (line["experiment"] != "sixth")
        for value in line["metrics"].values():
            assert set(value) == {"mean", "low", "high", "n"}
    assert {(line["track"], line["pair"]) for line in lines} == {
        ("monophonic", "dull->bright"),
        ("all", "all"),
    }


def test_the_table_marks_anchors_and_shows_the_groups(
    compared: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    table = output(compared, capsys)
    assert "⚓ copy" in table
    assert "⚓ sixth" not in table
    assert "MR-STFT ↓" in table


def test_only_the_latest_of_repeated_runs_counts_unless_all(
    compared: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads(output(compared, capsys, "--format", "json", "--all"))
    add_anchor(compared, "copy")
    capsys.readouterr()
    latest = json.loads(output(compared, capsys, "--format", "json"))
    every = json.loads(output(compared, capsys, "--format", "json", "--all"))
    assert sum(line["experiment"] == "copy" for line in latest) == 2
    assert len(every) == len(before) + 2


def test_tags_choose_runs(compared: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = json.loads(output(compared, capsys, "--format", "json", "--tag", "is_anchor=true"))
    assert {line["experiment"] for line in chosen} == {"copy", "target_plus_noise"}
    assert json.loads(output(compared, capsys, "--format", "json", "--tag", "corpus=another")) == []
    with pytest.raises(UserError, match="has no '='"):
        compare.main(["--tag", "corpus"])


class Sounds(HTMLParser):
    """Collects the embedded audio and pictures of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, list[str]] = {"audio": [], "img": []}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.sources:
            self.sources[tag].append(dict(attrs)["src"] or "")


def test_the_page_holds_its_sounds_and_is_an_artifact(
    compared: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page" / "board.html"
    assert output(compared, capsys, "--format", "html", "--output", str(path)) == ""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=['\"]?(http|/)", text)
    page = Sounds()
    page.feed(text)
    # source, target, and the output of each of the three runs
    assert len(page.sources["audio"]) == len(page.sources["img"]) == 5
    for source in page.sources["audio"]:
        content = base64.b64decode(source.removeprefix("data:audio/flac;base64,"))
        assert soundfile.info(io.BytesIO(content)).duration == pytest.approx(1.0)
    client = connect(compared.uri)
    experiment = client.get_experiment_by_name("leaderboard")
    run = client.search_runs([experiment.experiment_id])[0]
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id)] == ["leaderboard.html"]


def test_an_empty_store_is_no_error_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path}/none.db"
    assert compare.main(["--uri", uri, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert compare.main(["--uri", uri]) == 0
    assert "No tested run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_away_ends_in_one_sentence() -> None:
    with pytest.raises(UserError, match="does not answer"):
        compare.main(["--uri", "http://127.0.0.1:9"])


def run_with(joint: float, experiment: str) -> leaderboard.TestedRun:
    rows = tuple(TestRow("monophonic", "a->b", f"p{i}", "r", {"joint_score": joint}) for i in range(3))
    return leaderboard.TestedRun("id", experiment, "demo", 0, "c", False, TestTable(rows))


def test_lines_are_sorted_by_joint_score_within_a_group() -> None:
    found = leaderboard.lines([run_with(0.2, "worse"), run_with(0.9, "better")])
    assert [line.run.experiment for line in found] == ["better", "worse"] * 2
