"""What tests share: one thread each, a tiny corpus, a trained model, real recordings where there are any."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.threads import ONE_THREAD

# Before torch and NumPy are imported: several test processes share the cores.
for variable, value in ONE_THREAD.items():
    os.environ.setdefault(variable, value)

from pathlib import Path  # noqa: E402
from typing import NamedTuple  # noqa: E402

import pytest  # noqa: E402

from datamodules.corpora.corpus import Corpus  # noqa: E402
from datamodules.corpora.rendering import RenderedCorpus  # noqa: E402
from datamodules.scores.embedded import EmbeddedScores  # noqa: E402
from tests.postgres import PostgresServer  # noqa: E402

ROOT = Path(__file__).parents[1]
SIXTH = ROOT / "tests" / "experiments" / "sixth" / "sixth.yaml"


def _let_ctrl_c_interrupt() -> None:
    """Commands that a test starts inherit an ignored Ctrl-C, and would go on after the test has pressed it.

    A shell that starts the tests in the background ignores it, and so does Lightning after an interrupted
    training.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


_let_ctrl_c_interrupt()


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """What a test has done to Ctrl-C ends with it."""
    yield
    _let_ctrl_c_interrupt()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tests that want more than a machine usually gives run when they are asked for."""
    parser.addoption("--two-hosts", action="store_true", help="train on two network namespaces (needs root)")


TINY_INSTRUMENTS = ("guitar_acoustic", "keyboard_acoustic", "synth_lead_synthetic", "violin")
TINY_SAMPLE_RATE = 16000


@pytest.fixture(scope="session")
def tiny_corpora_dir() -> Path:
    """Where the tiny corpus lies: kept between test runs, and found by its content address."""
    return ROOT / "build" / "test-corpora"


@pytest.fixture(scope="session")
def tiny_source() -> RenderedCorpus:
    """The request for the tiny corpus, to give to a data module together with ``tiny_corpora_dir``."""
    return RenderedCorpus(EmbeddedScores("tiny"), instruments=TINY_INSTRUMENTS)


@pytest.fixture(scope="session")
def tiny_corpus(tiny_source: RenderedCorpus, tiny_corpora_dir: Path) -> Corpus:
    """Ten tunes and eight chorales of 8 s on four instruments at 16 kHz, the test split on two banks.

    Test processes that start together share one build: the first holds the lock, the others wait.
    """
    return tiny_source.prepare(tiny_corpora_dir, TINY_SAMPLE_RATE, workers=1, progress=False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings, which are not part of the project; skips where it is absent."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"needs real recordings in {path}")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; tests create databases of their own in it."""
    server = PostgresServer()
    yield server
    server.close()


class Trained(NamedTuple):
    """A finished `fit` of the sixth architecture."""

    root: Path
    """The working directory it ran in."""
    uri: str
    run_dir: Path


@contextmanager
def working_in(folder: Path) -> Iterator[str]:
    """Run a command as a user would in ``folder``; gives the tracking URI it uses."""
    uri = f"sqlite:///{folder}/mlflow.db"
    before, uri_before = Path.cwd(), os.environ.get("MLFLOW_TRACKING_URI")
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield uri
    finally:
        os.chdir(before)
        if uri_before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = uri_before


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Path]:
    """An empty working directory with a tracking store of its own."""
    with working_in(tmp_path):
        yield tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Fit the sixth architecture for three short epochs; `fit` then validates and tests it thoroughly."""
    from experiments.command_line.cli import SuiteCLI

    root = tmp_path_factory.mktemp("trained")
    with working_in(root) as uri:
        SuiteCLI(
            [
                *("fit", "--config", str(SIXTH), "--validate_after_fit", "true"),
                *("--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1"),
            ]
        )
    [run_dir] = (root / "runs" / "sixth").iterdir()
    return Trained(root, uri, run_dir)
