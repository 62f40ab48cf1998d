"""The tested runs of a tracking server as systems that can be compared: what `experiments.compare` shows.

Trainings that differ in their seed are one system. Within a track and a pair of instruments systems are
compared on the clips that all of them were asked, told by the clips' audio, so corpora may differ in what
training heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from callbacks.tracking.mlflow_store import Unreachable, connect, is_there
from metrics.evaluation.table import Interval, TestRow, TestTable, bootstrap_mean
from metrics.registry import DESCRIPTIONS

TEST_TABLE = "test_table.json"
JOINT_SCORE = "joint_score"
ALL = "all"
OWN_TEST = "Each system on its own test: pairs and pieces differ. Compare within a pair."


class Column(NamedTuple):
    """A metric as the leaderboard shows it; what it is stands in `metrics.registry`."""

    metric: str
    caption: str

    @property
    def group(self) -> str:
        """``joint``, ``content``, ``timbre`` or ``signal``."""
        return DESCRIPTIONS[self.metric].group

    @property
    def higher_is_better(self) -> bool:
        """Which way is better."""
        return DESCRIPTIONS[self.metric].higher_is_better


COLUMNS = (
    Column("joint_score", "joint"),
    Column("pitch_jaccard_distance", "pitch JD"),
    Column("raw_pitch_accuracy", "RPA"),
    Column("chroma_cosine", "chroma"),
    Column("onset_f1", "onset F1"),
    Column("mfcc_distance", "MFCC"),
    Column("triplet_timbre_distance", "triplet"),
    Column("instrument_accuracy", "instr. acc"),
    Column("lsd_mel_db", "LSD mel"),
    Column("mcd_dtw_db", "MCD dtw"),
    Column("mr_stft", "MR-STFT"),
    Column("loudness_l1_db", "loudness"),
    Column("visqol", "ViSQOL"),
)


class TestedRun(NamedTuple):
    """One run that was tested."""

    run_id: str
    experiment: str
    scale: str
    seed: int
    corpus: str
    is_anchor: bool
    table: TestTable
    architecture: str = ""
    real_time_factor: float | None = None
    n_parameters: int | None = None
    """Of a transfer; ``None`` where the test was one of an older version."""

    @property
    def identity(self) -> tuple[str, str, int, str]:
        """Runs that share this are repetitions; the latest one counts."""
        return self.experiment, self.scale, self.seed, self.corpus


class System(NamedTuple):
    """Runs that are one line: an experiment's trainings with different seeds, or an anchor's tests."""

    runs: tuple[TestedRun, ...]
    """By seed. An anchor's tests need not have the same clips, and count as one with all of them."""

    @property
    def experiment(self) -> str:
        """Its name."""
        return self.runs[0].experiment

    @property
    def scale(self) -> str:
        """``demo``, ``paper``, …"""
        return self.runs[0].scale

    @property
    def architecture(self) -> str:
        """Package of its module."""
        return self.runs[0].architecture

    @property
    def is_anchor(self) -> bool:
        """Whether it is a trivial transfer."""
        return self.runs[0].is_anchor

    @property
    def seeds(self) -> str:
        """``0``, or ``0, 1, 2``."""
        return ", ".join(str(seed) for seed in dict.fromkeys(run.seed for run in self.runs))

    @property
    def cost(self) -> tuple[float, int] | None:
        """Real-time factor (the least of its runs) and parameters of a transfer, where they were measured."""
        measured = [run for run in self.runs if run.real_time_factor and run.n_parameters]
        if not measured:
            return None
        return min(run.real_time_factor or 0 for run in measured), measured[0].n_parameters or 0

    def trainings(self) -> list[dict[tuple[str, ...], TestRow]]:
        """The rows of each training by their key."""
        tables = [{row.key: row for row in run.table.rows} for run in self.runs]
        if not self.is_anchor:
            return tables
        return [{key: row for table in tables for key, row in table.items()}]


class Line(NamedTuple):
    """One system on one track and one pair of instruments."""

    system: System
    track: str
    pair: str
    metrics: Mapping[str, Interval]

    @property
    def n_clips(self) -> int:
        """Clips behind its means."""
        return max((interval.n for interval in self.metrics.values()), default=0)


class Group(NamedTuple):
    """Systems that answered the same questions, best joint score first."""

    track: str
    pair: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    """What a reader has to know: which clips are compared, and whether the systems heard the same music."""

    @property
    def title(self) -> str:
        """For a heading."""
        return (
            "all tracks and pairs"
            if self.track == ALL
            else f"{self.track} · {self.pair.replace('->', ' → ')}"
        )

    @property
    def architectures(self) -> set[str]:
        """Architectures that meet here."""
        return {line.system.architecture for line in self.lines if not line.system.is_anchor}


