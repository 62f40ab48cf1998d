"""One miniature run of every experiment: ``python -m tests.experiments.miniature [NAME …]``.

Two training batches, validation and test on the tiny corpus, in a temporary folder; anchors are only tested.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from experiments.command_line import catalogue
from tests.conftest import working_in

MINIATURE = Path(__file__).parent / "miniature.yaml"


def run_miniature(name: str, corpora: Path) -> None:
    """Fit and test, or test, one experiment in the working directory, with corpora in ``corpora``."""
    from experiments.command_line.cli import SuiteCLI

    subcommand = "test" if catalogue.find(name).parent.name == "anchors" else "fit"
    corpus = ["--data.init_args.corpora_dir", str(corpora)]
    SuiteCLI([subcommand, "--config", name, "--config", str(MINIATURE), *corpus])
    if not list(Path.cwd().glob("runs/*/*/test_table.json")):
        raise AssertionError(f"the miniature run of {name} left no test table")


def main(names: list[str]) -> None:
    """Run the experiments named, or all."""
    everything = [experiment.name for experiment in catalogue.experiments()]
    with tempfile.TemporaryDirectory() as folder:
        for name in names or everything:
            print(f"--- miniature of {name}", flush=True)
            workplace = Path(folder) / name
            workplace.mkdir(parents=True)
            with working_in(workplace):
                run_miniature(name, Path(folder) / "corpora")


if __name__ == "__main__":
    main(sys.argv[1:])
