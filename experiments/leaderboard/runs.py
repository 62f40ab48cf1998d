"""The tested runs of a tracking server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from callbacks.tracking.mlflow_store import Unreachable, connect, is_there
from metrics.evaluation.table import TestTable
from runtime.databases import reason
from runtime.messages import say

TEST_TABLE = "test_table.json"
MAX_RUNS = 5000


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
    """Seconds of processor time for a second of audio; ``None`` in tests of older versions."""
    n_parameters: int | None = None
    """Parameters that a transfer uses; ``None`` in tests of older versions."""

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for repetitions of a run, of which the latest counts.

        Tests of an anchor on different test cases are no repetitions.
        """
        cases = frozenset(row.key for row in self.table.rows) if self.is_anchor else None
        return self.experiment, self.scale, self.seed, self.corpus, cases


TestedRun.__test__ = False  # type: ignore[attr-defined]  # not a test case, whatever pytest thinks of its name


def tested_runs(uri: str, tags: Mapping[str, str], every: bool, folder: Path) -> list[TestedRun]:
    """The tested runs of a tracking server, latest first; one that is damaged is left out and named.

    Args:
        uri: MLflow tracking URI.
        tags: only runs with all of these tags.
        every: whether to give repetitions too, and not only the latest run of each `TestedRun.identity`.
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
            experiments, query, order_by=["attributes.start_time DESC"], max_results=MAX_RUNS
        )
    except Exception as error:  # MLflow has a different error per store
        raise Unreachable(reason(error)) from error
    runs = [run for one in found if (run := _whole_run(client, one, folder)) is not None]
    return runs if every else list({run.identity: run for run in reversed(runs)}.values())[::-1]


def _whole_run(client: Any, run: Any, folder: Path) -> TestedRun | None:
    """The run, or ``None`` with a word on standard error where something of it is missing or damaged."""
    try:
        return _tested_run(client, run, folder)
    except Exception as error:  # whatever a damaged run raises, it costs that run alone
        require_answer(client, run.info.run_id)
        say(f"The run {run.info.run_name} ({run.info.run_id}) is left out: {damage(error)}.")
        return None


def require_answer(client: Any, run_id: str) -> None:
    """Tell a server that is away from a run that is damaged.

    Raises:
        Unreachable: the server does not answer.
    """
    try:
        client.get_run(run_id)
    except Exception as error:
        raise Unreachable(reason(error)) from error


def damage(error: Exception) -> str:
    """What is wrong with a run, in words that follow a colon."""
    words = f"it has no {error}" if isinstance(error, KeyError) else reason(error)
    return words[:1].lower() + words[1:]


def _tested_run(client: Any, run: Any, folder: Path) -> TestedRun:
    target = folder / run.info.run_id
    target.mkdir(parents=True, exist_ok=True)
    path = Path(client.download_artifacts(run.info.run_id, TEST_TABLE, str(target)))
    tags, metrics = run.data.tags, run.data.metrics
    return TestedRun(
        run.info.run_id,
        tags["experiment"],
        tags["scale"],
        int(tags["seed"]),
        tags["corpus"],
        tags["is_anchor"] == "true",
        TestTable.from_json(path.read_text(encoding="utf-8")),
        # Runs of older versions have no such tag, but their class, in its architecture's package.
        tags.get("architecture") or tags.get("class", "").split(".")[-3:][0],
        metrics.get("test/real_time_factor"),
        int(metrics["test/transfer_parameters"]) if "test/transfer_parameters" in metrics else None,
    )
