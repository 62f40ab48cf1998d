"""The tested runs of a tracking server, with their test tables: what `experiments.compare` shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.mlflow_store import Unreachable, connect, is_there
from metrics.catalogue import DESCRIPTIONS
from metrics.table import Interval, TestTable

TEST_TABLE = "test_table.json"
JOINT_SCORE = "joint_score"


class Column(NamedTuple):
    """A metric as the leaderboard shows it; what it is stands in `metrics.catalogue`."""

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

    @property
    def identity(self) -> tuple[str, str, int, str]:
        """Runs that share this are repetitions; the latest one counts."""
        return self.experiment, self.scale, self.seed, self.corpus


class Line(NamedTuple):
    """One run on one track and one pair of instruments."""

    run: TestedRun
    track: str
    pair: str
    metrics: Mapping[str, Interval]


def tested_runs(uri: str, tags: Mapping[str, str], every: bool, folder: Path) -> list[TestedRun]:
    """The tested runs of a tracking server, latest first.

    Args:
        uri: MLflow tracking URI.
        tags: only runs with all of these tags.
        every: whether to give repetitions too, not only the latest run of each
            (experiment, scale, seed, corpus).
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
    return runs if every else list({run.identity: run for run in reversed(runs)}.values())[::-1]


def lines(runs: Sequence[TestedRun]) -> list[Line]:
    """Every run on every track and pair, and on all of them (``all``), best joint score first."""
    found = [
        Line(run, *group, table.intervals()) for run in runs for group, table in run.table.by_group().items()
    ]
    # Metrics of a whole set (KAD, Fréchet distance) exist only for all examples together.
    found += [Line(run, "all", "all", run.table.intervals()) for run in runs]
    return sorted(found, key=lambda line: (line.track, line.pair, -joint_score(line), line.run.experiment))


def joint_score(line: Line) -> float:
    """The score that ranks; runs without one come last."""
    return line.metrics[JOINT_SCORE].mean if JOINT_SCORE in line.metrics else -1.0


def as_document(found: Sequence[Line]) -> list[dict[str, Any]]:
    """The lines as plain data, for JSON."""
    return [
        {
            "experiment": line.run.experiment,
            "scale": line.run.scale,
            "track": line.track,
            "pair": line.pair,
            "is_anchor": line.run.is_anchor,
            "seed": line.run.seed,
            "corpus": line.run.corpus,
            "run_id": line.run.run_id,
            "metrics": {name: interval._asdict() for name, interval in sorted(line.metrics.items())},
        }
        for line in found
    ]


def _tested_run(client: Any, run: Any, folder: Path) -> TestedRun:
    target = folder / run.info.run_id
    target.mkdir(parents=True, exist_ok=True)
    path = client.download_artifacts(run.info.run_id, TEST_TABLE, str(target))
    tags = run.data.tags
    return TestedRun(
        run.info.run_id,
        tags["experiment"],
        tags["scale"],
        int(tags["seed"]),
        tags["corpus"],
        tags["is_anchor"] == "true",
        TestTable.from_json(Path(path).read_text(encoding="utf-8")),
    )


def to_json(found: Sequence[Line]) -> str:
    """One JSON document: the list of `as_document`."""
    return json.dumps(as_document(found), indent=1, allow_nan=False)
