"""
Work for the workers of a Dask cluster.

A command that has ``dask.scheduler`` or ``dask.local`` opens the cluster once, and heavy stages
within ask for it: each cuts its work into tasks that do not depend on each other, so that
neither the number of workers nor their order, nor whether one of them dies, changes what
comes out. What all tasks of a stage need is sent to each worker once.

Functions:
    check, check_blocks: whether what was given can be used
    on_workers: a cluster, for all stages within
    in_use: whether there is one
    map_on_workers: tasks of a stage, their results in order
    on_each_worker: one call for each
    keep, told: tasks whose results stay on the workers, and whose results do not
    refuse_too_little_memory: before work begins
    on_cluster: tasks of a single stage, as they are done
    connect: to a scheduler
"""

from __future__ import annotations

import logging
import re
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Callable

logger = logging.getLogger("dials.spread.cluster")

PHIL = """
dask {
  scheduler = None
    .type = str
    .help = "Address of a running Dask scheduler, such as tcp://host:8786, whose workers"
            "do the heavy stages instead of this process."
  local = None
    .type = int(value_min=1, value_max=4096)
    .help = "Number of Dask workers to start on this machine for the heavy stages."
}
"""

PHIL_OF_BLOCKS = (
    PHIL.rstrip()[:-1]
    + """
  observations = *here workers
    .type = choice
    .help = "Where observations are kept: here, in this process, which answers all"
            "questions; or on the workers, file by file, so that they never come together."
            "Then images are matched, pairs compared, the size of the spread and pairs of"
            "the same orientation against others are told, and nothing else; each .refl"
            "file has an .expt file of its own."
}
"""
)
"""With what dials.compare_images asks besides."""

# How long to wait for a scheduler to answer, and for its first worker [s].
PATIENCE = 20

# How many workers may die over one task before it is given up.
ALLOWED_FAILURES = 3

LARGE = 500_000
"""Bytes of what all tasks share, above which it does not go with each."""

OF_PROCESS = 400_000_000
"""Bytes that a worker takes before it has any data: DIALS and what it loads."""

_client: ContextVar[Any] = ContextVar("client", default=None)


@contextmanager
def on_workers(
    scheduler: str | None = None, local: int | None = None
) -> Iterator[None]:
    """
    Let the heavy stages within be done by the workers of a cluster.

    Args:
        scheduler: Address of a Dask scheduler; None for none.
        local: Number of workers to start on this machine; None for none.

    Raises:
        ValueError: Both are given, Dask is not installed, the scheduler does not answer or
            has no workers.
    """
    if scheduler is None and local is None:
        yield
        return
    check(scheduler, local)
    with _local_cluster(local) if local else nullcontext(scheduler or "") as address:
        with connect(address) as client:
            token = _client.set(client)
            try:
                yield
            finally:
                _client.reset(token)


def check(scheduler: str | None, local: int | None) -> None:
    """
    Refuse what cannot be used, before anything is read.

    Args:
        scheduler, local: As for on_workers.

    Raises:
        ValueError: Both are given, Dask is not installed, or nothing answers.
    """
    if scheduler is not None and local is not None:
        raise ValueError(
            f"dask.scheduler={scheduler} dask.local={local}: give one of the two"
        )
    if scheduler is not None or local is not None:
        _distributed()
    if scheduler is not None:
        _knock(scheduler)


def check_blocks(scheduler: str | None, local: int | None) -> None:
    """
    Refuse to keep observations on workers where there are none.

    Args:
        scheduler, local: As for on_workers.

    Raises:
        ValueError: Neither is given.
    """
    if scheduler is None and local is None:
        raise ValueError(
            "dask.observations=workers: give dask.scheduler or dask.local, whose workers "
            "keep them"
        )


@contextmanager
def _local_cluster(n: int) -> Iterator[str]:
    """Workers on this machine, one thread each, for as long as they are needed."""
    distributed = _distributed()
    with warnings.catch_warnings():
        # It looks for a place for its web page even where it shall have none.
        warnings.filterwarnings("ignore", "Port .* is already in use", UserWarning)
        cluster = distributed.LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
            silence_logs=logging.ERROR,
        )  # fmt: skip
    try:
        yield cluster.scheduler_address
    finally:
        # On a busy machine workers take longer to end than Dask waits: they are killed.
        logging.getLogger("distributed.nanny").setLevel(logging.CRITICAL)
        cluster.close()


