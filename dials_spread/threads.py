"""
How compiled loops use several cores: blocks of work, in threads that hold no lock.

numba's own parallel loops are not used. Importing cctbx can put stand-ins for the
OpenMP functions into the process (omptbx, as in Debian's build) which tell every thread
that it is the first; numba's OpenMP layer then lets each thread do the work of all,
which is wrong where results are updated in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Callable

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from dials_spread.versions import available_cores

_held = Lock()
"""While products of matrices keep to one thread."""

_met: set[object] = set()
"""Code of functions that have been called here once."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """
    Hold products of matrices to one thread.

    Heavy stages divide their work among threads themselves. Those of OpenBLAS would wait
    beside them, turning, which cost a fifth of the processor time of dials.ml_correct on
    two cores.
    """
    if _held.locked():  # by a stage around this one; looking for libraries takes 3 ms
        yield
        return
    with _held, threadpool_limits(1, user_api="blas"):
        yield


def run_blocks(
    function: Callable[[int, int], None],
    n: int,
    block: int,
    nproc: int | None = None,
    progress: str | None = None,
) -> None:
    """
    Call a function for one range after the other until 0 … n - 1 are done.

    Args:
        function: Called as function(first, stop); compiled with ``nogil``, so that
            several run at a time. Ranges do not overlap.
        n: Number of things to be done.
        block: Things done by one call.
        nproc: Threads; all cores that the process may use by default.
        progress: What a progress bar says; none is shown where standard error is no
            terminal.

    The first time, the first range is done alone: numba (0.65, where it is built with its
    assertions, as in Debian) ends the process when two threads meet types of arguments
    that are new to it at the same moment.
    """
    if 0 < n <= block:  # starting a thread takes longer than little work
        function(0, n)
        return
    ranges = [(first, min(first + block, n)) for first in range(0, n, block)]
    nproc, code = nproc or available_cores(), getattr(function, "__code__", function)
    if nproc == 1 and progress is None:
        with one_blas_thread():
            for first, stop in ranges:
                function(first, stop)
        return
    # disable=None: silent where standard error is no terminal.
    bar = tqdm(total=n, desc=progress, disable=None if progress else True)
    with bar, one_blas_thread(), ThreadPoolExecutor(nproc) as pool:
        if ranges and nproc > 1 and code not in _met:
            function(*ranges[0])
            bar.update(ranges.pop(0)[1])
            _met.add(code)
        starts, stops = zip(*ranges) if ranges else ((), ())
        done = pool.map(function, starts, stops)
        for (first, stop), _ in zip(ranges, done):
            bar.update(stop - first)


def in_turn(
    function: Callable, tasks: Sequence[tuple], nproc: int | None = None
) -> Iterator:
    """
    Call a function for several tasks, in threads, and give what it returns in their order.

    Args:
        function: Called as function(*task); see run_blocks.
        tasks: What it is called with.
        nproc: Threads; all cores by default.
    """
    nproc, code = nproc or available_cores(), getattr(function, "__code__", function)
    with one_blas_thread():  # as on workers, whose sums are the same to the last digit
        if nproc == 1 or len(tasks) == 1:
            yield from (function(*task) for task in tasks)
            return
        first = [] if code in _met else [function(*tasks[0])]
        _met.add(code)
        with ThreadPoolExecutor(nproc) as pool:
            yield from first
            yield from pool.map(function, *zip(*tasks[len(first) :]))
