"""The per-piece table of a test becomes an artifact of the run, and the score of every pair a metric."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from callbacks.tracking.tracker import n_batches_done, tracker_of
from lightning_modules.transfer_module import TimbreTransferModule
from metrics.evaluation.table import TestTable
from metrics.registry import columns

TEST_TABLE = "test_table.json"


class TestTableArtifact(L.Callback):
    """When a test has ended, log its ``test_table.json`` (`metrics.evaluation.table.TestTable`).

    The joint score of every track and pair is logged too, under names that runs of different tests share.
    """

    __test__ = False  # not a test case, whatever pytest thinks of its name

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table into the run's folder and log it."""
        if not isinstance(pl_module, TimbreTransferModule) or pl_module.test_table is None:
            return
        if trainer.is_global_zero:
            print(summary(pl_module.test_table), flush=True)
        tracker = tracker_of(trainer)
        if tracker is None:
            return
        path = Path(tracker.run_dir) / TEST_TABLE
        path.write_text(pl_module.test_table.to_json(), encoding="utf-8")
        tracker.log_artifact(path)
        tracker.log_metrics(pair_scores(pl_module.test_table), n_batches_done(trainer))
        tracker.set_tags({"tested": "true"})


def summary(table: TestTable) -> str:
    """The metrics that the leaderboard has columns for, a line each."""
    intervals = table.intervals()
    lines = [f"Test of {len(table.rows)} clips:"]
    for metric in columns():
        if (found := intervals.get(metric.name)) is not None:
            between = "" if found.low is None else f"  [{found.low:.3f}, {found.high:.3f}]"
            lines.append(f"  {f'{metric.caption} {metric.arrow}':<14}{found.mean:9.3f}{between}")
    return "\n".join(lines)


def pair_scores(table: TestTable) -> dict[str, float]:
    """Mean joint score of every track and pair, named ``test/joint_score/<track>/<source>_to_<target>``."""
    means = {group: part.means().get("joint_score") for group, part in table.by_group().items()}
    return {
        f"test/joint_score/{track}/{pair.replace('->', '_to_')}": mean
        for (track, pair), mean in means.items()
        if mean is not None
    }
