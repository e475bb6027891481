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
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Callable

from dials_spread import stages, workers

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

# How long to wait for a scheduler to answer [s].
PATIENCE = 20

# How many workers may die over one task before it is given up.
ALLOWED_FAILURES = 3

# How long a scheduler may need to see that a worker is lost, mostly [s].
TO_BE_SEEN = 0.5

LARGE = 500_000
"""Bytes of what all tasks share, above which it does not go with each."""

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
    with warnings.catch_warnings(), stages.stage("Starting workers"):
        # It looks for a place for its web page even where it shall have none.
        warnings.filterwarnings("ignore", "Port .* is already in use", UserWarning)
        cluster = distributed.LocalCluster(
            n_workers=0, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
            silence_logs=logging.ERROR,
        )  # fmt: skip
        workers.start_deaf_to_interruption(cluster, n)
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
            "dask.scheduler and dask.local need the package distributed, which is not "
            'installed (pip install "dials_spread[dask]").'
        ) from None
    return distributed


def in_use() -> bool:
    """Whether there is a cluster for heavy stages."""
    return _client.get() is not None


def on_each_worker(function: Callable, *args) -> dict[str, Any]:
    """
    Call a function once on each of the workers that there are now.

    Where one of them is lost meanwhile, all are asked again.

    Args:
        function: At the top level of a module; a second call may do no harm.
        args: Its arguments.

    Returns:
        What it returns, by address of the worker.

    Raises:
        ValueError: Workers were lost again and again; or what the function raises.
    """
    client = _client.get()
    for left in range(ALLOWED_FAILURES, -1, -1):
        try:
            with workers.plain_faults(client, of_cluster=True):
                told = client.run(workers.outcome_or_error, function, *args)
            break
        except workers.WorkersLost:
            if not left:
                raise
            time.sleep(TO_BE_SEEN)
            if not workers.comes_back(client):
                raise
    for _, error in told.values():
        if error is not None:
            raise error
    return {address: result for address, (result, _) in told.items()}


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
    client = _client.get()
    _refuse_what_is_too_large(client, shared, tasks, takes)
    results: dict[int, Any] = {}
    for attempt in range(1 + ALLOWED_FAILURES):
        left = [k for k in range(len(tasks)) if k not in results]
        some = [tasks[k] for k in left]
        try:
            for number, result in _done(client, function, shared, some):
                results[left[number]] = result
            break
        except workers.WorkersLost:
            # With the last worker that had it, what tasks share is lost as well.
            if attempt == ALLOWED_FAILURES or not workers.comes_back(client):
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

    Raises:
        ValueError: Workers may use less memory than one task is sent.
    """
    client = _client.get()
    _refuse_what_is_too_large(client, shared, tasks)
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
        ValueError: Workers may use less memory than one task is sent; they were lost, or
            all are paused; or what the function raises.
    """
    _refuse_what_is_too_large(_client.get(), shared, tasks)
    n = 0
    for attempt in range(1 + ALLOWED_FAILURES):
        try:
            for result in _in_order(function, shared, tasks[n:]):
                n += 1
                yield result
            return
        except workers.WorkersLost:
            # With the last worker that had it, what tasks share is lost as well.
            if attempt == ALLOWED_FAILURES or not workers.comes_back(_client.get()):
                raise


def _in_order(function: Callable, shared, tasks: Sequence[tuple]) -> Iterator:
    from distributed.sizeof import safe_sizeof as sizeof

    client = _client.get()
    if sizeof(shared) > LARGE:  # sent to each worker once
        with workers.plain_faults(client, of_cluster=True):
            shared = client.scatter(shared, broadcast=True, hash=False)
    futures = _sent_at_once(function, shared, tasks)
    try:
        for k in stages.counted(range(len(futures)), len(futures)):
            result = workers.outcome(client, futures[k])
            futures[k] = None  # nor does the worker hold it any longer
            yield result
    finally:
        client.cancel([f for f in futures if f is not None])


def _sent_at_once(function: Callable, shared, tasks: Sequence[tuple]) -> list:
    """Send tasks as one message: many small ones take longer to send than to do."""
    if not tasks:
        return []
    columns = [shared] * len(tasks), *zip(*tasks)
    return _client.get().map(function, *columns, pure=False, retries=ALLOWED_FAILURES)


def refuse_too_little_memory(data: int, what: str) -> None:
    """
    Refuse workers that Dask would stop before they have what is needed.

    Args:
        data: Bytes, besides those of the process itself.
        what: Takes them, in words that stand before the number.

    Raises:
        ValueError: A worker may use less.
    """
    workers.refuse_too_little_memory(_client.get(), data, what)


def _refuse_what_is_too_large(client, shared, tasks: Sequence, takes: int = 0) -> None:
    from distributed.sizeof import safe_sizeof as sizeof

    sent = sizeof(shared) + max(map(sizeof, tasks), default=0)
    workers.refuse_too_little_memory(
        client, sent + takes, "one task of this stage takes"
    )


def on_cluster(
    function: Callable, shared, tasks: Sequence, scheduler: str, takes: int = 0
) -> Iterator[tuple]:
    """
    Run function(shared, task) for every task, on the workers of a scheduler.

    Args:
        function: At the top level of a module.
        shared: What all tasks need; it is sent to each worker once.
        tasks: What is each one's own.
        scheduler: Its address.
        takes: Bytes that one task takes besides what it is sent.

    Yields:
        The number of a task, and its result, as tasks are done.

    Raises:
        ValueError: As connect and map_on_workers.
    """
    with connect(scheduler) as client:
        _refuse_what_is_too_large(client, shared, tasks, takes)
        yield from _done(client, function, shared, tasks)


def _done(client, function: Callable, shared, tasks: Sequence) -> Iterator[tuple]:
    # On every worker: where one dies, the others still have it.
    with workers.plain_faults(client, of_cluster=True):
        data = client.scatter(shared, broadcast=True, hash=False)
    # Results can be told apart by nothing but the task, so none is taken for another.
    futures = [
        client.submit(function, data, task, pure=False, retries=ALLOWED_FAILURES)
        for task in tasks
    ]
    numbers = {future.key: k for k, future in enumerate(futures)}
    try:
        ended = workers.as_they_end(client, futures)
        for future in stages.counted(ended, len(futures)):
            yield numbers[future.key], workers.outcome(client, future)
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
        ValueError: Dask is not installed, nothing answers, there is no worker, or workers
            may use less memory than the program itself takes, or take no task.
    """
    distributed = _distributed()
    _knock(scheduler)
    # What results are made of has to go with each task, to be there when they are lost.
    warnings.filterwarnings("ignore", "Large object of size")
    logging.getLogger("asyncio").addFilter(workers.is_news)
    try:
        client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"dask.scheduler={scheduler}: nothing answers there ({reason[:120]})."
        ) from None
    try:
        with stages.stage("Waiting for workers"):
            client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, RuntimeError):
        client.close()
        raise ValueError(
            f"dask.scheduler={scheduler}: it has no workers; start one with "
            f"'dask-worker {scheduler}'."
        ) from None
    try:
        # Before anything is sent: what is sent would load DIALS, and end them.
        what = "the program itself, before it has any data,"
        workers.refuse_too_little_memory(client, 0, f"{what} takes")
        workers.refuse_idle(client)
    except ValueError:
        client.close()
        raise
    n = workers.number(client)
    logger.info("Dask scheduler %s with %d workers.", scheduler, n)
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
