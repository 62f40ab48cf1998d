"""A training that was killed comes to the weights of one that was not, bit for bit.

`tests.experiments.kill_and_resume` does it for all experiments and phases; benchmarks/resume.md has its
report.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.experiments.kill_and_resume import kill_and_resume


@pytest.mark.usefixtures("tiny_corpus")
@pytest.mark.parametrize("experiment", ["ddsp", "pix2pix"])
def test_a_killed_training_reaches_the_same_weights(
    experiment: str, tiny_corpora_dir: Path, workplace: Path
) -> None:
    """DDSP draws noise; Pix2Pix drops features, and has two optimizers and a curriculum between them."""
    [outcome] = kill_and_resume(experiment, tiny_corpora_dir, random.Random(1), only_phase=1)
    assert outcome.killed_after >= 6
    assert outcome.n_tensors > 30
    assert outcome.differences == []
