"""What a test prints: how many clips, and a line for each metric that the leaderboard shows."""

from __future__ import annotations

from callbacks.test_table import summary
from metrics.evaluation.table import TestRow, TestTable


def test_the_summary_has_the_means_with_their_intervals() -> None:
    rows = [
        TestRow("monophonic", "flute->violin", piece, "other", {"joint_score": score, "not_shown": 5.0})
        for piece, score in (("one", 0.5), ("two", 1.0))
    ]
    first, joint = summary(TestTable.of(rows)).splitlines()
    assert first == "Test of 2 clips:"
    assert joint.split() == ["joint", "↑", "0.750", "[0.500,", "1.000]"]
