"""
Where crystals are simulated: in this process, in local processes, or on a Dask cluster.

A task is a function of what all tasks share and of what is its own, so the results do not
depend on where, in what order and by how many it is run. Each process uses one core.

Functions:
    run_tasks: all tasks, their results in order
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Callable

from dials_spread import stages
from dials_spread.cluster import on_cluster
from dials_spread.processes import outcome, submit, worker_pool
from dials_spread.versions import available_cores

FORK_SERVER = "dials_spread.fork_server"


@dataclass(frozen=True)
class Resources:
    """
    Where tasks run.

    Attributes:
        nproc: Local processes; 1 keeps to this process, None takes all cores.
        scheduler: Address of a Dask scheduler, as tcp://host:8786, to use its workers
            instead.
        progress: Show a progress bar on a terminal.
        title: Of the progress bar.
        takes: Bytes that one task takes, at most; workers that may use less are refused.
    """

    nproc: int | None = 1
    scheduler: str | None = None
    progress: bool = False
    title: str = "Crystals"
    takes: int = 0

    def processes(self, n_tasks: int) -> int:
        """The number of local processes for a number of tasks."""
        return min(self.nproc or available_cores(), n_tasks)


def run_tasks(
    function: Callable, shared, tasks: Sequence, resources: Resources
) -> list:
    """
    Run function(shared, task) for every task.

    Args:
        function: At the top level of a module, so that other processes find it. A third
            argument is the number of threads, one by default.
        shared: What all tasks need; it is sent once to each process.
        tasks: What is each one's own.
        resources: Where to run.

    Returns:
        The results, in the order of the tasks.

    Raises:
        ValueError: Dask is not installed, its scheduler does not answer or has no
            workers, or these may use less memory than a task takes; a process was killed; or what the function raises.
    """
    nproc = resources.processes(len(tasks))
    if resources.scheduler is not None:
        to = resources.scheduler
        done = on_cluster(function, shared, tasks, to, resources.takes)
    elif nproc == 1:
        done = _here(function, shared, tasks, resources.nproc)
    else:
        done = _in_processes(function, shared, tasks, nproc)
    results = [None] * len(tasks)
    title = resources.title if resources.progress else None
    for index, result in stages.counted(done, len(tasks), title):
        results[index] = result
    return results


def _here(function: Callable, shared, tasks: Sequence, nproc: int | None) -> Iterator:
    """One task after the other, with threads where more than one core may be used."""
    for index, task in enumerate(tasks):
        yield index, function(shared, task, nproc)


# What the tasks of a local process share.
_shared = None


def _keep(shared) -> None:
    global _shared
    _shared = shared


def _call(function: Callable, task):
    return function(_shared, task)


def _in_processes(
    function: Callable, shared, tasks: Sequence, nproc: int
) -> Iterator[tuple]:
    # A fork of this process, which has threads, can stand still; the server has none, and
    # imports once what all its children need.
    context = get_context("forkserver")
    context.set_forkserver_preload([FORK_SERVER, function.__module__])
    pool = worker_pool(nproc, context, _keep, (shared,))
    try:
        numbers = {submit(pool, _call, function, t): k for k, t in enumerate(tasks)}
        for future in as_completed(numbers):
            yield numbers[future], outcome(future)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