def _distributed():
    try:
        import distributed
    except ImportError:
        raise ValueError(
            "dask.scheduler needs the package distributed, which is not installed "
            '(pip install "dials_spread[dask]").'
        ) from None
    return distributed


def in_use() -> bool:
    """Whether there is a cluster for heavy stages."""
    return _client.get() is not None


def on_each_worker(function: Callable, *args) -> dict[str, Any]:
    """
    Call a function once on each of the workers that there are now.

    Args:
        function: At the top level of a module.
        args: Its arguments.

    Returns:
        What it returns, by address of the worker.
    """
    return _client.get().run(function, *args)


def map_on_workers(function: Callable, shared, tasks: Sequence, takes: int = 0) -> list:
    """
    Run function(shared, task) for every task, on the workers in use.

    Args:
        function: At the top level of a module.
        shared: What all tasks need; it is sent to each worker once.
        tasks: What is each one's own.
        takes: Bytes that one task takes besides what it is sent.

    Returns:
        The results, in the order of the tasks.

    Raises:
        ValueError: Workers may use less memory than one task takes, which is told before
            the first begins; they were lost; or what the function raises.
    """
    from distributed.sizeof import safe_sizeof as sizeof

    client = _client.get()
    sent = sizeof(shared) + max(map(sizeof, tasks), default=0)
    refuse_too_little_memory(sent + takes, "one task of this stage takes")
    results: dict[int, Any] = {}
    for attempt in range(1 + ALLOWED_FAILURES):
        left = [k for k in range(len(tasks)) if k not in results]
        some = [tasks[k] for k in left]
        try:
            for number, result in _done(client, function, shared, some):
                results[left[number]] = result
            break
        except WorkersLost:
            # With the last worker that had it, what tasks share is lost as well.
            if attempt == ALLOWED_FAILURES or not _comes_back(client):
                raise
    return [results[k] for k in range(len(tasks))]


def keep(function: Callable, shared, tasks: Sequence[tuple]) -> list:
    """
    Run function(shared, *task) for every task, and leave the results on the workers.

    Args:
        function: At the top level of a module.
        shared: What all tasks need.
        tasks: What is each one's own; results that were kept may be among it.

    Returns:
        One handle for each result, a `distributed.Future`, for tasks of `keep` and `told`.
        What is lost with a worker is made again when it is needed.
    """
    client = _client.get()
    return [
        client.submit(function, shared, *task, pure=False, retries=ALLOWED_FAILURES)
        for task in tasks
    ]


def told(function: Callable, shared, tasks: Sequence[tuple]) -> Iterator:
    """
    Run function(shared, *task) for every task, as `keep`, and give what it returns.

    Yields:
        The results in the order of the tasks: sums of them do not depend on who is first.

    Raises:
        ValueError: Workers were lost; or what the function raises.
    """
    n = 0
    for attempt in range(1 + ALLOWED_FAILURES):
        try:
            for result in _in_order(function, shared, tasks[n:]):
                n += 1
                yield result
            return
        except WorkersLost:
            # With the last worker that had it, what tasks share is lost as well.
            if attempt == ALLOWED_FAILURES or not _comes_back(_client.get()):
                raise


def _in_order(function: Callable, shared, tasks: Sequence[tuple]) -> Iterator:
    from distributed.sizeof import safe_sizeof as sizeof

    if sizeof(shared) > LARGE:  # sent to each worker once
        shared = _client.get().scatter(shared, broadcast=True, hash=False)
    futures = _sent_at_once(function, shared, tasks)
    try:
        for k in range(len(futures)):
            result = _result(futures[k])
            futures[k] = None  # nor does the worker hold it any longer
            yield result
    finally:
        _client.get().cancel([f for f in futures if f is not None])


def _sent_at_once(function: Callable, shared, tasks: Sequence[tuple]) -> list:
    """Send tasks as one message: many small ones take longer to send than to do."""
    if not tasks:
        return []
    columns = [shared] * len(tasks), *zip(*tasks)
    return _client.get().map(function, *columns, pure=False, retries=ALLOWED_FAILURES)


