"""What tests of data modules share."""

from pathlib import Path

import pytest

from datamodules.banks.nsynth import recordings_in
from tests.datamodules.made_up import write_nsynth


@pytest.fixture
def nsynth(tmp_path: Path) -> Path:
    """A made-up NSynth of sines (see `write_nsynth`)."""
    recordings_in.cache_clear()
    write_nsynth(tmp_path / "nsynth")
    return tmp_path / "nsynth"
