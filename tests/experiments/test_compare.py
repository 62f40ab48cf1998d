"""The leaderboard of tested runs: table, JSON and page."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import uuid
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from callbacks.tracking.events import Artifact, StatusChanged, Tags
from callbacks.tracking.mlflow_store import MlflowStore, connect
from callbacks.tracking.outbox import Journal, deliver
from experiments import compare
from experiments.command_line.cli import SuiteCLI
from experiments.leaderboard.cells import verdict
from experiments.leaderboard.differences import compare_systems
from experiments.leaderboard.markdown import begin, end
from experiments.leaderboard.pictures import read_curves
from experiments.leaderboard.ranking import RankedSystem, Ranking, main_ranking, rankings
from experiments.leaderboard.runs import TestedRun
from experiments.leaderboard.systems import System, join_runs
from experiments.leaderboard.terminal import print_differences, print_rankings
from metrics.evaluation.table import TestRow, TestTable
from metrics.registry import METRICS
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


def test_the_table_marks_anchors_and_shows_which_way_is_better(
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


class Elements(HTMLParser):
    """Collects the attributes of a page's elements, by their names."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag].append({name: value or "" for name, value in attrs})


def test_the_page_has_its_pictures_and_sounds_in_a_folder_beside_it(
    compared: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page" / "board.html"
    stale = path.with_name("board_files") / f"{0:016x}.flac"
    stale.parent.mkdir(parents=True)
    stale.touch()
    (mine := stale.with_name("mine.flac")).touch()
    runs_before = len(connect(compared.uri).search_experiments())
    assert output(compared, capsys, "--format", "html", "--output", str(path)) == ""
    page = Elements(path).found
    players, images = page["audio"], [image for image in page["img"] if "spectrogram" in image["alt"]]
    assert len(players) == len(images) == 5  # source, target, and the output of each of the three runs
    shown = {element["src"] for element in (*players, *page["img"])} | {
        source["srcset"] for source in page["source"]
    }
    assert all(re.fullmatch(r"board_files/[0-9a-f]{16}\.(flac|png)", address) for address in shown)
    assert {path.parent / address for address in shown} == set(stale.parent.iterdir()) - {mine}
    for player in players:
        assert player["preload"] == "none"  # a phone loads what is played
        assert soundfile.info(path.parent / player["src"]).duration == pytest.approx(1.0)
    labels = [player["aria-label"] for player in players]
    assert len(set(labels)) == 5 and "copy: dull → bright, " in " ".join(labels)
    assert page["th"] and all(head["scope"] in ("col", "row", "colgroup") for head in page["th"])
    assert len(connect(compared.uri).search_experiments()) == runs_before  # a page is no run


def test_an_empty_store_is_no_error_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path}/none.db"
    assert compare.main(["--uri", uri, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert compare.main(["--uri", uri]) == 0
    assert "No tested run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def store_run(folder: Path, uri: str, experiment: str, table: str, **parts: bytes) -> None:
    """A tested run in a real store, with files that may be damaged."""
    journal = Journal(folder / experiment / "one")
    journal.start(experiment, f"{experiment}/one")
    tags = {"experiment": experiment, "scale": "demo", "seed": "0", "corpus": "c", "is_anchor": "false"}
    journal.append(Tags(tags | {"tested": "true"}))
    given = soundfile_bytes()
    files = {"examples.json": EXAMPLE, "01_source.wav": given, "01_output.wav": given} | parts
    contents = {"test_table.json": table.encode()}
    contents |= {f"audio/test/{name}": content for name, content in files.items()}
    for name, content in contents.items():
        (journal.run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (journal.run_dir / name).write_bytes(content)
        journal.append(Artifact(name))
    journal.append(StatusChanged("FINISHED"))
    deliver(journal, MlflowStore(uri))


EXAMPLE = b'[{"track": "monophonic", "pair": "a->b", "piece": "p"}]'


def soundfile_bytes(seconds: float = 1.0) -> bytes:
    buffer = io.BytesIO()
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(int(16_000 * seconds)) / 16_000)
    soundfile.write(buffer, tone, 16_000, format="WAV")
    return buffer.getvalue()


def test_a_damaged_run_costs_only_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    whole = TestTable(rows({"p": 0.5, "q": 0.7})).to_json()
    document = json.loads(whole)
    document["rows"][0]["metrics"] = {"joint_score": "high"}
    damaged = {
        "empty": "",
        "half": whole[: len(whole) // 2],
        "other": "[1, 2]",
        "word": json.dumps(document),
        "deleted": whole,
        "untagged": whole,
    }
    for name, table in {"whole": whole, **damaged}.items():
        store_run(tmp_path, uri, name, table)
    client = connect(uri)
    ids = {run.data.tags["experiment"]: run.info.run_id for run in runs_of(client)}
    shutil.rmtree(client.get_run(ids["deleted"]).info.artifact_uri.removeprefix("file://"))
    client.delete_tag(ids["untagged"], "seed")
    assert compare.main(["--uri", uri, "--format", "json"]) == 0
    said = capsys.readouterr()
    assert {line["experiment"] for line in json.loads(said.out)} == {"whole"}
    left_out = [line for line in said.err.splitlines() if "is left out" in line]
    assert len(left_out) == len(damaged)
    for name in damaged:
        assert sum(f"The run {name}/one ({ids[name]}) is left out: " in line for line in left_out) == 1
    assert "no 'seed'" in said.err


def runs_of(client: Any) -> list[Any]:
    return client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])


def test_damaged_examples_cost_only_their_cards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    whole = TestTable(rows({"p": 0.5})).to_json()
    store_run(tmp_path, uri, "whole", whole)
    store_run(tmp_path, uri, "no_bytes", whole, **{"01_output.wav": b""})
    store_run(tmp_path, uri, "no_frames", whole, **{"01_output.wav": soundfile_bytes(0)})
    store_run(tmp_path, uri, "half_list", whole, **{"examples.json": EXAMPLE[:20]})
    page = tmp_path / "board.html"
    assert compare.main(["--uri", uri, "--format", "html", "--output", str(page)]) == 0
    labels = [player["aria-label"] for player in Elements(page).found["audio"]]
    assert labels == ["source: a → b, p", "whole: a → b, p"]
    said = capsys.readouterr().err
    for name in (
        "no_bytes (a → b, p) is damaged",
        "no_frames (a → b, p) is damaged",
        "examples of half_list",
    ):
        assert name in said
    text = page.read_text(encoding="utf-8")
    assert text.count("<th scope=row>") == 8  # all four are in both tables
    assert "Quality against speed" not in text  # there is nothing to draw


def test_names_with_markup_are_shown_as_they_are() -> None:
    found = rankings(join_runs([run_with("[/red]x", *rows({"p": 0.5}, pair="[bold]a->:bomb:b"))]))
    print_rankings(found, printed := io.StringIO())
    assert "[/red]x" in printed.getvalue() and "[bold]a → :bomb:b" in printed.getvalue()
    ours, theirs = (run_with(name, *rows({"[i]p": 0.5})) for name in ("[/b]", "[link=x]"))
    systems = join_runs([ours, theirs])
    print_differences(*systems, compare_systems(*systems), printed := io.StringIO())
    assert all(name in printed.getvalue() for name in ("[/b] − [link=x]", "[i]p"))


def test_a_driver_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"psycopg is not installed; .*\[postgres\]") as caught:
        compare.main(["--uri", "postgresql://me:secret@127.0.0.1:9/db"])
    assert "secret" not in str(caught.value)


