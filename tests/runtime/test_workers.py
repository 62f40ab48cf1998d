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

from runtime.errors import UserError
from runtime.workers import DIED, JobDiedError, run_jobs


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


def fail_in_its_own_way(number: int) -> str:
    match number:
        case 3:
            raise ZeroDivisionError("division by zero")
        case 5:
            raise UserError("The file is cut off.")
        case 6:
            raise UnreadableError(6, "an error that pickles and cannot be read again")
        case 7:
            sys.exit("a library ends the process")
        case 9:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 12:
            os.abort()
        case 30:
            os.kill(os.getpid(), signal.SIGKILL)  # what a system does that is out of memory
    return "done"


class UnreadableError(Exception):
    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)


def test_a_job_that_fails_in_any_way_costs_itself_and_nothing_else() -> None:
    results = list(run_jobs(fail_in_its_own_way, range(32), "", 2, False, lambda job, reason: reason))
    assert sorted(job for job, _ in results) == list(range(32)), "each has one result"
    assert {job: result for job, result in results if result != "done"} == {
        3: "ZeroDivisionError: division by zero",
        5: "The file is cut off.",
        6: "UnreadableError: an error that pickles and cannot be read again",
        7: "SystemExit: a library ends the process",
        **dict.fromkeys((9, 12, 30), DIED),
    }


def test_a_full_disk_ends_the_work_also_where_failures_are_taken() -> None:
    with pytest.raises(OSError, match="job") as error:
        list(run_jobs(fail, range(9), "", 2, progress=False, failed=lambda job, reason: 0))
    assert error.value.errno == 28


def test_where_failures_are_not_taken_the_error_names_the_job_that_killed_its_process() -> None:
    with pytest.raises(JobDiedError, match=r"^12 could not be done: its process died"):
        list(run_jobs(fail_in_its_own_way, [10, 11, 12, 13], "", workers=2, progress=False))


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = "from runtime.workers import run_jobs; list(run_jobs(abs, range(9), '', 2, progress=False))"
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "UserError: No other process can be started; in a script" in run.stderr.splitlines()[-1]


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
