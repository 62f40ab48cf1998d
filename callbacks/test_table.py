"""The per-piece table of a test as an artifact of the run."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from experiments.tracking import tracker_of
from lightning_modules.transfer_module import TimbreTransferModule

TEST_TABLE = "test_table.json"


class TestTableArtifact(L.Callback):
    """Log ``test_table.json`` (`metrics.table.TestTable`) when a test has ended."""

    __test__ = False  # not a test case, whatever pytest thinks of its name

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table into the run's folder and log it."""
        tracker = tracker_of(trainer)
        if tracker is None or not isinstance(pl_module, TimbreTransferModule) or pl_module.test_table is None:
            return
        path = Path(tracker.run_dir) / TEST_TABLE
        path.write_text(pl_module.test_table.to_json(), encoding="utf-8")
        tracker.log_artifact(path)
        tracker.set_tags({"tested": "true"})