def test_a_server_that_is_away_ends_in_one_sentence() -> None:
    with pytest.raises(UserError, match="cannot be used"):
        compare.main(["--uri", "http://127.0.0.1:9"])


def rows(scores: dict[str, float], clip: str = "", pair: str = "a->b") -> tuple[TestRow, ...]:
    """A clip of each piece; its audio is told by ``clip``."""
    found = (TestRow("monophonic", pair, piece, "r", {"joint_score": x}) for piece, x in scores.items())
    return tuple(row._replace(clip=f"{clip}{row.piece}") for row in found)


def run_with(experiment: str, *tested: TestRow, seed: int = 0, **fields: Any) -> TestedRun:
    run = TestedRun(uuid.uuid4().hex, experiment, "demo", seed, "c", False, TestTable(tested), experiment)
    return run._replace(**fields)


def only_ranking(*runs: TestedRun) -> Ranking:
    [ranking, _] = rankings(join_runs(runs))
    return ranking


def entries(found: list[System]) -> list[RankedSystem]:
    return [entry for ranking in rankings(found) for entry in ranking.entries]


def test_systems_are_sorted_by_joint_score_within_a_ranking() -> None:
    same = [run_with(n, *rows(dict.fromkeys("pqr", x))) for n, x in (("worse", 0.2), ("better", 0.9))]
    found = entries(join_runs(same))
    assert [entry.system.experiment for entry in found] == ["better", "worse"] * 2


def test_systems_are_compared_on_the_clips_that_all_have() -> None:
    lucky = run_with("lucky", *rows({"easy": 0.9}))
    whole = run_with("whole", *rows({"easy": 1.0, "hard": 0.2}))
    anchor = run_with("copy", *rows({"easy": 0.0, "hard": 0.0}), is_anchor=True)
    ranking = only_ranking(lucky, whole, anchor)
    assert [(entry.system.experiment, entry.n_clips) for entry in ranking.entries] == [
        *(("whole", 1), ("lucky", 1), ("copy", 1))
    ]
    assert ranking.entries[0].metrics["joint_score"].mean == 1.0
    assert "the 1 clips that all have; lucky has the fewest" in ranking.notes[0]


