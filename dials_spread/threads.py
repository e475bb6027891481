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
from itertools import chain
from threading import Lock
from typing import Callable

from threadpoolctl import threadpool_limits

from dials_spread import stages
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
    little: Callable[[], object] | None = None,
) -> None:
    """
    Call a function for one range after the other until 0 … n - 1 are done.

    Args:
        function: Called as function(first, stop); compiled with ``nogil``, so that
            several run at a time. Ranges do not overlap.
        n: Number of things to be done.
        block: Things done by one call.
        nproc: Threads; all cores that the process may use by default.
        progress: Of a stage of its own, that is shown on a terminal; None for a part of
            the one that goes on (see stages).
        little: Meets all types of arguments that the function meets, with little work;
            gives False where it has met none. For ranges that are few.

    The first time, the first range is done alone: numba (0.65, where it is built with its
    assertions, as in Debian) ends the process when two threads meet types of arguments
    that are new to it at the same moment.
    """
    if 0 < n <= block:  # starting a thread takes longer than little work
        function(0, n)
        return
    ranges = [(first, min(first + block, n)) for first in range(0, n, block)]
    nproc, code = nproc or available_cores(), getattr(function, "__code__", function)
    with stages.part(n, progress) as done, one_blas_thread():
        if nproc == 1:
            for first, stop in ranges:
                function(first, stop)
                done(stop - first)
            return
        with ThreadPoolExecutor(nproc) as pool:
            if ranges and code not in _met:
                if little is None or little() is False:
                    function(*ranges[0])
                    done(ranges.pop(0)[1])
                _met.add(code)
            starts, stops = zip(*ranges) if ranges else ((), ())
            for (first, stop), _ in zip(ranges, pool.map(function, starts, stops)):
                done(stop - first)


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
            yield from stages.counted((function(*t) for t in tasks), len(tasks))
            return
        first = [] if code in _met else [function(*tasks[0])]
        _met.add(code)
        with ThreadPoolExecutor(nproc) as pool:
            rest = pool.map(function, *zip(*tasks[len(first) :]))
            yield from stages.counted(chain(first, rest), len(tasks))
