"""A process ends with its parent, and its output tells why it ended."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from runtime.processes import available_cores, end_with_parent, ending_on_sigterm, last_words


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("one\ntwo\n\n", "two"),
        ("Traceback\nerror: The disk is full.\n 10 %\r 20 %\r", "error: The disk is full."),
        ("10 %\r20 %\r", "20 %"),
        ("", "no output"),
    ],
)
def test_the_last_words_are_the_error_or_the_last_line(output: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "output").write_text(output)
    assert last_words(tmp_path / "output") == expected


def test_there_are_no_more_cores_than_the_machine_has() -> None:
    assert 1 <= available_cores() <= psutil.cpu_count()


def be_stubborn(folder: str) -> None:
    """Have a child that ignores SIGTERM, as a worker in a native library does, and wait for it."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # as the handler of a training, which only notes it
    child = get_context("spawn").Process(target=ignore_sigterm, args=(folder,))
    with ending_on_sigterm():
        child.start()
        child.join()


def ignore_sigterm(folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(300)


def test_sigterm_ends_a_process_and_its_children_at_once(tmp_path: Path) -> None:
    code = f"from {__name__} import be_stubborn; be_stubborn({str(tmp_path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    while not (found := list(tmp_path.iterdir())):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not psutil.pid_exists(int(found[0].name))


def lead_a_group(folder: str) -> None:
    os.setsid()
    end_with_parent(whole_group=True)
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    (Path(folder) / f"{os.getpid()} {grandchild.pid}").touch()
    time.sleep(300)


def start_and_wait(folder: str) -> None:
    child = get_context("spawn").Process(target=lead_a_group, args=(folder,))
    child.start()
    child.join()


def test_a_killed_parent_ends_the_whole_group(tmp_path: Path) -> None:
    code = f"from {__name__} import start_and_wait; start_and_wait({str(tmp_path)!r})"
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (found := list(tmp_path.iterdir())):
        assert parent.poll() is None
        time.sleep(0.05)
    group = [psutil.Process(int(number)) for number in found[0].name.split()]
    parent.kill()
    parent.wait()
    ended, alive = psutil.wait_procs(group, timeout=60)
    assert len(ended) == 2 and not alive