def test_corpora_may_differ_in_training_but_not_in_the_audio_of_the_test() -> None:
    scores = {"p": 0.5, "q": 0.7}
    one = run_with("one", *rows(scores, "x"), corpus="c1")
    other = run_with("other", *rows(scores, "x"), corpus="c2")
    assert only_ranking(one, other).notes == (
        "Trained on different corpora (c1, c2); the audio of the test is the same.",
    )
    elsewhere = run_with("elsewhere", *rows(scores, "y"), corpus="c3")
    apart = rankings(join_runs([one, other, elsewhere]))[:-1]
    assert [[entry.system.experiment for entry in ranking.entries] for ranking in apart] == [
        ["one", "other"],
        ["elsewhere"],
    ]
    assert all("other audio" in ranking.notes[-1] for ranking in apart)


def test_seeds_are_one_system_and_an_anchor_s_tests_one_anchor() -> None:
    seeds = [run_with("ddsp", *rows({"p": x, "q": x}), seed=s) for s, x in enumerate((0.4, 0.5, 0.6))]
    anchors = [run_with("copy", *rows({"p": 0.0}, pair=pair), is_anchor=True) for pair in ("a->b", "c->d")]
    found = join_runs([*seeds, *anchors])
    assert [(system.experiment, system.seeds) for system in found] == [("ddsp", "0, 1, 2"), ("copy", "0")]
    interval = entries(found)[0].metrics["joint_score"]
    assert interval.mean == pytest.approx(0.5) and interval.low < 0.45 and interval.n == 2
    assert len(join_runs([*seeds, *anchors], every=True)) == 5


def test_the_main_ranking_compares_most_architectures() -> None:
    crowd = [run_with(f"same{i}", *rows({"p": 0.5}, pair="a->b"), architecture="one") for i in range(3)]
    two = [run_with(f"two{i}", *rows({"p": 0.5}, pair="c->d"), architecture=f"{i}") for i in range(2)]
    found = rankings(join_runs([*crowd, *two]))
    assert main_ranking(found).pair == "c->d"


def test_of_many_pairs_one_has_a_table_and_the_others_a_row() -> None:
    pairs = [f"{letter}->z" for letter in "abcdefghijklm"]
    clips = [row for pair in pairs for row in rows({"p": 0.25, "q": 0.75}, pair=pair)]
    found = rankings(join_runs([run_with("ours", *clips), run_with("theirs", *clips[2:])]))
    print_rankings(found, printed := io.StringIO())
    text = printed.getvalue()
    assert "monophonic · b → z" in text and "all tracks and pairs" in text  # the first with two architectures
    assert re.search(r"a → z +│ +0\.500 │ +– │", text) and re.search(r"c → z +│ +0\.500 │ +0\.500 │", text)


def test_a_small_advantage_on_every_piece_shows_when_clips_are_paired() -> None:
    level = {f"p{i}": i / 20 for i in range(10)}
    ours, theirs = (
        run_with(n, *rows({p: x + d for p, x in level.items()})) for n, d in (("o", 0.05), ("t", 0))
    )
    ranking = only_ranking(ours, theirs)
    means = [entry.metrics["joint_score"] for entry in ranking.entries]
    assert means[1].high > means[0].low  # unpaired intervals overlap
    [comparison] = compare_systems(*join_runs([ours, theirs]))
    difference = comparison.differences["joint_score"]
    assert (difference.low, difference.high) == pytest.approx((0.05, 0.05))
    assert verdict(METRICS["joint_score"], difference) == "better"
    assert verdict(METRICS["pitch_jaccard_distance"], difference) == "worse"
    alone = run_with("alone", *rows({"else": 1.0}))
    with pytest.raises(UserError, match="no test clip in common"):
        compare_systems(*join_runs([ours, alone]))


def test_a_piece_on_several_pairs_is_one_piece_and_each_pair_has_its_difference() -> None:
    ours, theirs = (
        run_with(name, *rows({"p": x, "q": 0.5}), *rows({"p": x + 0.2, "q": 0.5}, "c", pair="b->a"))
        for name, x in (("ours", 0.6), ("theirs", 0.3))
    )
    found = compare_systems(*join_runs([ours, theirs]))
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
    assert set(curves) == {"mr_stft"}
    assert curves["mr_stft"].minutes.tolist() == [1.0, 1.5]
    assert curves["mr_stft"].values.tolist() == [2.0, 1.0]
