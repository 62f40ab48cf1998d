"""Jobs come back with their results, from as many processes as asked, and errors come back as they are."""

import os
import time

import pytest

from datamodules.workers import available_cores, run_jobs


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


def test_no_jobs_no_results() -> None:
    assert list(run_jobs(square_and_process, [], "", progress=False)) == []
    assert available_cores() >= 1
