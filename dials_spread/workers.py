"""
Workers of a Dask cluster: what they may use, and whether they still work.

A worker has a limit of memory. Dask gives it no new task (it pauses it) from a part of
that limit on, and ends it from another on: what counts is the smaller of the two. Work
that workers cannot begin would be waited for for ever, without a word.

Functions:
    start_deaf_to_interruption: on this machine
    is_news: of what asyncio logs
    refuse_too_little_memory: before work begins
    refuse_idle: where no worker takes a task
    outcome: of a task, or why there is none
    as_they_end: tasks, as they are done
    outcome_or_error: of a call on a worker
    plain_faults: one line where the cluster and not the task failed
    comes_back: wait for a worker
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

OF_PROCESS = 440_000_000
"""Bytes that a worker takes for DIALS and what it loads, before data count. At their peak
workers of Debian's DIALS took 429 MB (dials.compare_images), 413 (dials.ml_correct), 394
(dask.observations=workers), of three crystals in a file of 4 MB; 351 once they could read."""

PATIENCE = 20
"""How long all workers may be paused before they are given up [s]."""

NONE_LEFT = 40
"""How long there may be no worker at all [s]: one that was ended is started again, and a
queue has others."""

WATCH = 2.0
"""How often it is looked whether they still do [s]."""

REMEDY = "give each more (--memory-limit), or start fewer of them"


class WorkersLost(ValueError):
    """The cluster failed, not the task."""


_limits: WeakKeyDictionary = WeakKeyDictionary()
"""When workers of a client were asked for their limits, and these."""


def _lowest_limit(client) -> int | None:
    """Bytes; asked for at most every few seconds, as some stages take many rounds."""
    asked, limit = _limits.get(client, (-np.inf, None))
    if time.monotonic() - asked > WATCH:
        given = (w.get("memory_limit") for w in _workers(client))
        limit = min([x for x in given if x], default=None)
        _limits[client] = time.monotonic(), limit
    return limit


def _workers(client) -> list[dict]:
    """What the scheduler knows of each worker."""
    # From 2025 on it tells five unless it is asked for all; before, nothing is looked at.
    return [*client.scheduler_info(n_workers=-1)["workers"].values()]


def start_deaf_to_interruption(cluster, n: int) -> None:
    """
    Start workers that Ctrl-C does not reach: they end with this process, without a word.

    A terminal sends it to all its processes. Those that are just being started would each
    leave a traceback behind the one line of this process.

    Args:
        cluster: A distributed.LocalCluster without workers.
        n: How many to start.
    """
    from distributed import Client

    async def block() -> None:
        # It takes off what is blocked when it starts.
        resource_tracker.ensure_running()
        # Processes inherit it from the thread that starts them. (Windows has none.)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    # What this process has not given back when it is ended, the tracker would list.
    quiet = "ignore:resource_tracker:UserWarning"
    sys.warnoptions.append(quiet)
    try:
        cluster.sync(block)
        cluster.scale(n)
        with Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(n)
    finally:
        sys.warnoptions.remove(quiet)


def is_news(record: logging.LogRecord) -> bool:
    """
    Tell what asyncio says of Dask at its end from what a user should know.

    A message that was waiting to be sent when the connection was closed has run into its
    deadline, which nobody asks for any more: some runs would end with it.

    Args:
        record: Of the log of asyncio; this is a filter of it.
    """
    error = record.exc_info[1] if record.exc_info else None
    late = isinstance(error, (TimeoutError, asyncio.TimeoutError))
    return not (late and "never retrieved" in record.getMessage())


def number(client) -> int:
    """
    Give the number of workers that there are now.

    Args:
        client: Of the cluster.
    """
    return len(_workers(client))


def share_before_pause() -> float:
    """Give the part of its limit that Dask lets a worker use before it stops it."""
    import distributed

    config: Any = distributed.config  # a dict, not the module of that name
    memory = config["distributed"]["worker"]["memory"]
    shares = [memory.get("pause"), memory.get("terminate")]
    return min([float(share) for share in shares if share], default=1.0)


def refuse_too_little_memory(client, data: int, what: str) -> None:
    """
    Refuse workers that Dask would pause or end before they have what is needed.

    Args:
        client: Of the cluster.
        data: Bytes, besides those of the process itself.
        what: What takes them, in words that stand before the number.

    Raises:
        ValueError: A worker may use less.
    """
    limit, share = _lowest_limit(client), share_before_pause()
    needed = OF_PROCESS + data
    if limit is not None and share * limit < needed:
        usable = share * limit
        pause = "" if share == 1 else f", of which Dask lets it fill {usable / 1e9:.3g}"
        raise ValueError(
            f"Dask: a worker may use {limit / 1e9:.3g} GB of memory{pause}, and "
            f"{what} {needed / 1e9:.3g} GB; {REMEDY}."
        )


def _none_works(client) -> tuple[str, float]:
    """
    Give in words why no worker begins a task, and how long [s] that may last.

    Nothing is told where one does, or is at work.
    """
    workers = _workers(client)
    if not workers:
        return "Dask: no worker is left, and none comes.", NONE_LEFT
    counts = [w.get("metrics", {}).get("task_counts", {}) for w in workers]
    if any(w.get("status") != "paused" for w in workers):
        return "", 0
    if any(isinstance(c, dict) and c.get("executing") for c in counts):
        return "", 0  # what it does may free memory when it is done
    used = max(w.get("metrics", {}).get("memory", 0) for w in workers)
    limit = min(w.get("memory_limit") or 0 for w in workers)
    told = (
        f"Dask: no worker takes a task, since all ({len(workers)}) are paused: one has "
        f"{used / 1e9:.3g} GB in use and may use {limit / 1e9:.3g} GB; {REMEDY}, and start "
        "these again."
    )
    return told, PATIENCE


def refuse_idle(client) -> None:
    """
    Wait until a worker takes tasks, or is at work.

    Args:
        client: Of the cluster.

    Raises:
        ValueError: There is none for some time, or all are paused and stay so.
    """
    begin, reason = time.monotonic(), ""
    while True:
        before, (reason, patience) = reason, _none_works(client)
        if not reason:
            return
        if reason[:15] != before[:15]:  # it was another reason, or none
            begin = time.monotonic()
        if time.monotonic() - begin > patience:
            raise ValueError(reason)
        time.sleep(0.5)


def outcome(client, future) -> Any:
    """
    Wait for a task, as long as workers take tasks.

    Args:
        client: Of the cluster.
        future: Handle of the task.

    Returns:
        What it gives.

    Raises:
        WorkersLost: The cluster failed.
        ValueError: Several workers died over it, or all are paused; or what it raises.
    """
    if future.status == "pending":
        for _ in as_they_end(client, [future]):
            pass
    with plain_faults(client):
        return future.result()


def as_they_end(client, futures: Sequence) -> Iterator:
    """
    Give tasks as they are done, as long as workers take tasks.

    Args:
        client: Of the cluster.
        futures: Handles of tasks.

    Raises:
        ValueError: All workers are paused, and stay so.
    """
    ended: SimpleQueue = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    for _ in futures:
        while True:
            try:
                future = ended.get(timeout=WATCH)
                break
            except Empty:
                with plain_faults(client):
                    refuse_idle(client)
        yield future


def outcome_or_error(function: Callable, *args) -> tuple[Any, Exception | None]:
    """
    Call a function on a worker so that its faults are told from those of the cluster.

    Args:
        function, args: What is called.

    Returns:
        What it returns, and None; or None, and what it raised.
    """
    try:
        return function(*args), None
    except Exception as error:
        return None, error


@contextmanager
def plain_faults(client, of_cluster: bool = False) -> Iterator[None]:
    """
    Tell faults of the cluster in one line.

    Args:
        client: Of the cluster.
        of_cluster: Nothing but the cluster can raise an OSError here, no task that reads.

    Raises:
        WorkersLost: Workers, or the connection to them, were lost.
        ValueError: No worker takes a task, or several died over one.
    """
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker:
        raise ValueError(
            "Dask: several workers were lost over one task (KilledWorker); where they "
            f"were ended for the memory that they took, {REMEDY}."
        ) from None
    except (CancelledError, CommClosedError) as error:
        name = type(error).__name__
        raise WorkersLost(f"Dask: the workers were lost ({name}).") from None
    except (TimeoutError, asyncio.TimeoutError) as error:
        if getattr(error, "errno", None) is not None and not of_cluster:  # of a file
            raise
        refuse_idle(client)
        raise WorkersLost(f"Dask: the workers do not answer ({error}).") from None
    except OSError as error:
        # A scheduler that has not yet seen that a worker is lost connects to it in vain.
        if not of_cluster:
            raise
        raise WorkersLost(f"Dask: the workers were lost ({error}).") from None


def comes_back(client) -> bool:
    """
    Wait for a worker.

    Args:
        client: Of the cluster.

    Returns:
        False where none comes.
    """
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, RuntimeError):
        return False
    return True
