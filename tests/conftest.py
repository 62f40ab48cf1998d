"""What tests share: one thread each, a tiny rendered corpus, and real recordings where they are at hand."""

import os
import signal
import threading
from collections.abc import Iterator

# Before torch and NumPy are imported: several test processes share the cores.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from datamodules.corpora.corpus import Corpus  # noqa: E402
from datamodules.corpora.rendering import RenderedCorpus  # noqa: E402
from datamodules.scores.midi_folder import EmbeddedScores  # noqa: E402
from tests.postgres import PostgresServer  # noqa: E402

ROOT = Path(__file__).parents[1]
if threading.current_thread() is threading.main_thread():
    # A shell that starts the tests in the background has them ignore Ctrl-C; their commands would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
