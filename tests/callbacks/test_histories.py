"""Histories are what was logged, also where a training was resumed."""

from pathlib import Path

from PIL import Image

from callbacks.histories import draw, read_histories
from callbacks.tracking.events import Metrics
from callbacks.tracking.outbox import Journal


def test_losses_and_metrics_of_both_stages_are_read_from_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.start("experiment", "run")
    journal.append(Metrics({"train/mae": 4.0, "train/discriminator": 1.4}, step=0))
    journal.append(Metrics({"train/mae": 2.0, "system/cpu_percent": 99.0}, step=10))
    journal.append(Metrics({"val/mae": 3.0, "val/lsd": 7.0, "epoch": 0.0}, step=10))
    journal.append(Metrics({"train/mae": 1.0}, step=10))  # again, after a resumption
    assert read_histories(journal) == {
        "discriminator": {"train": {0: 1.4}},
        "lsd": {"val": {10: 7.0}},
        "mae": {"train": {0: 4.0, 10: 1.0}, "val": {10: 3.0}},
    }


def test_the_picture_grows_with_the_number_of_names(tmp_path: Path) -> None:
    heights = []
    for n in (1, 4, 5):
        draw({f"loss {i}": {"train": {0: 1.0, 1: 0.5}} for i in range(n)}, tmp_path / "picture.png")
        heights.append(Image.open(tmp_path / "picture.png").height)
    assert heights[0] == heights[1] < heights[2]
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
