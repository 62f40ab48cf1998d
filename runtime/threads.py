"""One thread: for what hangs or costs another figure with several, and for processes that share the cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
}
"""The environment of a process that computes on one thread; to be set before it imports NumPy or PyTorch."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread, and on as many as before afterwards."""
    import torch  # here, for `ONE_THREAD` has to be set before torch is imported

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