def tested_runs(uri: str, tags: Mapping[str, str], every: bool, folder: Path) -> list[TestedRun]:
    """The tested runs of a tracking server, latest first.

    Args:
        uri: MLflow tracking URI.
        tags: only runs with all of these tags.
        every: whether to give repetitions too, not only the latest run of each
            (experiment, scale, seed, corpus). An anchor's runs on different tests are no repetitions.
        folder: where test tables are downloaded to.

    Raises:
        Unreachable: the server does not answer.
    """
    if not is_there(uri):
        return []
    wanted = {"tested": "true", **tags}
    query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in wanted.items())
    try:
        client = connect(uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(
            experiments, query, order_by=["attributes.start_time DESC"], max_results=5000
        )
        runs = [_tested_run(client, run, folder) for run in found]
    except Exception as error:
        raise Unreachable(str(error).splitlines()[0]) from error
    return runs if every else list({_repeated(run): run for run in reversed(runs)}.values())[::-1]


def _repeated(run: TestedRun) -> tuple[Any, ...]:
    questions = frozenset(row.key for row in run.table.rows) if run.is_anchor else None
    return run.identity, questions


def systems(runs: Sequence[TestedRun], every: bool = False) -> list[System]:
    """Runs joined into systems; with ``every`` each run is a system of its own."""
    found: dict[Any, list[TestedRun]] = {}
    for run in runs:
        place = run.run_id if every else (run.experiment, run.scale, None if run.is_anchor else run.corpus)
        found.setdefault(place, []).append(run)
    return [System(tuple(sorted(members, key=lambda run: run.seed))) for members in found.values()]


def groups(found: Sequence[System]) -> list[Group]:
    """Every track and pair, and last everything together (``all``)."""
    pairs = sorted({(key[0], key[1]) for system in found for rows in system.trainings() for key in rows})
    of_pairs = [group for track, pair in pairs for group in _of_pair(track, pair, found)]
    return [*of_pairs, _of_own_tests(found)]


def lines(found: Sequence[System]) -> list[Line]:
    """The lines of all groups, in their order."""
    return [line for group in groups(found) for line in group.lines]


def _of_own_tests(found: Sequence[System]) -> Group:
    """Each system on all of its rows; metrics of a set (KAD, Fréchet distance) are its latest run's."""
    keys = [_common(system.trainings()) for system in found]
    members = [
        Line(s, ALL, ALL, _intervals(s.trainings(), asked) | _of_set(s.runs[0].table.set_metrics, len(asked)))
        for s, asked in zip(found, keys, strict=True)
    ]
    differ = len({frozenset(asked) for asked in keys}) > 1
    return Group(ALL, ALL, _ranked(members), (OWN_TEST,) if differ else ())


def _of_pair(track: str, pair: str, found: Sequence[System]) -> Iterator[Group]:
    """One group of the systems that share clips; more where audio under the same names differs."""
    rows = {
        number: [
            {k: row for k, row in table.items() if k[:2] == (track, pair)} for table in system.trainings()
        ]
        for number, system in enumerate(found)
    }
    asked = {number: _common(tables) for number, tables in rows.items() if _common(tables)}
    competing = {n: keys for n, keys in asked.items() if not found[n].is_anchor} or asked
    parts = _connected(competing)
    for part in parts:
        common = set.intersection(*(competing[number] for number in part))
        members = [
            Line(
                found[n],
                track,
                pair,
                _intervals(rows[n], keys & common) | _sets_of(found[n], track, pair, keys, common),
            )
            for n, keys in asked.items()
            if keys & common and (n in part or found[n].is_anchor)
        ]
        notes = _notes(
            [found[n] for n in part], {found[n].experiment: len(competing[n]) for n in part}, len(common)
        )
        if len(parts) > 1:
            notes = (
                *notes,
                "Other systems were asked other audio under these names: they have a table of their own.",
            )
        yield Group(track, pair, _ranked(members), notes)


def _connected(asked: Mapping[int, set[tuple[str, ...]]]) -> list[list[int]]:
    """Systems that share clips, directly or over others."""
    parts: list[list[int]] = []
    for number, keys in asked.items():
        touching = [part for part in parts if any(asked[other] & keys for other in part)]
        parts = [part for part in parts if part not in touching] + [
            [n for part in touching for n in part] + [number]
        ]
    return parts


def _common(tables: Sequence[Mapping[tuple[str, ...], TestRow]]) -> set[tuple[str, ...]]:
    return set.intersection(*(set(table) for table in tables))


def _notes(members: Sequence[System], n_clips: Mapping[str, int], n_common: int) -> tuple[str, ...]:
    notes = []
    if not n_common:
        notes.append("No clip is there in every system, so there is nothing to compare.")
    elif max(n_clips.values()) > n_common:
        least = ", ".join(sorted(name for name, n in n_clips.items() if n == min(n_clips.values())))
        notes.append(f"Compared on the {n_common} clips that all have; {least} has the fewest.")
    if len(corpora := sorted({run.corpus for system in members for run in system.runs})) > 1:
        notes.append(
            f"Trained on different corpora ({', '.join(corpora)}); the audio of the test is the same."
        )
    return tuple(notes)


def _intervals(
    tables: Sequence[Mapping[tuple[str, ...], TestRow]], keys: set[tuple[str, ...]]
) -> dict[str, Interval]:
    ordered = sorted(keys)
    pieces = [tables[0][key].piece for key in ordered]
    names = dict.fromkeys(name for key in ordered for name in tables[0][key].metrics)
    found = {
        name: bootstrap_mean(
            np.array([[_number(table[k], name) for k in ordered] for table in tables]), pieces
        )
        for name in names
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def _number(row: TestRow, metric: str) -> float:
    value = row.metrics.get(metric)
    return np.nan if value is None else value


def _sets_of(
    system: System, track: str, pair: str, keys: set[tuple[str, ...]], common: set[tuple[str, ...]]
) -> dict[str, Interval]:
    """Metrics of the pair's whole set, where that is what is compared."""
    values = system.runs[0].table.group_metrics.get((track, pair), {})
    return _of_set(values, len(keys)) if keys == common else {}


def _of_set(values: Mapping[str, float], n: int) -> dict[str, Interval]:
    return {name: Interval(value, None, None, n) for name, value in values.items()}


def _ranked(members: Sequence[Line]) -> tuple[Line, ...]:
    return tuple(sorted(members, key=lambda line: (-joint_score(line), line.system.experiment)))


def joint_score(line: Line) -> float:
    """The score that ranks; systems without one come last."""
    return line.metrics[JOINT_SCORE].mean if JOINT_SCORE in line.metrics else -1.0


def meeting(found: Sequence[Group]) -> Group:
    """The group in which most architectures meet, among those most systems, first by name."""
    of_pairs = [group for group in found if group.track != ALL] or list(found)
    return max(of_pairs, key=lambda group: (len(group.architectures), len(group.lines)))


def as_document(found: Sequence[Group]) -> list[dict[str, Any]]:
    """The groups' lines as plain data, for JSON."""
    return [
        {
            "experiment": line.system.experiment,
            "architecture": line.system.architecture,
            "scale": line.system.scale,
            "track": line.track,
            "pair": line.pair,
            "is_anchor": line.system.is_anchor,
            "seed": line.system.runs[0].seed,
            "corpus": line.system.runs[0].corpus,
            "run_id": line.system.runs[0].run_id,
            "runs": [
                {"run_id": run.run_id, "seed": run.seed, "corpus": run.corpus} for run in line.system.runs
            ],
            "real_time_factor": line.system.cost[0] if line.system.cost else None,
            "transfer_parameters": line.system.cost[1] if line.system.cost else None,
            "metrics": {name: interval._asdict() for name, interval in sorted(line.metrics.items())},
            "notes": list(group.notes),
        }
        for group in found
        for line in group.lines
    ]


def to_json(found: Sequence[Group]) -> str:
    """One JSON document: the list of `as_document`."""
    return json.dumps(as_document(found), indent=1, allow_nan=False)


def _tested_run(client: Any, run: Any, folder: Path) -> TestedRun:
    target = folder / run.info.run_id
    target.mkdir(parents=True, exist_ok=True)
    path = client.download_artifacts(run.info.run_id, TEST_TABLE, str(target))
    tags, metrics = run.data.tags, run.data.metrics
    return TestedRun(
        run.info.run_id,
        tags["experiment"],
        tags["scale"],
        int(tags["seed"]),
        tags["corpus"],
        tags["is_anchor"] == "true",
        TestTable.from_json(Path(path).read_text(encoding="utf-8")),
        # Runs of older versions have no such tag, but their class, in its architecture's package.
        tags.get("architecture") or tags.get("class", "").split(".")[-3:][0],
        metrics.get("test/real_time_factor"),
        int(metrics["test/transfer_parameters"]) if "test/transfer_parameters" in metrics else None,
    )
