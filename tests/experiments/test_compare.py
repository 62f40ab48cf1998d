"""The leaderboard of tested runs: table, JSON and page."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import uuid
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from callbacks.tracking.mlflow_store import connect
from experiments import compare
from experiments.command_line.cli import SuiteCLI
from experiments.leaderboard import systems as leaderboard
from experiments.leaderboard.differences import compare_systems, verdict
from experiments.leaderboard.markdown import begin, end
from experiments.leaderboard.pictures import read_curves
from metrics.evaluation.table import TestRow, TestTable
from runtime.errors import UserError
from tests.conftest import ROOT, SIXTH, Trained, working_in


def add_anchor(trained: Trained, anchor: str) -> None:
    """Add a run of an anchor to the store."""
    path = ROOT / "experiments" / "configs" / "anchors" / f"{anchor}.yaml"
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
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
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
    n_pictures = text.count("<img class=picture")
    # source, target, and the output of each of the three runs
    assert (
        len(page.sources["audio"])
        == len([s for s in page.sources["img"] if "png" in s[:20]]) - n_pictures
        == 5
    )
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


def rows(scores: dict[str, float], clip: str = "", pair: str = "a->b") -> tuple[TestRow, ...]:
    """A clip of each piece; its audio is told by ``clip``."""
    found = (TestRow("monophonic", pair, piece, "r", {"joint_score": x}) for piece, x in scores.items())
    return tuple(row._replace(clip=f"{clip}{row.piece}") for row in found)


def run_with(experiment: str, *tested: TestRow, seed: int = 0, **fields: Any) -> leaderboard.TestedRun:
    run = leaderboard.TestedRun(
        uuid.uuid4().hex, experiment, "demo", seed, "c", False, TestTable(tested), experiment
    )
    return run._replace(**fields)


def only_group(*runs: leaderboard.TestedRun) -> leaderboard.Group:
    [group, _] = leaderboard.groups(leaderboard.systems(runs))
    return group


def test_lines_are_sorted_by_joint_score_within_a_group() -> None:
    same = [run_with(n, *rows(dict.fromkeys("pqr", x))) for n, x in (("worse", 0.2), ("better", 0.9))]
    found = leaderboard.lines(leaderboard.systems(same))
    assert [line.system.experiment for line in found] == ["better", "worse"] * 2


def test_systems_are_compared_on_the_clips_that_all_have() -> None:
    lucky = run_with("lucky", *rows({"easy": 0.9}))
    whole = run_with("whole", *rows({"easy": 1.0, "hard": 0.2}))
    anchor = run_with("copy", *rows({"easy": 0.0, "hard": 0.0}), is_anchor=True)
    group = only_group(lucky, whole, anchor)
    assert [(line.system.experiment, line.n_clips) for line in group.lines] == [
        *(("whole", 1), ("lucky", 1), ("copy", 1))
    ]
    assert group.lines[0].metrics["joint_score"].mean == 1.0
    assert "the 1 clips that all have; lucky has the fewest" in group.notes[0]


def test_corpora_may_differ_in_training_but_not_in_the_audio_of_the_test() -> None:
    scores = {"p": 0.5, "q": 0.7}
    one = run_with("one", *rows(scores, "x"), corpus="c1")
    other = run_with("other", *rows(scores, "x"), corpus="c2")
    assert only_group(one, other).notes == (
        "Trained on different corpora (c1, c2); the audio of the test is the same.",
    )
    elsewhere = run_with("elsewhere", *rows(scores, "y"), corpus="c3")
    apart = leaderboard.groups(leaderboard.systems([one, other, elsewhere]))[:-1]
    assert [[line.system.experiment for line in group.lines] for group in apart] == [
        ["one", "other"],
        ["elsewhere"],
    ]
    assert all("other audio" in group.notes[-1] for group in apart)


def test_seeds_are_one_system_and_an_anchor_s_tests_one_anchor() -> None:
    seeds = [run_with("ddsp", *rows({"p": x, "q": x}), seed=s) for s, x in enumerate((0.4, 0.5, 0.6))]
    anchors = [run_with("copy", *rows({"p": 0.0}, pair=pair), is_anchor=True) for pair in ("a->b", "c->d")]
    found = leaderboard.systems([*seeds, *anchors])
    assert [(system.experiment, system.seeds) for system in found] == [("ddsp", "0, 1, 2"), ("copy", "0")]
    interval = leaderboard.lines(found)[0].metrics["joint_score"]
    assert interval.mean == pytest.approx(0.5) and interval.low < 0.45 and interval.n == 2
    assert len(leaderboard.systems([*seeds, *anchors], every=True)) == 5


def test_the_meeting_is_where_most_architectures_are() -> None:
    crowd = [run_with(f"same{i}", *rows({"p": 0.5}, pair="a->b"), architecture="one") for i in range(3)]
    two = [run_with(f"two{i}", *rows({"p": 0.5}, pair="c->d"), architecture=f"{i}") for i in range(2)]
    found = leaderboard.groups(leaderboard.systems([*crowd, *two]))
    assert leaderboard.meeting(found).pair == "c->d"


def test_a_small_advantage_on_every_piece_shows_when_clips_are_paired() -> None:
    level = {f"p{i}": i / 20 for i in range(10)}
    ours, theirs = (
        run_with(n, *rows({p: x + d for p, x in level.items()})) for n, d in (("o", 0.05), ("t", 0))
    )
    group = only_group(ours, theirs)
    means = [line.metrics["joint_score"] for line in group.lines]
    assert means[1].high > means[0].low  # unpaired intervals overlap
    [comparison] = compare_systems(*leaderboard.systems([ours, theirs]))
    difference = comparison.differences["joint_score"]
    assert (difference.low, difference.high) == pytest.approx((0.05, 0.05))
    assert verdict(leaderboard.COLUMNS[0], difference) == "better"
    assert verdict(leaderboard.COLUMNS[1], difference) == "worse"
    alone = run_with("alone", *rows({"else": 1.0}))
    with pytest.raises(UserError, match="no test clip in common"):
        compare_systems(*leaderboard.systems([ours, alone]))


def test_a_piece_on_several_pairs_is_one_piece_and_each_pair_has_its_difference() -> None:
    ours, theirs = (
        run_with(name, *rows({"p": x, "q": 0.5}), *rows({"p": x + 0.2, "q": 0.5}, "c", pair="b->a"))
        for name, x in (("ours", 0.6), ("theirs", 0.3))
    )
    found = compare_systems(*leaderboard.systems([ours, theirs]))
    assert [comparison.pair for comparison in found] == ["all", "a->b", "b->a"]
    assert [(piece.piece, round(piece.ours, 3), round(piece.theirs, 3)) for piece in found[0].pieces] == [
        ("p", 0.7, 0.4),
        ("q", 0.5, 0.5),
    ]


def test_two_systems_are_set_against_each_other(
    compared: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    [document] = json.loads(output(compared, capsys, "--format", "json", "--against", "sixth", "copy"))
    [comparison] = document["comparisons"]
    assert (document["ours"], document["theirs"], comparison["pair"]) == ("sixth", "copy", "dull->bright")
    lines = {line["experiment"]: line for line in json.loads(output(compared, capsys, "--format", "json"))}
    mean = lines["sixth"]["metrics"]["mr_stft"]["mean"] - lines["copy"]["metrics"]["mr_stft"]["mean"]
    assert comparison["differences"]["mr_stft"]["mean"] == pytest.approx(mean)
    assert "sixth − copy" in output(compared, capsys, "--against", "sixth", "copy")
    with pytest.raises(UserError, match="Did you mean 'sixth'"):
        compare.main(["--against", "sixht", "copy", "--uri", compared.uri])


def test_a_page_of_documentation_keeps_what_is_around_its_tables(
    compared: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.md"
    marks = {part: (begin(part), end(part)) for part in ("systems", "leaderboard")}
    parts = "\n\nBetween.\n\n".join(f"{first}\nold\n{last}" for first, last in marks.values())
    path.write_text(f"# Ours\n\nBefore.\n\n{parts}\n\nAfter.\n")
    output(compared, capsys, "--format", "markdown", "--output", str(path), "--against", "sixth", "copy")
    text = path.read_text()
    assert text.startswith(f"# Ours\n\nBefore.\n\n{begin('systems')}")
    assert text.endswith(f"{end('leaderboard')}\n\nAfter.\n")
    assert f"{end('systems')}\n\nBetween.\n\n{begin('leaderboard')}" in text
    assert "old" not in text
    assert text.count("| `sixth` | – |") == 2  # no joint score without a corpus
    assert "| ⚓ `copy` | 0 | 4 |" in text
    assert "### `sixth` − `copy`" in text
    pictures = re.findall(r"\]\((pictures/.*?)\)", text)
    assert all((tmp_path / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_curves_are_over_processor_time_without_interruptions() -> None:
    class History:
        """A run that worked for a minute, lay for an hour, and worked for another at half the speed."""

        def get_metric_history(self, run_id: str, key: str) -> list[Any]:
            readings = {
                "system/cpu_percent": [(0, 0, 0.0), (60, 10, 100.0), (3660, 10, 0.0), (3720, 20, 50.0)],
                "val/mr_stft": [(61, 10, 2.0), (3721, 20, 1.0)],
            }
            return [
                SimpleNamespace(timestamp=1000 * s, step=step, value=value)
                for s, step, value in readings.get(key, [])
            ]

    curves = read_curves(History(), "run")
    assert set(curves) == {"val/mr_stft"}
    assert curves["val/mr_stft"].minutes.tolist() == [1.0, 1.5]
    assert curves["val/mr_stft"].values.tolist() == [2.0, 1.0]
