"""
How compiled loops use several cores.

Importing cctbx may put stand-ins for the OpenMP functions into the process (omptbx,
as in Debian's build), which tell every thread that it is the first. numba's ``omp``
layer then lets each thread do the work of all: slow, and wrong where results are
updated in place. The ``workqueue`` layer, which every numba has, does not use OpenMP.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Iterator

import numba as nb
import numpy as np

from dials_spread.versions import available_cores

logger = logging.getLogger("dials.spread.threads")

# Takes effect where no parallel numba function has run yet in this process.
nb.config.THREADING_LAYER = "workqueue"


@nb.njit(cache=True)
def _visit(k, visits):
    visits[k] += 1


@nb.njit(cache=True, parallel=True)
def _visit_all(visits):
    for k in nb.prange(len(visits)):
        _visit(k, visits)


def threads_share_work() -> bool:
    """
    Say whether a parallel loop runs each of its steps once.

    Returns:
        False where the threads of this process repeat one another's work.
    """
    visits = np.zeros(64 * nb.get_num_threads(), dtype=np.int64)
    _visit_all(visits)
    return bool((visits == 1).all())


@contextlib.contextmanager
def limited_threads(nproc: int | None = None) -> Iterator[int]:
    """
    Let compiled loops use so many threads, and put things back afterwards.

    Args:
        nproc: Threads; all cores that the process may use by default.

    Yields:
        The number in use: 1 where threads do not share the work correctly.
    """
    before = nb.get_num_threads()
    wanted = min(nproc or available_cores(), nb.config.NUMBA_NUM_THREADS)
    nb.set_num_threads(max(1, wanted))
    if not threads_share_work():
        logger.warning("Compiled loops run on one core: OpenMP is broken here")
        nb.set_num_threads(1)
    try:
        yield nb.get_num_threads()
    finally:
        nb.set_num_threads(before)