def refuse_too_little_memory(data: int, what: str) -> None:
    """
    Refuse workers whose memory limit is below what is needed.

    Args:
        data: Bytes, besides those of the process itself.
        what: Takes them, in words that stand before the number.

    Raises:
        ValueError: A worker may use less.
    """
    workers = _client.get().scheduler_info()["workers"].values()
    limits = [w["memory_limit"] for w in workers if w.get("memory_limit")]
    needed = OF_PROCESS + data
    if limits and min(limits) < needed:
        raise ValueError(
            f"Dask: a worker may use {min(limits) / 1e9:.2g} GB of memory, and {what} "
            f"{needed / 1e9:.2g} GB; give each more (--memory-limit), or start fewer of "
            "them."
        )


def _comes_back(client) -> bool:
    """Wait for a worker; False where none comes."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, RuntimeError):
        return False
    return True


def on_cluster(
    function: Callable, shared, tasks: Sequence, scheduler: str
) -> Iterator[tuple]:
    """
    Run function(shared, task) for every task, on the workers of a scheduler.

    Args:
        function: At the top level of a module.
        shared: What all tasks need; it is sent to each worker once.
        tasks: What is each one's own.
        scheduler: Its address.

    Yields:
        The number of a task, and its result, as tasks are done.

    Raises:
        ValueError: As connect and map_on_workers.
    """
    with connect(scheduler) as client:
        yield from _done(client, function, shared, tasks)


def _done(client, function: Callable, shared, tasks: Sequence) -> Iterator[tuple]:
    from distributed import as_completed

    # On every worker: where one dies, the others still have it.
    data = client.scatter(shared, broadcast=True, hash=False)
    # Results can be told apart by nothing but the task, so none is taken for another.
    futures = [
        client.submit(function, data, task, pure=False, retries=ALLOWED_FAILURES)
        for task in tasks
    ]
    numbers = {future.key: k for k, future in enumerate(futures)}
    try:
        for future in as_completed(futures, loop=client.loop):
            yield numbers[future.key], _result(future)
    finally:
        client.cancel(futures)


def connect(scheduler: str):
    """
    Connect to a Dask scheduler with at least one worker.

    Args:
        scheduler: Its address.

    Returns:
        A client, to be closed.

    Raises:
        ValueError: Dask is not installed, nothing answers, or there is no worker.
    """
    distributed = _distributed()
    _knock(scheduler)
    # What results are made of has to go with each task, to be there when they are lost.
    warnings.filterwarnings("ignore", "Large object of size")
    try:
        client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"dask.scheduler={scheduler}: nothing answers there ({reason[:120]})."
        ) from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, RuntimeError):
        client.close()
        raise ValueError(
            f"dask.scheduler={scheduler}: it has no workers; start one with "
            f"'dask-worker {scheduler}'."
        ) from None
    workers = client.scheduler_info()["workers"]
    logger.info("Dask scheduler %s with %d workers.", scheduler, len(workers))
    return client


def _knock(scheduler: str) -> None:
    """Refuse an address where nothing answers, quicker and quieter than Dask does."""
    parts = re.fullmatch(r"(?:(\w+)://)?\[?([^/\[\]]+?)\]?:(\d{1,5})/?", scheduler)
    if parts is None or int(parts[3]) > 65535:
        raise ValueError(
            f"dask.scheduler={scheduler}: not an address; give one as tcp://host:8786."
        )
    if parts[1] not in (None, "tcp", "tls"):
        return
    try:
        socket.create_connection((parts[2], int(parts[3])), timeout=PATIENCE).close()
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"dask.scheduler={scheduler}: nothing answers there ({reason})."
        ) from None


class WorkersLost(ValueError):
    """The cluster failed, not the task."""


def _result(future):
    """The result of a task, with one line where the cluster and not the task failed."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        return future.result()
    except (CancelledError, CommClosedError) as error:
        name = type(error).__name__
        raise WorkersLost(f"Dask: the workers were lost ({name}).") from None
    except KilledWorker:  # several, over this very task
        raise ValueError("Dask: the workers were lost (KilledWorker).") from None
