"""Jobs come back with their results, from as many processes as asked, and errors come back as they are."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from runtime.workers import run_jobs


def square_and_process(number: int) -> tuple[int, int, str]:
    time.sleep(0.01)
    return number**2, os.getpid(), os.environ["OMP_NUM_THREADS"]


def fail(number: int) -> int:
    raise OSError(28, f"job {number}")


def test_every_job_has_its_result_whatever_the_number_of_processes() -> None:
    for workers in (1, 2):
        results = dict(run_jobs(square_and_process, range(40), "", workers, progress=False))
        assert {job: result[0] for job, result in results.items()} == {n: n * n for n in range(40)}
        processes = {process for _, process, _ in results.values()}
        assert (os.getpid() in processes) == (workers == 1) and len(processes) <= workers
        assert workers == 1 or {threads for *_, threads in results.values()} == {"1"}


def test_an_error_in_a_worker_keeps_its_kind_and_number() -> None:
    with pytest.raises(OSError, match="job") as error:
        list(run_jobs(fail, range(9), "", workers=2, progress=False))
    assert error.value.errno == 28


def test_a_consumer_that_stops_early_leaves_no_process_behind() -> None:
    import multiprocessing

    results = run_jobs(square_and_process, range(1000), "", workers=2, progress=False)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_a_killed_parent_leaves_no_process_behind(tmp_path: Path) -> None:
    code = f"from {__name__} import run_and_report; run_and_report({str(tmp_path)!r})"
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    workers = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: not any(psutil.pid_exists(worker) for worker in workers))


def run_and_report(folder: str) -> None:
    list(run_jobs(write_process_and_wait, [folder] * 8, "", workers=2, progress=False))


def write_process_and_wait(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(300)


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_no_jobs_no_results() -> None:
    assert list(run_jobs(square_and_process, [], "", progress=False)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_the_work_also_where_a_training_only_notes_it(workers: int) -> None:
    noted = []
    before = signal.signal(signal.SIGTERM, lambda *_: noted.append("for later"))
    try:
        jobs = run_jobs(time.sleep, [0.1] * 1000, "Sleeping", workers, progress=False)
        next(jobs)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(SystemExit):
            list(jobs)
        assert noted == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert noted == ["for later"]
    finally:
        signal.signal(signal.SIGTERM, before)
